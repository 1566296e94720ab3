"""ALTI-Logit gives what its definition gives, written out with the weights of each model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.models.gemma2.modeling_gemma2 import Gemma2RMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm

import inseq_widget as iw
from inseq_widget.results import FeatureAttributionSequenceOutput
from tests.parity import tiny

TOLERANCE = 1e-9  # of the largest score, in double precision
# Of one layer: weights (value head, feature in, feature) and biases (value head, feature) of the
# values, those of the output as (head, feature, feature out).
Weights = tuple[Tensor, Tensor, Tensor]
BETWEEN = "post_attention_layernorm"  # in Gemma 2, of what attention gives, before it is added
TEXT, END = "The nurse said", " she was tired."


def tiny_opt(**options: bool) -> PreTrainedModel:
    torch.manual_seed(0)
    config = OPTConfig(
        vocab_size=tiny.VOCABULARY,
        hidden_size=32,
        ffn_dim=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=256,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
        **options,
    )
    return OPTForCausalLM(config).eval()


def tiny_gemma2() -> PreTrainedModel:
    """Make a model that norms what attention gives before it is added."""
    torch.manual_seed(0)
    config = Gemma2Config(
        vocab_size=tiny.VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        query_pre_attn_scalar=8,
        max_position_embeddings=256,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    return Gemma2ForCausalLM(config).eval()


def llama_weights(model: PreTrainedModel, layer: int) -> Weights:
    attention = model.model.layers[layer].self_attn
    values = attention.v_proj.weight.T.view(32, 2, 8).transpose(0, 1)
    shared = values.repeat_interleave(2, 0)  # two query heads share a key-value head
    return shared, torch.zeros(4, 8), attention.o_proj.weight.T.view(4, 8, 32)


def gpt2_weights(model: PreTrainedModel, layer: int) -> Weights:
    attention = model.transformer.h[layer].attn
    values = attention.c_attn.weight[:, 64:].view(32, 4, 8).transpose(0, 1)
    return values, attention.c_attn.bias[64:].view(4, 8), attention.c_proj.weight.view(4, 8, 32)


def opt_weights(model: PreTrainedModel, layer: int) -> Weights:
    attention = model.model.decoder.layers[layer].self_attn
    values = attention.v_proj.weight.T.view(32, 4, 8).transpose(0, 1)
    bias = attention.v_proj.bias.view(4, 8)
    return values, bias, attention.out_proj.weight.T.view(4, 8, 32)


def rms(model: PreTrainedModel, vector: Tensor, held: Tensor) -> Tensor:
    norm = model.model.norm
    return norm.weight * vector / (held.pow(2).mean() + norm.variance_epsilon).sqrt()


def gemma_norm(norm: nn.Module, vector: Tensor, held: Tensor) -> Tensor:
    return (1 + norm.weight) * vector / (held.pow(2).mean() + norm.eps).sqrt()


def layer_norm(norm: nn.Module, vector: Tensor, held: Tensor) -> Tensor:
    deviation = (held.var(unbiased=False) + norm.eps).sqrt()
    return norm.weight * (vector - vector.mean()) / deviation


# How to make it, its weights, its final norm; its layers, and the norms within them: of what goes
# into attention, of the sum of what that gives and the residual.
MODELS: dict[
    str,
    tuple[
        Callable[[], PreTrainedModel],
        Callable[[PreTrainedModel, int], Weights],
        Callable[[PreTrainedModel, Tensor, Tensor], Tensor],
        tuple[str, str, str],
    ],
] = {
    "gemma2": (
        tiny_gemma2,
        llama_weights,
        lambda model, vector, held: gemma_norm(model.model.norm, vector, held),
        ("model.layers", "input_layernorm", "pre_feedforward_layernorm"),
    ),
    "llama": (
        tiny.tiny_llama,
        llama_weights,
        rms,
        ("model.layers", "input_layernorm", "post_attention_layernorm"),
    ),
    "gpt2": (
        tiny.tiny_gpt2,
        gpt2_weights,
        lambda model, vector, held: layer_norm(model.transformer.ln_f, vector, held),
        ("transformer.h", "ln_1", "ln_2"),
    ),
    "opt": (
        tiny_opt,
        opt_weights,
        lambda model, vector, held: layer_norm(model.model.decoder.final_layer_norm, vector, held),
        (
            "model.decoder.layers",
            "self_attn_layer_norm",
            "final_layer_norm",
        ),
    ),
}


def states(
    model: PreTrainedModel, ids: Tensor, layers: str, parts: tuple[str, str]
) -> tuple[dict[str, Tensor], tuple[Tensor, ...]]:
    """Run the model and keep what the norms in each layer get and give, and the last state."""
    seen: dict[str, Tensor] = {}

    def keep_last(_: nn.Module, __: object, output: Tensor | tuple[Tensor, ...]) -> None:
        seen["last"] = (output[0] if isinstance(output, tuple) else output)[0, -1]

    hooks = []
    for number, layer in enumerate(model.get_submodule(layers)):
        for part in (*parts, BETWEEN):
            if part not in dict(layer.named_modules()):
                continue

            def keep(
                _: nn.Module, given: tuple[Tensor], output: Tensor, key: str = f"{number}.{part}"
            ) -> None:
                seen[f"{key}.in"] = given[0].reshape(-1, 32)  # OPT drops the dimension of texts
                seen[f"{key}.out"] = output.reshape(-1, 32)

            hooks.append(layer.get_submodule(part).register_forward_hook(keep))
        hooks.append(layer.register_forward_hook(keep_last))
    with torch.no_grad():
        output = model(input_ids=ids, output_attentions=True, use_cache=False)
    for hook in hooks:
        hook.remove()
    return seen, output.attentions


def naive(
    model: PreTrainedModel,
    sequence: FeatureAttributionSequenceOutput,
    name: str,
) -> list[Tensor]:
    """Give (token,) of every step on its own prefix: vector by vector, with plain weights."""
    _, weights_of, final_norm, (layers, before, after) = MODELS[name]
    model.set_attn_implementation("eager")
    steps = []
    for position in range(sequence.attr_pos_start, sequence.attr_pos_end):
        ids = torch.tensor([[token.id for token in sequence.target[:position]]])
        seen, attentions = states(model, ids, layers, (before, after))
        row = model.get_output_embeddings().weight[sequence.target[position].id].detach()
        reached = torch.eye(position, dtype=torch.float64)
        scores = torch.zeros(position, dtype=torch.float64)
        for number, attention in enumerate(attentions):
            values, biases, output = (w.detach().double() for w in weights_of(model, number))
            normed = seen[f"{number}.{before}.out"]
            own, total = seen[f"{number}.{before}.in"], seen[f"{number}.{after}.in"]
            shares = torch.zeros(position, position, dtype=torch.float64)
            to_logit = torch.zeros(position, dtype=torch.float64)
            for i in range(position):
                for j in range(i + 1):
                    vector = torch.zeros(32, dtype=torch.float64)
                    for head in range(4):
                        value = normed[j] @ values[head] + biases[head]
                        vector += attention[0, head, i, j] * (value @ output[head])
                    if name == "gemma2":
                        norm = model.get_submodule(f"{layers}.{number}.{BETWEEN}")
                        vector = gemma_norm(
                            norm, vector, seen[f"{number}.{BETWEEN}.in"][i]
                        ).detach()
                    if i == position - 1:
                        to_logit[j] = row @ final_norm(model, vector, seen["last"]).detach()
                    if i == j:
                        vector = vector + own[i]
                    distance = (total[i] - vector).abs().sum()
                    shares[i, j] = max(0.0, float(total[i].abs().sum() - distance))
            shares /= shares.sum(1, keepdim=True)
            scores += to_logit @ reached
            reached = shares @ reached
        steps.append(scores)
    return steps


@pytest.fixture
def all_in_double_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep models from rounding attention weights and norms to single precision."""
    softmax = torch.nn.functional.softmax

    def exact(products: Tensor, dim: int, dtype: torch.dtype | None = None) -> Tensor:
        return softmax(products, dim=dim)

    def exact_norm(norm: LlamaRMSNorm, states: Tensor) -> Tensor:
        mean = states.pow(2).mean(-1, keepdim=True)
        return norm.weight * states / (mean + norm.variance_epsilon).sqrt()

    def exact_gemma_norm(norm: Gemma2RMSNorm, states: Tensor) -> Tensor:
        return (1 + norm.weight) * states / (states.pow(2).mean(-1, keepdim=True) + norm.eps).sqrt()

    monkeypatch.setattr(torch.nn.functional, "softmax", exact)
    monkeypatch.setattr(Gemma2RMSNorm, "forward", exact_gemma_norm)
    monkeypatch.setattr(LlamaRMSNorm, "forward", exact_norm)


def loaded(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> iw.AttributionModel:
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():  # as they are made, layers do little and biases nothing
        if parameter.dim() > 1:
            parameter.data *= 4
        else:
            parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
    return iw.load_model(model.double(), "alti_logit", tokenizer=tokenizer)


@pytest.mark.usefixtures("all_in_double_precision")
@pytest.mark.parametrize("name", MODELS)
def test_scores_equal_the_definition_vector_by_vector(
    name: str, tokenizer: PreTrainedTokenizerBase
) -> None:
    model = loaded(MODELS[name][0](), tokenizer)
    (sequence,) = model.attribute(TEXT, TEXT + END, show_progress=False)
    scores = sequence.raw_scores
    assert scores.dims == ("input", "step")
    largest = np.nanmax(np.abs(scores))
    assert largest > 0
    assert np.nanmin(scores) < 0
    for column, expected in enumerate(naive(model.model, sequence, name)):
        actual = scores.to_numpy()[:, column]
        difference = np.abs(actual[: len(expected)] - expected.numpy()).max()
        assert difference <= TOLERANCE * largest
        assert np.isnan(actual[len(expected) :]).all()


def test_a_batch_gives_each_text_what_it_gets_alone(tokenizer: PreTrainedTokenizerBase) -> None:
    model = loaded(tiny.tiny_falcon(), tokenizer)
    texts, targets = ["Hello", TEXT], ["Hello there", TEXT + END]
    together = model.attribute(texts, targets, show_progress=False)
    for text, target, sequence in zip(texts, targets, together, strict=True):
        (alone,) = model.attribute(text, target, show_progress=False)
        difference = np.abs(sequence.raw_scores.to_numpy() - alone.raw_scores.to_numpy())
        assert np.nanmax(difference) <= TOLERANCE * np.nanmax(np.abs(alone.raw_scores))


def test_a_norm_of_residual_and_attention_together_is_refused_with_what_works(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    model = loaded(tiny_opt(do_layer_norm_before=False), tokenizer)
    with pytest.raises(NotImplementedError, match=r"norms the sum .* 'attention'"):
        model.attribute(TEXT, TEXT + END, show_progress=False)
