"""The aggregator "scores" reduces features, layers and heads, and shares out each step."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from inseq_widget.results import FeatureAttributionSequenceOutput
from tests.unit.aggregable import (
    NAN,
    causal,
    random_causal,
    random_translated,
    translated,
    without_features,
)

ATTENTION = {"layer": 3, "head": 2}
GRADIENT = {"feature": 5}
LAYERED = {"layer": 3, "feature": 5}


def values(sequence: FeatureAttributionSequenceOutput) -> np.ndarray:
    assert list(sequence.kept) == ["raw"]
    return sequence.kept["raw"].to_numpy()


def shares(scores: np.ndarray) -> np.ndarray:
    """Divide by the total magnitude of each step, cell by cell."""
    result = np.full_like(scores, NAN)
    for column in np.ndindex(scores.shape[1:]):
        cells = scores[(slice(None), *column)]
        total = sum(abs(cell) for cell in cells if not np.isnan(cell))
        for row, cell in enumerate(cells):
            result[(row, *column)] = cell / total
    return result


def test_by_default_features_go_by_their_norm_and_each_step_is_shared_out() -> None:
    sequence = causal([[[3.0, 4.0]], [[0.0, -15.0]]], ["a", " b"], [" c"], ["feature"])
    np.testing.assert_allclose(values(sequence.aggregate()), [[0.25], [0.75]])


def test_source_and_prefix_are_shared_out_together() -> None:
    sequence = translated(
        [[[1.0], [4.0]], [[-3.0], [4.0]], [[4.0], [NAN]], [[NAN], [8.0]]],
        ["a", " b"],
        [" c", " d"],
        ["feature"],
    )
    result = sequence.aggregate()
    np.testing.assert_allclose(
        values(result), [[0.125, 0.25], [0.375, 0.25], [0.5, NAN], [NAN, 0.5]]
    )
    assert result.source_attributions.shape == (2, 2)
    assert result.target_attributions.shape == (3, 2)


def test_by_default_heads_and_then_layers_are_averaged_each_shared_out() -> None:
    sequence = random_translated(dims=ATTENTION)
    raw = sequence.kept["raw"].to_numpy()
    expected = shares(shares(raw.mean(-1)).mean(-1))
    result = sequence.aggregate()
    np.testing.assert_allclose(values(result), expected, rtol=1e-12)
    np.testing.assert_array_equal(values(sequence.aggregate(["mean", "mean"])), result.kept["raw"])


def test_with_features_and_layers_only_the_mean_of_the_layers_is_shared_out() -> None:
    sequence = random_causal(dims=LAYERED)
    raw = sequence.kept["raw"].to_numpy()
    expected = shares(np.linalg.norm(raw, axis=-1).mean(-1))
    np.testing.assert_allclose(values(sequence.aggregate()), expected, rtol=1e-12)
    reduced = without_features(sequence)
    np.testing.assert_allclose(values(reduced.aggregate()), expected, rtol=1e-12)


def test_a_layer_without_a_score_does_not_count() -> None:
    raw = np.array([[[1.0, NAN]], [[2.0, 4.0]], [[NAN, NAN]]])
    sequence = causal(raw, ["a", " b", " c"], [" d"], ["layer"])
    result = sequence.aggregate("mean", normalize=False)
    np.testing.assert_array_equal(values(result), [[1.0], [3.0], [NAN]])


def test_one_number_for_each_input_and_step_stays_as_it_is() -> None:
    sequence = random_causal()
    result = sequence.aggregate()
    np.testing.assert_array_equal(values(result), sequence.kept["raw"])
    result.kept["raw"][0, 0] = 7
    assert sequence.kept["raw"][0, 0] != 7
    again = random_causal(dims=GRADIENT).aggregate()
    np.testing.assert_array_equal(values(again.aggregate()), values(again))
    assert not again.is_reduced


def test_one_number_for_each_input_and_step_can_be_shared_out_and_rescaled() -> None:
    sequence = random_causal()
    raw = sequence.kept["raw"].to_numpy()
    np.testing.assert_allclose(values(sequence.aggregate("scores")), shares(raw))
    rescaled = values(sequence.aggregate("scores", rescale=True))
    np.testing.assert_allclose(rescaled, raw / np.nanmax(np.abs(raw)))


@pytest.mark.parametrize("function", ["mean", "sum", "min", "max", "absmax", "prod", "vnorm"])
def test_every_function_reduces_the_last_dimension(function: str) -> None:
    sequence = random_causal(dims=GRADIENT)
    raw = sequence.kept["raw"].to_numpy()
    expected = {
        "mean": raw.mean(-1),
        "sum": raw.sum(-1),
        "min": raw.min(-1),
        "max": raw.max(-1),
        "absmax": np.where(raw.max(-1) > -raw.min(-1), raw.max(-1), raw.min(-1)),
        "prod": raw.prod(-1),
        "vnorm": np.sqrt((raw**2).sum(-1)),
    }[function]
    result = sequence.aggregate(function, normalize=False)
    np.testing.assert_allclose(values(result), expected, rtol=1e-12)
    by_name = sequence.aggregate("scores", function, normalize=False)
    np.testing.assert_array_equal(values(by_name), result.kept["raw"])


def test_the_norm_takes_its_order() -> None:
    sequence = random_causal(dims=GRADIENT)
    raw = sequence.kept["raw"].to_numpy()
    for given in ({"aggregator": "vnorm"}, {}):
        result = sequence.aggregate(**given, vnorm_ord=1, normalize=False)
        np.testing.assert_allclose(values(result), np.abs(raw).sum(-1), rtol=1e-12)


def test_rescaling_keeps_signs_and_divides_by_the_largest() -> None:
    sequence = causal([[[-4.0], [1.0]], [[2.0], [0.5]]], ["a", " b"], [" c", " d"], ["feature"])
    result = sequence.aggregate("sum", rescale=True)
    np.testing.assert_allclose(values(result), [[-1.0, 0.25], [0.5, 0.125]])
    nothing = causal([[[0.0]], [[0.0]]], ["a", " b"], [" c"], ["feature"])
    assert values(nothing.aggregate("sum", rescale=True)).tolist() == [[0.0], [0.0]]
    assert values(nothing.aggregate()).tolist() == [[0.0], [0.0]]


def test_normalizing_and_rescaling_together_is_refused() -> None:
    with pytest.raises(ValueError, match="normalize, rescale: both given; choose one"):
        random_causal(dims=GRADIENT).aggregate(normalize=True, rescale=True)


@pytest.mark.parametrize(
    ("select_idx", "chosen"),
    [(1, [1]), (-1, [2]), ((0, 2), [0, 1]), ((-2, 3), [1, 2]), ([0, 2], [0, 2]), ([-1], [2])],
)
def test_select_idx_takes_a_part_of_the_dimension(select_idx: object, chosen: list[int]) -> None:
    sequence = random_causal(dims={"head": 3})
    raw = sequence.kept["raw"].to_numpy()
    result = sequence.aggregate("mean", select_idx=select_idx, normalize=False)
    np.testing.assert_allclose(values(result), raw[..., chosen].mean(-1), rtol=1e-12)


def test_one_of_a_dimension_needs_no_function() -> None:
    sequence = random_causal(dims=GRADIENT)
    raw = sequence.kept["raw"].to_numpy()
    result = sequence.aggregate("scores", select_idx=2, normalize=False)
    np.testing.assert_array_equal(values(result), raw[..., 2])
    assert result.info["signed"]


@pytest.mark.parametrize(
    ("select_idx", "error", "message"),
    [
        (3, ValueError, "3 given; the dimension head has 3"),
        ((2, 2), ValueError, "is no \\(start, end\\); the dimension head has 3"),
        ((0, 4), ValueError, "is no \\(start, end\\)"),
        ([0, -3], ValueError, "each may be chosen once"),
        ([4], ValueError, "the dimension head has 3"),
        ("0", TypeError, "pass a number, a pair"),
        ([], TypeError, "pass a number, a pair"),
        (True, TypeError, "pass a number, a pair"),
    ],
)
def test_a_part_that_is_not_there_is_refused(
    select_idx: object, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^select_idx: .*{message}"):
        random_causal(dims={"head": 3}).aggregate("mean", select_idx=select_idx)


def test_a_dimension_can_be_named() -> None:
    sequence = random_causal(dims=ATTENTION)
    raw = sequence.kept["raw"]
    result = sequence.aggregate("max", dim="layer", normalize=False)
    np.testing.assert_array_equal(result.kept["raw"], raw.max("layer", skipna=False))
    assert result.kept["raw"].dims == ("input", "step", "head")
    np.testing.assert_allclose(result.scores, raw.max("layer", skipna=False).mean("head"))
    with pytest.raises(ValueError, match="dim: 'feature' given; the scores have layer, head"):
        sequence.aggregate(dim="feature", aggregator="mean")


def test_layers_keep_their_names() -> None:
    sequence = random_causal(dims=ATTENTION)
    named = sequence.kept["raw"].assign_coords(layer=["0", "4", "8"])
    sequence.kept = {"raw": named}
    result = sequence.aggregate("mean", dim="head")
    assert result.kept["raw"].layer.to_numpy().tolist() == ["0", "4", "8"]
    assert "layer" not in result.aggregate("mean").kept["raw"].coords


def test_what_is_left_of_a_vectors_layers_is_averaged_and_not_summed() -> None:
    sequence = random_causal(dims=LAYERED)
    sequence.reduction = "sum"
    result = sequence.aggregate("sum", normalize=False)
    expected = sequence.kept["raw"].sum("feature", skipna=False).mean("layer")
    np.testing.assert_allclose(result.scores, expected, rtol=1e-12)


def test_reduced_features_give_norm_sum_and_mean_and_nothing_else() -> None:
    sequence = random_causal(dims=GRADIENT)
    reduced = without_features(sequence)
    for function in ("vnorm", "norm", "sum", "mean"):
        np.testing.assert_allclose(
            values(reduced.aggregate(function)), values(sequence.aggregate(function)), rtol=1e-10
        )
    for wrong in ({"aggregator": "absmax"}, {"vnorm_ord": 1}, {"select_idx": 0}):
        with pytest.raises(ValueError, match=r"granular=True\), or choose vnorm or sum or mean"):
            reduced.aggregate(**wrong)


def test_layers_of_reduced_features_sum_but_have_no_maximum() -> None:
    sequence = random_causal(dims=LAYERED)
    reduced = without_features(sequence)
    result = reduced.aggregate("mean", dim="layer", normalize=False)
    assert list(result.kept) == ["sum"]
    np.testing.assert_allclose(
        result.scores, sequence.kept["raw"].mean("layer").sum("feature", skipna=False)
    )
    with pytest.raises(ValueError, match=r"aggregate_fn: 'max' over .*granular=True"):
        reduced.aggregate("max", dim="layer", normalize=False)


def test_scores_between_tokens_are_reduced_and_not_shared_out() -> None:
    between = {"encoder_self_attentions": torch.rand(4, 4, 3, 2, dtype=torch.float64)}
    sequence = random_translated(dims=ATTENTION, sequence_scores=between)
    heads = sequence.aggregate("max", dim="head").sequence_scores["encoder_self_attentions"]
    np.testing.assert_array_equal(heads, between["encoder_self_attentions"].amax(-1))
    both = sequence.aggregate().sequence_scores["encoder_self_attentions"]
    np.testing.assert_allclose(both, between["encoder_self_attentions"].mean((-1, -2)))
    one = sequence.aggregate("scores", select_idx=1).sequence_scores
    np.testing.assert_array_equal(
        one["encoder_self_attentions"], between["encoder_self_attentions"][..., 1]
    )
    layer = sequence.aggregate("mean", dim="layer").sequence_scores
    np.testing.assert_allclose(
        layer["encoder_self_attentions"], between["encoder_self_attentions"].mean(2)
    )


def test_step_scores_stay() -> None:
    sequence = random_causal(dims=GRADIENT, step_scores={"entropy": [1.0, 2.0, 3.0, 4.0]})
    result = sequence.aggregate()
    assert result.step_scores["entropy"].tolist() == [1.0, 2.0, 3.0, 4.0]
    result.step_scores["entropy"][0] = 9
    assert sequence.step_scores["entropy"][0] == 1


def test_a_result_says_what_was_done_and_the_original_does_not() -> None:
    sequence = random_causal(dims=ATTENTION)
    before = copy.deepcopy(sequence.info)
    result = sequence.aggregate()
    assert result.info["aggregation"] == [
        "mean over heads, as shares of each step",
        "mean over layers, as shares of each step",
    ]
    assert "mean over heads" in result.info["score_label"]
    assert sequence.info == before
    assert result.live_model is None


def test_a_norm_has_no_sign_and_a_sum_has() -> None:
    sequence = random_causal(dims=GRADIENT)
    sequence.info["signed"] = True
    assert not sequence.aggregate().info["signed"]
    sequence.info["signed"] = False
    assert sequence.aggregate("sum").info["signed"]
