"""Pictures of the quickstart in both of JupyterLab's themes, for people to look at."""

from __future__ import annotations

from pathlib import Path

import pytest
from figure import Figure
from notebook_page import NotebookPage
from playwright.sync_api import expect

pytestmark = pytest.mark.parametrize("quickstart", ["ipykernel7"], indirect=True)

# A line of a cell of the quickstart, and the name of its picture.
SCENES = {
    "widget = translation.widget()": "translation",
    "completion": "completion",
    "answer": "signed",
}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pictures_are_taken_of_pinned_figures(
    theme: str, quickstart: NotebookPage, pictures: Path
) -> None:
    page = quickstart.page
    before = page.viewport_size
    page.set_viewport_size({"width": 1280, "height": 1800})  # the tallest figure, uncut
    quickstart.run_code("widget.selection = {}")
    quickstart.use_theme(theme)
    for cell, name in SCENES.items():
        figure = Figure(quickstart.output_of(cell))
        figure.wait_until_drawn()
        expect(figure.root.locator(".figure")).to_have_attribute("data-appearance", theme)
        figure.step(1).click()
        expect(figure.alternatives.locator(".answer")).to_have_attribute("data-state", "done")
        figure.click_cell(1, 1)
        figure.leave()
        path = pictures / f"{name}-{theme}.png"
        figure.root.screenshot(path=path)
        assert path.stat().st_size > 10_000
        figure.matrix.press("Escape")
    quickstart.use_theme("light")
    assert before is not None
    page.set_viewport_size(before)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_picture_is_taken_of_the_whole_window(
    theme: str, quickstart: NotebookPage, figure: Figure, pictures: Path
) -> None:
    quickstart.use_theme(theme)
    figure.step(2).click()
    figure.root.scroll_into_view_if_needed()
    figure.step(2).hover()
    expect(figure.tooltip).to_have_attribute("data-open", "true")
    path = pictures / f"jupyterlab-{theme}.png"
    quickstart.page.screenshot(path=path)
    assert path.stat().st_size > 10_000
    quickstart.use_theme("light")
