"""The steps of a sequence one by one, in Inseq's form."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from inseq_widget.results.tokens import Token

if TYPE_CHECKING:
    from inseq_widget.results.sequence import FeatureAttributionSequenceOutput


@dataclass(eq=False)
class FeatureAttributionStepOutput:
    """What is known of one step of one text; the batch has the size 1.

    Attributes
    ----------
    source_attributions : torch.Tensor or None, (batch, source, ...)
        Scores of the encoder tokens, None where they have none.
    target_attributions : torch.Tensor or None, (batch, prefix, ...)
        Scores of the decoder tokens before the step, None where they have none.
    step_scores : dict of str to torch.Tensor, each (batch,)
    sequence_scores : dict of str to torch.Tensor, each (batch, attended, attending, ...)
        Scores between tokens as far as they are there at the step.
    source : list of list of Token or None, (batch, source)
        None for a decoder-only model.
    prefix : list of list of Token, (batch, prefix)
        The decoder tokens before the step.
    target : list of list of Token, (batch, 1)
        The token of the step.
    """

    source_attributions: torch.Tensor | None
    target_attributions: torch.Tensor | None
    source: list[list[Token]] | None
    prefix: list[list[Token]]
    target: list[list[Token]]
    step_scores: dict[str, torch.Tensor] = field(default_factory=dict)
    sequence_scores: dict[str, torch.Tensor] = field(default_factory=dict)


def step_attributions_of(
    sequence: FeatureAttributionSequenceOutput,
) -> list[FeatureAttributionStepOutput]:
    """Cut a sequence into its steps.

    Parameters
    ----------
    sequence : FeatureAttributionSequenceOutput

    Returns
    -------
    list of FeatureAttributionStepOutput, (step,)
        Copies: changing one leaves the sequence as it is.
    """
    source, target = sequence.source_attributions, sequence.target_attributions
    encoded = sequence.architecture == "encoder_decoder"
    steps = []
    for column, position in enumerate(range(sequence.attr_pos_start, sequence.attr_pos_end)):
        steps.append(
            FeatureAttributionStepOutput(
                source_attributions=None if source is None else source[None, :, column].clone(),
                target_attributions=(
                    None if target is None else target[None, :position, column].clone()
                ),
                source=[list(sequence.source)] if encoded else None,
                prefix=[sequence.target[:position]],
                target=[[sequence.target[position]]],
                step_scores={
                    name: values[column : column + 1].clone()
                    for name, values in sequence.step_scores.items()
                },
                sequence_scores={
                    name: _seen(name, values, position)[None].clone()
                    for name, values in sequence.sequence_scores.items()
                },
            )
        )
    return steps


def _seen(name: str, values: torch.Tensor, position: int) -> torch.Tensor:
    """Cut scores between tokens, (attended, attending, ...), to the tokens before a position."""
    if name.startswith("encoder"):
        return values
    if name.startswith("decoder"):
        return values[:position, :position]
    return values[:, :position]
