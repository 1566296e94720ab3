"""Gradients at many points of the embeddings of a text: a pass per point serves every step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from inseq_widget.methods.base import BatchScores, Job
from inseq_widget.methods.baselines import WithBaseline
from inseq_widget.methods.chunking import ChunkSizer
from inseq_widget.methods.gradients import backward_chosen, bytes_of_a_row, head_gradients
from inseq_widget.methods.kept import FeatureScores
from inseq_widget.models import Stack, Trace
from inseq_widget.models.precision import at_least_single
from inseq_widget.models.structure import lists_of_layers

# Tokens that go forward together when the user does not say how many points do: on a processor
# few enough for its caches, on a graphics card enough to keep it busy.
_TOKENS_AT_ONCE = {"cpu": 320}
_TOKENS_AT_ONCE_ELSEWHERE = 8192
# Backward rows that go together, counting each point's.
_ROWS_AT_ONCE = {"cpu": 16}
_ROWS_AT_ONCE_ELSEWHERE = 256
# How large the sums over points may be; beyond that, steps take turns.
_SUMS_BYTES = 2**28

# Takes the finished scores of some steps of a text, by stack, (step, position, feature).
Keep = Callable[[Sequence[int], Mapping[Stack, Tensor]], None]


class Text:
    """One text of a job, to be run at other embeddings than its own.

    Parameters
    ----------
    job : Job
    number : int
        The text's place in the batch.

    Attributes
    ----------
    job : Job
    number : int
    example : Example
    embeddings : dict of str to torch.Tensor, (position, feature)
        Of the attributed stacks, padding left out, in ``dtype``.
    dtype : torch.dtype
        That scores are kept in.
    """

    def __init__(self, job: Job, number: int) -> None:
        self.job = job
        self.number = number
        self.example = job.trace.examples[number]
        widths = {"source": len(self.example.source), "target": self.example.end - 1}
        self.dtype = at_least_single(job.trace.logits[:0]).dtype
        self.embeddings: dict[Stack, Tensor] = {
            stack: job.trace.embeddings[stack][number, : widths[stack]].detach().to(self.dtype)
            for stack in job.stacks
        }

    @property
    def steps(self) -> range:
        """The steps to explain."""
        return range(self.example.n_steps)

    @property
    def width(self) -> int:
        """Positions that a run of the model goes through, those of all stacks together."""
        return len(self.example.source) + self.example.end - 1

    def trace(
        self,
        points: Mapping[Stack, Tensor],
        *,
        graph: bool = False,
        n_steps: int | None = None,
        tangents: Mapping[Stack, Tensor] | None = None,
    ) -> Trace:
        """Run the model once over several points.

        Parameters
        ----------
        points : mapping of str to torch.Tensor, each (point, position, feature)
            Embeddings in place of the text's own; they may reach beyond the steps.
        graph, n_steps, tangents
            As :meth:`inseq_widget.models.TraceableModel.trace` takes them.

        Returns
        -------
        Trace
            Its batch dimension counts points.
        """
        n_points = next(iter(points.values())).shape[0]
        return self.job.model.trace(
            [self.example] * n_points,
            graph=graph,
            n_steps=n_steps,
            embeddings=points,
            tangents=tangents,
        )

    def baselines(self, method: WithBaseline) -> dict[Stack, Tensor]:
        """Give what a method compares the embeddings with, each (position, feature)."""
        return {
            stack: method.baselines(self.job.model, [self.example], stack, len(own))[0].to(own)
            for stack, own in self.embeddings.items()
        }

    def own_values(self) -> Tensor:
        """Give the attributed function at the text's own embeddings, (step,)."""
        trace = self.job.trace
        own = slice(self.number, self.number + 1)
        values = self.job.values(trace.logits[own].detach(), trace.step_ids[own])
        return values.detach()[0, : self.example.n_steps]


class Points(ABC):
    """Points in the space of a text's embeddings, and what is made of the gradients at them.

    Attributes
    ----------
    n_points : int
    """

    n_points: int

    @abstractmethod
    def at(self, points: slice) -> dict[Stack, Tensor]:
        """Give some of the points.

        Parameters
        ----------
        points : slice

        Returns
        -------
        dict of str to torch.Tensor, each (point, position, feature)
        """

    @abstractmethod
    def combine(self, stack: Stack, points: slice, gradients: Tensor) -> Tensor:
        """Sum over points what the gradients at them contribute.

        Parameters
        ----------
        stack : {"source", "target"}
        points : slice
        gradients : torch.Tensor, (step, point, position, feature)
            May have fewer positions than the stack: those that the steps see.

        Returns
        -------
        torch.Tensor, (step, position, ...)
        """

    def first_step(self, points: slice) -> int:
        """Give the first step to which some of the points matter."""
        return 0


class Path(Points):
    """Points on a way from baselines to embeddings, whose gradients sum to scores."""

    @abstractmethod
    def ways(self, points: slice) -> dict[Stack, Tensor]:
        """Give what the gradient at some of the points is multiplied by, in the sum of all scores.

        Parameters
        ----------
        points : slice

        Returns
        -------
        dict of str to torch.Tensor, each (point, position, feature)
        """


def each_text(job: Job, explain: Callable[[Text, Keep], dict[str, Tensor]]) -> BatchScores:
    """Explain the texts of a batch one after the other: their points are batch enough.

    Parameters
    ----------
    job : Job
    explain : callable
        Hands the scores of a text's steps to what it is given, as they come, and returns what is
        reported of the steps: by name, (step,). Its job's ``advance`` counts the work on the text
        alone.

    Returns
    -------
    BatchScores
    """
    trace = job.trace
    n_batch, n_steps = trace.step_ids.shape
    dtype = at_least_single(trace.logits[:0]).dtype
    kept = FeatureScores(
        {stack: trace.embeddings[stack].shape[1] for stack in job.stacks},
        trace.examples,
        n_steps,
        trace.embeddings["target"].shape[-1],
        dtype,
        feature_bytes=job.feature_bytes,
    )
    reported: dict[str, Tensor] = {}

    def advance(share: float) -> None:
        job.advance(share / n_batch)

    for number, example in enumerate(trace.examples):
        place = slice(number, number + 1)

        def keep(
            steps: Sequence[int], scores: Mapping[Stack, Tensor], place: slice = place
        ) -> None:
            for row, step in enumerate(steps):
                for stack, by_step in scores.items():
                    at = slice(step, step + 1)
                    kept.put(stack, at, by_step[row : row + 1, None], texts=place)

        text = Text(job.of_text(number, advance), number)
        for name, values in explain(text, keep).items():
            column = reported.setdefault(name, torch.zeros(n_batch, n_steps, dtype=dtype))
            column[number, : example.n_steps] = values.to(column)
    return kept.finished(reported)


def points_together(text: Text, n_points: int, given: int | None) -> list[slice]:
    """Divide points into those that go through the model together.

    Parameters
    ----------
    text : Text
    n_points : int
    given : int or None
        How many the user wants; None for as many as run fast.

    Returns
    -------
    list of slice
    """
    at_once = at_once_of(text, given)
    return [slice(first, min(first + at_once, n_points)) for first in range(0, n_points, at_once)]


def at_once_of(text: Text, given: int | None) -> int:
    """Choose how many points go through the model together: as given, or as many as run fast."""
    tokens = _TOKENS_AT_ONCE.get(text.job.model.device.type, _TOKENS_AT_ONCE_ELSEWHERE)
    return max(1, tokens // text.width) if given is None else given


def bytes_of_a_row_of(text: Text) -> int:
    """Guess, on the large side, what one backward row of one point takes."""
    trace = text.job.trace
    return bytes_of_a_row(trace) // len(trace.examples)


def summed_over_points(
    text: Text,
    points: Points,
    steps: Sequence[int],
    internal_batch_size: int | None = None,
    share: float = 1.0,
) -> Iterator[tuple[Sequence[int], dict[Stack, Tensor]]]:
    """Sum over points what the gradients of some steps at them contribute.

    Each point goes through the model once for all steps, only as far as they see; from there
    backward rows of several points and steps go together.

    Parameters
    ----------
    text : Text
    points : Points
    steps : sequence of int
        In ascending order.
    internal_batch_size : int, optional
        How many points go together; as many as run fast by default.
    share : float
        What share of the job's work this is.

    Yields
    ------
    steps : sequence of int
        Some of the steps, in ascending order, all points done.
    sums : dict of str to torch.Tensor, each (step, position, ...)
    """
    at_once = min(at_once_of(text, internal_batch_size), max(1, points.n_points))
    sizer = ChunkSizer(text.job.model.device, at_once, bytes_of_a_graph(text))
    bytes_of_a_step = sum(own.numel() for own in text.embeddings.values()) * text.dtype.itemsize
    size = max(1, _SUMS_BYTES // max(1, bytes_of_a_step))
    for end in range(len(steps), 0, -size):
        window = steps[max(0, end - size) : end]
        sums: dict[Stack, Tensor] = {}
        first = 0
        while first < points.n_points:
            done = _add_chunk(text, points, first, window, sizer, sums)
            text.job.advance(share * done / points.n_points * len(window) / len(steps))
            first += done
        for stack, own in text.embeddings.items():
            if stack not in sums:  # nothing moves: there is no point to add
                sums[stack] = own.new_zeros(len(window), *own.shape, dtype=text.dtype)
        yield window, sums


def _add_chunk(
    text: Text,
    points: Points,
    first: int,
    window: Sequence[int],
    sizer: ChunkSizer,
    sums: dict[Stack, Tensor],
) -> int:
    """Add what the next points contribute to some steps; give how many they were."""

    def together(rows: int) -> slice:
        return slice(first, min(first + rows, points.n_points))

    def run(rows: int) -> list[_Part]:
        # Both ways at once, so that fewer points go where memory runs out on the way back.
        return _parts(text, points, together(rows), window)

    some = together(sizer.rows)
    if points.first_step(some) > window[-1]:
        skipped: int = some.stop - some.start
        return skipped
    parts, rows = sizer.run(run)
    for part in parts:
        if part.stack not in sums:
            width = text.embeddings[part.stack].shape[0]
            shape = (len(window), width, *part.sums.shape[2:])
            sums[part.stack] = part.sums.new_zeros(shape)
        end = part.place + len(part.sums)
        sums[part.stack][part.place : end, : part.sums.shape[1]] += part.sums
    return min(rows, points.n_points - first)


@dataclass(frozen=True)
class _Part:
    """What some points contribute to some steps of a window, from its ``place`` on.

    ``sums`` is (step, position, ...), of the positions that the steps see.
    """

    stack: Stack
    place: int
    sums: Tensor


def _parts(text: Text, points: Points, chunk: slice, window: Sequence[int]) -> list[_Part]:
    """Run the model at points and back."""
    job = text.job
    trace = text.trace(points.at(chunk), graph=True, n_steps=window[-1] + 1)
    reached_by = points.first_step(chunk)
    chosen = [step for step in window if step >= reached_by]
    starts, scale = head_gradients(trace, job)

    def inputs(reached: Trace) -> list[Tensor]:
        return [reached.embeddings[stack] for stack in job.stacks]

    at_once = _ROWS_AT_ONCE.get(job.model.device.type, _ROWS_AT_ONCE_ELSEWHERE)
    at_once = max(1, at_once // (chunk.stop - chunk.start))
    parts = []
    for steps, gradients, _ in backward_chosen(trace, starts, inputs, chosen, at_once):
        for stack, gradient in zip(job.stacks, gradients, strict=True):
            unscaled = gradient.to(text.dtype) * scale[:, list(steps)].movedim(1, 0)[..., None]
            sums = points.combine(stack, chunk, unscaled)
            parts.append(_Part(stack, window.index(steps[0]), sums))
    return parts


def bytes_of_a_graph(text: Text) -> int:
    """Guess, on the large side, what the graph of one point takes."""
    stacks = lists_of_layers(text.job.model.model)
    n_layers = max((len(layers) for layers in stacks), default=1)
    return bytes_of_a_row_of(text) * n_layers
