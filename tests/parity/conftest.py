"""The texts of the parity tests, and each model's attribution of them in double precision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from transformers import PreTrainedTokenizerBase

import inseq_widget as iw
from inseq_widget.results import FeatureAttributionOutput
from tests.parity.tiny import small_tokenizer
from tests.tiny import tiny_bart


@pytest.fixture(scope="session")
def tokenizer(smollm2: iw.AttributionModel) -> PreTrainedTokenizerBase:
    """Share the tokenizer of the tiny models with their small vocabulary."""
    return small_tokenizer(smollm2.tokenizer)


@pytest.fixture(scope="session")
def tiny_encoder_decoder(tokenizer: PreTrainedTokenizerBase) -> iw.AttributionModel:
    """Make a tiny random BART of that vocabulary; the other one is for the other tests."""
    return iw.load_model(tiny_bart(), "saliency", tokenizer=tokenizer)


@dataclass(frozen=True)
class Case:
    """A model in double precision with texts and forced targets of different length."""

    model: iw.AttributionModel
    texts: list[str]
    targets: list[str]

    def attribute(self, method: str, **keywords: object) -> FeatureAttributionOutput:
        return self.model.attribute(
            self.texts, self.targets, method, show_progress=False, **keywords
        )


@pytest.fixture(scope="session", params=["smollm2", "bergamot"])
def case(request: pytest.FixtureRequest) -> Case:
    model = request.getfixturevalue(f"{request.param}_double")
    if request.param == "smollm2":
        texts = ["The nurse said that", "Water boils at"]
        ends = [" she was tired of the long night shifts.", " one hundred degrees."]
        return Case(model, texts, [t + e for t, e in zip(texts, ends, strict=True)])
    return Case(
        model,
        ["The nurse said that she was tired.", "Good morning."],
        ["A enfermeira disse que estava cansada.", "Bom dia."],
    )


@pytest.fixture(scope="session")
def attributed(case: Case) -> Callable[..., FeatureAttributionOutput]:
    """Attribute the case, once for the same arguments."""
    done: dict[tuple[object, ...], FeatureAttributionOutput] = {}

    def attribute(method: str, **keywords: object) -> FeatureAttributionOutput:
        key = (method, *sorted(keywords.items()))
        if key not in done:
            done[key] = case.attribute(method, **keywords)
        return done[key]

    return attribute
