"""Which tokens make a word together, in languages that put spaces between words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from inseq_widget.results.tokens import Token

_WORD = re.compile(r"\S+")


def with_words(tokens: Sequence[Token]) -> list[Token]:
    """Give each run of text without space, and each special token, a number.

    Parameters
    ----------
    tokens : sequence of Token, (token,)
        Of one side, in their order.

    Returns
    -------
    list of Token, (token,)
        With the numbers as their :attr:`~Token.word`, from 0.
    """
    text = "".join("" if token.special else token.text for token in tokens)
    run_at: dict[int, int] = {}
    for number, match in enumerate(_WORD.finditer(text)):
        run_at.update(dict.fromkeys(range(*match.span()), number))
    # The key of a token: the run of its first visible character, the token itself without one.
    keys: list[int | str] = []
    position = 0
    for number, token in enumerate(tokens):
        length = 0 if token.special else len(token.text)
        runs = (run_at[i] for i in range(position, position + length) if i in run_at)
        keys.append(next(runs, f"alone {number}"))
        position += length
    # The parts of a character belong to the word of the token that completes it.
    for number in range(len(tokens) - 2, -1, -1):
        if not tokens[number].text:
            keys[number] = keys[number + 1]
    numbered: list[Token] = []
    word = 0
    for number, token in enumerate(tokens):
        word += number > 0 and keys[number] != keys[number - 1]
        numbered.append(replace(token, word=word))
    return numbered
