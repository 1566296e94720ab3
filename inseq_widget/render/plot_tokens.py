"""Generated tokens with the highlighted text before each, for a paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from inseq_widget.explore.protocol import TokenSpec
from inseq_widget.render.colours import readable_ink, table
from inseq_widget.render.headline import opening
from inseq_widget.render.plot import draw_colour_bar, title_of
from inseq_widget.render.scale import Scale
from inseq_widget.render.sheet import FAINT, INK, WIDTHS, Sheet, own_style
from inseq_widget.render.visible import is_right_to_left, visible_label, visible_text

if TYPE_CHECKING:
    from inseq_widget.render.token_lines import TokenLine, TokenLines

_INDENT = 0.25  # inches
_RIGHT = 0.06  # inches
_PAD = 0.012  # inches, of a shade around its text
_LEADING = 1.15  # of a line's height, so that the shades of two lines stay apart


def tokens_figure(picture: TokenLines) -> Figure:
    """Draw every generated token, and below it the text before it.

    Parameters
    ----------
    picture : TokenLines

    Returns
    -------
    matplotlib.figure.Figure
        As wide as both columns of a paper.

    Raises
    ------
    ValueError
        For a result without texts.
    """
    spec, views = picture.spec_figure.spec, picture.views
    if not views:
        raise ValueError("output: it has no attributed text, so there is nothing to draw.")
    tokens = [token for view in views for token in view.sequence["tokens"]]
    texts = [title_of(spec), *map(visible_text, tokens), *map(visible_label, tokens)]
    with own_style():
        sheet = Sheet(WIDTHS["double"], texts)
        sheet.heading(title_of(spec))
        for number, view in enumerate(views):
            if len(views) > 1:
                sheet.paragraph(f"Text {number + 1} of {len(views)}: {opening(view.sequence)}")
            for line in picture.lines(view):
                _draw_line(sheet, picture, view.scale, line)
            sheet.down += sheet.line_height() / 2
            draw_colour_bar(sheet, view, _INDENT, has_missing=False)
        return sheet.finish()


def _draw_line(sheet: Sheet, picture: TokenLines, scale: Scale, line: TokenLine) -> None:
    sheet.down += sheet.line_height() / 3
    head = _Flow(sheet, 0.04, right_to_left=False)
    label = visible_label(line.token)
    highlight = float("nan") if line.highlight is None else line.highlight
    head.put(f"{line.step} ", float("nan"), scale, color=FAINT)
    head.put(label, highlight, picture.step_scale)
    score = picture.step_score(line)
    head.put(f"  {score}" if score else "", float("nan"), scale, color=FAINT)
    head.end()
    for name, tokens in line.blocks:
        flow = _Flow(sheet, _INDENT, right_to_left=_is_right_to_left(tokens))
        flow.put(f"{name}: ", float("nan"), scale, color=FAINT)
        for token, value, ends in tokens:
            flow.put_lines(visible_text(token), value, scale)
            if ends:
                flow.end()
        flow.end()


def _is_right_to_left(tokens: list[tuple[TokenSpec, float, bool]]) -> bool:
    return is_right_to_left("".join(token["text"] for token, *_ in tokens))


class _Flow:
    """Sets tokens one beside the other, each on its shade, and breaks lines where they are full.

    Parameters
    ----------
    sheet : Sheet
    left : float
        Inches.
    right_to_left : bool
        Whether the tokens begin at the right.
    """

    def __init__(self, sheet: Sheet, left: float, *, right_to_left: bool) -> None:
        self.sheet = sheet
        self.left = left
        self.right_to_left = right_to_left
        self.used = 0.0
        self._axes: Axes | None = None

    def put_lines(self, text: str, value: float, scale: Scale) -> None:
        """Set a token that may have line breaks in it."""
        first, *others = text.split("\n")
        self.put(first, value, scale)
        for other in others:
            self.end()
            self.put(other, value, scale)

    def put(self, text: str, value: float, scale: Scale, color: str = INK) -> None:
        """Set a text; a missing number has no shade."""
        if not text:
            return
        sheet = self.sheet
        # Spaces at the ends count too, and are not measured by themselves.
        bars = sheet.measure("||")
        width = sheet.measure(f"|{text}|") - bars
        if self.used and self.used + width > self._room:
            self.end()
            text = text.lstrip(" ") or text
            width = sheet.measure(f"|{text}|") - bars
        body = text.strip() or text
        lead = 0.0 if body == text else sheet.measure(f"|{text[: text.index(body)]}|") - bars
        ink = sheet.measure(f"|{body}|") - bars
        # What comes first in the text comes at the right of a line from right to left.
        start = self._room - self.used - lead - ink if self.right_to_left else self.used + lead
        axes = self._line()
        if not np.isnan(value) and value != 0:
            (place,) = scale.places(np.array([value]))
            fill = table(scale.signed, "light")[place]
            box = (start - _PAD, 0.02), ink + 2 * _PAD, 0.96
            axes.add_patch(Rectangle(*box, facecolor=fill, linewidth=0))
            color = readable_ink(fill)
        axes.text(start, 0.5, body, **sheet.style(color=color, ha="left", va="center_baseline"))
        self.used += width

    def end(self) -> None:
        """Go to the next line, if anything stands in this one."""
        if self._axes is not None:
            self.sheet.down += _LEADING * self.sheet.line_height()
        self._axes, self.used = None, 0.0

    @property
    def _room(self) -> float:
        return self.sheet.width - self.left - _RIGHT

    def _line(self) -> Axes:
        if self._axes is None:
            height = self.sheet.line_height()
            self._axes = self.sheet.axes(self.left, self.sheet.down, self._room, height)
            self._axes.set(xlim=(0, self._room), ylim=(0, 1))
            self._axes.patch.set_visible(False)
        return self._axes
