"""The one door from results up to the rooms that draw them.

Results know no widget and no renderer; these methods import them when they are called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from inseq_widget.explore.protocol import Theme
    from inseq_widget.results.aggregation import AggregatorInput
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

    def show(
        self,
        min_val: float | None = None,
        max_val: float | None = None,
        max_show_size: int | None = None,
        show_dim: int | str | None = None,
        slice_dims: Mapping[int | str, int | tuple[int, int]] | None = None,
        display: bool = True,
        return_html: bool | None = False,
        return_figure: bool = False,
        aggregator: AggregatorInput = None,
        do_aggregation: bool = True,
        **kwargs: Any,
    ) -> str | Figure | None:
        """Show the heatmaps: live in a notebook, printed in a terminal.

        Parameters
        ----------
        min_val, max_val : float, optional
            Ends of the colour scale, in the unit of what is shown: shares of a step's total, as
            parts of 1, or scores. Beyond them the colour stays the same. A scale of scores with
            a sign stays symmetric around 0.
        max_show_size : int, optional
            How many rows and how many columns a matrix may have: the inputs with the largest
            numbers, and the first steps. What is hidden is counted below it.
        show_dim : int or str, optional
            Show every layer, head or feature, see :meth:`show_granular`.
        slice_dims : mapping, optional
            Layers, heads or features to pick before the rest is reduced, see
            :meth:`show_granular`.
        display : bool, default True
            Show them; otherwise they are only returned.
        return_html : bool, default False
            Return them as HTML without script, with every number in a table.
        return_figure : bool, default False
            Return them as a figure of matplotlib, see :meth:`savefig`.
        aggregator : optional
            What to aggregate with first, see :meth:`aggregate`; nothing by default.
        do_aggregation : bool, default True
            Reduce features, layers and heads, and show each score as a share of its step's total
            magnitude. Otherwise the scores are shown as they are: those of layers and heads as in
            :meth:`show_granular`.
        **kwargs
            Arguments of the aggregator.

        Returns
        -------
        str, matplotlib.figure.Figure or None
            Nothing, unless it is asked for. A figure has all sequences below each other.

        Raises
        ------
        ValueError
            For ends of a colour scale that the scores cannot have, for a dimension that they do
            not have, for arguments of an aggregator that is not used, and when two things are to
            be returned.

        Notes
        -----
        In a notebook the heatmap is live unless its colours or its size are limited or its scores
        are shown as they are: then it is the static picture.
        """
        from inseq_widget.progress import in_notebook
        from inseq_widget.render.heatmaps import Heatmaps, aggregated
        from inseq_widget.render.picture import check_returns, deliver
        from inseq_widget.render.slices import extra_dims, sliced
        from inseq_widget.render.view import Look
        from inseq_widget.widget import display_output

        check_returns(return_html=return_html, return_figure=return_figure)
        look = Look(min_val, max_val, max_show_size, shares=do_aggregation)
        output = aggregated(self._as_output(), aggregator, do_aggregation, kwargs)
        if show_dim is not None or (
            not do_aggregation and any(map(extra_dims, sliced(output, slice_dims)))
        ):
            return output.show_granular(
                min_val,
                max_val,
                max_show_size,
                show_dim,
                slice_dims,
                display=display,
                return_html=return_html,
                return_figure=return_figure,
            )
        heatmaps = Heatmaps(sliced(output, slice_dims), look)
        if display and heatmaps.is_plain and in_notebook():
            display_output(heatmaps.output)
            display = False
        return deliver(
            heatmaps, display=display, return_html=return_html, return_figure=return_figure
        )

    def show_granular(
        self,
        min_val: float | None = None,
        max_val: float | None = None,
        max_show_size: int | None = None,
        show_dim: int | str | None = None,
        slice_dims: Mapping[int | str, int | tuple[int, int]] | None = None,
        display: bool = True,
        return_html: bool | None = False,
        return_figure: bool = False,
    ) -> str | Figure | None:
        """Show a heatmap for every layer, head or feature, all on one colour scale.

        In a notebook they are small pictures side by side, and each opens into its labelled
        heatmap. In a terminal it is a table of them, and the heatmap of the strongest.

        Parameters
        ----------
        min_val, max_val : float, optional
            Ends of the colour scale, see :meth:`show`; scores are shown as they are.
        max_show_size : int, optional
            How many pictures there may be, 48 by default, and how many rows and columns each has.
            Those with the largest scores are shown, and the rest is counted.
        show_dim : int or str, optional
            What is shown side by side: ``"layer"``, ``"head"`` or ``"feature"``, under Inseq's
            names ``"Model Layer"``, ``"Attention Head"`` and ``"Embedding Dimension"`` too, or
            the number of the dimension, where 2 is the first after inputs and steps. By default
            the first that the scores have. Other dimensions are reduced.
        slice_dims : mapping, optional
            What to pick beforehand: by dimension a place or ``(start, end)``, for example
            ``{"layer": 3}`` or ``{"Attention Head": (0, 4)}``.
        display, return_html, return_figure
            See :meth:`show`.

        Returns
        -------
        str, matplotlib.figure.Figure or None

        Raises
        ------
        ValueError
            For a dimension or a place that the scores do not have, and see :meth:`show`.
        """
        from inseq_widget.render.granular import Granular
        from inseq_widget.render.picture import check_returns, deliver
        from inseq_widget.render.view import Look

        check_returns(return_html=return_html, return_figure=return_figure)
        look = Look(min_val, max_val, max_show_size, shares=False)
        return deliver(
            Granular(self._as_output(), look, show_dim, slice_dims),
            display=display,
            return_html=return_html,
            return_figure=return_figure,
        )

    def show_tokens(
        self,
        min_val: float | None = None,
        max_val: float | None = None,
        display: bool = True,
        return_html: bool | None = False,
        return_figure: bool = False,
        replace_char: Mapping[str, str] | None = None,
        wrap_after: int | str | Sequence[str] | None = None,
        step_score_highlight: str | None = None,
        aggregator: AggregatorInput = None,
        do_aggregation: bool = True,
        **kwargs: Any,
    ) -> str | Figure | None:
        """Show one line for every generated token, which opens into the text that it came from.

        Parameters
        ----------
        min_val, max_val, display, return_html, return_figure
            See :meth:`show`.
        replace_char : mapping of str to str, optional
            What is written in the place of what, in every token.
        wrap_after : int, str or sequence of str, optional
            Where the text of an opened line is broken: after so many tokens each, or after tokens
            of such texts. ``".!?"`` means each of its marks.
        step_score_highlight : str, optional
            The step score that colours the generated tokens.
        aggregator, do_aggregation, **kwargs
            See :meth:`show`.

        Returns
        -------
        str, matplotlib.figure.Figure or None

        Raises
        ------
        ValueError
            For a step score that the result does not have, and see :meth:`show`.
        """
        from inseq_widget.render.heatmaps import aggregated
        from inseq_widget.render.picture import check_returns, deliver
        from inseq_widget.render.token_lines import TokenLines
        from inseq_widget.render.view import Look

        check_returns(return_html=return_html, return_figure=return_figure)
        look = Look(min_val, max_val, shares=do_aggregation)
        lines = TokenLines(
            aggregated(self._as_output(), aggregator, do_aggregation, kwargs),
            look,
            replace_char=replace_char,
            wrap_after=wrap_after,
            step_score_highlight=step_score_highlight,
        )
        return deliver(lines, display=display, return_html=return_html, return_figure=return_figure)

    def savefig(
        self,
        path: str | PathLike[str],
        *,
        format: str | None = None,
        width: float | str | None = None,
        title: str | None = None,
        reduction: str | None = None,
        step_scores: Sequence[str] = (),
        min_val: float | None = None,
        max_val: float | None = None,
        max_show_size: int | None = None,
        aggregator: AggregatorInput = None,
        do_aggregation: bool = True,
        font: str | None = None,
        font_size: float = 7.0,
        dpi: float = 300,
        **kwargs: Any,
    ) -> None:
        """Write the heatmaps as a picture for a paper.

        Parameters
        ----------
        path : path-like
        format : {"svg", "pdf", "png"}, optional
            By default the ending of the path. In SVG and PDF cells are vectors and text is text.
        width : float, "single" or "double", optional
            Inches, or 3.3 for one column of a paper and 6.9 for both. By default one column for
            24 steps at most, else both. The height follows.
        title : str, optional
            Method and model by default; ``""`` for none.
        reduction : str, optional
            Another reduction of features than the result's own, such as ``"sum"``.
        step_scores : sequence of str
            Step scores to draw as bars below the matrix.
        min_val, max_val, max_show_size, aggregator, do_aggregation, **kwargs
            See :meth:`show`.
        font : str, optional
            Family of the letters, DejaVu Sans by default. What it has no letters for is taken
            from the fonts for other scripts that are installed.
        font_size : float, default 7
            Points. Labels become smaller where cells do.
        dpi : float, default 300
            Pixels of an inch, for PNG.

        Raises
        ------
        ValueError
            For another format, width, font, reduction or step score than there is, for a result
            without texts, and see :meth:`show`.

        Notes
        -----
        The same result gives the same file: there is no date in it.
        """
        from inseq_widget.render.heatmaps import aggregated, reduced_by
        from inseq_widget.render.plot import heatmap_figure
        from inseq_widget.render.sheet import checked_format, save
        from inseq_widget.render.view import Look

        form = checked_format(path, format)
        look = Look(min_val, max_val, max_show_size, shares=do_aggregation)
        output = reduced_by(self._as_output(), reduction)
        figure = heatmap_figure(
            aggregated(output, aggregator, do_aggregation, kwargs),
            look,
            width=width,
            title=title,
            step_scores=step_scores,
            font=font,
            font_size=font_size,
        )
        save(figure, path, form, dpi)

    def to_html(
        self,
        path: str | PathLike[str] | None = None,
        *,
        title: str | None = None,
        interactive: bool = True,
    ) -> str:
        """Write the heatmaps as one HTML file that needs neither kernel nor network.

        Parameters
        ----------
        path : path-like, optional
            Where to write the page.
        title : str, optional
            Title of the page; the method and the model by default.
        interactive : bool, default True
            With hovering and pinning. Otherwise the page has no script: pictures, and every
            number in a table.

        Returns
        -------
        str
            The page.
        """
        from inseq_widget.render import standalone_page, static_page

        write = standalone_page if interactive else static_page
        page = write([self._as_output()], title=title)
        if path is not None:
            Path(path).write_text(page, encoding="utf-8")
        return page

    def _ipython_display_(self) -> None:
        from inseq_widget.widget import display_output

        display_output(self._as_output())
