"""DeepLIFT gives what captum gives for each step alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from captum.attr import DeepLift
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

import inseq_widget as iw
from inseq_widget.results import FeatureAttributionOutput, FeatureAttributionSequenceOutput
from tests.parity.stepwise import TOLERANCE, largest, loaded, rows_of, steps_of, texts_of

pytestmark = [
    pytest.mark.filterwarnings("ignore:Setting forward, backward hooks"),
    pytest.mark.filterwarnings("ignore:Input Tensor . did not already require gradients"),
]


@pytest.fixture(scope="module", params=["opt", "llama", "bart", "t5"])
def model(
    request: pytest.FixtureRequest, tokenizer: PreTrainedTokenizerBase
) -> iw.AttributionModel:
    made = loaded(request.param, tokenizer)
    made.model.tiny_name = request.param
    return made


def explain(model: iw.AttributionModel, **keywords: object) -> FeatureAttributionOutput:
    texts, targets = texts_of(model.model.tiny_name)
    return model.attribute(
        texts, targets, "deeplift", granular=True, show_progress=False, **keywords
    )


def stacks_of(
    sequence: FeatureAttributionSequenceOutput, attribute_target: bool
) -> tuple[str, ...]:
    if sequence.architecture == "decoder_only":
        return ("target",)
    return ("source", "target") if attribute_target else ("source",)


@pytest.mark.parametrize(
    ("attribute_target", "multiply_by_inputs"), [(False, True), (True, True), (True, False)]
)
def test_scores_equal_captums(
    model: iw.AttributionModel, attribute_target: bool, multiply_by_inputs: bool
) -> None:
    output = explain(
        model, attribute_target=attribute_target, multiply_by_inputs=multiply_by_inputs
    )
    for sequence in output:
        stacks = stacks_of(sequence, attribute_target)
        for step in steps_of(model, sequence, stacks, range(0, len(sequence.steps), 4)):
            expected = DeepLift(step.model, multiply_by_inputs).attribute(
                tuple(step.inputs.values()),
                tuple(step.baselines.values()),
                additional_forward_args=step.fixed or None,
            )
            for stack, scores in zip(stacks, expected, strict=True):
                actual = rows_of(sequence, step.column, stack)
                assert actual.shape == scores[0].shape
                difference = (actual - scores[0].detach()).abs().max()
                assert difference <= TOLERANCE * largest(sequence)


def test_deltas_are_what_the_scores_miss(model: iw.AttributionModel) -> None:
    output = explain(model, attribute_target=True, return_convergence_delta=True)
    for sequence in output:
        stacks = stacks_of(sequence, True)
        sums = np.nansum(sequence.reduce("sum"), axis=0)
        for step in steps_of(model, sequence, stacks, range(0, len(sequence.steps), 3)):
            with torch.no_grad():
                own = step.model(*step.inputs.values())
                other = step.model(*step.baselines.values())
            expected = sums[step.column] - float(own - other)
            actual = float(sequence.step_scores["deltas"][step.column])
            assert actual == pytest.approx(expected, rel=1e-9, abs=1e-15)


def test_a_batch_gives_each_text_what_it_gets_alone(model: iw.AttributionModel) -> None:
    texts, targets = texts_of(model.model.tiny_name)
    together = explain(model, attribute_target=True)
    for text, target, sequence in zip(texts, targets, together, strict=True):
        (alone,) = model.attribute(
            text, target, "deeplift", attribute_target=True, granular=True, show_progress=False
        )
        difference = np.nanmax(np.abs(alone.raw_scores - sequence.raw_scores))
        assert difference <= TOLERANCE * largest(alone)


def test_the_rule_makes_a_difference_where_there_are_activation_functions_it_knows(
    model: iw.AttributionModel,
) -> None:
    (lifted, *_) = explain(model, multiply_by_inputs=False)
    texts, targets = texts_of(model.model.tiny_name)
    (plain, *_) = model.attribute(
        texts, targets, "saliency", abs=False, granular=True, show_progress=False
    )
    difference = np.nanmax(np.abs(lifted.raw_scores - plain.raw_scores))
    if model.model.tiny_name == "llama":  # SiLU
        assert difference <= TOLERANCE * largest(plain)
    else:
        assert difference > 1e-3 * largest(plain)


class _TwiceRelu(nn.Module):
    """Calls one ReLU twice, and lets it write over what it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(1.0 * x) - 0.5 * self.relu(0.3 - x)


class _TwoRelus(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.ReLU(), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.first(x) - 0.5 * self.second(0.3 - x)


@contextmanager
def activations_replaced(model: iw.AttributionModel, kind: type[nn.Module]) -> Iterator[None]:
    layers = list(model.model.model.decoder.layers)
    own = [layer.activation_fn for layer in layers]
    try:
        for layer in layers:
            layer.activation_fn = kind()
        yield
    finally:
        for layer, function in zip(layers, own, strict=True):
            layer.activation_fn = function


def test_a_module_that_is_called_twice_is_as_good_as_two(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    model = loaded("opt", tokenizer)
    model.model.tiny_name = "opt"
    with activations_replaced(model, _TwiceRelu):
        twice = explain(model)
        assert all(layer.activation_fn.relu.inplace for layer in model.model.model.decoder.layers)
    with activations_replaced(model, _TwoRelus):
        two = explain(model)
    with activations_replaced(model, nn.ReLU):
        other = explain(model)
    for one, both, none in zip(twice, two, other, strict=True):
        difference = np.nanmax(np.abs(one.raw_scores - both.raw_scores))
        assert difference <= TOLERANCE * largest(both)
        assert np.nanmax(np.abs(one.raw_scores - none.raw_scores)) > 1e-3 * largest(both)


@pytest.mark.parametrize("function", [nn.ELU, nn.LeakyReLU, nn.Sigmoid, nn.Tanh, nn.Softplus])
def test_every_activation_function_of_captums_list_is_rescaled(
    tokenizer: PreTrainedTokenizerBase, function: type[nn.Module]
) -> None:
    model = loaded("opt", tokenizer)
    model.model.tiny_name = "opt"
    with activations_replaced(model, function):
        (sequence, *_) = explain(model)
        for step in steps_of(model, sequence, ("target",), range(2, len(sequence.steps), 9)):
            (expected,) = DeepLift(step.model).attribute(
                tuple(step.inputs.values()), tuple(step.baselines.values())
            )
            actual = rows_of(sequence, step.column, "target")
            assert (actual - expected[0].detach()).abs().max() <= TOLERANCE * largest(sequence)


def test_a_module_whose_rule_is_missing_is_refused_by_name(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    model = loaded("opt", tokenizer)
    model.model.tiny_name = "opt"
    with (
        activations_replaced(model, nn.Softmax),
        pytest.raises(NotImplementedError, match=r"layers\.0\.activation_fn' is a Softmax"),
    ):
        explain(model)


def test_nothing_stays_behind_when_the_model_fails(tokenizer: PreTrainedTokenizerBase) -> None:
    model = loaded("opt", tokenizer)
    model.model.tiny_name = "opt"
    runs = []

    def fail(*_: object) -> None:
        runs.append(1)
        if len(runs) == 3:  # after the clean run and the baseline's
            raise KeyboardInterrupt

    hook = model.model.model.decoder.layers[-1].register_forward_hook(fail)
    with pytest.raises(KeyboardInterrupt):
        explain(model)
    hook.remove()
    for module in model.model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
