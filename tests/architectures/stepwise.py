"""Every step alone, from ids: the model's own code on the tokens that come before, nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from inseq_widget.results import FeatureAttributionSequenceOutput


def _ids(tokens: list[object]) -> Tensor:
    return torch.tensor([[token.id for token in tokens]])


def inputs_of(sequence: FeatureAttributionSequenceOutput, position: int) -> dict[str, Tensor]:
    """Give the model's inputs for one step: what comes before it, as ids."""
    before = _ids(sequence.target[:position])
    if sequence.architecture == "decoder_only":
        return {"input_ids": before}
    return {"input_ids": _ids(sequence.source), "decoder_input_ids": before}


def positions(sequence: FeatureAttributionSequenceOutput) -> range:
    return range(sequence.attr_pos_start, sequence.attr_pos_end)


def logits(model: PreTrainedModel, sequence: FeatureAttributionSequenceOutput) -> Tensor:
    """Run the model for every step, (step, vocabulary)."""
    with torch.no_grad():
        rows = [
            model(**inputs_of(sequence, position), use_cache=False).logits[0, -1]
            for position in positions(sequence)
        ]
    return torch.stack(rows)


def gradients(
    model: PreTrainedModel, sequence: FeatureAttributionSequenceOutput
) -> Iterator[dict[str, tuple[Tensor, Tensor]]]:
    """Give the gradient of every step's probability, and the embedding, by stack."""
    for position in positions(sequence):
        with _embedded(model) as leaves:
            logits = model(**inputs_of(sequence, position), use_cache=False).logits[0, -1]
        value = logits.softmax(-1)[sequence.target[position].id]
        grads = torch.autograd.grad(value, leaves)
        stacks = ["target"] if sequence.architecture == "decoder_only" else ["source", "target"]
        yield {
            stack: (grad[0], leaf.detach()[0])
            for stack, grad, leaf in zip(stacks, grads, leaves, strict=True)
        }


@contextmanager
def _embedded(model: PreTrainedModel) -> Iterator[list[Tensor]]:
    """Collect what the embedding modules give, as leaves, in the order of the stacks."""
    leaves: list[Tensor] = []

    def keep(_: nn.Module, __: object, output: Tensor) -> Tensor:
        leaf = output.detach().requires_grad_()
        leaves.append(leaf)
        return leaf.clone()

    with ExitStack() as stack:
        for module in set(_embeddings(model)):
            stack.callback(module.register_forward_hook(keep).remove)
        yield leaves


def _embeddings(model: PreTrainedModel) -> list[nn.Module]:
    if not model.config.is_encoder_decoder:
        return [model.get_input_embeddings()]
    return [stack.embed_tokens for stack in (model.get_encoder(), model.get_decoder())]


def attentions(
    model: PreTrainedModel, sequence: FeatureAttributionSequenceOutput
) -> list[Tensor] | None:
    """Give every step's weights as the model reports them, (layer, head, position).

    Cross-attention of an encoder-decoder model. None where a model reports none.
    """
    name = "attentions" if sequence.architecture == "decoder_only" else "cross_attentions"
    steps = []
    for position in positions(sequence):
        with torch.no_grad():
            output = model(**inputs_of(sequence, position), use_cache=False, output_attentions=True)
        layers = [layer for layer in getattr(output, name, None) or () if layer is not None]
        if not layers:
            return None
        steps.append(torch.stack([layer[0, :, -1] for layer in layers]))
    return steps
