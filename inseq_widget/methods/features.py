"""Groups of input positions that a method takes away, and scores, together."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from inseq_widget.models import Example, Stack
from inseq_widget.results import Token

Spans = str | Sequence[tuple[int, int]]
Place = tuple[Stack, int]

# A sentence ends at a mark that no lower-case letter follows, at a mark that needs no space
# after it, or at the end of a line; closing quotes and brackets belong to it.
_SENTENCE_END = re.compile(
    r"""[.!?…؟۔।]+["'”’»)\]]*(?=\s+(?![a-zß-öø-ÿ])|\s*\Z)|[。！？｡]+[」』”’）】》]*|\n+"""
)
_ENDS = {
    "sentences": _SENTENCE_END,
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
    choices = f"one of {', '.join(SPAN_NAMES)}, or a list of (start, end) character offsets"
    if isinstance(spans, str):
        if spans not in SPAN_NAMES:
            raise ValueError(f"{argument}: {spans!r} is not known; choose {choices}.")
        return
    if isinstance(spans, Sequence) and not spans:
        raise ValueError(f"{argument}: an empty list given; choose {choices}.")
    if not isinstance(spans, Sequence) or not all(_is_pair(pair) for pair in spans):
        raise TypeError(f"{argument}: {spans!r} given; choose {choices}.")
    ordered = sorted(spans)
    for start, end in ordered:
        if not 0 <= start < end:
            raise ValueError(f"{argument}: nothing lies between {start} and {end}.")
    for before, after in pairwise(ordered):
        if after[0] < before[1]:
            raise ValueError(f"{argument}: {before} and {after} overlap; give each text one span.")


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
        source or prompt, without special tokens.

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
    side = "prompt" if "source" not in stacks else "source"
    tokens = [token for token in _inputs(example, stacks[0]) if token.side == side]
    offsets = _visible_offsets(tokens)
    groups = []
    for start, end in spans:
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
    text = "".join(token.text for token in tokens if not token.special)
    ends = [match.end() for match in _ENDS[spans].finditer(text)]
    numbers: list[Hashable] = []
    part = 0
    for token, offset in zip(tokens, _visible_offsets(tokens), strict=True):
        if offset is None:
            # A special token stands alone and ends what came before: another turn, another text.
            part += 1
            numbers.append(f"alone {token.position}")
        else:
            numbers.append((part, bisect_right(ends, offset)))
    return numbers


def _visible_offsets(tokens: Sequence[Token]) -> list[int | None]:
    """Find where in the text of its side each token begins to show; None for special tokens."""
    text = "".join(token.text for token in tokens if not token.special)
    offsets: list[int | None] = []
    position = 0
    for token in tokens:
        if token.special:
            offsets.append(None)
            continue
        blank = len(token.text) - len(token.text.lstrip())
        visible = position + (blank if blank < len(token.text) else 0)
        offsets.append(min(visible, max(len(text) - 1, 0)))
        position += len(token.text)
    return offsets
