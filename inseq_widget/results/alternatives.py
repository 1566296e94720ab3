"""The tokens that could stand at a step, with their probabilities."""

from __future__ import annotations

from dataclasses import dataclass

from inseq_widget.results.tokens import Token


@dataclass(frozen=True)
class AlternativeToken:
    """A token that could stand at a step.

    Attributes
    ----------
    token : Token
    probability : float
        Between 0 and 1.
    rank : int
        Place by probability among the whole vocabulary; 1 is the most probable.
    """

    token: Token
    probability: float
    rank: int


@dataclass(frozen=True)
class StepAlternatives:
    """The most probable tokens at a step, and the token that stands there.

    Attributes
    ----------
    target : AlternativeToken
        The token that stands there.
    alternatives : list of AlternativeToken, (alternative,)
        The most probable tokens, the most probable first; the target may be among them.
    """

    target: AlternativeToken
    alternatives: list[AlternativeToken]
