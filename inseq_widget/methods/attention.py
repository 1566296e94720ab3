"""Attention weights of the generated tokens, every layer and head, from one forward pass."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from inseq_widget.methods.base import AttributionMethod, BatchScores, Job, register
from inseq_widget.models import Example, Stack, Trace, TraceableModel
from inseq_widget.models.attention_rows import WHOLE_BYTES, AttentionRows
from inseq_widget.models.padding import predicting_rows
from inseq_widget.models.precision import at_least_single


@register
@dataclass(frozen=True)
class Attention(AttributionMethod):
    """Attention weights (Bahdanau, Cho and Bengio, 2015; Vaswani et al., 2017, section 3.2.1).

    The score of input *i* at step *t* in layer *l* and head *h* is the weight that the position
    which predicts *t* gives to *i*: self-attention for the tokens of a decoder-only model,
    cross-attention for the source of an encoder-decoder model. Only those rows are kept.

    For an encoder-decoder model ``sequence_scores`` have what else it attends to:
    ``"encoder_self_attentions"``, (source, source, layer, head), and, unless the target prefix is
    attributed, ``"decoder_self_attentions"``, (target, target, layer, head) without the last
    token, which is not read. The attended tokens come first.
    """

    name: ClassVar[str] = "attention"
    score_label: ClassVar[str] = "attention weight, mean over layers and heads"
    signed: ClassVar[bool] = False
    reduction: ClassVar[str] = "mean"
    needs_attention: ClassVar[bool] = True
    explains_output: ClassVar[bool] = False

    def trace(self, model: TraceableModel, examples: Sequence[Example]) -> Trace:
        """See :meth:`AttributionMethod.trace`; of two stacks, all self-attention is kept, too."""
        if model.architecture == "decoder_only":
            return super().trace(model, examples)
        n_steps = max(example.n_steps for example in examples)
        rows = AttentionRows(predicting_rows(examples, n_steps, model.device), whole=True)
        trace = model.trace(examples, observer=rows)
        trace.attention = rows
        return trace

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
        return BatchScores(
            {"raw": kept},
            ("layer", "head"),
            layers=_names(numbers),
            sequence_scores=_between_tokens(job, rows),
        )


def _between_tokens(job: Job, rows: AttentionRows) -> list[dict[str, Tensor]]:
    """Give each text's attention of a stack to itself, where the stack is not attributed."""
    examples = job.trace.examples
    if rows.whole is None:
        warnings.warn(
            "sequence_scores: the attention of encoder and decoder to themselves takes more than "
            f"{WHOLE_BYTES / 1e6:.0f} MB and is left out; a smaller batch_size, or shorter texts, "
            "keep it.",
            stacklevel=2,
        )
    found: list[dict[str, Tensor]] = [{} for _ in examples]
    for kind, layers in (rows.whole or {}).items():
        if not layers or (kind == "decoder" and "target" in job.stacks):
            continue
        for number, example in enumerate(examples):
            width = len(example.source) if kind == "encoder" else example.end - 1
            # (layer, head, query, key) to (key, query, layer, head)
            weights = torch.stack(
                [at_least_single(layer[number, :, :width, :width]) for layer in layers]
            ).permute(3, 2, 0, 1)
            if kind == "decoder":
                later = torch.ones(width, width, dtype=torch.bool).tril(-1)
                weights = weights.masked_fill(later[..., None, None], torch.nan)
            found[number][f"{kind}_self_attentions"] = weights.contiguous()
    return found


_KINDS = {"source": "cross", "target": "decoder"}


def _names(numbers: set[tuple[int, ...]]) -> tuple[str, ...]:
    """Name the layers that have attention, where they are known and the same of all stacks."""
    if len(numbers) > 1 or any(number < 0 for each in numbers for number in each):
        return ()
    return tuple(str(number) for each in numbers for number in each)
