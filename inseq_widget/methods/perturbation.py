"""Occlusion and ablation: what the output loses when an input is taken away."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from inseq_widget.methods.base import Job, TextMethod, TextScores, register
from inseq_widget.methods.baselines import WithBaseline
from inseq_widget.methods.features import (
    SPAN_NAMES,
    Features,
    Spans,
    check_spans,
    features_of,
    input_places,
    within,
)
from inseq_widget.methods.keywords import check_choice, check_whole
from inseq_widget.methods.perturbed import PerturbedRuns
from inseq_widget.models import Example, Stack


@register
@dataclass(frozen=True, kw_only=True)
class Occlusion(WithBaseline, TextMethod):
    """Occlusion (Zeiler and Fergus, 2014, section 4.2).

    A window slides over the tokens, and what it covers is replaced by the baseline. The score of
    input *i* at step *t* is ``|f_t(x) - f_t(x without the window)|``, where the signed
    differences of the windows that cover *i* are averaged first. A step's windows are those that
    fit into what comes before it; where none fits, one covers everything.

    Parameters
    ----------
    baseline, include_eos_baseline
        See :class:`~inseq_widget.methods.baselines.WithBaseline`.
    sliding_window_shapes : int, default 1
        How many tokens the window covers.
    strides : int, default 1
        By how many tokens it moves; at most its width.
    abs : bool, default True
        Take the magnitude of the difference; the signed difference otherwise.
    """

    name: ClassVar[str] = "occlusion"
    score_label: ClassVar[str] = "change of the output without the token"
    signed: ClassVar[bool] = False
    reduction: ClassVar[str] = "sum"

    sliding_window_shapes: int = 1
    strides: int = 1
    abs: bool = True

    def __post_init__(self) -> None:
        """Refuse windows that cannot slide over the tokens."""
        check_whole("sliding_window_shapes", self.sliding_window_shapes, 1)
        check_whole("strides", self.strides, 1)
        if self.strides > self.sliding_window_shapes:
            raise ValueError(
                f"strides: {self.strides} given, but the window is {self.sliding_window_shapes} "
                "wide: tokens between two windows would get no score; choose at most its width."
            )

    def attribute_text(self, job: Job, example: Example) -> TextScores:
        """See :meth:`TextMethod.attribute_text`."""
        windows = {
            stack: self._windows(stack, [place for _, place in input_places(example, [stack])])
            for stack in job.stacks
        }
        every = Features(tuple(group for groups in windows.values() for group in groups))
        runs = PerturbedRuns(job, example, every, self)
        differences = _differences(runs, 1.0)
        raw: dict[Stack, Tensor] = {}
        for stack, groups in windows.items():
            own, differences = differences[: len(groups)], differences[len(groups) :]
            scores = self._averaged(groups, own, example, stack)
            raw[stack] = scores.abs() if self.abs else scores
        return TextScores(raw)

    def _windows(
        self, stack: Stack, positions: Sequence[int]
    ) -> list[tuple[tuple[Stack, int], ...]]:
        count = self._fitting(len(positions))
        starts = range(0, count * self.strides, self.strides)
        return [
            tuple((stack, p) for p in positions[start : start + self.sliding_window_shapes])
            for start in starts
        ]

    def _fitting(self, n_positions: int) -> int:
        """Count the windows of so many positions, the last one of which may be cut short."""
        beyond_first = max(0, n_positions - self.sliding_window_shapes)
        return math.ceil(beyond_first / self.strides) + 1

    def _averaged(
        self,
        groups: Sequence[tuple[tuple[Stack, int], ...]],
        differences: Tensor,
        example: Example,
        stack: Stack,
    ) -> Tensor:
        """Average the windows' differences at each of their positions, (position, step)."""
        width = len(input_places(example, [stack]))
        covers = Features(tuple(groups)).members(stack, width).to(differences.dtype)
        seen = [
            len(example.source) if stack == "source" else position
            for position in range(example.start, example.end)
        ]
        fitting = torch.tensor([self._fitting(count) for count in seen])
        counts = (torch.arange(len(groups))[:, None] < fitting).to(differences.dtype)
        # No window that counts for a step covers what comes after it.
        weight = (covers.T @ counts).clamp(min=1)
        return (covers.T @ (differences * counts)) / weight


@register
@dataclass(frozen=True, kw_only=True)
class FeatureAblation(WithBaseline, TextMethod):
    """Ablation of features (Covert, Lundberg and Lee, 2021, section 4; captum's FeatureAblation).

    The score of a feature at step *t* is ``f_t(x) - f_t(x without the feature)``: positive where
    the feature speaks for the output. Each token shows the score of its feature, which is what
    the output loses with all of it: a feature's score is the mean over its tokens, not their sum.

    Parameters
    ----------
    baseline, include_eos_baseline
        See :class:`~inseq_widget.methods.baselines.WithBaseline`.
    spans : {"tokens", "words", "sentences", "lines", "documents"} or list of (int, int)
        What is taken away together. Documents end at blank lines. Pairs are offsets, end not
        included, into the source or the prompt; tokens outside all of them stay, and have no
        score (NaN).
    refine : {"tokens", "words", "sentences", "lines", "documents"}, optional
        Ablate these smaller features, too, inside the spans that matter most; their tokens show
        the smaller feature's score.
    top_k : int, default 3
        How many spans are refined: those of the largest magnitude at any step.
    """

    name: ClassVar[str] = "feature_ablation"
    score_label: ClassVar[str] = "loss of the output without the feature"
    signed: ClassVar[bool] = True
    reduction: ClassVar[str] = "sum"

    spans: Spans = "tokens"
    refine: str | None = None
    top_k: int = 3

    def __post_init__(self) -> None:
        """Refuse spans that cannot be taken away."""
        check_spans(self.spans)
        if self.refine is not None:
            check_choice("refine", self.refine, SPAN_NAMES)
        check_whole("top_k", self.top_k, 1)

    def attribute_text(self, job: Job, example: Example) -> TextScores:
        """See :meth:`TextMethod.attribute_text`."""
        features = features_of(example, job.stacks, self.spans)
        runs = PerturbedRuns(job, example, features, self)
        scores = _differences(runs, 1.0 if self.refine is None else 0.5)
        raw = runs.spread(scores)
        if self.refine is not None:
            smaller = self._smaller(job, example, features, runs, scores)
            own = runs.regrouped(smaller)
            refined = own.spread(_differences(own, 0.5))
            raw = {
                stack: torch.where(refined[stack].isnan(), raw[stack], refined[stack])
                for stack in raw
            }
        return TextScores(raw)

    def _smaller(
        self, job: Job, example: Example, features: Features, runs: PerturbedRuns, scores: Tensor
    ) -> Features:
        """Find the smaller features inside the spans that matter most."""
        assert self.refine is not None
        largest = torch.where(runs.visible, scores.abs(), 0.0).amax(1)
        parts = features_of(example, job.stacks, self.refine)
        chosen = largest.topk(min(self.top_k, len(features))).indices.sort().values
        return Features(
            tuple(
                part
                for number in chosen.tolist()
                for part in within(parts, frozenset(features.groups[number]))
            )
        )


def _differences(runs: PerturbedRuns, share: float) -> Tensor:
    """Take each feature away alone; give what every step loses, (feature, step)."""
    values = runs.values(~torch.eye(runs.n_features, dtype=torch.bool), share)
    return runs.clean - values
