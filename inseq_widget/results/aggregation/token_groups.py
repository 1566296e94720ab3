"""Finds groups of neighbouring tokens by the characters of their text, for every tokenizer.

A token whose characters lie in two groups belongs to the group of its first visible character.
Tokens with empty text are parts of a character, and belong to the token that completes it. A
special token stands alone, and ends the text before it; so does the border between prompt and
generated tokens.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby

import regex

from inseq_widget.results.tokens import Token

Span = tuple[int, int]

# A sentence ends at a mark that no lower-case letter follows, at a mark that needs no space
# after it, or at the end of a line; closing quotes and brackets belong to it.
SENTENCE_END = re.compile(
    r"""[.!?…؟۔।]+["'”’»)\]]*(?=\s+(?![a-zß-öø-ÿ])|\s*\Z)|[。！？｡]+[」』”’）】》]*|\n+"""
)
# Unicode's default word boundaries (UAX #29).
_WORD_BOUNDARY = regex.compile(r"(?w)\b")

Ends = Callable[[str], Iterable[int]]


def ends_of(pattern: re.Pattern[str]) -> Ends:
    """Make a function that finds where a text is cut: behind each match of a pattern.

    Parameters
    ----------
    pattern : re.Pattern

    Returns
    -------
    callable
    """
    return lambda text: (match.end() for match in pattern.finditer(text))


def divided(tokens: Sequence[Token], ends: Ends) -> list[Span]:
    """Cut a text into parts, each of whole tokens.

    Parameters
    ----------
    tokens : sequence of Token, (token,)
        Of one or several sides.
    ends : callable
        Gives the ascending offsets at which a text is cut.

    Returns
    -------
    list of (int, int)
        They cover all tokens: from start up to, not including, end.
    """
    spans: list[Span] = []
    for start, end in _stretches(tokens):
        members = tokens[start:end]
        if members[0].special:
            spans.append((start, end))
            continue
        cuts = list(ends("".join(token.text for token in members)))
        offsets = visible_offsets(members)
        spans += _runs([None if at is None else bisect_right(cuts, at) for at in offsets], start)
    return spans


def word_spans(tokens: Sequence[Token]) -> list[Span]:
    """Group tokens into words, by Unicode's default word boundaries (UAX #29).

    Punctuation marks and spaces that are tokens of their own stand alone. Where a writing system
    puts no spaces between words, what is grouped is a visible character, or a run of katakana.

    Parameters
    ----------
    tokens : sequence of Token, (token,)

    Returns
    -------
    list of (int, int)
    """
    return divided(tokens, lambda text: (match.start() for match in _WORD_BOUNDARY.finditer(text)))


def sentence_spans(tokens: Sequence[Token]) -> list[Span]:
    """Group tokens into sentences.

    Parameters
    ----------
    tokens : sequence of Token, (token,)

    Returns
    -------
    list of (int, int)
    """
    return divided(tokens, ends_of(SENTENCE_END))


def matching_spans(tokens: Sequence[Token], pattern: regex.Pattern[str]) -> list[Span]:
    """Group the tokens of each match of a pattern.

    Parameters
    ----------
    tokens : sequence of Token, (token,)
    pattern : regex.Pattern

    Returns
    -------
    list of (int, int)
        Tokens outside every match are in no span.
    """
    spans: list[Span] = []
    for start, end in _stretches(tokens):
        members = tokens[start:end]
        if members[0].special:
            continue
        text = "".join(token.text for token in members)
        matches = [match.span() for match in pattern.finditer(text) if match.end() > match.start()]
        begins = [begin for begin, _ in matches]
        numbers: list[int | None] = []
        for at in visible_offsets(members):
            number = -1 if at is None else bisect_right(begins, at) - 1
            inside = at is not None and number >= 0 and at < matches[number][1]
            numbers.append(number if inside else None)
        spans += [
            (begin, until)
            for begin, until in _runs(numbers, start)
            if numbers[begin - start] is not None
        ]
    return spans


def split_spans(tokens: Sequence[Token], pattern: regex.Pattern[str], mode: str) -> list[Span]:
    """Cut a text at the tokens that matches of a pattern touch.

    Special tokens are text like any other here, and so is the border between prompt and
    generated tokens.

    Parameters
    ----------
    tokens : sequence of Token, (token,)
    pattern : regex.Pattern
        Looked for in the text, and where it is not there, in the joined pieces: a tokenizer's
        marks are found, too.
    mode : {"single", "start", "end"}
        The tokens of a match are a part of their own, begin the next part, or end the last one.

    Returns
    -------
    list of (int, int)
        They cover all tokens; none where nothing matches.
    """
    touched = _touched([token.text for token in tokens], pattern) or _touched(
        [token.piece for token in tokens], pattern
    )
    if not touched:
        return []
    # A token that two matches touch is a part of its own.
    keys = [touched.get(number) for number in range(len(tokens))]
    parts = [(key is not None, len(list(members))) for key, members in groupby(keys)]
    spans: list[Span] = []
    start = end = 0
    for is_match, length in parts:
        if (is_match and mode != "end") or (not is_match and mode == "single"):
            spans += [(start, end)] if end > start else []
            start = end
        end += length
        if is_match and mode == "end":
            spans.append((start, end))
            start = end
    return [*spans, *([(start, end)] if end > start else [])]


def subword_spans(tokens: Sequence[Token]) -> list[Span]:
    """Group the pieces of each word: a run of text without space.

    Special tokens stand alone. A word may lie on both sides of the border between prompt and
    generated tokens.

    Parameters
    ----------
    tokens : sequence of Token, (token,)

    Returns
    -------
    list of (int, int)
    """
    return _runs([None if token.special else token.word for token in tokens], 0)


def marked_spans(tokens: Sequence[Token], marks: tuple[str, ...], is_suffix: bool) -> list[Span]:
    """Group the pieces of each word by the marks that a tokenizer puts on them.

    Special tokens stand alone.

    Parameters
    ----------
    tokens : sequence of Token, (token,)
    marks : tuple of str
    is_suffix : bool
        Whether the marked pieces are those that continue a word, and not those that begin one.

    Returns
    -------
    list of (int, int)
    """
    numbers: list[int | None] = []
    word = 0
    for token in tokens:
        word += token.piece.startswith(marks) != is_suffix
        numbers.append(None if token.special else word)
    return _runs(numbers, 0)


def visible_offsets(tokens: Sequence[Token]) -> list[int | None]:
    """Find where in a text each token begins to show.

    Parameters
    ----------
    tokens : sequence of Token, (token,)

    Returns
    -------
    list of int or None, (token,)
        Offsets into the text without special tokens. Parts of a character have that of the token
        which completes it; None for special tokens, and for parts that nothing completes.
    """
    offsets: list[int | None] = []
    position = 0
    for token in tokens:
        blank = len(token.text) - len(token.text.lstrip())
        visible = position + (blank if blank < len(token.text) else 0)
        offsets.append(None if token.special or not token.text else visible)
        position += 0 if token.special else len(token.text)
    for number in range(len(tokens) - 2, -1, -1):
        if not tokens[number].text and not tokens[number].special:
            offsets[number] = offsets[number + 1]
    return offsets


def _stretches(tokens: Sequence[Token]) -> Iterator[Span]:
    """Yield special tokens one by one, and the runs of others of one side between them."""
    keys = [(token.side, number if token.special else None) for number, token in enumerate(tokens)]
    start = 0
    for _, members in groupby(keys):
        end = start + len(list(members))
        yield start, end
        start = end


def _runs(numbers: Sequence[int | None], start: int) -> list[Span]:
    """Group neighbours of the same number; those without one stand alone."""
    spans = []
    keys = [(n, place if n is None else -1) for place, n in enumerate(numbers)]
    for _, members in groupby(keys):
        end = start + len(list(members))
        spans.append((start, end))
        start = end
    return spans


def _touched(texts: Sequence[str], pattern: regex.Pattern[str]) -> dict[int, tuple[int, int]]:
    """Find the first and the last match that touches a text, by the number of the text."""
    begins: list[int] = []
    position = 0
    for text in texts:
        begins.append(position)
        position += len(text)
    touched: dict[int, tuple[int, int]] = {}
    for number, match in enumerate(pattern.finditer("".join(texts))):
        if match.end() == match.start():
            continue
        first = bisect_right(begins, match.start()) - 1
        last = bisect_right(begins, match.end() - 1) - 1
        while first > 0 and not texts[first - 1]:
            first -= 1  # the parts of the character that the match begins with
        for place in range(first, last + 1):
            touched[place] = (touched.get(place, (number, number))[0], number)
    return touched
