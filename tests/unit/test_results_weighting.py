"""Scores weighted by step scores, readable tokens, and the range of scores."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import inseq_widget as iw
from tests.unit import outputs


@pytest.fixture
def weighted_by_hand() -> iw.FeatureAttributionSequenceOutput:
    one = outputs.causal()[0]
    one.step_scores["entropy"] = torch.tensor([2.0, 1.0, 0.0, 3.0])
    return one


def test_each_step_is_multiplied_by_its_step_score(
    weighted_by_hand: iw.FeatureAttributionSequenceOutput,
) -> None:
    one = weighted_by_hand
    norms, weights = one.scores.to_numpy().copy(), one.step_scores["entropy"].tolist()
    info = one.info
    assert one.weight_attributions("entropy") is one
    found = one.scores.to_numpy()
    for column, weight in enumerate(weights):
        present = [row for row in range(len(norms)) if not np.isnan(norms[row, column])]
        total = sum(norms[row, column] for row in present)
        for row in present:
            assert found[row, column] == pytest.approx(norms[row, column] / total * weight)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(norms))
    assert info["aggregation"] == []
    assert one.info["aggregation"][-1] == "multiplied by entropy"
    assert one.info["score_label"].endswith(") × entropy")


def test_what_was_weighted_is_not_aggregated_again(
    weighted_by_hand: iw.FeatureAttributionSequenceOutput,
) -> None:
    one = weighted_by_hand.weight_attributions("entropy")
    assert not one.is_reduced
    scores = one.scores.to_numpy()
    row = one.get_scores_dicts()["target_attributions"][one.steps[0].position, one.steps[0].piece]
    np.testing.assert_allclose(list(row.values()), scores[:3, 0])
    again = one.weight_attributions("entropy")
    np.testing.assert_allclose(again.scores, scores * np.array([2.0, 1.0, 0.0, 3.0]))


def test_a_negative_step_score_gives_scores_a_sign() -> None:
    one = outputs.causal()[0]
    one.step_scores["pcxmi"] = torch.tensor([1.0, -1.0, 0.5, 0.0])
    assert not outputs.causal()[0].weight_attributions("probability").info["signed"]
    assert one.weight_attributions("pcxmi").info["signed"]


def test_features_become_norms_and_heads_means(tiny: iw.AttributionModel) -> None:
    texts = ("The nurse said", "The nurse said hello to me")
    for method in ("input_x_gradient", "attention"):
        out = tiny.attribute(*texts, method, granular=True, show_progress=False)
        one = out[0]
        left = one.raw_scores.to_numpy()
        if method == "input_x_gradient":
            left = np.linalg.norm(left, axis=-1)
            left /= np.nansum(left, axis=0)
        else:  # heads first, and then layers
            for _ in range(2):
                left = left.mean(-1)
                left = left / np.nansum(left, axis=0)
        assert out.weight_attributions("probability") is out
        expected = left * one.step_scores["probability"].numpy()
        np.testing.assert_allclose(out[0].scores, expected, rtol=1e-5)
        assert out.live_model is None
        assert out.info["aggregation"] == one.info["aggregation"]
        assert out.info["aggregation"][-1] == "multiplied by probability"
        assert not out.info["signed"]


def test_an_unknown_step_score_is_refused_before_anything_changes() -> None:
    out = outputs.batch(outputs.causal(), outputs.causal(seed=1))
    out[0].step_scores["entropy"] = torch.ones(4)
    before = out[0].scores.copy(deep=True)
    message = r"weight_attributions: 'entropy' is no step score .* there are: probability\."
    with pytest.raises(ValueError, match=message):
        out.weight_attributions("entropy")
    np.testing.assert_array_equal(out[0].scores, before)
    out[1].step_scores = {}
    with pytest.raises(ValueError, match=r"there are: none"):
        out[1].weight_attributions("probability")


def test_tokens_become_readable_in_place(tiny: iw.AttributionModel) -> None:
    out = tiny.attribute("Olá 😀", "Olá 😀 nurse", show_progress=False)
    one = out[0]
    ids = [token.id for token in one.target]
    byte_of_no_text = [token.piece for token in one.target if not token.text]
    assert " nurse" not in one.target
    assert out.decode_tokens(tiny.tokenizer) is out
    assert " nurse" in one.target
    assert one.steps == one.target[one.attr_pos_start :]
    for token, token_id in zip(one.target, ids, strict=True):
        assert token.id == token_id
        if token.text:
            assert token.piece == token.text
    assert [token.piece for token in one.target if not token.text] == byte_of_no_text
    assert one.source == one.target[: len(one.source)]


def test_minimum_and_maximum_include_zero(tiny: iw.AttributionModel) -> None:
    scores = outputs.causal(signed=True)[0].scores.to_numpy()
    one = outputs.causal(signed=True)[0]
    assert one.minimum == pytest.approx(np.nanmin(scores))
    assert one.maximum == pytest.approx(np.nanmax(scores))
    positive = outputs.causal()[0]
    assert positive.minimum == 0
    assert (-outputs.causal(signed=True)[0]).maximum == pytest.approx(-np.nanmin(scores))
    assert (abs(positive) * -1).maximum == 0
    granular = tiny.attribute(
        "The nurse said", "The nurse said hello", "input_x_gradient", granular=True
    )[0]
    assert granular.minimum == float(np.nanmin(granular.raw_scores))
    assert granular.maximum == float(np.nanmax(granular.raw_scores))


def test_a_token_equals_its_piece_and_its_id() -> None:
    one = outputs.token(" nurse", 3, "prompt", piece="Ġnurse")
    same = outputs.token(" nurse", 3, "prompt", piece="Ġnurse")
    elsewhere = outputs.token(" nurse", 4, "prompt", piece="Ġnurse")
    assert one == "Ġnurse"
    assert one != " nurse"
    assert one == 103
    assert one != 104
    assert one == same
    assert one != elsewhere
    assert one != 1.5
    assert str(one) == one.token == "Ġnurse"
    assert ["The", "Ġnurse"].index(one) == 1  # type: ignore[arg-type]
    assert {one, same, elsewhere} == {one, elsewhere}
    assert {"Ġnurse": "found"}[one] == "found"  # type: ignore[index]
    assert {one: "found"}["Ġnurse"] == "found"  # type: ignore[index]
