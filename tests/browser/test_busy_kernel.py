"""While a cell runs, a newer kernel answers a widget, and an older one makes it wait."""

from __future__ import annotations

from pathlib import Path

import pytest
from figure import Figure
from notebook_page import NotebookPage
from playwright.sync_api import expect

STEP = 3


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """Return a file that a busy cell waits for."""
    return tmp_path / "open"


def keep_busy(notebook: NotebookPage, gate: Path) -> None:
    """Run a cell that ends when the gate is opened, and wait until it runs."""
    notebook.start_code(
        f"import time, pathlib\nwhile not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.05)"
    )
    notebook.page.wait_for_function(
        """() => window.jupyterapp.shell.currentWidget.sessionContext
            .session.kernel.status === "busy" """
    )


@pytest.mark.parametrize("quickstart", ["ipykernel6", "ipykernel7"], indirect=True)
def test_pinning_works_at_once_and_python_has_it_after_the_cell(
    quickstart: NotebookPage, figure: Figure, gate: Path
) -> None:
    keep_busy(quickstart, gate)
    figure.step(STEP).click()
    figure.expect_pinned(steps=[STEP])
    gate.touch()
    quickstart.expect_value(
        "widget.selection.to_state()", {"sequence": 0, "inputs": [], "steps": [STEP]}
    )


@pytest.mark.parametrize("quickstart", ["ipykernel7"], indirect=True)
def test_a_newer_kernel_gives_alternatives_while_a_cell_runs(
    quickstart: NotebookPage, figure: Figure, gate: Path
) -> None:
    keep_busy(quickstart, gate)
    figure.step(STEP).click()
    expect(figure.alternatives.locator(".answer")).to_have_attribute("data-state", "done")
    gate.touch()


@pytest.mark.parametrize("quickstart", ["ipykernel6"], indirect=True)
def test_an_older_kernel_makes_alternatives_wait_and_the_page_says_so(
    quickstart: NotebookPage, figure: Figure, gate: Path
) -> None:
    keep_busy(quickstart, gate)
    figure.step(STEP).click()
    expect(figure.alternatives).to_contain_text("No sign of the kernel yet")
    gate.touch()
    expect(figure.alternatives.locator(".answer")).to_have_attribute("data-state", "done")
