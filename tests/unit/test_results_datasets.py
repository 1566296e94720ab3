"""A sequence as one labelled data set, which files hold as it is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import inseq_widget as iw
from tests.unit import outputs


@pytest.fixture(scope="module")
def attended(tiny_encoder_decoder: iw.AttributionModel) -> iw.FeatureAttributionSequenceOutput:
    one = tiny_encoder_decoder.attribute(
        "hello my friend", "bom dia amigo", "attention", attribute_target=True, show_progress=False
    )[0]
    n_source, n_target = len(one.source), len(one.target)
    n_layers, n_heads = one.raw_scores.shape[2:]
    one.sequence_scores = {
        "encoder_self_attentions": torch.rand(n_source, n_source, n_layers, n_heads),
        "decoder_self_attentions": torch.rand(n_target - 1, n_target - 1, n_layers, n_heads),
        "cross": torch.rand(n_source, n_target, 7),
    }
    return one


def test_a_data_set_has_scores_with_coordinates(
    attended: iw.FeatureAttributionSequenceOutput,
) -> None:
    data = attended.to_xarray()
    xr.testing.assert_identical(
        data["scores"].drop_vars(["input_piece", "step_piece"]), attended.scores.rename("scores")
    )
    np.testing.assert_array_equal(data["raw"], attended.raw_scores)
    assert data["raw"].dims == ("input", "step", "layer", "head")
    assert data.coords["input_piece"].to_numpy().tolist() == [t.piece for t in attended.inputs]
    assert data.coords["step_piece"].to_numpy().tolist() == [t.piece for t in attended.steps]
    assert data["probability"].dims == ("step",)
    np.testing.assert_array_equal(data["probability"], attended.step_scores["probability"])


def test_scores_between_tokens_have_their_own_dimensions(
    attended: iw.FeatureAttributionSequenceOutput,
) -> None:
    data = attended.to_xarray()
    within = data["decoder_self_attentions"]
    assert within.dims == (
        "decoder_self_attentions_attended",
        "decoder_self_attentions_attending",
        "layer",
        "head",
    )
    labels = [token.label for token in attended.target[:-1]]
    assert within.coords["decoder_self_attentions_attended"].to_numpy().tolist() == labels
    assert data["cross"].dims == ("cross_attended", "cross_attending", "cross_dimension_2")
    assert data.coords["cross_attended"].to_numpy().tolist() == [t.label for t in attended.source]
    for name, values in attended.sequence_scores.items():
        np.testing.assert_array_equal(data[name], values)


def test_attributes_say_what_produced_it(attended: iw.FeatureAttributionSequenceOutput) -> None:
    attributes = attended.to_xarray().attrs
    assert {type(value) for value in attributes.values()} <= {str, int, float}
    assert attributes["attribution_method"] == "attention"
    assert attributes["attr_pos_start"] == 1
    assert attributes["attribute_target"] == 1
    assert "attributed_fn" not in attributes
    assert json.loads(attributes["versions"]) == attended.info["versions"]
    assert json.loads(attributes["input_texts"]) == ["hello my friend"]


@pytest.mark.parametrize("which", ["attention", "gradient", "difference"])
def test_a_data_set_goes_through_a_netcdf_file(
    which: str,
    attended: iw.FeatureAttributionSequenceOutput,
    tiny: iw.AttributionModel,
    tmp_path: Path,
) -> None:
    one = attended
    if which != "attention":
        one = tiny.attribute("The nurse", "The nurse said 😀 olá", show_progress=False)[0]
    if which == "difference":
        one = one - one
    data = one.to_xarray()
    data.to_netcdf(tmp_path / "out.nc", engine="scipy")
    with xr.open_dataset(tmp_path / "out.nc", engine="scipy") as read:
        assert set(read.data_vars) == set(data.data_vars)
        for name in data.variables:
            np.testing.assert_array_equal(read[name].to_numpy(), data[name].to_numpy())
        assert read.attrs == data.attrs


def test_a_step_score_of_a_taken_name_gets_another(tmp_path: Path) -> None:
    one = outputs.causal()[0]
    one.step_scores = {name: torch.rand(4) for name in ("scores", "norm", "step", "input_id", "x")}
    data = one.to_xarray()
    for name in ("scores", "norm", "step", "input_id"):
        np.testing.assert_array_equal(data[f"step_score_{name}"], one.step_scores[name])
    np.testing.assert_array_equal(data["x"], one.step_scores["x"])
    np.testing.assert_array_equal(data["scores"], one.scores)


def test_an_output_gives_a_data_set_for_each_text() -> None:
    out = outputs.batch(outputs.causal(), outputs.causal(("One",), seed=1))
    for data, sequence in zip(out.to_xarray(), out, strict=True):
        np.testing.assert_array_equal(data["norm"], sequence.scores)
    data = out[0].to_xarray()
    data["norm"][:] = 0
    data["probability"][:] = 0
    assert np.nanmax(out[0].scores) > 0
    assert float(out[0].step_scores["probability"][0]) == pytest.approx(0.9)
