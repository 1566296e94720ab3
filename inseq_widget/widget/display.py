"""Displays a figure twice over: as a picture that is saved, and as the live widget.

The two are outputs of their own, because a page that cannot revive a widget shows an error in place
of an output that has one. A style sheet in the first shows whichever of the two is alive. It names
the elements of JupyterLab, Notebook 7 and nbconvert; in another host both are seen.
"""

from __future__ import annotations

from IPython.display import display

from inseq_widget.explore.figure import Figure
from inseq_widget.progress import in_notebook
from inseq_widget.render.html import static_html_of
from inseq_widget.render.text import top_attributions_of

# Data by mime type, and their metadata.
MimeBundle = tuple[dict[str, object], dict[str, object]]

# The elements of one output; of the static picture; of a widget's view; of ours when it is alive.
_CHILD, _STATIC, _VIEW, _LIVE = (
    ".jp-OutputArea-child",
    ".inseq-static",
    ".jupyter-widgets",
    ".inseq-widget-live",
)
STYLE = (
    f"<style>{_CHILD}:has({_STATIC}):has(+ {_CHILD} {_LIVE}),"
    f"{_CHILD}:has({_STATIC}) + {_CHILD}:has({_VIEW}):not(:has({_LIVE}))"
    "{display:none}</style>"
)


def display_figure(figure: Figure, live: MimeBundle | None) -> None:
    """Display a figure: both ways in a notebook, as a table in a terminal.

    Parameters
    ----------
    figure : Figure
    live : tuple of dict, optional
        What shows the widget; none for a figure without one.
    """
    text = top_attributions_of(figure)
    if not in_notebook():
        print(text)
        return
    display({"text/html": STYLE + static_html_of(figure), "text/plain": text}, raw=True)
    if live is not None:
        data, metadata = live
        display(data, metadata=metadata, raw=True)
