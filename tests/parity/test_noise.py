"""Averages over random samples equal a loop over the same samples, and seeds repeat them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from inseq_widget.methods import Job, make_method
from inseq_widget.results import FeatureAttributionSequenceOutput
from inseq_widget.scores.step_functions import probability
from tests.parity.conftest import Case
from tests.parity.paths import (
    KINDS,
    TOLERANCE,
    Step,
    assert_rows_equal,
    explained,
    gradients_alone,
    make_case,
    step_of,
    value_alone,
)

METHODS = ["gradient_shap", "smooth_grad"]


@pytest.fixture(scope="module", params=KINDS)
def tiny_case(request: pytest.FixtureRequest, tokenizer: PreTrainedTokenizerBase) -> Case:
    return make_case(request.param, tokenizer)


def drawn_noise(
    sequence: FeatureAttributionSequenceOutput,
    step: Step,
    n_samples: int,
    generator: torch.Generator,
) -> list[Tensor]:
    """Draw standard normal noise for all tokens of each stack; give that of the step's inputs."""
    noise = []
    for stack, own in zip(step.stacks, step.inputs, strict=True):
        n_tokens = len(sequence.source if stack == "source" else sequence.target)
        shape = (n_samples, n_tokens, own.shape[-1])
        drawn = torch.randn(shape, generator=generator, dtype=torch.float64)
        noise.append(drawn[:, : own.shape[1]])
    return noise


@pytest.mark.parametrize("stdevs", [0.0, 0.02])
def test_gradient_shap_equals_a_loop_over_the_same_draws(tiny_case: Case, stdevs: float) -> None:
    output = explained(
        tiny_case,
        "gradient_shap",
        n_samples=3,
        stdevs=stdevs,
        seed=7,
        return_convergence_delta=True,
    )
    for sequence in output:
        column = len(sequence.steps) - 1
        step = step_of(tiny_case, sequence, column)
        generator = torch.Generator().manual_seed(7)
        alphas = torch.rand(3, generator=generator, dtype=torch.float64)
        noise = drawn_noise(sequence, step, 3, generator)
        expected = [torch.zeros_like(own[0]) for own in step.inputs]
        above = 0.0
        for sample, alpha in enumerate(alphas):
            noisy = tuple(
                own + stdevs * drawn[sample] for own, drawn in zip(step.inputs, noise, strict=True)
            )
            ways = [own - start for own, start in zip(noisy, step.baselines, strict=True)]
            here = tuple(
                start + alpha * way for start, way in zip(step.baselines, ways, strict=True)
            )
            for total, gradient, way in zip(
                expected, gradients_alone(step, here), ways, strict=True
            ):
                total += gradient * way[0] / 3
            above += value_alone(step, noisy) / 3
        assert_rows_equal(sequence, column, step.stacks, expected)
        difference = above - value_alone(step, step.baselines)
        delta = float(sum(rows.sum() for rows in expected)) - difference
        reported = float(sequence.step_scores["deltas"][column])
        assert reported == pytest.approx(delta, rel=1e-9, abs=1e-15)


def test_gradient_shap_without_multiplying_is_the_mean_gradient(tiny_case: Case) -> None:
    (sequence, _) = explained(
        tiny_case, "gradient_shap", n_samples=2, multiply_by_inputs=False, seed=3
    )
    step = step_of(tiny_case, sequence, 0)
    generator = torch.Generator().manual_seed(3)
    expected = [torch.zeros_like(own[0]) for own in step.inputs]
    for alpha in torch.rand(2, generator=generator, dtype=torch.float64):
        here = tuple(
            start + alpha * (own - start)
            for own, start in zip(step.inputs, step.baselines, strict=True)
        )
        for total, gradient in zip(expected, gradients_alone(step, here), strict=True):
            total += gradient / 2
    assert_rows_equal(sequence, 0, step.stacks, expected)


@pytest.mark.parametrize("nt_type", ["smoothgrad", "smoothgrad_sq", "vargrad"])
@pytest.mark.parametrize("magnitude", [True, False])
def test_smooth_grad_equals_a_loop_over_the_same_draws(
    tiny_case: Case, nt_type: str, magnitude: bool
) -> None:
    output = explained(
        tiny_case,
        "smooth_grad",
        n_samples=4,
        stdevs=0.1,
        nt_type=nt_type,
        abs=magnitude,
        seed=5,
    )
    for sequence in output:
        column = len(sequence.steps) - 1
        step = step_of(tiny_case, sequence, column)
        generator = torch.Generator().manual_seed(5)
        noise = drawn_noise(sequence, step, 4, generator)
        spread = []
        for stack in step.stacks:
            assert stack in ("source", "target")
            words = tiny_case.model._traceable.embedding_matrix(stack)
            spread.append(0.1 * (words.max() - words.min()))
        taken: list[list[Tensor]] = [[] for _ in step.stacks]
        for sample in range(4):
            noisy = tuple(
                own + deviation * drawn[sample]
                for own, deviation, drawn in zip(step.inputs, spread, noise, strict=True)
            )
            for samples, gradient in zip(taken, gradients_alone(step, noisy), strict=True):
                samples.append(gradient.abs() if magnitude else gradient)
        expected = []
        for samples in taken:
            stacked = torch.stack(samples)
            expected.append(
                {
                    "smoothgrad": stacked.mean(0),
                    "smoothgrad_sq": stacked.square().mean(0),
                    "vargrad": stacked.var(0, correction=0),
                }[nt_type]
            )
        assert_rows_equal(sequence, column, step.stacks, expected)


def test_without_noise_smooth_grad_is_saliency(tiny_case: Case) -> None:
    smooth = explained(tiny_case, "smooth_grad", n_samples=2, stdevs=0)
    for sequence, plain in zip(smooth, explained(tiny_case, "saliency"), strict=True):
        expected = plain.raw_scores.to_numpy()
        difference = np.nanmax(np.abs(sequence.raw_scores.to_numpy() - expected))
        assert difference <= TOLERANCE * np.nanmax(expected)


@pytest.mark.parametrize("method", METHODS)
def test_a_seed_repeats_a_run_and_another_one_does_not(tiny_case: Case, method: str) -> None:
    keywords = {"n_samples": 2, "stdevs": 0.05}
    (first, _) = explained(tiny_case, method, seed=1, **keywords)
    (again, _) = explained(tiny_case, method, seed=1, **keywords)
    (other, _) = explained(tiny_case, method, seed=2, **keywords)
    assert first.raw_scores.equals(again.raw_scores)
    assert not np.allclose(first.raw_scores, other.raw_scores, equal_nan=True, rtol=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_the_global_random_state_is_left_alone(tiny_case: Case, method: str) -> None:
    before = torch.get_rng_state()
    explained(tiny_case, method, n_samples=2, stdevs=0.05)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("method", METHODS)
def test_a_batch_gives_each_text_what_it_gets_alone(tiny_case: Case, method: str) -> None:
    keywords = {"n_samples": 3, "stdevs": 0.05, "attribute_target": True}
    together = tiny_case.attribute(method, **keywords)
    for text, target, sequence in zip(tiny_case.texts, tiny_case.targets, together, strict=True):
        (alone,) = tiny_case.model.attribute(text, target, method, show_progress=False, **keywords)
        expected = alone.reduce("norm").to_numpy()
        difference = np.nanmax(np.abs(sequence.reduce("norm").to_numpy() - expected))
        assert difference <= TOLERANCE * np.nanmax(expected)


@pytest.mark.parametrize("method", METHODS)
def test_a_range_of_steps_equals_those_columns_of_the_whole(tiny_case: Case, method: str) -> None:
    keywords = {"n_samples": 2, "stdevs": 0.05, "attribute_target": True, "show_progress": False}
    texts = (tiny_case.texts[0], tiny_case.targets[0])
    (whole,) = tiny_case.model.attribute(*texts, method, **keywords)
    (part,) = tiny_case.model.attribute(
        *texts, method, attr_pos_start=whole.attr_pos_start + 1, attr_pos_end=-1, **keywords
    )
    expected = whole.reduce("norm").to_numpy()[: part.reduce("norm").shape[0], 1:-1]
    assert expected.shape == part.reduce("norm").shape
    difference = np.nanmax(np.abs(part.reduce("norm").to_numpy() - expected))
    assert difference <= TOLERANCE * np.nanmax(expected)


@pytest.mark.parametrize("method", METHODS)
def test_the_reported_progress_adds_up_to_all_of_the_work(tiny_case: Case, method: str) -> None:
    model = tiny_case.model._traceable
    examples = model.examples(tiny_case.texts, tiny_case.targets, {}, (None, None), None)
    made = make_method(method, {})
    shares: list[float] = []
    made.attribute(Job(model, made.trace(model, examples), probability, True, False, shares.append))
    assert sum(shares) == pytest.approx(1)


@pytest.mark.parametrize(
    ("method", "keywords", "message"),
    [
        ("gradient_shap", {"n_samples": 0}, "n_samples: 0 given; .* at least 1"),
        ("gradient_shap", {"stdevs": -0.1}, "stdevs: -0.1 given; .* zero or above"),
        ("gradient_shap", {"seed": 0.5}, "seed: 0.5 given"),
        ("smooth_grad", {"n_samples": "many"}, "n_samples: 'many' given"),
        ("smooth_grad", {"stdevs": float("nan")}, "stdevs: nan given"),
        ("smooth_grad", {"seed": -1}, "seed: -1 given; .* at least 0"),
        ("smooth_grad", {"nt_type": "rough"}, "nt_type: 'rough' given; .* vargrad"),
    ],
)
def test_keywords_that_cannot_be_meant_are_refused(
    method: str, keywords: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make_method(method, keywords)
