"""Surrogates: a linear model of every step's output, fitted to texts with features left out."""

from __future__ import annotations

import dataclasses
import math
import warnings
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from inseq_widget.methods.base import Job, TextMethod, TextScores, register
from inseq_widget.methods.baselines import WithBaseline
from inseq_widget.methods.coalitions import Coalitions
from inseq_widget.methods.features import (
    Features,
    Spans,
    check_spans,
    features_of,
    within,
)
from inseq_widget.methods.keywords import check_choice, check_flag, check_number, check_whole
from inseq_widget.models import Example
from inseq_widget.models.precision import at_least_single
from inseq_widget.scores import StepFunctionArgs
from inseq_widget.scores.step_functions import probability


@register
@dataclass(frozen=True, kw_only=True)
class Lime(WithBaseline, TextMethod):
    """LIME on tokens or spans (Ribeiro, Singh and Guestrin, 2016, section 3).

    Texts with random features replaced by the baseline, and the text itself, are fitted by a
    linear model of which features are there; the scores of a step are its coefficients. A text
    counts the more, the more it has in common with the original: with the cosine distance *d*
    between the two as rows of zeros and ones, ``exp(-d² / (2 · kernel_width²))``. Every step has a
    fit of its own, to what the step sees of the same texts. How much of the output's variance the
    fit explains is the step score ``surrogate_r2``.

    Parameters
    ----------
    baseline, include_eos_baseline
        See :class:`~inseq_widget.methods.baselines.WithBaseline`.
    n_samples : int, default 50
        How many texts with features left out; each takes one run, for all steps.
    perturbations_per_eval : int or None, default 1
        Accepted for scripts that pass it, and without effect: how many texts run together follows
        from the free memory, and changes no score.
    mask_prob : float, default 0.3
        How probable it is that a text lacks a feature.
    surrogate : {"ridge", "lasso"}, default "ridge"
        The linear model: least squares with a penalty on the squares, or on the magnitudes, of
        the coefficients. The latter gives features that hardly matter 0.
    alpha : float, default 1.0
        Weight of the penalty, as scikit-learn defines it. For ``"lasso"``, choose it smaller than
        the differences of the attributed function that should be seen.
    kernel_width : float, default 0.25
        At which distance a text hardly counts any more.
    spans : {"tokens", "words", "sentences", "lines", "documents"} or list of (int, int)
        What is left out together, as for ``feature_ablation``. Each token shows the score of its
        feature.
    seed : int, default 0
        Fixes what is left out.
    """

    name: ClassVar[str] = "lime"
    score_label: ClassVar[str] = "coefficient of a linear surrogate"
    signed: ClassVar[bool] = True
    reduction: ClassVar[str] = "sum"

    n_samples: int = 50
    perturbations_per_eval: int | None = 1
    mask_prob: float = 0.3
    surrogate: str = "ridge"
    alpha: float = 1.0
    kernel_width: float = 0.25
    spans: Spans = "tokens"
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse keywords that cannot be meant."""
        check_whole("n_samples", self.n_samples, 1)
        if self.perturbations_per_eval is not None:
            check_whole("perturbations_per_eval", self.perturbations_per_eval, 1)
        _check_share("mask_prob", self.mask_prob)
        check_choice("surrogate", self.surrogate, ("ridge", "lasso"))
        check_number("alpha", self.alpha, positive=self.surrogate == "lasso")
        check_number("kernel_width", self.kernel_width, positive=True)
        check_spans(self.spans)
        check_whole("seed", self.seed, 0)

    def attribute_text(self, job: Job, example: Example) -> TextScores:
        """See :meth:`TextMethod.attribute_text`."""
        game = Coalitions(job, example, features_of(example, job.stacks, self.spans), self)
        drawn = _drawn(self.n_samples, game.n_players, 1 - self.mask_prob, self.seed)
        taking = torch.cat([torch.ones(1, game.n_players, dtype=torch.bool), drawn])
        values = game.values(taking, 1.0).double()
        scores, fitted = _nothing(game)
        for players, steps in game.by_visible():
            taken = taking[:, players].double()
            weights = self._similarity(taken)
            fit = _ridge if self.surrogate == "ridge" else _lasso
            found = fit(taken, values[:, steps], self.alpha, weights)
            scores[players[:, None], steps] = found
            fitted[steps] = _explained(taken, values[:, steps], found, weights)
        return TextScores(game.spread(scores), step_scores={"surrogate_r2": fitted})

    def _similarity(self, taken: Tensor) -> Tensor:
        """Weigh texts (text, player) by how near they are to the one with every player."""
        distance = 1 - taken.mean(1).sqrt()
        return torch.exp(-(distance**2) / (2 * self.kernel_width**2))


@register
@dataclass(frozen=True, kw_only=True)
class KernelShap(WithBaseline, TextMethod):
    """Shapley values by regression (Lundberg and Lee, 2017, section 4.1).

    A linear model is fitted to texts in which a coalition of features is there and the others are
    replaced by the baseline, each weighted by the Shapley kernel. It is bound to be right for no
    features and for all of them: the scores of a step sum to ``f_t(x) - f_t(baseline)``, whatever
    the number of samples. Coalitions are drawn from the kernel, each with its complement (Covert
    and Lee, 2021, section 4.1). Where ``n_samples`` is enough for every coalition each is taken
    once, and the scores are the Shapley values. What a step sees of a coalition is, where it is
    neither nothing nor everything, drawn from the kernel of the features that the step sees: one
    run serves all steps.

    Parameters
    ----------
    baseline, include_eos_baseline
        See :class:`~inseq_widget.methods.baselines.WithBaseline`.
    n_samples : int, default 256
        How many coalitions, beside the empty and the full one; each takes one run. Take several
        times as many as there are features: with fewer than features, of the scores that fit the
        smallest are given, and a warning tells.
    spans : {"tokens", "words", "sentences", "lines", "documents"} or list of (int, int)
        What belongs together, as for ``feature_ablation``. Each token shows the score of its
        feature.
    seed : int, default 0
        Fixes the coalitions.
    """

    name: ClassVar[str] = "kernel_shap"
    score_label: ClassVar[str] = "Shapley value, estimated by regression"
    signed: ClassVar[bool] = True
    reduction: ClassVar[str] = "sum"

    n_samples: int = 256
    spans: Spans = "tokens"
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse keywords that cannot be meant."""
        check_whole("n_samples", self.n_samples, 1)
        check_spans(self.spans)
        check_whole("seed", self.seed, 0)

    def attribute_text(self, job: Job, example: Example) -> TextScores:
        """See :meth:`TextMethod.attribute_text`."""
        game = Coalitions(job, example, features_of(example, job.stacks, self.spans), self)
        taking, weights = self._coalitions(game.n_players)
        empty = torch.zeros(1, game.n_players, dtype=torch.bool)
        values = game.values(torch.cat([empty, taking]), 1.0).double()
        total, gains = game.clean.double() - values[0], values[1:] - values[0]
        scores, _ = _nothing(game)
        for players, steps in game.by_visible():
            taken = taking[:, players].double()
            scores[players[:, None], steps] = _sharing(
                taken, gains[:, steps], weights, total[steps]
            )
        return TextScores(game.spread(scores))

    def _coalitions(self, n_players: int) -> tuple[Tensor, Tensor]:
        """Give coalitions (coalition, player), neither empty nor full, and their weights."""
        if self.n_samples >= 2**n_players - 2:
            numbers = torch.arange(1, max(1, 2**n_players - 1))
            taking = (numbers[:, None] >> torch.arange(n_players)) & 1 == 1
            sizes = taking.sum(1).tolist()
            kernel = [1 / (math.comb(n_players, k) * k * (n_players - k)) for k in sizes]
            return taking, torch.tensor(kernel, dtype=torch.float64)
        if self.n_samples < n_players:
            warnings.warn(
                f"kernel_shap: n_samples={self.n_samples} for {n_players} features leaves their "
                "scores open; pass several times as many, or spans that make fewer features.",
                stacklevel=2,
            )
        generator = torch.Generator().manual_seed(self.seed)
        sizes_kernel = torch.tensor([1 / (k * (n_players - k)) for k in range(1, n_players)])
        n_pairs = math.ceil(self.n_samples / 2)
        drawn = torch.multinomial(sizes_kernel, n_pairs, replacement=True, generator=generator) + 1
        rank = torch.rand(n_pairs, n_players, generator=generator).argsort(1).argsort(1)
        taken = rank < drawn[:, None]
        pairs = torch.stack([taken, ~taken], dim=1).flatten(0, 1)[: self.n_samples]
        return pairs, torch.ones(len(pairs), dtype=torch.float64)


@register
@dataclass(frozen=True, kw_only=True)
class ContextCite(WithBaseline, TextMethod):
    """ContextCite (Cohen-Wang, Shah, Georgiev and Mądry, 2024, section 3).

    A sparse linear model (lasso, on standardised features) of which sentences of the source or
    prompt are there predicts the log-odds ``log(p / (1 - p))``; a sentence's score is its
    coefficient: by how much it raises them. Every generated token has a fit of its own, on the
    same runs; ``whole_response`` fits the probability of all explained tokens together, as the
    paper does. What the paper deletes is replaced by the baseline here, token by token, so that
    the others keep their positions. Generated and special tokens are never taken away, and have
    no score (NaN). How much of the variance the fit explains is the step score
    ``surrogate_r2``. An ``attributed_fn`` other than the probability is explained as it is, and
    summed over the tokens of a whole response.

    Parameters
    ----------
    baseline, include_eos_baseline
        See :class:`~inseq_widget.methods.baselines.WithBaseline`.
    n_samples : int, default 64
        How many texts with sentences left out; each takes one run, for all steps.
    keep_prob : float, default 0.5
        How probable it is that a text keeps a sentence.
    alpha : float, default 0.01
        Weight of the penalty that makes the model sparse; for a whole response, per token.
    spans : {"sentences", "tokens", "words", "lines", "documents"} or list of (int, int)
        What is left out together, as for ``feature_ablation``. Each token shows the score of its
        sentence.
    whole_response : bool, default False
        Explain all explained tokens as one; each step then has the same scores.
    seed : int, default 0
        Fixes what is left out.
    """

    name: ClassVar[str] = "context_cite"
    score_label: ClassVar[str] = "effect of the sentence on the log-odds, by a sparse surrogate"
    signed: ClassVar[bool] = True
    reduction: ClassVar[str] = "sum"

    n_samples: int = 64
    keep_prob: float = 0.5
    alpha: float = 0.01
    spans: Spans = "sentences"
    whole_response: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse keywords that cannot be meant."""
        check_whole("n_samples", self.n_samples, 2)
        _check_share("keep_prob", self.keep_prob)
        check_number("alpha", self.alpha, positive=True)
        check_spans(self.spans)
        check_flag("whole_response", self.whole_response)
        check_whole("seed", self.seed, 0)

    def attribute_text(self, job: Job, example: Example) -> TextScores:
        """See :meth:`TextMethod.attribute_text`."""
        on_log_odds = job.attributed_fn is probability
        if on_log_odds:
            job = dataclasses.replace(job, attributed_fn=log_odds)
        game = Coalitions(job, example, self._sentences(job, example), self)
        taking = _drawn(self.n_samples, game.n_players, self.keep_prob, self.seed)
        values = game.values(taking, 1.0).double()
        n_joined = values.shape[1] if self.whole_response else 1
        if self.whole_response:
            joint = _joint_log_odds(values) if on_log_odds else values.sum(1)
            values = joint[:, None].expand(values.shape)
        scores, fitted = _nothing(game)
        for players, steps in game.by_visible():
            taken = taking[:, players].double()
            spread = taken.std(0, correction=0)
            spread[spread == 0] = 1.0
            weights = torch.ones(len(taken), dtype=torch.float64)
            found = _lasso(taken / spread, values[:, steps], self.alpha * n_joined, weights)
            scores[players[:, None], steps] = found / spread[:, None]
            fitted[steps] = _explained(taken / spread, values[:, steps], found, weights)
        return TextScores(game.spread(scores), step_scores={"surrogate_r2": fitted})

    def _sentences(self, job: Job, example: Example) -> Features:
        """Group the tokens that were given, special ones left out."""
        given = job.stacks[0]
        tokens = example.source if given == "source" else example.target[: example.n_given]
        places = frozenset((given, token.position) for token in tokens if not token.special)
        every = features_of(example, [given], self.spans)
        return Features(tuple(within(every, places)))


def log_odds(args: StepFunctionArgs) -> Tensor:
    """Log-odds of the target: of its probability against that of all other tokens.

    Parameters
    ----------
    args : StepFunctionArgs

    Returns
    -------
    torch.Tensor, (...)
    """
    logits, ids = at_least_single(args.logits), args.target_ids[..., None]
    # Not from the probability: near 1 it would say nothing of how near.
    others = logits.scatter(-1, ids, -torch.inf).logsumexp(-1)
    return logits.gather(-1, ids)[..., 0] - others


def _joint_log_odds(values: Tensor) -> Tensor:
    """Make the log-odds of all steps together of each one's, (text, step) to (text,)."""
    joint = logsigmoid(values).sum(1).clamp(max=-torch.finfo(values.dtype).tiny)
    return joint - torch.log(-torch.expm1(joint))


def _drawn(n_samples: int, n_players: int, keep_prob: float, seed: int) -> Tensor:
    """Draw which players each text has, (text, player)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n_samples, n_players, generator=generator) < keep_prob


def _nothing(game: Coalitions) -> tuple[Tensor, Tensor]:
    """Give scores of 0 (player, step), and no fit yet (step,)."""
    n_steps = len(game.clean)
    scores = torch.zeros(game.n_players, n_steps, dtype=torch.float64)
    return scores, torch.full((n_steps,), torch.nan, dtype=torch.float64)


def _ridge(taken: Tensor, values: Tensor, alpha: float, weights: Tensor) -> Tensor:
    """Fit values (text, step) by ridge regression on texts (text, player), (player, step)."""
    from sklearn.linear_model import Ridge  # here, as importing it takes a while

    model = Ridge(alpha).fit(taken.numpy(), values.numpy(), sample_weight=weights.numpy())
    return torch.from_numpy(model.coef_.reshape(values.shape[1], -1).T)


def _lasso(taken: Tensor, values: Tensor, alpha: float, weights: Tensor) -> Tensor:
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


def _explained(taken: Tensor, values: Tensor, coefficients: Tensor, weights: Tensor) -> Tensor:
    """Give the share of each step's variance that a linear model explains (R²), (step,)."""
    shares = (weights / weights.sum())[:, None]
    varying = values - (shares * values).sum(0)
    left = varying - (taken - (shares * taken).sum(0)) @ coefficients
    unexplained, variance = (shares * left**2).sum(0), (shares * varying**2).sum(0)
    return torch.where(variance > 0, 1 - unexplained / variance, 1.0)


def _sharing(taken: Tensor, gains: Tensor, weights: Tensor, total: Tensor) -> Tensor:
    """Share totals (step,) among players so that coalitions' gains fit best, (player, step).

    Parameters
    ----------
    taken : torch.Tensor, (coalition, player)
    gains : torch.Tensor, (coalition, step)
        What a coalition has more than the empty one.
    weights : torch.Tensor, (coalition,)
    total : torch.Tensor, (step,)
        What the full coalition has more.
    """
    size, n_players = taken.sum(1, keepdim=True), taken.shape[1]
    inside = ((size > 0) & (size < n_players))[:, 0]
    equal = total / n_players
    root = weights[inside].sqrt()[:, None]
    # What is fitted is how unequal the shares are. The least-squares solution of least norm is
    # made of rows that sum to 0, so the shares keep their total.
    rows = root * (taken - size / n_players)[inside]
    rest = root * (gains - size * equal)[inside]
    unequal, *_ = np.linalg.lstsq(rows.numpy(), rest.numpy(), rcond=None)
    return equal + torch.from_numpy(unequal)


def _check_share(keyword: str, value: object) -> None:
    check_number(keyword, value, positive=True)
    if isinstance(value, int | float) and value >= 1:
        raise ValueError(f"{keyword}: {value!r} given; it must lie between 0 and 1.")
