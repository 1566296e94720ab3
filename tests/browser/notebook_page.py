"""A notebook in JupyterLab as a user drives it: open, run, look, restart."""

from __future__ import annotations

import json
import time
from pathlib import Path

import nbformat
from lab import Lab
from playwright.sync_api import Locator, Page

# A notebook's run is waited for with this; everything else answers in Playwright's default time.
RUN_TIMEOUT_MS = 180_000

_RUN_CODE = """
async code => {
    const { commands, shell } = window.jupyterapp;
    const notebook = shell.currentWidget.content;
    notebook.activeCellIndex = notebook.widgets.length - 1;
    await commands.execute("notebook:insert-cell-below");
    notebook.activeCell.model.sharedModel.setSource(code);
    const cell = notebook.activeCell;
    await commands.execute("notebook:run-cell");
    const outputs = cell.model.outputs.toJSON();
    notebook.activeCellIndex = notebook.widgets.indexOf(cell);
    await commands.execute("notebook:delete-cell");
    return outputs.map(output => [output.output_type, output.text ?? output.traceback ?? ""]);
}
"""

# Cells run and wait on the kernel's main shell, whatever its other threads answer meanwhile.
IS_BUSY = """window.jupyterapp.shell.currentWidget.content.widgets
    .some(cell => cell.model.executionState === "running")"""

CELL_COUNT = "window.jupyterapp.shell.currentWidget.content.widgets.length"

_ERRORS = """
() => window.jupyterapp.shell.currentWidget.content.widgets
    .flatMap(cell => cell.model.outputs?.toJSON() ?? [])
    .filter(output => output.output_type === "error")
    .map(output => output.traceback.join("\\n"))
"""


def write_notebook(lab: Lab, name: str, kernel: str, cells: list[str] | Path) -> Path:
    """Put a notebook, of code cells or read from a file, into the server's folder for a kernel."""
    if isinstance(cells, Path):
        notebook = nbformat.read(cells, as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
    else:
        new_cell = nbformat.v4.new_code_cell
        notebook = nbformat.v4.new_notebook(cells=[new_cell(source) for source in cells])
    notebook.metadata["kernelspec"] = {"name": kernel, "display_name": kernel, "language": "python"}
    path = lab.folder / name
    nbformat.write(notebook, path)
    return path


class NotebookPage:
    """One notebook, open in one browser page."""

    def __init__(self, page: Page, lab: Lab) -> None:
        self.page = page
        self.lab = lab

    def open(self, path: Path) -> None:
        """Open a notebook of the server's folder and wait for its kernel."""
        self.page.goto(f"{self.lab.url}/lab/tree/{path.name}?reset")
        self.wait_until_open()

    def reload(self) -> None:
        """Load the page again, as the browser's button does."""
        self.page.reload()
        self.wait_until_open()

    def wait_until_open(self) -> None:
        """Wait until the notebook is drawn and its kernel answers."""
        self.page.wait_for_function(
            """() => {
                const app = window.jupyterapp;
                if (!app?.commands.hasCommand("notebook:run-all-cells")) return false;
                const panel = app.shell.currentWidget;
                return panel?.context?.isReady && panel.content.widgets.length > 0
                    && panel.sessionContext?.isReady;
            }"""
        )
        self.page.evaluate(
            """async () => {
                const { sessionContext } = window.jupyterapp.shell.currentWidget;
                await sessionContext.session.kernel.info;
            }"""
        )

    def command(self, name: str, arguments: dict[str, object] | None = None) -> None:
        """Execute a command of JupyterLab and wait until it is done."""
        self.page.evaluate(
            "([name, args]) => window.jupyterapp.commands.execute(name, args).then(() => null)",
            [name, arguments or {}],
        )

    def run_all(self) -> None:
        """Run all cells.

        Raises
        ------
        AssertionError
            When one fails; the message is its traceback.
        """
        self.page.set_default_timeout(RUN_TIMEOUT_MS)
        self.command("notebook:run-all-cells")
        self.page.set_default_timeout(30_000)
        errors = self.page.evaluate(_ERRORS)
        assert not errors, "\n".join(errors)

    def start_code(self, code: str) -> None:
        """Run code in a new cell at the end without waiting for it."""
        self.page.evaluate(f"code => {{ ({_RUN_CODE})(code); }}", code)

    def cell_count(self) -> int:
        """Return the number of cells."""
        return int(self.page.evaluate(CELL_COUNT))

    def is_busy(self) -> bool:
        """Say whether a cell runs."""
        return bool(self.page.evaluate(IS_BUSY))

    def run_code(self, code: str) -> str:
        """Run code in a new cell at the end and return what it printed.

        Raises
        ------
        AssertionError
            When it fails; the message is its traceback.
        """
        outputs = self.page.evaluate(_RUN_CODE, code)
        for kind, text in outputs:
            assert kind != "error", "\n".join(text)
        return "".join("".join(text) for kind, text in outputs if kind == "stream")

    def values(self, *expressions: str) -> list[object]:
        """Evaluate expressions in the kernel; their values cross as JSON."""
        code = f"import json; print(); print(json.dumps([{', '.join(expressions)}]))"
        values = json.loads(self.run_code(code).splitlines()[-1])
        assert isinstance(values, list)
        return values

    def value(self, expression: str) -> object:
        """Evaluate an expression in the kernel; its value crosses as JSON."""
        return self.values(expression)[0]

    def output_of(self, line: str) -> Locator:
        """Return the live widget under the one cell that has this line in its source."""
        numbers = self.page.evaluate(
            """line => window.jupyterapp.shell.currentWidget.content.widgets.flatMap((cell, at) =>
                cell.model.sharedModel.source.split("\\n").includes(line) ? [at] : [])""",
            line,
        )
        assert len(numbers) == 1, f"{line!r} is a line of {len(numbers)} cells"
        return (
            self.page.locator(".jp-Notebook .jp-Cell").nth(numbers[0]).locator(".inseq-widget-live")
        )

    def expect_value(self, expression: str, expected: object) -> None:
        """Wait until an expression has a value in the kernel.

        A message of a widget may reach a newer kernel on another thread than the cell's.

        Raises
        ------
        AssertionError
            When it has another value to the end.
        """
        deadline = time.monotonic() + 10
        while (value := self.value(expression)) != expected and time.monotonic() < deadline:
            pass
        assert value == expected, f"{expression} is {value}, not {expected}"

    def use_theme(self, theme: str) -> None:
        """Switch JupyterLab to its ``"light"`` or ``"dark"`` theme."""
        self.command("apputils:change-theme", {"theme": f"JupyterLab {theme.title()}"})
        is_light = json.dumps(str(theme == "light").lower())
        self.page.wait_for_function(f"() => document.body.dataset.jpThemeLight === {is_light}")

    def save(self) -> None:
        """Save the notebook."""
        self.command("docmanager:save")

    def restart_kernel(self) -> None:
        """Restart the kernel, without the question that the menu asks first."""
        self.page.evaluate(
            """async () => {
                const { sessionContext } = window.jupyterapp.shell.currentWidget;
                await sessionContext.session.kernel.restart();
                await sessionContext.session.kernel.info;
            }"""
        )

    def shut_down(self) -> None:
        """Shut the kernel down."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
