"""Refuses keywords of methods that cannot be meant."""

from __future__ import annotations

import math
from collections.abc import Collection


def check_whole(keyword: str, value: object, at_least: int) -> None:
    """Refuse what is not an integer of at least so much.

    Parameters
    ----------
    keyword : str
    value : object
    at_least : int

    Raises
    ------
    ValueError
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < at_least:
        raise ValueError(
            f"{keyword}: {value!r} given; it must be an integer of at least {at_least}."
        )


def check_number(keyword: str, value: object, *, positive: bool = False) -> None:
    """Refuse what is not a finite number, zero or above.

    Parameters
    ----------
    keyword : str
    value : object
    positive : bool
        Refuse zero, too.

    Raises
    ------
    ValueError
    """
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or value < 0
        or (positive and value == 0)
    ):
        raise ValueError(
            f"{keyword}: {value!r} given; it must be a number "
            f"{'above zero' if positive else 'of zero or above'}."
        )


def check_flag(keyword: str, value: object) -> None:
    """Refuse what is neither True nor False.

    Parameters
    ----------
    keyword : str
    value : object

    Raises
    ------
    TypeError
    """
    if not isinstance(value, bool):
        raise TypeError(f"{keyword}: {value!r} given; choose True or False.")


def check_choice(keyword: str, value: object, choices: Collection[str]) -> None:
    """Refuse what is none of some names.

    Parameters
    ----------
    keyword : str
    value : object
    choices : collection of str

    Raises
    ------
    ValueError
    """
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{keyword}: {value!r} given; choose one of {', '.join(choices)}.")
