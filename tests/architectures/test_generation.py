"""What a model writes on its own is what it would write, and is explained step by step."""

from __future__ import annotations

import pytest
import torch

from tests.architectures import stepwise
from tests.architectures.double import in_double
from tests.architectures.exact import TOLERANCE, model_of
from tests.architectures.models import ARCHITECTURES, made, texts

WRITERS = (
    "BART",
    "Bloom",
    "Falcon",
    "FSMT",
    "Gemma",
    "GPT-2",
    "Llama",
    "Mamba",
    "Marian",
    "NLLB-MoE",
    "RWKV",
    "SeamlessM4T",
    "T5",
)
GREEDY = {"do_sample": False, "num_beams": 1, "min_new_tokens": 3, "max_new_tokens": 3}


@pytest.mark.parametrize("name", WRITERS)
def test_a_text_without_a_forced_target_goes_on_as_the_plain_model_writes(name: str) -> None:
    with in_double():
        model, text = model_of(name), texts(name)[0]
        given = torch.tensor([model.tokenizer(text)["input_ids"]])
        written = made(name).generate(given, attention_mask=torch.ones_like(given), **GREEDY)[0]
        (sequence,) = model.attribute(
            text, method="saliency", generation_args=GREEDY, show_progress=False
        )
        assert [token.id for token in sequence.target] == written.tolist()
        n_given = 1 if ARCHITECTURES[name].encoder_decoder else given.shape[1]
        assert (sequence.attr_pos_start, sequence.attr_pos_end) == (n_given, n_given + 3)
        probabilities = stepwise.logits(model.model, sequence).softmax(-1)
        for column, token in enumerate(sequence.target[n_given:]):
            actual = float(sequence.step_scores["probability"][column])
            assert abs(actual - float(probabilities[column, token.id])) <= TOLERANCE
