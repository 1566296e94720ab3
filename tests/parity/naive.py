"""The definition of each method as a plain loop: a forward pass for every step, no sharing."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from transformers import PreTrainedModel

from inseq_widget.results import FeatureAttributionSequenceOutput

Fn = Callable[[Tensor, int], Tensor]


def probability(logits: Tensor, target: int) -> Tensor:
    return logits.softmax(-1)[target]


def logit(logits: Tensor, target: int) -> Tensor:
    return logits[target]


def step_logits(
    model: PreTrainedModel,
    sequence: FeatureAttributionSequenceOutput,
    position: int,
    embedded: bool = True,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Run the model on what precedes ``position`` alone, fed with embeddings or with ids."""
    prefix = torch.tensor([[token.id for token in sequence.target[:position]]])
    inputs: dict[str, Tensor] = {}
    if sequence.architecture == "decoder_only":
        embed = model.get_input_embeddings()
        if embedded:
            inputs["target"] = embed(prefix).detach().requires_grad_()
            output = model(inputs_embeds=inputs["target"], use_cache=False)
        else:
            output = model(input_ids=prefix, use_cache=False)
    else:
        source = torch.tensor([[token.id for token in sequence.source]])
        if embedded:
            inputs["source"] = model.get_encoder().get_input_embeddings()(source)
            inputs["target"] = model.get_decoder().get_input_embeddings()(prefix)
            inputs = {name: x.detach().requires_grad_() for name, x in inputs.items()}
            output = model(
                inputs_embeds=inputs["source"],
                decoder_inputs_embeds=inputs["target"],
                use_cache=False,
            )
        else:
            output = model(input_ids=source, decoder_input_ids=prefix, use_cache=False)
    logits = output.logits[0, -1]
    return (logits if embedded else logits.detach()), inputs


def gradients(
    model: PreTrainedModel, sequence: FeatureAttributionSequenceOutput, fn: Fn
) -> list[dict[str, tuple[Tensor, Tensor]]]:
    """For every step and stack: gradient and embedding, (position, feature)."""
    steps = []
    for position in range(sequence.attr_pos_start, sequence.attr_pos_end):
        logits, inputs = step_logits(model, sequence, position)
        value = fn(logits, sequence.target[position].id)
        grads = torch.autograd.grad(value, list(inputs.values()))
        steps.append(
            {
                name: (grad[0], x.detach()[0])
                for (name, x), grad in zip(inputs.items(), grads, strict=True)
            }
        )
    return steps


def attentions(
    model: PreTrainedModel, sequence: FeatureAttributionSequenceOutput
) -> list[dict[str, Tensor]]:
    """For every step and stack: the model's own weights, (layer, head, position)."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    steps = []
    try:
        for position in range(sequence.attr_pos_start, sequence.attr_pos_end):
            prefix = torch.tensor([[token.id for token in sequence.target[:position]]])
            with torch.no_grad():
                if sequence.architecture == "decoder_only":
                    output = model(input_ids=prefix, output_attentions=True)
                    layers = {"target": output.attentions}
                else:
                    source = torch.tensor([[token.id for token in sequence.source]])
                    output = model(
                        input_ids=source, decoder_input_ids=prefix, output_attentions=True
                    )
                    layers = {"source": output.cross_attentions}
            steps.append(
                {name: torch.stack([w[0, :, -1] for w in ws]) for name, ws in layers.items()}
            )
    finally:
        model.set_attn_implementation(before)
    return steps
