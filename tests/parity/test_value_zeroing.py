"""Value zeroing gives what zeroing each token's values in a pass of its own gives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import BloomConfig, BloomForCausalLM, OPTConfig, OPTForCausalLM, PreTrainedModel
from transformers import PreTrainedTokenizerBase as Tokenizer

import inseq_widget as iw
from inseq_widget.results import FeatureAttributionSequenceOutput
from tests.parity import tiny

TOLERANCE = 1e-9  # of the largest score, in double precision
Zero = Callable[[Tensor, int], None]
Distance = Callable[[Tensor, Tensor], Tensor]


def tiny_opt() -> PreTrainedModel:
    torch.manual_seed(0)
    config = OPTConfig(
        vocab_size=tiny.VOCABULARY,
        hidden_size=32,
        ffn_dim=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=256,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    return OPTForCausalLM(config).eval()


def tiny_bloom() -> PreTrainedModel:
    torch.manual_seed(0)
    config = BloomConfig(
        vocab_size=tiny.VOCABULARY,
        hidden_size=32,
        n_layer=2,
        n_head=4,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    return BloomForCausalLM(config).eval()


def whole(output: Tensor, token: int) -> None:
    output[:, token] = 0


def last_third(output: Tensor, token: int) -> None:
    output[:, token, 2 * output.shape[-1] // 3 :] = 0


def each_third_of_a_head(output: Tensor, token: int) -> None:
    output.view(*output.shape[:2], 4, 3, 8)[:, token, :, 2] = 0


def one_shared_value(output: Tensor, token: int) -> None:
    output[:, token, -8:] = 0


# Model, its layers, the module that makes a layer's values, which of its numbers they are, the
# norm behind the last layer, and how exact the model's own softmax is.
DECODER_ONLY = {
    "llama": (tiny.tiny_llama, "model.layers", "self_attn.v_proj", whole, "model.norm", 1e-9),
    "gpt2": (tiny.tiny_gpt2, "transformer.h", "attn.c_attn", last_third, "transformer.ln_f", 1e-9),
    "opt": (
        tiny_opt,
        "model.decoder.layers",
        "self_attn.v_proj",
        whole,
        "model.decoder.final_layer_norm",
        1e-9,
    ),
    "falcon": (
        tiny.tiny_falcon,
        "transformer.h",
        "self_attention.query_key_value",
        one_shared_value,
        "transformer.ln_f",
        1e-9,
    ),
    "bloom": (
        tiny_bloom,
        "transformer.h",
        "self_attention.query_key_value",
        each_third_of_a_head,
        "transformer.ln_f",
        1e-5,
    ),
}
ENCODER_DECODER = {
    "bart": (
        tiny.tiny_bart,
        "model.decoder.layers",
        {"source": "encoder_attn.v_proj", "target": "self_attn.v_proj"},
        None,
    ),
    "t5": (
        tiny.tiny_t5,
        "decoder.block",
        {"source": "layer.1.EncDecAttention.v", "target": "layer.0.SelfAttention.v"},
        "decoder.final_layer_norm",
    ),
}


def cosine(clean: Tensor, changed: Tensor) -> Tensor:
    return 1 - clean @ changed / clean.norm() / changed.norm()


def euclidean(clean: Tensor, changed: Tensor) -> Tensor:
    return ((clean - changed) ** 2).sum().sqrt()


def given_by(model: PreTrainedModel, module: str, inputs: dict[str, Tensor]) -> Tensor:
    """Run the model and take what a module gives, (position, feature)."""
    found: list[Tensor] = []

    def keep(_: nn.Module, __: object, output: Tensor | tuple[Tensor, ...]) -> None:
        found.append(output[0] if isinstance(output, tuple) else output)

    hook = model.get_submodule(module).register_forward_hook(keep)
    with torch.no_grad():
        model.base_model(**inputs, use_cache=False)
    hook.remove()
    return found[-1][0]


def naive(
    model: PreTrainedModel,
    sequence: FeatureAttributionSequenceOutput,
    layers: str,
    values: str,
    zero: Zero,
    final: str | None,
    stack: str = "target",
    distance: Distance = cosine,
) -> list[Tensor]:
    """Give (token, layer) of every step, by a forward pass for each token and layer."""
    ids = torch.tensor([[token.id for token in sequence.target[: sequence.attr_pos_end - 1]]])
    inputs = {"input_ids": ids}
    if sequence.architecture != "decoder_only":
        source = torch.tensor([[token.id for token in sequence.source]])
        inputs = {"input_ids": source, "decoder_input_ids": ids}
    n_tokens = (source if stack == "source" else ids).shape[1]
    n_layers = len(model.get_submodule(layers))
    rows = range(sequence.attr_pos_start - 1, sequence.attr_pos_end - 1)
    scores = torch.zeros(len(rows), n_tokens, n_layers, dtype=torch.float64)
    for layer in range(n_layers):
        read = f"{layers}.{layer}"
        if layer == n_layers - 1 and final is not None:
            read = final
        clean = given_by(model, read, inputs)
        for token in range(n_tokens):

            def hook(_: nn.Module, __: object, output: Tensor, token: int = token) -> Tensor:
                changed = output.clone()
                zero(changed, token)
                return changed

            made = model.get_submodule(f"{layers}.{layer}.{values}")
            handle = made.register_forward_hook(hook)
            changed = given_by(model, read, inputs)
            handle.remove()
            for step, row in enumerate(rows):
                scores[step, token, layer] = distance(clean[row], changed[row])
    steps = []
    for step, row in enumerate(rows):
        seen = scores[step, : n_tokens if stack == "source" else row + 1]
        seen = torch.where(seen < 1e-5, 0, seen)
        steps.append(seen / seen.sum(0).where(seen.sum(0) > 0, torch.tensor(1.0)))
    return steps


def compare(
    sequence: FeatureAttributionSequenceOutput,
    expected: list[Tensor],
    sides: tuple[str, ...],
    tolerance: float = TOLERANCE,
) -> None:
    raw = sequence.raw_scores
    assert raw.dims == ("input", "step", "layer")
    rows = raw.to_numpy()[np.isin(raw.input_side, sides)]
    for column, scores in enumerate(expected):
        assert np.abs(rows[: len(scores), column] - scores.numpy()).max() <= tolerance
        assert np.isnan(rows[len(scores) :, column]).all()
        assert scores.max() > 0


def loaded(model: PreTrainedModel, tokenizer: Tokenizer) -> iw.AttributionModel:
    for parameter in model.parameters():  # random layers hardly mix tokens as they are made
        if parameter.dim() > 1:
            parameter.data *= 4
    return iw.load_model(model.double(), "value_zeroing", tokenizer=tokenizer)


TEXT, END = "The nurse said", " she was."


@pytest.mark.parametrize("name", DECODER_ONLY)
def test_scores_equal_a_pass_for_each_token_and_layer(name: str, tokenizer: Tokenizer) -> None:
    make, layers, values, zero, final, tolerance = DECODER_ONLY[name]
    model = loaded(make(), tokenizer)
    (sequence,) = model.attribute(TEXT, TEXT + END, show_progress=False)
    expected = naive(model.model, sequence, layers, values, zero, final)
    compare(sequence, expected, ("prompt", "target"), tolerance)


@pytest.mark.parametrize("name", ENCODER_DECODER)
def test_source_and_prefix_equal_a_pass_for_each_token_and_layer(
    name: str, tokenizer: Tokenizer
) -> None:
    make, layers, values, final = ENCODER_DECODER[name]
    model = loaded(make(), tokenizer)
    (sequence,) = model.attribute(TEXT, END, attribute_target=True, show_progress=False)
    for stack, sides in (("source", ("source",)), ("target", ("prompt", "target"))):
        expected = naive(model.model, sequence, layers, values[stack], whole, final, stack)
        compare(sequence, expected, sides)


def test_euclidean_scores_are_norms_of_differences(tokenizer: Tokenizer) -> None:
    make, layers, values, zero, final, _ = DECODER_ONLY["llama"]
    model = loaded(make(), tokenizer)
    (sequence,) = model.attribute(
        TEXT, TEXT + END, similarity_metric="euclidean", show_progress=False
    )
    expected = naive(model.model, sequence, layers, values, zero, final, distance=euclidean)
    compare(sequence, expected, ("prompt", "target"))


@pytest.mark.parametrize(
    ("given", "by_layer"),
    [
        (1, [[1], [1]]),
        ((0, 2), [[0, 1], [0, 1]]),
        ([0, -1], [[0, 3], [0, 3]]),
        ({0: 2, 1: [1, 3]}, [[2], [1, 3]]),
        ({1: (1, 3)}, [[], [1, 2]]),
    ],
)
def test_only_the_chosen_heads_lose_their_values(
    given: object, by_layer: list[list[int]], tokenizer: Tokenizer
) -> None:
    make, layers, values, _, final, _ = DECODER_ONLY["opt"]
    model = loaded(make(), tokenizer)
    (sequence,) = model.attribute(
        TEXT, TEXT + " tired.", decoder_zeroed_units_indices=given, show_progress=False
    )
    for layer, heads in enumerate(by_layer):

        def zero(output: Tensor, token: int, heads: list[int] = heads) -> None:
            output.view(*output.shape[:2], 4, 8)[:, token, heads] = 0

        for column, scores in enumerate(naive(model.model, sequence, layers, values, zero, final)):
            rows = sequence.raw_scores.to_numpy()[: len(scores), column, layer]
            assert np.abs(rows - scores[:, layer].numpy()).max() <= TOLERANCE
            assert bool(scores[:, layer].max() > 0) == bool(heads)


def test_a_batch_gives_each_text_what_it_gets_alone(tokenizer: Tokenizer) -> None:
    model = loaded(tiny.tiny_llama(), tokenizer)
    texts, targets = ["Hello", TEXT], ["Hello there", TEXT + END]
    together = model.attribute(texts, targets, show_progress=False)
    for text, target, sequence in zip(texts, targets, together, strict=True):
        (alone,) = model.attribute(text, target, show_progress=False)
        difference = np.abs(sequence.raw_scores.to_numpy() - alone.raw_scores.to_numpy())
        assert np.nanmax(difference) <= TOLERANCE


def test_the_scores_of_a_step_sum_to_one_in_every_layer(tokenizer: Tokenizer) -> None:
    model = loaded(tiny.tiny_bart(), tokenizer)
    (sequence,) = model.attribute(TEXT, END, show_progress=False)
    np.testing.assert_allclose(sequence.raw_scores.sum("input"), 1.0, atol=1e-9)
