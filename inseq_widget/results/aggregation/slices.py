"""The aggregator "slices": keeps some inputs, and every generated token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
import xarray as xr

from inseq_widget.results.aggregation.base import Aggregator, register_aggregator
from inseq_widget.results.aggregation.changes import n_rows, remade
from inseq_widget.results.aggregation.spans import Span, given_spans
from inseq_widget.results.deriving import renumbered
from inseq_widget.results.labelling import relabelled
from inseq_widget.results.reductions import Starts

if TYPE_CHECKING:
    from inseq_widget.results.sequence import FeatureAttributionSequenceOutput


@register_aggregator
@dataclass(kw_only=True)
class SliceAggregator(Aggregator):
    """Keeps the inputs of given spans, and every generated token; drops the others.

    Scores stay what they are: shares do not sum to 1 any more.

    Parameters
    ----------
    source_spans, target_spans : (int, int) or list of (int, int), optional
        From start up to, not including, end: places among the tokens of the source, and of the
        target with its prompt. All of a side are kept where it has no spans.
    """

    aggregator_name: ClassVar[str] = "slices"

    source_spans: Span | Sequence[Span] | None = None
    target_spans: Span | Sequence[Span] | None = None

    def __post_init__(self) -> None:
        if self.aggregate_fn is not None:
            raise ValueError(f"aggregate_fn: {self.aggregate_fn!r} given; 'slices' joins nothing.")

    def aggregate(
        self, sequence: FeatureAttributionSequenceOutput
    ) -> FeatureAttributionSequenceOutput:
        """Make the sliced result, and leave the given one as it is."""
        source_spans, target_spans = given_spans(sequence, self.source_spans, self.target_spans)
        start, end = sequence.attr_pos_start, sequence.attr_pos_end
        source = _places(source_spans, len(sequence.source))
        target = _places(target_spans, len(sequence.target))
        if target_spans is not None:
            target = np.concatenate([target[target < start], np.arange(start, end)])
        new_start = int((target < start).sum())
        if sequence.architecture == "decoder_only":
            source = target[target < len(sequence.source)]
        new_target = renumbered([sequence.target[place] for place in target])
        new_source = renumbered([sequence.source[place] for place in source])
        n_source, n_target = n_rows(sequence)
        of_target = target[target < n_target]
        of_source = source[source < n_source]
        if sequence.architecture == "decoder_only":
            of_source = of_source[:0]
        rows = np.concatenate([of_source, n_source + of_target])
        inputs = [*new_source[: len(of_source)], *new_target[: len(of_target)]]
        steps = new_target[new_start : new_start + end - start]

        def chosen(array: xr.DataArray) -> xr.DataArray:
            return relabelled(array, array.to_numpy()[rows], inputs, steps)

        return remade(
            sequence,
            f"slices: {len(rows)} of {n_source + n_target} inputs",
            {name: chosen(array) for name, array in sequence.kept.items()},
            source=new_source,
            target=new_target,
            attr_pos_start=new_start,
            attr_pos_end=new_start + end - start,
            sequence_scores=_sequence_scores(sequence, source, target),
        )


def sliced(
    sequence: FeatureAttributionSequenceOutput, index: int | slice
) -> FeatureAttributionSequenceOutput:
    """Keep some tokens of the source, or of what stands before a decoder-only model's steps.

    Parameters
    ----------
    sequence : FeatureAttributionSequenceOutput
    index : int or slice
        A number keeps one token. Negative ones count from the end.

    Returns
    -------
    FeatureAttributionSequenceOutput

    Raises
    ------
    IndexError, TypeError, ValueError
        For a token that is not there, no index, a step other than 1, or an empty slice.
    """
    in_source = sequence.architecture == "encoder_decoder"
    length = len(sequence.source) if in_source else sequence.attr_pos_start
    if isinstance(index, slice):
        start, end, step = index.indices(length)
        if step != 1:
            raise ValueError(f"index: a step of {index.step} given; tokens are kept in order.")
        if start >= end:
            raise ValueError(
                f"index: nothing lies between {index.start} and {index.stop}; "
                f"there are {length} tokens."
            )
    elif isinstance(index, int | np.integer):
        if not -length <= index < length:
            raise IndexError(f"index: {index} given; there are {length} tokens.")
        start = int(index) % length
        end = start + 1
    else:
        raise TypeError(f"index: {index!r} given; pass a number or a slice.")
    spans = (start, end)
    chosen = (
        SliceAggregator(source_spans=spans) if in_source else SliceAggregator(target_spans=spans)
    )
    return chosen.aggregate(sequence)


def _places(spans: Sequence[Span] | None, length: int) -> Starts:
    if spans is None:
        return np.arange(length)
    return np.concatenate([np.arange(0), *(np.arange(*span) for span in spans)])


def _sequence_scores(
    sequence: FeatureAttributionSequenceOutput, source: Starts, target: Starts
) -> dict[str, torch.Tensor]:
    chosen = {}
    for name, scores in sequence.sequence_scores.items():
        first = target if name.startswith("decoder") else source
        second = source if name.startswith("encoder") else target
        rows, columns = (
            torch.from_numpy(places[places < size])
            for places, size in zip((first, second), scores.shape[:2], strict=True)
        )
        chosen[name] = scores[rows][:, columns]
    return chosen
