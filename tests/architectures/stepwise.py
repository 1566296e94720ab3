"""Every step alone, from ids: the model's own code on the tokens that come before, nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from inseq_widget.results import FeatureAttributionSequenceOutput, Token

Scores = Mapping[str, Tensor]  # (position, ...), by stack
Layers = Mapping[str, nn.Module]  # by stack


def _ids(tokens: Sequence[Token]) -> Tensor:
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


def logits_of_embedded(
    model: PreTrainedModel, sequence: FeatureAttributionSequenceOutput
) -> Tensor:
    """Run the model for every step on embeddings, without any ids, (step, vocabulary)."""
    names = ["inputs_embeds", "decoder_inputs_embeds"]
    rows = []
    for position in positions(sequence):
        ids = inputs_of(sequence, position).values()
        with torch.no_grad():
            given = {
                name: module(each)
                for name, module, each in zip(names, _embeddings(model), ids, strict=False)
            }
            rows.append(model(**given, use_cache=False).logits[0, -1])
    return torch.stack(rows)


def gradients(
    model: PreTrainedModel, sequence: FeatureAttributionSequenceOutput
) -> Iterator[dict[str, tuple[Tensor, Tensor]]]:
    """Give the gradient of every step's probability, and the embedding, by stack."""
    for position in positions(sequence):
        value, leaves = _differentiable(model, sequence, position)
        grads = torch.autograd.grad(value, leaves)
        yield {
            stack: (grad[0], leaf.detach()[0])
            for stack, grad, leaf in zip(_stacks(sequence), grads, leaves, strict=True)
        }


def occlusions(
    model: PreTrainedModel,
    sequence: FeatureAttributionSequenceOutput,
    tokenizer: PreTrainedTokenizerBase,
) -> Iterator[Scores]:
    """Give what every step's probability loses without each token, (position,), by stack."""
    for position in positions(sequence):
        whole, leaves = _differentiable(model, sequence, position)
        own = [leaf.detach() for leaf in leaves]
        nothing = _baselines(model, sequence, position, tokenizer)
        scores: dict[str, Tensor] = {}
        for number, stack in enumerate(_stacks(sequence)):
            lost = []
            for token in range(own[number].shape[1]):
                given = [embeddings.clone() for embeddings in own]
                given[number][0, token] = nothing[number][0, token]
                value, _ = _differentiable(model, sequence, position, given)
                lost.append(whole.detach() - value.detach())
            scores[stack] = torch.stack(lost)
        yield scores


def integrated_gradients(
    model: PreTrainedModel,
    sequence: FeatureAttributionSequenceOutput,
    tokenizer: PreTrainedTokenizerBase,
    n_points: int,
) -> Iterator[Scores]:
    """Integrate every step's gradient along the way from baselines, by Gauss and Legendre."""
    nodes, weights = np.polynomial.legendre.leggauss(n_points)
    for position in positions(sequence):
        _, leaves = _differentiable(model, sequence, position)
        own = [leaf.detach() for leaf in leaves]
        nothing = _baselines(model, sequence, position, tokenizer)
        scores = [torch.zeros_like(each[0]) for each in own]
        for node, weight in zip(nodes, weights, strict=True):
            between = [b + (1 + node) / 2 * (x - b) for x, b in zip(own, nothing, strict=True)]
            value, leaves = _differentiable(model, sequence, position, between)
            grads = torch.autograd.grad(value, leaves)
            for score, grad, x, b in zip(scores, grads, own, nothing, strict=True):
                score += weight / 2 * (grad * (x - b))[0]
        yield dict(zip(_stacks(sequence), scores, strict=True))


def layer_gradients_x_activations(
    model: PreTrainedModel, sequence: FeatureAttributionSequenceOutput, layers: Layers
) -> Iterator[Scores]:
    """Give every step's gradient at what a layer of each stack gives, times what it gives."""
    for position in positions(sequence):
        given: dict[str, Tensor] = {}

        def keep(stack: str, given: dict[str, Tensor] = given) -> Callable[..., None]:
            def hook(_: nn.Module, __: object, output: Tensor | tuple[Tensor, ...]) -> None:
                given[stack] = output if isinstance(output, Tensor) else output[0]

            return hook

        with ExitStack() as hooks:
            for stack, layer in layers.items():
                hooks.callback(layer.register_forward_hook(keep(stack)).remove)
            value, _ = _differentiable(model, sequence, position)
        grads = torch.autograd.grad(value, list(given.values()))
        yield {
            stack: (hidden.detach() * grad)[0]
            for (stack, hidden), grad in zip(given.items(), grads, strict=True)
        }


def _stacks(sequence: FeatureAttributionSequenceOutput) -> list[str]:
    return ["target"] if sequence.architecture == "decoder_only" else ["source", "target"]


def _differentiable(
    model: PreTrainedModel,
    sequence: FeatureAttributionSequenceOutput,
    position: int,
    given: Sequence[Tensor] = (),
) -> tuple[Tensor, list[Tensor]]:
    """Give a step's probability, and the embeddings that it is made of as leaves, by stack."""
    with _embedded(model, given) as leaves:
        logits = model(**inputs_of(sequence, position), use_cache=False).logits[0, -1]
    return logits.softmax(-1)[sequence.target[position].id], leaves


@contextmanager
def _embedded(model: PreTrainedModel, given: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Collect what the embedding modules give, as leaves, in the order of the stacks.

    Where embeddings are given, the modules give those.
    """
    leaves: list[Tensor] = []

    def keep(_: nn.Module, __: object, output: Tensor) -> Tensor:
        own = given[len(leaves)] if given else output
        leaf = own.detach().requires_grad_()
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


def _baselines(
    model: PreTrainedModel,
    sequence: FeatureAttributionSequenceOutput,
    position: int,
    tokenizer: PreTrainedTokenizerBase,
) -> list[Tensor]:
    """Embed the unknown token in the place of all but ends and the decoder's start, by stack."""
    found = []
    ids_of = inputs_of(sequence, position).items()
    for (name, ids), module in zip(ids_of, _embeddings(model), strict=True):
        replaced = torch.where(ids == tokenizer.eos_token_id, ids, tokenizer.unk_token_id)
        if name == "decoder_input_ids":
            replaced[0, 0] = ids[0, 0]
        with torch.no_grad():
            found.append(module(replaced))
    return found


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
