"""Numbers as they are written in pictures and tables."""

from __future__ import annotations

import math

MISSING = "–"
MINUS = "−"


def percent(value: float | None) -> str:
    """Write a share or a probability in percent.

    Parameters
    ----------
    value : float or None
        A part of 1; None and NaN are missing.

    Returns
    -------
    str
        With one decimal; what would round to nothing reads ``"<0.1 %"``.
    """
    if value is None or math.isnan(value):
        return MISSING
    if value == 0:
        return "0 %"
    sign, magnitude = MINUS if value < 0 else "", abs(value) * 100
    return f"{sign}<0.1 %" if magnitude < 0.1 else f"{sign}{magnitude:.1f} %"


def counted(count: int, noun: str) -> str:
    """Write a count with its noun: ``"1 step"``, ``"9 steps"``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
