"""What every picture of a result can do, and how it reaches whoever asked for it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Protocol

from IPython.display import display as ipython_display
from rich.console import Console

from inseq_widget.progress import in_notebook

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MatplotlibFigure

_PLAIN_WIDTH = 100


class Picture(Protocol):
    """A result that is ready to be drawn in any of three ways."""

    def print_to(self, console: Console) -> None:
        """Print it in a terminal."""

    def html(self) -> str:
        """Write it as HTML without script."""

    def figure(self) -> MatplotlibFigure:
        """Draw it for a paper."""


def check_returns(*, return_html: bool | None, return_figure: bool) -> None:
    """Refuse to return two things at once.

    Raises
    ------
    ValueError
    """
    if return_html and return_figure:
        raise ValueError("return_html, return_figure: both given; only one can be returned.")


def deliver(
    picture: Picture, *, display: bool, return_html: bool | None, return_figure: bool
) -> str | MatplotlibFigure | None:
    """Show a picture, and return what was asked for.

    Parameters
    ----------
    picture : Picture
    display : bool
        Show it: as HTML in a notebook, else on standard output.
    return_html, return_figure : bool
        What to return; one of the two at most.

    Returns
    -------
    str, matplotlib.figure.Figure or None

    Raises
    ------
    ValueError
        When both are asked for.
    """
    check_returns(return_html=return_html, return_figure=return_figure)
    html = picture.html() if return_html else None
    if display and in_notebook():
        bundle = {"text/html": html or picture.html(), "text/plain": plain_text(picture)}
        ipython_display(bundle, raw=True)
    elif display:
        picture.print_to(Console(highlight=False))
    return picture.figure() if return_figure else html


def plain_text(picture: Picture) -> str:
    """Print a picture without colours into a text."""
    target = io.StringIO()
    console = Console(
        file=target, width=_PLAIN_WIDTH, color_system=None, force_jupyter=False, highlight=False
    )
    picture.print_to(console)
    return "\n".join(line.rstrip() for line in target.getvalue().splitlines())
