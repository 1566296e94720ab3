"""How many rows a chunk has: as many as run fast and as memory holds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import psutil
import torch

from inseq_widget.methods.free_memory import free_bytes
from inseq_widget.models.out_of_memory import ERRORS, is_out_of_memory

T = TypeVar("T")

# Rows from which a wider chunk gained no speed, by device type. A processor's caches are small;
# a graphics card is not busy before.
_FAST_ROWS = {"cpu": 10}
_FAST_ROWS_ELSEWHERE = 64
# How much of the free memory a chunk may take.
_SHARE = 0.5
# Below this share of the free memory, a chunk is too small to be worth measuring.
_SMALL_SHARE = 0.1
_FIRST_ROWS = 4


class ChunkSizer:
    """Chooses the number of rows of each chunk from what the first one cost.

    Parameters
    ----------
    device : torch.device
        Where the chunks run.
    n_rows : int
        How many rows there are in all.
    at_most : int
        A generous guess of the bytes that a row takes. Where a whole chunk of them is small
        beside the free memory nothing is measured; else the first chunk is small, and measured.
    """

    def __init__(self, device: torch.device, n_rows: int, at_most: int) -> None:
        self._device = device
        self._at_most = at_most
        self._limit = min(_FAST_ROWS.get(device.type, _FAST_ROWS_ELSEWHERE), n_rows)
        self._small = at_most * self._limit < _free_bytes(device) * _SMALL_SHARE
        self._bytes_per_row: float | None = None

    @property
    def rows(self) -> int:
        """Rows of the next chunk."""
        if self._small:
            return self._limit
        if self._bytes_per_row is None:
            return min(self._limit, _FIRST_ROWS)
        fitting = int(_free_bytes(self._device) * _SHARE / max(self._bytes_per_row, 1.0))
        return max(1, min(self._limit, fitting))

    def run(self, chunk: Callable[[int], T]) -> tuple[T, int]:
        """Run one chunk; where memory runs out, halve it and try again.

        Parameters
        ----------
        chunk : callable
            Runs the number of rows that it is given.

        Returns
        -------
        result : object
            What ``chunk`` returned.
        rows : int
            How many rows it ran.

        Raises
        ------
        torch.OutOfMemoryError
            When a single row does not fit.
        """
        rows = self.rows
        while True:
            measured = not self._small and self._bytes_per_row is None
            before = _start_measuring(self._device) if measured else _Level(0, 0)
            try:
                result = chunk(rows)
            except ERRORS as error:
                if not is_out_of_memory(error) or rows == 1:
                    raise
                rows //= 2
                self._limit = rows
            else:
                if measured:
                    grown = _grown_since(self._device, before)
                    # Below an earlier peak all that is known is that the rows fitted there.
                    guess = min(self._at_most * rows, max(0, before.peak - before.taken))
                    self._bytes_per_row = (guess if grown is None else grown) / rows
                return result, rows
            if self._device.type == "cuda":
                torch.cuda.empty_cache()


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        reserved = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(free + reserved)
    return free_bytes()


@dataclass(frozen=True)
class _Level:
    """How much memory was taken when a chunk began, and at most before that."""

    taken: int
    peak: int


def _start_measuring(device: torch.device) -> _Level:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        taken = int(torch.cuda.memory_allocated(device))
        return _Level(taken, taken)
    return _Level(int(psutil.Process().memory_info().rss), _peak_bytes())


def _grown_since(device: torch.device, before: _Level) -> int | None:
    """Give how far memory rose at its peak; None where a processor's stayed below an old one."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device)) - before.taken
    peak = _peak_bytes()
    return peak - before.taken if peak > before.peak else None


def _peak_bytes() -> int:
    """Give the largest resident memory that this process ever had."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
