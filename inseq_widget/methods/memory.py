"""Tells errors that say that memory ran out, and goes on with less."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

T = TypeVar("T")

# What torch says of a processor's memory, in errors that have no class of their own.
_MESSAGES = ("allocate memory", "not enough memory", "out of memory")
# What may be an error about memory.
ERRORS = (torch.OutOfMemoryError, RuntimeError, MemoryError)


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that memory ran out.

    Parameters
    ----------
    error : BaseException

    Returns
    -------
    bool
    """
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(said in str(error) for said in _MESSAGES)


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
