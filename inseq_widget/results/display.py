"""The one door from results up to the rooms that draw them.

Results know no widget and no renderer; these methods import them when they are called.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inseq_widget.explore.protocol import Theme
    from inseq_widget.results.output import FeatureAttributionOutput
    from inseq_widget.widget import AttributionWidget


class Shows:
    """Gives an output, or one sequence of it, its pictures: live, static and in a terminal."""

    def _as_output(self) -> FeatureAttributionOutput:
        raise NotImplementedError

    def widget(self, *, theme: Theme = "auto") -> AttributionWidget:
        """Make a live heatmap.

        Parameters
        ----------
        theme : {"auto", "light", "dark"}, default "auto"
            ``"auto"`` follows the notebook.

        Returns
        -------
        AttributionWidget
            Its ``selection`` is what is pinned.
        """
        from inseq_widget.widget import AttributionWidget

        return AttributionWidget(self._as_output(), theme=theme)

    def show(self) -> None:
        """Print the heatmaps in the terminal, coloured where it has colours."""
        from inseq_widget.render import print_heatmaps

        print_heatmaps(self._as_output())

    def to_html(self, path: str | PathLike[str] | None = None, *, title: str | None = None) -> str:
        """Write the heatmaps as one HTML file that needs neither kernel nor network.

        Parameters
        ----------
        path : path-like, optional
            Where to write the page.
        title : str, optional
            Title of the page; the method and the model by default.

        Returns
        -------
        str
            The page.
        """
        from inseq_widget.render import standalone_page

        page = standalone_page([self._as_output()], title=title)
        if path is not None:
            Path(path).write_text(page, encoding="utf-8")
        return page

    def _ipython_display_(self) -> None:
        from inseq_widget.widget import display_output

        display_output(self._as_output())
