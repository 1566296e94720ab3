"""The page without script: small, and to be read by eye and by ear."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from inseq_widget.render import static_page
from inseq_widget.render.bundle import STANDALONE_SCRIPT
from inseq_widget.render.colours import luminance, rgb
from inseq_widget.render.page import STYLE, style_sheet
from inseq_widget.render.table import MOST_CELLS
from inseq_widget.results import FeatureAttributionOutput
from tests.unit.outputs import batch, causal, encoder_decoder, evil, large
from tests.unit.test_render_html import Page, contrast
from tests.unit.test_render_show import shares_of

LIGHT, DARK = ("#ffffff", "#1c1d21"), ("#111214", "#e9e9ec")


def cells_of(page: str) -> np.ndarray:
    """Read the table of all numbers."""
    table = page.split("All numbers as a table")[1]
    rows = re.findall(r"<tr><th scope=row>.*?((?:<td>[^<]*)+)", table)
    return np.array(
        [
            [float(cell) if cell else np.nan for cell in re.findall(r"<td>([^<]*)", row)]
            for row in rows
        ]
    )


def bytes_of(output: FeatureAttributionOutput, *, interactive: bool) -> int:
    page = output.to_html(interactive=interactive)
    script = STANDALONE_SCRIPT.stat().st_size if interactive else 0
    return len(page.encode("utf-8")) - script


@pytest.mark.parametrize("interactive", [False, True])
def test_a_page_grows_by_less_than_ten_bytes_a_cell(interactive: bool) -> None:
    # 66 × 34, 500 × 200 and 2000 × 500 inputs by steps.
    outputs = [large(33, 34), large(301, 200), large(1501, 500)]
    cells = [output[0].scores.size for output in outputs]
    assert cells == [66 * 34, 500 * 200, 2000 * 500]
    sizes = [bytes_of(output, interactive=interactive) for output in outputs]
    for larger in (1, 2):
        assert (sizes[larger] - sizes[0]) / (cells[larger] - cells[0]) < 10
    assert sizes[1] / cells[1] < 10


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("make", [causal, encoder_decoder])
def test_every_number_is_in_a_table_with_its_headers(make, signed: bool) -> None:
    output = make(signed=signed)
    page = output.to_html(interactive=False)
    np.testing.assert_allclose(cells_of(page), 100 * shares_of(output), atol=0.0501)
    table = page.split("All numbers as a table")[1]
    columns = [token.text.strip() for token in output[0].steps]
    assert re.findall(r"<th scope=col>([^<]*)", table) == columns
    assert "<caption>Inputs down, generated tokens across; share of the step’s total in %." in table
    # A cell says nothing without the names of its row and its column.
    assert len(re.findall("<th scope=row>", table)) == len(output[0].inputs)


def test_a_table_that_no_browser_could_hold_is_left_out_with_a_word() -> None:
    output = large(MOST_CELLS // 100, 101)
    assert output[0].scores.size > MOST_CELLS
    page = output.to_html(interactive=False)
    assert "All numbers as a table" not in page
    assert "to_dataframe()" in page


def test_the_page_has_no_script_and_allows_none() -> None:
    page = static_page([causal(), evil()])
    assert "<script" not in page
    assert "script-src" not in page
    assert not re.search(r"https?:", page)
    assert not re.search(r"\son\w+=", re.sub(r">[^<]*<", "><", page))
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert policy[1] == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


@pytest.mark.parametrize("interactive", [False, True])
def test_the_page_has_a_language_a_title_a_heading_and_a_main_part(interactive: bool) -> None:
    page = batch(causal(), encoder_decoder()).to_html(title="Two <texts>", interactive=interactive)
    assert '<html lang="en">' in page
    assert "<title>Two &lt;texts&gt;</title>" in page
    headings = re.findall(r"<h(\d)>(.*?)</h\d>", page)
    assert headings[0] == ("1", "Two &lt;texts&gt;")
    assert [level for level, _ in headings[1:]] == ["2", "2"]
    assert page.count("<main>") == page.count("</main>") == 1


def test_headings_go_down_by_one_level() -> None:
    page = static_page([batch(causal(), causal()), causal()])
    levels = [int(level) for level in re.findall(r"<h(\d)>", page)]
    assert levels == [1, 2, 3, 3, 2]


def test_the_picture_is_described_and_its_labels_are_not_read_twice() -> None:
    output = causal()
    page = Page(output.to_html(interactive=False))
    (image,) = page.all("img")
    shares = shares_of(output)
    row, column = np.unravel_index(np.nanargmax(shares), shares.shape)
    names = output[0].inputs[row].text.strip(), output[0].steps[column].text.strip()
    sentence = f"The largest is {shares[row, column]:.1%}, of {names[0]} for {names[1]}."
    assert image["alt"].endswith(sentence.replace("%,", " %,"))
    hidden = [given for _, given in page.elements if given.get("aria-hidden") == "true"]
    assert len(hidden) == 2
    assert not any("alt" in given for given in hidden)


def test_what_scrolls_can_be_reached_with_the_keyboard_and_has_a_name() -> None:
    page = Page(causal().to_html(interactive=False))
    assert "overflow-x:auto" in STYLE
    places = [given for _, given in page.elements if given.get("tabindex") == "0"]
    assert len(places) == 2
    assert all(given["role"] == "group" and given["aria-label"] for given in places)
    assert ":focus-visible" in STYLE
    # Folding is the browser's own, so the keyboard can do it.
    assert len(page.all("details")) == len(page.all("summary")) == 2


def blended(over: tuple[int, ...], under: tuple[int, ...], opacity: float) -> tuple[int, ...]:
    return tuple(round(opacity * o + (1 - opacity) * u) for o, u in zip(over, under, strict=True))


@pytest.mark.parametrize(("ground", "ink"), [LIGHT, DARK])
def test_all_text_has_contrast_in_light_and_in_dark(ground: str, ink: str) -> None:
    page = causal(signed=True).to_html(interactive=False)
    assert ground.replace("#ffffff", "#fff") in page
    assert ink in page
    assert "@media(prefers-color-scheme:dark)" in page
    paper, letters = rgb(ground), rgb(ink)
    faintest = min(float(opacity) for opacity in re.findall(r"opacity:([.\d]+)", STYLE))
    grounds = [paper]
    shades = re.findall(r"background:(#\w{6})(\w{2})}", style_sheet())
    assert len(shades) == 36
    grounds += [blended(rgb(shade), paper, int(alpha, 16) / 255) for shade, alpha in shades]
    for fill in grounds:
        assert contrast(luminance(letters), luminance(fill)) >= 4.5
    assert contrast(luminance(blended(letters, paper, faintest)), luminance(paper)) >= 4.5


@pytest.mark.parametrize("signed", [False, True])
def test_no_token_becomes_markup(signed: bool) -> None:
    output = evil(signed=signed)
    tame = {tag for tag, _ in Page(causal(signed=signed).to_html(interactive=False)).elements}
    page = output.to_html(interactive=False, title="<img src=x onerror=alert(1)>")
    wild = Page(page)
    assert {tag for tag, _ in wild.elements} - tame <= {"br", "bdi"}
    assert len(wild.all("img")) == 1
    for hidden in "\u202e\u202c\x00\x1b\ud83d\u2028\u2029":
        assert hidden not in page
    page.encode("utf-8")
    for _, given in wild.elements:
        assert not {name for name in given if name.startswith("on")}


def test_right_to_left_text_has_its_direction() -> None:
    page = causal(("שלום", " עולם"), (" כן", ".")).to_html(interactive=False)
    assert page.count("<p class=t dir=rtl>") == 2
    assert "<bdi>עולם</bdi>" in page


def test_the_static_page_is_written_too(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    page = evil()[0].to_html(path, interactive=False)
    assert path.read_text(encoding="utf-8") == page


@pytest.mark.parametrize("outputs", [[], [causal()[0:0]]])
def test_a_page_of_nothing_is_refused(outputs) -> None:
    with pytest.raises(ValueError, match="outputs: "):
        static_page(outputs)
