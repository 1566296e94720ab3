"""Integrated gradients at layers: pairs of layer and point go through the model side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import ClassVar

import torch
from torch import Tensor

from inseq_widget.methods.base import BatchScores, Job, register
from inseq_widget.methods.baselines import WithBaseline
from inseq_widget.methods.chunking import ChunkSizer
from inseq_widget.methods.deeplift import by_stacks, difference_to
from inseq_widget.methods.forward_points import slopes_of, without_graph
from inseq_widget.methods.gradients import backward_chosen, head_gradients
from inseq_widget.methods.keywords import check_choice, check_whole
from inseq_widget.methods.layer_paths import LayerPath, Replaced, Slot
from inseq_widget.methods.layer_scores import (
    Column,
    LayerMethod,
    LayerScores,
    LayerTrace,
    with_layers,
)
from inseq_widget.methods.points import Text, bytes_of_a_graph, points_together
from inseq_widget.methods.quadrature import GAUSS_LEGENDRE, RULES, Nodes, nodes_of
from inseq_widget.methods.tolerance import Tolerance, check_tolerance, groups_of
from inseq_widget.models import Stack, Trace, TraceableModel

# Backward rows that go together, counting those of each pair.
_ROWS_AT_ONCE = {"cpu": 16}
_ROWS_AT_ONCE_ELSEWHERE = 256

# By column: the way of a layer in each stack that it explains.
_Paths = Mapping[int, Mapping[Stack, LayerPath]]


@dataclass(frozen=True)
class _Work:
    """Some layers and steps of a text that are explained with the same number of points."""

    columns: Sequence[int]
    n_points: int
    steps: Sequence[int]
    share: float


@register
@dataclass(frozen=True, kw_only=True)
class LayerIntegratedGradients(WithBaseline, LayerMethod):
    """Integrated gradients at layers (Sundararajan, Taly and Yan, 2017, section 3).

    The score of feature *d* of position *i* at step *t* and layer *l* is ``(h_lid − h'_lid) · ∫
    ∂f_t(h' + α(h − h'))/∂h_lid dα``: as ``integrated_gradients``, on the straight path between
    what the layer gives at the baseline and at the text. What the layer gives is put in its
    place; the rest of the model runs on from there.

    Parameters
    ----------
    n_steps : int, default 50
        Number of points on the path.
    method : str, default "gausslegendre"
        Where they lie: at the nodes of Gauss and Legendre, or evenly: ``"riemann_left"``,
        ``"riemann_right"``, ``"riemann_middle"``, ``"riemann_trapezoid"``.
    internal_batch_size : int, optional
        How many pairs of layer and point go through the model together at most; by default as
        many as run fast.
    return_convergence_delta : bool, default False
        Report, as the step score ``deltas``, by how much the scores of a step, those that are
        multiplied by the difference, miss the difference in output between the text and its
        baseline. With several layers there is one for each, ``deltas_`` and the layer's name.
    tolerance : float, optional
        As for ``integrated_gradients``: use, for each step and layer, only as many points as bring
        its convergence delta within this share of the magnitude of that difference, up to
        ``n_steps``. The step scores ``n_steps`` and ``deltas`` tell how many it were and what is
        left; with several layers, ``n_steps_`` and ``deltas_`` with the layer's name.
    """

    name: ClassVar[str] = "layer_integrated_gradients"
    multiplied_label: ClassVar[str] = (
        "integrated gradient × (activation − baseline), sum over features"
    )
    alone_label: ClassVar[str] = "mean gradient along the layer's path, sum over features"
    signed: ClassVar[bool] = True
    reduction: ClassVar[str] = "sum"

    n_steps: int = 50
    method: str = GAUSS_LEGENDRE
    internal_batch_size: int | None = None
    return_convergence_delta: bool = False
    tolerance: float | None = None

    def __post_init__(self) -> None:
        """Refuse keywords that cannot be meant."""
        super().__post_init__()
        check_choice("method", self.method, RULES)
        check_whole("n_steps", self.n_steps, 2 if self.method == "riemann_trapezoid" else 1)
        if self.internal_batch_size is not None:
            check_whole("internal_batch_size", self.internal_batch_size, 1)
        check_tolerance(self.tolerance, self.method, only=GAUSS_LEGENDRE)

    def check(self, model: TraceableModel) -> None:
        """See :meth:`AttributionMethod.check`."""
        WithBaseline.check(self, model)
        LayerMethod.check(self, model)

    def attribute(self, job: Job) -> BatchScores:
        """See :meth:`AttributionMethod.attribute`."""
        trace = job.trace
        assert isinstance(trace, LayerTrace)
        columns = self.columns(trace.layers, job)
        scores = LayerScores(
            job,
            columns,
            trace.layers[0].n_features,
            several=self.gives_several,
            multiplied=self.multiply_by_inputs,
        )
        tolerance = None if self.tolerance is None else Tolerance(self.tolerance, self.n_steps)
        differences = torch.zeros(len(columns), *trace.step_ids.shape, dtype=scores.dtype)
        n_points = torch.zeros(differences.shape, dtype=torch.long)
        for stacks, numbers in by_stacks(columns).items():
            baseline = self._baseline(job, stacks)
            differences[numbers] = difference_to(baseline, job).to(differences)
            share = len(numbers) / len(columns) / len(trace.examples)
            for number, example in enumerate(trace.examples):
                text = Text(job.of_text(number, job.advance), number)
                paths = {column: self._path(text, baseline, columns[column]) for column in numbers}
                wanted = differences[numbers[0], number, : example.n_steps]
                for work in self._work(text, paths, wanted, tolerance, share):
                    self._explain(text, paths, work, scores)
                    for column in work.columns:
                        n_points[column, number, list(work.steps)] = work.n_points
        if tolerance is None:
            return scores.finished(differences if self.return_convergence_delta else None)
        finished = scores.finished(differences, n_points)
        deltas = [v for name, v in finished.step_scores.items() if name.startswith("deltas")]
        for column, own in enumerate(deltas):
            for number, example in enumerate(trace.examples):
                steps = slice(example.n_steps)
                tolerance.note(example, own[number, steps], differences[column, number, steps])
        tolerance.warn(stacklevel=4)
        return finished

    def _baseline(self, job: Job, stacks: Sequence[Stack]) -> LayerTrace:
        assert isinstance(job.trace, LayerTrace)
        recorder = self.recorder(job.trace.layers)
        baselines = self.baselines_of(job.model, job.trace, stacks)
        run = job.model.trace(job.trace.examples, embeddings=baselines, around=recorder)
        return with_layers(run, job.trace.layers, recorder)

    def _work(
        self,
        text: Text,
        paths: _Paths,
        difference: Tensor,
        tolerance: Tolerance | None,
        share: float,
    ) -> list[_Work]:
        """Divide a text into layers and steps that take the same number of points."""
        if tolerance is None:
            return [_Work(list(paths), self.n_steps, text.steps, share)]
        parts = []
        for column in paths:
            sums = partial(self._sum, text, {column: paths[column]}, column)
            needed = tolerance.points_needed(difference, sums)
            parts += [([column], number, steps) for number, steps in groups_of(needed).items()]
        whole = sum(number * len(steps) for _, number, steps in parts)
        return [
            _Work(columns, number, steps, share * number * len(steps) / whole)
            for columns, number, steps in parts
        ]

    def _sum(self, text: Text, paths: _Paths, column: int, n_points: int, n_steps: int) -> Tensor:
        """Give what the scores of a layer would sum to, from slopes along its path, (step,)."""
        nodes = nodes_of(self.method, n_points)
        pairs = [(column, point) for point in range(n_points)]

        def weighted(chunk: slice) -> Tensor:
            some = pairs[chunk]
            replaced = Replaced(paths, some, nodes, self.attribute_to_layer_input, moving=True)
            trace = text.job.model.trace(
                [text.example] * len(some), n_steps=n_steps, tangents={}, around=replaced
            )
            slopes = slopes_of(trace, text.job)
            return slopes.new_tensor(nodes.weights[chunk]) @ slopes

        total = torch.zeros(n_steps, dtype=text.dtype)
        for some in without_graph(text, n_points, self.internal_batch_size, weighted):
            total += some.cpu()
        return total

    def _explain(self, text: Text, paths: _Paths, work: _Work, scores: LayerScores) -> None:
        """Keep the scores of some steps of a text at layers that explain the same stacks."""
        nodes = nodes_of(self.method, work.n_points)
        pairs = [(number, point) for number in work.columns for point in range(len(nodes))]
        sums: dict[tuple[int, Stack], Tensor] = {}
        for chunk in points_together(text, len(pairs), self.internal_batch_size):
            together = pairs[chunk]
            for part in self._parts(text, paths, together, nodes, work.steps, scores.dtype):
                _add(paths, part, text.example.n_steps, sums)
            text.job.advance(work.share * len(together) / len(pairs))
            unfinished = {number for number, _ in pairs[chunk.stop :]}
            for number, stack in [key for key in sums if key[0] not in unfinished]:
                finished = sums.pop((number, stack))[:, None]
                difference = paths[number][stack].difference[None].to(scores.dtype)
                for steps in _runs(work.steps):
                    place = slice(text.number, text.number + 1)
                    scores.put(number, stack, steps, finished[steps], difference, place)

    def _path(self, text: Text, baseline: LayerTrace, column: Column) -> dict[Stack, LayerPath]:
        trace = text.job.trace
        assert isinstance(trace, LayerTrace)
        calls = [call for layer in trace.layers for call in layer.calls.values()]
        widths = {"source": len(text.example.source), "target": text.example.end - 1}
        paths = {}
        for stack, place in column.places.items():
            own, other = (
                run.activations[place][text.number, : widths[stack]].detach()
                for run in (trace, baseline)
            )
            paths[stack] = LayerPath(calls[place], other, own - other)
        return paths

    def _parts(
        self,
        text: Text,
        paths: _Paths,
        pairs: Sequence[tuple[int, int]],
        nodes: Nodes,
        steps: Sequence[int],
        dtype: torch.dtype,
    ) -> Iterator[_Part]:
        """Run the model at pairs of layer and point and back; in turns where memory runs out."""
        job = text.job
        sizer = ChunkSizer(job.model.device, len(pairs), bytes_of_a_graph(text))
        first = 0
        while first < len(pairs):

            def run(rows: int, first: int = first) -> list[_Part]:
                some = pairs[first : first + rows]
                replaced = Replaced(paths, some, nodes, self.attribute_to_layer_input)
                traced = job.model.trace(
                    [text.example] * len(some), graph=True, n_steps=steps[-1] + 1, around=replaced
                )
                trace = with_layers(traced, [], replaced)
                return list(_contributions(job, trace, replaced.slots, steps, dtype))

            parts, rows = sizer.run(run)
            first += rows
            yield from parts


@dataclass(frozen=True)
class _Part:
    """What the pairs of a layer contribute to the integrals of some steps.

    ``sums`` is (step, position, feature), of the positions that the steps see.
    """

    column: int
    stack: Stack
    steps: Sequence[int]
    sums: Tensor


def _contributions(
    job: Job, trace: Trace, slots: Sequence[Slot], chosen: Sequence[int], dtype: torch.dtype
) -> Iterator[_Part]:
    """Weigh the gradients at pairs, and sum them over the points of each layer."""
    n_pairs = len(trace.step_ids)
    starts, scale = head_gradients(trace, job)

    def inputs(reached: Trace) -> list[Tensor]:
        return reached.activations

    at_once = _ROWS_AT_ONCE.get(starts.device.type, _ROWS_AT_ONCE_ELSEWHERE)
    at_once = max(1, at_once // n_pairs)
    for steps, gradients, _ in backward_chosen(trace, starts, inputs, chosen, at_once):
        for slot, gradient in zip(slots, gradients, strict=True):
            unscaled = scale[slot.rows, list(steps)].movedim(1, 0)[..., None].to(gradient.device)
            sums = torch.einsum(
                "spif,p->sif",
                gradient.to(dtype) * unscaled,
                slot.weights.to(gradient.device, dtype),
            )
            yield _Part(slot.column, slot.stack, steps, sums)


def _add(
    paths: _Paths,
    part: _Part,
    n_steps: int,
    sums: dict[tuple[int, Stack], Tensor],
) -> None:
    """Add what some pairs contribute."""
    key = (part.column, part.stack)
    if key not in sums:
        shape = paths[part.column][part.stack].difference.shape
        sums[key] = part.sums.new_zeros(n_steps, *shape)
    sums[key][list(part.steps), : part.sums.shape[1]] += part.sums


def _runs(steps: Sequence[int]) -> Iterator[slice]:
    """Divide steps into those that follow each other."""
    for _, members in groupby(enumerate(steps), lambda pair: pair[1] - pair[0]):
        together = [step for _, step in members]
        yield slice(together[0], together[-1] + 1)
