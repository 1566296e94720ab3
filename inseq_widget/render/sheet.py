"""A page of a picture on paper: filled from the top down, measured in inches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from inseq_widget.render.fonts import families_for

# Inches: the column and the page of most conferences' papers.
WIDTHS = {"single": 3.3, "double": 6.9}
FORMATS = ("svg", "pdf", "png")
INK = "#1c1d21"
FAINT = "#5f6166"
POINTS = 72  # in an inch
LINE = 1.25  # of the letters' size
_MARGIN = 0.04
# Text stays text: searchable, and in the reader's or the embedded font.
_SAVING: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "inseq-widget",
    "pdf.fonttype": 42,
    "savefig.bbox": None,
}
_WITHOUT_DATE: dict[str, dict[str, str | None]] = {
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
    "png": {},
}


def width_in_inches(width: float | str) -> float:
    """Read a width.

    Parameters
    ----------
    width : float, "single" or "double"
        Inches, or one or both columns of a paper.

    Raises
    ------
    ValueError
        For another name, and for a width that leaves no place for anything.
    """
    if isinstance(width, str):
        if width not in WIDTHS:
            names = ", ".join(f"{name!r} ({inches} in)" for name, inches in WIDTHS.items())
            raise ValueError(f"width: {width!r} given; choose {names}, or a number of inches.")
        return WIDTHS[width]
    if not 1.5 <= width <= 100:
        raise ValueError(f"width: {width} given; choose 1.5 to 100 inches.")
    return width


def checked_format(path: str | PathLike[str], format: str | None) -> str:
    """Find the format of a file, by its name where it is not given.

    Raises
    ------
    ValueError
        For one that is not written here.
    """
    found = (Path(path).suffix.removeprefix(".") if format is None else format).lower()
    if found not in FORMATS:
        what = f"path: {str(path)!r}" if format is None else f"format: {format!r}"
        raise ValueError(f"{what} given; choose one of {', '.join(FORMATS)}.")
    return found


@contextmanager
def own_style() -> Iterator[None]:
    """Draw in matplotlib's own style, whatever the user's is, and put that back afterwards."""
    with matplotlib.style.context("default"), matplotlib.rc_context({"hatch.linewidth": 0.5}):
        yield


def save(figure: Figure, path: str | PathLike[str], format: str, dpi: float) -> None:
    """Write a figure without any date, so that the same picture is the same file.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    path : path-like
    format : {"svg", "pdf", "png"}
    dpi : float
        Pixels of an inch, for PNG.
    """
    with own_style(), matplotlib.rc_context(_SAVING):
        figure.savefig(path, format=format, dpi=dpi, metadata=_WITHOUT_DATE[format])


class Sheet:
    """A figure whose height grows with what is put on it.

    Parameters
    ----------
    width : float
        Inches.
    texts : iterable of str
        Everything that will be written, for the choice of fonts.
    font : str, optional
        Name of the family to begin with.
    font_size : float
        Points.

    Raises
    ------
    ValueError
        For a font that is not installed, and for a size below 3 points.
    """

    def __init__(
        self, width: float, texts: Iterable[str], font: str | None = None, font_size: float = 7.0
    ) -> None:
        if not 3 <= font_size <= 72:
            raise ValueError(f"font_size: {font_size} given; choose 3 to 72 points.")
        self.width = width
        self.size = font_size
        self.families = families_for(texts, font)
        self.figure = Figure(figsize=(width, 1.0), dpi=100)
        self._renderer = FigureCanvasAgg(self.figure).get_renderer()  # type: ignore[no-untyped-call]
        self.down = _MARGIN  # inches that are used, from the top
        self._axes: list[tuple[Axes, tuple[float, float, float, float]]] = []
        self._texts: list[tuple[Text, float]] = []
        self._widths: dict[tuple[str, float, str], float] = {}

    def style(self, size: float | None = None, **more: Any) -> dict[str, Any]:
        """Give the properties of a text: nothing in it is taken for a formula."""
        return {
            "fontfamily": self.families,
            "fontsize": self.size if size is None else size,
            "color": INK,
            "parse_math": False,
            "usetex": False,
            **more,
        }

    def measure(self, text: str, size: float | None = None, weight: str = "normal") -> float:
        """Say how wide a text is, in inches."""
        size = self.size if size is None else size
        key = (text, size, weight)
        if key not in self._widths:
            probe = Text(0, 0, text, figure=self.figure, **self.style(size, fontweight=weight))
            extent = probe.get_window_extent(self._renderer)
            self._widths[key] = extent.width / self.figure.dpi
        return self._widths[key]

    def widest(self, texts: Iterable[str], size: float | None = None) -> float:
        """Say how wide the widest of some texts is, in inches."""
        return max((self.measure(text, size) for text in texts), default=0.0)

    def line_height(self, size: float | None = None) -> float:
        """Say how much height a line takes, in inches."""
        return LINE * (self.size if size is None else size) / POINTS

    def wrapped(self, text: str, width: float, size: float | None = None) -> list[str]:
        """Break a text between words, so that no line is wider than it may be."""
        lines = [""]
        for word in text.split():
            longer = f"{lines[-1]} {word}".strip()
            if lines[-1] and self.measure(longer, size) > width:
                lines.append(word)
            else:
                lines[-1] = longer
        return lines

    def axes(self, left: float, down: float, width: float, height: float) -> Axes:
        """Put a plot on the sheet; all in inches, from the left and from the top."""
        axes = self.figure.add_axes((0.0, 0.0, 1.0, 1.0), label=f"axes {len(self._axes)}")
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.tick_params(length=0, pad=2)
        axes.set_xticks([])
        axes.set_yticks([])
        self._axes.append((axes, (left, down, width, height)))
        return axes

    def text(self, left: float, down: float, text: str, **style: Any) -> Text:
        """Write a text whose top left corner is at a place, in inches."""
        more: dict[str, Any] = {"ha": "left", "va": "top", **style}
        size = more.pop("fontsize", None)
        written = self.figure.text(left / self.width, 0, text, **self.style(size, **more))
        self._texts.append((written, down))
        return written

    def paragraph(self, text: str, *, size: float | None = None, **style: Any) -> None:
        """Write a text over the width of the sheet, and go below it."""
        size = self.size if size is None else size
        for line in self.wrapped(text, self.width - 2 * _MARGIN, size):
            self.text(_MARGIN, self.down, line, fontsize=size, **style)
            self.down += self.line_height(size)

    def heading(self, text: str) -> None:
        """Write a title over the width of the sheet, and go below it."""
        # The fonts for other scripts have no bold letters, mostly.
        weight = "bold" if text.isascii() else "normal"
        self.paragraph(text, size=self.size + 1, fontweight=weight)

    def finish(self) -> Figure:
        """Give everything its place, now that the height is known."""
        height = self.down + _MARGIN
        self.figure.set_size_inches(self.width, height)
        for axes, (left, down, width, tall) in self._axes:
            bottom = height - down - tall
            axes.set_position(
                (left / self.width, bottom / height, width / self.width, tall / height)
            )
        for text, down in self._texts:
            text.set_y(1 - down / height)
        return self.figure
