"""The tokens that could stand at a step, with their probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from inseq_widget.results.selecting import step_index
from inseq_widget.results.tokens import Token, joined

if TYPE_CHECKING:
    from inseq_widget.results.sequence import FeatureAttributionSequenceOutput


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


@runtime_checkable
class GivesAlternatives(Protocol):
    """A model that says what else it might have written."""

    def alternatives(
        self, sequence: FeatureAttributionSequenceOutput, step: int, k: int = 10
    ) -> StepAlternatives:
        """Find the ``k`` most probable tokens at a step."""


def alternatives_of(
    sequence: FeatureAttributionSequenceOutput, step: int, k: int
) -> StepAlternatives:
    """Ask the model of a result; see :meth:`FeatureAttributionSequenceOutput.alternatives`."""
    check_whole_text(sequence, step)
    model = sequence.live_model
    if isinstance(model, GivesAlternatives):
        return model.alternatives(sequence, step, k)
    derived = sequence.info["aggregation"]
    raise ValueError(
        "alternatives: the model that made this result is not at hand; "
        + ("ask the result that attribute gave, or " if derived else "load it, and ")
        + "call model.alternatives(sequence, step, k)."
    )


def check_whole_text(sequence: FeatureAttributionSequenceOutput, step: int) -> None:
    """Refuse a result whose tokens up to a step are not those that the model read.

    Raises
    ------
    TypeError, ValueError
    """
    if not hasattr(sequence, "attr_pos_start"):
        raise TypeError(
            f"sequence: a {type(sequence).__name__} given; pass one sequence of an output, such "
            "as out[0]."
        )
    place = step_index(step, len(sequence.steps), "step")
    seen = sequence.target[: sequence.attr_pos_start + place + 1]
    joined = any(token.id < 0 for token in [*sequence.source, *seen])
    if joined or (sequence.info["aggregation"] and not _is_whole(sequence, seen)):
        raise ValueError(
            "alternatives: tokens of this result were joined or left out, so its model cannot go "
            "on from them; ask the result that attribute gave."
        )


def _is_whole(sequence: FeatureAttributionSequenceOutput, seen: Sequence[Token]) -> bool:
    """Say whether the texts that were attributed begin as these tokens do."""
    texts = sequence.info["generated_texts"]
    sources = sequence.info["input_texts"]
    return any(text.startswith(joined(seen)) for text in texts) and (
        sequence.architecture == "decoder_only" or joined(sequence.source) in sources
    )
