"""Linear models of what every step's output is with features left out, fitted to samples."""

from __future__ import annotations

import torch
from torch import Tensor

from inseq_widget.methods.coalitions import Coalitions


def draw(n_samples: int, n_players: int, keep_prob: float, seed: int) -> Tensor:
    """Draw which players each text has, (text, player)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n_samples, n_players, generator=generator) < keep_prob


def nothing(game: Coalitions) -> tuple[Tensor, Tensor]:
    """Give scores of 0 (player, step), and no fit yet (step,)."""
    n_steps = len(game.clean)
    scores = torch.zeros(game.n_players, n_steps, dtype=torch.float64)
    return scores, torch.full((n_steps,), torch.nan, dtype=torch.float64)


def ridge(taken: Tensor, values: Tensor, alpha: float, weights: Tensor) -> Tensor:
    """Fit values (text, step) by ridge regression on texts (text, player), (player, step)."""
    from sklearn.linear_model import Ridge  # here, as importing it takes a while

    model = Ridge(alpha).fit(taken.numpy(), values.numpy(), sample_weight=weights.numpy())
    return torch.from_numpy(model.coef_.reshape(values.shape[1], -1).T)


def lasso(taken: Tensor, values: Tensor, alpha: float, weights: Tensor) -> Tensor:
    """Fit values (text, step) by lasso on texts (text, player), (player, step)."""
    from sklearn.linear_model import Lasso  # here, as importing it takes a while

    coefficients = []
    for value in values.T:
        # On a scale of its own: the precision of the solver is an absolute one, and outputs of
        # 1e-5 are below it.
        scale = float(value.std(correction=0)) or 1.0
        model = Lasso(alpha / scale, tol=1e-10, max_iter=10_000, random_state=0)
        model.fit(taken.numpy(), (value / scale).numpy(), sample_weight=weights.numpy())
        coefficients.append(torch.from_numpy(model.coef_) * scale)
    return torch.stack(coefficients, dim=1)


def explained(taken: Tensor, values: Tensor, coefficients: Tensor, weights: Tensor) -> Tensor:
    """Give the share of each step's variance that a linear model explains (R²), (step,)."""
    shares = (weights / weights.sum())[:, None]
    varying = values - (shares * values).sum(0)
    left = varying - (taken - (shares * taken).sum(0)) @ coefficients
    unexplained, variance = (shares * left**2).sum(0), (shares * varying**2).sum(0)
    return torch.where(variance > 0, 1 - unexplained / variance, 1.0)
