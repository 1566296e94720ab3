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


def three_digits(value: float | None) -> str:
    """Write a score with three significant digits; None and NaN are missing."""
    if value is None or math.isnan(value):
        return MISSING
    return f"{value:.3g}".replace("-", MINUS)


def tenfold(largest: float) -> int:
    """Find the power of ten in whose units a number has two digits before the point.

    Parameters
    ----------
    largest : float
        The largest magnitude that is to be written.

    Returns
    -------
    int
        The exponent; 0 where there is nothing to write.
    """
    if not largest > 0:
        return 0
    exponent = math.floor(math.log10(largest)) - 1
    # 99.6 units would be written with three digits.
    return exponent + 1 if round(largest / 10.0**exponent) > 99 else exponent


def power_of_ten(exponent: int) -> str:
    """Write a power of ten: ``"10⁻³"``."""
    raised = str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{raised}"
