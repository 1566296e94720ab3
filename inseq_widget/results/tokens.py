"""A token of an attributed text: its vocabulary entry, its place, and how it reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Side = Literal["source", "prompt", "target"]


@dataclass(frozen=True, eq=False)
class Token:
    """One token of an attributed text.

    Tokens are equal when all their attributes are. As in Inseq, a token also equals its ``piece``
    and its ``id``: ``"▁nurse" in out[0].source`` works. Its hash is that of its piece, so a set
    or dictionary finds it by its piece, but not by its id; and since a piece is no id, equality
    does not carry over from one to the other.

    Attributes
    ----------
    piece : str
        The vocabulary entry, with the tokenizer's own marks (``"▁nurse"``, ``"Ġnurse"``).
    id : int
        Index of the entry in the vocabulary.
    text : str
        What the token adds to the text. The texts of a side's tokens join to the text itself,
        special tokens aside. Empty where several tokens make one character: the last of them has
        it. For a special token, the piece.
    position : int
        Place among the tokens of the encoder (source) or of the decoder (prompt and target).
    side : {"source", "prompt", "target"}
        Encoder input, decoder-only input, or generated (or forced) token.
    special : bool
        Whether the tokenizer counts it as special (end of sequence, chat marker, …).
    word : int
        Number of the word that the token belongs to: the pieces of one word share it.
    """

    piece: str
    id: int
    text: str
    position: int
    side: Side
    special: bool
    word: int

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Token):
            return vars(self) == vars(other)
        if isinstance(other, str):
            return self.piece == other
        if isinstance(other, int):
            return self.id == other
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self.piece)

    def __str__(self) -> str:
        return self.piece

    @property
    def token(self) -> str:
        """The vocabulary entry, under Inseq's name."""
        return self.piece

    @property
    def label(self) -> str:
        """The token as a short label: its text without surrounding space, else its piece."""
        return self.text.strip() or self.piece


def labels(tokens: Sequence[Token]) -> list[str]:
    """Give the coordinate labels of a list of tokens.

    Parameters
    ----------
    tokens : sequence of Token, (token,)

    Returns
    -------
    list of str, (token,)
    """
    return [token.label for token in tokens]


def joined(tokens: Sequence[Token]) -> str:
    """Join the texts of tokens, without the special ones."""
    return "".join(token.text for token in tokens if not token.special)
