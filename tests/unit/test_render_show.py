"""``show`` draws what its arguments ask for, in a terminal, as HTML and as a figure."""

from __future__ import annotations

import io
import re
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure
from rich.cells import cell_len
from rich.console import Console

import inseq_widget as iw
from inseq_widget.explore.figure import make_figure
from inseq_widget.render import functions
from inseq_widget.render.colours import rgb, table
from inseq_widget.render.granular import Granular
from inseq_widget.render.heatmaps import Heatmaps
from inseq_widget.render.picture import Picture
from inseq_widget.render.token_lines import TokenLines
from inseq_widget.render.view import Look, view_of
from inseq_widget.results import FeatureAttributionOutput
from tests.unit.layered import with_layers
from tests.unit.outputs import batch, causal, encoder_decoder, evil, large
from tests.unit.test_render_console import ANSI, matrix_of
from tests.unit.test_render_html import Page

COLOURED_CELL = re.compile(r"\x1b\[38;2;[\d;]+;48;2;(\d+);(\d+);(\d+)m *(−?\d+) \x1b")


def printed(picture: Picture, *, width: int = 80, colours: bool = False, **more: object) -> str:
    target = io.StringIO()
    console = Console(
        file=target,
        width=width,
        force_terminal=colours,
        color_system="truecolor" if colours else None,
        force_jupyter=False,
        highlight=False,
        **more,
    )
    picture.print_to(console)
    return target.getvalue()


def shares_of(output: FeatureAttributionOutput) -> np.ndarray:
    scores = output[0].scores.to_numpy().astype(np.float64)
    return scores / np.nansum(np.abs(scores), axis=0)


def test_the_ends_of_the_scale_clip_the_colours_and_not_the_numbers() -> None:
    output = causal()
    shares = shares_of(output)
    low, high = 0.1, 0.3
    text = printed(Heatmaps(output, Look(min_val=low, max_val=high)), colours=True)
    matrix = text.split("Tokens: ")[1].split("Cells: ")[0]
    cells = [((int(r), int(g), int(b)), n) for r, g, b, n in COLOURED_CELL.findall(matrix)]
    expected = [share for share in shares.ravel() if not np.isnan(share)]
    assert len(cells) == len(expected)
    first, last = (rgb(table(False, "dark")[place]) for place in (0, -1))
    for (fill, number), share in zip(cells, expected, strict=True):
        assert number == f"{round(share * 100)}"
        assert (fill == first) == (share <= low + 0.0004)
        assert (fill == last) == (share >= high - 0.0004)
    assert "≤ 10.0 %" in text
    assert "≥ 30.0 %" in text


def test_a_signed_scale_is_symmetric_in_html_too() -> None:
    page = Page(causal(signed=True).show(max_val=0.2, display=False, return_html=True))
    (legend,) = (text for text in page.texts["p"] if text.startswith("gradient norm"))
    assert "≤ −20.0 %" in legend
    assert "≥ 20.0 %" in legend


def test_without_aggregation_the_scores_are_shown_as_they_are() -> None:
    output = causal(signed=True)
    output[0].kept["sum"][:] = output[0].kept["sum"] / 100
    scores = output[0].scores.to_numpy()
    exponent = int(np.floor(np.log10(np.nanmax(np.abs(scores))))) - 1
    text = printed(Heatmaps(output, Look(shares=False)))
    for token, row in zip(output[0].inputs, scores, strict=True):
        units = ["·" if np.isnan(s) else f"{round(s / 10**exponent)}" for s in row.astype(float)]
        cells = matrix_of(text, token.text.strip())
        assert cells == [cell.replace("-", "−") for cell in units]
    assert "score in 10⁻³ (gradient norm)" in text
    page = output.show(do_aggregation=False, display=False, return_html=True)
    assert "gradient norm, score:" in page


def test_a_limited_matrix_has_the_largest_inputs_and_says_what_is_hidden() -> None:
    output = large(12, 8)
    figure = make_figure(output)
    view = view_of(figure, 0, Look(max_show_size=5))
    shares = shares_of(output)[:, :5]
    strongest = sorted(range(len(shares)), key=lambda row: -np.nansum(np.abs(shares[row])))[:5]
    assert view.rows == sorted(strongest)
    assert view.columns == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(view.values, shares[sorted(strongest)], rtol=1e-6)
    hidden = (
        "14 inputs hidden, 5 with the largest numbers shown; 3 steps hidden, the first 5 shown."
    )
    assert view.left_out == hidden
    limited = Heatmaps(output, Look(max_show_size=5))
    assert hidden in " ".join(printed(limited).split())
    assert hidden in limited.html()
    assert view_of(figure, 0, Look(max_show_size=50)).left_out is None


@pytest.mark.parametrize(
    "arguments",
    [
        {"max_show_size": 0},
        {"min_val": 0.5, "max_val": 0.1},
        {"max_val": float("nan")},
        {"max_val": -1.0},
        {"return_html": True, "return_figure": True},
        {"aggregator": "scores", "do_aggregation": False},
        {"show_dim": "layer"},
        {"slice_dims": {"head": 0}},
    ],
)
def test_bad_arguments_are_refused_before_anything_is_printed(arguments, capsys) -> None:
    with pytest.raises(ValueError, match=rf"{next(iter(arguments))}.*: "):
        causal().show(**arguments)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("show", ["show", "show_granular", "show_tokens"])
@pytest.mark.parametrize("of", [lambda output: output, lambda output: output[0]])
def test_it_prints_returns_or_does_neither(show: str, of, capsys) -> None:
    result = of(with_layers())
    method = getattr(result, show)
    assert method() is None
    assert "saliency of probability" in capsys.readouterr().out
    assert method(display=False) is None
    html = method(display=False, return_html=True)
    assert html.startswith('<div class="inseq-static">')
    figure = method(display=False, return_figure=True)
    assert isinstance(figure, Figure)
    assert capsys.readouterr().out == ""
    assert method(return_html=True) == html
    assert "saliency of probability" in capsys.readouterr().out
    with pytest.raises(ValueError, match="return_html, return_figure: "):
        method(return_html=True, return_figure=True)


def test_an_aggregator_comes_first() -> None:
    output = causal(("The", " nur", "se"), (" said", " so"))
    arguments = {"aggregator": ["scores", "spans"], "target_spans": [(1, 3)]}
    shown = output.show(display=False, return_html=True, **arguments)
    joined = output.aggregate(**arguments)
    assert shown == joined.show(display=False, return_html=True)
    assert ">The<br>nurse<br>said</div>" in shown
    tokens = output.show_tokens(display=False, return_html=True, **arguments)
    assert tokens == joined.show_tokens(display=False, return_html=True)


def test_picked_layers_are_reduced_alone() -> None:
    output = with_layers()
    raw = output[0].raw_scores.to_numpy()
    (view,) = [view_of(make_figure(Heatmaps(_sliced(output)).output), 0)]
    expected = raw[:, :, 1:].mean((2, 3))
    np.testing.assert_allclose(
        view.values, expected / np.nansum(np.abs(expected), axis=0), rtol=1e-5
    )
    html = output.show(slice_dims={"Model Layer": (1, 3)}, display=False, return_html=True)
    assert html == _sliced(output).show(display=False, return_html=True)


def _sliced(output: FeatureAttributionOutput) -> FeatureAttributionOutput:
    from inseq_widget.render.slices import sliced

    return sliced(output, {"layer": (1, 3)})


def test_layers_are_shown_side_by_side_where_they_are_asked_for_or_not_reduced() -> None:
    output = with_layers()
    wanted = output.show_granular(show_dim="head", display=False, return_html=True)
    assert output.show(show_dim="head", display=False, return_html=True) == wanted
    unreduced = output.show(do_aggregation=False, display=False, return_html=True)
    assert unreduced == output.show_granular(display=False, return_html=True)
    one = output.show(
        slice_dims={"layer": 0, "head": 1}, do_aggregation=False, display=False, return_html=True
    )
    assert "gradient norm; layer 0, head 1, score:" in one
    assert len(Page(one).all("img")) == 1


def test_every_number_is_in_the_html() -> None:
    output = causal(signed=True)
    html = output.show(display=False, return_html=True)
    cells = [
        [float(cell) if cell else np.nan for cell in re.findall(r"<td>([^<]*)", row)]
        for row in re.findall(r"<tr><th scope=row>[^<]*((?:<td>[^<]*)+)", html)
    ]
    np.testing.assert_allclose(np.array(cells), 100 * shares_of(output), atol=0.0501)


def pictures() -> list[Picture]:
    made: list[Picture] = []
    for output in (
        causal(("看護師", "は", "言った", "。"), ("שלום", " مرحبا", "👩‍⚕️")),
        encoder_decoder(signed=True),
        evil(),
        large(20, 30),
        with_layers(),
        batch(causal(), evil(signed=True)),
    ):
        look = Look(max_show_size=12)
        made += [Heatmaps(output, look), Granular(output, look)]
        made.append(TokenLines(output, Look(), step_score_highlight="probability"))
    return made


@pytest.mark.parametrize("width", [40, 200])
@pytest.mark.parametrize("picture", pictures())
def test_no_line_is_wider_than_the_terminal(picture: Picture, width: int) -> None:
    text = printed(picture, width=width)
    assert text.strip()
    for line in text.splitlines():
        assert cell_len(line) <= width


@pytest.mark.parametrize("picture", pictures())
def test_nothing_reaches_the_terminal_as_a_command(picture: Picture) -> None:
    for colours in (False, True):
        text = ANSI.sub("", printed(picture, colours=colours))
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2028\u2029]", text)


@pytest.mark.parametrize("picture", pictures())
def test_no_token_becomes_markup(picture: Picture) -> None:
    html = picture.html()
    html.encode("utf-8")
    tags = {tag for tag, _ in Page(html).elements}
    assert tags <= {
        *("div", "p", "b", "bdi", "br", "span", "small", "img", "details", "summary"),
        *("table", "caption", "tr", "td", "th"),
    }
    assert "onerror" not in {name for _, given in Page(html).elements for name in given}


def test_no_color_is_legible_without_colours() -> None:
    output = causal()
    plain = printed(Heatmaps(output), colours=True, no_color=True)
    assert not re.search(r"\x1b\[(?:[\d;]*;)?[34]8;", plain)
    marked = printed(Heatmaps(output)).splitlines()
    assert ANSI.sub("", plain).splitlines() == marked
    assert any(re.search(r"\[\S+\]", line) for line in marked)


def test_the_variable_no_color_counts(monkeypatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    text = printed(Heatmaps(causal()), colours=True)
    assert not re.search(r"\x1b\[(?:[\d;]*;)?[34]8;", text)


def test_a_pipe_gets_plain_text(capsys) -> None:
    with_layers().show_granular()
    with_layers().show()
    with_layers().show_tokens()
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("function", "method"),
    [
        (iw.show_attributions, "show"),
        (iw.show_granular_attributions, "show_granular"),
        (iw.show_token_attributions, "show_tokens"),
    ],
)
def test_the_free_functions_are_the_methods(function, method: str, capsys) -> None:
    output = batch(with_layers(), with_layers(seed=1))
    expected = getattr(output, method)(max_val=0.3, display=False, return_html=True)
    for given in (output, list(output), iter(output)):
        assert function(given, max_val=0.3, display=False, return_html=True) == expected
    one = getattr(output[0], method)(display=False, return_html=True)
    assert function(output[0], display=False, return_html=True) == one
    assert isinstance(function(output[0], display=False, return_figure=True), Figure)
    for wrong in ("text", [], None, [1]):
        with pytest.raises(TypeError, match="attributions: "):
            function(wrong)
    assert capsys.readouterr().out == ""


def test_the_free_functions_pass_their_arguments_on(monkeypatch) -> None:
    seen: dict[str, object] = {}
    names = ("min_val", "max_val", "max_show_size", "show_dim", "slice_dims")

    def record(self: object, *args: object, **keywords: object) -> None:
        seen.update(dict(zip(names, args, strict=False)), **keywords)

    given = {"max_show_size": 3, "min_val": 0.1, "max_val": 0.2, "show_dim": "head"}
    given |= {"slice_dims": {"layer": 1}, "display": False, "return_html": True}
    monkeypatch.setattr(FeatureAttributionOutput, "show_granular", record)
    functions.show_granular_attributions(with_layers(), **given)
    assert seen == {**given, "return_figure": False}


def test_matplotlib_waits_until_a_figure_is_asked_for() -> None:
    script = (
        "import sys\n"
        "from tests.unit.outputs import causal\n"
        "causal().show(display=False, return_html=True)\n"
        "assert not [name for name in sys.modules if name.startswith('matplotlib.')]\n"
        "causal().show(display=False, return_figure=True)\n"
        "assert 'matplotlib.figure' in sys.modules\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def nothing_in_it(kind: str) -> FeatureAttributionOutput:
    output = causal(("a", "b"), () if kind == "steps" else ("c",))
    if kind != "steps":
        output[0].kept["norm"][:] = 0 if kind == "scores but 0" else np.nan
    return output


@pytest.mark.parametrize("kind", ["steps", "scores", "scores but 0"])
@pytest.mark.parametrize("show", ["show", "show_granular", "show_tokens"])
def test_a_result_without_numbers_is_drawn_too(kind: str, show: str, tmp_path, capsys) -> None:
    method = getattr(nothing_in_it(kind), show)
    assert "saliency" in method(display=False, return_html=True)
    method(display=False, return_figure=True).savefig(tmp_path / "picture.png")
    method()
    assert "nan" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("method", "keywords"),
    [
        ("show", {"slice_dims": 3}),
        ("show", {"max_show_size": 2.5}),
        ("show", {"min_val": "low"}),
        ("show_tokens", {"wrap_after": 2.5}),
        ("show_tokens", {"replace_char": 3}),
    ],
)
def test_an_argument_of_the_wrong_type_is_named(method: str, keywords: dict[str, object]) -> None:
    with pytest.raises(TypeError, match=f"^{next(iter(keywords))}: "):
        getattr(causal(), method)(display=False, **keywords)
