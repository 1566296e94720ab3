"""While a cell runs, a newer kernel answers a widget, and an older one makes it wait."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from figure import Figure
from notebook_page import CELL_COUNT, IS_BUSY, NotebookPage
from playwright.sync_api import expect

# Tokens that no other test pins: an answer that a page has had is not asked for again.
STEP, ASKED_STEP = 5, 6


@contextmanager
def running_cell(notebook: NotebookPage, folder: Path) -> Iterator[None]:
    """Keep a cell running inside the block."""
    gate = folder / "open"
    before = notebook.cell_count()
    notebook.start_code(
        f"import time, pathlib\nwhile not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.05)"
    )
    try:
        notebook.page.wait_for_function(f"() => {IS_BUSY}")
        yield
        assert notebook.is_busy()
    finally:
        gate.touch()
        notebook.page.wait_for_function(f"() => {CELL_COUNT} === {before}")


@pytest.mark.parametrize("quickstart", ["ipykernel6", "ipykernel7"], indirect=True)
def test_pinning_works_at_once_and_python_has_it_after_the_cell(
    quickstart: NotebookPage, figure: Figure, tmp_path: Path
) -> None:
    with running_cell(quickstart, tmp_path):
        figure.step(STEP).click()
        figure.expect_pinned(steps=[STEP])
    quickstart.expect_value("list(widget.selection.steps)", [STEP])


@pytest.mark.parametrize("quickstart", ["ipykernel7"], indirect=True)
def test_a_newer_kernel_gives_alternatives_while_a_cell_runs(
    quickstart: NotebookPage, figure: Figure, tmp_path: Path
) -> None:
    # ipykernel 7.4 takes a page's message to the shell that its widget was last sent from: a page
    # that Python has just spoken to waits once, and is heard while cells run from then on.
    figure.input(0).click()
    quickstart.expect_value("list(widget.selection.inputs)", [0])
    with running_cell(quickstart, tmp_path):
        figure.step(ASKED_STEP).click()
        expect(figure.alternatives.locator(".answer")).to_have_attribute("data-state", "done")


@pytest.mark.parametrize("quickstart", ["ipykernel6"], indirect=True)
def test_an_older_kernel_makes_alternatives_wait_and_the_page_says_so(
    quickstart: NotebookPage, figure: Figure, tmp_path: Path
) -> None:
    with running_cell(quickstart, tmp_path):
        figure.step(ASKED_STEP).click()
        expect(figure.alternatives).to_contain_text("No sign of the kernel yet")
    expect(figure.alternatives.locator(".answer")).to_have_attribute("data-state", "done")
