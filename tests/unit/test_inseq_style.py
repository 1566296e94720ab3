"""Step functions that were written for Inseq read what it gives them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import inseq_widget as iw
from inseq_widget.scores import StepFunctionArgs
from inseq_widget.scores.registering import STEP_FUNCTIONS

PROMPT, FULL = "The nurse said", "The nurse said hello to me"


def margin(args: Any, over: int = 0, **kwargs: object) -> Tensor:
    """Logit of the target less the mean, in the manner of Inseq's own functions."""
    logits = args.attribution_model.output2logits(args.forward_output)
    ids = args.target_ids.reshape(logits.shape[0], 1).to(logits.device)
    return logits.gather(-1, ids).squeeze(-1) - logits.mean(-1) + over


def margin_here(args: StepFunctionArgs, over: int = 0) -> Tensor:
    logits = args.logits.gather(-1, args.target_ids[..., None])[..., 0]
    return logits - args.logits.mean(-1) + over


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    iw.register_step_function(margin, "margin", {"spans": "sum"})
    yield
    del STEP_FUNCTIONS._entries["margin"]


@pytest.mark.parametrize("method", ["saliency", "integrated_gradients", "occlusion", "attention"])
def test_it_is_reported_and_explained_as_the_same_function_here(
    method: str, tiny: iw.AttributionModel
) -> None:
    texts, targets = [PROMPT, "Hello"], [FULL, "Hello there"]
    keywords: dict[str, Any] = {"n_steps": 3} if method == "integrated_gradients" else {}
    explains = {} if method == "attention" else {"attributed_fn": "margin"}
    same = {} if method == "attention" else {"attributed_fn": margin_here}
    ours = tiny.attribute(
        texts, targets, method, step_scores=[margin_here], show_progress=False, **same, **keywords
    )
    theirs = tiny.attribute(
        texts, targets, method, step_scores=["margin"], show_progress=False, **explains, **keywords
    )
    for here, there in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(there.scores, here.scores, rtol=1e-5)
        assert torch.equal(there.step_scores["margin"], here.step_scores["margin_here"])
    assert theirs.info["attributed_fn"] == (None if method == "attention" else "margin")


def test_it_gets_its_keywords(tiny: iw.AttributionModel) -> None:
    one, other = (
        tiny.attribute(PROMPT, FULL, "dummy", step_scores=["margin"], show_progress=False, **given)
        for given in ({}, {"over": 2})
    )
    difference = other[0].step_scores["margin"] - one[0].step_scores["margin"]
    torch.testing.assert_close(difference, torch.full((3,), 2.0))


def test_it_is_told_whether_it_is_explained(tiny: iw.AttributionModel) -> None:
    told = []

    def asks(args: Any) -> Tensor:
        told.append(args.is_attributed_fn)
        assert args.attribution_model is tiny
        assert args.forward_output.logits.shape[1] == 1
        return args.forward_output.logits[:, -1].max(-1).values

    tiny.attribute(
        PROMPT, FULL, "saliency", attributed_fn=asks, step_scores=[asks], show_progress=False
    )
    assert set(told) == {True, False}


def test_inputs_of_one_step_are_refused_with_advice(tiny: iw.AttributionModel) -> None:
    def reads(args: Any) -> Tensor:
        return args.forward_output.logits[:, -1].max(-1).values + args.decoder_input_ids.shape[1]

    def guesses(args: Any) -> Tensor:
        return args.forward_output.logits[:, -1].max(-1).values + args.hidden

    with pytest.raises(AttributeError, match="decoder_input_ids: a step function sees all"):
        tiny.attribute(PROMPT, FULL, attributed_fn=reads, show_progress=False)
    with pytest.raises(AttributeError, match="hidden: there are attribution_model, forward_out"):
        tiny.attribute(PROMPT, FULL, attributed_fn=guesses, show_progress=False)


def test_what_is_not_there_is_named(tiny: iw.AttributionModel) -> None:
    def guesses(args: Any) -> Tensor:
        return args.logit

    with pytest.raises(AttributeError, match="logit: step functions see logits, target_ids, "):
        tiny.attribute(PROMPT, FULL, attributed_fn=guesses, show_progress=False)
