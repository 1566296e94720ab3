"""Attention weights of the generated tokens, every layer and head, from one forward pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from inseq_widget.methods.base import AttributionMethod, BatchScores, Job, register
from inseq_widget.models import Stack
from inseq_widget.models.precision import at_least_single


@register
@dataclass(frozen=True)
class Attention(AttributionMethod):
    """Attention weights (Bahdanau, Cho and Bengio, 2015; Vaswani et al., 2017, section 3.2.1).

    The score of input *i* at step *t* in layer *l* and head *h* is the weight that the position
    which predicts *t* gives to *i*: self-attention for the tokens of a decoder-only model,
    cross-attention for the source of an encoder-decoder model. Only those rows are kept.
    """

    name: ClassVar[str] = "attention"
    score_label: ClassVar[str] = "attention weight, mean over layers and heads"
    signed: ClassVar[bool] = False
    reduction: ClassVar[str] = "mean"
    needs_attention: ClassVar[bool] = True
    explains_output: ClassVar[bool] = False

    def attribute(self, job: Job) -> BatchScores:
        """See :meth:`AttributionMethod.attribute`.

        Raises
        ------
        NotImplementedError
            When the target prefix is asked for and the decoder has no self-attention.
        """
        rows = job.trace.attention
        assert rows is not None, "the trace keeps the attention that this method needs"
        layers = {"source": rows.cross, "target": rows.own}
        kept: dict[Stack, Tensor] = {}
        for stack in job.stacks:
            if not layers[stack]:
                raise NotImplementedError(
                    f"attribute_target: {type(job.model.model).__name__} has no attention to its "
                    f"{stack} tokens; gradient methods such as 'saliency' attribute them."
                )
            width = job.trace.embeddings[stack].shape[1]
            # (layer, batch, head, step, position) to (batch, position, step, layer, head)
            weights = torch.stack([at_least_single(layer).cpu() for layer in layers[stack]])
            kept[stack] = weights.permute(1, 4, 3, 0, 2)[:, :width]
        job.advance(1.0)
        numbers = {tuple(rows.numbers[_KINDS[stack]]) for stack in job.stacks}
        return BatchScores({"raw": kept}, ("layer", "head"), layers=_names(numbers))


_KINDS = {"source": "cross", "target": "decoder"}


def _names(numbers: set[tuple[int, ...]]) -> tuple[str, ...]:
    """Name the layers that have attention, where they are known and the same of all stacks."""
    if len(numbers) > 1 or any(number < 0 for each in numbers for number in each):
        return ()
    return tuple(str(number) for each in numbers for number in each)
