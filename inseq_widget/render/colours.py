"""Colour scales of the pictures without a kernel, from the same tables as the live ones."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Literal

import numpy as np
import numpy.typing as npt

Appearance = Literal["light", "dark"]
Rgb = tuple[int, int, int]

ENTRIES = 256
_HALF = ENTRIES // 2 - 1
# The hue of a translucent scale comes from here on a light table's ramp: dark enough on a white
# page, light enough on a black one.
_HUE_AT = 0.8


@cache
def table(signed: bool, appearance: Appearance) -> tuple[str, ...]:
    """Give a colour table, 256 times ``#rrggbb``.

    Parameters
    ----------
    signed : bool
        Diverging, with zero between its two middle entries; otherwise sequential from zero up.
    appearance : {"light", "dark"}
        The surface that the table starts from.

    Returns
    -------
    tuple of str, (entry,)
    """
    text = files("inseq_widget.render").joinpath("palette.json").read_text(encoding="utf-8")
    colours: list[str] = json.loads(text)["diverging" if signed else "sequential"][appearance]
    return tuple(colours)


def entries(shares: npt.NDArray[np.float64], domain: float, signed: bool) -> npt.NDArray[np.int64]:
    """Find the places of shares in a table.

    Parameters
    ----------
    shares : numpy.ndarray
        Missing ones are NaN. Without sign, magnitudes count.
    domain : float
        The share at the end of the scale; larger ones have the same place.
    signed : bool

    Returns
    -------
    numpy.ndarray, of the same shape
        0 to 255; −1 where a share is missing.
    """
    values = np.clip(np.nan_to_num(shares) / (domain if domain > 0 else 1.0), -1.0, 1.0)
    if signed:
        # Half up, not to even: the live heatmap rounds so too.
        steps = np.floor(np.abs(values) * _HALF + 0.5).astype(np.int64)
        places = np.where(values < 0, _HALF - steps, _HALF + 1 + steps)
    else:
        places = np.floor(np.abs(values) * (ENTRIES - 1) + 0.5).astype(np.int64)
    found: npt.NDArray[np.int64] = np.where(np.isnan(shares), -1, places)
    return found


def hue(signed: bool, negative: bool = False) -> Rgb:
    """Give the one colour whose opacity shows a magnitude on any background."""
    colours = table(signed, "light")
    if not signed:
        return rgb(colours[round(_HUE_AT * (ENTRIES - 1))])
    distance = round(_HUE_AT * _HALF)
    return rgb(colours[_HALF - distance if negative else _HALF + 1 + distance])


def rgb(colour: str) -> Rgb:
    """Read ``#rrggbb``."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def luminance(colour: Rgb) -> float:
    """Give the relative luminance of a colour, 0 to 1 (WCAG 2.2)."""
    parts = [channel / 255 for channel in colour]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def readable_ink(fill: str) -> str:
    """Choose black or white text, whichever has more contrast on a fill ``#rrggbb``."""
    ground = luminance(rgb(fill))
    # The contrast with white is 1.05 / (L + 0.05), with black (L + 0.05) / 0.05 (WCAG 2.2).
    return "#000000" if (ground + 0.05) ** 2 >= 1.05 * 0.05 else "#ffffff"
