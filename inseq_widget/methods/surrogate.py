"""Surrogates: a linear model of every step's output, fitted to texts with features left out."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from inseq_widget.methods.base import Job, TextMethod, TextScores, register
from inseq_widget.methods.coalitions import Coalitions
from inseq_widget.methods.features import Spans, WithSpans, check_spans, features_of
from inseq_widget.methods.keywords import check_choice, check_number, check_whole
from inseq_widget.methods.linear_fits import draw, explained, lasso, nothing, ridge
from inseq_widget.methods.perturbed import WithRuns
from inseq_widget.models import Example
from inseq_widget.scores.step_functions import check_share


@register
@dataclass(frozen=True, kw_only=True)
class Lime(WithRuns, WithSpans, TextMethod):
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
    perturbations_per_eval
        See :class:`~inseq_widget.methods.perturbed.WithRuns`.
    n_samples : int, default 50
        How many texts with features left out; each takes one run, for all steps.
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
    without: ClassVar[Mapping[str, str]] = {
        "interpretable_model": "choose surrogate='ridge' or 'lasso', with alpha.",
        "similarity_func": "texts are weighed by what they have in common; choose kernel_width.",
        **dict.fromkeys(
            (
                "perturb_func",
                "perturb_interpretable_space",
                "from_interp_rep_transform",
                "to_interp_rep_transform",
            ),
            "whole tokens are replaced by the baseline; choose mask_prob, spans and baseline.",
        ),
        "mask_token": "choose baseline='unk', 'pad', 'zero', 'mean' or a token.",
    }

    n_samples: int = 50
    mask_prob: float = 0.3
    surrogate: str = "ridge"
    alpha: float = 1.0
    kernel_width: float = 0.25
    spans: Spans = "tokens"
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse keywords that cannot be meant."""
        super().__post_init__()
        check_whole("n_samples", self.n_samples, 1)
        check_share("mask_prob", self.mask_prob, whole=False)
        check_choice("surrogate", self.surrogate, ("ridge", "lasso"))
        check_number("alpha", self.alpha, positive=self.surrogate == "lasso")
        check_number("kernel_width", self.kernel_width, positive=True)
        check_spans(self.spans)
        check_whole("seed", self.seed, 0)

    def attribute_text(self, job: Job, example: Example) -> TextScores:
        """See :meth:`TextMethod.attribute_text`."""
        game = Coalitions(job, example, features_of(example, job.stacks, self.spans), self)
        drawn = draw(self.n_samples, game.n_players, 1 - self.mask_prob, self.seed)
        taking = torch.cat([torch.ones(1, game.n_players, dtype=torch.bool), drawn])
        values = game.values(taking, 1.0).double()
        scores, fitted = nothing(game)
        for players, steps in game.by_visible():
            taken = taking[:, players].double()
            weights = self._similarity(taken)
            fit = ridge if self.surrogate == "ridge" else lasso
            found = fit(taken, values[:, steps], self.alpha, weights)
            scores[players[:, None], steps] = found
            fitted[steps] = explained(taken, values[:, steps], found, weights)
        return TextScores(game.spread(scores), step_scores={"surrogate_r2": fitted})

    def _similarity(self, taken: Tensor) -> Tensor:
        """Weigh texts (text, player) by how near they are to the one with every player."""
        distance = 1 - taken.mean(1).sqrt()
        return torch.exp(-(distance**2) / (2 * self.kernel_width**2))


@register
@dataclass(frozen=True, kw_only=True)
class KernelShap(WithRuns, WithSpans, TextMethod):
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
    perturbations_per_eval
        See :class:`~inseq_widget.methods.perturbed.WithRuns`.
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
        super().__post_init__()
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
        scores, _ = nothing(game)
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
