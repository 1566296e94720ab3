"""A live heatmap as a user sees and touches it, in whatever page it stands."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from playwright.sync_api import Locator, expect

Modifier = Literal["Alt", "Control", "ControlOrMeta", "Meta", "Shift"]
Colour = tuple[int, int, int]


class Figure:
    """One drawing of a widget.

    Parameters
    ----------
    root : Locator
        The element with the class ``inseq-widget-live``.
    """

    def __init__(self, root: Locator) -> None:
        self.root = root
        self.text = root.locator("[data-part=text]")
        self.matrix = root.locator("[data-part=matrix]")
        self.cells = root.locator("canvas[data-part=cells]")
        self.map = root.locator("canvas[data-part=map]")
        self.strip = root.locator("[data-part=strip] .strip-bars")
        self.tooltip = root.locator("[data-part=tooltip]")
        self.alternatives = root.locator("[data-part=alternatives]")

    def wait_until_drawn(self) -> None:
        """Wait until text and matrix are there."""
        expect(self.root).to_have_attribute("data-state", "ready")
        expect(self.cells).to_have_attribute("data-cell-width", re.compile(r"\d"))

    def step(self, step: int) -> Locator:
        """Return the span of a generated token."""
        return self.text.locator(f"[data-step='{step}']")

    def input(self, place: int) -> Locator:
        """Return the span of an input token."""
        return self.text.locator(f"[data-input='{place}']")

    def expect_pinned(self, steps: Sequence[int] = (), inputs: Sequence[int] = ()) -> None:
        """Wait until exactly these tokens are marked as pinned."""
        pinned = self.text.locator("[data-mark~='pinned']")
        tokens = [self.step(step) for step in steps] + [self.input(place) for place in inputs]
        expect(pinned).to_have_count(len(tokens))
        for token in tokens:
            expect(token).to_have_attribute("data-mark", re.compile(r"\bpinned\b"))

    def part(self, name: str) -> Locator:
        """Return a part of the figure by its name."""
        return self.root.locator(f"[data-part={name}]")

    def geometry(self) -> dict[str, str]:
        """Read where the matrix has its cells, after the frame that is under way."""
        data: dict[str, str] = self.cells.evaluate(
            """canvas => new Promise(done => requestAnimationFrame(() =>
                requestAnimationFrame(() => done({ ...canvas.dataset }))))"""
        )
        return data

    def shown_inputs(self) -> list[int]:
        """Return the inputs that the matrix shows, in the order of its rows."""
        return [int(place) for place in self.geometry()["rows"].split()]

    def shade(self, token: Locator) -> Colour:
        """Read the background colour of a token back."""
        return as_colour(token.evaluate("element => getComputedStyle(element).backgroundColor"))

    def cell_colour(self, row: int, column: int) -> Colour:
        """Read the colour in the middle of a cell of an input and a step from the canvas."""
        x, y = self.cell_centre(row, column)
        red, green, blue = self.cells.evaluate(
            """(canvas, [x, y]) => {
                const ratio = canvas.width / canvas.getBoundingClientRect().width;
                const context = canvas.getContext("2d");
                return [...context.getImageData(x * ratio, y * ratio, 1, 1).data.slice(0, 3)];
            }""",
            [x, y],
        )
        return red, green, blue

    def cell_centre(self, row: int, column: int) -> tuple[float, float]:
        """Give the middle of a cell of an input and a step, in CSS pixels from the corner."""
        data = self.geometry()
        row = data["rows"].split().index(str(row))
        width, height = float(data["cellWidth"]), float(data["cellHeight"])
        groups = [group.split(":") for group in data["rowTops"].split()]
        start, top = max((int(start), float(top)) for start, top in groups if int(start) <= row)
        x = float(data["originX"]) + (column + 0.5) * width - float(data["scrollX"])
        y = top + (row - start + 0.5) * height - float(data["scrollY"])
        return x, y

    def hover_cell(self, row: int, column: int) -> None:
        """Point at a cell of the matrix."""
        x, y = self.cell_centre(row, column)
        self.matrix.hover(position={"x": x, "y": y})

    def click_cell(self, row: int, column: int, *modifiers: Modifier) -> None:
        """Click a cell of the matrix."""
        x, y = self.cell_centre(row, column)
        self.matrix.click(position={"x": x, "y": y}, modifiers=modifiers)

    def bar_centre(self, step: int, count: int) -> tuple[float, float]:
        """Give the middle of a bar of the strip of step scores, in CSS pixels of the window."""
        box = self.strip.locator("svg").bounding_box()
        assert box is not None
        return box["x"] + (step + 0.5) / count * box["width"], box["y"] + box["height"] / 2

    def leave(self) -> None:
        """Point at nothing."""
        self.root.page.mouse.move(1, 1)
        expect(self.tooltip).to_have_attribute("data-open", "false")


def as_colour(css: str) -> Colour:
    """Read ``rgb(…)`` or ``rgba(…)``.

    Raises
    ------
    ValueError
        For a colour in another notation.
    """
    numbers = re.fullmatch(r"rgba?\((\d+), (\d+), (\d+)(?:, [\d.]+)?\)", css)
    if numbers is None:
        raise ValueError(f"{css!r} is no rgb colour")
    red, green, blue = map(int, numbers.groups())
    return red, green, blue


def luminance(colour: Colour) -> float:
    """Give the relative luminance, 0 to 1 (WCAG 2.2, definition of relative luminance)."""
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (channel / 255 for channel in colour)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
