"""Which tokens are explained, of one text and of several: as Inseq does, or why not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.inseq.comparing import assert_close, assert_same_scores
from tests.inseq.conftest import Both, Load
from tests.inseq.texts import ALL, CAUSAL, TRANSLATING, job
from tests.inseq.tolerances import DOUBLE, tolerance
from tests.peer.job import Job

Compare = Callable[..., None]
# Explained positions, of which the prompt of either tokenizer leaves these.
CAUSAL_WINDOWS = [(7, None), (None, 8), (7, 9), (2, None), (None, -2), (9, 10)]
TRANSLATED_WINDOWS = [(2, None), (3, 5), (-3, None), (4, 5)]
WINDOWS = [
    *((model, window) for model in CAUSAL for window in CAUSAL_WINDOWS),
    *((model, window) for model in TRANSLATING for window in TRANSLATED_WINDOWS),
]
METHODS = ["saliency", "occlusion", "attention"]

TEXTS = ["The nurse was so tired.", "The bread rises slowly in the garden."]
TARGETS = ["Non posso crederci.", "La mattina il mugnaio apre la porta."]
PROMPTS = ["The nurse said that", "The bread"]
FORCED = ["The nurse said that she was so tired.", "The bread rises slowly in the garden."]
ARRAYS = {"source": "out[0].source_attributions", "start": "out[0].attr_pos_start"}
N_GENERATED = 3
SCORED = {"step_scores": ["probability", "entropy"]}


def windowed(window: tuple[int | None, int | None]) -> dict[str, Any]:
    return {"attr_pos_start": window[0], "attr_pos_end": window[1]}


def several(model: str, method: str, keywords: dict[str, Any], **options: Any) -> Any:
    texts, targets = (PROMPTS, FORCED) if model in CAUSAL else (TEXTS, TARGETS)
    return replace(job(model, method, keywords, **options), texts=texts, targets=targets)


def scored(method: str) -> dict[str, Any]:
    return {} if method == "attention" else SCORED


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("model", "window"), WINDOWS)
def test_a_window_of_positions(
    model: str, window: tuple[int | None, int | None], method: str, assert_equal: Compare
) -> None:
    keywords = {**windowed(window), **scored(method)}
    # Of the decoder's attention to itself Inseq keeps a corner as large as the window.
    views = {"all": "out"} if model in CAUSAL or method != "attention" else ARRAYS
    assert_equal(job(model, method, keywords, views=views), tolerance(model, method, "entropy"))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", TRANSLATING)
def test_a_window_before_the_end_of_a_translation(model: str, method: str, both: Both) -> None:
    own, peer = both(job(model, method, windowed((2, 4))))
    ours, theirs = own.views["all"][0], peer.views["all"][0]
    assert (ours.start, ours.end) == (2, 4)
    # Inseq explains the position that is not included as well, and counts from one too early.
    assert (theirs.start, theirs.end) == (1, 4)
    first = theirs.source_attributions[:, :2]
    assert_close(ours.source_attributions, first, tolerance(model, method), "the first two")


@pytest.mark.parametrize("model", CAUSAL)
def test_a_negative_start_counts_from_the_end(model: str, both: Both) -> None:
    own, peer = both(job(model, "saliency", windowed((-3, None))))
    length = len(own.views["all"][0].target)
    assert own.views["all"][0].start == length - 3
    # Inseq raises every start before the end of the prompt to it, and negative ones are smaller.
    assert peer.views["all"][0].start < length - 3


@pytest.mark.parametrize("model", ALL)
def test_a_window_behind_the_text_is_refused(model: str, both: Both) -> None:
    own, peer = both(job(model, "saliency", windowed((None, 50))))
    assert own.views["all"].kind == "ValueError"
    # Inseq takes the end of the text for it.
    assert len(peer.views["all"]) == 1


@pytest.mark.parametrize("attribute_target", [False, True])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", TRANSLATING)
def test_several_translations(
    model: str, method: str, attribute_target: bool, assert_equal: Compare
) -> None:
    keywords = {"attribute_target": attribute_target, **scored(method)}
    texts = several(model, method, keywords)
    assert_equal(texts, tolerance(model, method, "entropy"))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", CAUSAL)
def test_several_forced_texts(model: str, method: str, assert_equal: Compare) -> None:
    limit = tolerance(model, method, "entropy")
    assert_equal(several(model, method, scored(method)), limit)


def test_generated_tokens(assert_equal: Compare) -> None:
    assert_equal(generated("bart"), tolerance("bart", "saliency", "entropy"))


@pytest.mark.parametrize("model", ["gpt2", "t5"])
def test_generated_tokens_are_explained_as_they_are(model: str, both: Both, models: Load) -> None:
    own, peer = both(generated(model))
    ours, theirs = own.views["all"][0], peer.views["all"][0]
    assert ours.end - ours.start <= N_GENERATED
    # Inseq reads the generated text again: pieces of characters become others, and so do words.
    assert theirs.end - theirs.start > N_GENERATED


def test_a_prompt_that_begins_with_a_special_token_generates(both: Both) -> None:
    own, peer = both(generated("llama"))
    assert own.views["all"][0].start == 5
    # Inseq finds that what was generated does not begin with the prompt.
    assert peer.views["all"].kind == "AssertionError"


def generated(model: str) -> Job:
    keywords = {**SCORED, "generation_args": {"max_new_tokens": N_GENERATED, "do_sample": False}}
    return replace(job(model, "saliency", keywords), targets=None)


def test_texts_of_a_batch_are_generated_and_explained_as_if_alone(both: Both) -> None:
    asked = replace(generated("gpt2"), texts=PROMPTS)
    own, peer = both(asked)
    for number, prompt in enumerate(PROMPTS):
        alone, inseq_alone = both(replace(asked, texts=prompt))
        ours, theirs = own.views["all"][number], peer.views["all"][number]
        assert_same_scores(ours, alone.views["all"][0], DOUBLE, fewer=False)
        # Inseq pads the shorter prompt on the left and masks the padding in neither generation
        # nor positions, so that another text is generated.
        is_shorter = number == 1
        assert (theirs.target != inseq_alone.views["all"][0].target) == is_shorter


def test_several_generated_texts_may_end_at_different_places(both: Both) -> None:
    # Of a random model, the second text ends at once, and the first has four tokens.
    asked = generated("llama")
    generation_args = {**asked.keywords["generation_args"], "max_new_tokens": 4}
    keywords = {**asked.keywords, "generation_args": generation_args}
    own, peer = both(replace(asked, texts=PROMPTS, keywords=keywords))
    assert len(own.views["all"]) == 2
    assert peer.views["all"].kind == "AttributeError"
