"""Results are labelled arrays, and tables and dictionaries made from them."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
import xarray as xr

import inseq_widget as iw
from inseq_widget.explore.figure import make_figure
from inseq_widget.render import static_html
from inseq_widget.results import FeatureAttributionOutput
from inseq_widget.results.reductions import REDUCTION_NAMES, mean_of_present, share_of_step

PROMPT, FULL = "The nurse said", "The nurse said hello to me"


@pytest.fixture(scope="module")
def causal(tiny: iw.AttributionModel) -> FeatureAttributionOutput:
    return tiny.attribute(PROMPT, FULL, "input_x_gradient", granular=True, show_progress=False)


@pytest.fixture(scope="module")
def translated(tiny_encoder_decoder: iw.AttributionModel) -> FeatureAttributionOutput:
    return tiny_encoder_decoder.attribute(
        ["hello my friend", "the"], ["bom dia amigo", "bom"], show_progress=False
    )


@pytest.fixture(scope="module")
def with_prefix(tiny_encoder_decoder: iw.AttributionModel) -> FeatureAttributionOutput:
    return tiny_encoder_decoder.attribute(
        "hello my friend", "bom dia amigo", attribute_target=True, show_progress=False
    )


def test_scores_are_labelled_with_tokens(causal: FeatureAttributionOutput) -> None:
    scores = causal[0].scores
    assert scores.dims == ("input", "step")
    assert list(scores.coords["input"].to_numpy()) == ["The", "nurse", "said", "hello", "to"]
    assert list(scores.coords["step"].to_numpy()) == ["hello", "to", "me"]
    assert list(scores.coords["input_side"].to_numpy()) == ["prompt"] * 3 + ["target"] * 2
    assert [token.id for token in causal[0].inputs] == scores.coords["input_id"].to_numpy().tolist()
    assert [token.id for token in causal[0].steps] == scores.coords["step_id"].to_numpy().tolist()


def test_a_score_after_the_step_is_missing_and_never_zero(
    causal: FeatureAttributionOutput, with_prefix: FeatureAttributionOutput
) -> None:
    missing = np.isnan(causal[0].scores.to_numpy())
    expected = np.zeros((5, 3), dtype=bool)
    expected[3, 0] = expected[4, 0] = expected[4, 1] = True
    np.testing.assert_array_equal(missing, expected)
    sequence = with_prefix[0]
    n_source = len(sequence.source)
    prefix = np.isnan(sequence.scores.to_numpy()[n_source:])
    np.testing.assert_array_equal(prefix, np.tril(np.ones_like(prefix), k=-1))


def test_inseqs_names_are_tensors_of_its_shapes(
    causal: FeatureAttributionOutput,
    translated: FeatureAttributionOutput,
    with_prefix: FeatureAttributionOutput,
) -> None:
    sequence = causal[0]
    assert sequence.source_attributions is None
    target = sequence.target_attributions
    assert isinstance(target, torch.Tensor)
    assert target.shape == (len(sequence.target), 3, 32)
    assert torch.isnan(target[-1]).all()
    np.testing.assert_array_equal(target[:-1], sequence.raw_scores)
    source = translated[0].source_attributions
    assert isinstance(source, torch.Tensor)
    np.testing.assert_array_equal(source, translated[0].raw_scores)
    np.testing.assert_allclose(source.norm(dim=-1), translated[0].scores, rtol=1e-6)
    assert translated[0].target_attributions is None
    both = with_prefix[0]
    assert both.source_attributions.shape == (len(both.source), len(both.steps), 32)
    assert both.target_attributions.shape == (len(both.target), len(both.steps), 32)


@pytest.mark.parametrize("reduction", REDUCTION_NAMES)
def test_every_reduction_follows_its_definition(
    causal: FeatureAttributionOutput, reduction: str
) -> None:
    raw = causal[0].raw_scores.to_numpy()
    by_definition = {
        "norm": lambda x: np.sqrt((x**2).sum(-1)),
        "sum": lambda x: x.sum(-1),
        "mean": lambda x: x.mean(-1),
        "max": lambda x: x.max(-1),
        "min": lambda x: x.min(-1),
        "prod": lambda x: x.prod(-1),
        "absmax": lambda x: np.take_along_axis(
            x, np.abs(np.nan_to_num(x)).argmax(-1)[..., None], -1
        )[..., 0],
    }
    np.testing.assert_allclose(
        causal[0].reduce(reduction), by_definition[reduction](raw), rtol=1e-5, atol=1e-12
    )


def test_a_reduction_that_needs_dropped_features_says_so(
    tiny_encoder_decoder: iw.AttributionModel,
) -> None:
    translated = tiny_encoder_decoder.attribute(
        "hello my friend", "bom dia amigo", granular=False, show_progress=False
    )
    np.testing.assert_array_equal(translated[0].source_attributions, translated[0].scores)
    np.testing.assert_allclose(
        translated[0].reduce("mean"), translated[0].reduce("sum") / 32, rtol=1e-6
    )
    with pytest.raises(ValueError, match=r"reduction: 'absmax' needs .* granular=True"):
        translated[0].reduce("absmax")
    with pytest.raises(ValueError, match=r"reduction: 'median' is not known"):
        translated[0].reduce("median")
    with pytest.raises(ValueError, match=r"raw_scores: .* granular=True"):
        _ = translated[0].raw_scores


def test_shares_of_a_step_sum_to_one_and_survive_zeros(causal: FeatureAttributionOutput) -> None:
    shares = share_of_step(causal[0].scores)
    np.testing.assert_allclose(np.abs(shares).sum("input"), 1.0, rtol=1e-6)
    assert (share_of_step(causal[0].scores * 0).fillna(0) == 0).all()


def test_scores_dicts_hold_the_norm_as_shares(translated: FeatureAttributionOutput) -> None:
    for sequence, named in zip(translated, translated.get_scores_dicts(), strict=True):
        assert set(named) == {"source_attributions", "target_attributions", "step_scores"}
        norms = sequence.reduce("norm").to_numpy()
        expected = norms / norms.sum(0)
        for column, step in enumerate(sequence.steps):
            row = named["source_attributions"][step.position, step.piece]
            assert list(row) == [(t.position, t.piece) for t in sequence.inputs]
            np.testing.assert_allclose(list(row.values()), expected[:, column], rtol=1e-6)
            assert named["target_attributions"][step.position, step.piece] == {}
            assert named["step_scores"][step.position, step.piece] == pytest.approx(
                {"probability": float(sequence.step_scores["probability"][column])}
            )


def test_scores_dicts_without_aggregation_hold_the_scores(causal: FeatureAttributionOutput) -> None:
    (named,) = causal.get_scores_dicts(do_aggregation=False)
    first = causal[0].steps[0]
    row = named["target_attributions"][first.position, first.piece]
    np.testing.assert_allclose(list(row.values()), causal[0].scores.to_numpy()[:3, 0])


def test_the_table_has_a_row_for_each_input_of_each_step(
    causal: FeatureAttributionOutput, translated: FeatureAttributionOutput
) -> None:
    frame = causal.to_dataframe()
    scores = causal[0].scores.to_numpy()
    assert len(frame) == np.count_nonzero(~np.isnan(scores)) == 12
    for row in frame.itertuples():
        column = row.step_position - causal[0].attr_pos_start
        assert row.score == pytest.approx(scores[row.input_position, column])
    for _, step in frame.groupby("step_position"):
        assert step["share"].abs().sum() == pytest.approx(1, rel=1e-5)
        ranked = step.sort_values("rank")
        assert ranked["rank"].tolist() == list(range(1, len(step) + 1))
        assert ranked["score"].abs().is_monotonic_decreasing
    both = translated.to_dataframe()
    assert both["sequence"].unique().tolist() == [0, 1]
    assert "probability" in both


def test_outputs_index_and_slice_by_sequence(translated: FeatureAttributionOutput) -> None:
    assert len(translated) == 2
    assert [token.text for token in translated[1].source] == ["the"]
    assert list(translated[1:]) == [translated[1]]
    assert translated[:1].live_model is translated.live_model


def test_a_slice_lists_its_own_texts_alone(translated: FeatureAttributionOutput) -> None:
    texts = translated.info["input_texts"]
    assert len(texts) == 2
    assert translated[1:].info["input_texts"] == texts[1:]
    assert (translated[:1] + translated[1:]).info["input_texts"] == texts
    translated[:1].info["input_texts"].append("more")
    assert translated.info["input_texts"] == texts
    assert "more" not in texts


def test_a_table_of_no_texts_is_empty(translated: FeatureAttributionOutput) -> None:
    assert list(translated[2:].to_dataframe()["sequence"]) == []


def test_a_copy_asks_the_same_model_and_a_pickle_none(causal: FeatureAttributionOutput) -> None:
    deep, flat = copy.deepcopy(causal), copy.copy(causal)
    assert deep.live_model is deep[0].live_model is causal.live_model is flat.live_model
    before = causal[0].scores.copy()
    deep.weight_attributions("probability")
    xr.testing.assert_identical(causal[0].scores, before)
    again = pickle.loads(pickle.dumps(causal))
    assert again.live_model is again[0].live_model is None
    xr.testing.assert_identical(again[0].scores, before)


@pytest.fixture(scope="module", params=[False, True])
def layered(request: pytest.FixtureRequest, tiny: iw.AttributionModel) -> FeatureAttributionOutput:
    return tiny.attribute(
        PROMPT,
        FULL,
        "layer_gradient_x_activation",
        target_layer="all",
        granular=request.param,
        show_progress=False,
    )


def test_layers_are_kept_or_averaged(layered: FeatureAttributionOutput) -> None:
    (sequence,) = layered
    for reduction in ("norm", "sum", "mean"):
        by_layer = sequence.reduce(reduction, keep=["layer"])
        assert by_layer.dims == ("input", "step", "layer")
        assert by_layer.layer.to_numpy().tolist() == ["0", "1"]
        averaged = sequence.reduce(reduction)
        assert averaged.dims == ("input", "step")
        np.testing.assert_allclose(averaged, by_layer.mean("layer", skipna=False), rtol=1e-5)
    tensor = sequence.target_attributions
    if "raw" in sequence.kept:
        assert sequence.raw_scores.dims == ("input", "step", "layer", "feature")
        assert tensor.shape == (len(sequence.target), 3, 2, 32)
    else:
        assert tensor.shape == (len(sequence.target), 3, 2)
        np.testing.assert_array_equal(tensor[:-1], sequence.reduce("sum", keep=["layer"]))


def test_scores_of_several_layers_can_be_shown_and_tabulated(
    layered: FeatureAttributionOutput,
) -> None:
    (sequence,) = layered
    np.testing.assert_allclose(make_figure(layered).matrix(0), sequence.scores, rtol=1e-6)
    assert "nurse" in static_html(layered)
    assert len(sequence.to_dataframe()) == 12
    (named,) = layered.get_scores_dicts()
    norms = sequence.reduce("norm").to_numpy()[:3, 0]
    first = sequence.steps[0]
    row = named["target_attributions"][first.position, first.piece]
    np.testing.assert_allclose(list(row.values()), norms / norms.sum(), rtol=1e-5)


def test_a_layer_without_a_score_does_not_count_in_the_mean() -> None:
    scores = xr.DataArray(
        [[[1.0, np.nan]], [[2.0, 4.0]], [[np.nan, np.nan]]], dims=("input", "step", "layer")
    )
    np.testing.assert_array_equal(mean_of_present(scores, ["layer"])[:, 0], [1.0, 3.0, np.nan])
