"""Where on its colour scale a number lies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real

import numpy as np
import numpy.typing as npt

from inseq_widget.render.colours import entries

# What rounding alone puts beyond the end of a scale is not worth a word.
_ROUNDING = 1.0005


@dataclass(frozen=True)
class Scale:
    """A colour scale of numbers.

    Attributes
    ----------
    low, high : float
        Numbers beyond them have the colour of the end.
    signed : bool
        Diverging and symmetric around 0: equal magnitudes are equally strong, whatever the ends.
        Otherwise sequential, and magnitudes count.
    """

    low: float
    high: float
    signed: bool

    @property
    def bound(self) -> float:
        """The magnitude that has the strongest colour."""
        return max(abs(self.low), abs(self.high)) if self.signed else self.high

    def strengths(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Give numbers as parts of the strongest colour.

        Parameters
        ----------
        values : numpy.ndarray
            Missing ones are NaN.

        Returns
        -------
        numpy.ndarray, of the same shape
            −1 to 1 with sign, 0 to 1 without; missing ones stay NaN.
        """
        if self.signed:
            clipped: npt.NDArray[np.float64] = np.clip(values, self.low, self.high)
            return clipped / self.bound
        magnitudes = np.clip(np.abs(values), self.low, self.high)
        parts: npt.NDArray[np.float64] = (magnitudes - self.low) / (self.high - self.low)
        return parts

    def strength(self, value: float) -> float:
        """Give one number as a part of the strongest colour; NaN where it is missing."""
        return float(self.strengths(np.array([value]))[0])

    def places(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """Find the places of numbers in a colour table: 0 to 255, −1 where one is missing."""
        return entries(self.strengths(values), 1.0, self.signed)

    def is_beyond(self, values: npt.NDArray[np.float64]) -> tuple[bool, bool]:
        """Say whether any number lies below the low end, and whether any lies above the high one.

        Nothing lies below a scale that begins with 0.
        """
        present = values[~np.isnan(values)]
        if not present.size:
            return False, False
        if not self.signed:
            present = np.abs(present)
        slack = (_ROUNDING - 1) * self.bound
        return bool(present.min() < self.low - slack), bool(present.max() > self.high + slack)


def check_ends(min_val: float | None, max_val: float | None) -> None:
    """Refuse ends that no scale can have.

    Raises
    ------
    TypeError, ValueError
        For an end that is not a finite number, and for a low end that is not below the high one.
    """
    for name, value in (("min_val", min_val), ("max_val", max_val)):
        if value is not None and not isinstance(value, Real):
            raise TypeError(f"{name}: {value!r} given; a number works, or None.")
        if value is not None and not math.isfinite(value):
            raise ValueError(f"{name}: {value} given; a finite number works, or None.")
    if min_val is not None and max_val is not None and min_val >= max_val:
        raise ValueError(
            f"min_val, max_val: {min_val} and {max_val} given; min_val must be the smaller one."
        )


def make_scale(
    domain: float, *, signed: bool, min_val: float | None, max_val: float | None
) -> Scale:
    """Make the scale of some numbers.

    Parameters
    ----------
    domain : float
        The magnitude at the end of the scale where none is asked for.
    signed : bool
    min_val, max_val : float, optional
        The ends that are asked for.

    Returns
    -------
    Scale

    Raises
    ------
    ValueError
        For ends that leave nothing between them.
    """
    check_ends(min_val, max_val)
    if signed:
        high = domain if max_val is None else max_val
        low = min_val if min_val is not None else -max(abs(high), domain if high <= 0 else high)
    else:
        high = domain if max_val is None else max_val
        low = max(0.0, 0.0 if min_val is None else min_val)
    if low >= high:
        given = f"min_val={min_val}, max_val={max_val}"
        kind = "signed numbers" if signed else "magnitudes, which have no sign,"
        raise ValueError(
            f"min_val, max_val: {given} leave nothing between {low:.3g} and {high:.3g}; "
            f"the scale of these {kind} ends at {domain:.3g} by default."
        )
    return Scale(low, high, signed)
