"""Every method gives Inseq's raw scores, number by number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.inseq.texts import ALL, CAUSAL, FIRST_LAYER, TRANSLATING, job
from tests.inseq.tolerances import SINGLE, tolerance
from tests.peer.job import Job

Compare = Callable[..., None]
ALPHAS = torch.rand(3, generator=torch.Generator().manual_seed(0), dtype=torch.float64).tolist()

# Method, keywords of `attribute`, keywords of `load_model`, and other options of the job.
VARIANTS: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ("attention", {}, {}, {}),
    ("deeplift", {}, {}, {}),
    ("deeplift", {}, {"multiply_by_inputs": False}, {}),
    ("deeplift", {"return_convergence_delta": True}, {}, {}),
    ("discretized_integrated_gradients", {"n_steps": 5}, {}, {}),
    (
        "discretized_integrated_gradients",
        {"attribution_args": {"n_steps": 5, "method": "maxcount"}},
        {},
        {},
    ),
    # Captum draws these from numpy, this project from torch: Inseq is given the same ones.
    ("gradient_shap", {"n_samples": 3, "stdevs": 0.0}, {}, {"uniform": tuple(ALPHAS)}),
    (
        "gradient_shap",
        {"n_samples": 3, "stdevs": 0.0},
        {"multiply_by_inputs": False},
        {"uniform": tuple(ALPHAS)},
    ),
    ("input_x_gradient", {}, {}, {}),
    ("integrated_gradients", {"n_steps": 6}, {}, {}),
    (
        "integrated_gradients",
        {"attribution_args": {"n_steps": 6, "method": "riemann_trapezoid"}},
        {},
        {},
    ),
    (
        "integrated_gradients",
        {"attribution_args": {"n_steps": 6, "method": "riemann_left"}},
        {},
        {},
    ),
    ("integrated_gradients", {"n_steps": 6, "internal_batch_size": 2}, {}, {}),
    ("integrated_gradients", {"n_steps": 6, "return_convergence_delta": True}, {}, {}),
    ("integrated_gradients", {"n_steps": 6, "include_eos_baseline": True}, {}, {}),
    ("integrated_gradients", {"n_steps": 6}, {"multiply_by_inputs": False}, {}),
    ("occlusion", {}, {}, {}),
    ("occlusion", {"include_eos_baseline": True}, {}, {}),
    ("saliency", {}, {}, {}),
    ("saliency", {"abs": False}, {}, {}),
    ("sequential_integrated_gradients", {"n_steps": 6}, {}, {}),
    ("sequential_integrated_gradients", {"n_steps": 6}, {"multiply_by_inputs": False}, {}),
    ("value_zeroing", {}, {}, {"repaired": True}),
]
LAYERS: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ("layer_gradient_x_activation", {}, {}, {}),
    ("layer_integrated_gradients", {"n_steps": 6}, {}, {"repaired": True}),
    (
        "layer_integrated_gradients",
        {"attribution_args": {"n_steps": 6, "method": "riemann_right"}},
        {},
        {"repaired": True},
    ),
    ("layer_deeplift", {}, {}, {"repaired": True}),
]
# T5's blocks give a tuple of which Inseq's methods take the first tensor alone, and fail at the
# mask behind it. Its attention and its feed-forward network are no layers of its own.
WITH_LAYERS = [name for name in ALL if name != "t5"]


def asked(model: str, variant: tuple[Any, ...], **more: Any) -> Job:
    method, keywords, loading, options = variant
    return job(model, method, {**keywords, **more}, loading=loading, **options)


def named(variant: tuple[Any, ...]) -> str:
    method, keywords, loading, _ = variant
    return "-".join([method, *(f"{key}={value}" for key, value in {**keywords, **loading}.items())])


@pytest.mark.parametrize("model", ALL)
@pytest.mark.parametrize("variant", VARIANTS, ids=named)
def test_every_method_gives_inseqs_scores(
    model: str, variant: tuple[Any, ...], assert_equal: Compare
) -> None:
    # The path of a special token that has another baseline differs (test_differences.py), and
    # every other path ends beside it.
    begins = variant[0] == "discretized_integrated_gradients" and model == "llama"
    more = {"skip_special_tokens": True} if begins else {}
    assert_equal(asked(model, variant, **more), tolerance(model, variant[0]))


# A sequence in which both sides have as many tokens is all that Inseq's can do there.
@pytest.mark.parametrize("model", TRANSLATING)
@pytest.mark.parametrize(
    "variant", [each for each in VARIANTS if not each[0].startswith("sequential")], ids=named
)
def test_so_it_does_when_the_target_prefix_counts(
    model: str, variant: tuple[Any, ...], assert_equal: Compare
) -> None:
    assert_equal(asked(model, variant, attribute_target=True), tolerance(model, variant[0]))


@pytest.mark.parametrize("model", WITH_LAYERS)
@pytest.mark.parametrize("variant", LAYERS, ids=named)
def test_every_layer_method_gives_inseqs_scores(
    model: str, variant: tuple[Any, ...], assert_equal: Compare
) -> None:
    method, keywords, _, options = variant
    assert_equal(
        job(model, method, keywords, loading={"target_layer": FIRST_LAYER[model]}, **options),
        tolerance(model, method),
    )


def test_the_input_of_a_layer(assert_equal: Compare) -> None:
    # Other layers get more than one tensor, which is an error in Inseq.
    keywords, loading = {"attribute_to_layer_input": True}, {"target_layer": "model.layers[0].mlp"}
    asked_for = job("llama", "layer_gradient_x_activation", keywords, loading=loading)
    assert_equal(asked_for, tolerance("llama", "layer_gradient_x_activation"))


@pytest.mark.parametrize("model", CAUSAL)
@pytest.mark.parametrize("variant", LAYERS[:1], ids=named)
def test_layer_methods_explain_the_embeddings_by_default(
    model: str, variant: tuple[Any, ...], assert_equal: Compare
) -> None:
    assert_equal(asked(model, variant), tolerance(model, variant[0]))


@pytest.mark.parametrize("model", ALL)
@pytest.mark.parametrize(
    "method", ["saliency", "input_x_gradient", "deeplift", "occlusion", "attention"]
)
def test_in_single_precision_too(model: str, method: str, assert_equal: Compare) -> None:
    assert_equal(job(model, method, dtype="float32"), SINGLE)
