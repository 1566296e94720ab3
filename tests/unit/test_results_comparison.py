"""Methods are compared by how they rank the inputs of each step."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau, spearmanr

import inseq_widget as iw
from inseq_widget.results.labelling import labelled
from tests.unit import outputs


def with_scores(
    values: np.ndarray, method: str = "saliency", signed: bool = True
) -> iw.FeatureAttributionOutput:
    """Make an output of given scores, (input, step), of tokens that are always the same."""
    n_inputs, n_steps = values.shape
    words = [f" w{number}" for number in range(n_inputs)]
    n_prompt = n_inputs - n_steps + 1
    out = outputs.causal(words[:n_prompt], [*words[n_prompt:], " end"], signed=signed)
    one = out[0]
    out.info["attribution_method"] = method
    scores = labelled(values, one.inputs, one.steps)
    return replace(out, sequence_attributions=[replace(one, kept={"raw": scores})])


def random_values(seed: int, shape: tuple[int, int] = (12, 4)) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=shape).round(1)  # some are equal
    n_prompt = shape[0] - shape[1] + 1
    values[np.arange(shape[0])[:, None] >= n_prompt + np.arange(shape[1])] = np.nan
    return values


def ranks_by_loop(values: list[float]) -> list[float]:
    """Rank values, equal ones by the mean of their places."""
    return [
        sum(other < value for other in values) + (sum(other == value for other in values) + 1) / 2
        for value in values
    ]


def pearson_by_loop(a: list[float], b: list[float]) -> float:
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    above = sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True))
    below = sum((x - mean_a) ** 2 for x in a) * sum((y - mean_b) ** 2 for y in b)
    return above / math.sqrt(below)


def first_by_loop(values: list[float], k: int) -> set[int]:
    return set(sorted(range(len(values)), key=lambda row: -values[row])[:k])


@pytest.mark.parametrize("signed", [False, True])
def test_every_measure_follows_its_definition(signed: bool) -> None:
    a, b = random_values(1), random_values(2)
    named = {"a": with_scores(a), "b": with_scores(b)}
    comparison = iw.compare_attributions(named, k=3, signed=signed, kendall=True)
    assert comparison.signed is signed
    steps = comparison.steps
    assert steps["step"].tolist() == [0, 1, 2, 3]
    for row in steps.to_dict("records"):
        pairs = [
            (float(x), float(y)) if signed else (abs(float(x)), abs(float(y)))
            for x, y in zip(a[:, row["step"]], b[:, row["step"]], strict=True)
            if not math.isnan(x)
        ]
        one, other = [x for x, _ in pairs], [y for _, y in pairs]
        assert row["inputs"] == len(pairs)
        by_loop = pearson_by_loop(ranks_by_loop(one), ranks_by_loop(other))
        assert row["spearman"] == pytest.approx(by_loop)
        assert row["spearman"] == pytest.approx(spearmanr(one, other).statistic)
        assert row["kendall"] == pytest.approx(kendalltau(one, other).statistic)
        first, second = first_by_loop(one, 3), first_by_loop(other, 3)
        assert row["overlap"] == pytest.approx(len(first & second) / 3)
        assert row["jaccard"] == pytest.approx(len(first & second) / len(first | second))
    (pair,) = comparison.pairs.to_dict("records")
    for measure in ("spearman", "kendall", "jaccard", "overlap"):
        assert pair[measure] == pytest.approx(float(np.mean(steps[measure])))


def test_tables_have_the_methods_as_rows_and_columns() -> None:
    methods = ("saliency", "attention", "saliency")
    results = [with_scores(random_values(seed), m) for seed, m in enumerate(methods)]
    comparison = iw.compare_attributions(results, k=2)
    names = ("saliency", "attention", "saliency 2")
    assert comparison.names == names
    assert [tuple(pair) for pair in comparison.pairs[["first", "second"]].to_numpy()] == [
        (names[0], names[1]),
        (names[0], names[2]),
        (names[1], names[2]),
    ]
    for measure in ("spearman", "jaccard", "overlap"):
        table = comparison.table(measure)
        assert tuple(table.index) == tuple(table.columns) == names
        np.testing.assert_array_equal(np.diag(table), 1)
        np.testing.assert_array_equal(table, table.T)
        for pair in comparison.pairs.to_dict("records"):
            assert table.loc[pair["second"], pair["first"]] == pair[measure]
    with pytest.raises(ValueError, match=r"measure: 'kendall' given; .*kendall=True adds"):
        comparison.table("kendall")
    assert "attention" in str(comparison)
    assert "<table" in comparison._repr_html_()


def test_a_step_that_says_nothing_is_missing_and_never_zero() -> None:
    a, b = random_values(1, (8, 3)), random_values(2, (8, 3))
    b[:, 1] = np.where(np.isnan(b[:, 1]), np.nan, 0.5)  # all inputs of a step are the same
    comparison = iw.compare_attributions([with_scores(a), with_scores(b)], k=2, kendall=True)
    steps = comparison.steps
    for measure in comparison.measures:
        assert steps[measure].isna().tolist() == [False, True, False]
        mean = (steps[measure][0] + steps[measure][2]) / 2
        assert comparison.pairs[measure][0] == pytest.approx(mean)


def test_an_input_without_a_score_from_one_method_does_not_count() -> None:
    a, b = random_values(1), random_values(2)
    b[4] = np.nan
    with_gap = iw.compare_attributions([with_scores(a), with_scores(b)], k=3).steps
    kept = [row for row in range(12) if row != 4]
    for row in with_gap.to_dict("records"):
        one, other = np.abs(a[kept, row["step"]]), np.abs(b[kept, row["step"]])
        present = ~np.isnan(one)
        assert row["inputs"] == present.sum()
        expected = spearmanr(one[present], other[present]).statistic
        assert row["spearman"] == pytest.approx(expected)


def test_an_overlap_that_must_be_complete_is_not_reported() -> None:
    a, b = with_scores(random_values(1)), with_scores(random_values(2))
    steps = iw.compare_attributions([a, b], k=10).steps  # 9 to 12 inputs
    assert steps["overlap"].isna().tolist() == [True, True, False, False]
    with pytest.warns(UserWarning, match=r"k: no step has more than 12 inputs"):
        nothing = iw.compare_attributions([a, b], k=12)
    assert nothing.steps["overlap"].isna().all()
    assert not nothing.steps["spearman"].isna().any()


def test_magnitudes_are_compared_unless_signs_are_asked_for() -> None:
    values = np.abs(random_values(1))
    a, b = with_scores(values), with_scores(-values)
    assert iw.compare_attributions([a, b], k=3).steps["spearman"].tolist() == pytest.approx([1] * 4)
    signed = iw.compare_attributions([a, b], k=3, signed=True)
    assert signed.steps["spearman"].tolist() == pytest.approx([-1] * 4)
    unsigned = with_scores(values, "attention", signed=False)
    with pytest.raises(ValueError, match=r"signed: the scores of attention have no sign"):
        iw.compare_attributions([a, unsigned], signed=True)


def test_texts_must_match_token_for_token() -> None:
    first = outputs.causal()
    other = outputs.causal(("The", " doctor", " said"))
    with pytest.raises(ValueError, match=r"inputs: 'saliency' and 'other' differ at number 1: "):
        iw.compare_attributions({"saliency": first, "other": other})
    ending = outputs.causal(generated=(" that", " she", " was", "!"))
    with pytest.raises(ValueError, match=r"steps: .* differ at number 3: '\.' .* and '!'"):
        iw.compare_attributions([first, ending])
    window = first[0].select(steps=slice(0, 2))
    with pytest.raises(ValueError, match=r"inputs: 'a' has 6 and 'b' 4; select"):
        iw.compare_attributions({"a": first[0], "b": window})
    two = outputs.batch(first, outputs.causal(("One",)))
    with pytest.raises(ValueError, match=r"outputs: 'a' has 2 sequences and 'b' 1"):
        iw.compare_attributions({"a": two, "b": first})
    swapped = outputs.batch(first, other)
    with pytest.raises(ValueError, match=r"\(sequence 1\) differ at number 0"):
        iw.compare_attributions([two, swapped])


def test_bad_arguments_are_refused() -> None:
    out = outputs.causal()
    with pytest.raises(ValueError, match=r"outputs: 1 given; it takes two"):
        iw.compare_attributions([out])
    with pytest.raises(TypeError, match=r"outputs: one result given"):
        iw.compare_attributions(out)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"outputs: 'b' is a int"):
        iw.compare_attributions({"a": out, "b": 3})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match=r"k: 0 given"):
        iw.compare_attributions([out, out], k=0)
    with pytest.raises(ValueError, match=r"outputs: 'a' has no sequences"):
        iw.compare_attributions({"a": out[:0], "b": out[:0]})


def test_methods_of_a_model_are_compared(tiny: iw.AttributionModel) -> None:
    texts = ["The nurse said that", "My friend is"]
    full = ["The nurse said that she was sick", "My friend is here today"]
    methods = ("saliency", "input_x_gradient", "attention")
    results = [tiny.attribute(texts, full, method, show_progress=False) for method in methods]
    comparison = iw.compare_attributions(results, k=2)
    assert comparison.names == methods
    assert isinstance(comparison.steps, pd.DataFrame)
    n_steps = sum(len(one.steps) for one in results[0])
    assert len(comparison.steps) == 3 * n_steps
    row = comparison.steps.iloc[-1]
    a, b = (np.abs(results[number][1].scores.to_numpy()[:, -1]) for number in (1, 2))
    assert row["spearman"] == pytest.approx(spearmanr(a, b).statistic, abs=1e-9)
    same = iw.compare_attributions({"one": results[0], "again": results[0]}, k=2)
    np.testing.assert_allclose(same.table("spearman"), 1)
