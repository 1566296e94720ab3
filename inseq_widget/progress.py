"""The one progress mechanism: a bar with an estimate, in a terminal or in a notebook."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape

from IPython.core.getipython import get_ipython
from IPython.display import DisplayHandle
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Advance = Callable[[float], None]

_NOTEBOOK_SECONDS = 0.1  # a notebook redraws no more often than that


def in_notebook() -> bool:
    """Say whether output goes to a notebook rather than to a terminal."""
    shell = get_ipython()
    return shell is not None and getattr(shell, "kernel", None) is not None


@contextmanager
def progress_bar(
    description: str, total: float, *, show: bool, pretty: bool = True
) -> Iterator[Advance]:
    """Show how far a piece of work is, and when it will be done.

    The bar goes away when the block ends, however it ends: nothing of it stays in a saved
    notebook.

    Parameters
    ----------
    description : str
    total : float
        The work in all, in the unit of what is reported.
    show : bool
        Whether to show anything.
    pretty : bool, default True
        Whether it is drawn and coloured; a line of text otherwise.

    Yields
    ------
    callable
        To be told how much more has been done.
    """
    if not show:
        yield lambda _: None
    elif in_notebook():
        yield from _notebook_bar(description, total, pretty)
    else:
        console = Console(stderr=True, no_color=None if pretty else True)
        columns = (
            TextColumn("{task.description}"),
            *([BarColumn()] if pretty else []),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with Progress(
            *columns, console=console, transient=True, disable=not console.is_terminal
        ) as bar:
            task = bar.add_task(description, total=total)
            yield lambda amount: bar.advance(task, amount)


def _notebook_bar(description: str, total: float, pretty: bool) -> Iterator[Advance]:
    handle = DisplayHandle()
    start, done, drawn = time.monotonic(), 0.0, 0.0

    def draw(first: bool = False) -> None:
        elapsed = time.monotonic() - start
        left = f"{elapsed * (total - done) / done:.0f} s left" if done else "estimating"
        bundle = {"text/plain": f"{description}: {done / total:.0%}, {left}"}
        if pretty:
            bundle["text/html"] = (
                f"<label>{escape(description)} <progress max='{total}' value='{done:.4f}'>"
                f"</progress> {elapsed:.0f} s, {left}</label>"
            )
        if first:
            handle.display(bundle, raw=True)
        else:
            handle.update(bundle, raw=True)

    def advance(amount: float) -> None:
        nonlocal done, drawn
        done += amount
        if time.monotonic() - drawn > _NOTEBOOK_SECONDS:
            drawn = time.monotonic()
            draw()

    draw(first=True)
    try:
        yield advance
    finally:
        handle.update({"text/html": "", "text/plain": ""}, raw=True)
