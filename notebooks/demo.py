"""Runs the quickstart notebook, prints its heatmaps in the terminal and writes them as one page."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

NOTEBOOKS = Path(__file__).resolve().parent
QUICKSTART = NOTEBOOKS / "quickstart.ipynb"
FOLDER = NOTEBOOKS.parent / "build" / "demo"

# Run in the notebook's kernel after its last cell: everything that it attributed is at hand there.
CLOSING = """
from pathlib import Path as _Path
from rich.console import Console as _Console
from inseq_widget.render import print_heatmaps as _print, standalone_page as _page

_outputs = {{
    id(value): value
    for name, value in list(globals().items())
    if isinstance(value, iw.FeatureAttributionOutput) and not name.startswith("_")
}}.values()
_console = _Console(
    force_terminal={colour!r}, color_system={colour_system!r}, width={width!r},
    force_jupyter=False, highlight=False
)
for _output in _outputs:
    _print(_output, console=_console)
    _console.print()
_Path({page!r}).write_text(_page(list(_outputs), title="Quickstart"), encoding="utf-8")
"""


def run(client: NotebookClient, console: Console) -> None:
    """Run a notebook's cells one by one in the client's kernel, with a bar.

    Raises
    ------
    CellExecutionError
        When a cell fails.
    """
    cells = client.nb.cells
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=len(cells))
        for number, cell in enumerate(cells):
            if cell.source.startswith("#"):
                progress.update(task, description=escape(cell.source.splitlines()[0].lstrip("# ")))
            client.execute_cell(cell, number)
            progress.advance(task)


def show(client: NotebookClient, console: Console, page: Path) -> str:
    """Print the heatmaps and write them to a page; return what the kernel printed."""
    code = CLOSING.format(
        colour=console.is_terminal,
        colour_system=console.color_system,
        width=min(console.width, 120),
        page=str(page),
    )
    cell = nbformat.v4.new_code_cell(code)
    client.nb.cells.append(cell)
    client.execute_cell(cell, len(client.nb.cells) - 1)
    client.nb.cells.pop()
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


def main() -> int:
    """Run the demo as the command line says; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where to write the results")
    parser.add_argument("--save", action="store_true", help="keep the outputs in the notebook")
    given = parser.parse_args()
    console = Console(highlight=False)
    folder = given.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    page, executed = folder / "report.html", folder / QUICKSTART.name
    notebook = nbformat.read(QUICKSTART, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=600,
        store_widget_state=False,
        resources={"metadata": {"path": str(NOTEBOOKS)}},
    )
    with (folder / "kernel.log").open("w") as log, client.setup_kernel(stderr=log):
        try:
            run(client, console)
            sys.stdout.write(show(client, console, page))
        except CellExecutionError as error:
            sys.stderr.write(f"{error}\n")
            return 1
    nbformat.write(notebook, executed)
    if given.save:
        nbformat.write(notebook, QUICKSTART)
    console.print(f"[bold]Report[/]    {page.as_uri()}", soft_wrap=True)
    console.print(f"[bold]Notebook[/]  {executed}", soft_wrap=True)
    console.print("[bold]Live[/]      make lab")
    return 0


if __name__ == "__main__":
    sys.exit(main())
