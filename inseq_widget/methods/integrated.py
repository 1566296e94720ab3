"""Gradients integrated along straight paths from inputs that say nothing to the real ones."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from inseq_widget.methods.base import AttributionMethod, BatchScores, Job, register
from inseq_widget.methods.baselines import WithBaseline
from inseq_widget.methods.gradients import value_gradients
from inseq_widget.methods.keywords import check_choice, check_number, check_whole
from inseq_widget.methods.points import (
    Keep,
    Points,
    Text,
    each_text,
    points_together,
    summed_over_points,
)
from inseq_widget.methods.quadrature import GAUSS_LEGENDRE, RULES, Nodes, nodes_of, numbers_to_try
from inseq_widget.models import Stack

_ENDS = Nodes((0.0,), (1.0,))  # the baseline alone


@dataclass(frozen=True)
class Integrated(WithBaseline, AttributionMethod):
    """Keywords of methods that integrate along straight paths.

    Parameters
    ----------
    n_steps : int, default 50
        Number of points on the path.
    method : str, default "gausslegendre"
        Where they lie: at the nodes of Gauss and Legendre, or evenly: ``"riemann_left"``,
        ``"riemann_right"``, ``"riemann_middle"``, ``"riemann_trapezoid"``.
    internal_batch_size : int, optional
        How many points go through the model together at most; by default as many as run fast.
    return_convergence_delta : bool, default False
        Report, as the step score ``deltas``, by how much the scores of a step miss what they
        should sum to.
    multiply_by_inputs : bool, default True
        Multiply the mean gradient by the difference between input and baseline.
    """

    reduction: ClassVar[str] = "sum"
    signed: ClassVar[bool] = True

    n_steps: int = 50
    method: str = GAUSS_LEGENDRE
    internal_batch_size: int | None = None
    return_convergence_delta: bool = False
    multiply_by_inputs: bool = True

    def __post_init__(self) -> None:
        """Refuse keywords that cannot be meant."""
        check_choice("method", self.method, RULES)
        check_whole("n_steps", self.n_steps, 2 if self.method == "riemann_trapezoid" else 1)
        if self.internal_batch_size is not None:
            check_whole("internal_batch_size", self.internal_batch_size, 1)

    def _baselines_of(self, text: Text) -> dict[Stack, Tensor]:
        """Give what the embeddings of a text are compared with, (position, feature)."""
        model = text.job.model
        return {
            stack: self.baselines(model, [text.example], stack, own.shape[0])[0].to(own)
            for stack, own in text.embeddings.items()
        }

    def _keep_sums(
        self,
        text: Text,
        points: Points,
        baselines: dict[Stack, Tensor],
        steps: Sequence[int],
        share: float,
        keep: Keep,
    ) -> Tensor:
        """Hand on the scores of some steps; give their sums, (step,) of the text."""
        totals = torch.zeros(text.example.n_steps, dtype=text.dtype)
        done = summed_over_points(text, points, steps, self.internal_batch_size, share)
        for window, integrals in done:
            scores = {
                stack: integral * (text.embeddings[stack] - baselines[stack])
                for stack, integral in integrals.items()
            }
            total = torch.stack([score.sum((1, 2)).cpu() for score in scores.values()]).sum(0)
            totals[list(window)] = total
            keep(window, scores if self.multiply_by_inputs else integrals)
        return totals


@register
@dataclass(frozen=True)
class IntegratedGradients(Integrated):
    """Integrated gradients (Sundararajan, Taly and Yan, 2017, section 3).

    The score of feature *d* of input *i* at step *t* is ``(x_id − x'_id) · ∫ ∂f_t(x' + α(x −
    x'))/∂x_id dα``, where all attributed inputs move together from their baselines *x'*. A step's
    scores sum to ``f_t(x) − f_t(x')`` within its convergence delta.

    Parameters
    ----------
    tolerance : float, optional
        Use, for each step, only as many points as bring its convergence delta within this share
        of ``|f_t(x) − f_t(x')|``, up to ``n_steps``. The step scores ``n_steps`` and ``deltas``
        tell how many it were and what is left. How far off a number of points would be is known
        from the derivative along the path before any gradient is taken.
    """

    name: ClassVar[str] = "integrated_gradients"
    score_label: ClassVar[str] = "integrated gradient × (input − baseline), sum over features"

    tolerance: float | None = None

    def __post_init__(self) -> None:
        """Refuse keywords that cannot be meant."""
        super().__post_init__()
        if self.tolerance is None:
            return
        check_number("tolerance", self.tolerance, positive=True)
        if self.method != GAUSS_LEGENDRE:
            raise ValueError(
                f"tolerance: works with method={GAUSS_LEGENDRE!r} only, "
                f"but method={self.method!r} was given."
            )

    def attribute(self, job: Job) -> BatchScores:
        """See :meth:`AttributionMethod.attribute`."""
        missed: list[tuple[float, int, Text]] = []
        scores = each_text(job, partial(self._explain, missed=missed))
        if missed:
            worst, step, text = max(missed, key=lambda entry: entry[0])
            label = text.example.target[text.example.start + step].label
            warnings.warn(
                f"tolerance: {len(missed)} steps are not within {self.tolerance:g} of the "
                f"difference in output with n_steps={self.n_steps} points; the worst, {label!r}, "
                f"is off by {worst:.3g} of it. Raise n_steps, or look at the step scores "
                "'n_steps' and 'deltas'.",
                stacklevel=4,
            )
        return scores

    def _explain(
        self, text: Text, keep: Keep, missed: list[tuple[float, int, Text]]
    ) -> dict[str, Tensor]:
        baselines = self._baselines_of(text)
        if self.tolerance is None:
            path = StraightPath(text, baselines, nodes_of(self.method, self.n_steps))
            totals = self._keep_sums(text, path, baselines, text.steps, 1.0, keep)
            if not self.return_convergence_delta:
                return {}
            return {"deltas": totals - self._differences(text, baselines)}
        differences = self._differences(text, baselines)
        needed = self._points_needed(text, baselines, differences)
        totals = torch.zeros(text.example.n_steps, dtype=text.dtype)
        for number in sorted(set(needed)):
            steps = [step for step in text.steps if needed[step] == number]
            path = StraightPath(text, baselines, nodes_of(self.method, number))
            share = number * len(steps) / sum(needed)
            totals += self._keep_sums(text, path, baselines, steps, share, keep)
        deltas = totals - differences
        off = ~self._within(deltas, differences)
        for step in off.nonzero()[:, 0].tolist():
            share_off = float(deltas[step].abs() / differences[step].abs())
            missed.append((share_off, step, text))
        return {"n_steps": torch.tensor(needed), "deltas": deltas}

    def _differences(self, text: Text, baselines: dict[Stack, Tensor]) -> Tensor:
        """Give the difference in output between the inputs and their baselines, (step,)."""
        at_baselines = text.values_at(StraightPath(text, baselines, _ENDS))[0]
        return (text.own_values() - at_baselines).to("cpu", text.dtype)

    def _within(self, deltas: Tensor, differences: Tensor) -> Tensor:
        assert self.tolerance is not None
        return deltas.abs() <= self.tolerance * differences.abs()

    def _points_needed(
        self, text: Text, baselines: dict[Stack, Tensor], differences: Tensor
    ) -> list[int]:
        """Find the number of points that brings each step within the tolerance.

        A number counts when the next larger one that is tried is within it, too: a delta can
        pass through zero by chance. Steps that not even all points bring within it are not tried
        any further.
        """
        needed = [self.n_steps] * text.example.n_steps
        *smaller, largest = numbers_to_try(self.n_steps)
        pending = sorted(self._steps_within(text, baselines, differences, text.steps, largest))
        met_before: dict[int, int] = {}
        for number in smaller:
            if not pending:
                break
            within = self._steps_within(text, baselines, differences, pending, number)
            for step in within & met_before.keys():
                needed[step] = met_before[step]
            pending = [step for step in pending if not (step in within and step in met_before)]
            met_before = dict.fromkeys(within, number)
        for step in pending:
            needed[step] = met_before.get(step, self.n_steps)
        return needed

    def _steps_within(
        self,
        text: Text,
        baselines: dict[Stack, Tensor],
        differences: Tensor,
        steps: Sequence[int],
        number: int,
    ) -> set[int]:
        """Find which of some steps so many points bring within the tolerance."""
        path = StraightPath(text, baselines, nodes_of(self.method, number))
        stop = max(steps) + 1
        integrals = _integrated_slopes(text, path, stop, self.internal_batch_size)
        within = self._within(integrals - differences[:stop], differences[:stop])
        return {step for step in steps if within[step]}


@register
@dataclass(frozen=True)
class SequentialIntegratedGradients(Integrated):
    """Sequential integrated gradients (Enguehard, 2023, section 3).

    As :class:`IntegratedGradients`, but one input at a time goes from its baseline to its
    embedding, while the others stay as they are. The scores of an input at a step sum to what
    the input's way from its baseline changes, ``f_t(x) − f_t(x with x'_i)``; the convergence
    delta of a step is the sum of what its inputs miss.
    """

    name: ClassVar[str] = "sequential_integrated_gradients"
    score_label: ClassVar[str] = (
        "integrated gradient × (input − baseline), each input alone, sum over features"
    )

    def attribute(self, job: Job) -> BatchScores:
        """See :meth:`AttributionMethod.attribute`."""
        return each_text(job, self._explain)

    def _explain(self, text: Text, keep: Keep) -> dict[str, Tensor]:
        baselines = self._baselines_of(text)
        paths = OneAtATime(text, baselines, nodes_of(self.method, self.n_steps))
        totals = self._keep_sums(text, paths, baselines, text.steps, 1.0, keep)
        if not self.return_convergence_delta:
            return {}
        differences = torch.zeros_like(totals)
        ends = OneAtATime(text, baselines, _ENDS)
        if ends.n_points:
            values = text.values_at(ends, self.internal_batch_size)
            differences = (text.own_values() - values).sum(0).to(differences)
        return {"deltas": totals - differences}


class StraightPath(Points):
    """The straight path on which all inputs move together from baseline to embedding.

    Parameters
    ----------
    text : Text
    baselines : dict of str to torch.Tensor, (position, feature)
    nodes : Nodes
    """

    def __init__(self, text: Text, baselines: dict[Stack, Tensor], nodes: Nodes) -> None:
        self.n_points = len(nodes)
        self._baselines = baselines
        self.directions: dict[Stack, Tensor] = {
            stack: own - baselines[stack] for stack, own in text.embeddings.items()
        }
        some = next(iter(baselines.values()))
        self._alphas, self.weights = some.new_tensor(nodes.alphas), some.new_tensor(nodes.weights)

    def at(self, points: slice) -> dict[Stack, Tensor]:
        """See :meth:`Points.at`."""
        alphas = self._alphas[points, None, None]
        return {
            stack: self._baselines[stack] + alphas * direction
            for stack, direction in self.directions.items()
        }

    def combine(self, stack: Stack, points: slice, gradients: Tensor) -> Tensor:
        """See :meth:`Points.combine`."""
        return torch.einsum("p,spif->sif", self.weights[points], gradients)


class OneAtATime(Points):
    """Straight paths of every input alone, the others at their embeddings.

    Inputs that are their own baseline have none.

    Parameters
    ----------
    text : Text
    baselines : dict of str to torch.Tensor, (position, feature)
    nodes : Nodes
    """

    def __init__(self, text: Text, baselines: dict[Stack, Tensor], nodes: Nodes) -> None:
        self._text = text
        self._baselines = baselines
        self._moving: list[tuple[Stack, int]] = []
        for stack, own in text.embeddings.items():
            differs = (own != baselines[stack]).any(-1)
            self._moving += [(stack, position) for position in differs.nonzero()[:, 0].tolist()]
        self._nodes = nodes
        self.n_points = len(self._moving) * len(nodes)

    def _runs(self, points: slice) -> list[tuple[Stack, int, int]]:
        """Name stack, position and node of some points."""
        numbers = range(points.start, points.stop)
        pairs = [divmod(number, len(self._nodes)) for number in numbers]
        return [(*self._moving[moving], node) for moving, node in pairs]

    def at(self, points: slice) -> dict[Stack, Tensor]:
        """See :meth:`Points.at`."""
        runs = self._runs(points)
        embeddings = {
            stack: own.repeat(len(runs), 1, 1) for stack, own in self._text.embeddings.items()
        }
        for run, (stack, position, node) in enumerate(runs):
            start = self._baselines[stack][position]
            direction = self._text.embeddings[stack][position] - start
            embeddings[stack][run, position] = start + self._nodes.alphas[node] * direction
        return embeddings

    def combine(self, stack: Stack, points: slice, gradients: Tensor) -> Tensor:
        """See :meth:`Points.combine`."""
        sums = gradients.new_zeros(gradients[:, 0].shape)
        for run, (moved, position, node) in enumerate(self._runs(points)):
            if moved == stack and position < gradients.shape[2]:
                sums[:, position] += self._nodes.weights[node] * gradients[:, run, position]
        return sums

    def first_step(self, points: slice) -> int:
        """See :meth:`Points.first_step`."""
        start = self._text.example.start
        return min(
            0 if stack == "source" else max(0, position + 1 - start)
            for stack, position, _ in self._runs(points)
        )


def _integrated_slopes(
    text: Text, path: StraightPath, stop: int, internal_batch_size: int | None
) -> Tensor:
    """Integrate the attributed function's derivative along a path, (step,), up to a step.

    This is what the scores of the same points would sum to.
    """
    integrals = torch.zeros(stop, dtype=text.dtype)
    for chunk in points_together(text, path.n_points, internal_batch_size):
        n_points = chunk.stop - chunk.start
        tangents = {
            stack: direction.expand(n_points, -1, -1)
            for stack, direction in path.directions.items()
        }
        trace = text.trace(path.at(chunk), n_steps=stop, tangents=tangents)
        assert trace.tangent is not None
        _, at_logits = value_gradients(trace, text.job)
        slopes = (at_logits * trace.tangent).sum(-1).to(text.dtype)
        integrals += (path.weights[chunk, None] * slopes).sum(0).cpu()
    return integrals
