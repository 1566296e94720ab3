"""Layers, heads and features side by side: the right numbers, one scale, and what is hidden."""

from __future__ import annotations

import re

import numpy as np
import pytest
from matplotlib.figure import Figure

from inseq_widget.render.granular import MOST_SLICES, Granular, Panels
from inseq_widget.render.view import Look
from inseq_widget.results import FeatureAttributionOutput
from tests.unit.layered import with_features, with_layers
from tests.unit.outputs import batch, causal
from tests.unit.test_render_html import Page
from tests.unit.test_render_show import printed

LOOK = Look()


def panels_of(output: FeatureAttributionOutput, look: Look = LOOK, **choice: object) -> Panels:
    (panels,) = Granular(output, look, **choice).panels
    return panels


@pytest.mark.parametrize(
    ("choice", "dim", "expected"),
    [
        ({}, "layer", lambda raw: raw.mean(3)),
        ({"show_dim": "layer"}, "layer", lambda raw: raw.mean(3)),
        ({"show_dim": "Model Layer"}, "layer", lambda raw: raw.mean(3)),
        ({"show_dim": 2}, "layer", lambda raw: raw.mean(3)),
        ({"show_dim": "head"}, "head", lambda raw: raw.mean(2)),
        ({"show_dim": "Attention Head"}, "head", lambda raw: raw.mean(2)),
        ({"show_dim": 3}, "head", lambda raw: raw.mean(2)),
        ({"slice_dims": {"layer": 1}}, "head", lambda raw: raw[:, :, 1]),
        ({"slice_dims": {2: -1}}, "head", lambda raw: raw[:, :, -1]),
        ({"slice_dims": {"Model Layer": (1, 3)}}, "layer", lambda raw: raw[:, :, 1:3].mean(3)),
        (
            {"slice_dims": {"layer": (1, 3), "head": 0}, "show_dim": "layer"},
            "layer",
            lambda raw: raw[:, :, 1:3, 0],
        ),
    ],
)
def test_each_picture_has_the_scores_of_its_slice(choice, dim: str, expected) -> None:
    output = with_layers(signed=True)
    panels = panels_of(output, **choice)
    values = expected(output[0].raw_scores.to_numpy())
    assert panels.dim == dim
    assert len(panels.slices) == values.shape[2]
    for number, each in enumerate(panels.slices):
        np.testing.assert_allclose(each.view.values, values[:, :, number], rtol=1e-12)
        part = np.nansum(np.abs(values[:, :, number])) / np.nansum(np.abs(values))
        assert each.part == pytest.approx(part)


@pytest.mark.parametrize("dim", ["feature", "Embedding Dimension", 2])
def test_features_have_their_sign(dim) -> None:
    output = with_features()
    panels = panels_of(output, show_dim=dim)
    raw = output[0].raw_scores.to_numpy()
    for number, each in enumerate(panels.slices):
        np.testing.assert_allclose(each.view.values, raw[:, :, number])
        assert each.view.scale.signed
    assert [each.name for each in panels.slices] == [f"feature {n}" for n in range(4)]


def test_all_pictures_have_one_scale_and_it_can_be_clipped() -> None:
    output = with_layers()
    panels = panels_of(output)
    values = output[0].raw_scores.to_numpy().mean(3)
    assert {each.view.scale for each in panels.slices} == {panels.slices[0].view.scale}
    assert panels.slices[0].view.scale.high == pytest.approx(np.nanmax(values))
    clipped = panels_of(output, Look(min_val=0.5, max_val=1.5)).slices[0].view.scale
    assert (clipped.low, clipped.high) == (0.5, 1.5)
    html = output.show_granular(0.5, 1.5, display=False, return_html=True)
    assert "≤ 0.5" in html
    assert "≥ 1.5" in html


def test_the_strongest_are_shown_and_the_rest_is_counted() -> None:
    output = with_layers(n_layers=5)
    panels = panels_of(output, Look(max_show_size=2))
    values = output[0].raw_scores.to_numpy().mean(3)
    totals = np.nansum(np.abs(values), axis=(0, 1))
    strongest = sorted(np.argsort(-totals)[:2])
    assert [each.name for each in panels.slices] == [f"layer {number}" for number in strongest]
    assert panels.strongest.name == f"layer {totals.argmax()}"
    assert panels.slices[0].view.values.shape == (2, 2)
    note = "3 layers hidden, 2 with the largest scores shown."
    assert note in output.show_granular(max_show_size=2, display=False, return_html=True)
    assert note in printed(Granular(output, Look(max_show_size=2)))
    assert panels_of(output).left_out is None


def test_of_hundreds_of_features_as_many_are_shown_as_can_be_told_apart() -> None:
    panels = panels_of(with_features(n_features=100))
    assert len(panels.slices) == MOST_SLICES
    assert panels.hidden == 100 - MOST_SLICES


def test_every_picture_says_what_it_is_and_opens_into_its_labels() -> None:
    output = with_layers()
    page = Page(output.show_granular(display=False, return_html=True))
    thumbnails = page.all("img")[::2]
    assert len(page.all("img")) == 2 * len(thumbnails) == 6
    values = output[0].raw_scores.to_numpy().mean(3)
    for number, image in enumerate(thumbnails):
        largest = f"{np.nanmax(values[:, :, number]):.3g}"
        assert f"Heatmap of layer {number}, " in image["alt"]
        assert f"largest score {largest} " in image["alt"]
    html = output.show_granular(display=False, return_html=True)
    assert html.count("<br>".join(token.text.strip() for token in output[0].inputs)) == 3
    assert "<script" not in html


def test_the_html_has_the_numbers_of_every_layer() -> None:
    html = with_layers().show_granular(display=False, return_html=True)
    table = html.split("Every layer in numbers")[1]
    assert re.findall(r"<th scope=row>(layer \d)<td>[\d.]+ %<td>", table) == [
        "layer 0",
        "layer 1",
        "layer 2",
    ]


def test_a_terminal_gets_a_table_and_the_strongest() -> None:
    output = with_layers()
    text = printed(Granular(output, LOOK))
    parts = [float(part) for part in re.findall(r"^layer \d +([\d.]+) %", text, re.MULTILINE)]
    assert len(parts) == 3
    assert sum(parts) == pytest.approx(100, abs=0.2)
    assert f"Strongest: layer {int(np.argmax(parts))}" in text
    assert "score" in text.split("Cells: ")[1]


def test_scores_without_more_dimensions_are_one_picture() -> None:
    output = causal()
    panels = panels_of(output)
    assert panels.dim is None
    np.testing.assert_allclose(panels.slices[0].view.values, output[0].scores.to_numpy())
    assert "Strongest" not in printed(Granular(output, LOOK))
    assert len(Page(output.show_granular(display=False, return_html=True)).all("img")) == 2


def test_every_text_has_its_pictures() -> None:
    output = batch(with_layers(), with_layers(seed=1))
    html = output.show_granular(display=False, return_html=True)
    assert "Text 2 of 2" in html
    assert "Text 2 of 2" in printed(Granular(output, LOOK))
    figure = output.show_granular(display=False, return_figure=True)
    assert isinstance(figure, Figure)
    empty = output[0:0]
    assert "No text was attributed." in empty.show_granular(display=False, return_html=True)
    with pytest.raises(ValueError, match="output: "):
        empty.show_granular(display=False, return_figure=True)


def test_the_figure_has_every_slice_and_its_numbers() -> None:
    output = with_layers()
    figure = output.show_granular(display=False, return_figure=True)
    meshes = [axes.collections[0] for axes in figure.axes if axes.collections]
    values = output[0].raw_scores.to_numpy().mean(3)
    for number, mesh in enumerate(meshes[:3]):
        drawn = mesh.get_array().reshape(values.shape[:2])
        np.testing.assert_allclose(drawn.filled(np.nan), values[:, :, number])
    texts = [text.get_text() for text in figure.texts]
    assert [text.split(" · ")[0] for text in texts if text.startswith("layer")] == [
        "layer 0",
        "layer 1",
        "layer 2",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"show_dim": "depth"}, "show_dim: 'depth' given; choose 'layer' or 2, 'head' or 3."),
        ({"show_dim": 1}, "show_dim: 1 given; choose 'layer' or 2"),
        ({"show_dim": 4}, "show_dim: 4 given"),
        ({"show_dim": "feature"}, "show_dim: 'feature' given"),
        ({"slice_dims": {"depth": 0}}, "slice_dims: 'depth' given; choose"),
        ({"slice_dims": {"layer": 3}}, "slice_dims: 'layer' has 3 places; 3 is none"),
        ({"slice_dims": {"layer": (2, 2)}}, r"slice_dims: \(2, 2\) given for 'layer'"),
        ({"slice_dims": {"layer": (0, 4)}}, r"0 <= start < end <= 3"),
        ({"slice_dims": {"layer": 0}, "show_dim": "layer"}, "show_dim: 'layer' given; choose 'hea"),
        ({"max_show_size": -1}, "max_show_size: -1"),
    ],
)
def test_what_the_scores_do_not_have_is_refused(arguments, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        with_layers().show_granular(display=False, **arguments)


def test_a_result_without_layers_says_what_would_have_them() -> None:
    with pytest.raises(ValueError, match="granular=True"):
        causal().show_granular(show_dim="layer", display=False)


def test_a_pick_leaves_the_result_as_it_is_and_is_noted() -> None:
    from inseq_widget.render.slices import sliced

    output = with_layers()
    before = output[0].raw_scores.copy()
    picked = sliced(output, {"layer": (0, 2)})
    assert picked.live_model is None
    assert picked.info["aggregation"] == ["picked layer 0 to 1"]
    assert output.info["aggregation"] == []
    picked[0].kept["raw"][:] = 0
    assert output[0].raw_scores.equals(before)
    assert sliced(output, None) is output


@pytest.mark.parametrize(
    ("label", "arguments", "expected"),
    [
        ("weight, mean over layers and heads", {}, "weight, mean over heads"),
        ("weight, mean over layers and heads", {"show_dim": "head"}, "weight, mean over layers"),
        ("weight, mean over layers and heads", {"slice_dims": {"layer": 1}}, "weight; layer 1"),
        ("weight", {"slice_dims": {"head": (0, 1)}}, "weight; head 0, mean over heads"),
    ],
)
def test_the_label_says_what_is_still_reduced(label: str, arguments, expected: str) -> None:
    output = with_layers()
    for info in (output.info, output[0].info):
        info["score_label"] = label
    html = output.show_granular(display=False, return_html=True, **arguments)
    assert f" {expected}: 0 " in html


def test_the_label_names_another_reduction() -> None:
    from inseq_widget.render.heatmaps import reduced_by

    for output, expected in (
        (with_features(), "gradient, sum over features"),
        (with_layers(), "gradient, sum over layers and heads"),
    ):
        output[0].info["score_label"] = "gradient, norm over features"
        reduced = reduced_by(output, "sum")
        assert reduced.info["score_label"] == reduced[0].info["score_label"] == expected
