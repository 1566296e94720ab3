"""Heatmaps in a terminal: the running text and the matrix, in colour where there is colour."""

from __future__ import annotations

import os
import unicodedata
from itertools import groupby

import numpy as np
import numpy.typing as npt
from rich.cells import cell_len
from rich.console import Console
from rich.style import Style
from rich.text import Text

from inseq_widget.explore.figure import make_figure
from inseq_widget.explore.protocol import FigureSpec, SequenceSpec
from inseq_widget.render.colours import Appearance, readable_ink, table
from inseq_widget.render.headline import headline, opening, provenance, size, text_blocks
from inseq_widget.render.numbers import MINUS, power_of_ten, tenfold
from inseq_widget.render.scale import Scale
from inseq_widget.render.view import PLAIN, Look, View, views_of
from inseq_widget.render.visible import shown, visible_label, visible_text
from inseq_widget.results import FeatureAttributionOutput

_CELL = 4  # "−99 " is as wide as a cell gets
_LONGEST_ROW_LABEL = 16
_TALLEST_COLUMN_LABEL = 12
_LEAST_MARKED = 0.25  # of the scale: what brackets mark in a text without colours
_MISSING = "·"


def print_heatmaps(
    output: FeatureAttributionOutput, *, look: Look = PLAIN, console: Console | None = None
) -> None:
    """Print the heatmaps of a result.

    Parameters
    ----------
    output : FeatureAttributionOutput
    look : Look
        What of it, and how.
    console : rich.console.Console, optional
        Where to print; standard output by default. Without colours the numbers in the cells tell
        what the colours would, and brackets mark the tokens of the text that matter most.
    """
    console = console or Console(highlight=False)
    figure = make_figure(output)
    print_heading(console, figure.spec)
    views = views_of(figure, look)
    for number, view in enumerate(views):
        print_which(console, view.sequence, number, len(views))
        painter = Painter(console, view)
        console.print()
        painter.print_text()
        painter.print_matrix()
        painter.print_legend()


def print_heading(console: Console, spec: FigureSpec) -> None:
    """Print what is explained, of which model."""
    console.print(Text(headline(spec), style="bold"), Text(f"  {provenance(spec)}", style="dim"))
    if not spec["sequences"]:
        console.print("No text was attributed.")


def print_which(console: Console, sequence: SequenceSpec, number: int, of: int) -> None:
    """Print which of several texts comes next."""
    if of > 1:
        name = Text(f"\nText {number + 1} of {of}: ", style="bold")
        console.print(name + Text(opening(sequence)))


def is_coloured(console: Console) -> bool:
    """Say whether colours are seen: not in a file, and not where ``NO_COLOR`` is set."""
    return console.color_system is not None and not console.no_color


class Painter:
    """Prints one sequence.

    Parameters
    ----------
    console : rich.console.Console
    view : View
    """

    def __init__(self, console: Console, view: View) -> None:
        self.console = console
        self.view = view
        self.scale = view.scale
        self.fills = table(view.scale.signed, _appearance())
        self.coloured = is_coloured(console)
        largest = np.abs(view.values[~np.isnan(view.values)])
        self.exponent = tenfold(float(largest.max())) if largest.size else 0

    def style(self, value: float, scale: Scale) -> Style:
        """Give the colours of a number; none without colours, for nothing, and where missing."""
        if not self.coloured or np.isnan(value) or value == 0:
            return Style.null()
        (entry,) = scale.places(np.array([value]))
        fill = self.fills[entry]
        return Style(color=readable_ink(fill), bgcolor=fill)

    def print_text(self) -> None:
        """Print the running text, each token in the colour of its mean."""
        means = self.view.means
        present = np.abs(means[~np.isnan(means)])
        largest = float(present.max()) if present.size else 0.0
        scale = Scale(-largest if self.scale.signed else 0.0, largest or 1.0, self.scale.signed)
        mean_of = dict(zip(self.view.sequence["inputs"], means.tolist(), strict=True))
        for name, tokens in text_blocks(self.view.sequence):
            line = Text(f"{name}: ", style="bold", end="\n")
            for at, token in tokens:
                self.append(line, visible_text(token), mean_of.get(at, float("nan")), scale)
            self.console.print(line, soft_wrap=False)
        unit = "share" if self.view.shares else "score"
        most = self.view.written(largest)
        self.console.print(
            Text(f"Tokens: mean {unit} over all steps, {most} at most.", style="dim")
        )

    def append(self, line: Text, read: str, value: float, scale: Scale) -> None:
        """Append a token to a line of running text; brackets mark it where colours cannot."""
        if not self.coloured and abs(scale.strength(value)) >= _LEAST_MARKED:
            body = read.strip()
            read = read.replace(body, f"[{body}]", 1) if body else f"[{read}]"
        line.append(read, Style(bold=False) + self.style(value, scale))

    def print_matrix(self) -> None:
        """Print inputs by steps, in blocks of as many steps as the width has place for."""
        rows = [visible_label(token, _LONGEST_ROW_LABEL) for token in self.view.row_tokens]
        columns = [visible_label(token) for token in self.view.column_tokens]
        margin = max(map(cell_len, rows), default=0) + 1
        across = max(1, (self.console.width - margin) // _CELL)
        for start in range(0, len(columns), across):
            block = slice(start, start + across)
            self.console.print()
            for line in _stacked(columns[block]):
                self.console.print(
                    Text(" " * margin + "".join(map(_centred, line))), no_wrap=True, crop=True
                )
            for label, values in zip(rows, self.view.values[:, block], strict=True):
                self.console.print(self.row(label, margin, values), no_wrap=True, crop=True)

    def row(self, label: str, margin: int, values: npt.NDArray[np.float64]) -> Text:
        """Write a row of the matrix."""
        line = Text(" " * (margin - 1 - cell_len(label)) + label + " ")
        for value in values:
            text = _MISSING if np.isnan(value) else self.cell(value)
            style = Style(dim=True) if np.isnan(value) else self.style(value, self.scale)
            line.append(f"{text:>3} ", style)
        return line

    def cell(self, value: float) -> str:
        """Write a number in two digits: in percent, or in units of a power of ten."""
        units = value * 100 if self.view.shares else value / 10.0**self.exponent
        return f"{round(units)}".replace("-", MINUS)

    def print_legend(self) -> None:
        """Print what the numbers and colours of the cells mean."""
        view, scale = self.view, self.scale
        label, shape = shown(view.spec["score_label"]), size(view.sequence)
        unit = f" in {power_of_ten(self.exponent)}" if self.exponent else ""
        what = "% of the step's total" if view.shares else f"score{unit}"
        self.console.print(Text(f"\nCells: {what} ({label}), {shape}"))
        if view.left_out:
            self.console.print(Text(view.left_out, style="dim"))
        legend = Text()
        if self.coloured:
            low, high = view.ends
            legend.append(f" {low} ", self.style(scale.low, scale))
            for value in np.linspace(scale.low, scale.high, 9)[1:-1]:
                legend.append("  ", self.style(float(value), scale))
            legend.append(f" {high} ", self.style(scale.high, scale))
            legend.append("  ")
        if view.has_missing:
            legend.append(f"{_MISSING} comes after the step", style="dim")
        if legend:
            self.console.print(legend)


def _appearance() -> Appearance:
    """Guess the terminal's background by the variable that many of them set: ``"15;0"``."""
    background = os.environ.get("COLORFGBG", "").rpartition(";")[2]
    return "light" if background in ("7", "15") else "dark"


def _stacked(labels: list[str]) -> list[list[str]]:
    """Write labels downwards, one beside the other, each ending in the last line."""
    stacks = []
    for label in labels:
        stack = _columns_of(label)
        if len(stack) > _TALLEST_COLUMN_LABEL:
            stack = [*stack[: _TALLEST_COLUMN_LABEL - 1], "⋮"]
        stacks.append(stack)
    height = max(map(len, stacks), default=0)
    padded = [[""] * (height - len(stack)) + stack for stack in stacks]
    return [list(line) for line in zip(*padded, strict=True)]


def _columns_of(label: str) -> list[str]:
    """Split a label into what takes a place of its own: a character with its marks."""
    characters: list[str] = []
    for character, group in groupby(label):
        for _ in group:
            joined = unicodedata.category(character) in ("Mn", "Me", "Mc", "Cf", "Sk")
            if characters and (joined or characters[-1].endswith("\u200d")):
                characters[-1] += character
            else:
                characters.append(character)
    return characters


def _centred(text: str) -> str:
    # Numbers end in a cell's third column, so this is the middle of the widest of them.
    return " " * (3 - cell_len(text)) + text + " "
