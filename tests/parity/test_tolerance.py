"""A tolerance stops early, at the number of points that the same points without it call enough."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from transformers import PreTrainedTokenizerBase

from inseq_widget.results import FeatureAttributionSequenceOutput
from tests.parity.conftest import Case
from tests.parity.paths import KINDS, TOLERANCE, explained, make_case, step_of

LADDER = (4, 6, 8, 12)
# A share of the difference that some steps reach before the last number, and keywords.
CASES = {
    "integrated_gradients": (0.02, {}),
    "sequential_integrated_gradients": (0.02, {}),
    "discretized_integrated_gradients": (0.6, {"n_neighbors": 5}),
    "layer_integrated_gradients": (0.02, {"target_layer": "all"}),
}
# With the deltas that are reported: methods whose scores are multiplied by choice.
MULTIPLYING = [*CASES, "gradient_shap", "deeplift", "layer_deeplift"]


@pytest.fixture(scope="module", params=KINDS)
def tiny_case(request: pytest.FixtureRequest, tokenizer: PreTrainedTokenizerBase) -> Case:
    return make_case(request.param, tokenizer)


@pytest.fixture(scope="module")
def with_points(tiny_case: Case) -> Callable[[str, int], FeatureAttributionSequenceOutput]:
    """Explain the first text with so many points, once for each number."""

    @functools.cache
    def explain(method: str, number: int) -> FeatureAttributionSequenceOutput:
        keywords = {**CASES[method][1], "n_steps": number, "return_convergence_delta": True}
        return explained(tiny_case, method, **keywords)[0]

    return explain


def of_layer(sequence: FeatureAttributionSequenceOutput, layer: str) -> np.ndarray:
    raw = sequence.raw_scores
    return (raw.sel(layer=layer) if layer else raw).to_numpy()


@pytest.mark.parametrize("method", list(CASES))
def test_the_smallest_number_is_taken_that_stays_within_the_tolerance(
    tiny_case: Case,
    with_points: Callable[[str, int], FeatureAttributionSequenceOutput],
    method: str,
) -> None:
    tolerance, keywords = CASES[method]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "tolerance: ")  # some steps need more
        sequence = explained(
            tiny_case, method, n_steps=LADDER[-1], tolerance=tolerance, **keywords
        )[0]
    raw = sequence.raw_scores
    layers = list(raw.coords["layer"].to_numpy()) if "layer" in raw.dims else [""]
    taken = set()
    for layer in layers:
        suffix = f"_{layer}" if layer else ""
        for column in range(len(sequence.steps)):

            def off(number: int, layer: str = layer, column: int = column) -> float:
                plain = with_points(method, number)
                total = np.nansum(of_layer(plain, layer)[:, column])
                delta = float(plain.step_scores[f"deltas{'_' + layer if layer else ''}"][column])
                return abs(delta) / abs(total - delta)

            expected = next(
                (
                    first
                    for first, then in pairwise(LADDER)
                    if max(off(first), off(then)) <= tolerance and off(LADDER[-1]) <= tolerance
                ),
                LADDER[-1],
            )
            number = int(sequence.step_scores[f"n_steps{suffix}"][column])
            assert number == expected
            taken.add(number)
            plain = with_points(method, number)
            wanted = of_layer(plain, layer)[:, column]
            actual = of_layer(sequence, layer)[:, column]
            largest = np.nanmax(np.abs(wanted))
            np.testing.assert_allclose(actual, wanted, rtol=0, atol=TOLERANCE * largest)
            reported = float(sequence.step_scores[f"deltas{suffix}"][column])
            delta = float(plain.step_scores[f"deltas{suffix}"][column])
            assert reported == pytest.approx(delta, rel=1e-6, abs=1e-12)
    assert min(taken) < LADDER[-1]


def test_the_scores_of_sequential_gradients_come_near_what_each_input_changes(
    tiny_case: Case,
) -> None:
    (sequence, _) = explained(tiny_case, "sequential_integrated_gradients", tolerance=0.02)
    sums = sequence.raw_scores.sum(("input", "feature")).to_numpy()
    for column in range(len(sequence.steps)):
        step = step_of(tiny_case, sequence, column)
        whole = float(step.value(*step.inputs))
        change = 0.0
        for nth, (own, start) in enumerate(zip(step.inputs, step.baselines, strict=True)):
            for position in range(own.shape[1]):
                moved = own.clone()
                moved[0, position] = start[0, position]
                others = [*step.inputs[:nth], moved, *step.inputs[nth + 1 :]]
                change += whole - float(step.value(*others))
        assert abs(sums[column] - change) <= 0.02 * abs(change)
        delta = float(sequence.step_scores["deltas"][column])
        assert delta == pytest.approx(sums[column] - change, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("method", MULTIPLYING)
def test_deltas_are_of_the_scores_that_are_multiplied(tiny_case: Case, method: str) -> None:
    few = {"n_steps": 3} if method in CASES else {}
    keywords = {**few, **CASES.get(method, (0, {}))[1], "return_convergence_delta": True}
    both = [
        explained(tiny_case, method, multiply_by_inputs=flag, **keywords)[0]
        for flag in (True, False)
    ]
    names = [name for name in both[0].step_scores if name.startswith("deltas")]
    assert names
    for name in names:
        multiplied, alone = (sequence.step_scores[name] for sequence in both)
        np.testing.assert_allclose(alone, multiplied, rtol=1e-9, atol=1e-14)
    assert not np.allclose(*(sequence.raw_scores for sequence in both), equal_nan=True)


def test_discretised_gradients_can_be_multiplied_once_more(tiny_case: Case) -> None:
    keywords = {"n_steps": 4, "n_neighbors": 5}
    multiplied, alone = (
        explained(
            tiny_case, "discretized_integrated_gradients", multiply_by_inputs=flag, **keywords
        )[0]
        for flag in (True, False)
    )
    column = len(alone.steps) - 1
    step = step_of(tiny_case, alone, column)
    ways = [
        (own - start)[0].numpy() for own, start in zip(step.inputs, step.baselines, strict=True)
    ]
    seen = ~np.isnan(alone.raw_scores.to_numpy()[:, column, 0])
    expected = alone.raw_scores.to_numpy()[seen, column] * np.concatenate(ways)
    actual = multiplied.raw_scores.to_numpy()[seen, column]
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-9 * np.abs(expected).max())


def test_layers_that_miss_the_tolerance_are_said_once(tiny_case: Case) -> None:
    with pytest.warns(UserWarning, match="tolerance: .* n_steps=4 points") as caught:
        explained(
            tiny_case, "layer_integrated_gradients", n_steps=4, tolerance=1e-12, target_layer=0
        )
    assert len([w for w in caught if "tolerance" in str(w.message)]) == 1
