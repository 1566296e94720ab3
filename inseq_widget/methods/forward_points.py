"""The attributed function at many points of a text, and along ways through them: no graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from inseq_widget.methods.base import Job
from inseq_widget.methods.chunking import ChunkSizer
from inseq_widget.methods.gradients import value_gradients
from inseq_widget.methods.points import Path, Points, Text, at_once_of, bytes_of_a_row_of
from inseq_widget.models import Trace
from inseq_widget.models.precision import at_least_single


def values_at(text: Text, points: Points, internal_batch_size: int | None = None) -> Tensor:
    """Give the attributed function at points.

    Parameters
    ----------
    text : Text
    points : Points
    internal_batch_size : int, optional
        How many points go together.

    Returns
    -------
    torch.Tensor, (point, step)
    """

    def values(chunk: slice) -> Tensor:
        trace = text.trace(points.at(chunk))
        return text.job.values(trace.logits.detach(), trace.step_ids).detach()

    return torch.cat(list(without_graph(text, points.n_points, internal_batch_size, values)))


def sums_along(
    text: Text, path: Path, n_steps: int, internal_batch_size: int | None = None
) -> Tensor:
    """Give what the scores of a path would sum to, from derivatives along it.

    One run of a point in forward mode serves all steps, and no gradient is taken.

    Parameters
    ----------
    text : Text
    path : Path
    n_steps : int
        How many of the text's steps, from the first one on.
    internal_batch_size : int, optional
        How many points go together.

    Returns
    -------
    torch.Tensor, (step,)
    """

    def slopes(chunk: slice) -> Tensor:
        trace = text.trace(path.at(chunk), n_steps=n_steps, tangents=path.ways(chunk))
        return slopes_of(trace, text.job).sum(0).cpu()

    total = torch.zeros(n_steps, dtype=text.dtype)
    for some in without_graph(text, path.n_points, internal_batch_size, slopes):
        total += some
    return total


def without_graph(
    text: Text, n_points: int, given: int | None, run: Callable[[slice], Tensor]
) -> Iterator[Tensor]:
    """Run points without a graph; fewer together where memory runs out.

    Parameters
    ----------
    text : Text
    n_points : int
    given : int or None
        How many go together at most; None for as many as run fast.
    run : callable
        Runs some of the points.

    Yields
    ------
    torch.Tensor
        What it gave, from the first points to the last.
    """
    at_once = min(at_once_of(text, given), max(1, n_points))
    # Twice a row: where points have directions, the logits have, too.
    sizer = ChunkSizer(text.job.model.device, at_once, 2 * bytes_of_a_row_of(text))
    first = 0
    while first < n_points:

        def chunk(rows: int, first: int = first) -> Tensor:
            return run(slice(first, min(first + rows, n_points)))

        result, rows = sizer.run(chunk)
        yield result
        first += rows


def slopes_of(trace: Trace, job: Job) -> Tensor:
    """Give how the attributed function follows the direction of a trace, (row, step)."""
    assert trace.tangent is not None
    _, at_logits = value_gradients(trace, job)
    return at_least_single((at_logits * trace.tangent).sum(-1))
