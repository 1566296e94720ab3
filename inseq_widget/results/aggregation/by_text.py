"""Aggregators that join tokens by what their text says: subwords, words, sentences, patterns."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import regex

from inseq_widget.results.aggregation.base import register_aggregator
from inseq_widget.results.aggregation.spans import Span, SpanAggregator
from inseq_widget.results.aggregation.token_groups import (
    marked_spans,
    matching_spans,
    sentence_spans,
    split_spans,
    subword_spans,
    word_spans,
)
from inseq_widget.results.tokens import Token

SplitMode = Literal["single", "start", "end"]


@register_aggregator
@dataclass(kw_only=True)
class SubwordAggregator(SpanAggregator):
    """Joins the pieces of each word: a run of text without space, punctuation included.

    Words are found in the text, so that no tokenizer needs marks. Special tokens stand alone.

    Parameters
    ----------
    aggregate_fn : str or callable, optional
        ``absmax`` by default; columns (steps) are joined first, then rows (inputs).
    aggregate_source, aggregate_target : bool, default True
    special_chars : str or tuple of str, optional
        Find words by a tokenizer's marks instead: what a piece that begins a word begins with,
        such as ``"▁"`` or ``("Ġ", "Ċ")``.
    is_suffix_symbol : bool, default False
        ``special_chars`` mark the pieces that continue a word, as ``"##"`` does.
    """

    aggregator_name: ClassVar[str] = "subwords"

    special_chars: str | tuple[str, ...] | None = None
    is_suffix_symbol: bool = False

    def __post_init__(self) -> None:
        marks = self.special_chars
        if marks is None:
            if self.is_suffix_symbol:
                raise ValueError(
                    "is_suffix_symbol: given without special_chars; give those, too, such as "
                    "special_chars='##'."
                )
            return
        self.special_chars = (marks,) if isinstance(marks, str) else tuple(marks)
        if not self.special_chars or not all(
            isinstance(mark, str) and mark for mark in self.special_chars
        ):
            raise ValueError(
                f"special_chars: {marks!r} given; pass a mark such as '▁', or several."
            )

    def spans_of(self, tokens: Sequence[Token]) -> Sequence[Span]:
        """Find the pieces of each word."""
        marks = self.special_chars
        if not isinstance(marks, tuple):
            return subword_spans(tokens)
        if not any(token.piece.startswith(marks) for token in tokens):
            warnings.warn(
                f"special_chars: no token begins with {' or '.join(map(repr, marks))}, so none "
                "are joined; leave it out to find words in the text.",
                stacklevel=2,
            )
            return []
        return marked_spans(tokens, marks, self.is_suffix_symbol)


@register_aggregator
@dataclass(kw_only=True)
class WordAggregator(SpanAggregator):
    """Joins the tokens of each word, by Unicode's default word boundaries (UAX #29).

    Punctuation marks stand alone, and so do special tokens. Where a writing system puts no
    spaces between words (Chinese, Japanese, Thai, …), tokens are joined as far as a visible
    character, or a run of katakana, would be cut otherwise: Unicode's rules know no dictionary.
    Prompt and generated tokens are never joined.

    Parameters
    ----------
    aggregate_fn : str or callable, optional
        ``absmax`` by default; columns (steps) are joined first, then rows (inputs).
    aggregate_source, aggregate_target : bool, default True
    """

    aggregator_name: ClassVar[str] = "words"

    def spans_of(self, tokens: Sequence[Token]) -> Sequence[Span]:
        """Find the tokens of each word."""
        return word_spans(tokens)


@register_aggregator
@dataclass(kw_only=True)
class SentenceAggregator(SpanAggregator):
    """Joins the tokens of each sentence.

    A sentence ends at a mark that no lower-case letter follows, at a mark that needs no space
    after it (``。``), at the end of a line, and at a special token, which stands alone. Prompt and
    generated tokens are never joined.

    Parameters
    ----------
    aggregate_fn : str or callable, optional
        ``absmax`` by default; columns (steps) are joined first, then rows (inputs).
    aggregate_source, aggregate_target : bool, default True
    """

    aggregator_name: ClassVar[str] = "sentences"

    def spans_of(self, tokens: Sequence[Token]) -> Sequence[Span]:
        """Find the tokens of each sentence."""
        return sentence_spans(tokens)


@register_aggregator
@dataclass(kw_only=True)
class PatternAggregator(SpanAggregator):
    r"""Joins the tokens of each match of a regular expression, and leaves the others alone.

    A token belongs to the match that its first visible character lies in. Special tokens stand
    alone, and no match goes over one; prompt and generated tokens are never joined.

    Parameters
    ----------
    aggregate_fn : str or callable, optional
        ``absmax`` by default; columns (steps) are joined first, then rows (inputs).
    aggregate_source, aggregate_target : bool, default True
    pattern : str
        In the syntax of Python's ``re``, with the additions of the package ``regex``, such as
        ``\p{Lu}`` or ``\X``.
    """

    aggregator_name: ClassVar[str] = "regex"

    pattern: str | None = None

    def __post_init__(self) -> None:
        self._compiled = _compiled(self.pattern, "pattern")

    def spans_of(self, tokens: Sequence[Token]) -> Sequence[Span]:
        """Find the tokens of each match."""
        return matching_spans(tokens, self._compiled)


@register_aggregator
@dataclass(kw_only=True)
class SplitAggregator(SpanAggregator):
    """Cuts a text at the tokens that matches of a regular expression touch, and joins the parts.

    Parameters
    ----------
    aggregate_fn : str or callable, optional
        ``absmax`` by default; columns (steps) are joined first, then rows (inputs).
    aggregate_source, aggregate_target : bool, default True
    split_pattern : str
        Looked for in the text, special tokens included; where it is not there, in the joined
        vocabulary entries, so that a tokenizer's marks are found.
    split_mode : {"single", "start", "end"}, default "single"
        The tokens of a match are a part of their own, begin the next part, or end the last one.
    """

    aggregator_name: ClassVar[str] = "split"

    split_pattern: str | None = None
    split_mode: SplitMode = "single"

    def __post_init__(self) -> None:
        self._compiled = _compiled(self.split_pattern, "split_pattern")
        if self.split_mode not in get_args(SplitMode):
            raise ValueError(
                f"split_mode: {self.split_mode!r} given; "
                f"choose one of {', '.join(get_args(SplitMode))}."
            )

    def spans_of(self, tokens: Sequence[Token]) -> Sequence[Span]:
        """Find the parts."""
        return split_spans(tokens, self._compiled, self.split_mode)


def _compiled(pattern: object, argument: str) -> regex.Pattern[str]:
    if not isinstance(pattern, str) or not pattern:
        raise ValueError(f"{argument}: {pattern!r} given; pass a regular expression.")
    try:
        return regex.compile(pattern)
    except regex.error as error:
        raise ValueError(f"{argument}: {pattern!r} is no regular expression: {error}.") from error
