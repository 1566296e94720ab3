"""ALTI+ gives what its definition gives, written out with the weights of each model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn
from transformers import (
    AutoModelForSeq2SeqLM,
    LEDConfig,
    M2M100Config,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    T5GemmaConfig,
    T5GemmaModuleConfig,
)
from transformers.models.t5.modeling_t5 import T5LayerNorm
from transformers.models.t5gemma.modeling_t5gemma import T5GemmaRMSNorm

import inseq_widget as iw
from inseq_widget.methods.alti_contributions import AttentionBlock
from inseq_widget.models.recording import RecordedLayer
from inseq_widget.results import FeatureAttributionSequenceOutput
from tests.parity import tiny

TOLERANCE = 1e-9  # of the largest score, in double precision
TEXT, END = "The nurse said that", " she was tired"
HEADS, SIZE = 4, 32


def tiny_m2m100() -> PreTrainedModel:
    """Make a model that norms before each block."""
    torch.manual_seed(0)
    config = M2M100Config(
        vocab_size=tiny.VOCABULARY,
        d_model=SIZE,
        encoder_layers=2,
        decoder_layers=3,
        encoder_attention_heads=HEADS,
        decoder_attention_heads=HEADS,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=256,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
        decoder_start_token_id=2,
    )
    return AutoModelForSeq2SeqLM.from_config(config).eval()


def tiny_t5gemma() -> PreTrainedModel:
    """Make a model that norms before each block, and what it gives before it is added."""
    torch.manual_seed(0)
    # Without a cache, the model masks padding of its own accord: the start must be no padding.
    stack = T5GemmaModuleConfig(
        vocab_size=tiny.VOCABULARY,
        hidden_size=SIZE,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=HEADS,
        num_key_value_heads=2,
        head_dim=8,
        query_pre_attn_scalar=8,
        attn_logit_softcapping=None,
        sliding_window=256,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    config = T5GemmaConfig(
        encoder=stack,
        decoder=stack,
        vocab_size=tiny.VOCABULARY,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        decoder_start_token_id=2,
    )
    return AutoModelForSeq2SeqLM.from_config(config).eval()


@dataclass
class Block:
    """An attention block: names of its parts within a layer, and how it norms."""

    attention: str
    output: str  # the projection of what attention gives, within the attention
    values: str  # that of the values
    before: str | None  # the norm of what it gets
    after: str | None  # the norm of its sum with the residual
    between: str | None  # the norm of what attention gives
    following: str  # the norm of whatever comes next, where nothing comes after the sum


@dataclass
class Architecture:
    make: Callable[[], PreTrainedModel]
    layers: tuple[str, str]
    encoder: Block
    own: Block
    cross: Block


def like_bart(make: Callable[[], PreTrainedModel], post: bool) -> Architecture:
    def block(attention: str, following: str) -> Block:
        norm = f"{attention}_layer_norm"
        before, after = (None, norm) if post else (norm, None)
        return Block(attention, "out_proj", "v_proj", before, after, None, following)

    return Architecture(
        make,
        ("model.encoder.layers", "model.decoder.layers"),
        block("self_attn", "final_layer_norm"),
        block("self_attn", "encoder_attn_layer_norm"),
        block("encoder_attn", "final_layer_norm"),
    )


def like_t5() -> Architecture:
    def block(number: int, name: str) -> Block:
        norm, following = f"layer.{number}.layer_norm", f"layer.{number + 1}.layer_norm"
        return Block(f"layer.{number}.{name}", "o", "v", norm, None, None, following)

    return Architecture(
        tiny.tiny_t5,
        ("encoder.block", "decoder.block"),
        block(0, "SelfAttention"),
        block(0, "SelfAttention"),
        block(1, "EncDecAttention"),
    )


def like_t5gemma() -> Architecture:
    def block(name: str, following: str) -> Block:
        pre, post = f"pre_{name}_layernorm", f"post_{name}_layernorm"
        return Block(name, "o_proj", "v_proj", pre, None, post, following)

    return Architecture(
        tiny_t5gemma,
        ("model.encoder.layers", "model.decoder.layers"),
        block("self_attn", "pre_feedforward_layernorm"),
        block("self_attn", "pre_cross_attn_layernorm"),
        block("cross_attn", "pre_feedforward_layernorm"),
    )


MODELS: dict[str, Architecture] = {
    "bart": like_bart(tiny.tiny_bart, post=True),
    "m2m100": like_bart(tiny_m2m100, post=False),
    "t5": like_t5(),
    "t5gemma": like_t5gemma(),
}


def held(norm: nn.Module, vector: Tensor, state: Tensor) -> Tensor:
    """Norm a vector by the scale that a state has, without the bias."""
    if isinstance(norm, nn.LayerNorm):
        deviation = (state.var(unbiased=False) + norm.eps).sqrt()
        return norm.weight * (vector - vector.mean()) / deviation
    assert isinstance(norm, T5GemmaRMSNorm)
    return (1 + norm.weight) * vector / (state.pow(2).mean() + norm.eps).sqrt()


@contextmanager
def kept(model: PreTrainedModel) -> Iterator[dict[nn.Module, tuple[Tensor, Tensor]]]:
    """Keep what every module gets and gives, (position, feature)."""
    seen: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def keep(
        module: nn.Module, args: tuple[object, ...], kwargs: dict[str, object], output: object
    ) -> None:
        given = args[0] if args else kwargs.get("hidden_states")
        gave = output[0] if isinstance(output, tuple) else output
        if isinstance(given, Tensor) and isinstance(gave, Tensor):
            seen[module] = given[0], gave[0]

    hooks = [m.register_forward_hook(keep, with_kwargs=True) for m in model.modules()]
    yield seen
    for hook in hooks:
        hook.remove()


def contributions(
    layer: nn.Module,
    block: Block,
    weights: Tensor,
    seen: dict[nn.Module, tuple[Tensor, Tensor]],
    encoded: Tensor | None,
) -> Tensor:
    """Give the shares of tokens, and of the residual last, (position, token + 1)."""
    attention = layer.get_submodule(block.attention)
    after = layer.get_submodule(block.after) if block.after else None
    between = layer.get_submodule(block.between) if block.between else None
    residual = seen[layer.get_submodule(block.before) if block.before else attention][0]
    whole = seen[after][1] if after else seen[layer.get_submodule(block.following)][0]
    read = seen[attention][0] if encoded is None else encoded
    values, output = (attention.get_submodule(name) for name in (block.values, block.output))
    value = values(read).view(len(read), -1, 8)
    value = value.repeat_interleave(HEADS // value.shape[1], 1)
    shares = torch.zeros(len(residual), weights.shape[-1] + 1, dtype=torch.float64)
    for i in range(len(residual)):
        vectors = []
        for j in range(weights.shape[-1]):
            vector = torch.zeros(SIZE, dtype=torch.float64)
            for head in range(HEADS):
                columns = output.weight[:, 8 * head : 8 * head + 8]
                vector = vector + weights[0, head, i, j] * (columns @ value[j, head])
            vectors.append(held(between, vector, seen[between][0][i]) if between else vector)
        vectors.append(residual[i])
        if encoded is None:
            vectors[i] = vectors[i] + vectors.pop()
        for j, vector in enumerate(vectors):
            part = held(after, vector, seen[after][0][i]) if after else vector
            norm, distance = whole[i].abs().sum(), (whole[i] - part).abs().sum()
            if norm - distance > 1e-14 * norm:  # and not a rounding of nothing
                shares[i, j] = norm - distance
        if shares[i].sum() == 0:  # no part comes near: the residual stays
            shares[i, i if encoded is None else -1] = 1
    return shares / shares.sum(1, keepdim=True)


def naive(
    model: PreTrainedModel,
    architecture: Architecture,
    sequence: FeatureAttributionSequenceOutput,
    position: int,
) -> npt.NDArray[np.float64]:
    """Give the relevances of source and prefix where a prefix is all that the model reads."""
    source = torch.tensor([[token.id for token in sequence.source]])
    prefix = torch.tensor([[token.id for token in sequence.target[:position]]])
    model.set_attn_implementation("eager")
    with torch.no_grad(), kept(model) as seen:
        output = model(
            input_ids=source, decoder_input_ids=prefix, output_attentions=True, use_cache=False
        )
    rolled = torch.eye(source.shape[1], dtype=torch.float64)
    encoder, decoder = (model.get_submodule(name) for name in architecture.layers)
    encoded = output.encoder_last_hidden_state[0]
    with torch.no_grad():
        for layer, weights in zip(encoder, output.encoder_attentions, strict=True):
            rolled = (
                contributions(layer, architecture.encoder, weights, seen, None)[:, :-1] @ rolled
            )
        inputs = torch.eye(position, source.shape[1] + position, dtype=torch.float64)
        inputs = inputs.roll(source.shape[1], 1)  # each prefix token is itself
        for layer, own_weights, weights in zip(
            decoder, output.decoder_attentions, output.cross_attentions, strict=True
        ):
            own = contributions(layer, architecture.own, own_weights, seen, None)[:, :-1]
            cross = contributions(layer, architecture.cross, weights, seen, encoded)
            inputs = cross[:, -1:] * (own @ inputs)
            inputs[:, : source.shape[1]] += cross[:, :-1] @ rolled
    return inputs[-1].numpy()


@pytest.fixture
def all_in_double_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep models from rounding attention weights and norms to single precision."""
    softmax = torch.nn.functional.softmax

    def exact(products: Tensor, dim: int, dtype: torch.dtype | None = None) -> Tensor:
        return softmax(products, dim=dim)

    def t5_norm(norm: T5LayerNorm, states: Tensor) -> Tensor:
        mean = states.pow(2).mean(-1, keepdim=True)
        return norm.weight * states / (mean + norm.variance_epsilon).sqrt()

    def gemma_norm(norm: T5GemmaRMSNorm, states: Tensor) -> Tensor:
        return (1 + norm.weight) * states / (states.pow(2).mean(-1, keepdim=True) + norm.eps).sqrt()

    monkeypatch.setattr(torch.nn.functional, "softmax", exact)
    monkeypatch.setattr(T5LayerNorm, "forward", t5_norm)
    monkeypatch.setattr(T5GemmaRMSNorm, "forward", gemma_norm)


def loaded(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> iw.AttributionModel:
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():  # as they are made, layers do little and biases nothing
        if parameter.dim() > 1:
            parameter.data *= 4
        else:
            parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
    return iw.load_model(model.double(), "alti_logit", tokenizer=tokenizer)


def relevances(sequence: FeatureAttributionSequenceOutput, step: int) -> npt.NDArray[np.float64]:
    """Give those of the source, then those of the tokens before the step."""
    n_inputs = len(sequence.source) + sequence.attr_pos_start + step
    scores: npt.NDArray[np.float64] = sequence.raw_scores.to_numpy()[:n_inputs, step]
    return scores


@pytest.mark.usefixtures("all_in_double_precision")
@pytest.mark.parametrize("name", MODELS)
def test_relevances_equal_the_definition_vector_by_vector(
    name: str, tokenizer: PreTrainedTokenizerBase
) -> None:
    model = loaded(MODELS[name].make(), tokenizer)
    (sequence,) = model.attribute(TEXT, END, attribute_target=True, show_progress=False)
    for step, position in enumerate(range(sequence.attr_pos_start, sequence.attr_pos_end)):
        expected = naive(model.model, MODELS[name], sequence, position)
        actual = relevances(sequence, step)
        assert np.abs(actual - expected).max() <= TOLERANCE * expected.max()
        # Neither a stack of its own, nor all inputs alike.
        assert np.ptp(expected) > 0.01


def test_all_inputs_together_are_one_and_the_source_alone_is_its_part(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    model = loaded(tiny_m2m100(), tokenizer)
    (every,) = model.attribute(TEXT, END, attribute_target=True, show_progress=False)
    (source,) = model.attribute(TEXT, END, show_progress=False)
    scores = every.raw_scores.to_numpy()
    np.testing.assert_allclose(np.nansum(scores, 0), 1, atol=1e-12)
    assert np.nanmin(scores) >= 0
    np.testing.assert_array_equal(source.raw_scores.to_numpy(), scores[: len(every.source)])
    assert source.raw_scores.to_numpy().sum(0).max() < 1


@pytest.mark.parametrize("make", [tiny.tiny_bart, tiny.tiny_t5])
def test_a_batch_gives_each_text_what_it_gets_alone(
    make: Callable[[], PreTrainedModel], tokenizer: PreTrainedTokenizerBase
) -> None:
    model = loaded(make(), tokenizer)
    # A long target for a short source, the other way round, and as many tokens of both.
    texts, targets = ["Hi", TEXT, "The nurse was"], [f"{END} and{END}", " she", " the nurse was"]
    together = model.attribute(texts, targets, attribute_target=True, show_progress=False)
    for text, target, sequence in zip(texts, targets, together, strict=True):
        (alone,) = model.attribute(text, target, attribute_target=True, show_progress=False)
        expected = alone.raw_scores.to_numpy()
        difference = np.abs(sequence.raw_scores.to_numpy() - expected)
        assert np.nanmax(difference) <= TOLERANCE * np.nanmax(expected)


def test_a_position_that_no_vector_comes_near_keeps_its_own() -> None:
    block = AttentionBlock(
        weights=torch.ones(1, 2, 2),
        projected=torch.full((1, 2, 3), -1.0),
        own=torch.full((2, 3), -1.0),
        leaving=torch.full((2, 3), 5.0),  # what the biases made of it
        renormalised=False,
    )
    torch.testing.assert_close(block.shares_within(), torch.eye(2))
    kept, taken = block.shares_across()
    torch.testing.assert_close(kept, torch.ones(2, 1))
    torch.testing.assert_close(taken, torch.zeros(2, 2))


def test_local_attention_is_refused_with_what_works(tokenizer: PreTrainedTokenizerBase) -> None:
    torch.manual_seed(0)
    config = LEDConfig(
        vocab_size=tiny.VOCABULARY,
        d_model=SIZE,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=HEADS,
        decoder_attention_heads=HEADS,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        attention_window=8,
        max_encoder_position_embeddings=64,
        max_decoder_position_embeddings=64,
        pad_token_id=2,
        decoder_start_token_id=2,
    )
    model = loaded(AutoModelForSeq2SeqLM.from_config(config).eval(), tokenizer)
    with pytest.raises(NotImplementedError, match=r"LEDEncoderLayer attends to no .* 'saliency'"):
        model.attribute(TEXT, END, show_progress=False)


def test_an_interrupt_leaves_the_model_as_it_was(
    monkeypatch: pytest.MonkeyPatch, tokenizer: PreTrainedTokenizerBase
) -> None:
    def interrupted(layer: RecordedLayer, hidden: Tensor) -> Tensor:
        raise KeyboardInterrupt

    model = loaded(tiny.tiny_bart(), tokenizer)
    before = model.model.config._attn_implementation
    monkeypatch.setattr(RecordedLayer, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.attribute(TEXT, END, show_progress=False)
    assert model.model.config._attn_implementation == before
    for module in model.model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
