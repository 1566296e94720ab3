"""Occlusion and ablation: what the output loses when an input is taken away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from inseq_widget.methods.base import Job, TextMethod, TextScores, register
from inseq_widget.methods.features import (
    SPAN_NAMES,
    Features,
    Place,
    Spans,
    WithSpans,
    check_spans,
    features_of,
    input_places,
    within,
)
from inseq_widget.methods.keywords import check_choice, check_whole
from inseq_widget.methods.perturbed import PerturbedRuns, WithRuns
from inseq_widget.methods.windows import Shapes, Window, check_features, check_windows, windows_of
from inseq_widget.models import Example, Stack, TraceableModel


@register
@dataclass(frozen=True, kw_only=True)
class Occlusion(WithRuns, TextMethod):
    """Occlusion (Zeiler and Fergus, 2014, section 4.2).

    A window slides over the tokens, and what it covers is replaced by the baseline. The score of
    input *i* at step *t* is ``|f_t(x) - f_t(x without the window)|``, where the signed
    differences of the windows that cover *i* are averaged first. A step's windows are those that
    fit into what comes before it; where none fits, one covers everything.

    Parameters
    ----------
    baseline, include_eos_baseline
        See :class:`~inseq_widget.methods.baselines.WithBaseline`.
    perturbations_per_eval
        See :class:`~inseq_widget.methods.perturbed.WithRuns`.
    sliding_window_shapes : int or tuple, default 1
        How many tokens the window covers: a number, or as captum has it ``(tokens, features)``,
        with all features of a token. For source and target prefix, one such tuple each.
    strides : int, tuple or None, default 1
        By how many tokens it moves; at most its width. A tuple as for the shapes.
    abs : bool, default True
        Take the magnitude of the difference; the signed difference otherwise.
    """

    name: ClassVar[str] = "occlusion"
    score_label: ClassVar[str] = "change of the output without the token"
    signed: ClassVar[bool] = False
    reduction: ClassVar[str] = "sum"

    sliding_window_shapes: Shapes = 1
    strides: Shapes = 1
    abs: bool = True

    def __post_init__(self) -> None:
        """Refuse windows that cannot slide over the tokens."""
        super().__post_init__()
        check_windows(self.sliding_window_shapes, self.strides)

    def check(self, model: TraceableModel) -> None:
        """See :meth:`AttributionMethod.check`."""
        super().check(model)
        check_features(self.sliding_window_shapes, model)

    def attribute_text(self, job: Job, example: Example) -> TextScores:
        """See :meth:`TextMethod.attribute_text`."""
        groups = {
            stack: [
                tuple(places[start : start + window.width])
                for places in [input_places(example, [stack])]
                for start in window.starts(len(places))
            ]
            for stack, window in self._windows(job).items()
        }
        every = Features(tuple(group for own in groups.values() for group in own))
        runs = PerturbedRuns(job, example, every, self)
        differences = _differences(runs, 1.0)
        raw: dict[Stack, Tensor] = {}
        for stack, window in self._windows(job).items():
            n_groups = len(groups[stack])
            own, differences = differences[:n_groups], differences[n_groups:]
            scores = _averaged(window, groups[stack], own, example, stack)
            raw[stack] = scores.abs() if self.abs else scores
        return TextScores(raw)

    def _windows(self, job: Job) -> dict[Stack, Window]:
        return windows_of(self.sliding_window_shapes, self.strides, job.stacks)


@register
@dataclass(frozen=True, kw_only=True)
class FeatureAblation(WithRuns, WithSpans, TextMethod):
    """Ablation of features (Covert, Lundberg and Lee, 2021, section 4; captum's FeatureAblation).

    The score of a feature at step *t* is ``f_t(x) - f_t(x without the feature)``: positive where
    the feature speaks for the output. Each token shows the score of its feature, which is what
    the output loses with all of it: a feature's score is the mean over its tokens, not their sum.

    With ``refine``, every token shows its part instead, and the parts of a span's tokens sum to
    the span's score: both levels are in the same numbers. In the spans that are refined, a part
    is what the output loses without the smaller feature alone, and an equal share of what the
    span loses beyond the sum of those (the egalitarian non-separable contribution value, Driessen
    and Funaki, 1991): how two tokens of a span differ is measured, how they overlap is shared.
    In the other spans, and within a smaller feature, all tokens have the same part.

    Parameters
    ----------
    baseline, include_eos_baseline
        See :class:`~inseq_widget.methods.baselines.WithBaseline`.
    perturbations_per_eval
        See :class:`~inseq_widget.methods.perturbed.WithRuns`.
    spans : {"tokens", "words", "sentences", "lines", "documents"} or list of (int, int)
        What is taken away together. Documents end at blank lines. Pairs are offsets, end not
        included, into the source or the prompt, for several texts a list of them each; tokens
        outside all of them stay, and have no score (NaN).
    refine : {"tokens", "words", "sentences", "lines"}, optional
        Ablate these smaller features, too, inside the spans that matter most.
    n_refined : int, default 3
        How many spans are refined: those of the largest magnitude at any step.
    """

    name: ClassVar[str] = "feature_ablation"
    signed: ClassVar[bool] = True
    reduction: ClassVar[str] = "sum"

    spans: Spans = "tokens"
    refine: str | None = None
    n_refined: int = 3

    def __post_init__(self) -> None:
        """Refuse spans that cannot be taken away."""
        super().__post_init__()
        check_spans(self.spans)
        check_whole("n_refined", self.n_refined, 1)
        if self.refine is None:
            return
        check_choice("refine", self.refine, SPAN_NAMES)
        if not isinstance(self.spans, str):
            return
        finer = SPAN_NAMES[: SPAN_NAMES.index(self.spans)]
        if self.refine not in finer:
            raise ValueError(
                f"refine: {self.refine!r} given, but spans={self.spans!r} are no larger than "
                f"that; choose {' or '.join(finer) or 'larger spans'}."
            )

    @property
    def score_label(self) -> str:
        """See :class:`AttributionMethod`."""
        if self.refine is None:
            return "loss of the output without the feature"
        return "part of the loss of the output without the span"

    def attribute_text(self, job: Job, example: Example) -> TextScores:
        """See :meth:`TextMethod.attribute_text`."""
        features = features_of(example, job.stacks, self.spans)
        runs = PerturbedRuns(job, example, features, self)
        if self.refine is None:
            return TextScores(runs.spread(_differences(runs, 1.0)))
        return TextScores(self._refined(job, example, features, runs))

    def _refined(
        self, job: Job, example: Example, features: Features, runs: PerturbedRuns
    ) -> dict[Stack, Tensor]:
        """Divide the scores of spans among their tokens, each (position, step)."""
        assert self.refine is not None
        scores = _differences(runs, 0.5)
        smaller = features_of(example, job.stacks, self.refine)
        largest = torch.where(runs.visible, scores.abs(), 0.0).amax(1)
        chosen = largest.topk(min(self.n_refined, len(features))).indices.tolist()
        parts = [
            (number, part)
            for number, group in enumerate(features.groups)
            for part in (within(smaller, frozenset(group)) if number in chosen else [group])
        ]
        span_of = torch.tensor([number for number, _ in parts])
        finer = runs.regrouped(Features(tuple(part for _, part in parts)))
        refined = torch.isin(span_of, torch.tensor(chosen))
        keep = ~torch.eye(len(parts), dtype=torch.bool)
        alone = torch.zeros(len(parts), scores.shape[1], dtype=scores.dtype)
        alone[refined] = runs.clean - finer.values(keep[refined], 0.5)
        taken = (finer.n_taken > 0).to(scores.dtype)
        n_taken, together = (
            torch.zeros_like(scores).index_add_(0, span_of, values)
            for values in (taken, alone * taken)
        )
        rest = (scores - together) / n_taken.clamp(min=1)
        return finer.divided((alone + rest[span_of]) * taken)


def _averaged(
    window: Window,
    groups: Sequence[tuple[Place, ...]],
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
    fitting = torch.tensor([window.fitting(count) for count in seen])
    counts = (torch.arange(len(groups))[:, None] < fitting).to(differences.dtype)
    # No window that counts for a step covers what comes after it.
    weight = (covers.T @ counts).clamp(min=1)
    return (covers.T @ (differences * counts)) / weight


def _differences(runs: PerturbedRuns, share: float) -> Tensor:
    """Take each feature away alone; give what every step loses, (feature, step)."""
    values = runs.values(~torch.eye(runs.n_features, dtype=torch.bool), share)
    return runs.clean - values
