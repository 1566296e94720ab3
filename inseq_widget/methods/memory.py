"""Goes on with half of a batch where memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

from inseq_widget.models.out_of_memory import ERRORS, is_out_of_memory

T = TypeVar("T")


def in_halves(
    batch: Sequence[int], run: Callable[[Sequence[int]], T]
) -> Iterator[tuple[Sequence[int], T]]:
    """Run a batch; where memory runs out, run its halves, down to single texts.

    Parameters
    ----------
    batch : sequence of int
        Numbers of texts.
    run : callable
        Runs the texts that it is given together.

    Yields
    ------
    batch : sequence of int
        The texts that ran together.
    result : object

    Raises
    ------
    torch.OutOfMemoryError, RuntimeError, MemoryError
        When a single text does not fit.
    """
    try:
        result = run(batch)
    except ERRORS as error:
        if not is_out_of_memory(error) or len(batch) == 1:
            raise
    else:
        yield batch, result
        return
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    middle = len(batch) // 2
    yield from in_halves(batch[:middle], run)
    yield from in_halves(batch[middle:], run)
