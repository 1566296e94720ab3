"""Heatmaps for a paper, as figures of matplotlib."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator

from inseq_widget.explore.figure import make_figure
from inseq_widget.explore.protocol import FigureSpec
from inseq_widget.render.colours import table
from inseq_widget.render.headline import headline, opening
from inseq_widget.render.numbers import three_digits
from inseq_widget.render.scale import Scale
from inseq_widget.render.sheet import FAINT, INK, POINTS, Sheet, own_style, width_in_inches
from inseq_widget.render.view import PLAIN, Look, View, views_of
from inseq_widget.render.visible import shown, visible_label
from inseq_widget.results import FeatureAttributionOutput

LONGEST_LABEL = 18
# Above it a vector file of single cells is slow to open: the matrix becomes a picture of pixels.
MOST_VECTOR_CELLS = 20_000
_TALLEST_CELL = 0.2  # inches
_WIDEST_CELL = 0.6  # inches
_TALLEST_MATRIX = 7.6  # inches: what a page has place for
_LEAST_LABEL = 4.5  # points: of smaller labels some are left out
_STRIP = 0.26  # inches, the height of a row of step scores
_GAP = 0.06  # inches
_BAR = 0.075  # inches, the height of the colour bar
_BAR_CELLS = 64
_SINGLE = 24  # steps: as many as one column of a paper has place for
_MISSING_KEY = "comes after the step"
_STROKES = "//////"
_GROUND, _HATCH = "#f7f7f8", "#c9cace"


def heatmap_figure(
    output: FeatureAttributionOutput,
    look: Look = PLAIN,
    *,
    width: float | str | None = None,
    title: str | None = None,
    step_scores: Sequence[str] = (),
    font: str | None = None,
    font_size: float = 7.0,
) -> Figure:
    """Draw the heatmaps of a result, those of several texts below each other.

    Parameters
    ----------
    output : FeatureAttributionOutput
    look : Look
        What of it, and how.
    width : float, "single" or "double", optional
        Of the figure: inches, or 3.3 for one column of a paper, 6.9 for both. By default one
        column for 24 steps at most, else both.
    title : str, optional
        Method and model by default; none where it is empty.
    step_scores : sequence of str
        Step scores to draw as bars below the matrix.
    font : str, optional
        Family of the letters; DejaVu Sans by default.
    font_size : float, default 7
        Points. Labels become smaller where cells do.

    Returns
    -------
    matplotlib.figure.Figure
        Its height follows from what is on it. It belongs to no window and to no ``pyplot``.

    Raises
    ------
    ValueError
        For a result without texts, an unknown step score, width or font, and ends of the colour
        scale that the scores cannot have.
    """
    if not len(output):
        raise ValueError("output: it has no attributed text, so there is nothing to draw.")
    figure = make_figure(output)
    views = views_of(figure, look)
    _check_step_scores(step_scores, views)
    name = title_of(figure.spec) if title is None else shown(title)
    headings = [name, *step_scores, *(opening(view.sequence) for view in views)]
    texts = chain(headings, *map(_texts, views))
    with own_style():
        given = _fitting_width(views) if width is None else width
        sheet = Sheet(width_in_inches(given), texts, font, font_size)
        if name:
            sheet.heading(name)
        for number, view in enumerate(views):
            if len(views) > 1:
                sheet.down += _GAP
                sheet.paragraph(f"Text {number + 1} of {len(views)}: {opening(view.sequence)}")
            _Heatmap(sheet, view).draw(step_scores)
        return sheet.finish()


def _fitting_width(views: Sequence[View]) -> str:
    return "single" if max(len(view.columns) for view in views) <= _SINGLE else "double"


def title_of(spec: FigureSpec) -> str:
    """Say what is drawn, of which model."""
    return f"{headline(spec)}, {shown(spec['model'])}"


def _check_step_scores(names: Sequence[str], views: Sequence[View]) -> None:
    if isinstance(names, str):
        raise ValueError(f"step_scores: {names!r} given; a list of names works, [{names!r}].")
    for view in views:
        known = list(view.sequence["steps"][0]["step_scores"]) if view.sequence["steps"] else names
        for name in names:
            if name not in known:
                have = f"this result has {', '.join(known)}" if known else "this result has none"
                raise ValueError(
                    f"step_scores: {name!r} given, but {have}; "
                    f"attribute(..., step_scores=[{name!r}]) adds it."
                )


def _texts(view: View) -> list[str]:
    tokens = [*view.row_tokens, *view.column_tokens]
    return [*(visible_label(token, LONGEST_LABEL) for token in tokens), *view.ends, view.unit]


@dataclass(frozen=True)
class _Grid:
    """How large a matrix and its labels are, in inches and points."""

    left: float
    width: float
    cell_width: float
    cell_height: float
    row_size: float
    column_size: float
    horizontal: bool


class _Heatmap:
    """Draws one matrix with its labels, step scores and colour bar.

    Parameters
    ----------
    sheet : Sheet
    view : View
    """

    def __init__(self, sheet: Sheet, view: View) -> None:
        self.sheet = sheet
        self.view = view
        self.rows = [visible_label(token, LONGEST_LABEL) for token in view.row_tokens]
        self.columns = [visible_label(token, LONGEST_LABEL) for token in view.column_tokens]

    def draw(self, step_scores: Sequence[str]) -> None:
        """Draw it below what is on the sheet."""
        sheet, small = self.sheet, self.sheet.size - 1
        grid = self._grid(step_scores)
        if grid.horizontal:
            sheet.down += sheet.line_height(grid.column_size) + 0.02
        else:
            sheet.down += sheet.widest(self.columns, grid.column_size) + 2 * _GAP
        height = grid.cell_height * len(self.rows)
        axes = sheet.axes(grid.left, sheet.down, grid.width, height)
        paint_cells(axes, self.view, grid.cell_width * POINTS)
        self._label(axes, grid)
        sheet.down += height
        for name in step_scores:
            sheet.down += _GAP
            self._bars(name, grid)
            sheet.down += _STRIP
        sheet.down += 1.5 * _GAP
        draw_colour_bar(sheet, self.view, grid.left, self.view.has_missing)
        if self.view.left_out:
            sheet.paragraph(self.view.left_out, size=small, color=FAINT)

    def _grid(self, step_scores: Sequence[str]) -> _Grid:
        sheet = self.sheet
        names = [name.replace("_", " ") for name in step_scores]
        left = max(sheet.widest(self.rows), sheet.widest(names, sheet.size - 1)) + 2 * _GAP
        # No label takes more than half of the width from the matrix.
        left = min(left, sheet.width / 2)
        n_columns = max(1, len(self.columns))
        cell_width = min(_WIDEST_CELL, (sheet.width - left - _GAP) / n_columns)
        cell_height = max(min(cell_width, _TALLEST_CELL), sheet.line_height() * 0.96)
        cell_height = min(cell_height, _TALLEST_MATRIX / max(1, len(self.rows)))
        return _Grid(
            left=left,
            width=cell_width * n_columns,
            cell_width=cell_width,
            cell_height=cell_height,
            row_size=label_size(sheet.size, cell_height),
            column_size=label_size(sheet.size, cell_width),
            horizontal=sheet.widest(self.columns) <= 0.92 * cell_width,
        )

    def _label(self, axes: Axes, grid: _Grid) -> None:
        sheet = self.sheet
        rows = range(0, len(self.rows), every(grid.row_size, grid.cell_height))
        axes.set_yticks(
            [row + 0.5 for row in rows],
            [self.rows[row] for row in rows],
            **sheet.style(grid.row_size),
        )
        size = sheet.size if grid.horizontal else grid.column_size
        columns = range(0, len(self.columns), every(size, grid.cell_width))
        axes.xaxis.tick_top()
        axes.tick_params(length=0, pad=2)
        axes.set_xticks(
            [column + 0.5 for column in columns],
            [self.columns[column] for column in columns],
            **sheet.style(size, rotation=0 if grid.horizontal else 90),
        )
        self._part_sides(axes)

    def _part_sides(self, axes: Axes) -> None:
        """Draw a line between the encoder's tokens and the decoder's."""
        from_source = [token["side"] == "source" for token in self.view.row_tokens]
        if any(from_source) and not all(from_source):
            axes.axhline(sum(from_source), color=INK, linewidth=0.6)

    def _bars(self, name: str, grid: _Grid) -> None:
        sheet, small = self.sheet, self.sheet.size - 1
        steps = [self.view.sequence["steps"][column] for column in self.view.columns]
        found = [step["step_scores"][name] for step in steps]
        values = np.array([np.nan if value is None else value for value in found])
        present = values[~np.isnan(values)]
        low = min(0.0, float(present.min(initial=0.0)))
        high = max(0.0, float(present.max(initial=0.0)))
        axes = sheet.axes(grid.left, sheet.down, grid.width, _STRIP)
        axes.set_xlim(0, max(1, len(values)))
        axes.set_ylim(low, high if high > low else low + 1.0)
        axes.bar(np.arange(len(values)) + 0.5, values, width=0.8, color="#8a8c92", linewidth=0)
        axes.axhline(0, color=FAINT, linewidth=0.4)
        label = shown(name).replace("_", " ")
        sheet.text(grid.left - _GAP / 2, sheet.down, label, ha="right", fontsize=small)
        ends = f"{three_digits(low)} to {three_digits(high)}"
        below = sheet.down + sheet.line_height(small)
        sheet.text(grid.left - _GAP / 2, below, ends, ha="right", fontsize=small - 1, color=FAINT)


def label_size(size: float, cell: float) -> float:
    """Say how large a label is beside a cell of so many inches, in points."""
    return max(min(size, 0.88 * cell * POINTS), min(size, _LEAST_LABEL))


def every(size: float, cell: float) -> int:
    """Say how many cells share a label, where a cell is narrower than a line."""
    return max(1, math.ceil(0.88 * size / (cell * POINTS)))


def colour_map(scale: Scale) -> Colormap:
    """Give the colours of a scale, for a white page."""
    colours = ListedColormap(list(table(scale.signed, "light")))
    # What is missing lets the hatched ground be seen.
    return colours.with_extremes(bad=(0.0, 0.0, 0.0, 0.0))


def norm_of(scale: Scale) -> Normalize:
    """Give the range of a scale's colours; a diverging one is symmetric around 0."""
    return Normalize(-scale.bound if scale.signed else scale.low, scale.bound)


def paint_cells(axes: Axes, view: View, cell_points: float, most: int = MOST_VECTOR_CELLS) -> None:
    """Paint the cells of a matrix: vectors, so that they are sharp at any size.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    view : View
    cell_points : float
        Width of a cell; wide ones are parted by white lines.
    most : int
        How many cells are painted so; more become a picture of one pixel each.
    """
    scale, (n_rows, n_columns) = view.scale, view.values.shape
    values = view.values if scale.signed else np.abs(view.values)
    shown_values = np.ma.masked_invalid(np.clip(values, scale.low, scale.high))
    colours, norm = colour_map(scale), norm_of(scale)
    axes.patch.set(facecolor=_GROUND, edgecolor=_HATCH, hatch=_STROKES, linewidth=0)
    if view.values.size > most:
        extent = (0, n_columns, n_rows, 0)
        axes.imshow(
            shown_values,
            cmap=colours,
            norm=norm,
            interpolation="none",
            aspect="auto",
            extent=extent,
        )
    else:
        white: dict[str, Any] = {"edgecolors": "white", "linewidth": 0.3}
        none: dict[str, Any] = {"edgecolors": "face", "linewidth": 0.1}
        axes.pcolormesh(
            np.arange(n_columns + 1),
            np.arange(n_rows + 1),
            shown_values,
            cmap=colours,
            norm=norm,
            **(white if cell_points > 6 else none),
        )
    axes.set_xlim(0, max(1, n_columns))
    axes.set_ylim(max(1, n_rows), 0)


def draw_colour_bar(sheet: Sheet, view: View, left: float, has_missing: bool) -> None:
    """Draw the colour scale below what is on the sheet, and say what is missing."""
    small = sheet.size - 1
    room = sheet.width - left - _GAP
    width = min(1.8, 0.5 * room)
    axes = sheet.axes(left, sheet.down, width, _BAR)
    _draw_scale(axes, view)
    for written in axes.get_xticklabels():
        written.set(**sheet.style(small))
    beside = left + width + 0.25
    fits = beside + 0.2 + sheet.measure(_MISSING_KEY, small) <= sheet.width - _GAP
    if has_missing and fits:
        _draw_key(sheet, beside)
    sheet.down += _BAR + sheet.line_height(small) + _GAP
    about = view.unit[0].upper() + view.unit[1:]
    for line in sheet.wrapped(f"{about} ({shown(view.spec['score_label'])})", room, small):
        sheet.text(left, sheet.down, line, fontsize=small, color=FAINT)
        sheet.down += sheet.line_height(small)
    if has_missing and not fits:
        sheet.down += _GAP / 2
        _draw_key(sheet, left)
        sheet.down += sheet.line_height(small)


def _draw_scale(axes: Axes, view: View) -> None:
    scale = view.scale
    edges = np.linspace(scale.low, scale.high, _BAR_CELLS + 1)
    middles = (edges[:-1] + edges[1:]) / 2
    axes.pcolormesh(
        edges,
        [0, 1],
        middles[None],
        cmap=colour_map(scale),
        norm=norm_of(scale),
        edgecolors="face",
        linewidth=0.3,
    )
    axes.set(xlim=(scale.low, scale.high), ylim=(0, 1))
    _draw_ends(axes, view)
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value, view)))
    axes.tick_params(length=2, width=0.4, pad=1.5, color=FAINT)


def _draw_ends(axes: Axes, view: View) -> None:
    """Draw a point at each end of the colour scale that numbers lie beyond."""
    scale = view.scale
    length = 0.04 * (scale.high - scale.low)
    for beyond, end, way in zip(view.beyond, (scale.low, scale.high), (-1, 1), strict=True):
        if beyond:
            fill = colour_map(scale)(norm_of(scale)(end))
            tip = [(end, 0), (end + way * length, 0.5), (end, 1)]
            axes.add_patch(Polygon(tip, facecolor=fill, linewidth=0, clip_on=False))


def _tick(value: float, view: View) -> str:
    if not view.shares:
        return three_digits(value)
    return f"{three_digits(round(100 * value, 6))} %"


def _draw_key(sheet: Sheet, left: float) -> None:
    axes = sheet.axes(left, sheet.down, 0.16, _BAR)
    axes.add_patch(
        Rectangle((0, 0), 1, 1, facecolor=_GROUND, edgecolor=_HATCH, hatch=_STROKES, linewidth=0)
    )
    size = sheet.size - 1
    sheet.text(left + 0.2, sheet.down - 0.015, _MISSING_KEY, fontsize=size, color=FAINT)
