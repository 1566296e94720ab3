"""Makes the vocabulary entries of tokens readable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from inseq_widget.results.tokens import Token


def decoded(tokens: Sequence[Token]) -> list[Token]:
    """Replace the pieces of tokens by their texts.

    Parameters
    ----------
    tokens : sequence of Token, (token,)

    Returns
    -------
    list of Token, (token,)
        A token without text, such as the first bytes of a character, keeps its piece.
    """
    return [replace(token, piece=token.text or token.piece) for token in tokens]
