"""The dummy method gives step scores at the cost of one forward pass, and no attributions."""

from __future__ import annotations

import numpy as np
import torch

import inseq_widget as iw


def test_every_score_is_missing_and_step_scores_are_there(
    tiny: iw.AttributionModel, tiny_encoder_decoder: iw.AttributionModel
) -> None:
    for model, target in ((tiny, "The sun is hot"), (tiny_encoder_decoder, "O sol")):
        explained = model.attribute("The sun is", target, "dummy", step_scores=["logit"])
        expected = model.attribute("The sun is", target, "saliency", step_scores=["logit"])
        assert explained[0].scores.shape == expected[0].scores.shape
        assert np.isnan(explained[0].scores).all()
        for name in ("probability", "logit"):
            torch.testing.assert_close(
                explained[0].step_scores[name], expected[0].step_scores[name]
            )


def test_no_backward_pass_is_made_ready(tiny: iw.AttributionModel) -> None:
    calls: list[bool] = []
    hook = tiny.model.register_forward_pre_hook(lambda *_: calls.append(torch.is_grad_enabled()))
    try:
        tiny.attribute("The sun is", "The sun is hot", "dummy", show_progress=False)
    finally:
        hook.remove()
    assert calls == [False]


def test_its_pictures_say_that_there_is_no_score(tiny: iw.AttributionModel) -> None:
    explained = tiny.attribute("The sun is", "The sun is hot", "dummy", show_progress=False)
    assert "no score" in explained.to_html()
