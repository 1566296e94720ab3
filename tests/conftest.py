"""Models and texts that many tests share, each made once."""

from __future__ import annotations

import pytest
import torch
from transformers import PreTrainedTokenizerBase

import inseq_widget as iw
from tests.tiny import tiny_bart, tiny_llama


@pytest.fixture(scope="session", autouse=True)
def _two_threads() -> None:
    torch.set_num_threads(2)


@pytest.fixture(scope="session")
def smollm2() -> iw.AttributionModel:
    return iw.load_model("demo:smollm2-135m-instruct", "saliency")


@pytest.fixture(scope="session")
def smollm2_double() -> iw.AttributionModel:
    return iw.load_model("demo:smollm2-135m-instruct", "saliency", dtype=torch.float64)


@pytest.fixture(scope="session")
def bergamot() -> iw.AttributionModel:
    return iw.load_model("demo:bergamot-en-pt", "saliency")


@pytest.fixture(scope="session")
def bergamot_double() -> iw.AttributionModel:
    return iw.load_model("demo:bergamot-en-pt", "saliency", dtype=torch.float64)


@pytest.fixture(scope="session")
def tokenizer(smollm2: iw.AttributionModel) -> PreTrainedTokenizerBase:
    return smollm2.tokenizer


@pytest.fixture(scope="session")
def tiny(tokenizer: PreTrainedTokenizerBase) -> iw.AttributionModel:
    """Make a tiny random Llama, for behaviour that does not depend on what a model knows."""
    return iw.load_model(tiny_llama(), "saliency", tokenizer=tokenizer)


@pytest.fixture(scope="session")
def tiny_encoder_decoder(tokenizer: PreTrainedTokenizerBase) -> iw.AttributionModel:
    """Make a tiny random BART."""
    return iw.load_model(tiny_bart(), "saliency", tokenizer=tokenizer)
