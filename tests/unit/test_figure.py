"""A figure holds a result's tokens, totals, scale and scores, ready to be drawn."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import inseq_widget as iw
from inseq_widget.explore.figure import colour_domain, make_figure, wire_text
from inseq_widget.results import FeatureAttributionOutput
from tests.unit.outputs import batch, causal, encoder_decoder, evil


def labels_of(output: FeatureAttributionOutput) -> tuple[list[str], list[str]]:
    """Read the labels of rows and columns by way of the figure's indices."""
    (sequence,) = make_figure(output).spec["sequences"]
    tokens = sequence["tokens"]
    inputs = [tokens[at]["text"] for at in sequence["inputs"]]
    return inputs, [tokens[step["token"]]["text"] for step in sequence["steps"]]


def test_a_prompt_is_shown_once_and_the_last_token_is_no_input() -> None:
    output = causal(("a", "b"), ("c", "d"))
    (sequence,) = make_figure(output).spec["sequences"]
    assert [token["text"] for token in sequence["tokens"]] == ["a", "b", "c", "d"]
    assert labels_of(output) == (["a", "b", "c"], ["c", "d"])


def test_a_source_stands_before_the_target_and_its_prefix_is_found_behind_it() -> None:
    output = encoder_decoder(("a", "b"), ("c", "d"))
    (sequence,) = make_figure(output).spec["sequences"]
    texts = [token["text"] for token in sequence["tokens"]]
    assert texts == ["a", "b", "</s>", "<s>", "c", "d"]
    assert labels_of(output) == (["a", "b", "</s>", "<s>", "c"], ["c", "d"])


def test_a_source_alone_can_be_what_is_attributed() -> None:
    output = encoder_decoder(("a", "b"), ("c", "d"), with_prefix=False)
    assert labels_of(output) == (["a", "b", "</s>"], ["c", "d"])


def test_the_inputs_and_steps_are_those_of_the_result() -> None:
    for output in (causal(), encoder_decoder()):
        inputs, steps = labels_of(output)
        assert inputs == [token.text for token in output[0].inputs]
        assert steps == [token.text for token in output[0].steps]


def test_the_bytes_are_the_scores_of_every_text_behind_each_other() -> None:
    output = batch(causal(), encoder_decoder(), causal(seed=5))
    figure = make_figure(output)
    everything = np.frombuffer(figure.scores, "<f4")
    for number, (spec, sequence) in enumerate(zip(figure.spec["sequences"], output, strict=True)):
        expected = sequence.scores.to_numpy()
        start = spec["offset"]
        found = everything[start : start + expected.size].reshape(expected.shape)
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(figure.matrix(number), expected)
    assert everything.size == sum(sequence.scores.size for sequence in output)


@pytest.mark.parametrize("signed", [False, True])
def test_the_magnitudes_of_shares_sum_to_one_in_every_step(signed: bool) -> None:
    figure = make_figure(causal(signed=signed))
    shares = figure.shares(0)
    np.testing.assert_allclose(np.nansum(np.abs(shares), axis=0), 1.0, rtol=1e-6)
    assert (shares[~np.isnan(shares)] < 0).any() == signed


def test_mean_shares_leave_missing_scores_out() -> None:
    figure = make_figure(causal())
    shares = figure.shares(0)
    by_hand = [np.mean([share for share in row if not np.isnan(share)]) for row in shares]
    np.testing.assert_allclose(figure.mean_shares(0), by_hand)


def test_a_step_of_zeros_has_shares_of_zero() -> None:
    output = causal()
    output[0].kept["norm"][:, 0] = 0.0
    figure = make_figure(output)
    assert figure.spec["sequences"][0]["steps"][0]["total"] == 0
    assert (figure.shares(0)[:, 0] == 0).all()


def test_scores_that_float32_cannot_hold_are_missing_and_totals_stay_finite() -> None:
    output = causal()
    one = output[0]
    one.kept["norm"] = one.kept["norm"].astype(np.float64)
    one.kept["norm"][0, 0], one.kept["norm"][1, 1] = 1e300, np.inf
    figure = make_figure(output)
    assert np.isnan(figure.matrix(0)[0, 0])
    assert np.isnan(figure.matrix(0)[1, 1])
    json.dumps(figure.spec, allow_nan=False)


def test_a_step_score_that_is_no_number_is_sent_as_none() -> None:
    output = causal()
    output[0].step_scores["entropy"] = torch.tensor([1.0, float("nan"), float("inf"), 2.0])
    steps = make_figure(output).spec["sequences"][0]["steps"]
    assert [step["step_scores"]["entropy"] for step in steps] == [1.0, None, None, 2.0]


def test_a_small_matrixs_scale_ends_at_its_largest_share() -> None:
    (sequence,) = make_figure(causal()).spec["sequences"]
    assert sequence["domain"] == sequence["largest"] > 0


def test_one_outlier_does_not_pale_a_large_matrix() -> None:
    shares = np.linspace(0.001, 0.01, 1000).reshape(100, 10)
    shares[0, 0] = 0.9
    assert 0.009 < colour_domain(shares) < 0.0101


def test_a_scale_ends_above_zero_whatever_the_scores() -> None:
    mostly_zero = np.zeros((100, 10))
    assert colour_domain(mostly_zero) == 1.0
    mostly_zero[0, 0] = -0.25
    assert colour_domain(mostly_zero) == 0.25
    assert colour_domain(np.full((3, 3), np.nan)) == 1.0


def test_a_figure_can_be_sent_whatever_its_tokens_are() -> None:
    spec = make_figure(evil()).spec
    json.dumps(spec, ensure_ascii=False, allow_nan=False).encode("utf-8")


def test_only_a_surrogate_without_partner_is_replaced() -> None:
    assert wire_text("a\ud83d b") == "a\ufffd b"
    assert wire_text("\ud83d\ude00 é 😀") == "😀 é 😀"


def test_scores_that_are_one_number_from_the_start_name_no_reduction(
    tiny: iw.AttributionModel,
) -> None:
    for method, reduction in (("saliency", "norm"), ("attention", "mean"), ("occlusion", None)):
        output = tiny.attribute("The sun is", "The sun is hot", method, show_progress=False)
        assert make_figure(output).spec["reduction"] == reduction
