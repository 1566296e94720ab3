"""Every score of a heatmap as a table: what a screen reader reads, and what can be copied."""

from __future__ import annotations

import math
from html import escape

import numpy as np

from inseq_widget.render.numbers import power_of_ten, tenfold
from inseq_widget.render.view import View
from inseq_widget.render.visible import is_right_to_left, visible_label

# A table of more cells would make a page slow to open; the scores are in Python, too.
MOST_CELLS = 100_000
_LONGEST_LABEL = 18


def isolated(label: str) -> str:
    """Escape a label, so that its writing direction ends with it."""
    return f"<bdi>{escape(label)}</bdi>" if is_right_to_left(label) else escape(label)


def data_table(view: View) -> str:
    """Write the cells of a matrix as a table that opens on demand.

    Parameters
    ----------
    view : View

    Returns
    -------
    str
        A ``details`` element. One number has one digit after the point; a missing one is an empty
        cell. Of a matrix with more than 100 000 cells, a sentence that says where they are.
    """
    if view.values.size > MOST_CELLS:
        return (
            "<p><small>Too many scores for a table here: <code>to_dataframe()</code> has them "
            "all.</small></p>"
        )
    present = np.abs(view.values[~np.isnan(view.values)])
    exponent = -2 if view.shares else tenfold(float(present.max()) if present.size else 0.0)
    unit = view.unit
    if exponent:
        unit += " in %" if view.shares else f" in {power_of_ten(exponent)}"
    head = "".join(
        f"<th scope=col>{isolated(visible_label(token, _LONGEST_LABEL))}"
        for token in view.column_tokens
    )
    units = view.values / 10.0**exponent
    rows = "".join(
        f"<tr><th scope=row>{isolated(visible_label(token, _LONGEST_LABEL))}"
        + "".join(f"<td>{_cell(value)}" for value in row)
        for token, row in zip(view.row_tokens, units.tolist(), strict=True)
    )
    return (
        "<details><summary>All numbers as a table</summary>"
        '<div style="overflow-x:auto" tabindex="0" role="group" aria-label="Table of all numbers">'
        f"<table><caption>Inputs down, generated tokens across; {unit}.</caption>"
        f"<tr><td>{head}{rows}</table></div></details>"
    )


def _cell(value: float) -> str:
    if math.isnan(value):
        return ""
    written = f"{value:.1f}"
    return written.removesuffix(".0") if written != "-0.0" else "0"
