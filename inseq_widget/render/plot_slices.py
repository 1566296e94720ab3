"""The heatmaps of layers, heads or features side by side, for a paper."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from inseq_widget.explore.protocol import FigureSpec
from inseq_widget.render.headline import opening
from inseq_widget.render.numbers import percent
from inseq_widget.render.plot import (
    LONGEST_LABEL,
    MOST_VECTOR_CELLS,
    draw_colour_bar,
    label_size,
    paint_cells,
    title_of,
)
from inseq_widget.render.sheet import POINTS, WIDTHS, Sheet, own_style
from inseq_widget.render.visible import visible_label

if TYPE_CHECKING:
    from inseq_widget.render.granular import Panels, Slice

_GAP = 0.1  # inches
_NARROWEST, _WIDEST = 1.05, 2.2  # inches
_LOWEST, _TALLEST = 0.4, 2.2  # inches
_LEAST_LABEL = 4.5  # points: cells that are lower get no labels
_TALLEST_CELL = 0.16  # inches


def slices_figure(panels: Sequence[Panels], spec: FigureSpec) -> Figure:
    """Draw the slices of every sequence.

    Parameters
    ----------
    panels : sequence of Panels, (sequence,)
    spec : FigureSpec

    Returns
    -------
    matplotlib.figure.Figure
        As wide as both columns of a paper.

    Raises
    ------
    ValueError
        For a result without texts.
    """
    if not panels:
        raise ValueError("output: it has no attributed text, so there is nothing to draw.")
    with own_style():
        sheet = Sheet(WIDTHS["double"], _texts(panels, spec))
        sheet.heading(title_of(spec))
        for number, each in enumerate(panels):
            if len(panels) > 1:
                words = opening(spec["sequences"][number])
                sheet.paragraph(f"Text {number + 1} of {len(panels)}: {words}")
            _draw(sheet, each)
        return sheet.finish()


def _texts(panels: Sequence[Panels], spec: FigureSpec) -> list[str]:
    texts = [title_of(spec), *map(opening, spec["sequences"])]
    for each in panels:
        view = each.slices[0].view
        texts += [visible_label(token) for token in [*view.row_tokens, *view.column_tokens]]
        texts += [one.name for one in each.slices]
    return texts


def _draw(sheet: Sheet, panels: Panels) -> None:
    view = panels.slices[0].view
    n_rows, n_columns = max(1, len(view.rows)), max(1, len(view.columns))
    rows = [visible_label(token, LONGEST_LABEL) for token in view.row_tokens]
    margin = sheet.widest(rows, sheet.size - 1) + _GAP
    room = sheet.width - 2 * _GAP
    across = max(1, min(len(panels.slices), math.floor(room / (_NARROWEST + _GAP))))
    width = min(_WIDEST, room / across - _GAP)
    height = min(max(_LOWEST, width * n_rows / n_columns), _TALLEST, _TALLEST_CELL * n_rows)
    labelled = label_size(sheet.size - 1, height / n_rows) <= 0.9 * POINTS * height / n_rows
    left = margin if labelled else _GAP
    if labelled:
        across = max(1, math.floor((sheet.width - left) / (_NARROWEST + _GAP)))
        across = min(across, len(panels.slices))
        width = min(_WIDEST, (sheet.width - left) / across - _GAP)
    cells = sum(each.view.values.size for each in panels.slices)
    columns = [visible_label(token, LONGEST_LABEL) for token in view.column_tokens]
    below = label_size(sheet.size - 1, width / n_columns) <= 0.9 * POINTS * width / n_columns
    last = (len(panels.slices) - 1) // across * across
    for start in range(0, len(panels.slices), across):
        sheet.down += sheet.line_height(sheet.size - 1)
        for place, each in enumerate(panels.slices[start : start + across]):
            box = (left + place * (width + _GAP), sheet.down, width, height)
            most = MOST_VECTOR_CELLS if cells <= MOST_VECTOR_CELLS else 0
            axes = _draw_slice(sheet, each, box, most)
            if labelled and place == 0:
                _label_rows(sheet, axes, rows, height / n_rows)
            if below and start == last:
                _label_columns(sheet, axes, columns, width / n_columns)
        sheet.down += height + _GAP / 2
    if below:
        sheet.down += sheet.widest(columns, label_size(sheet.size - 1, width / n_columns)) + _GAP
    sheet.down += _GAP / 2
    beyond = (
        any(each.view.beyond[0] for each in panels.slices),
        any(each.view.beyond[1] for each in panels.slices),
    )
    draw_colour_bar(sheet, replace(view, beyond=beyond), left, view.has_missing)
    if panels.left_out:
        sheet.paragraph(panels.left_out, size=sheet.size - 1)


def _draw_slice(
    sheet: Sheet, each: Slice, box: tuple[float, float, float, float], most: int
) -> Axes:
    left, down, width, height = box
    axes = sheet.axes(left, down, width, height)
    paint_cells(axes, each.view, POINTS * width / max(1, len(each.view.columns)), most)
    size = sheet.size - 1
    for spine in axes.spines.values():
        spine.set(visible=True, linewidth=0.3, color="#c9cace")
    name = f"{each.name} · {percent(each.part)}"
    sheet.text(left, down - sheet.line_height(size), name, fontsize=size)
    return axes


def _label_rows(sheet: Sheet, axes: Axes, rows: list[str], cell: float) -> None:
    places = [row + 0.5 for row in range(len(rows))]
    axes.set_yticks(places, rows, **sheet.style(label_size(sheet.size - 1, cell)))


def _label_columns(sheet: Sheet, axes: Axes, columns: list[str], cell: float) -> None:
    places = [column + 0.5 for column in range(len(columns))]
    style = sheet.style(label_size(sheet.size - 1, cell), rotation=90)
    axes.set_xticks(places, columns, **style)
