"""Aggregation functions join scores by their definitions, and leave missing ones out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from inseq_widget.results.reductions import FUNCTIONS, find_function
from tests.unit.aggregable import NAN

PRESENT: dict[str, Callable[[np.ndarray], float]] = {
    "mean": lambda x: sum(x) / len(x),
    "sum": sum,
    "min": min,
    "max": max,
    "absmax": lambda x: max(x, key=abs),
    "prod": np.prod,
    "vnorm": lambda x: float(np.sqrt(sum(v * v for v in x))),
}
STARTS = np.array([0, 1, 4, 6, 9])
LENGTH = 11


def scores(axis: int) -> np.ndarray:
    """Make scores of which about a third are missing, in some groups all of them."""
    draws = np.random.default_rng(3)
    values = draws.normal(size=(7, LENGTH))
    values[draws.random(values.shape) < 0.35] = NAN
    values[0], values[1, 1:4] = NAN, NAN
    return np.moveaxis(values, -1, axis)


def joined(function: Callable[[np.ndarray], float], members: np.ndarray) -> float:
    present = members[~np.isnan(members)]
    return function(present) if len(present) else NAN


def test_the_functions_are_those_of_the_table() -> None:
    assert list(FUNCTIONS) == sorted(PRESENT)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("name", sorted(PRESENT))
def test_a_function_joins_what_is_there(name: str, axis: int) -> None:
    values = scores(axis)
    rows = np.moveaxis(values, axis, -1)
    expected = [joined(PRESENT[name], row) for row in rows]
    np.testing.assert_allclose(FUNCTIONS[name].along(values, axis), expected, rtol=1e-12)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("name", sorted(PRESENT))
def test_a_function_joins_groups_and_leaves_what_is_alone(name: str, axis: int) -> None:
    values = scores(axis)
    rows = np.moveaxis(values, axis, -1)
    ends = [*STARTS[1:], LENGTH]
    expected = [
        [
            row[start] if end == start + 1 else joined(PRESENT[name], row[start:end])
            for start, end in zip(STARTS, ends, strict=True)
        ]
        for row in rows
    ]
    result = np.moveaxis(FUNCTIONS[name].within(values, STARTS, axis), axis, -1)
    np.testing.assert_allclose(result, expected, rtol=1e-12)


@pytest.mark.parametrize("name", sorted(PRESENT))
def test_single_precision_stays_single(name: str) -> None:
    values = scores(0).astype(np.float32)
    assert FUNCTIONS[name].along(values, 0).dtype == np.float32
    assert FUNCTIONS[name].within(values, STARTS, 0).dtype == np.float32


def test_absmax_keeps_the_sign_and_a_missing_score_never_wins() -> None:
    absmax = FUNCTIONS["absmax"]
    np.testing.assert_array_equal(
        absmax.along(np.array([[0.3, -0.7, 0.1], [NAN, -0.2, NAN], [NAN, 0.0, NAN]]), 1),
        [-0.7, -0.2, 0.0],
    )


@pytest.mark.parametrize("order", [0, 1, 2, 3, 0.5, -1, np.inf, -np.inf])
def test_the_norm_takes_any_order(order: float) -> None:
    values = np.abs(scores(0)) + 0.1
    result = FUNCTIONS["vnorm"].bound({"vnorm_ord": order, "other": 1}).along(values, 0)
    assert np.isnan(result[0])
    for column, norm in enumerate(result[1:], 1):
        present = values[:, column][~np.isnan(values[:, column])]
        assert norm == pytest.approx(np.linalg.norm(present, order), rel=1e-12)


def test_a_norm_without_order_is_refused() -> None:
    with pytest.raises(ValueError, match="vnorm_ord: NaN given"):
        FUNCTIONS["vnorm"].bound({"vnorm_ord": NAN}).along(scores(0), 0)


def test_norm_is_another_name_of_vnorm() -> None:
    assert find_function("norm") is FUNCTIONS["vnorm"]


def test_a_function_of_ones_own_joins_along_an_axis_and_within_groups() -> None:
    values = scores(1)
    median = find_function(np.nanmedian)
    expected = [joined(np.median, row) for row in values]
    np.testing.assert_array_equal(median.along(values, 1), expected)
    groups = median.within(values, STARTS, 1)
    expected = [joined(np.median, row[1:4]) for row in values]
    np.testing.assert_array_equal(groups[:, 1], expected)
    np.testing.assert_array_equal(groups[:, 0], values[:, 0])


def test_where_all_scores_are_missing_ones_own_function_has_no_say() -> None:
    zero = find_function(lambda scores, axis: np.zeros(scores.shape[1 - axis]))
    assert np.isnan(zero.along(scores(1), 1)).tolist() == [True] + [False] * 6
    assert np.isnan(zero.within(scores(1), STARTS, 1)[1, 1])


def test_a_function_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"aggregate_fn: .* gave the shape \(\) .* give \(7,\)"):
        find_function(lambda scores, axis: scores.sum()).along(scores(1), 1)


@pytest.mark.parametrize(("given", "error"), [("avg", ValueError), (3, TypeError)])
def test_an_unknown_function_is_refused_with_those_there_are(
    given: object, error: type[Exception]
) -> None:
    with pytest.raises(error, match=r"aggregate_fn: .* absmax, max, mean, min, prod, sum, vnorm"):
        find_function(given)
