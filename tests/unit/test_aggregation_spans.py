"""Tokens are joined, left out and compared, and with them rows, columns and step scores."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from inseq_widget.results import FeatureAttributionOutput, FeatureAttributionSequenceOutput
from tests.unit.aggregable import (
    NAN,
    causal,
    random_causal,
    random_translated,
    texts_of,
    translated,
    without_features,
)

# Of " c", " d", " e" after the prompt "a b": rows are the first four tokens.
SCORES = [[1.0, 2.0, 3.0], [-4.0, 5.0, -6.0], [NAN, 7.0, -8.0], [NAN, NAN, 0.0]]
STEP_SCORES = {"probability": [0.5, 0.25, 0.1], "entropy": [1.0, 2.0, 3.0], "own": [1.0, -2.0, 1.5]}
AGGREGATES = {"probability": {"spans": "prod"}, "entropy": {"spans": "sum", "subwords": "max"}}


def small() -> FeatureAttributionSequenceOutput:
    return causal(
        SCORES,
        ["a", " b"],
        [" c", " d", " e"],
        step_scores=STEP_SCORES,
        step_aggregates=AGGREGATES,
    )


def values(sequence: FeatureAttributionSequenceOutput) -> np.ndarray:
    assert list(sequence.kept) == ["raw"]
    return sequence.kept["raw"].to_numpy()


def test_generated_tokens_join_columns_and_rows() -> None:
    result = small().aggregate("spans", target_spans=(2, 4))
    np.testing.assert_array_equal(values(result), [[2.0, 3.0], [5.0, -6.0], [7.0, -8.0]])
    assert texts_of(result.target) == ["a", " b", " c d", " e"]
    assert (result.attr_pos_start, result.attr_pos_end) == (2, 4)
    assert texts_of(result.steps) == [" c d", " e"]
    assert [one.position for one in result.target] == [0, 1, 2, 3]
    assert [one.id for one in result.target] == [100, 101, -1, 104]
    np.testing.assert_array_equal(
        result.target_attributions, [*values(result).tolist(), [NAN, NAN]]
    )


def test_the_last_token_has_no_row_but_is_joined() -> None:
    result = small().aggregate("spans", target_spans=(3, 5))
    np.testing.assert_array_equal(values(result), [[1.0, 3.0], [-4.0, -6.0], [NAN, -8.0], [NAN, 0]])
    assert texts_of(result.target) == ["a", " b", " c", " d e"]
    assert texts_of(result.inputs) == ["a", " b", " c", " d e"]
    assert (result.attr_pos_start, result.attr_pos_end) == (2, 4)


def test_prompt_tokens_join_rows_alone() -> None:
    result = small().aggregate("spans", "sum", target_spans=[(0, 2)])
    np.testing.assert_array_equal(values(result), [[-3.0, 7, -3], [NAN, 7, -8], [NAN, NAN, 0]])
    assert texts_of(result.source) == ["a b"]
    assert (result.attr_pos_start, result.attr_pos_end) == (1, 4)
    assert result.step_scores["own"].tolist() == STEP_SCORES["own"]


def test_over_the_border_text_is_joined_and_the_generated_part_is_the_step() -> None:
    result = small().aggregate("spans", target_spans=[(1, 4)])
    np.testing.assert_array_equal(values(result), [[2.0, 3.0], [7.0, -8.0]])
    assert texts_of(result.target) == ["a", " b c d", " e"]
    assert texts_of(result.source) == ["a"]
    assert [one.side for one in result.target] == ["prompt", "target", "target"]
    assert (result.attr_pos_start, result.attr_pos_end) == (1, 3)
    assert result.step_scores["probability"].tolist() == [0.125, 0.1]


def test_columns_are_joined_first_and_missing_scores_are_left_out() -> None:
    result = small().aggregate("spans", "mean", target_spans=[(1, 3), (3, 5)])
    # Row " b c", column " d e": of " b" the mean of 5 and -6, of " c" that of 7 and -8.
    np.testing.assert_allclose(values(result), [[1.0, 2.5], [-4.0, -0.5], [NAN, 0.0]])


def test_a_row_all_of_whose_scores_are_missing_stays_missing() -> None:
    result = small().aggregate("spans", "sum", target_spans=[(2, 4)])
    np.testing.assert_array_equal(values(result)[2], [7.0, -8.0])
    late = causal([[1.0, 2.0], [NAN, NAN], [NAN, NAN]], ["a"], [" b", " c"], start=1)
    joined = late.aggregate("spans", "sum", target_spans=[(1, 3)])
    np.testing.assert_array_equal(values(joined), [[3.0], [NAN]])


def test_step_scores_join_in_their_own_way() -> None:
    joined = small().aggregate("spans", target_spans=[(2, 5)]).step_scores
    assert joined["probability"].item() == pytest.approx(0.5 * 0.25 * 0.1)
    assert joined["entropy"].item() == 6.0
    assert joined["own"].item() == -2.0, "by absmax, which keeps the sign"
    summed = small().aggregate("spans", "sum", target_spans=[(2, 5)]).step_scores
    assert summed["probability"].item() == pytest.approx(0.5 * 0.25 * 0.1)
    assert summed["own"].item() == 0.5, "by the function that was given"
    by_word = small()
    by_word.target = [replace(one, word=0) for one in by_word.target]
    assert by_word.aggregate("subwords").step_scores["entropy"].item() == 3.0


def test_tokens_after_the_last_step_are_joined_with_it_in_text_alone() -> None:
    sequence = causal([[1.0], [2.0]], ["a", " b"], [" c", " d", " e"])
    assert sequence.attr_pos_end == 3
    result = sequence.aggregate("spans", target_spans=[(2, 4)])
    assert texts_of(result.target) == ["a", " b", " c d", " e"]
    assert (result.attr_pos_start, result.attr_pos_end) == (2, 3)
    assert texts_of(result.steps) == [" c d"]
    np.testing.assert_array_equal(values(result), [[1.0], [2.0]])


def test_steps_may_begin_after_the_prompt() -> None:
    sequence = causal([[1.0], [2.0], [3.0], [4.0]], ["a", " b"], [" c", " d", " e"], start=4)
    result = sequence.aggregate("spans", target_spans=[(1, 3), (3, 5)])
    assert texts_of(result.steps) == [" d e"]
    np.testing.assert_array_equal(values(result), [[1.0], [3.0], [4.0]])
    assert (result.attr_pos_start, result.attr_pos_end) == (2, 3)


def test_source_and_target_are_joined_each_with_its_own_spans() -> None:
    sequence = random_translated(n_source=3, n_target=3)
    raw = sequence.kept["raw"].to_numpy()
    result = sequence.aggregate("spans", "sum", source_spans=(0, 2), target_spans=[(1, 3)])
    columns = np.stack([np.nansum(raw[:, :2], 1), raw[:, 2]], 1)
    expected = [columns[0] + columns[1], columns[2], columns[3], columns[4] + columns[5]]
    expected[3] = [columns[4][0], columns[4][1] + columns[5][1]]
    np.testing.assert_allclose(values(result), expected, rtol=1e-12)
    assert texts_of(result.source) == [" s0 s1", " s2"]
    assert texts_of(result.target) == ["<s>", " t0 t1", " t2"]
    assert (result.attr_pos_start, result.attr_pos_end) == (1, 3)
    assert result.source_attributions.shape == (2, 2)
    assert result.target_attributions.shape == (3, 2)


def test_the_start_token_can_be_joined_with_the_first_step() -> None:
    sequence = random_translated(n_source=2, n_target=2)
    result = sequence.aggregate("spans", target_spans=[(0, 2)])
    assert texts_of(result.target) == ["<s> t0", " t1"]
    assert not result.target[0].special
    assert (result.attr_pos_start, result.attr_pos_end) == (0, 2)
    assert values(result).shape == (3, 2)


def test_every_dimension_is_joined_and_keeps_its_coordinates() -> None:
    sequence = random_causal(dims={"layer": 2, "head": 3})
    sequence.kept = {"raw": sequence.kept["raw"].assign_coords(layer=["0", "7"])}
    raw = sequence.kept["raw"].to_numpy()
    result = sequence.aggregate("spans", "max", target_spans=(0, 3))
    np.testing.assert_array_equal(values(result)[0], raw[:3].max(0))
    assert result.kept["raw"].layer.to_numpy().tolist() == ["0", "7"]
    assert result.kept["raw"].coords["input"].to_numpy().tolist()[0] == "w0 w1 w2"


def test_scores_between_tokens_are_joined_on_both_sides() -> None:
    between = {
        "encoder_self": torch.rand(4, 4, 2, dtype=torch.float64),
        "decoder_self": torch.rand(5, 5, dtype=torch.float64),
        "alignment": torch.rand(4, 5, dtype=torch.float64),
    }
    sequence = random_translated(sequence_scores=between)
    result = sequence.aggregate("spans", "sum", source_spans=(1, 3), target_spans=(0, 2))
    rows = [slice(0, 1), slice(1, 3), slice(3, 4)]
    columns = [slice(0, 2), slice(2, 3), slice(3, 4), slice(4, 5)]
    for name, (first, second) in {
        "encoder_self": (rows, rows),
        "decoder_self": (columns, columns),
        "alignment": (rows, columns),
    }.items():
        expected = [[between[name][a, b].sum((0, 1)).tolist() for b in second] for a in first]
        np.testing.assert_allclose(result.sequence_scores[name], expected, rtol=1e-12)


def test_reduced_features_join_by_linear_functions_alone() -> None:
    sequence = random_causal(dims={"feature": 4})
    reduced = without_features(sequence)
    for function in ("sum", "mean"):
        result = reduced.aggregate("spans", function, target_spans=(0, 3))
        assert list(result.kept) == ["sum"]
        expected = sequence.aggregate("spans", function, target_spans=(0, 3))
        np.testing.assert_allclose(result.scores, expected.reduce("sum"), rtol=1e-10)
        np.testing.assert_allclose(result.reduce("mean"), expected.reduce("mean"), rtol=1e-10)
    with pytest.raises(ValueError, match=r"'absmax' needs .*granular=True.*\"scores\" before"):
        reduced.aggregate("spans", target_spans=(0, 3))
    first = reduced.aggregate(["scores", "spans"], target_spans=(0, 3))
    np.testing.assert_allclose(
        values(first)[0], np.nanmax(values(sequence.aggregate())[:3], axis=0), rtol=1e-10
    )


@pytest.mark.parametrize(
    ("spans", "error", "message"),
    [
        ((2, 2), ValueError, r"\(2, 2\) given; start has to be below end"),
        ((3, 6), ValueError, "within the 5 tokens"),
        ([(2, 4), (3, 5)], ValueError, "without overlap"),
        ([(2, 4), (0, 1)], ValueError, "ascending"),
        ([(-1, 2)], ValueError, "start has to be below end"),
        ([1, 2, 3], TypeError, "pass a pair"),
        ("all", TypeError, "pass a pair"),
    ],
)
def test_spans_that_are_none_are_refused(
    spans: object, error: type[Exception], message: str
) -> None:
    for aggregator in ("spans", "slices"):
        with pytest.raises(error, match=f"^target_spans: .*{message}"):
            small().aggregate(aggregator, target_spans=spans)


def test_source_spans_of_a_decoder_only_model_are_refused() -> None:
    with pytest.raises(ValueError, match="source_spans: a decoder-only model has no source"):
        small().aggregate("spans", source_spans=(0, 1))


def test_no_spans_join_nothing() -> None:
    result = small().aggregate("spans")
    np.testing.assert_array_equal(values(result), SCORES)
    assert texts_of(result.target) == texts_of(small().target)


@pytest.mark.parametrize("index", [slice(1, 3), slice(-3, -1)])
def test_slices_of_a_prompt_keep_every_generated_token(index: slice) -> None:
    sequence = random_causal(dims={"head": 2}, step_scores={"own": [1.0, 2.0, 3.0, 4.0]})
    raw = sequence.kept["raw"].to_numpy()
    result = sequence[index]
    np.testing.assert_array_equal(values(result), raw[[1, 2, 4, 5, 6]])
    assert texts_of(result.target) == [" w1", " w2", " w4", " w5", " w6", " w7"]
    assert texts_of(result.source) == [" w1", " w2"]
    assert [one.position for one in result.target] == list(range(6))
    assert (result.attr_pos_start, result.attr_pos_end) == (2, 6)
    assert result.step_scores["own"].tolist() == [1.0, 2.0, 3.0, 4.0]
    by_name = sequence.aggregate("slices", target_spans=(1, 3))
    np.testing.assert_array_equal(values(by_name), values(result))


def test_a_number_keeps_one_token() -> None:
    sequence = random_causal()
    assert texts_of(sequence[-1].source) == texts_of(sequence[3:4].source) == [" w3"]
    with pytest.raises(IndexError, match="index: 4 given; there are 4 tokens"):
        sequence[4]


@pytest.mark.parametrize(
    ("index", "error"), [(slice(2, 2), ValueError), (slice(0, 4, 2), ValueError), ("a", TypeError)]
)
def test_what_is_no_slice_is_refused(index: object, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^index:"):
        random_causal()[index]


def test_slices_of_a_source_leave_the_target_alone() -> None:
    between = {"encoder_self": torch.rand(4, 4, 2), "alignment": torch.rand(4, 5)}
    sequence = random_translated(sequence_scores=between)
    raw = sequence.kept["raw"].to_numpy()
    result = sequence[1:3]
    np.testing.assert_array_equal(values(result), raw[[1, 2, 4, 5, 6, 7]])
    assert texts_of(result.source) == [" s1", " s2"]
    assert texts_of(result.target) == texts_of(sequence.target)
    assert (result.attr_pos_start, result.attr_pos_end) == (1, 5)
    torch.testing.assert_close(
        result.sequence_scores["encoder_self"], between["encoder_self"][1:3, 1:3]
    )
    torch.testing.assert_close(result.sequence_scores["alignment"], between["alignment"][1:3])


def test_several_spans_can_be_kept() -> None:
    sequence = random_translated()
    result = sequence.aggregate("slices", source_spans=[(0, 1), (2, 4)], target_spans=[(2, 3)])
    raw = sequence.kept["raw"].to_numpy()
    np.testing.assert_array_equal(values(result), raw[[0, 2, 3, 5, 6, 7]])
    assert texts_of(result.target) == [" t0", " t1", " t2", " t3"]
    assert result.attr_pos_start == 0


def test_slices_keep_norm_and_sum_of_reduced_features() -> None:
    reduced = without_features(random_causal(dims={"feature": 3}))
    result = reduced[1:3]
    assert set(result.kept) == {"norm", "sum"}
    rows = [1, 2, 4, 5, 6]
    for name in ("norm", "sum", "mean"):
        expected = reduced.reduce(name).to_numpy()[rows]
        np.testing.assert_array_equal(result.reduce(name), expected)


def test_a_pair_is_the_second_minus_the_first() -> None:
    first = causal([[1.0], [2.0]], ["a", " b"], [" c"], step_scores={"own": [1.0]})
    second = causal([[4.0], [1.5]], ["a", " x"], [" y"], step_scores={"own": [5.0]})
    result = first.aggregate("pair", paired_attr=second)
    assert values(result).tolist() == [[3.0], [-0.5]]
    assert [one.piece for one in result.target] == ["a", " b →  x", " c →  y"]
    assert [one.id for one in result.target] == [100, -1, -1]
    assert result.kept["raw"].coords["input"].to_numpy()[1] == "b → x"
    assert result.step_scores["own"].tolist() == [4.0]
    assert result.info["signed"]
    assert result.live_model is None


def test_outputs_pair_text_by_text() -> None:
    sequences = [random_causal(seed=seed) for seed in range(4)]
    one = FeatureAttributionOutput(sequences[:2], sequences[0].info)
    other = FeatureAttributionOutput(sequences[2:], sequences[0].info)
    result = one.aggregate("pair", paired_attr=other)
    for number in (0, 1):
        expected = sequences[number + 2].kept["raw"] - sequences[number].kept["raw"]
        np.testing.assert_array_equal(values(result[number]), expected)
    with pytest.raises(ValueError, match="paired_attr: an output of 1 texts given for one of 2"):
        one.aggregate("pair", paired_attr=other[:1])


def test_pairs_of_another_shape_are_refused() -> None:
    first = random_causal()
    with pytest.raises(ValueError, match="only sequences of the same shape"):
        first.aggregate("pair", paired_attr=random_causal(n_prompt=5))
    with pytest.raises(TypeError, match="paired_attr: None given"):
        first.aggregate("pair")
    with pytest.raises(ValueError, match="aggregate_fn: 'mean' given; 'pair' takes none"):
        first.aggregate("pair", "mean", paired_attr=first)


@pytest.mark.parametrize(
    "arguments",
    [
        {"aggregator": "spans", "target_spans": (1, 6), "source_spans": (0, 2)},
        {"aggregator": "slices", "target_spans": (0, 1), "source_spans": (0, 2)},
        {"aggregator": "subwords"},
        {"aggregator": ["mean", "sentences", "scores"]},
        {"aggregator": "pair", "paired_attr": random_translated(dims={"head": 2}, n_target=7)},
        {},
    ],
)
def test_no_aggregation_changes_the_original(arguments: dict[str, object]) -> None:
    sequence = random_translated(
        n_target=7,
        dims={"head": 2},
        step_scores={"own": range(7)},
        step_aggregates={"own": {"spans": "sum"}},
        sequence_scores={"encoder_self": torch.rand(4, 4, 2)},
    )
    before = copy.deepcopy(sequence)
    result = sequence.aggregate(**arguments)
    for name in ("step_scores", "sequence_scores"):
        for values_after in getattr(result, name).values():
            values_after.zero_()
    for array in result.kept.values():
        array[:] = 0
    result.target.clear()
    result.source.clear()
    result.info["aggregation"].append("more")
    result.info["versions"]["own"] = "1"
    for name, aggregates in result.step_aggregates.items():
        aggregates[name] = "prod"
    assert vars(sequence).keys() == vars(before).keys()
    for array, old in zip(sequence.kept.values(), before.kept.values(), strict=True):
        assert array.identical(old)
    for name in ("step_scores", "sequence_scores"):
        torch.testing.assert_close(getattr(sequence, name), getattr(before, name))
    for name in ("source", "target", "info", "step_aggregates", "attr_pos_start", "reduction"):
        assert getattr(sequence, name) == getattr(before, name)


def test_an_encoder_decoder_result_without_prefix_is_joined_too() -> None:
    draws = np.random.default_rng(0).normal(size=(3, 2))
    sequence = translated(draws, [" a", "b", " c"], [" d", "e"])
    result = sequence.aggregate("subwords", "sum")
    np.testing.assert_allclose(values(result), [[draws[:2].sum()], [draws[2].sum()]])
    assert result.target_attributions is None
    assert texts_of(result.target) == ["<s>", " de"]
