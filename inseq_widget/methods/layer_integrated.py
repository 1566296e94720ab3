"""Integrated gradients at layers: pairs of layer and point go through the model side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from inseq_widget.methods.base import BatchScores, Job, register
from inseq_widget.methods.baselines import WithBaseline
from inseq_widget.methods.chunking import ChunkSizer
from inseq_widget.methods.deeplift import baselines_of, by_stacks, difference_to
from inseq_widget.methods.gradients import backward_rows, bytes_of_a_row, head_gradients
from inseq_widget.methods.keywords import check_choice, check_whole
from inseq_widget.methods.layer_scores import (
    Column,
    LayerMethod,
    LayerScores,
    LayerTrace,
    with_layers,
)
from inseq_widget.methods.points import Text, points_together
from inseq_widget.methods.quadrature import GAUSS_LEGENDRE, RULES, Nodes, nodes_of
from inseq_widget.models import Stack, Trace, TraceableModel
from inseq_widget.models.activations import Call, visiting

# Backward rows that go together, counting those of each pair.
_ROWS_AT_ONCE = {"cpu": 16}
_ROWS_AT_ONCE_ELSEWHERE = 256
_FORWARD_LAYERS = 4  # a graph holds about as many times what a backward row needs


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
        Report, as the step score ``deltas``, by how much the scores of a step miss the
        difference in output between the text and its baseline. With several layers there is one
        for each, ``deltas_`` and the layer's name.
    """

    name: ClassVar[str] = "layer_integrated_gradients"
    score_label: ClassVar[str] = "integrated gradient × (activation − baseline), sum over features"
    signed: ClassVar[bool] = True
    reduction: ClassVar[str] = "sum"

    n_steps: int = 50
    method: str = GAUSS_LEGENDRE
    internal_batch_size: int | None = None
    return_convergence_delta: bool = False

    def __post_init__(self) -> None:
        """Refuse keywords that cannot be meant."""
        super().__post_init__()
        check_choice("method", self.method, RULES)
        check_whole("n_steps", self.n_steps, 2 if self.method == "riemann_trapezoid" else 1)
        if self.internal_batch_size is not None:
            check_whole("internal_batch_size", self.internal_batch_size, 1)

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
        differences: dict[int, Tensor] = {}
        for stacks, numbers in by_stacks(columns).items():
            chosen = {number: columns[number] for number in numbers}
            baseline = self._baseline(job, stacks)
            differences.update(dict.fromkeys(numbers, difference_to(baseline, job)))
            share = len(numbers) / len(columns) / len(trace.examples)
            for text in range(len(trace.examples)):
                alone = job.of_text(text, job.advance)
                self._explain(Text(alone, text), baseline, chosen, scores, share)
        if not self.return_convergence_delta:
            return scores.finished()
        return scores.finished([differences[number] for number in range(len(columns))])

    def _baseline(self, job: Job, stacks: Sequence[Stack]) -> LayerTrace:
        assert isinstance(job.trace, LayerTrace)
        recorder = self.recorder(job.trace.layers)
        run = job.model.trace(
            job.trace.examples, embeddings=baselines_of(self, job, stacks), around=recorder
        )
        return with_layers(run, job.trace.layers, recorder)

    def _explain(
        self,
        text: Text,
        baseline: LayerTrace,
        columns: Mapping[int, Column],
        scores: LayerScores,
        share: float,
    ) -> None:
        """Keep the scores of one text at layers that explain the same stacks."""
        nodes = nodes_of(self.method, self.n_steps)
        paths = {number: self._path(text, baseline, column) for number, column in columns.items()}
        pairs = [(number, point) for number in columns for point in range(len(nodes))]
        sums: dict[tuple[int, Stack], Tensor] = {}
        for chunk in points_together(text, len(pairs), self.internal_batch_size):
            together = pairs[chunk]
            for part in self._parts(text, paths, together, nodes, scores.dtype):
                _add(paths, part, text.example.n_steps, sums)
            text.job.advance(share * len(together) / len(pairs))
            unfinished = {number for number, _ in pairs[chunk.stop :]}
            for number, stack in [key for key in sums if key[0] not in unfinished]:
                difference = paths[number][stack].difference[None].to(scores.dtype)
                scores.put(
                    number,
                    stack,
                    slice(0, text.example.n_steps),
                    sums.pop((number, stack))[:, None],
                    difference,
                    slice(text.number, text.number + 1),
                )

    def _path(self, text: Text, baseline: LayerTrace, column: Column) -> dict[Stack, _Path]:
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
            paths[stack] = _Path(calls[place], other, own - other)
        return paths

    def _parts(
        self,
        text: Text,
        paths: Mapping[int, Mapping[Stack, _Path]],
        pairs: Sequence[tuple[int, int]],
        nodes: Nodes,
        dtype: torch.dtype,
    ) -> Iterator[_Part]:
        """Run the model at pairs of layer and point and back; in turns where memory runs out."""
        job = text.job
        at_most = _FORWARD_LAYERS * bytes_of_a_row(job.trace)
        sizer = ChunkSizer(job.model.device, len(pairs), at_most)
        first = 0
        while first < len(pairs):

            def run(rows: int, first: int = first) -> list[_Part]:
                some = pairs[first : first + rows]
                replaced = _Replaced(paths, some, nodes, self.attribute_to_layer_input)
                traced = job.model.trace([text.example] * len(some), graph=True, around=replaced)
                trace = with_layers(traced, [], replaced)
                return list(_contributions(job, trace, replaced.slots, dtype))

            parts, rows = sizer.run(run)
            first += rows
            yield from parts


@dataclass(frozen=True)
class _Path:
    """The straight path between what a layer gives at the baseline and at the text.

    ``baseline`` and ``difference`` are (position, feature).
    """

    call: Call
    baseline: Tensor
    difference: Tensor


@dataclass(frozen=True)
class _Slot:
    """Where in a batch of pairs the points of one layer are."""

    column: int
    stack: Stack
    rows: slice
    weights: Tensor


@dataclass(frozen=True)
class _Part:
    """What the pairs of a layer contribute to the integrals of some steps.

    ``sums`` is (step, position, feature), of the positions that the steps see.
    """

    column: int
    stack: Stack
    steps: slice
    sums: Tensor


class _Replaced:
    """Puts points on the paths of layers in the place of what they give.

    Each row of the batch is a pair of layer and point, those of a layer behind each other.
    """

    def __init__(
        self,
        paths: Mapping[int, Mapping[Stack, _Path]],
        pairs: Sequence[tuple[int, int]],
        nodes: Nodes,
        at_input: bool,
    ) -> None:
        self._at_input = at_input
        self.slots: list[_Slot] = []
        self._points: dict[Call, list[tuple[int, slice, Tensor]]] = {}
        for column in dict.fromkeys(column for column, _ in pairs):
            rows = [row for row, pair in enumerate(pairs) if pair[0] == column]
            place = slice(rows[0], rows[-1] + 1)
            chosen = [pairs[row][1] for row in rows]
            for stack, path in paths[column].items():
                alphas, weights = (
                    path.baseline.new_tensor([values[point] for point in chosen])
                    for values in (nodes.alphas, nodes.weights)
                )
                points = path.baseline + alphas[:, None, None] * path.difference
                entry = (len(self.slots), place, points)
                self._points.setdefault(path.call, []).append(entry)
                self.slots.append(_Slot(column, stack, place, weights))
        self._leaves: dict[int, Tensor] = {}

    def __call__(self) -> AbstractContextManager[None]:
        """Make a context in which one run is led through the points."""
        leaves: dict[int, Tensor] = {}
        self._leaves = leaves

        def put(module: nn.Module, number: int, tensor: Tensor) -> Tensor | None:
            for slot, rows, points in self._points.get(Call(module, number), []):
                # What came before the first point has no part in any gradient.
                others = tensor if leaves else tensor.detach()
                leaf = points[:, : tensor.shape[1]].detach().requires_grad_()
                leaves[slot] = leaf
                parts = [others[: rows.start], leaf.to(tensor), others[rows.stop :]]
                tensor = torch.cat(parts)
            return tensor

        modules = [call.module for call in self._points]
        return visiting(modules, self._at_input, put)

    @property
    def activations(self) -> list[Tensor]:
        """The points of the latest run, (point, position, feature), in the order of the slots."""
        return [self._leaves[slot] for slot in range(len(self.slots))]


def _contributions(
    job: Job, trace: Trace, slots: Sequence[_Slot], dtype: torch.dtype
) -> Iterator[_Part]:
    """Weigh the gradients at pairs, and sum them over the points of each layer."""
    n_pairs = len(trace.step_ids)
    starts, scale = head_gradients(trace, job)

    def inputs(reached: Trace) -> list[Tensor]:
        return reached.activations

    at_once = _ROWS_AT_ONCE.get(starts.device.type, _ROWS_AT_ONCE_ELSEWHERE)
    for steps, gradients, _ in backward_rows(trace, starts, inputs, max(1, at_once // n_pairs)):
        for slot, gradient in zip(slots, gradients, strict=True):
            unscaled = scale[slot.rows, steps].movedim(1, 0)[..., None].to(gradient.device)
            sums = torch.einsum(
                "spif,p->sif",
                gradient.to(dtype) * unscaled,
                slot.weights.to(gradient.device, dtype),
            )
            yield _Part(slot.column, slot.stack, steps, sums)


def _add(
    paths: Mapping[int, Mapping[Stack, _Path]],
    part: _Part,
    n_steps: int,
    sums: dict[tuple[int, Stack], Tensor],
) -> None:
    """Add what some pairs contribute."""
    key = (part.column, part.stack)
    if key not in sums:
        shape = paths[part.column][part.stack].difference.shape
        sums[key] = part.sums.new_zeros(n_steps, *shape)
    sums[key][part.steps, : part.sums.shape[1]] += part.sums
