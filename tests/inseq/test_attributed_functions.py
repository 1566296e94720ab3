"""Every method explains every step function as Inseq does.

Inseq's contrastive functions fail under methods that run a text several times at once, and some of
its formulas differ from the definition. There its methods explain the definition: a plain formula
of the same logits, with the contrastive side as constants (`tests/peer/functions.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.inseq.conftest import Load
from tests.inseq.contrasts import contrast_named, other_side
from tests.inseq.texts import FIRST_LAYER, job
from tests.inseq.tolerances import tolerance
from tests.peer.job import Job

Compare = Callable[..., None]
MODELS = ["gpt2", "bart"]
ALPHAS = torch.rand(2, generator=torch.Generator().manual_seed(0), dtype=torch.float64).tolist()

# lime and reagent sample at random, and not as Inseq's do: tests/parity/test_surrogate.py and
# test_reagent.py have their definitions. attention and value_zeroing explain no function.
METHODS: dict[str, dict[str, Any]] = {
    "saliency": {},
    "input_x_gradient": {},
    "integrated_gradients": {"keywords": {"n_steps": 3}},
    "sequential_integrated_gradients": {"keywords": {"n_steps": 3}},
    "discretized_integrated_gradients": {"keywords": {"n_steps": 4}},
    "deeplift": {},
    "gradient_shap": {"keywords": {"n_samples": 2}, "uniform": tuple(ALPHAS)},
    "occlusion": {},
    "layer_gradient_x_activation": {"layered": True},
    "layer_integrated_gradients": {"keywords": {"n_steps": 3}, "layered": True, "repaired": True},
    "layer_deeplift": {"layered": True, "repaired": True},
}
# Of one run of one text at a time, which is all that Inseq's contrastive functions take.
SINGLE_RUNS = ["saliency", "input_x_gradient", "occlusion", "layer_gradient_x_activation"]

PLAIN = ["logit", "probability", "entropy"]
DEFINED = {"crossentropy": "surprise", "perplexity": "exponential"}
ARRAYS = {"source": "out[0].source_attributions", "target": "out[0].target_attributions"}
# The definition's name, and Inseq's own where that is the same, by this project's name.
CONTRASTIVE = {
    "contrast_logits": "foil_logit",
    "contrast_prob": "foil_probability",
    "contrast_logits_diff": "logit_difference",
    "contrast_prob_diff": "probability_difference",
    "pcxmi": "information",
    "in_context_pvi": "evidence",
}
OTHER_FORMULA = ["pcxmi"]


def asked(model: str, method: str, keywords: dict[str, Any], **sides: Any) -> Job:
    options = dict(METHODS[method])
    layered = options.pop("layered", False)
    loading = {"target_layer": FIRST_LAYER[model]} if layered else {}
    given = {**options.pop("keywords", {}), **keywords}
    return job(model, method, given, loading=loading, **sides, **options)


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", MODELS)
def test_a_function_of_one_input(model: str, method: str, name: str, assert_equal: Compare) -> None:
    assert_equal(asked(model, method, {"attributed_fn": name}), tolerance(model, method, name))


@pytest.mark.parametrize("name", DEFINED)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", MODELS)
def test_a_function_by_its_definition(
    model: str, method: str, name: str, assert_equal: Compare
) -> None:
    own, peer = {"attributed_fn": name}, {"attributed_fn": DEFINED[name]}
    assert_equal(asked(model, method, {}, own=own, peer=peer), tolerance(model, method))


# Inseq's takes a target without its dimension where a text runs once, and fails.
@pytest.mark.parametrize(
    "method", sorted(set(METHODS) - {*SINGLE_RUNS, "layer_integrated_gradients"})
)
@pytest.mark.parametrize("model", MODELS)
def test_the_cross_entropy(model: str, method: str, assert_equal: Compare) -> None:
    keywords = {"attributed_fn": "crossentropy"}
    assert_equal(asked(model, method, keywords), tolerance(model, method))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", MODELS)
def test_the_logarithm_of_a_probability(model: str, method: str, assert_equal: Compare) -> None:
    keywords = {"attributed_fn": "probability", "logprob": True}
    assert_equal(asked(model, method, keywords), tolerance(model, method))


@pytest.mark.parametrize("model", MODELS)
def test_the_size_of_the_nucleus(model: str, assert_equal: Compare) -> None:
    # A count has no gradient; of the methods without one, only occlusion is not random.
    keywords = {"attributed_fn": "top_p_size", "top_p": 0.7}
    assert_equal(asked(model, "occlusion", keywords), tolerance(model, "occlusion"))


@pytest.mark.parametrize("name", sorted(set(CONTRASTIVE) - set(OTHER_FORMULA)))
@pytest.mark.parametrize("method", SINGLE_RUNS)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("contrast", ["equal length", "longer", "pairs"])
def test_a_contrastive_function(
    model: str, method: str, name: str, contrast: str, assert_equal: Compare
) -> None:
    keywords = {"attributed_fn": name, **contrast_named(model, contrast).keywords}
    assert_equal(asked(model, method, keywords, views=ARRAYS), tolerance(model, method))


@pytest.mark.parametrize("name", CONTRASTIVE)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", MODELS)
def test_a_contrastive_function_by_its_definition(
    model: str,
    method: str,
    name: str,
    folders: dict[str, str],
    models: Load,
    assert_equal: Compare,
) -> None:
    contrast = contrast_named(model, "longer").keywords
    other = other_side(models(folders[model], "float64"), contrast["contrast_targets"])
    own = {"attributed_fn": name, **contrast}
    peer = {"attributed_fn": CONTRASTIVE[name], "foils": other.foils}
    limit = tolerance(model, method)
    assert_equal(asked(model, method, {}, own=own, peer=peer, views=ARRAYS), limit)


@pytest.mark.parametrize("name", ["contrast_logits_diff", "contrast_prob_diff", "in_context_pvi"])
@pytest.mark.parametrize("method", ["saliency", "input_x_gradient", "occlusion"])
@pytest.mark.parametrize("model", MODELS)
def test_the_contrastive_input_forced(
    model: str, method: str, name: str, assert_equal: Compare
) -> None:
    contrast = contrast_named(model, "longer" if model == "gpt2" else "another source").keywords
    keywords = {"attributed_fn": name, "contrast_force_inputs": True, **contrast}
    assert_equal(asked(model, method, keywords, views=ARRAYS), tolerance(model, method))


# What is predicted under an input that is not explained is a constant, so that the rest remains.
# Inseq's layer method takes the layer of the run for that constant, which is the last one.
@pytest.mark.parametrize("name", ["contrast_prob_diff", "in_context_pvi"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", MODELS)
def test_the_contrastive_input_forced_by_its_definition(
    model: str, method: str, name: str, assert_equal: Compare
) -> None:
    contrast = contrast_named(model, "longer").keywords
    own = {"attributed_fn": name, "contrast_force_inputs": True, **contrast}
    peer = {"attributed_fn": "probability" if name == "contrast_prob_diff" else "surprise"}
    limit = tolerance(model, method)
    assert_equal(asked(model, method, {}, own=own, peer=peer, views=ARRAYS), limit)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", MODELS)
def test_a_divergence_by_its_definition(
    model: str, method: str, folders: dict[str, str], models: Load, assert_equal: Compare
) -> None:
    contrast = contrast_named(model, "longer").keywords
    other = other_side(models(folders[model], "float64"), contrast["contrast_targets"])
    own = {"attributed_fn": "kl_divergence", "contrast_force_inputs": True, **contrast}
    peer = {"attributed_fn": "divergence", "others": other.logits}
    limit = tolerance(model, method)
    assert_equal(asked(model, method, {}, own=own, peer=peer, views=ARRAYS), limit)
