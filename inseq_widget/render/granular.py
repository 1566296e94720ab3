"""A heatmap for every layer, head or feature, side by side and on one colour scale."""

from __future__ import annotations

from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table
from rich.text import Text

from inseq_widget.explore.figure import colour_domain, make_figure
from inseq_widget.render.console import Painter, print_heading, print_which
from inseq_widget.render.headline import headline, opening, provenance, size
from inseq_widget.render.html import colour_bar, matrix
from inseq_widget.render.numbers import counted, percent
from inseq_widget.render.png import picture_url
from inseq_widget.render.scale import make_scale
from inseq_widget.render.slices import (
    Dim,
    Slices,
    along,
    extra_dims,
    label_along,
    named_dim,
    sliced,
)
from inseq_widget.render.table import isolated
from inseq_widget.render.view import Look, View, largest, view_of
from inseq_widget.render.visible import shown, visible_label
from inseq_widget.results import FeatureAttributionOutput, FeatureAttributionSequenceOutput

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MatplotlibFigure

# As many slices as can be told apart on a screen; a gradient has hundreds of features.
MOST_SLICES = 48
# A thumbnail shows where the large scores are; its colours need not be told apart by number.
_LEVELS = 63
_THUMBNAIL = 150  # pixels, the width that a small picture aims at
_LONGEST_LABEL = 16
_BAR = 12  # characters


@dataclass(frozen=True)
class Slice:
    """One layer, head or feature.

    Attributes
    ----------
    name : str
    view : View
        Its matrix, on the colour scale of all.
    part : float
        Its part of the total magnitude of all slices.
    """

    name: str
    view: View
    part: float

    @property
    def peak(self) -> tuple[str, str, float] | None:
        """The input, the generated token and the score of the largest magnitude."""
        values = self.view.values
        if not values.size or np.isnan(values).all():
            return None
        row, column = np.unravel_index(int(np.nanargmax(np.abs(values))), values.shape)
        return (
            visible_label(self.view.row_tokens[row], _LONGEST_LABEL),
            visible_label(self.view.column_tokens[column], _LONGEST_LABEL),
            float(values[row, column]),
        )


@dataclass(frozen=True)
class Panels:
    """The slices of one sequence that are drawn.

    Attributes
    ----------
    dim : str or None
        What the slices are; None where the scores have inputs and steps alone.
    slices : list of Slice
    hidden : int
        How many more there are.
    """

    dim: str | None
    slices: list[Slice]
    hidden: int

    @property
    def strongest(self) -> Slice:
        """The slice with the largest part."""
        return max(self.slices, key=lambda each: each.part)

    @property
    def left_out(self) -> str | None:
        """What is hidden, as a sentence."""
        matrix = self.slices[0].view.left_out
        if not self.hidden:
            return matrix
        hidden = counted(self.hidden, self.dim or "slice")
        own = f"{hidden} hidden, {len(self.slices)} with the largest scores shown."
        return own if matrix is None else f"{own} {matrix}"


class Granular:
    """The heatmaps of a result's layers, heads or features.

    Parameters
    ----------
    output : FeatureAttributionOutput
    look : Look
        ``max_show_size`` also limits the number of slices, 48 by default.
    show_dim : int or str, optional
        What to lay side by side; the first dimension after inputs and steps by default.
    slice_dims : mapping, optional
        What to pick beforehand.

    Raises
    ------
    ValueError
        For a dimension, a place or a colour scale that the scores do not have.
    """

    def __init__(
        self,
        output: FeatureAttributionOutput,
        look: Look,
        show_dim: Dim | None = None,
        slice_dims: Slices | None = None,
    ) -> None:
        self.output = sliced(output, slice_dims)
        self.look = replace(look, shares=False)
        dims = [_chosen_dim(sequence, show_dim) for sequence in self.output]
        figure = make_figure(self.output)
        if dims:
            # All texts have scores of one kind.
            label = label_along(self.output[0], dims[0])
            figure = replace(figure, spec={**figure.spec, "score_label": label})
        self.figure_of_all = figure
        self.panels = [
            _panels(self, number, sequence, dim)
            for number, (sequence, dim) in enumerate(zip(self.output, dims, strict=True))
        ]

    def print_to(self, console: Console) -> None:
        """Print a table of the slices, and the heatmap of the strongest."""
        spec = self.figure_of_all.spec
        print_heading(console, spec)
        for number, panels in enumerate(self.panels):
            print_which(console, spec["sequences"][number], number, len(self.panels))
            console.print()
            if panels.dim is not None:
                console.print(_summary(panels, console.width))
                chosen = panels.strongest.name
                console.print(Text(f"\nStrongest: {chosen}", style="bold"))
            painter = Painter(console, panels.strongest.view)
            painter.print_matrix()
            painter.print_legend()
            if panels.hidden and panels.left_out:
                console.print(Text(panels.left_out, style="dim"))

    def html(self) -> str:
        """Write small pictures side by side; each opens into its labelled heatmap."""
        spec = self.figure_of_all.spec
        parts = [
            '<div class="inseq-static">',
            f"<p><b>{escape(headline(spec))}</b> · {escape(provenance(spec))}</p>",
        ]
        for number, panels in enumerate(self.panels):
            if len(self.panels) > 1:
                words = escape(opening(spec["sequences"][number]))
                of = f"Text {number + 1} of {len(self.panels)}"
                parts.append(f"<p><b>{of}</b>: <bdi>{words}</bdi></p>")
            parts.append(_grid(panels))
        if not self.panels:
            parts.append("<p>No text was attributed.</p>")
        return "".join([*parts, "</div>"])

    def figure(self) -> MatplotlibFigure:
        """Draw the slices side by side for a paper."""
        from inseq_widget.render.plot_slices import slices_figure

        return slices_figure(self.panels, self.figure_of_all.spec)


def _chosen_dim(sequence: FeatureAttributionSequenceOutput, show_dim: Dim | None) -> str | None:
    if show_dim is not None:
        return named_dim(sequence, show_dim, "show_dim")
    known = extra_dims(sequence)
    return known[0] if known else None


def _panels(
    picture: Granular,
    number: int,
    sequence: FeatureAttributionSequenceOutput,
    dim: str | None,
) -> Panels:
    array, names = along(sequence, dim)
    # (slice, input, step)
    values = np.moveaxis(array.to_numpy().astype(np.float64), -1, 0)
    magnitudes = np.abs(np.nan_to_num(values))
    parts = magnitudes.sum((1, 2)) / (magnitudes.sum() or 1.0)
    most = picture.look.max_show_size
    places = largest(parts, MOST_SLICES if most is None else most)
    view = _common_view(picture, number, values[places])
    slices = [
        Slice(names[place], _with_values(view, values[place]), float(parts[place]))
        for place in places
    ]
    return Panels(dim, slices, len(names) - len(places))


def _common_view(picture: Granular, number: int, values: npt.NDArray[np.float64]) -> View:
    """Choose the rows, the columns and the colour scale of all slices."""
    look = picture.look
    base = view_of(picture.figure_of_all, number, Look(max_show_size=look.max_show_size))
    totals = np.abs(np.nan_to_num(values[:, :, base.columns])).sum((0, 2))
    signed = picture.output.info["signed"] or bool((values < 0).any())
    scale = make_scale(
        colour_domain(values), signed=signed, min_val=look.min_val, max_val=look.max_val
    )
    return replace(base, rows=largest(totals, look.max_show_size), scale=scale, shares=False)


def _with_values(view: View, values: npt.NDArray[np.float64]) -> View:
    shown_values = values[np.ix_(view.rows, view.columns)]
    return replace(view, values=shown_values, beyond=view.scale.is_beyond(shown_values))


def _summary(panels: Panels, width: int) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column(panels.dim or "", no_wrap=True)
    table.add_column("part of all", justify="right", no_wrap=True)
    with_bars = width >= 60
    if with_bars:
        table.add_column("", no_wrap=True)
    table.add_column("largest score")
    most = panels.strongest.part or 1.0
    for each in panels.slices:
        cells = [Text(each.name), Text(percent(each.part))]
        if with_bars:
            bar = round(_BAR * each.part / most)
            cells.append(Text("█" * bar + "·" * (_BAR - bar)))
        table.add_row(*cells, Text(_peak(each)))
    return table


def _peak(each: Slice) -> str:
    if each.peak is None:
        return "–"
    source, step, value = each.peak
    return f"{each.view.written(value)} {source} → {step}"


def _grid(panels: Panels) -> str:
    view = panels.slices[0].view
    cell = max(1, min(8, _THUMBNAIL // max(1, len(view.columns))))
    width, height = cell * len(view.columns), cell * len(view.rows)
    below, above = (any(each.view.beyond[end] for each in panels.slices) for end in (0, 1))
    bar = colour_bar(replace(view, beyond=(below, above)))
    grey = "; grey: no score, for it comes after the step" if view.has_missing else ""
    left_out = f" {panels.left_out}" if panels.left_out else ""
    caption = (
        f"{size(view.sequence)} each, inputs down, steps across. "
        f"{escape(shown(view.spec['score_label']))}: {bar}{grey}.{left_out}"
    )
    pictures = "".join(_foldable(each, width, height) for each in panels.slices)
    return (
        f"<p><small>{caption} A picture opens into its labelled heatmap.</small></p>"
        f'<div style="display:flex;flex-wrap:wrap;align-items:start;gap:12px">{pictures}</div>'
        f"{_summary_html(panels)}"
    )


def _foldable(each: Slice, width: int, height: int) -> str:
    alt = f"Heatmap of {each.name}, {percent(each.part)} of all; largest score {_peak(each)}"
    return (
        '<details style="max-width:100%"><summary style="font-size:12px">'
        f"{escape(each.name)} · {percent(each.part)}<br>"
        f'<img alt="{escape(alt)}" width="{width}" height="{height}" '
        f'style="width:{width}px;height:{height}px;max-width:none;image-rendering:pixelated" '
        f'src="{picture_url(each.view, _LEVELS)}"></summary>{matrix(each.view)}</details>'
    )


def _summary_html(panels: Panels) -> str:
    if panels.dim is None:
        return ""
    rows = "".join(
        f"<tr><th scope=row>{escape(each.name)}<td>{percent(each.part)}<td>{isolated(_peak(each))}"
        for each in panels.slices
    )
    head = f"<tr><th scope=col>{panels.dim}<th scope=col>Part of all<th scope=col>Largest score"
    return (
        f"<details><summary>Every {panels.dim} in numbers</summary><table>"
        f"<caption>Part of the total magnitude, and the largest score.</caption>{head}{rows}"
        "</table></details>"
    )
