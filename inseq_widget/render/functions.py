"""Inseq's free functions for pictures: each is a method of a result, too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from inseq_widget.render.slices import Dim, Slices
from inseq_widget.results import FeatureAttributionOutput, FeatureAttributionSequenceOutput

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Attributions = (
    FeatureAttributionOutput
    | FeatureAttributionSequenceOutput
    | Iterable[FeatureAttributionSequenceOutput]
)


def show_attributions(
    attributions: Attributions,
    min_val: float | None = None,
    max_val: float | None = None,
    display: bool = True,
    return_html: bool | None = False,
    return_figure: bool = False,
    max_show_size: int | None = None,
    do_aggregation: bool = True,
) -> str | Figure | None:
    """Show heatmaps: the text and the matrix of every sequence.

    Parameters
    ----------
    attributions : FeatureAttributionOutput, FeatureAttributionSequenceOutput or several of those
        Sequences of one result.
    min_val, max_val, display, return_html, return_figure, max_show_size, do_aggregation
        See :meth:`FeatureAttributionOutput.show`.

    Returns
    -------
    str, matplotlib.figure.Figure or None

    Raises
    ------
    TypeError
        For anything but results.
    ValueError
        See :meth:`FeatureAttributionOutput.show`.
    """
    return _as_output(attributions).show(
        min_val,
        max_val,
        max_show_size,
        display=display,
        return_html=return_html,
        return_figure=return_figure,
        do_aggregation=do_aggregation,
    )


def show_granular_attributions(
    attributions: Attributions,
    max_show_size: int | None = None,
    min_val: float | None = None,
    max_val: float | None = None,
    show_dim: Dim | None = None,
    slice_dims: Slices | None = None,
    display: bool = True,
    return_html: bool | None = False,
    return_figure: bool = False,
) -> str | Figure | None:
    """Show a heatmap for every layer, head or feature.

    Parameters
    ----------
    attributions : FeatureAttributionOutput, FeatureAttributionSequenceOutput or several of those
        Sequences of one result.
    max_show_size, min_val, max_val, show_dim, slice_dims, display, return_html, return_figure
        See :meth:`FeatureAttributionOutput.show_granular`.

    Returns
    -------
    str, matplotlib.figure.Figure or None

    Raises
    ------
    TypeError
        For anything but results.
    ValueError
        See :meth:`FeatureAttributionOutput.show_granular`.
    """
    return _as_output(attributions).show_granular(
        min_val,
        max_val,
        max_show_size,
        show_dim,
        slice_dims,
        display=display,
        return_html=return_html,
        return_figure=return_figure,
    )


def show_token_attributions(
    attributions: Attributions,
    min_val: float | None = None,
    max_val: float | None = None,
    display: bool = True,
    return_html: bool | None = False,
    return_figure: bool = False,
    replace_char: Mapping[str, str] | None = None,
    wrap_after: int | str | Sequence[str] | None = None,
    step_score_highlight: str | None = None,
) -> str | Figure | None:
    """Show one line for every generated token, which opens into the text that it came from.

    Parameters
    ----------
    attributions : FeatureAttributionOutput, FeatureAttributionSequenceOutput or several of those
        Sequences of one result.
    min_val, max_val, display, return_html, return_figure, replace_char, wrap_after, \
step_score_highlight
        See :meth:`FeatureAttributionOutput.show_tokens`.

    Returns
    -------
    str, matplotlib.figure.Figure or None

    Raises
    ------
    TypeError
        For anything but results.
    ValueError
        See :meth:`FeatureAttributionOutput.show_tokens`.
    """
    return _as_output(attributions).show_tokens(
        min_val,
        max_val,
        display=display,
        return_html=return_html,
        return_figure=return_figure,
        replace_char=replace_char,
        wrap_after=wrap_after,
        step_score_highlight=step_score_highlight,
    )


def _as_output(attributions: Attributions) -> FeatureAttributionOutput:
    if isinstance(attributions, FeatureAttributionOutput):
        return attributions
    if isinstance(attributions, FeatureAttributionSequenceOutput):
        attributions = [attributions]
    sequences = list(attributions) if isinstance(attributions, Iterable) else []
    if not sequences or not all(
        isinstance(each, FeatureAttributionSequenceOutput) for each in sequences
    ):
        raise TypeError(
            f"attributions: {type(attributions).__name__} given; what attribute() returns works, "
            "one of its sequences, or a list of them."
        )
    return FeatureAttributionOutput(sequences, sequences[0].info, sequences[0].live_model)
