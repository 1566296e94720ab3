"""Texts longer than a model's positions are refused before work; all others are explained."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from tests.architectures.models import ARCHITECTURES, WORDS, loaded

POSITIONS = 64
# Classes with a table of positions that does not grow.
LIMITED = {
    "BART",
    "BioGpt",
    "CodeGen",
    "GPT-2",
    "GPT-BigCode",
    "GPT-J",
    "GPT-Neo",
    "MPT",
    "Marian",
    "OPT",
    "OPT (projected)",
    "OpenAI-GPT",
    "Pegasus",
    "mBART",
}


@pytest.fixture(scope="module", autouse=True)
def _one_thread(_two_threads: None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def words(count: int) -> str:
    return " ".join(WORDS[number % len(WORDS)] for number in range(count))


def arguments(name: str, n_tokens: int) -> tuple[str, str]:
    """Make a text of so many tokens, and a target that ends three tokens after it."""
    if ARCHITECTURES[name].encoder_decoder:
        return words(n_tokens - 1), words(3)  # its tokenizer ends the source
    return words(n_tokens - 2), words(n_tokens + 1)


@pytest.mark.parametrize("name", sorted(LIMITED))
def test_a_text_beyond_the_last_position_is_refused_with_its_length(name: str) -> None:
    model = loaded(name, torch.float32)
    text, target = arguments(name, POSITIONS + 1)
    message = (
        rf"input_texts: text 1 \('the nurse.*…'\) has 65 tokens.*the model has {POSITIONS} pos"
    )
    with pytest.raises(ValueError, match=message):
        model.attribute(["the nurse", text], ["the nurse said", target], "saliency")
    with pytest.raises(ValueError, match=rf"has \d\d tokens.*the model has {POSITIONS} positions"):
        model.generate(words(POSITIONS + 5), max_new_tokens=1)


@pytest.mark.parametrize("name", sorted(LIMITED))
def test_a_text_that_reaches_the_last_position_is_explained(name: str) -> None:
    model = loaded(name, torch.float32)
    text, target = arguments(name, POSITIONS)
    scores = model.attribute(text, target, "saliency", show_progress=False)[0].scores
    assert np.isfinite(scores[: POSITIONS - 2]).all()


def test_a_forced_target_beyond_the_last_position_is_refused() -> None:
    model = loaded("BART", torch.float32)
    with pytest.raises(ValueError, match=r"has 6\d tokens, but the model has 64 positions"):
        model.attribute("the nurse", words(POSITIONS + 2), "saliency", show_progress=False)


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name not in LIMITED])
def test_a_model_without_a_table_of_positions_reads_on(name: str) -> None:
    model = loaded(name, torch.float32)
    text, target = arguments(name, POSITIONS + 16)
    scores = model.attribute(text, target, "saliency", show_progress=False)[0].scores
    assert np.isfinite(scores[: POSITIONS + 10]).all()
