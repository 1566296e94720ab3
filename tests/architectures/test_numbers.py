"""Of every architecture, what is explained is the model that generates, step by step."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest
import torch

from tests.architectures import stepwise
from tests.architectures.double import in_double
from tests.architectures.exact import (
    TOLERANCE,
    assert_same_scores,
    attributed,
    model_of,
    rows_of,
)
from tests.architectures.models import ARCHITECTURES, made, texts
from tests.architectures.refusals import BY_METHOD, WITHOUT_ATTENTION, refuses

FORMULA = {
    "saliency": lambda gradient, x: gradient.abs(),
    "input_x_gradient": lambda gradient, x: gradient * x,
}
NAMES = list(ARCHITECTURES)
ENCODER_DECODERS = [name for name in NAMES if ARCHITECTURES[name].encoder_decoder]
# A short text where every token is taken away at every step.
SHORT = {False: ("the nurse", "the nurse said that"), True: ("the nurse", "a")}
# Source and decoder have four positions each.
EQUALLY_LONG = ("the nurse was", "a enfermeira estava")
# A layer of every stack.
LAYER = 1


@pytest.fixture(autouse=True)
def _in_double() -> Iterator[None]:
    with in_double():
        yield


def short(name: str) -> tuple[str, str]:
    return SHORT[ARCHITECTURES[name].encoder_decoder]


@pytest.mark.parametrize("name", NAMES)
def test_logits_of_one_trace_are_those_of_every_prefix_alone(name: str) -> None:
    model = model_of(name)
    text, target = texts(name)
    (example,) = model._traceable.examples([text], [target], {}, (None, None), None)
    expected = stepwise.logits(model.model, attributed(name, "dummy"))
    traced = model._traceable.trace([example], graph=True)
    # What methods put in place of the embeddings goes the same way.
    given = {stack: leaf.detach() for stack, leaf in traced.embeddings.items()}
    again = model._traceable.trace([example], embeddings=given)
    for trace in (traced, again):
        assert (trace.logits[0].detach() - expected).abs().max() <= TOLERANCE * expected.abs().max()


# What they take as inputs_embeds is not what their embedding module gives: they scale that only
# where they read ids, or read the ids a second time.
TAKES_OTHER_EMBEDDINGS = {"FSMT", "Gemma 3n", "Marian"}


@pytest.mark.parametrize("name", [name for name in NAMES if name not in TAKES_OTHER_EMBEDDINGS])
def test_logits_from_embeddings_alone_equal_logits_from_ids(name: str) -> None:
    model, sequence = model_of(name).model, attributed(name, "dummy")
    assert "inputs_embeds" in inspect.signature(model.forward).parameters
    expected = stepwise.logits(model, sequence)
    actual = stepwise.logits_of_embedded(model, sequence)
    assert (actual - expected).abs().max() <= TOLERANCE * expected.abs().max()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method", list(FORMULA))
def test_gradient_scores_equal_a_backward_pass_for_each_step(name: str, method: str) -> None:
    sequence = attributed(name, method)
    expected = [
        {stack: FORMULA[method](*both) for stack, both in stacks.items()}
        for stacks in stepwise.gradients(model_of(name).model, sequence)
    ]
    assert_same_scores(sequence, expected)


@pytest.mark.parametrize("name", NAMES)
def test_occlusion_equals_a_run_without_each_token_for_each_step(name: str) -> None:
    model = model_of(name)
    sequence = attributed(name, "occlusion", short(name), abs=False)
    expected = list(stepwise.occlusions(model.model, sequence, model.tokenizer))
    assert_same_scores(sequence, expected)


@pytest.mark.parametrize("name", NAMES)
def test_integrated_gradients_equal_a_backward_pass_for_each_step_and_point(name: str) -> None:
    model = model_of(name)
    sequence = attributed(name, "integrated_gradients", short(name), n_steps=2)
    expected = list(stepwise.integrated_gradients(model.model, sequence, model.tokenizer, 2))
    assert_same_scores(sequence, expected)


def layers_of(name: str) -> dict[str, torch.nn.Module]:
    """Find one layer of every stack in the longest list of modules that is not inside another."""
    model = model_of(name).model
    stacks = {"target": model}
    if ARCHITECTURES[name].encoder_decoder:
        stacks = {"source": model.get_encoder(), "target": model.get_decoder()}
    found = {}
    for stack, module in stacks.items():
        lists = {p: m for p, m in module.named_modules() if isinstance(m, torch.nn.ModuleList)}
        path = min(lists, key=lambda path: (path.count("."), -len(lists[path])))
        found[stack] = lists[path][LAYER]
    return found


@pytest.mark.parametrize(
    "name", [name for name in NAMES if not refuses("layer_gradient_x_activation", name)]
)
def test_layer_scores_equal_a_backward_pass_for_each_step(name: str) -> None:
    sequence = attributed(name, "layer_gradient_x_activation", short(name), target_layer=LAYER)
    layers = layers_of(name)
    expected = stepwise.layer_gradients_x_activations(model_of(name).model, sequence, layers)
    assert_same_scores(sequence, list(expected))


# Its heads attend twice with the same weights, to two halves of the values.
ATTENDS_TWICE = {"DiffLlama"}


def assert_attention_is_reported(name: str, pair: tuple[str, str]) -> None:
    # Other implementations report none, or some that they did not mask.
    eager = made(name, attn_implementation="eager")
    expected = stepwise.attentions(eager, attributed(name, "dummy", pair))
    assert expected is not None
    sequence = attributed(name, "attention", pair)
    stack = "source" if ARCHITECTURES[name].encoder_decoder else "target"
    for column, weights in enumerate(expected):
        actual = rows_of(sequence, column, stack).movedim(0, -1)
        if name in ATTENDS_TWICE:
            weights = torch.cat([weights, weights], dim=1)
        assert actual.shape == weights.shape
        assert (actual - weights).abs().max() <= TOLERANCE


@pytest.mark.parametrize("name", [name for name in NAMES if name not in WITHOUT_ATTENTION])
def test_attention_is_what_the_model_reports(name: str) -> None:
    assert_attention_is_reported(name, texts(name))


@pytest.mark.parametrize("name", ENCODER_DECODERS)
def test_attention_between_stacks_of_equal_length_is_what_the_model_reports(name: str) -> None:
    sequence = attributed(name, "dummy", EQUALLY_LONG)
    assert len(sequence.source) == sequence.attr_pos_end - 1
    assert_attention_is_reported(name, EQUALLY_LONG)


@pytest.mark.parametrize("name", sorted(WITHOUT_ATTENTION))
def test_a_model_without_attention_says_what_works_instead(name: str) -> None:
    with pytest.raises(NotImplementedError, match="'saliency' work"):
        attributed(name, "attention")


@pytest.mark.parametrize("method", ["attention_flow", "attention_rollout"])
@pytest.mark.parametrize("name", sorted(BY_METHOD["attention_rollout"] - WITHOUT_ATTENTION))
def test_a_layer_that_mixes_tokens_otherwise_is_not_counted_as_attention(
    name: str, method: str
) -> None:
    classes = {type(module).__name__ for module in model_of(name).model.modules()}
    with pytest.raises(NotImplementedError, match=r"'attention' .* 'saliency' work") as caught:
        attributed(name, method)
    assert any(f" {kind} " in str(caught.value) for kind in classes)
