"""Texts that are too long for their whole graph give the same gradients, layer by layer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from transformers import (
    GemmaConfig,
    GemmaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

import inseq_widget as iw
from inseq_widget.methods import gradients, long_texts
from inseq_widget.models.layers import layers_of
from inseq_widget.models.layerwise import NotAChainError, kept_by_layers, traced_by_layers
from tests.parity.tiny import VOCABULARY, tiny_gpt2, tiny_llama

TEXTS = ["Good morning", "The sun is"]
TARGETS = ["Good morning to all of you.", "The sun is up"]


def llama() -> PreTrainedModel:
    return tiny_llama().double()


def gpt2() -> PreTrainedModel:
    return tiny_gpt2().double()


def gemma() -> PreTrainedModel:
    config = GemmaConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
    )
    torch.manual_seed(0)
    return GemmaForCausalLM(config).double().eval()


@pytest.mark.parametrize("make", [llama, gpt2, gemma])
@pytest.mark.parametrize("method", ["saliency", "input_x_gradient"])
def test_going_back_layer_by_layer_gives_the_same_scores(
    make: Callable[[], PreTrainedModel],
    method: str,
    tokenizer: PreTrainedTokenizerBase,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = iw.load_model(make(), method, tokenizer=tokenizer)
    whole = model.attribute(TEXTS, TARGETS, granular=True, show_progress=False)
    monkeypatch.setattr(gradients, "WHOLE_GRAPH_BYTES", 0)
    monkeypatch.setattr(long_texts, "_PASSED_BYTES", 5000)  # a step or two at a time
    seen: list[object] = []
    traced = gradients.traced_by_layers
    monkeypatch.setattr(
        gradients, "traced_by_layers", lambda *given: seen.append(traced(*given)) or seen[-1]
    )
    by_layers = model.attribute(TEXTS, TARGETS, granular=True, show_progress=False)
    assert seen
    assert all(trace is not None for trace in seen)
    for expected, actual in zip(whole, by_layers, strict=True):
        largest = np.nanmax(np.abs(expected.raw_scores))
        assert largest > 0
        difference = np.nanmax(np.abs(expected.raw_scores - actual.raw_scores))
        assert difference <= 1e-9 * largest


def test_only_what_passes_between_layers_is_kept(tokenizer: PreTrainedTokenizerBase) -> None:
    traceable = iw.load_model(llama(), tokenizer=tokenizer)._traceable
    examples = traceable.examples(TEXTS, TARGETS, {}, (None, None), None)
    trace = traced_by_layers(traceable, examples)
    assert trace is not None
    assert trace.chain is not None
    assert len(trace.chain.segments) == 2
    # The graph ends at the last layer's output: nothing leads through the layers.
    with pytest.raises(RuntimeError, match="not have been used"):
        torch.autograd.grad(trace.cut.sum(), trace.embeddings["target"])


def test_layers_run_as_before_after_the_trace(tokenizer: PreTrainedTokenizerBase) -> None:
    traceable = iw.load_model(llama(), tokenizer=tokenizer)._traceable
    examples = traceable.examples(TEXTS, TARGETS, {}, (None, None), None)
    traced_by_layers(traceable, examples)
    for layer in layers_of(traceable)["target"]:
        assert "forward" not in vars(layer)


def test_a_model_whose_layers_share_more_than_hidden_states_is_traced_as_a_whole(
    tokenizer: PreTrainedTokenizerBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = llama()

    def twice(module: nn.Module, given: tuple[torch.Tensor, ...], output: torch.Tensor) -> object:
        return output + given[0]

    # Something happens between two layers that the layers do not know of.
    broken.model.layers[1].register_forward_hook(twice)
    model = iw.load_model(broken, "saliency", tokenizer=tokenizer)
    whole = model.attribute(TEXTS[0], TARGETS[0], show_progress=False)
    monkeypatch.setattr(gradients, "WHOLE_GRAPH_BYTES", 0)
    again = model.attribute(TEXTS[0], TARGETS[0], show_progress=False)
    np.testing.assert_allclose(again[0].scores, whole[0].scores, rtol=1e-9)
    examples = model._traceable.examples(TEXTS[:1], TARGETS[:1], {}, (None, None), None)
    assert traced_by_layers(model._traceable, examples) is None


def test_an_encoder_decoder_model_is_traced_as_a_whole(
    tiny_encoder_decoder: iw.AttributionModel,
) -> None:
    traceable = tiny_encoder_decoder._traceable
    examples = traceable.examples(["Hello"], ["Good day"], {}, (None, None), None)
    assert traced_by_layers(traceable, examples) is None


def test_a_layer_that_is_given_other_differentiable_tensors_is_no_link_of_a_chain() -> None:
    class Layer(nn.Module):
        def forward(self, hidden_states: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
            return hidden_states + other

    layer = Layer()
    given = torch.ones(1, 2, 3, requires_grad=True)
    with kept_by_layers([layer]) as chain:
        assert layer(given, torch.ones(3)).requires_grad
        assert len(chain.segments) == 1
        with pytest.raises(NotAChainError):
            layer(given, other=given * 2)
    assert "forward" not in vars(layer)
