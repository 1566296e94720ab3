"""Gradients integrated along straight paths from inputs that say nothing to the real ones."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from inseq_widget.methods.base import AttributionMethod, BatchScores, Job, register
from inseq_widget.methods.baselines import WithBaseline
from inseq_widget.methods.forward_points import sums_along, values_at
from inseq_widget.methods.keywords import check_choice, check_whole
from inseq_widget.methods.multiplied import Multiplied
from inseq_widget.methods.points import (
    Keep,
    Path,
    Points,
    Text,
    each_text,
    summed_over_points,
)
from inseq_widget.methods.quadrature import GAUSS_LEGENDRE, RULES, Nodes, nodes_of
from inseq_widget.methods.tolerance import Tolerance, check_tolerance, groups_of, reported
from inseq_widget.models import Stack

_ENDS = Nodes((0.0,), (1.0,))  # the baseline alone


@dataclass(frozen=True)
class Integrated(Multiplied, WithBaseline, AttributionMethod):
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
        should sum to: always those that are multiplied by the difference.
    multiply_by_inputs : bool, default True
        Multiply the mean gradient by the difference between input and baseline.
    tolerance : float, optional
        Use, for each step, only as many points as bring its convergence delta within this share
        of the magnitude of what the scores should sum to, up to ``n_steps``. The step scores
        ``n_steps`` and ``deltas`` tell how many it were and what is left. How far off a number of
        points would be is known from the derivative along the path before any gradient is taken.
    """

    reduction: ClassVar[str] = "sum"
    signed: ClassVar[bool] = True
    takes_gradients: ClassVar[bool] = True

    n_steps: int = 50
    method: str = GAUSS_LEGENDRE
    internal_batch_size: int | None = None
    return_convergence_delta: bool = False
    multiply_by_inputs: bool = True
    tolerance: float | None = None

    def __post_init__(self) -> None:
        """Refuse keywords that cannot be meant."""
        check_choice("method", self.method, RULES)
        check_whole("n_steps", self.n_steps, 2 if self.method == "riemann_trapezoid" else 1)
        if self.internal_batch_size is not None:
            check_whole("internal_batch_size", self.internal_batch_size, 1)
        check_tolerance(self.tolerance, self.method, only=GAUSS_LEGENDRE)

    @abstractmethod
    def _path(self, text: Text, baselines: dict[Stack, Tensor], nodes: Nodes) -> Path:
        """Give the points whose gradients are the scores."""

    @abstractmethod
    def _differences(self, text: Text, baselines: dict[Stack, Tensor]) -> Tensor:
        """Give what the scores should sum to, (step,)."""

    def attribute(self, job: Job) -> BatchScores:
        """See :meth:`AttributionMethod.attribute`."""
        if self.tolerance is None:
            return each_text(job, self._explain)
        tolerance = Tolerance(self.tolerance, self.n_steps)
        scores = each_text(job, partial(self._explain_within, tolerance=tolerance))
        tolerance.warn(stacklevel=4)
        return scores

    def _explain(self, text: Text, keep: Keep) -> dict[str, Tensor]:
        baselines = text.baselines(self)
        path = self._path(text, baselines, nodes_of(self.method, self.n_steps))
        totals = self._keep_sums(text, path, baselines, text.steps, 1.0, keep)
        if not self.return_convergence_delta:
            return {}
        return {"deltas": totals - self._differences(text, baselines)}

    def _explain_within(self, text: Text, keep: Keep, tolerance: Tolerance) -> dict[str, Tensor]:
        """Keep scores of as many points as each step needs."""
        baselines = text.baselines(self)

        def path_of(number: int) -> Path:
            return self._path(text, baselines, nodes_of(self.method, number))

        def sums(number: int, n_steps: int) -> Tensor:
            return sums_along(text, path_of(number), n_steps, self.internal_batch_size)

        differences = self._differences(text, baselines)
        needed = tolerance.points_needed(differences, sums)
        totals = torch.zeros(text.example.n_steps, dtype=text.dtype)
        for number, steps in groups_of(needed).items():
            share = number * len(steps) / sum(needed)
            totals += self._keep_sums(text, path_of(number), baselines, steps, share, keep)
        tolerance.note(text.example, totals - differences, differences)
        return reported(needed, totals - differences)

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
    """

    name: ClassVar[str] = "integrated_gradients"
    multiplied_label: ClassVar[str] = "integrated gradient × (input − baseline), sum over features"
    alone_label: ClassVar[str] = "mean gradient along the path, sum over features"

    def _path(self, text: Text, baselines: dict[Stack, Tensor], nodes: Nodes) -> Path:
        return StraightPath(text, baselines, nodes)

    def _differences(self, text: Text, baselines: dict[Stack, Tensor]) -> Tensor:
        at_baselines = values_at(text, StraightPath(text, baselines, _ENDS))[0]
        return (text.own_values() - at_baselines).to("cpu", text.dtype)


@register
@dataclass(frozen=True)
class SequentialIntegratedGradients(Integrated):
    """Sequential integrated gradients (Enguehard, 2023, section 3).

    As :class:`IntegratedGradients`, but one input at a time goes from its baseline to its
    embedding, while the others stay as they are. The scores of an input at a step sum to what
    the input's way from its baseline changes, ``f_t(x) − f_t(x with x'_i)``; the convergence
    delta of a step is the sum of what its inputs miss, and with a ``tolerance`` all inputs have
    the same number of points at a step.
    """

    name: ClassVar[str] = "sequential_integrated_gradients"
    multiplied_label: ClassVar[str] = (
        "integrated gradient × (input − baseline), each input alone, sum over features"
    )
    alone_label: ClassVar[str] = "mean gradient along the path, each input alone, sum over features"

    def _path(self, text: Text, baselines: dict[Stack, Tensor], nodes: Nodes) -> Path:
        return OneAtATime(text, baselines, nodes, resting=not self.multiply_by_inputs)

    def _differences(self, text: Text, baselines: dict[Stack, Tensor]) -> Tensor:
        ends = OneAtATime(text, baselines, _ENDS)
        if not ends.n_points:
            return torch.zeros(text.example.n_steps, dtype=text.dtype)
        values = values_at(text, ends, self.internal_batch_size)
        return (text.own_values() - values).sum(0).to("cpu", text.dtype)


class StraightPath(Path):
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
        self._directions: dict[Stack, Tensor] = {
            stack: own - baselines[stack] for stack, own in text.embeddings.items()
        }
        some = next(iter(baselines.values()))
        self._alphas, self._weights = some.new_tensor(nodes.alphas), some.new_tensor(nodes.weights)

    def at(self, points: slice) -> dict[Stack, Tensor]:
        """See :meth:`Points.at`."""
        alphas = self._alphas[points, None, None]
        return {
            stack: self._baselines[stack] + alphas * direction
            for stack, direction in self._directions.items()
        }

    def combine(self, stack: Stack, points: slice, gradients: Tensor) -> Tensor:
        """See :meth:`Points.combine`."""
        return torch.einsum("p,spif->sif", self._weights[points], gradients)

    def ways(self, points: slice) -> dict[Stack, Tensor]:
        """See :meth:`Path.ways`."""
        weights = self._weights[points, None, None]
        return {stack: weights * direction for stack, direction in self._directions.items()}


class OneAtATime(Path):
    """Straight paths of every input alone, the others at their embeddings.

    Parameters
    ----------
    text : Text
    baselines : dict of str to torch.Tensor, (position, feature)
    nodes : Nodes
    resting : bool, default False
        Whether inputs that are their own baseline, which have no way to go, have points, too:
        the mean of their gradients is not 0, only its product with their way is.
    """

    def __init__(
        self,
        text: Text,
        baselines: dict[Stack, Tensor],
        nodes: Nodes,
        *,
        resting: bool = False,
    ) -> None:
        self._text = text
        self._baselines = baselines
        self._moving: list[tuple[Stack, int]] = []
        for stack, own in text.embeddings.items():
            differs = (own != baselines[stack]).any(-1) | resting
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

    def ways(self, points: slice) -> dict[Stack, Tensor]:
        """See :meth:`Path.ways`."""
        runs = self._runs(points)
        ways = {
            stack: own.new_zeros(len(runs), *own.shape)
            for stack, own in self._text.embeddings.items()
        }
        for run, (stack, position, node) in enumerate(runs):
            direction = self._text.embeddings[stack][position] - self._baselines[stack][position]
            ways[stack][run, position] = self._nodes.weights[node] * direction
        return ways

    def first_step(self, points: slice) -> int:
        """See :meth:`Points.first_step`."""
        start = self._text.example.start
        return min(
            0 if stack == "source" else max(0, position + 1 - start)
            for stack, position, _ in self._runs(points)
        )
