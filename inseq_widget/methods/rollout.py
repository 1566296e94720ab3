"""Attention rollout: attention multiplied through the layers, one layer in memory at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from inseq_widget.methods.base import AttributionMethod, BatchScores, Job, register
from inseq_widget.methods.mixing import LayerMixing, MixingKeywords
from inseq_widget.models import Example, Stack, Trace, TraceableModel


class Rollout(LayerMixing):
    """Follows what has come of every input into every position, while the layers run.

    Attributes
    ----------
    reached : dict of str to torch.Tensor, each (batch, target, position)
        How much of every input of a stack is in the decoder's positions so far.
    """

    def __init__(self, keywords: MixingKeywords) -> None:
        super().__init__(keywords)
        self.reached: dict[Stack, Tensor] = {}
        self._encoded: Tensor | None = None

    def within(self, kind: Literal["encoder", "decoder"], mixed: Tensor) -> None:
        """See :meth:`LayerMixing.within`."""
        if kind == "encoder":
            self._encoded = mixed if self._encoded is None else mixed @ self._encoded
            return
        self.reached = {stack: mixed @ below for stack, below in self.reached.items()} or {
            "target": mixed
        }

    def across(self, kept: Tensor, taken: Tensor) -> None:
        """See :meth:`LayerMixing.across`."""
        self.reached = {stack: kept * below for stack, below in self.reached.items()}
        brought = taken if self._encoded is None else taken @ self._encoded
        before = self.reached.get("source")
        self.reached["source"] = brought if before is None else before + brought


@dataclass(kw_only=True)
class RolloutTrace(Trace):
    """A trace with what the layers mixed.

    Attributes
    ----------
    rollout : Rollout
    """

    rollout: Rollout


@register
@dataclass(frozen=True)
class AttentionRollout(MixingKeywords, AttributionMethod):
    """Attention rollout (Abnar and Zuidema, 2020, section 3).

    Every layer mixes the positions below it by ``0.5 A + 0.5 I``, where *A* is its attention over
    all heads and *I* stands for the residual connection; rows are normalised to sum to 1. The
    score of input *i* at step *t* is what the product of all layers takes of *i* into the
    position that predicts *t*.

    In an encoder-decoder model a decoder layer mixes twice: its self-attention as above, then
    cross-attention, which keeps half of the decoder's own and takes half of the encoder's output
    as the encoder's layers have mixed it. The scores of source and target prefix together
    (``attribute_target=True``) sum to 1.

    Parameters
    ----------
    head_fusion : {"mean", "max", "min"}, default "mean"
        How the weights of a layer's heads become one; the paper takes the mean.
    start_layer : int, default 0
        The first layer that counts, in each stack; those below pass on what they get.
    add_residual : bool, default True
        Count the residual connection; otherwise layers mix by *A* alone, and an encoder-decoder
        model's last cross-attention leaves nothing of the target prefix.
    """

    name: ClassVar[str] = "attention_rollout"
    score_label: ClassVar[str] = "attention rolled out through all layers"
    signed: ClassVar[bool] = False
    reduction: ClassVar[str] = "sum"
    explains_output: ClassVar[bool] = False

    def trace(self, model: TraceableModel, examples: Sequence[Example]) -> Trace:
        """See :meth:`AttributionMethod.trace`; layers are consumed while the model runs."""
        rollout = Rollout(self)
        return RolloutTrace(**vars(model.trace(examples, observer=rollout)), rollout=rollout)

    def attribute(self, job: Job) -> BatchScores:
        """See :meth:`AttributionMethod.attribute`.

        Raises
        ------
        NotImplementedError
            When the target prefix is asked for and the decoder has no self-attention.
        """
        trace = job.trace
        assert isinstance(trace, RolloutTrace)
        kept: dict[Stack, Tensor] = {}
        for stack in job.stacks:
            reached = trace.rollout.reached.get(stack)
            if reached is None:
                raise no_attention(job.model, stack)
            width = trace.embeddings[stack].shape[1]
            scores = torch.zeros(len(trace.examples), width, trace.step_ids.shape[1])
            scores = scores.to(reached.dtype)
            for number, example in enumerate(trace.examples):
                rows = reached[number, example.start - 1 : example.end - 1, :width]
                scores[number, :, : example.n_steps] = rows.T.cpu()
            kept[stack] = scores
        job.advance(1.0)
        return BatchScores({"raw": kept})


def no_attention(model: TraceableModel, stack: Stack) -> NotImplementedError:
    """Say that nothing attends to a stack's tokens."""
    return NotImplementedError(
        f"attribute_target: {type(model.model).__name__} has no attention to its {stack} tokens; "
        "gradient methods such as 'saliency' attribute them."
    )
