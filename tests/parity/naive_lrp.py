"""AttnLRP by its definition: relevance handed back operation by operation, for one prefix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(eq=False)
class Node:
    """A tensor on the way, and the relevance that has reached it."""

    value: Tensor
    relevance: Tensor


class Relevance:
    """Operations that remember how to hand relevance back, each by its rule."""

    def __init__(self) -> None:
        self._pushes: list[Callable[[], None]] = []
        self.absorbed = torch.zeros((), dtype=torch.float64)  # by softmax and by biases

    def node(self, value: Tensor, push: Callable[[Node], None] | None = None) -> Node:
        node = Node(value.detach(), torch.zeros_like(value))
        if push is not None:
            self._pushes.append(lambda: push(node))
        return node

    def hand_back(self) -> None:
        for push in reversed(self._pushes):
            push()

    def linear(self, x: Node, weight: Tensor, bias: Tensor | None = None) -> Node:
        def push(y: Node) -> None:
            handed = x.value * (share(y) @ weight)
            self.absorbed += y.relevance.sum() - handed.sum()
            x.relevance += handed

        return self.node(nn.functional.linear(x.value, weight, bias), push)

    def add(self, a: Node, b: Node) -> Node:
        def push(y: Node) -> None:
            a.relevance += a.value * share(y)
            b.relevance += b.value * share(y)

        return self.node(a.value + b.value, push)

    def shift(self, x: Node, constant: Tensor) -> Node:
        def push(y: Node) -> None:
            handed = x.value * share(y)
            self.absorbed += y.relevance.sum() - handed.sum()
            x.relevance += handed

        return self.node(x.value + constant, push)

    def identity(self, x: Node, function: Callable[[Tensor], Tensor]) -> Node:
        """Apply what hands all relevance on: an activation, a scaling, an RMS normalisation."""

        def push(y: Node) -> None:
            x.relevance += y.relevance

        return self.node(function(x.value), push)

    def moved(
        self, x: Node, there: Callable[[Tensor], Tensor], back: Callable[[Tensor], Tensor]
    ) -> Node:
        def push(y: Node) -> None:
            x.relevance += back(y.relevance)

        return self.node(there(x.value), push)

    def layer_norm(self, x: Node, norm: nn.LayerNorm) -> Node:
        def push(y: Node) -> None:
            centred = x.value - x.value.mean(-1, keepdim=True)
            factor = norm.weight / (x.value.var(-1, keepdim=True, correction=0) + norm.eps).sqrt()
            at_centred = factor * share(y)
            handed = x.value * (at_centred - at_centred.mean(-1, keepdim=True))
            assert torch.allclose(centred * factor + norm.bias, y.value)
            x.relevance += handed

        return self.node(norm(x.value), push)

    def product(self, a: Node, b: Node) -> Node:
        def push(y: Node) -> None:
            a.relevance += y.relevance / 2
            b.relevance += y.relevance / 2

        return self.node(a.value * b.value, push)

    def matmul(self, a: Node, b: Node) -> Node:
        def push(y: Node) -> None:
            a.relevance += a.value * (share(y) @ b.value.mT) / 2
            b.relevance += b.value * (a.value.mT @ share(y)) / 2

        return self.node(a.value @ b.value, push)

    def softmax(self, x: Node, added: Tensor) -> Node:
        def push(y: Node) -> None:
            handed = x.value * (y.relevance - y.value * y.relevance.sum(-1, keepdim=True))
            self.absorbed += y.relevance.sum() - handed.sum()
            x.relevance += handed

        return self.node((x.value + added).softmax(-1), push)

    def attention(self, q: Node, k: Node, v: Node, scaling: float, added: Tensor) -> Node:
        """Attend, (head, position, feature), and put the heads side by side."""
        products = self.matmul(q, self.moved(k, lambda t: t.mT, lambda t: t.mT))
        weights = self.softmax(self.identity(products, lambda t: t * scaling), added)
        output = self.matmul(weights, v)
        n_heads = output.value.shape[0]
        return self.moved(
            output, lambda t: t.transpose(0, 1).flatten(1), lambda t: heads(t, n_heads)
        )

    def split(self, x: Node, n_heads: int) -> Node:
        return self.moved(x, lambda t: heads(t, n_heads), lambda t: t.transpose(0, 1).flatten(1))


def share(y: Node) -> Tensor:
    """Relevance for each unit of a value."""
    return torch.where(y.value == 0, torch.zeros_like(y.value), y.relevance / y.value)


def heads(x: Tensor, n_heads: int) -> Tensor:
    return x.unflatten(1, (n_heads, -1)).transpose(0, 1)


def causal(n: int) -> Tensor:
    return torch.full((n, n), -torch.inf, dtype=torch.float64).triu(1)


def llama(model: nn.Module, tape: Relevance, inputs: dict[str, Node]) -> Node:
    config, x = model.config, inputs["target"]
    n = x.value.shape[0]
    cos, sin = model.model.rotary_emb(x.value[None], torch.arange(n)[None])
    groups = config.num_attention_heads // config.num_key_value_heads

    def half(t: Tensor) -> Tensor:
        a, b = t.chunk(2, -1)
        return torch.cat([-b, a], -1)

    def rotate(node: Node) -> Node:
        def push(y: Node) -> None:
            node.relevance += node.value * (share(y) * cos[0] - half(share(y) * sin[0]))

        return tape.node(node.value * cos[0] + half(node.value) * sin[0], push)

    def repeated(node: Node) -> Node:
        return tape.moved(
            node,
            lambda t: t.repeat_interleave(groups, 0),
            lambda t: t.unflatten(0, (-1, groups)).sum(1),
        )

    for layer in model.model.layers:
        normed = tape.identity(x, layer.input_layernorm)
        attn = layer.self_attn
        q = rotate(tape.split(tape.linear(normed, attn.q_proj.weight), config.num_attention_heads))
        k, v = (
            tape.split(tape.linear(normed, proj.weight), config.num_key_value_heads)
            for proj in (attn.k_proj, attn.v_proj)
        )
        mixed = tape.attention(q, repeated(rotate(k)), repeated(v), attn.scaling, causal(n))
        x = tape.add(x, tape.linear(mixed, attn.o_proj.weight))
        normed = tape.identity(x, layer.post_attention_layernorm)
        gate = tape.identity(tape.linear(normed, layer.mlp.gate_proj.weight), layer.mlp.act_fn)
        gated = tape.product(gate, tape.linear(normed, layer.mlp.up_proj.weight))
        x = tape.add(x, tape.linear(gated, layer.mlp.down_proj.weight))
    return tape.linear(tape.identity(x, model.model.norm), model.lm_head.weight)


def gpt2(model: nn.Module, tape: Relevance, inputs: dict[str, Node]) -> Node:
    config, x = model.config, inputs["target"]
    n, width = x.value.shape
    x = tape.shift(x, model.transformer.wpe.weight[:n])
    for layer in model.transformer.h:
        normed = tape.layer_norm(x, layer.ln_1)
        weights, biases = layer.attn.c_attn.weight.T, layer.attn.c_attn.bias
        q, k, v = (
            tape.split(tape.linear(normed, w, b), config.n_head)
            for w, b in zip(weights.split(width), biases.split(width), strict=True)
        )
        mixed = tape.attention(q, k, v, (width // config.n_head) ** -0.5, causal(n))
        x = tape.add(x, tape.linear(mixed, layer.attn.c_proj.weight.T, layer.attn.c_proj.bias))
        inner = tape.linear(
            tape.layer_norm(x, layer.ln_2), layer.mlp.c_fc.weight.T, layer.mlp.c_fc.bias
        )
        inner = tape.identity(inner, layer.mlp.act)
        x = tape.add(x, tape.linear(inner, layer.mlp.c_proj.weight.T, layer.mlp.c_proj.bias))
    return tape.linear(tape.layer_norm(x, model.transformer.ln_f), model.lm_head.weight)


def t5(model: nn.Module, tape: Relevance, inputs: dict[str, Node]) -> Node:
    n_heads = model.config.num_heads

    def attend(attention: nn.Module, queries: Node, keys: Node, added: Tensor) -> Node:
        q = tape.split(tape.linear(queries, attention.q.weight), n_heads)
        k = tape.split(tape.linear(keys, attention.k.weight), n_heads)
        v = tape.split(tape.linear(keys, attention.v.weight), n_heads)
        return tape.linear(tape.attention(q, k, v, 1.0, added), attention.o.weight)

    def stack(module: nn.Module, x: Node, encoded: Node | None) -> Node:
        n = x.value.shape[0]
        bias = module.block[0].layer[0].SelfAttention.compute_bias(n, n)[0]
        added = bias if encoded is None else bias + causal(n)
        for block in module.block:
            own, *cross, dense = block.layer
            normed = tape.identity(x, own.layer_norm)
            x = tape.add(x, attend(own.SelfAttention, normed, normed, added))
            for layer in cross:
                assert encoded is not None
                normed = tape.identity(x, layer.layer_norm)
                nothing = torch.zeros((), dtype=torch.float64)
                x = tape.add(x, attend(layer.EncDecAttention, normed, encoded, nothing))
            inner = tape.linear(tape.identity(x, dense.layer_norm), dense.DenseReluDense.wi.weight)
            inner = tape.identity(inner, dense.DenseReluDense.act)
            x = tape.add(x, tape.linear(inner, dense.DenseReluDense.wo.weight))
        return tape.identity(x, module.final_layer_norm)

    encoded = stack(model.encoder, inputs["source"], None)
    decoded = stack(model.decoder, inputs["target"], encoded)
    scale = model.config.d_model**-0.5 if model.config.scale_decoder_outputs else 1.0
    return tape.linear(tape.identity(decoded, lambda t: t * scale), model.lm_head.weight)


@torch.no_grad()
def relevances(
    forward: Callable[[nn.Module, Relevance, dict[str, Node]], Node],
    model: nn.Module,
    embeddings: dict[str, Tensor],
    token: int,
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Hand the last position's logit of a token back to the embeddings, (position, feature).

    Returns also the logits of the last position, and how much relevance was absorbed.
    """
    tape = Relevance()
    inputs = {stack: tape.node(embedded) for stack, embedded in embeddings.items()}
    logits = forward(model, tape, inputs)
    logits.relevance[-1, token] = logits.value[-1, token]
    tape.hand_back()
    handed = {stack: node.relevance for stack, node in inputs.items()}
    return handed, logits.value[-1], tape.absorbed
