"""Groups of input positions that a method takes away, and scores, together."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeGuard, cast

import torch
from torch import Tensor

from inseq_widget.models import Example, Stack
from inseq_widget.results import Token
from inseq_widget.results.aggregation.token_groups import (
    SENTENCE_END,
    divided,
    ends_of,
    visible_offsets,
)

Pairs = Sequence[tuple[int, int]]
Spans = str | Pairs | Sequence[Pairs]
Place = tuple[Stack, int]

_ENDS = {
    "sentences": SENTENCE_END,
    "lines": re.compile(r"\n+"),
    "documents": re.compile(r"\n[^\S\n]*\n\s*"),
}
SPAN_NAMES = ("tokens", "words", *_ENDS)


@dataclass(frozen=True)
class Features:
    """What a method takes away as one: for each feature, where its tokens stand.

    Attributes
    ----------
    groups : tuple of tuple of (stack, position), (feature,)
        Positions that no feature has are never taken away.
    """

    groups: tuple[tuple[Place, ...], ...]

    def __len__(self) -> int:
        return len(self.groups)

    def members(self, stack: Stack, width: int) -> Tensor:
        """Say which positions of a stack each feature has.

        Parameters
        ----------
        stack : {"source", "target"}
        width : int
            Number of positions.

        Returns
        -------
        torch.Tensor of bool, (feature, position)
        """
        members = torch.zeros(len(self), width, dtype=torch.bool)
        for number, group in enumerate(self.groups):
            for place, position in group:
                if place == stack:
                    members[number, position] = True
        return members


def check_spans(spans: object, argument: str = "spans") -> None:
    """Refuse what names no way to group tokens.

    Parameters
    ----------
    spans : object
    argument : str
        What the user calls it.

    Raises
    ------
    ValueError, TypeError
    """
    choices = (
        f"one of {', '.join(SPAN_NAMES)}, or a list of (start, end) character offsets, "
        "for several texts a list of them each"
    )
    if isinstance(spans, str):
        if spans not in SPAN_NAMES:
            raise ValueError(f"{argument}: {spans!r} is not known; choose {choices}.")
        return
    if isinstance(spans, Sequence) and not spans:
        raise ValueError(f"{argument}: an empty list given; choose {choices}.")
    if not isinstance(spans, Sequence) or not (
        all(_is_pair(pair) for pair in spans)
        or all(_is_list(own) and all(_is_pair(pair) for pair in own) for own in spans)
    ):
        raise TypeError(f"{argument}: {spans!r} given; choose {choices}.")
    if _is_pair(spans[0]):
        _check_pairs(spans, argument)
        return
    for number, own in enumerate(spans):
        if not own:
            raise ValueError(f"{argument}: text {number} has an empty list; choose {choices}.")
        _check_pairs(own, f"{argument} of text {number}")


def _check_pairs(pairs: Pairs, argument: str) -> None:
    ordered = sorted(pairs)
    for start, end in ordered:
        if not 0 <= start < end:
            raise ValueError(f"{argument}: nothing lies between {start} and {end}.")
    for before, after in pairwise(ordered):
        if after[0] < before[1]:
            raise ValueError(f"{argument}: {before} and {after} overlap; give each text one span.")


class WithSpans:
    """A method with the keyword ``spans``."""

    spans: Spans

    def check_texts(self, n_texts: int) -> None:
        """See :meth:`~inseq_widget.methods.base.AttributionMethod.check_texts`."""
        if _are_of_texts(self.spans) and len(self.spans) != n_texts:
            raise ValueError(
                f"spans: lists for {len(self.spans)} texts given for {n_texts} input_texts; each "
                "input needs its own, or one list of offsets holds for all."
            )


def _are_of_texts(spans: Spans) -> bool:
    return not isinstance(spans, str) and not _is_pair(spans[0])


def _is_list(given: object) -> TypeGuard[Sequence[object]]:
    return isinstance(given, Sequence) and not isinstance(given, str)


def _is_pair(pair: object) -> bool:
    return (
        isinstance(pair, Sequence)
        and len(pair) == 2
        and all(isinstance(offset, int) and not isinstance(offset, bool) for offset in pair)
    )


def input_places(example: Example, stacks: Sequence[Stack]) -> list[Place]:
    """List the positions that any step sees.

    Parameters
    ----------
    example : Example
    stacks : sequence of {"source", "target"}
        Those whose tokens are attributed.

    Returns
    -------
    list of (stack, position)
    """
    counts: dict[Stack, int] = {"source": len(example.source), "target": example.end - 1}
    return [(stack, position) for stack in stacks for position in range(counts[stack])]


def features_of(example: Example, stacks: Sequence[Stack], spans: Spans = "tokens") -> Features:
    """Group the input tokens of a text.

    A group lies in one stack, and never on both sides of the border between prompt and generated
    tokens. With named spans a special token is a group of its own; with offsets, tokens outside
    every span belong to no group. A token belongs where its first visible character does, the
    parts of a character where the whole character does.

    Parameters
    ----------
    example : Example
    stacks : sequence of {"source", "target"}
        Those whose tokens are attributed.
    spans : {"tokens", "words", "sentences", "lines", "documents"} or list of (int, int)
        Documents end at blank lines. Pairs are offsets, end not included, into the input text:
        source or prompt, without special tokens. A list of them for each text has that of this
        one at the text's number.

    Returns
    -------
    Features
        Named spans in the order of the text, given ones in the order in which they are given.

    Raises
    ------
    ValueError
        For offsets that no token of the text belongs to.
    """
    if isinstance(spans, str):
        return _named_features(example, stacks, spans)
    if _are_of_texts(spans):
        spans = cast("Sequence[Pairs]", spans)[example.number]
    side = "prompt" if "source" not in stacks else "source"
    tokens = [token for token in _inputs(example, stacks[0]) if token.side == side]
    offsets = visible_offsets(tokens)
    groups = []
    for start, end in cast("Pairs", spans):
        group = [
            (stacks[0], token.position)
            for token, offset in zip(tokens, offsets, strict=True)
            if offset is not None and start <= offset < end
        ]
        if not group:
            length = sum(len(token.text) for token in tokens if not token.special)
            raise ValueError(
                f"spans: no token begins between {start} and {end}; "
                f"the {side} has {length} characters."
            )
        groups.append(tuple(group))
    return Features(tuple(groups))


def within(features: Features, places: frozenset[Place]) -> list[tuple[Place, ...]]:
    """Cut features to some places, and leave out what is then empty.

    Parameters
    ----------
    features : Features
    places : frozenset of (stack, position)

    Returns
    -------
    list of tuple of (stack, position)
    """
    cut = (tuple(place for place in group if place in places) for group in features.groups)
    return [group for group in cut if group]


def _named_features(example: Example, stacks: Sequence[Stack], spans: str) -> Features:
    groups: dict[Hashable, list[Place]] = {}
    for stack in stacks:
        tokens = _inputs(example, stack)
        for side in dict.fromkeys(token.side for token in tokens):
            beside = [token for token in tokens if token.side == side]
            for token, number in zip(beside, _numbers(beside, spans), strict=True):
                groups.setdefault((side, number), []).append((stack, token.position))
    return Features(tuple(tuple(group) for group in groups.values()))


def _inputs(example: Example, stack: Stack) -> Sequence[Token]:
    return example.source if stack == "source" else example.target[: example.end - 1]


def _numbers(tokens: Sequence[Token], spans: str) -> list[Hashable]:
    """Give each token the number of its group."""
    if spans == "tokens":
        return [token.position for token in tokens]
    if spans == "words":
        return [token.word for token in tokens]
    numbers: list[Hashable] = []
    for number, (start, end) in enumerate(divided(tokens, ends_of(_ENDS[spans]))):
        numbers += [number] * (end - start)
    return numbers
