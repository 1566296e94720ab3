"""What was measured, and how the numbers of two sides compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np
from cases import Allowance, AnyCase, Case, Drawing, Growth, Numbers
from drawing import Drawn
from messages import Loaded, Run
from scipy.stats import spearmanr


@dataclass
class Timed:
    """What one worker did: its first run, for memory and scores, and the seconds of the rounds."""

    loaded: Loaded
    first: Run
    seconds: list[float] = field(default_factory=list)

    @property
    def peak(self) -> float:
        """Peak of the whole process, in megabytes."""
        return max(self.loaded.peak, self.first.peak)

    @property
    def above(self) -> float:
        """Peak above what the loaded model holds, in megabytes."""
        return self.first.peak - self.loaded.held


@dataclass(frozen=True)
class Compared:
    """What was measured of a case, the sides in turns.

    Attributes
    ----------
    case : Case
    against : str
        The peer that ran.
    failed : dict of str to str
        Peers that did not, and what they said.
    peer, own : Timed
    half : Timed or None
        The own side in bfloat16.
    difference : float or None
        See `largest_difference`; None where nothing is compared.
    rank : float or None
        Rank correlation of the scores in bfloat16 with those in float32.
    """

    case: Case
    against: str
    failed: dict[str, str]
    peer: Timed
    own: Timed
    half: Timed | None
    difference: float | None
    rank: float | None

    def ratios(self, own: Timed) -> list[float]:
        """Return how many times faster the own side was, round by round."""
        counts = self.case.peer_counts
        pairs = zip(self.peer.seconds, own.seconds, strict=True)
        return [counts * peer / seconds for peer, seconds in pairs]


@dataclass(frozen=True)
class Held:
    """What was measured of a long text's memory."""

    case: Allowance
    own: Timed


@dataclass(frozen=True)
class Grown:
    """The cost of a token for each length of the prompt, the median of the rounds."""

    case: Growth
    own: list[Timed]

    @property
    def lengths(self) -> list[int]:
        """Prompt tokens."""
        return [text.inputs for text in self.case.texts]

    @property
    def seconds(self) -> list[float]:
        """Seconds for each generated token."""
        pairs = zip(self.own, self.case.texts, strict=True)
        return [median(timed.seconds) / text.targets for timed, text in pairs]

    def exponent(self) -> float:
        """Return how the cost grows with the prompt: 1 is linear."""
        return exponent(self.lengths, self.seconds)


@dataclass(frozen=True)
class Failed:
    """A case that could not be measured, and why."""

    case: AnyCase
    reason: str


@dataclass(frozen=True)
class Painted:
    """What was measured of a matrix in a browser."""

    case: Drawing
    drawn: Drawn


Measured = Compared | Held | Grown | Painted | Failed


def exponent(lengths: Sequence[int], costs: Sequence[float]) -> float:
    """Return the slope of the line through (log length, log cost)."""
    return float(np.polyfit(np.log(lengths), np.log(costs), 1)[0])


def largest_difference(own: np.ndarray, peer: np.ndarray, numbers: Numbers) -> float:
    """Return the largest difference of two arrays of scores, relative to the peer's largest score.

    Parameters
    ----------
    own, peer : numpy.ndarray, (input, step, ...)
    numbers : Numbers
        Says which inputs and steps are defined alike.

    Raises
    ------
    ValueError
        If shapes differ, or other entries are missing (NaN), or none is there.
    """
    part = slice(numbers.inputs), slice(numbers.steps)
    expected = _without_empty_rows(np.asarray(peer, np.float64)[part])
    given = _without_empty_rows(np.asarray(own, np.float64)[part])
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


def _without_empty_rows(scores: np.ndarray) -> np.ndarray:
    """Cut the last inputs, which explain no step: not all sides give them a row."""
    there = ~np.isnan(scores).reshape(len(scores), -1).all(1)
    return scores[: there.nonzero()[0].max() + 1] if there.any() else scores


def rank_correlation(half: np.ndarray, single: np.ndarray) -> float:
    """Return Spearman's correlation of two arrays, (input, step), as a mean over the steps."""
    correlations = []
    for one, other in zip(half.T, single.T, strict=True):
        there = ~np.isnan(other)
        correlations.append(spearmanr(one[there], other[there]).statistic)
    return float(np.mean(correlations))
