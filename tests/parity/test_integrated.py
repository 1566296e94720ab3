"""Integrated methods give what captum gives step by step, and tell how far off they are."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients
from torch import Tensor
from transformers import PreTrainedTokenizerBase

import inseq_widget as iw
from inseq_widget.methods import Job, make_method
from inseq_widget.methods.discretized import Vocabulary
from inseq_widget.methods.quadrature import RULES
from inseq_widget.models import Example, Trace, TraceableModel
from inseq_widget.results import FeatureAttributionSequenceOutput
from inseq_widget.scores import StepFunctionArgs
from inseq_widget.scores.step_functions import probability
from tests.parity.conftest import Case
from tests.parity.paths import (
    KINDS,
    TOLERANCE,
    Step,
    assert_rows_equal,
    explained,
    gradients_alone,
    integrated,
    make_case,
    step_of,
    value_alone,
)

# Captum keeps the weights of its points in single precision.
CAPTUMS_TOLERANCE = 3e-7
TOLERATED = 5e-3
METHODS = [
    "integrated_gradients",
    "sequential_integrated_gradients",
    "discretized_integrated_gradients",
]


@pytest.fixture(scope="module", params=KINDS)
def tiny_case(request: pytest.FixtureRequest, tokenizer: PreTrainedTokenizerBase) -> Case:
    return make_case(request.param, tokenizer)


def captums(step: Step, n_steps: int, method: str, multiplied: bool = True) -> list[Tensor]:
    """Integrate one step with captum, (position, feature) for each stack."""
    scores = IntegratedGradients(step.value, multiply_by_inputs=multiplied).attribute(
        step.inputs, step.baselines, n_steps=n_steps, method=method
    )
    return [score[0].detach() for score in scores]


def middle(sequence: FeatureAttributionSequenceOutput) -> int:
    return len(sequence.steps) // 2


def test_integrated_gradients_equal_a_loop_over_steps_and_points(tiny_case: Case) -> None:
    for sequence in explained(tiny_case, "integrated_gradients", n_steps=7):
        for column in range(len(sequence.steps)):
            step = step_of(tiny_case, sequence, column)
            assert_rows_equal(sequence, column, step.stacks, integrated(step, 7))


@pytest.mark.parametrize("multiplied", [True, False])
@pytest.mark.parametrize("method", list(RULES))
def test_integrated_gradients_equal_captums(tiny_case: Case, method: str, multiplied: bool) -> None:
    (sequence, _) = explained(
        tiny_case, "integrated_gradients", n_steps=6, method=method, multiply_by_inputs=multiplied
    )
    column = middle(sequence)
    step = step_of(tiny_case, sequence, column)
    expected = captums(step, 6, method, multiplied)
    assert_rows_equal(sequence, column, step.stacks, expected, CAPTUMS_TOLERANCE)


def test_the_source_moves_alone_when_the_target_is_not_attributed(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    case = make_case("encoder_decoder", tokenizer)
    (sequence, _) = case.attribute("integrated_gradients", n_steps=6, granular=True)
    step = step_of(case, sequence, middle(sequence))
    prefix = step.inputs[1]
    alone = Step(
        ("source",),
        step.inputs[:1],
        step.baselines[:1],
        lambda source: step.value(source, prefix.expand(len(source), -1, -1)),
    )
    assert_rows_equal(sequence, middle(sequence), ("source",), integrated(alone, 6))


@pytest.mark.parametrize("method", ["integrated_gradients", "discretized_integrated_gradients"])
def test_scores_sum_to_the_difference_in_output_within_the_reported_delta(
    tiny_case: Case, method: str
) -> None:
    output = explained(tiny_case, method, n_steps=4, return_convergence_delta=True)
    for sequence in output:
        sums = sequence.raw_scores.sum(("input", "feature")).to_numpy()  # missing ones left out
        for column in range(len(sequence.steps)):
            step = step_of(tiny_case, sequence, column)
            difference = value_alone(step, step.inputs) - value_alone(step, step.baselines)
            delta = float(sequence.step_scores["deltas"][column])
            assert sums[column] == pytest.approx(difference + delta, rel=1e-9, abs=1e-15)
            assert delta != 0


def test_more_points_bring_the_delta_down(tokenizer: PreTrainedTokenizerBase) -> None:
    case = make_case("decoder_only", tokenizer)
    worst = {}
    for n_steps in (4, 24):
        (sequence, _) = explained(
            case, "integrated_gradients", n_steps=n_steps, return_convergence_delta=True
        )
        worst[n_steps] = float(sequence.step_scores["deltas"].abs().max())
    assert worst[24] < 0.1 * worst[4]


def test_a_tolerance_uses_as_many_points_as_it_reports(tiny_case: Case) -> None:
    (sequence, _) = explained(tiny_case, "integrated_gradients", tolerance=TOLERATED)
    for column, number in enumerate(sequence.step_scores["n_steps"].tolist()):
        assert number < 50
        step = step_of(tiny_case, sequence, column)
        expected = integrated(step, int(number))
        assert_rows_equal(sequence, column, step.stacks, expected)
        difference = value_alone(step, step.inputs) - value_alone(step, step.baselines)
        delta = float(sum(rows.sum() for rows in expected)) - difference
        assert abs(delta) <= TOLERATED * abs(difference)
        reported = float(sequence.step_scores["deltas"][column])
        assert reported == pytest.approx(delta, rel=1e-6, abs=1e-9 * abs(difference))


def test_a_tolerance_takes_the_smallest_number_that_stays_within_it(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    case = make_case("decoder_only", tokenizer)
    (sequence, _) = explained(case, "integrated_gradients", tolerance=TOLERATED)
    numbers = sequence.step_scores["n_steps"].tolist()
    assert len(set(numbers)) > 1
    for column, number in enumerate(numbers):
        step = step_of(case, sequence, column)
        difference = value_alone(step, step.inputs) - value_alone(step, step.baselines)

        def within(n_steps: int, step: Step = step, difference: float = difference) -> bool:
            delta = float(sum(rows.sum() for rows in integrated(step, n_steps))) - difference
            return abs(delta) <= TOLERATED * abs(difference)

        pairs = pairwise([4, 6, 8, 12, 16, 24, 32, 48, 50])
        assert number == next(first for first, then in pairs if within(first) and within(then))


def test_a_tolerance_that_is_not_met_is_said_once(tiny_case: Case) -> None:
    with pytest.warns(UserWarning, match="tolerance: .* n_steps=4 points") as caught:
        output = explained(tiny_case, "integrated_gradients", n_steps=4, tolerance=1e-12)
    assert len([w for w in caught if "tolerance" in str(w.message)]) == 1
    assert all(set(sequence.step_scores["n_steps"].tolist()) == {4.0} for sequence in output)


def test_a_tolerance_that_is_met_says_nothing(tiny_case: Case) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        explained(tiny_case, "integrated_gradients", tolerance=0.01)


def test_sequential_gradients_equal_integrated_ones_with_one_input_moved_at_a_time(
    tiny_case: Case,
) -> None:
    (sequence, _) = explained(
        tiny_case, "sequential_integrated_gradients", n_steps=4, return_convergence_delta=True
    )
    for column in (0, len(sequence.steps) - 1):
        step = step_of(tiny_case, sequence, column)
        expected = [torch.zeros_like(x[0]) for x in step.inputs]
        missed = 0.0
        for stack, baseline in enumerate(step.baselines):
            for position in range(baseline.shape[1]):
                start = [x.clone() for x in step.inputs]
                start[stack][:, position] = baseline[:, position]
                scores = integrated(replace(step, baselines=tuple(start)), 4)
                expected[stack][position] = scores[stack][position]
                change = value_alone(step, step.inputs) - value_alone(step, tuple(start))
                missed += float(scores[stack][position].sum()) - change
        assert_rows_equal(sequence, column, step.stacks, expected)
        largest = max(float(rows.abs().max()) for rows in expected)
        delta = float(sequence.step_scores["deltas"][column])
        assert delta == pytest.approx(missed, rel=1e-6, abs=TOLERANCE * largest)


def way_of(
    matrix: Tensor, token: int, baseline: int, n_steps: int, n_neighbors: int, method: str
) -> list[Tensor]:
    """Build the discretised path of one token word by word, from embedding to baseline."""
    end = matrix[baseline]

    def moved(anchor: Tensor, start: Tensor) -> Tensor:
        point = anchor.clone()
        for d in range(len(point)):
            low, high = sorted([float(start[d]), float(end[d])])
            if not low <= float(anchor[d]) <= high:
                point[d] = start[d] - (start[d] - end[d]) / n_steps
        return point

    def cost(anchor: Tensor, start: Tensor) -> float:
        point = moved(anchor, start)
        if method == "maxcount":
            return float((point != anchor).sum())
        return float((point - anchor).norm())

    words, path = [token], [matrix[token]]
    for _ in range(n_steps - 2):
        if words[-1] != baseline:
            order = (matrix - matrix[words[-1]]).norm(dim=-1).argsort().tolist()
            nearest = [w for w in order if w != words[-1]][:n_neighbors]
            left = [w for w in nearest if w not in (*words, baseline)]
            here = matrix[words[-1]]
            costs = [cost(matrix[w], here) for w in left]
            words.append(left[int(np.argmin(costs))] if left else baseline)
        path.append(moved(matrix[words[-1]], path[-1]))
    return [*path, end]


@pytest.mark.parametrize("method", ["greedy", "maxcount"])
@pytest.mark.parametrize("n_neighbors", [2, 10])
def test_discretised_paths_are_those_built_word_by_word(
    tokenizer: PreTrainedTokenizerBase, method: str, n_neighbors: int
) -> None:
    model = make_case("decoder_only", tokenizer).model._traceable
    baseline = tokenizer.unk_token_id
    assert isinstance(baseline, int)
    matrix = model.embedding_matrix("target")
    ids = tokenizer("The nurse said")["input_ids"]
    ends = matrix[baseline].expand(len(ids), -1)
    vocabulary = Vocabulary(model, "target", n_neighbors, baseline)
    paths = vocabulary.paths(ids, matrix[ids], ends, 7, method)
    assert torch.equal(paths[:, -1], matrix[ids])
    assert torch.equal(paths[:, 0], ends)
    ways = (paths[:, 1:] - paths[:, :-1]) * (matrix[ids] - ends)[:, None].sign()
    assert ways.min() >= 0
    for token_id, path in zip(ids, paths, strict=True):
        expected = way_of(matrix, token_id, baseline, 7, n_neighbors, method)
        torch.testing.assert_close(path.flip(0), torch.stack(expected), rtol=1e-12, atol=1e-12)


def test_discretised_gradients_equal_a_loop_over_the_points_of_their_paths(
    tiny_case: Case,
) -> None:
    (sequence, _) = explained(
        tiny_case, "discretized_integrated_gradients", n_steps=6, n_neighbors=8
    )
    model, tokenizer = tiny_case.model._traceable, tiny_case.model.tokenizer
    for column in (0, len(sequence.steps) - 1):
        step = step_of(tiny_case, sequence, column)
        prefix = sequence.target[: sequence.attr_pos_start + column]
        paths = []
        for stack, own, start in zip(step.stacks, step.inputs, step.baselines, strict=True):
            tokens: Sequence[iw.results.Token] = sequence.source if stack == "source" else prefix
            ids = [token.id for token in tokens]
            assert stack in ("source", "target")
            vocabulary = Vocabulary(model, stack, 8, tokenizer.unk_token_id)
            paths.append(vocabulary.paths(ids, own[0], start[0], 6, "greedy"))
        expected = [torch.zeros_like(x[0]) for x in step.inputs]
        for point in range(5):
            here = tuple(path[None, :, point] for path in paths)
            for total, gradient, path in zip(
                expected, gradients_alone(step, here), paths, strict=True
            ):
                total += gradient * (path[:, point + 1] - path[:, point])
        assert_rows_equal(sequence, column, step.stacks, expected)


@pytest.mark.parametrize("method", METHODS)
def test_a_batch_gives_each_text_what_it_gets_alone(tiny_case: Case, method: str) -> None:
    keywords = {"n_steps": 3, "attribute_target": True, "show_progress": False}
    together = tiny_case.attribute(method, n_steps=3, attribute_target=True)
    for text, target, sequence in zip(tiny_case.texts, tiny_case.targets, together, strict=True):
        (alone,) = tiny_case.model.attribute(text, target, method, **keywords)
        expected = alone.reduce("sum").to_numpy()
        difference = np.nanmax(np.abs(sequence.reduce("sum").to_numpy() - expected))
        assert difference <= TOLERANCE * np.nanmax(np.abs(expected))


@pytest.mark.parametrize("method", METHODS)
def test_how_many_points_go_together_changes_nothing(tiny_case: Case, method: str) -> None:
    (chosen, _) = explained(tiny_case, method, n_steps=5)
    (given, _) = explained(tiny_case, method, n_steps=5, internal_batch_size=2)
    expected = chosen.raw_scores.to_numpy()
    difference = np.nanmax(np.abs(given.raw_scores.to_numpy() - expected))
    assert difference <= TOLERANCE * np.nanmax(np.abs(expected))


@pytest.mark.parametrize("method", METHODS)
def test_when_memory_is_short_steps_and_points_take_turns(
    tiny_case: Case, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (whole, _) = explained(tiny_case, method, n_steps=3)
    monkeypatch.setattr("inseq_widget.methods.points._SUMS_BYTES", 1)
    trace, refused = TraceableModel.trace, []

    def short_of_memory(
        self: TraceableModel, examples: Sequence[Example], **options: object
    ) -> Trace:
        if options.get("graph") and len(examples) > 1:
            refused.append(len(examples))
            raise torch.OutOfMemoryError("no memory left, says the test")
        return trace(self, examples, **options)

    monkeypatch.setattr(TraceableModel, "trace", short_of_memory)
    (parted, _) = explained(tiny_case, method, n_steps=3)
    assert refused
    expected = whole.raw_scores.to_numpy()
    difference = np.nanmax(np.abs(parted.raw_scores.to_numpy() - expected))
    assert difference <= TOLERANCE * np.nanmax(np.abs(expected))


@pytest.mark.parametrize(
    ("method", "keywords"),
    [*((method, {"n_steps": 4}) for method in METHODS), (METHODS[0], {"tolerance": 0.05})],
)
def test_the_reported_progress_adds_up_to_all_of_the_work(
    tiny_case: Case, method: str, keywords: dict[str, object]
) -> None:
    model = tiny_case.model._traceable
    examples = model.examples(tiny_case.texts, tiny_case.targets, {}, (None, None), None)
    made = make_method(method, {**keywords, "internal_batch_size": 2})
    shares: list[float] = []
    made.attribute(Job(model, made.trace(model, examples), probability, True, False, shares.append))
    assert sum(shares) == pytest.approx(1)
    assert len(shares) > 2


@pytest.mark.parametrize("method", METHODS)
def test_a_text_that_is_its_own_baseline_gets_zeros(
    tokenizer: PreTrainedTokenizerBase, method: str
) -> None:
    case = make_case("decoder_only", tokenizer)
    prompt = "The The"
    token = tokenizer("The The")["input_ids"]
    (sequence,) = case.model.attribute(
        prompt[:3],
        prompt,
        method,
        n_steps=3,
        baseline=token[0],
        return_convergence_delta=True,
        show_progress=False,
    )
    assert sequence.reduce("norm").to_numpy().tolist() == [[0.0]]
    assert sequence.step_scores["deltas"].abs().max() <= 1e-15


@pytest.mark.parametrize(
    ("method", "keywords", "message"),
    [
        ("integrated_gradients", {"n_steps": 0}, "n_steps: 0 given; .* at least 1"),
        ("integrated_gradients", {"n_steps": 2.5}, "n_steps: 2.5 given"),
        ("integrated_gradients", {"method": "simpson"}, "method: 'simpson' .* gausslegendre"),
        (
            "integrated_gradients",
            {"method": "riemann_trapezoid", "n_steps": 1},
            "n_steps: 1 given; .* at least 2",
        ),
        ("integrated_gradients", {"internal_batch_size": 0}, "internal_batch_size: 0 given"),
        ("integrated_gradients", {"tolerance": 0}, "tolerance: 0 given; .* above zero"),
        ("integrated_gradients", {"tolerance": "1 %"}, "tolerance: '1 %' given"),
        (
            "integrated_gradients",
            {"tolerance": 0.01, "method": "riemann_left"},
            "tolerance: works with method='gausslegendre' only",
        ),
        ("sequential_integrated_gradients", {"n_steps": True}, "n_steps: True given"),
        ("discretized_integrated_gradients", {"method": "lazy"}, "method: 'lazy' .* maxcount"),
        ("discretized_integrated_gradients", {"n_steps": 1}, "n_steps: 1 given; .* at least 2"),
        ("discretized_integrated_gradients", {"n_neighbors": 0}, "n_neighbors: 0 given"),
    ],
)
def test_keywords_that_cannot_be_meant_are_refused(
    method: str, keywords: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make_method(method, keywords)


def test_a_function_that_breaks_the_graph_is_named(tiny_case: Case) -> None:
    def broken(args: StepFunctionArgs) -> Tensor:
        return probability(args).detach()

    with pytest.raises(ValueError, match="attributed_fn: the value of broken does not depend"):
        tiny_case.attribute("integrated_gradients", n_steps=2, attributed_fn=broken)
