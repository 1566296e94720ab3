"""Layer methods give what captum and a plain loop over steps and layers give."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from captum.attr import (
    LayerDeepLift,
    LayerGradientXActivation,
    LayerIntegratedGradients,
)
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

import inseq_widget as iw
from inseq_widget.results import FeatureAttributionOutput, FeatureAttributionSequenceOutput
from tests.parity.stepwise import (
    TOLERANCE,
    Step,
    bart,
    largest,
    loaded,
    rows_of,
    steps_of,
    texts_of,
)
from tests.parity.tiny import tiny_bart, tiny_llama

pytestmark = [
    pytest.mark.filterwarnings("ignore:Setting forward, backward hooks"),
    pytest.mark.filterwarnings("ignore:Input Tensor . did not already require gradients"),
]
METHODS = ["layer_gradient_x_activation", "layer_integrated_gradients", "layer_deeplift"]
POINTS = 3
# Paths as users write them, and the stack whose tokens the module has positions for.
PLACES = {
    "opt": [
        ("model.decoder.layers.1", "target"),
        ("model.decoder.layers[2].self_attn.q_proj", "target"),
        ("model.decoder.layers.0.self_attn_layer_norm", "target"),
    ],
    "bart": [
        ("model.encoder.layers.1", "source"),
        ("model.encoder.layers[0].activation_fn", "source"),
        ("model.decoder.layers.0", "target"),
        # Reads the encoder's output from inside of the decoder.
        ("model.decoder.layers.1.encoder_attn.k_proj", "source"),
    ],
}


@pytest.fixture(scope="module", params=["opt", "bart"])
def model(
    request: pytest.FixtureRequest, tokenizer: PreTrainedTokenizerBase
) -> iw.AttributionModel:
    made = loaded(request.param, tokenizer)
    made.model.tiny_name = request.param
    return made


def explain(
    model: iw.AttributionModel, method: str, *, granular: bool = True, **keywords: object
) -> FeatureAttributionOutput:
    texts, targets = texts_of(model.model.tiny_name)
    if method == "layer_integrated_gradients":
        keywords.setdefault("n_steps", POINTS)
    return model.attribute(
        texts, targets, method, granular=granular, show_progress=False, **keywords
    )


def captums(
    method: str, step: Step, layer: torch.nn.Module, at_input: bool, multiply: bool = True
) -> Tensor:
    """Explain one step at one layer with captum, (position, feature)."""
    inputs, baselines = tuple(step.inputs.values()), tuple(step.baselines.values())
    options = {
        "additional_forward_args": step.fixed or None,
        "attribute_to_layer_input": at_input,
    }
    if method == "layer_gradient_x_activation":
        scores = LayerGradientXActivation(step.model, layer, multiply_by_inputs=multiply).attribute(
            inputs, **options
        )
    elif method == "layer_deeplift":
        scores = LayerDeepLift(step.model, layer, multiply_by_inputs=multiply).attribute(
            inputs, baselines, **options
        )
    else:
        scores = LayerIntegratedGradients(step.model, layer, multiply_by_inputs=multiply).attribute(
            inputs, baselines, n_steps=POINTS, **options
        )
    first = scores[0] if isinstance(scores, tuple) else scores
    return first[0].detach()


def module_at(model: iw.AttributionModel, path: str) -> torch.nn.Module:
    return model.model.get_submodule(path.replace("[", ".").replace("]", ""))


def some_columns(sequence: FeatureAttributionSequenceOutput) -> range:
    return range(1, len(sequence.steps), 11)


def assert_close(actual: Tensor, expected: Tensor, scale: float, method: str = "") -> None:
    # Captum has the nodes and weights of integration in single precision.
    tolerance = 3e-7 if method == "layer_integrated_gradients" else TOLERANCE
    assert actual.shape == expected.shape
    assert (actual - expected).abs().max() <= tolerance * scale


@pytest.mark.parametrize("at_input", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_every_place_gets_captums_scores(
    model: iw.AttributionModel, method: str, at_input: bool
) -> None:
    for path, stack in PLACES[model.model.tiny_name]:
        if at_input and path[-1].isdigit():  # captum takes the inputs only of plain modules
            continue
        if at_input and method == "layer_deeplift" and path.endswith("activation_fn"):
            continue  # where captum leaves the rule out; see the next test
        output = explain(model, method, target_layer=path, attribute_to_layer_input=at_input)
        for sequence in output:
            assert sequence.raw_scores.dims == ("input", "step", "feature")
            assert set(sequence.raw_scores.input_side.to_numpy()) <= {stack, "prompt"}
            for step in steps_of(model, sequence, (stack,), some_columns(sequence)):
                expected = captums(method, step, module_at(model, path), at_input)
                actual = rows_of(sequence, step.column, stack)
                assert_close(actual, expected, largest(sequence), method)


def test_the_rescale_rule_hands_on_what_an_activation_function_gets(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    model = loaded("bart", tokenizer)
    model.model.tiny_name = "bart"
    path = "model.encoder.layers[0].activation_fn"
    taken, given = (
        explain(model, "layer_deeplift", target_layer=path, attribute_to_layer_input=at_input)
        for at_input in (True, False)
    )
    for before, after in zip(taken, given, strict=True):
        difference = np.nanmax(np.abs(before.raw_scores - after.raw_scores))
        assert difference <= TOLERANCE * largest(after)


@pytest.mark.parametrize("method", METHODS)
def test_all_layers_at_once_equal_each_layer_alone(model: iw.AttributionModel, method: str) -> None:
    keywords = {"attribute_target": True, "multiply_by_inputs": False}
    if method != "layer_gradient_x_activation":
        keywords["return_convergence_delta"] = True
    together = explain(model, method, target_layer="all", **keywords)
    names = together[0].raw_scores.layer.to_numpy().tolist()
    assert names == [str(number) for number in range(len(names))]
    assert len(names) == (3 if model.model.tiny_name == "opt" else 2)
    for number, name in enumerate(names):
        alone = explain(model, method, target_layer=number, **keywords)
        for one, whole in zip(alone, together, strict=True):
            np.testing.assert_allclose(
                whole.raw_scores.sel(layer=name),
                one.raw_scores,
                rtol=0,
                atol=TOLERANCE * largest(one),
            )
            np.testing.assert_allclose(
                whole.reduce("norm", keep=["layer"]).sel(layer=name), one.reduce("norm")
            )
            if "return_convergence_delta" in keywords:
                torch.testing.assert_close(
                    whole.step_scores[f"deltas_{name}"], one.step_scores["deltas"]
                )


@pytest.mark.parametrize("method", METHODS)
def test_captums_scores_of_a_layer_of_both_stacks(
    tokenizer: PreTrainedTokenizerBase, method: str
) -> None:
    model = loaded("bart", tokenizer)
    model.model.tiny_name = "bart"
    paths = {"source": "model.encoder.layers.0", "target": "model.decoder.layers.0"}
    for sequence in explain(model, method, target_layer=[0], attribute_target=True):
        for step in steps_of(model, sequence, ("source", "target"), some_columns(sequence)):
            if method == "layer_integrated_gradients":
                layers = [module_at(model, path) for path in paths.values()]
                expected = [
                    scores[0][0] if isinstance(scores, tuple) else scores[0]
                    for scores in LayerIntegratedGradients(step.model, layers).attribute(
                        tuple(step.inputs.values()), tuple(step.baselines.values()), n_steps=POINTS
                    )
                ]
            else:
                expected = [
                    captums(method, step, module_at(model, path), False) for path in paths.values()
                ]
            for stack, scores in zip(paths, expected, strict=True):
                actual = rows_of(sequence, step.column, stack, "0")
                assert_close(actual, scores.detach(), largest(sequence), method)


@pytest.mark.parametrize(
    ("method", "same_as"),
    [
        ("layer_gradient_x_activation", "input_x_gradient"),
        ("layer_integrated_gradients", "integrated_gradients"),
        ("layer_deeplift", "deeplift"),
    ],
)
def test_without_a_layer_the_embeddings_are_attributed(
    model: iw.AttributionModel, method: str, same_as: str
) -> None:
    for attribute_target in (False, True):
        at_layer = explain(model, method, attribute_target=attribute_target)
        texts, targets = texts_of(model.model.tiny_name)
        options = {"n_steps": POINTS} if same_as == "integrated_gradients" else {}
        at_input = model.attribute(
            texts,
            targets,
            same_as,
            attribute_target=attribute_target,
            granular=True,
            show_progress=False,
            **options,
        )
        for one, other in zip(at_layer, at_input, strict=True):
            assert one.raw_scores.shape == other.raw_scores.shape
            difference = np.nanmax(np.abs(one.raw_scores - other.raw_scores))
            assert difference <= TOLERANCE * largest(other)


@pytest.mark.parametrize("method", METHODS)
def test_a_batch_gives_each_text_what_it_gets_alone(
    model: iw.AttributionModel, method: str
) -> None:
    keywords = {"target_layer": "all", "attribute_target": True}
    together = explain(model, method, **keywords)
    texts, targets = texts_of(model.model.tiny_name)
    if method == "layer_integrated_gradients":
        keywords["n_steps"] = POINTS
    for text, target, sequence in zip(texts, targets, together, strict=True):
        (alone,) = model.attribute(
            text, target, method, granular=True, show_progress=False, **keywords
        )
        difference = np.nanmax(np.abs(alone.raw_scores - sequence.raw_scores))
        assert difference <= TOLERANCE * largest(alone)


@pytest.mark.parametrize("given", ["order of depth", "reversed"])
def test_the_order_and_number_of_pairs_that_run_together_do_not_matter(
    model: iw.AttributionModel, given: str
) -> None:
    method = "layer_integrated_gradients"
    expected = explain(model, method, target_layer="all")
    layers = list(range(len(expected[0].raw_scores.layer)))
    keywords = {
        "order of depth": {"target_layer": layers, "internal_batch_size": 4},
        "reversed": {"target_layer": layers[::-1], "internal_batch_size": 5},
    }[given]
    for one, other in zip(explain(model, method, **keywords), expected, strict=True):
        difference = np.nanmax(
            np.abs(one.raw_scores - other.raw_scores.sel(layer=one.raw_scores.layer))
        )
        assert difference <= TOLERANCE * largest(other)


@pytest.mark.parametrize("maker", [tiny_llama, tiny_bart])
def test_integrated_scores_sum_to_the_difference_in_output(
    tokenizer: PreTrainedTokenizerBase, maker: Callable[[], PreTrainedModel]
) -> None:
    # Smooth activation functions: few points are enough.
    model = iw.load_model(maker().double(), tokenizer=tokenizer)
    model.model.tiny_name = "llama" if maker is tiny_llama else "bart"
    output = explain(
        model,
        "layer_integrated_gradients",
        target_layer="all",
        n_steps=12,
        attribute_target=True,
        return_convergence_delta=True,
    )
    for sequence in output:
        stacks = ("target",) if maker is tiny_llama else ("source", "target")
        sums = sequence.reduce("sum", keep=["layer"]).sum("input")
        for step in steps_of(model, sequence, stacks, some_columns(sequence)):
            with torch.no_grad():
                own = float(step.model(*step.inputs.values(), *step.fixed))
                other = float(step.model(*step.baselines.values(), *step.fixed))
            for layer in sums.layer.to_numpy():
                total = float(sums.sel(layer=layer)[step.column])
                assert total == pytest.approx(own - other, rel=1e-3)
                delta = float(sequence.step_scores[f"deltas_{layer}"][step.column])
                assert delta == pytest.approx(total - (own - other), rel=1e-6, abs=1e-16)


def naive_integral(step: Step, layer: torch.nn.Module) -> Tensor:
    """Integrate one step's gradient at a layer in a plain loop over points."""
    seen: list[Tensor] = []
    hook = layer.register_forward_hook(lambda *call: seen.append(call[2].detach()))
    for embedded in (step.inputs, step.baselines):
        step.model(*embedded.values(), *step.fixed)
    hook.remove()
    own, other = seen
    integral = torch.zeros_like(own)
    places, weights = np.polynomial.legendre.leggauss(POINTS)
    for place, weight in zip(places, weights, strict=True):
        point = (other + (own - other) * (1 + place) / 2).requires_grad_()
        hook = layer.register_forward_hook(lambda *_, point=point: point)
        value = step.model(*step.inputs.values(), *step.fixed)[0]
        hook.remove()
        integral += torch.autograd.grad(value, point)[0] * weight / 2
    return (integral * (own - other))[0]


def test_integrals_equal_a_plain_loop_over_points(model: iw.AttributionModel) -> None:
    path, stack = PLACES[model.model.tiny_name][0]
    for sequence in explain(model, "layer_integrated_gradients", target_layer=[path]):
        for step in steps_of(model, sequence, (stack,), some_columns(sequence)):
            expected = naive_integral(step, module_at(model, path))
            assert_close(rows_of(sequence, step.column, stack, path), expected, largest(sequence))


def naive_gradient_x_activation(
    network: PreTrainedModel, step: Step, layers: list[torch.nn.Module]
) -> list[Tensor]:
    kept: list[Tensor] = []

    def keep(_: torch.nn.Module, given: tuple[Tensor, ...], output: Tensor | tuple[Tensor]) -> None:
        kept.append(output[0] if isinstance(output, tuple) else output)

    hooks = [layer.register_forward_hook(keep) for layer in layers]
    try:
        leaves = [x.clone().requires_grad_() for x in step.inputs.values()]
        value = step.model(*leaves, *step.fixed)[0]
    finally:
        for hook in hooks:
            hook.remove()
    gradients = torch.autograd.grad(value, kept)
    return [(g * x)[0].detach() for g, x in zip(gradients, kept, strict=True)]


@pytest.mark.parametrize("name", ["llama", "t5"])
def test_every_layer_equals_a_plain_loop(tokenizer: PreTrainedTokenizerBase, name: str) -> None:
    model = loaded(name, tokenizer)
    model.model.tiny_name = name
    stack = "target" if name == "llama" else "source"
    layers = model.model.model.layers if name == "llama" else model.model.encoder.block
    for sequence in explain(model, "layer_gradient_x_activation", target_layer="all"):
        for step in steps_of(model, sequence, (stack,), some_columns(sequence)):
            expected = naive_gradient_x_activation(model.model, step, list(layers))
            for number, scores in enumerate(expected):
                actual = rows_of(sequence, step.column, stack, str(number))
                assert_close(actual, scores, largest(sequence))


def test_stacks_of_different_depth_leave_missing_scores(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    model = iw.load_model(bart(decoder_layers=1), tokenizer=tokenizer)
    model.model.tiny_name = "bart"
    (sequence, _) = explain(
        model, "layer_gradient_x_activation", target_layer="all", attribute_target=True
    )
    by_layer = sequence.reduce("sum", keep=["layer"])
    is_source = by_layer.input_side == "source"
    assert not by_layer.sel(layer="1")[is_source].isnull().any()
    assert by_layer.sel(layer="1")[~is_source].isnull().all()
    averaged = sequence.scores
    np.testing.assert_allclose(averaged[is_source], by_layer[is_source].mean("layer"))
    np.testing.assert_array_equal(averaged[~is_source], by_layer.sel(layer="0")[~is_source])


def test_nothing_stays_behind_when_the_model_fails(model: iw.AttributionModel) -> None:
    for method in METHODS:
        for fails_at in (2, 4):
            runs: list[int] = []

            def fail(*_: object, runs: list[int] = runs, fails_at: int = fails_at) -> None:
                runs.append(1)
                if len(runs) == fails_at:
                    raise KeyboardInterrupt

            hook = model.model.register_forward_hook(fail)
            try:
                explain(model, method, target_layer="all", attribute_to_layer_input=True)
            except KeyboardInterrupt:
                pass
            finally:
                hook.remove()
            assert len(runs) >= fails_at or method == "layer_gradient_x_activation"
            for module in model.model.modules():
                assert not module._forward_hooks
                assert not module._forward_pre_hooks
