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

from inseq_widget.explore.figure import Figure, make_figure
from inseq_widget.explore.protocol import SequenceSpec
from inseq_widget.render.colours import Appearance, entries, readable_ink, table
from inseq_widget.render.headline import headline, opening, provenance, size, text_blocks
from inseq_widget.render.numbers import MINUS, percent
from inseq_widget.render.visible import shown, visible_label, visible_text
from inseq_widget.results import FeatureAttributionOutput

_CELL = 4  # "−99 " is as wide as a cell gets
_LONGEST_ROW_LABEL = 16
_TALLEST_COLUMN_LABEL = 12
_LEAST_MARKED = 0.25  # of the scale: what brackets mark in a text without colours
_MISSING = "·"


def print_heatmaps(output: FeatureAttributionOutput, *, console: Console | None = None) -> None:
    """Print the heatmaps of a result.

    Parameters
    ----------
    output : FeatureAttributionOutput
    console : rich.console.Console, optional
        Where to print; standard output by default. Without colours the numbers in the cells tell
        what the colours would, and brackets mark the tokens of the text that matter most.
    """
    console = console or Console(highlight=False)
    figure = make_figure(output)
    spec = figure.spec
    console.print(Text(headline(spec), style="bold"), Text(f"  {provenance(spec)}", style="dim"))
    if not spec["sequences"]:
        console.print("No text was attributed.")
    for number, sequence in enumerate(spec["sequences"]):
        if len(spec["sequences"]) > 1:
            of = f"\nText {number + 1} of {len(spec['sequences'])}: "
            console.print(Text(of, style="bold") + Text(opening(sequence)))
        painter = _Painter(console, figure, number)
        console.print()
        painter.print_text()
        painter.print_matrix()
        painter.print_legend()


class _Painter:
    """Prints one sequence."""

    def __init__(self, console: Console, figure: Figure, number: int) -> None:
        self.console = console
        self.figure = figure
        self.sequence: SequenceSpec = figure.spec["sequences"][number]
        self.signed = figure.spec["signed"]
        self.shares = figure.shares(number)
        self.means = figure.mean_shares(number)
        self.fills = table(self.signed, _appearance())
        self.coloured = console.color_system is not None

    def style(self, share: float, domain: float) -> Style:
        if not self.coloured or np.isnan(share) or share == 0:
            return Style.null()
        (entry,) = entries(np.array([share]), domain, self.signed)
        fill = self.fills[entry]
        return Style(color=readable_ink(fill), bgcolor=fill)

    def print_text(self) -> None:
        present = np.abs(self.means[~np.isnan(self.means)])
        domain = float(present.max()) if present.size else 0.0
        row_of = {token: row for row, token in enumerate(self.sequence["inputs"])}
        for name, tokens in text_blocks(self.sequence):
            line = Text(f"{name}: ", style="bold", end="\n")
            for at, token in tokens:
                share = float(self.means[row_of[at]]) if at in row_of else float("nan")
                read = visible_text(token)
                if not self.coloured and domain > 0 and abs(share) >= _LEAST_MARKED * domain:
                    body = read.strip()
                    read = read.replace(body, f"[{body}]", 1) if body else f"[{read}]"
                line.append(read, Style(bold=False) + self.style(share, domain))
            self.console.print(line, soft_wrap=False)
        self.console.print(
            Text(f"Tokens: mean share over all steps, {percent(domain)} at most.", style="dim")
        )

    def print_matrix(self) -> None:
        tokens = self.sequence["tokens"]
        rows = [visible_label(tokens[at], _LONGEST_ROW_LABEL) for at in self.sequence["inputs"]]
        columns = [visible_label(tokens[step["token"]]) for step in self.sequence["steps"]]
        margin = max(map(cell_len, rows), default=0) + 1
        across = max(1, (self.console.width - margin) // _CELL)
        for start in range(0, len(columns), across):
            block = slice(start, start + across)
            self.console.print()
            for line in _stacked(columns[block]):
                self.console.print(
                    Text(" " * margin + "".join(map(_centred, line))), no_wrap=True, crop=True
                )
            for label, shares in zip(rows, self.shares[:, block], strict=True):
                self.console.print(self.row(label, margin, shares), no_wrap=True, crop=True)

    def row(self, label: str, margin: int, shares: npt.NDArray[np.float64]) -> Text:
        line = Text(" " * (margin - 1 - cell_len(label)) + label + " ")
        for share in shares:
            text = _MISSING if np.isnan(share) else _whole_percent(share)
            style = Style(dim=True) if np.isnan(share) else self.style(share, self.domain)
            line.append(f"{text:>3} ", style)
        return line

    @property
    def domain(self) -> float:
        return self.sequence["domain"]

    def print_legend(self) -> None:
        label = shown(self.figure.spec["score_label"])
        self.console.print(Text(f"\nCells: % of the step's total ({label}), {size(self.sequence)}"))
        legend = Text()
        if self.coloured:
            low = -self.domain if self.signed else 0.0
            legend.append(f" {percent(low)} ", self.style(low, self.domain))
            for share in np.linspace(low, self.domain, 9)[1:-1]:
                legend.append("  ", self.style(float(share), self.domain))
            legend.append(f" {percent(self.domain)} ", self.style(self.domain, self.domain))
            legend.append("  ")
        if np.isnan(self.shares).any():
            legend.append(f"{_MISSING} comes after the step", style="dim")
        if legend:
            self.console.print(legend)


def _appearance() -> Appearance:
    """Guess the terminal's background by the variable that many of them set: ``"15;0"``."""
    background = os.environ.get("COLORFGBG", "").rpartition(";")[2]
    return "light" if background in ("7", "15") else "dark"


def _whole_percent(share: float) -> str:
    return f"{round(share * 100)}".replace("-", MINUS)


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
