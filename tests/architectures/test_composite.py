"""A model that also sees is explained by its text part: the same numbers as that part alone."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    Gemma3Config,
    Gemma3ForCausalLM,
    Gemma3ForConditionalGeneration,
    Llama4Config,
    Llama4ForConditionalGeneration,
    PreTrainedModel,
)

import inseq_widget as iw
from tests.architectures.configurations import IDS, LAYERED
from tests.architectures.models import texts, tokenizer
from tests.architectures.outcomes import quick
from tests.architectures.untouched import left_as_it_was

# More layers than the text part has, and fewer positions than the texts have tokens.
VISION = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "image_size": 8,
    "patch_size": 4,
}
TEXT = {**IDS, **LAYERED}


def gemma() -> tuple[PreTrainedModel, PreTrainedModel]:
    text = {**TEXT, "layer_types": ["sliding_attention", "full_attention"]}
    config = Gemma3Config(
        text_config=text, vision_config=VISION, mm_tokens_per_image=4, image_token_index=63
    )
    whole = Gemma3ForConditionalGeneration(config)
    alone = Gemma3ForCausalLM(config.text_config)
    alone.model.load_state_dict(whole.model.language_model.state_dict())
    alone.lm_head.load_state_dict(whole.lm_head.state_dict())
    return whole, alone


def llama() -> tuple[PreTrainedModel, PreTrainedModel]:
    text = {
        **TEXT,
        "intermediate_size_mlp": 24,
        "num_local_experts": 2,
        "num_experts_per_tok": 1,
        "interleave_moe_layer_step": 1,
    }
    sizes = dict.fromkeys(("projector_input_dim", "projector_output_dim", "vision_output_dim"), 16)
    config = Llama4Config(text_config=text, vision_config={**VISION, **sizes}, image_token_index=63)
    whole = Llama4ForConditionalGeneration(config)
    return whole, whole.language_model


MAKERS = {"Gemma 3": gemma, "Llama 4": llama}


@cache
def both(name: str) -> tuple[iw.AttributionModel, iw.AttributionModel]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        whole, alone = (model.eval() for model in MAKERS[name]())
    return (
        iw.load_model(whole, tokenizer=tokenizer(False)),
        iw.load_model(alone, tokenizer=tokenizer(False)),
    )


@pytest.mark.parametrize(
    "method",
    [
        "saliency",
        "attention",
        "attention_rollout",
        "attnlrp",
        "alti_logit",
        "occlusion",
        "layer_gradient_x_activation",
        "value_zeroing",
    ],
)
@pytest.mark.parametrize("name", list(MAKERS))
def test_the_text_part_is_explained(name: str, method: str) -> None:
    whole, alone = both(name)
    with left_as_it_was(whole.model):
        actual, expected = (
            model.attribute(*texts("Llama"), method, show_progress=False, **quick(method))[0]
            for model in (whole, alone)
        )
    assert expected.scores.shape == actual.scores.shape
    raw = expected.raw_scores.to_numpy()
    largest = np.nanmax(np.abs(raw))
    assert largest > 0
    np.testing.assert_allclose(actual.raw_scores, raw, rtol=0, atol=1e-5 * largest)


@pytest.mark.parametrize("name", list(MAKERS))
def test_a_saved_model_is_loaded_and_writes(name: str, tmp_path: Path) -> None:
    whole, alone = both(name)
    whole.model.save_pretrained(tmp_path)
    tokenizer(False).save_pretrained(tmp_path)
    back = iw.load_model(tmp_path)
    settings = {"max_new_tokens": 3, "min_new_tokens": 3}
    assert back.generate("the nurse", generation_args=settings) == alone.generate(
        "the nurse", generation_args=settings
    )
