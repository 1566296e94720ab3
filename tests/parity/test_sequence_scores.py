"""Scores between tokens that are no steps: attention and value zeroing inside of two stacks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers import PreTrainedTokenizerBase as Tokenizer

import inseq_widget as iw
from inseq_widget.models import attention_rows
from inseq_widget.results import FeatureAttributionSequenceOutput
from tests.parity import tiny
from tests.parity.test_value_zeroing import cosine, given_by, loaded

TOLERANCE = 1e-9  # of the largest score, in double precision
TEXT, END = "The nurse said", " she was."
MODELS = {"bart": tiny.tiny_bart, "t5": tiny.tiny_t5}
# Layers, what makes their values in self-attention, and the norm behind the last of them.
STACKS = {
    "bart": {
        "encoder": ("model.encoder.layers", "self_attn.v_proj", None),
        "decoder": ("model.decoder.layers", "self_attn.v_proj", None),
    },
    "t5": {
        "encoder": ("encoder.block", "layer.0.SelfAttention.v", "encoder.final_layer_norm"),
        "decoder": ("decoder.block", "layer.0.SelfAttention.v", "decoder.final_layer_norm"),
    },
}


def inputs_of(sequence: FeatureAttributionSequenceOutput) -> dict[str, Tensor]:
    read = sequence.target[: sequence.attr_pos_end - 1]
    return {
        "input_ids": torch.tensor([[token.id for token in sequence.source]]),
        "decoder_input_ids": torch.tensor([[token.id for token in read]]),
    }


def close(actual: Tensor, expected: Tensor) -> bool:
    missing = expected.isnan()
    assert actual.shape == expected.shape
    assert torch.equal(actual.isnan(), missing)
    assert expected[~missing].max() > 0
    largest = expected[~missing].abs().max()
    return bool((actual - expected)[~missing].abs().max() <= TOLERANCE * largest)


@pytest.fixture
def softmax_in_double_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    softmax = torch.nn.functional.softmax

    def exact(products: Tensor, dim: int, dtype: torch.dtype | None = None) -> Tensor:
        return softmax(products, dim=dim)

    monkeypatch.setattr(torch.nn.functional, "softmax", exact)


def own_attention(model: PreTrainedModel, inputs: dict[str, Tensor], name: str) -> Tensor:
    """Give what the model reports itself, (attended, attending, layer, head)."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    with torch.no_grad():
        reported = model(**inputs, use_cache=False, output_attentions=True)[name]
    model.set_attn_implementation(before)
    return torch.stack([layer[0] for layer in reported]).permute(3, 2, 0, 1)


@pytest.mark.usefixtures("softmax_in_double_precision")
@pytest.mark.parametrize("name", MODELS)
def test_attention_of_a_stack_to_itself_is_the_models_own(name: str, tokenizer: Tokenizer) -> None:
    model = loaded(MODELS[name](), tokenizer)
    output = model.attribute(
        [TEXT, "Hello"], [END, " there my friend"], "attention", show_progress=False
    )
    for sequence in output:
        scores = sequence.sequence_scores
        assert set(scores) == {"encoder_self_attentions", "decoder_self_attentions"}
        inputs = inputs_of(sequence)
        encoder = own_attention(model.model, inputs, "encoder_attentions")
        assert close(scores["encoder_self_attentions"], encoder)
        decoder = own_attention(model.model, inputs, "decoder_attentions")
        later = torch.ones(decoder.shape[:2], dtype=torch.bool).tril(-1)
        assert (decoder[later] == 0).all()
        decoder[later] = torch.nan
        assert close(scores["decoder_self_attentions"], decoder)


@pytest.mark.parametrize("method", ["attention", "value_zeroing"])
def test_what_is_attributed_is_not_given_twice(method: str, tokenizer: Tokenizer) -> None:
    model = loaded(tiny.tiny_t5(), tokenizer)
    (sequence,) = model.attribute(TEXT, END, method, attribute_target=True, show_progress=False)
    (name,) = sequence.sequence_scores
    assert name.startswith("encoder_self")
    causal = iw.load_model(tiny.tiny_llama(), tokenizer=tokenizer)
    (sequence,) = causal.attribute(TEXT, TEXT + END, method, show_progress=False)
    assert sequence.sequence_scores == {}


def test_attention_that_takes_too_much_memory_is_left_out(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = loaded(tiny.tiny_bart(), tokenizer)
    (whole,) = model.attribute(TEXT, END, "attention", show_progress=False)
    monkeypatch.setattr(attention_rows, "WHOLE_BYTES", 1000)
    with pytest.warns(UserWarning, match="sequence_scores: the attention of encoder and decoder"):
        (sequence,) = model.attribute(TEXT, END, "attention", show_progress=False)
    assert sequence.sequence_scores == {}
    np.testing.assert_array_equal(sequence.raw_scores, whole.raw_scores)


def zeroed(
    model: PreTrainedModel, inputs: dict[str, Tensor], stack: str, parts: tuple[str, str, str]
) -> Tensor:
    """Give (token, position, layer) by a forward pass for each token and layer."""
    layers, values, final = parts
    n_tokens = inputs["input_ids" if stack == "encoder" else "decoder_input_ids"].shape[1]
    n_layers = len(model.get_submodule(layers))
    scores = torch.zeros(n_tokens, n_tokens, n_layers, dtype=torch.float64)
    for layer in range(n_layers):
        read = final if final and layer == n_layers - 1 else f"{layers}.{layer}"
        clean = given_by(model, read, inputs)
        for token in range(n_tokens):

            def hook(_: nn.Module, __: object, output: Tensor, token: int = token) -> Tensor:
                changed = output.clone()
                changed[:, token] = 0
                return changed

            made = model.get_submodule(f"{layers}.{layer}.{values}")
            handle = made.register_forward_hook(hook)
            changed = given_by(model, read, inputs)
            handle.remove()
            for row in range(n_tokens):
                if stack == "encoder" or row >= token:
                    distance = cosine(clean[row], changed[row])
                    scores[token, row, layer] = distance if distance >= 1e-5 else 0.0
                else:
                    scores[token, row, layer] = torch.nan
    totals = scores.nansum(0)
    return scores / torch.where(totals > 0, totals, 1)


@pytest.mark.parametrize("name", MODELS)
def test_value_zeroing_of_a_stack_equals_a_pass_for_each_token_and_layer(
    name: str, tokenizer: Tokenizer
) -> None:
    model = loaded(MODELS[name](), tokenizer)
    # Of the second, source and target prefix are of one length: a masked position tells them apart.
    for text, target in ((TEXT, END), ("The nurse", " nurse said")):
        (sequence,) = model.attribute(text, target, show_progress=False)
        read = sequence.attr_pos_end - 1
        assert (len(sequence.source) == read) == (text != TEXT)
        assert set(sequence.sequence_scores) == {"encoder_self_scores", "decoder_self_scores"}
        for stack, parts in STACKS[name].items():
            expected = zeroed(model.model, inputs_of(sequence), stack, parts)
            assert close(sequence.sequence_scores[f"{stack}_self_scores"], expected)


def test_only_what_is_asked_for_is_computed(tokenizer: Tokenizer) -> None:
    model = loaded(tiny.tiny_bart(), tokenizer)
    (whole,) = model.attribute(TEXT, END, show_progress=False)
    for stack, other in (("encoder", "decoder"), ("decoder", "encoder")):
        without = {f"output_{other}_self_scores": False}
        (sequence,) = model.attribute(TEXT, END, show_progress=False, **without)
        assert set(sequence.sequence_scores) == {f"{stack}_self_scores"}
        np.testing.assert_allclose(sequence.raw_scores, whole.raw_scores, atol=TOLERANCE)


def test_only_the_chosen_heads_of_the_encoder_lose_their_values(tokenizer: Tokenizer) -> None:
    model = loaded(tiny.tiny_bart(), tokenizer)
    (sequence,) = model.attribute(
        TEXT, END, encoder_zeroed_units_indices={1: [0, 1, 2, 3]}, show_progress=False
    )
    (whole,) = model.attribute(TEXT, END, show_progress=False)
    chosen, every = (each.sequence_scores["encoder_self_scores"] for each in (sequence, whole))
    assert (chosen[..., 0] == 0).all()
    np.testing.assert_allclose(chosen[..., 1], every[..., 1], atol=TOLERANCE)
    causal = iw.load_model(tiny.tiny_llama(), tokenizer=tokenizer)
    with pytest.raises(ValueError, match="encoder_zeroed_units_indices: a decoder-only model"):
        causal.attribute(
            TEXT, TEXT + END, "value_zeroing", encoder_zeroed_units_indices=1, show_progress=False
        )
