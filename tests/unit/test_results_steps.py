"""The steps of a sequence one by one, in the shapes that Inseq gives them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import inseq_widget as iw
from inseq_widget.results import step_attributions_of
from tests.unit import outputs


def test_a_step_of_a_causal_model_has_what_came_before_it(tiny: iw.AttributionModel) -> None:
    out = tiny.attribute(
        "The nurse said", "The nurse said hello to me", "input_x_gradient", granular=True
    )
    one = out[0]
    steps = step_attributions_of(one)
    assert len(steps) == 3
    for column, step in enumerate(steps):
        length = 3 + column
        assert step.source_attributions is None
        assert step.source is None
        assert step.target_attributions.shape == (1, length, 32)
        np.testing.assert_array_equal(
            step.target_attributions[0], one.raw_scores[:length, column].to_numpy()
        )
        assert not torch.isnan(step.target_attributions).any()
        assert step.prefix == [one.target[:length]]
        assert step.target == [[one.target[length]]]
        assert step.step_scores["probability"].shape == (1,)
        assert step.step_scores["probability"][0] == one.step_scores["probability"][column]


@pytest.mark.parametrize("with_prefix", [False, True])
def test_a_step_of_an_encoder_decoder_has_the_source(with_prefix: bool) -> None:
    one = outputs.encoder_decoder(with_prefix=with_prefix)[0]
    one.sequence_scores = {
        "encoder_self_attentions": torch.rand(5, 5, 2),
        "decoder_self_attentions": torch.rand(4, 4, 2),
        "cross_attentions": torch.rand(5, 4, 2),
    }
    scores = one.scores.to_numpy()
    for column, step in enumerate(step_attributions_of(one)):
        np.testing.assert_array_equal(step.source_attributions[0], scores[:5, column])
        assert step.source == [one.source]
        assert step.prefix == [one.target[: column + 1]]
        if with_prefix:
            np.testing.assert_array_equal(
                step.target_attributions[0], scores[5 : 5 + column + 1, column]
            )
        else:
            assert step.target_attributions is None
        shapes = {name: tuple(values.shape) for name, values in step.sequence_scores.items()}
        assert shapes == {
            "encoder_self_attentions": (1, 5, 5, 2),
            "decoder_self_attentions": (1, column + 1, column + 1, 2),
            "cross_attentions": (1, 5, column + 1, 2),
        }


def test_steps_are_copies() -> None:
    one = outputs.causal()[0]
    before = one.scores.copy(deep=True)
    step = step_attributions_of(one)[0]
    step.target_attributions[:] = 0
    step.step_scores["probability"][:] = 0
    step.prefix[0].clear()
    np.testing.assert_array_equal(one.scores, before)
    assert float(one.step_scores["probability"][0]) == pytest.approx(0.9)
    assert len(one.target) == 7


def test_a_slice_of_an_output_has_its_own_steps() -> None:
    out = outputs.batch(outputs.causal(), outputs.causal(("One",), (" two",)))
    assert out[1:].step_attributions is None
    out.step_attributions = [step for one in out for step in step_attributions_of(one)]
    assert [step.target[0][0].text for step in out[1:].step_attributions] == [" two"]
    out.decode_tokens()
    assert len(out.step_attributions) == 5
    assert (-out).step_attributions is None
