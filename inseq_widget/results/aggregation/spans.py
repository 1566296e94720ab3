"""Aggregators that join neighbouring tokens: the given ones, and a base class for the others."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from inseq_widget.results.aggregation.base import Aggregator, register_aggregator
from inseq_widget.results.aggregation.merging import merged
from inseq_widget.results.reductions import Starts
from inseq_widget.results.tokens import Token

if TYPE_CHECKING:
    from inseq_widget.results.sequence import FeatureAttributionSequenceOutput

Span = tuple[int, int]


@dataclass(kw_only=True)
class SpanAggregator(Aggregator):
    """Joins neighbouring tokens, and their scores: base class.

    A class of one's own implements :meth:`spans_of`. Columns (steps) are joined first, then rows
    (inputs), by ``absmax`` unless another function is given; missing scores are left out, and a
    joined score is missing where all of its members are. A token that is alone stays as it is.
    Each step score is joined in its own way (``step_aggregates`` of the result), by the given
    function or ``absmax`` where it has none. Where prompt and generated tokens are joined, the
    new token is a generated one: it has their text together and the step scores of its generated
    part.

    Attributes
    ----------
    aggregate_source, aggregate_target : bool, default True
        Whether to join the tokens of the source, and those of the target with its prompt.
    """

    default_function: ClassVar[str | None] = "absmax"

    aggregate_source: bool = True
    aggregate_target: bool = True

    @abstractmethod
    def spans_of(self, tokens: Sequence[Token]) -> Sequence[Span]:
        """Find the spans to join among the tokens of a source, or of a target with its prompt.

        Parameters
        ----------
        tokens : sequence of Token, (token,)

        Returns
        -------
        sequence of (int, int)
            From start up to, not including, end; ascending, without overlap. Tokens outside all
            of them stay as they are.
        """

    def aggregate(
        self, sequence: FeatureAttributionSequenceOutput
    ) -> FeatureAttributionSequenceOutput:
        """Make the aggregated result, and leave the given one as it is."""
        source, target = self._spans(sequence)
        return merged(
            sequence,
            starts_of(source, len(sequence.source)),
            starts_of(target, len(sequence.target)),
            self.function(),
            name=self.aggregator_name,
            given=self.aggregate_fn is not None,
        )

    def _spans(
        self, sequence: FeatureAttributionSequenceOutput
    ) -> tuple[Sequence[Span], Sequence[Span]]:
        has_source = sequence.architecture == "encoder_decoder"
        source = self.spans_of(sequence.source) if has_source and self.aggregate_source else []
        target = self.spans_of(sequence.target) if self.aggregate_target else []
        return (
            checked_spans(source, len(sequence.source), "spans_of"),
            checked_spans(target, len(sequence.target), "spans_of"),
        )


@register_aggregator
@dataclass(kw_only=True)
class GivenSpansAggregator(Aggregator):
    """Joins the tokens of given spans.

    Columns (steps) are joined first, then rows (inputs), by ``absmax`` unless another function
    is given; missing scores are left out. A span over the border between prompt and generated
    tokens makes one generated token, with the step scores of its generated part.

    Parameters
    ----------
    aggregate_fn : str or callable, optional
    source_spans, target_spans : (int, int) or list of (int, int), optional
        From start up to, not including, end: places among the tokens of the source, and of the
        target with its prompt; ascending, without overlap.
    """

    aggregator_name: ClassVar[str] = "spans"
    default_function: ClassVar[str | None] = "absmax"

    source_spans: Span | Sequence[Span] | None = None
    target_spans: Span | Sequence[Span] | None = None

    def aggregate(
        self, sequence: FeatureAttributionSequenceOutput
    ) -> FeatureAttributionSequenceOutput:
        """Make the aggregated result, and leave the given one as it is."""
        source, target = given_spans(sequence, self.source_spans, self.target_spans)
        return merged(
            sequence,
            starts_of(source or [], len(sequence.source)),
            starts_of(target or [], len(sequence.target)),
            self.function(),
            name=self.aggregator_name,
            given=self.aggregate_fn is not None,
        )


def given_spans(
    sequence: FeatureAttributionSequenceOutput, source: object, target: object
) -> tuple[list[Span] | None, list[Span] | None]:
    """Read the spans that a user gives.

    Parameters
    ----------
    sequence : FeatureAttributionSequenceOutput
    source, target : (int, int), list of (int, int) or None

    Returns
    -------
    source, target : list of (int, int) or None
        None where none were given.

    Raises
    ------
    TypeError, ValueError
        For what is no span, or spans that overlap or lie outside the text.
    """
    if source is not None and sequence.architecture == "decoder_only":
        raise ValueError(
            "source_spans: a decoder-only model has no source; give target_spans, which count "
            "from the prompt's first token."
        )
    return (
        None if source is None else checked_spans(source, len(sequence.source), "source_spans"),
        None if target is None else checked_spans(target, len(sequence.target), "target_spans"),
    )


def checked_spans(spans: object, length: int, argument: str) -> list[Span]:
    """Refuse spans that are none, overlap, or lie outside the text.

    Parameters
    ----------
    spans : (int, int) or sequence of (int, int)
    length : int
        How many tokens there are.
    argument : str
        What the user calls them.

    Returns
    -------
    list of (int, int)

    Raises
    ------
    TypeError, ValueError
    """
    if _is_span(spans):
        spans = [spans]
    if not isinstance(spans, Sequence) or not all(_is_span(span) for span in spans):
        raise TypeError(
            f"{argument}: {spans!r} given; pass a pair (start, end) or a list of pairs."
        )
    before = 0
    pairs = [(int(start), int(end)) for start, end in spans]
    for start, end in pairs:
        if not 0 <= start < end <= length:
            raise ValueError(
                f"{argument}: {(start, end)} given; start has to be below end, and both within "
                f"the {length} tokens."
            )
        if start < before:
            raise ValueError(
                f"{argument}: {(start, end)} begins before the span ahead of it ends; give "
                "ascending spans without overlap."
            )
        before = end
    return pairs


def _is_span(span: object) -> bool:
    return (
        isinstance(span, Sequence)
        and len(span) == 2
        and all(isinstance(n, int | np.integer) and not isinstance(n, bool) for n in span)
    )


def starts_of(spans: Sequence[Span], length: int) -> Starts:
    """Find where the groups of tokens begin when spans are joined.

    Parameters
    ----------
    spans : sequence of (int, int)
    length : int
        How many tokens there are.

    Returns
    -------
    numpy.ndarray of int, (group,)
    """
    begins = np.ones(length, dtype=bool)
    for start, end in spans:
        begins[start + 1 : end] = False
    return np.flatnonzero(begins)
