"""The numbers agree on the two demo models, which know what they write about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.inseq.conftest import Both
from tests.inseq.tolerances import SINGLE, tolerance
from tests.peer.job import Job

Compare = Callable[..., None]
SMOLLM2, BERGAMOT = "demo:smollm2-135m-instruct", "demo:bergamot-en-pt"
PROMPT, FORCED = "The capital of France is", "The capital of France is Paris, and"
FOIL = "The capital of France is London, and"
SOURCE, TARGET = "The nurse said that she was tired.", "A enfermeira disse que estava cansada."
OTHER_TARGET = "A enfermeira disse que estava muito cansada."
STEP_SCORES = {"step_scores": ["probability", "entropy"]}

LANGUAGE: dict[str, dict[str, Any]] = {
    "saliency": STEP_SCORES,
    "input_x_gradient": STEP_SCORES,
    "integrated_gradients": {"n_steps": 4},
    "deeplift": {},
    "occlusion": {},
    "attention": {},
}
# Inseq takes the translation model as an object. Its decoder is recurrent, so that there are no
# weights of self-attention in it, without which Inseq's attention fails, and its value zeroing.
TRANSLATION: dict[str, dict[str, Any]] = {
    "saliency": STEP_SCORES,
    "input_x_gradient": STEP_SCORES,
    "integrated_gradients": {"n_steps": 4},
    "deeplift": {},
    "occlusion": {},
}
VIEWS = {"raw": "out", "default": "out.aggregate()", "subwords": "out.aggregate('subwords')"}


@pytest.mark.parametrize("method", LANGUAGE)
def test_the_language_model(method: str, assert_equal: Compare) -> None:
    views = {"raw": "out", "default": "out.aggregate()"}
    keywords, own = LANGUAGE[method], {"granular": True}
    job = Job(SMOLLM2, method, PROMPT, FORCED, keywords, own=own, views=views, dtype="float32")
    assert_equal(job, SINGLE)


def test_a_contrast_of_the_language_model(assert_equal: Compare) -> None:
    keywords = {
        "attributed_fn": "contrast_prob_diff",
        "contrast_targets": FOIL,
        "step_scores": ["contrast_prob_diff", "contrast_logits", "in_context_pvi"],
    }
    views = {
        "scores": "out[0].target_attributions",
        "step scores": "out[0].step_scores",
        "default": "out.aggregate()[0].target_attributions",
    }
    own = {"granular": True}
    job = Job(SMOLLM2, "saliency", PROMPT, FORCED, keywords, own=own, views=views, dtype="float32")
    assert_equal(job, SINGLE)


@pytest.mark.parametrize("attribute_target", [False, True])
@pytest.mark.parametrize("method", TRANSLATION)
def test_the_translation_model(method: str, attribute_target: bool, assert_equal: Compare) -> None:
    keywords = {"attribute_target": attribute_target, **TRANSLATION[method]}
    own = {"granular": True}
    job = Job(BERGAMOT, method, SOURCE, TARGET, keywords, own=own, views=VIEWS)
    assert_equal(job, tolerance("", method, "entropy"))


def test_a_contrast_of_the_translation_model(assert_equal: Compare) -> None:
    keywords = {
        "attributed_fn": "contrast_prob_diff",
        "contrast_targets": OTHER_TARGET,
        "step_scores": ["contrast_prob_diff", "kl_divergence"],
    }
    views = {"scores": "out[0].source_attributions", "step scores": "out[0].step_scores"}
    job = Job(BERGAMOT, "saliency", SOURCE, TARGET, keywords, own={"granular": True}, views=views)
    assert_equal(job, tolerance("", "saliency", "kl_divergence"))


def test_attention_of_the_translation_model_is_had_here_alone(both: Both) -> None:
    own, peer = both(Job(BERGAMOT, "attention", SOURCE, TARGET))
    assert own.views["all"][0].source_attributions.shape[:2] == (9, 10)
    assert peer.views["all"].kind == "ValueError"
