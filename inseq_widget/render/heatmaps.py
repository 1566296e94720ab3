"""The picture of a result that ``show`` gives: the text and the matrix of every sequence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rich.console import Console

from inseq_widget.explore.figure import make_figure
from inseq_widget.render.console import print_heatmaps
from inseq_widget.render.html import static_html_of
from inseq_widget.render.slices import extra_dims, label_of_reduced
from inseq_widget.render.view import PLAIN, Look, views_of
from inseq_widget.results import FeatureAttributionOutput, FeatureAttributionSequenceOutput
from inseq_widget.results.deriving import derived, derived_info

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MatplotlibFigure

    from inseq_widget.results.aggregation import AggregatorInput


@dataclass(frozen=True)
class Heatmaps:
    """The heatmaps of a result.

    Attributes
    ----------
    output : FeatureAttributionOutput
    look : Look

    Raises
    ------
    ValueError
        For a colour scale that the scores cannot have.
    """

    output: FeatureAttributionOutput
    look: Look = PLAIN

    def __post_init__(self) -> None:
        views_of(make_figure(self.output), self.look)

    @property
    def is_plain(self) -> bool:
        """Whether it is what a result looks like without being asked."""
        return self.look == PLAIN

    def print_to(self, console: Console) -> None:
        """Print it in a terminal."""
        print_heatmaps(self.output, look=self.look, console=console)

    def html(self) -> str:
        """Write it as HTML without script, with every number in a table."""
        return static_html_of(make_figure(self.output), self.look, tables=True)

    def figure(self) -> MatplotlibFigure:
        """Draw it for a paper."""
        from inseq_widget.render.plot import heatmap_figure

        return heatmap_figure(self.output, self.look)


def aggregated(
    output: FeatureAttributionOutput,
    aggregator: AggregatorInput,
    do_aggregation: bool,
    arguments: Mapping[str, Any],
) -> FeatureAttributionOutput:
    """Aggregate a result as a picture of it asks.

    Parameters
    ----------
    output : FeatureAttributionOutput
    aggregator : optional
        What :meth:`FeatureAttributionOutput.aggregate` takes.
    do_aggregation : bool
    arguments : mapping
        What the aggregator is given.

    Returns
    -------
    FeatureAttributionOutput
        The result itself, where neither an aggregator nor arguments of one are given.

    Raises
    ------
    ValueError
        For an aggregator that is not to be used.
    """
    if aggregator is None and not arguments:
        return output
    if not do_aggregation:
        given = ", ".join(arguments) if aggregator is None else repr(aggregator)
        raise ValueError(
            f"aggregator, do_aggregation: {given} and False given; leave one out, or call "
            "aggregate() and show what it returns with do_aggregation=False."
        )
    return output.aggregate(aggregator, **arguments)


def reduced_by(output: FeatureAttributionOutput, reduction: str | None) -> FeatureAttributionOutput:
    """Choose another reduction of a result's features.

    Parameters
    ----------
    output : FeatureAttributionOutput
    reduction : str, optional
        Nothing changes by default.

    Returns
    -------
    FeatureAttributionOutput

    Raises
    ------
    ValueError
        For a reduction that is not known, or that needs features that were not kept.
    """
    if reduction is None:
        return output
    sequences = [_reduced(sequence, reduction) for sequence in output]
    signed = any(sequence.info["signed"] for sequence in sequences)
    info = derived_info(output.info, f"reduced by {reduction}")
    info["reduction"], info["signed"] = reduction, signed
    if sequences:
        info["score_label"] = sequences[0].info["score_label"]
    return replace(output, sequence_attributions=sequences, info=info, live_model=None)


def _reduced(
    sequence: FeatureAttributionSequenceOutput, reduction: str
) -> FeatureAttributionSequenceOutput:
    scores = sequence.reduce(reduction)
    info = derived_info(sequence.info, f"reduced by {reduction}")
    info["signed"] = bool((scores < 0).any())
    dims = extra_dims(sequence) if "raw" in sequence.kept else ["feature"]
    reduced = ["feature"] if "feature" in dims else dims
    info["score_label"] = label_of_reduced(info["score_label"], reduction, reduced)
    kept = {name: array.copy() for name, array in sequence.kept.items()}
    return derived(sequence, info, kept, reduction)
