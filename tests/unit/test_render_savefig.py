"""Pictures for a paper: vectors, real text, the right numbers, and the same file every time."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
import zlib
from itertools import pairwise
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from PIL import Image

from inseq_widget.render.colours import table
from inseq_widget.render.fonts import families_for
from inseq_widget.render.plot import heatmap_figure
from inseq_widget.render.sheet import WIDTHS
from inseq_widget.render.view import Look
from inseq_widget.results import FeatureAttributionOutput
from tests.unit.layered import with_features
from tests.unit.outputs import batch, causal, encoder_decoder, evil, large
from tests.unit.test_render_show import shares_of

SVG = "{http://www.w3.org/2000/svg}"


def mesh_of(figure: Figure) -> QuadMesh:
    return figure.axes[0].collections[0]


def drawn(figure: Figure) -> np.ndarray:
    mesh = mesh_of(figure)
    rows = round(abs(np.diff(figure.axes[0].get_ylim())[0]))
    return mesh.get_array().reshape(rows, -1).filled(np.nan)


def svg_texts(path: Path) -> list[str]:
    return ["".join(text.itertext()) for text in ElementTree.parse(path).iter(f"{SVG}text")]


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("make", [causal, encoder_decoder])
def test_the_cells_are_the_shares_on_the_colours_of_the_live_heatmap(make, signed: bool) -> None:
    output = make(signed=signed)
    figure = heatmap_figure(output)
    np.testing.assert_allclose(drawn(figure), shares_of(output), rtol=1e-5)
    mesh = mesh_of(figure)
    low, high = mesh.norm.vmin, mesh.norm.vmax
    assert low == (-high if signed else 0.0)
    ends = [matplotlib.colors.to_hex(mesh.cmap(place)) for place in (0.0, 1.0)]
    colours = table(signed, "light")
    assert ends == [colours[0], colours[-1]]
    assert mesh.cmap(np.ma.masked)[3] == 0
    assert figure.axes[0].patch.get_hatch()


def test_ends_size_and_raw_scores_are_those_that_are_asked_for() -> None:
    output = causal()
    clipped = heatmap_figure(output, Look(min_val=0.1, max_val=0.2))
    assert (mesh_of(clipped).norm.vmin, mesh_of(clipped).norm.vmax) == (0.1, 0.2)
    np.testing.assert_allclose(drawn(clipped), np.clip(shares_of(output), 0.1, 0.2), rtol=1e-5)
    raw = heatmap_figure(output, Look(shares=False))
    np.testing.assert_allclose(drawn(raw), output[0].scores.to_numpy(), rtol=1e-6)
    assert any("Score (gradient norm)" in text.get_text() for text in raw.texts)
    small = heatmap_figure(large(8, 6), Look(max_show_size=4))
    assert drawn(small).shape == (4, 4)
    assert any("9 inputs hidden" in text.get_text() for text in small.texts)


def test_an_svg_has_its_tokens_as_text_and_its_cells_as_vectors(tmp_path: Path) -> None:
    output = causal(("a$x$", " nurse"), ("<b>&", " she"))
    path = tmp_path / "picture.svg"
    output.savefig(path, title="A title")
    texts = svg_texts(path)
    for label in ("a$x$", "nurse", "<b>&", "she", "A title"):
        assert label in texts
    svg = path.read_text(encoding="utf-8")
    assert "<image" not in svg
    assert "<dc:date>" not in svg
    colours = {fill.lower() for fill in re.findall(r"fill: (#\w{6})", svg)}
    assert table(False, "light")[-1] in colours


def test_a_pdf_has_its_fonts_embedded_as_outlines_and_no_picture(tmp_path: Path) -> None:
    path = tmp_path / "picture.pdf"
    causal().savefig(path)
    pdf = path.read_bytes()
    objects = b"".join(_streams(pdf)) + pdf
    assert b"/FontFile2" in objects
    assert b"/Type3" not in objects
    assert b"/Subtype /Image" not in objects
    assert b"/CreationDate" not in objects


def _streams(pdf: bytes) -> list[bytes]:
    found = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)
    return [zlib.decompress(each) for each in found if each[:1] == b"x"]


@pytest.mark.parametrize("format", ["svg", "pdf", "png"])
def test_the_same_result_is_the_same_file(format: str, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.{format}" for number in range(2)]
    for path in paths:
        encoder_decoder(signed=True).savefig(path, step_scores=["probability"])
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize(("width", "inches"), [("single", 3.3), ("double", 6.9), (4.5, 4.5)])
def test_the_width_is_that_of_the_paper(width, inches: float, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    causal().savefig(path, width=width, dpi=100)
    with Image.open(path) as image:
        assert image.width == round(inches * 100)
        assert image.format == "PNG"


def test_by_default_many_steps_take_both_columns() -> None:
    few, many = heatmap_figure(large(5, 24)), heatmap_figure(large(5, 25))
    assert [few.get_figwidth(), many.get_figwidth()] == [WIDTHS["single"], WIDTHS["double"]]


def test_the_format_is_the_ending_or_what_is_said(tmp_path: Path) -> None:
    named, other = tmp_path / "picture.SVG", tmp_path / "picture.dat"
    causal().savefig(named)
    causal()[0].savefig(other, format="svg")
    assert named.read_bytes() == other.read_bytes()
    for path, arguments in (
        (tmp_path / "picture.jpg", {}),
        (tmp_path / "picture", {}),
        (tmp_path / "picture.svg", {"format": "gif"}),
    ):
        with pytest.raises(ValueError, match=r"(path|format): .*svg, pdf, png"):
            causal().savefig(path, **arguments)
        assert not path.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": "triple"}, "width: 'triple' given; choose 'single'"),
        ({"width": 0.5}, "width: 0.5"),
        ({"width": 0}, "width: 0 given"),
        ({"font": "No Such Font"}, "font: 'No Such Font' is not installed"),
        ({"font_size": 1}, "font_size: 1"),
        ({"step_scores": ["entropy"]}, "step_scores: 'entropy' given, but this result has prob"),
        ({"step_scores": "probability"}, r"step_scores: .*\['probability'\]"),
        ({"reduction": "median"}, "reduction: 'median' is not known"),
        ({"reduction": "max"}, "reduction: 'max' needs"),
        ({"max_val": -1.0}, "min_val, max_val: "),
        ({"aggregator": "scores", "do_aggregation": False}, "aggregator, do_aggregation: "),
    ],
)
def test_what_cannot_be_drawn_is_refused(arguments, message: str, tmp_path: Path) -> None:
    path = tmp_path / "picture.svg"
    with pytest.raises(ValueError, match=message):
        causal().savefig(path, **arguments)
    assert not path.exists()


def test_a_result_without_texts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="output: it has no attributed text"):
        causal()[0:0].savefig(tmp_path / "picture.svg")


def test_the_title_is_the_method_or_what_is_said_or_nothing() -> None:
    titles = [
        [text.get_text() for text in heatmap_figure(causal(), title=title).texts]
        for title in (None, "Mine", "")
    ]
    assert "saliency of probability, demo:model" in titles[0]
    assert "Mine" in titles[1]
    assert "saliency of probability, demo:model" not in [*titles[1], *titles[2]]


def test_the_colour_bar_names_the_score() -> None:
    texts = " ".join(text.get_text() for text in heatmap_figure(causal(), width=3.0).texts)
    assert "Share of the step’s total (gradient norm)" in texts
    assert "comes after the step" in texts
    complete = heatmap_figure(encoder_decoder(with_prefix=False))
    assert "comes after" not in " ".join(text.get_text() for text in complete.texts)


def test_step_scores_are_bars() -> None:
    output = causal()
    figure = heatmap_figure(output, step_scores=["probability"])
    (bars,) = [axes for axes in figure.axes if len(axes.patches) == 4 and axes.containers]
    heights = [patch.get_height() for patch in bars.patches]
    np.testing.assert_allclose(heights, output[0].step_scores["probability"].numpy(), rtol=1e-6)
    matrix = figure.axes[0]
    assert bars.get_position().x0 == matrix.get_position().x0
    assert bars.get_position().x1 == matrix.get_position().x1
    assert "probability" in [text.get_text() for text in figure.texts]


def test_another_reduction_has_its_numbers_and_its_sign(tmp_path: Path) -> None:
    from inseq_widget.render.heatmaps import reduced_by

    output = with_features()
    summed = reduced_by(output, "sum")
    expected = output[0].raw_scores.to_numpy().sum(2)
    expected /= np.nansum(np.abs(expected), axis=0)
    np.testing.assert_allclose(drawn(heatmap_figure(summed)), expected, rtol=1e-5)
    norm = mesh_of(heatmap_figure(summed)).norm
    assert norm.vmin == -norm.vmax
    assert output[0].reduction == "norm"
    path, other = tmp_path / "one.svg", tmp_path / "other.svg"
    output.savefig(path, reduction="sum")
    summed.savefig(other)
    assert path.read_bytes() == other.read_bytes()


def test_an_aggregator_comes_first(tmp_path: Path) -> None:
    output = causal(("The", " nur", "se"), (" said", " so"))
    one, other = tmp_path / "one.svg", tmp_path / "other.svg"
    arguments = {"aggregator": ["scores", "spans"], "target_spans": [(1, 3)]}
    output.savefig(one, **arguments)
    output.aggregate(**arguments).savefig(other)
    assert "nurse" in svg_texts(one)
    assert one.read_bytes() == other.read_bytes()


def words(n_inputs: int, n_steps: int) -> FeatureAttributionOutput:
    text = ("because", "the", "nurses", "would", "not", "be", "able", "to", "come", "before")
    all_words = [f" {text[place % len(text)]}" for place in range(n_inputs + 1)]
    return causal(all_words[: n_inputs - n_steps + 1], all_words[n_inputs - n_steps + 1 :])


@pytest.mark.parametrize(
    ("shape", "width"), [((60, 40), "double"), ((6, 4), "single"), ((30, 20), "single")]
)
def test_labels_are_legible_apart_and_on_the_paper(shape, width: str) -> None:
    figure = heatmap_figure(words(*shape), width=width, step_scores=["probability"])
    renderer = FigureCanvasAgg(figure).get_renderer()
    assert figure.get_figheight() <= 9.5
    axes = figure.axes[0]
    page = figure.bbox
    for labels, across in ((axes.get_xticklabels(), True), (axes.get_yticklabels(), False)):
        boxes = [label.get_window_extent(renderer) for label in labels]
        assert len(boxes) == shape[0] or len(boxes) == shape[1]
        assert min(label.get_fontsize() for label in labels) >= 5
        for box in boxes:
            assert page.x0 - 0.5 <= box.x0
            assert box.x1 <= page.x1 + 0.5
            assert page.y0 - 0.5 <= box.y0
            assert box.y1 <= page.y1 + 0.5
        starts = [(box.x0, box.x1) if across else (-box.y1, -box.y0) for box in boxes]
        for (_, end), (start, _) in pairwise(starts):
            assert end <= start + 1.0


def test_labels_that_have_no_place_are_left_out_at_even_distances() -> None:
    figure = heatmap_figure(large(100, 99), width="single")
    ticks = figure.axes[0].get_xticks()
    steps = np.diff(ticks)
    assert len(ticks) < 99
    assert set(steps) == {steps[0]}
    assert figure.get_figheight() <= 11


def test_a_huge_matrix_is_a_picture_of_its_cells(tmp_path: Path) -> None:
    output = large(151, 150)
    figure = heatmap_figure(output)
    (image,) = figure.axes[0].images
    assert image.get_interpolation() == "none"
    seen = np.minimum(shares_of(output), image.norm.vmax)
    np.testing.assert_allclose(image.get_array().filled(np.nan), seen, rtol=1e-5)
    path = tmp_path / "picture.pdf"
    output.savefig(path)
    assert path.stat().st_size < 400_000


def test_every_text_has_its_heatmap() -> None:
    figure = heatmap_figure(batch(causal(), encoder_decoder()))
    headings = [text.get_text() for text in figure.texts if text.get_text().startswith("Text ")]
    assert headings == ["Text 1 of 2: The nurse said", "Text 2 of 2: The nurse slept."]


def test_source_and_prefix_are_parted() -> None:
    lines = heatmap_figure(encoder_decoder()).axes[0].lines
    assert [line.get_ydata()[0] for line in lines] == [5]
    assert not heatmap_figure(causal()).axes[0].lines


def test_the_users_settings_neither_matter_nor_change(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.svg" for number in range(2)]
    causal().savefig(paths[0])
    with matplotlib.rc_context({"font.size": 30, "axes.grid": True, "savefig.bbox": "tight"}):
        before = dict(matplotlib.rcParams)
        causal().savefig(paths[1])
        assert dict(matplotlib.rcParams) == before
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_letters_that_a_font_lacks_come_from_another() -> None:
    assert families_for(["plain"]) == ["DejaVu Sans"]
    # Computer Modern, which comes with matplotlib, has no Hebrew letters; DejaVu has.
    assert families_for(["שלום"], "cmr10") == ["cmr10", "DejaVu Sans"]
    assert families_for(["plain"], "cmr10") == ["cmr10"]
    with pytest.raises(ValueError, match=r"font: 'DejaVu Sanz' .*DejaVu Sans"):
        families_for(["plain"], "DejaVu Sanz")


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("format", ["svg", "pdf", "png"])
def test_hostile_tokens_are_drawn_as_text(format: str, tmp_path: Path) -> None:
    path = tmp_path / f"picture.{format}"
    evil(signed=True).savefig(path)
    if format == "svg":
        elements = {element.tag for element in ElementTree.parse(path).iter()}
        assert f"{SVG}script" not in elements
        assert f"{SVG}image" not in elements
        assert "</script><!--" in svg_texts(path)
    assert path.stat().st_size > 0
