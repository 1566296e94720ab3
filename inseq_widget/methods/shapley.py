"""Shapley values by sampling: what features add as they come in, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from inseq_widget.methods.base import Job, TextMethod, TextScores, register
from inseq_widget.methods.coalitions import Coalitions
from inseq_widget.methods.features import Spans, WithSpans, check_spans, features_of
from inseq_widget.methods.keywords import check_whole
from inseq_widget.methods.perturbed import WithRuns
from inseq_widget.models import Example

# How many coalitions are listed at a time; the engine runs none twice among them.
_COALITIONS_AT_ONCE = 4096


@register
@dataclass(frozen=True, kw_only=True)
class ShapleyValueSampling(WithRuns, WithSpans, TextMethod):
    """Shapley values from random orders (Castro, Gómez and Tejada, 2009, section 3).

    In a random order, features replace their baselines one after the other; the score of a feature
    at step *t* is the mean of what it adds to ``f_t``. The scores of a step sum to ``f_t(x) -
    f_t(baseline)``, whatever the number of orders, and their expected values are the Shapley
    values. An order of all features is, at every step, a random order of those that the step sees:
    one chain of runs serves all steps.

    Parameters
    ----------
    baseline, include_eos_baseline
        See :class:`~inseq_widget.methods.baselines.WithBaseline`.
    perturbations_per_eval
        See :class:`~inseq_widget.methods.perturbed.WithRuns`.
    n_samples : int, default 25
        How many orders. Each takes as many runs as there are features, less one.
    spans : {"tokens", "words", "sentences", "lines", "documents"} or list of (int, int)
        What comes in together, as for ``feature_ablation``. Each token shows the score of its
        feature.
    seed : int, default 0
        Fixes the orders.
    """

    name: ClassVar[str] = "shapley_value_sampling"
    score_label: ClassVar[str] = "Shapley value, estimated from random orders"
    signed: ClassVar[bool] = True
    reduction: ClassVar[str] = "sum"

    n_samples: int = 25
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
        generator = torch.Generator().manual_seed(self.seed)
        orders = [
            torch.randperm(game.n_players, generator=generator) for _ in range(self.n_samples)
        ]
        n_together = max(1, _COALITIONS_AT_ONCE // max(1, game.n_players))
        added = game.clean.new_zeros(game.n_players, len(game.clean))
        for together in torch.stack(orders).split(n_together):
            added += _added(game, together, len(together) / self.n_samples)
        return TextScores(game.spread(added / self.n_samples))


def _added(game: Coalitions, orders: Tensor, share: float) -> Tensor:
    """Sum over orders (order, place) what each player adds when it comes in, (player, step)."""
    n_orders, n_players = orders.shape
    turn = orders.argsort(1)
    # The coalition of all players is the clean text.
    taking = turn[:, None] < torch.arange(n_players)[:, None]
    values = game.values(taking.flatten(0, 1), share).unflatten(0, (n_orders, n_players))
    full = game.clean.expand(n_orders, 1, -1)
    gains = torch.cat([values, full], dim=1).diff(dim=1)
    return gains.take_along_dim(turn[..., None], dim=1).sum(0)
