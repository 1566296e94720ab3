"""One text to explain, as tokens: what the model read, what it wrote, and which steps count."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

from inseq_widget.results import Token


@dataclass(frozen=True)
class Example:
    """One text to explain.

    Attributes
    ----------
    source : tuple of Token
        Encoder tokens; empty for a decoder-only model.
    target : tuple of Token
        Decoder tokens: prompt and generated tokens, or the decoder's start token and the target.
    n_given : int
        How many of ``target`` were given rather than generated: the prompt, or the start token.
    start, end : int
        The positions of ``target`` to explain: from start up to, not including, end.
    number : int
        Its place among the texts that are explained in one call.
    """

    source: tuple[Token, ...]
    target: tuple[Token, ...]
    n_given: int
    start: int
    end: int
    number: int = 0

    @property
    def n_steps(self) -> int:
        """How many tokens are explained."""
        return self.end - self.start


def numbered(examples: Sequence[Example]) -> list[Example]:
    """Give each example its place among all."""
    return [replace(example, number=number) for number, example in enumerate(examples)]


def explained_range(
    n_given: int, n_target: int, start: int | None, end: int | None, text: str
) -> tuple[int, int]:
    """Resolve the positions that a user wants explained.

    Parameters
    ----------
    n_given : int
        How many positions come before the first generated token.
    n_target : int
        Number of positions.
    start, end : int or None
        ``attr_pos_start`` and ``attr_pos_end``; negative ones count from the end.
    text : str
        The text, to name it in an error.

    Returns
    -------
    tuple of int
        Start and end, both from the beginning. A start among the tokens that were given is moved
        to the first generated token, with a warning.

    Raises
    ------
    ValueError
        When the range is empty or reaches beyond the generated tokens.
    """
    first = n_given if start is None else start + n_target if start < 0 else start
    last = n_target if end is None else end + n_target if end < 0 else end
    shown = text if len(text) <= 60 else text[:59] + "…"
    where = f"the generated tokens of {shown!r} stand at positions {n_given} to {n_target - 1}"
    if 0 <= first < n_given:
        warnings.warn(
            f"attr_pos_start: {start} lies before the generated tokens, so {n_given} is taken; "
            f"{where}.",
            stacklevel=2,
        )
        first = n_given
    if not n_given <= first < n_target:
        raise ValueError(f"attr_pos_start: {start} is outside the text; {where}.")
    if not n_given < last <= n_target:
        raise ValueError(
            f"attr_pos_end: {end} is outside the text; {where}, "
            f"and attr_pos_end (not included) can be {n_given + 1} to {n_target}."
        )
    if first >= last:
        raise ValueError(
            f"attr_pos_start, attr_pos_end: nothing lies between {start} and {end}; {where}."
        )
    return first, last
