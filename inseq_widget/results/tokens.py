"""A token of an attributed text: its vocabulary entry, its place, and how it reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Side = Literal["source", "prompt", "target"]


@dataclass(frozen=True)
class Token:
    """One token of an attributed text.

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
