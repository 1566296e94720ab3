"""What was measured of the two sides, and how it compares."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Generic, TypeVar

import numpy as np
from cases import Case
from messages import Loaded, Memory

Value = TypeVar("Value")


@dataclass(frozen=True)
class Sides(Generic[Value]):
    """The same thing of both sides."""

    peer: Value
    own: Value


@dataclass(frozen=True)
class PairedSeconds:
    """Seconds of the two sides, taken in turns.

    Attributes
    ----------
    peer, own : list of float, (round,)
    """

    peer: list[float]
    own: list[float]

    def ratios(self) -> list[float]:
        """Return how many times faster the own side was, round by round."""
        return [peer / own for peer, own in zip(self.peer, self.own, strict=True)]

    def times_faster(self) -> float:
        """Return the median of the ratios: what else the machine did hits both of a pair alike."""
        return median(self.ratios())


@dataclass(frozen=True)
class Measurement:
    """What was measured of one case.

    Attributes
    ----------
    case : Case
    seconds : PairedSeconds
    difference : float
        See `largest_difference`.
    memory : Sides of Memory
        After the first run of the method.
    loaded : Sides of Loaded
    """

    case: Case
    seconds: PairedSeconds
    difference: float
    memory: Sides[Memory]
    loaded: Sides[Loaded]


def largest_difference(own: np.ndarray, peer: np.ndarray, *, vector_valued: bool) -> float:
    """Return the largest difference of two arrays of scores, relative to the peer's largest score.

    Parameters
    ----------
    own : numpy.ndarray, (input, step, ...)
    peer : numpy.ndarray, (input, step, ...)
        With one dimension more, the features, if `vector_valued`; their L2 norm is compared.
    vector_valued : bool

    Raises
    ------
    ValueError
        If shapes differ, or other entries are missing (NaN), or none is there.
    """
    expected = np.asarray(peer, dtype=np.float64)
    given = np.asarray(own, dtype=np.float64)
    if vector_valued:
        expected = np.linalg.norm(expected, axis=-1)
    if given.shape != expected.shape:
        raise ValueError(f"own: shape {given.shape}, where the peer has {expected.shape}")
    there = ~np.isnan(expected)
    if not there.any() or not np.array_equal(there, ~np.isnan(given)):
        raise ValueError(
            f"own: {np.isnan(given).sum()} scores are missing, where the peer misses "
            f"{(~there).sum()} of {there.size}"
        )
    difference = np.abs(given[there] - expected[there]).max()
    return float(difference / np.abs(expected[there]).max())
