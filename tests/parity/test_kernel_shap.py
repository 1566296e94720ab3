"""Kernel SHAP gives the Shapley values of every step, or the regression that comes near them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from math import comb

import numpy as np
import pytest
import torch
from captum._utils.models.linear_model import SkLearnLinearRegression
from torch import Tensor

import inseq_widget as iw
from inseq_widget.methods.surrogate import KernelShap
from inseq_widget.results import FeatureAttributionSequenceOutput
from tests.parity.coalition_game import captums, column_of, games, small, stacks_of, values_of
from tests.parity.stepwise import TOLERANCE, largest

TEXTS = {
    "opt": ("Good morning to all", "Good morning to all of you and"),
    "bart": ("Good morning to all of you", "Bom"),
    "t5": ("Good morning to all of you", "Bom"),
}
CASES = [("opt", False), ("bart", False), ("bart", True), ("t5", True)]
Loaded = Callable[[str], iw.AttributionModel]


@pytest.fixture(scope="module")
def model_of() -> Loaded:
    """Load tiny models in double precision, each once."""
    return functools.cache(small)


def explain(
    model: iw.AttributionModel, name: str, **keywords: object
) -> FeatureAttributionSequenceOutput:
    (sequence,) = model.attribute(*TEXTS[name], "kernel_shap", show_progress=False, **keywords)
    return sequence


@pytest.mark.parametrize(("name", "attribute_target"), CASES)
def test_kernel_shap_with_every_coalition_gives_the_shapley_values_of_every_step(
    model_of: Loaded, name: str, attribute_target: bool
) -> None:
    model = model_of(name)
    sequence = explain(model, name, n_samples=1024, attribute_target=attribute_target)
    numbers: set[int] = set()
    for game in games(model, sequence, stacks_of(sequence, attribute_target)):
        assert 2 ** len(game.numbers) - 2 <= 1024
        numbers.add(len(game.players))
        actual, others = column_of(sequence, game)
        expected = list(game.shapley_values().values())
        assert np.abs(actual - expected).max() <= TOLERANCE * largest(sequence)
        assert (np.isnan(others) | (others == 0)).all()
    assert len(numbers) == 1 or "target" in stacks_of(sequence, attribute_target)


def constrained(seen: np.ndarray, values: np.ndarray, ends: tuple[float, float]) -> np.ndarray:
    """Solve the least squares with a fixed intercept and sum, by Lagrange's multiplier."""
    n_players = seen.shape[1]
    inner = (seen.sum(1) > 0) & (seen.sum(1) < n_players)
    design, rest = seen[inner], values[inner] - ends[0]
    system = np.ones((n_players + 1, n_players + 1))
    system[:-1, :-1] = design.T @ design
    system[-1, -1] = 0.0
    return np.linalg.solve(system, [*(design.T @ rest), ends[1] - ends[0]])[:-1]


@pytest.mark.parametrize(("name", "attribute_target"), CASES)
def test_kernel_shap_equals_a_constrained_regression_of_every_step(
    model_of: Loaded, name: str, attribute_target: bool
) -> None:
    model = model_of(name)
    method = KernelShap(n_samples=24, seed=7)
    sequence = explain(
        model,
        name,
        n_samples=method.n_samples,
        seed=method.seed,
        attribute_target=attribute_target,
    )
    for game in games(model, sequence, stacks_of(sequence, attribute_target)):
        assert 2 ** len(game.numbers) - 2 > method.n_samples
        rows, _ = method._coalitions(len(game.numbers))
        ends = (game.value(frozenset()), game.value(frozenset(game.players)))
        expected = constrained(game.seen(rows).double().numpy(), values_of(game, rows), ends)
        actual, _ = column_of(sequence, game)
        assert np.abs(actual - expected).max() <= TOLERANCE * largest(sequence)
        assert abs(actual.sum() - (ends[1] - ends[0])) <= TOLERANCE * largest(sequence)


def test_kernel_shap_comes_near_captums_soft_constraints(model_of: Loaded) -> None:
    model = model_of("opt")
    sequence = explain(model, "opt", n_samples=24)
    *_, game = games(model, sequence, ("target",))
    drawn, _ = KernelShap(n_samples=24)._coalitions(len(game.numbers))
    rows = torch.cat([torch.ones_like(drawn[:1]), torch.zeros_like(drawn[:1]), drawn]).double()

    def kernel(row: Tensor) -> float:
        return 1e6 if row.sum() in (0, row.shape[1]) else 1.0

    expected = captums(game, rows, SkLearnLinearRegression(), kernel)
    actual, _ = column_of(sequence, game)
    assert np.abs(actual - expected).max() <= 1e-4 * largest(sequence)


def test_what_a_step_sees_of_the_shapley_kernel_is_its_own_kernel() -> None:
    rows, weights = KernelShap(n_samples=2**7)._coalitions(7)
    sizes = rows[:, :4].sum(1)
    seen = np.array([float(weights[sizes == size].sum()) for size in range(1, 4)])
    own = np.array([1 / (size * (4 - size)) for size in range(1, 4)])
    np.testing.assert_allclose(seen / seen.sum(), own / own.sum(), rtol=1e-12)


def test_coalitions_are_drawn_from_the_shapley_kernel_with_their_complements() -> None:
    rows, weights = KernelShap(n_samples=20_000)._coalitions(16)
    assert torch.equal(rows[::2], ~rows[1::2])
    assert torch.equal(weights, torch.ones_like(weights))
    counts = np.bincount(rows.sum(1), minlength=17)[1:16] / len(rows)
    kernel = np.array([1 / (size * (16 - size)) for size in range(1, 16)])
    np.testing.assert_allclose(counts, kernel / kernel.sum(), atol=0.01)
    np.testing.assert_allclose(rows.double().mean(0), 0.5, atol=0.02)


def test_every_coalition_is_listed_once_with_the_kernels_weight() -> None:
    rows, weights = KernelShap(n_samples=14)._coalitions(4)
    assert len({tuple(row.tolist()) for row in rows}) == 14
    for row, weight in zip(rows, weights, strict=True):
        size = int(row.sum())
        assert float(weight) == pytest.approx(1 / (comb(4, size) * size * (4 - size)))


def test_too_few_samples_warn_and_still_sum_to_the_difference(model_of: Loaded) -> None:
    model = model_of("opt")
    with pytest.warns(UserWarning, match="n_samples=3 for"):
        sequence = explain(model, "opt", n_samples=3)
    for game in games(model, sequence, ("target",)):
        actual, _ = column_of(sequence, game)
        expected = game.value(frozenset(game.players)) - game.value(frozenset())
        assert abs(actual.sum() - expected) <= TOLERANCE * largest(sequence)


def test_a_single_span_gets_the_whole_difference(model_of: Loaded) -> None:
    model = model_of("opt")
    sequence = explain(model, "opt", spans=[(0, 100)])
    n_prompt = len(sequence.source)
    groups = [[("target", place) for place in range(n_prompt)]]
    scores = sequence.scores.to_numpy()
    for game in games(model, sequence, ("target",), groups):
        expected = game.value(frozenset([0])) - game.value(frozenset())
        np.testing.assert_allclose(scores[:n_prompt, game.column], expected, rtol=1e-7)
    assert np.isnan(scores[n_prompt:]).all()
