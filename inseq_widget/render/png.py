"""The matrix as a small picture, one pixel for each cell."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from inseq_widget.render.colours import ENTRIES, hue
from inseq_widget.render.view import View

# Missing cells are the last entry of the picture's palette.
MISSING_ENTRY = ENTRIES - 1
_MISSING_COLOUR = (128, 128, 128, 40)


def matrix_png(view: View, levels: int = MISSING_ENTRY) -> bytes:
    """Draw a matrix.

    Parameters
    ----------
    view : View
    levels : int, default 255
        How many colours the scale may have: a small picture is smaller still with few.

    Returns
    -------
    bytes
        A PNG with a palette whose opacity grows with the magnitude, from nothing to the end of
        the scale, or from the most negative over nothing to the most positive; its last entry
        stands where a score is missing.
    """
    signed = view.scale.signed
    found = view.scale.places(view.values)
    # 256 colours would leave no place for the missing ones.
    places = np.minimum(found, MISSING_ENTRY - 1) * levels // MISSING_ENTRY
    pixels = np.where(found < 0, levels, places).astype(np.uint8)
    # There is no picture without a pixel: what has no cell is one of nothing.
    image = Image.fromarray(pixels if pixels.size else np.full((1, 1), levels, np.uint8), "P")
    middles = [(2 * level + 1) * MISSING_ENTRY // (2 * levels) for level in range(levels)]
    colours = [*(_palette_colour(middle, signed) for middle in middles), _MISSING_COLOUR]
    image.putpalette([channel for *solid, _ in colours for channel in solid])
    target = io.BytesIO()
    image.save(target, "PNG", optimize=True, transparency=bytes(opacity for *_, opacity in colours))
    return target.getvalue()


def picture_url(view: View, levels: int = MISSING_ENTRY) -> str:
    """Give the picture of a matrix as a ``data:`` address."""
    return f"data:image/png;base64,{base64.b64encode(matrix_png(view, levels)).decode('ascii')}"


def _palette_colour(entry: int, signed: bool) -> tuple[int, int, int, int]:
    last = MISSING_ENTRY - 1
    if not signed:
        return (*hue(False), round(255 * entry / last))
    half = ENTRIES // 2 - 1
    negative = entry <= half
    magnitude = half - entry if negative else entry - half - 1
    return (*hue(True, negative), min(255, round(255 * magnitude / (half - 1))))
