"""Layers are found by number, path and module, and what is no layer is refused with advice."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

import inseq_widget as iw
from inseq_widget import FeatureAttributionOutput

CAUSAL = ("The nurse said", "The nurse said hello to me")
TRANSLATION = ("hello my friend", "bom dia amigo")


def explain(
    model: iw.AttributionModel,
    target_layer: object,
    method: str = "layer_gradient_x_activation",
    **keywords: object,
) -> FeatureAttributionOutput:
    texts = TRANSLATION if model.model.config.is_encoder_decoder else CAUSAL
    return model.attribute(
        *texts, method, target_layer=target_layer, show_progress=False, **keywords
    )


def test_one_layer_has_many_names(tiny: iw.AttributionModel) -> None:
    module = tiny.model.model.layers[1]
    expected = explain(tiny, 1)[0].scores
    for name in (-1, "model.layers.1", "model.layers[1]", module):
        scores = explain(tiny, name)[0].scores
        assert scores.dims == ("input", "step")
        np.testing.assert_array_equal(scores, expected)


def test_several_layers_have_a_dimension_with_their_names(tiny: iw.AttributionModel) -> None:
    chosen = [-1, "model.layers[0].mlp", tiny.model.model.norm]
    by_layer = explain(tiny, chosen)[0].reduce("sum", keep=["layer"])
    assert by_layer.dims == ("input", "step", "layer")
    assert by_layer.layer.to_numpy().tolist() == ["1", "model.layers.0.mlp", "model.norm"]
    for place, layer in enumerate(chosen):
        alone = explain(tiny, layer)[0].scores
        np.testing.assert_allclose(by_layer[:, :, place], alone, rtol=1e-5, atol=1e-12)


def test_layers_of_an_encoder_decoder_model_explain_the_tokens_they_see(
    tiny_encoder_decoder: iw.AttributionModel,
) -> None:
    def sides(target_layer: object, attribute_target: bool) -> set[str]:
        (sequence,) = explain(tiny_encoder_decoder, target_layer, attribute_target=attribute_target)
        return set(sequence.scores.input_side.to_numpy().tolist())

    for anything in (None, "all", 0):
        assert sides(anything, False) == {"source"}
        assert sides(anything, True) == {"source", "target"}
    for either in (False, True):
        assert sides("model.encoder.layers.0", either) == {"source"}
        assert sides("model.decoder.layers.0", either) == {"target"}
        assert sides(["model.encoder.layers.0", "model.decoder.layers.0"], either) == {
            "source",
            "target",
        }


@pytest.mark.parametrize(
    ("target_layer", "says"),
    [
        (2, r"no layer 2; the model has 2 layers, numbered from 0 to 1"),
        (-3, r"no layer -3; the model has 2 layers"),
        ("model.layer.1", r"no module 'model.layer.1'; did you mean .*'model.layers.1'"),
        ("nowhere", r"no module 'nowhere'; its modules begin with model, lm_head"),
        ("", r"no module ''"),
        ([], r"an empty list"),
        (["all", 1], r"'all' stands alone"),
        (nn.Linear(2, 2), r"the Linear given is not a module inside of the model"),
        ("model.layers", r"'model.layers' gives no tensor .* not called by itself"),
        ("lm_head", r"'lm_head' gives a tensor of shape \(2, 1, 49152\)"),
        (["model.layers.0.mlp.up_proj", 0], r"need the same number of features; .* has 64, '0'"),
    ],
)
def test_what_is_no_layer_is_refused_before_any_work(
    tiny: iw.AttributionModel, target_layer: object, says: str
) -> None:
    with pytest.raises(ValueError, match=rf"target_layer: .*{says}"):
        explain(tiny, target_layer)


@pytest.mark.parametrize("target_layer", [True, 1.5, [None], [0, [1]]])
def test_what_names_no_layer_is_a_wrong_type(
    tiny: iw.AttributionModel, target_layer: object
) -> None:
    with pytest.raises(TypeError, match=r"target_layer: .* given; pass the number of a layer"):
        explain(tiny, target_layer)


def test_token_ids_cannot_be_attributed(tiny: iw.AttributionModel) -> None:
    with pytest.raises(ValueError, match=r"takes token ids, which have no gradient"):
        explain(tiny, None, attribute_to_layer_input=True)


def test_an_encoder_decoder_model_says_how_many_layers_each_stack_has(
    tiny_encoder_decoder: iw.AttributionModel,
) -> None:
    with pytest.raises(ValueError, match=r"2 encoder layers and 2 decoder layers"):
        explain(tiny_encoder_decoder, 7)


@pytest.mark.parametrize(
    ("keywords", "says"),
    [
        ({"method": "layer_deeplift", "baseline": "no such token"}, "baseline: .*no such token"),
        ({"method": "layer_integrated_gradients", "n_steps": 0}, "n_steps: 0 given"),
        ({"method": "layer_integrated_gradients", "internal_batch_size": 0}, "internal_batch_size"),
    ],
)
def test_other_keywords_are_checked_too(
    tiny: iw.AttributionModel, keywords: dict[str, object], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        explain(tiny, 0, **keywords)
