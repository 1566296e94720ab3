"""The static heatmap: the texts as they are, the matrix as a picture, and no markup of a token."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from inseq_widget.explore.figure import make_figure
from inseq_widget.render import colours, static_html
from inseq_widget.render.colours import entries, hue, luminance
from inseq_widget.render.html import CELL, MOST_OPAQUE_TEXT
from inseq_widget.render.png import matrix_png
from inseq_widget.render.view import view_of
from inseq_widget.render.visible import visible_text
from tests.unit.outputs import batch, causal, encoder_decoder, evil, large

# What JupyterLab's sanitiser lets through of what is used here.
ALLOWED_TAGS = {"div", "p", "b", "bdi", "br", "span", "small", "img"}
ALLOWED_TAGS |= {"details", "summary", "table", "tr", "td", "th"}
ALLOWED_ATTRIBUTES = {"class", "style", "title", "dir", "open", "alt", "width", "height", "src"}
VOID = {"br", "img"}


class Page(HTMLParser):
    """Collects the elements of a page, their attributes, and the text of each."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "br" and "p" in self._open:
            self.texts["p"][-1] += "\n"
        if tag not in VOID:
            self._open.append(tag)
            if tag == "p":
                self.texts.setdefault("p", []).append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "p" in self._open:
            self.texts["p"][-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.mark.parametrize(
    "output", [causal(), encoder_decoder(), causal(("a ", "b\n", " c"), ("\td", ".")), evil()]
)
def test_the_running_text_comes_back_exactly(output) -> None:
    (sequence,) = make_figure(output).spec["sequences"]
    sides = dict.fromkeys(token["side"] for token in sequence["tokens"])
    expected = [
        "".join(visible_text(token) for token in sequence["tokens"] if token["side"] == side)
        for side in sides
    ]
    paragraphs = Page(static_html(output)).texts["p"]
    shown = [text.split(" ", 1)[1] for text in paragraphs[1 : 1 + len(expected)]]
    assert shown == expected


def test_plain_words_read_as_they_were_written() -> None:
    page = Page(static_html(causal()))
    assert page.texts["p"][1:3] == ["Prompt The nurse said", "Generated  that she was."]


@pytest.mark.parametrize("signed", [False, True])
def test_no_token_becomes_markup(signed: bool) -> None:
    tame, wild = static_html(causal(signed=signed)), static_html(evil(signed=signed))
    for html in (tame, wild):
        page = Page(html)
        assert {tag for tag, _ in page.elements} <= ALLOWED_TAGS
        assert {name for _, given in page.elements for name in given} <= ALLOWED_ATTRIBUTES
        assert len(page.all("img")) == 1
    for hidden in "\u202e\u202c\x00\x1b\ud83d\u2028\u2029":
        assert hidden not in wild
    wild.encode("utf-8")


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("make", [causal, encoder_decoder])
def test_the_picture_shows_the_shares(make, signed: bool) -> None:
    figure = make_figure(make(signed=signed))
    image = Image.open(io.BytesIO(matrix_png(view_of(figure, 0))))
    shares, domain = figure.shares(0), figure.spec["sequences"][0]["domain"]
    assert image.size == (shares.shape[1], shares.shape[0])
    pixels = np.asarray(image.convert("RGBA")).astype(int)
    missing = np.isnan(shares)
    assert missing.any()
    red, green, blue, opacity = np.moveaxis(pixels, -1, 0)
    grey = (red == green) & (green == blue)
    np.testing.assert_array_equal(grey, missing)
    expected = np.minimum(1.0, np.abs(shares[~missing]) / domain)
    # A signed scale has half as many colours for each sign.
    np.testing.assert_allclose(
        opacity[~missing] / 255, expected, atol=1 / 120 if signed else 1 / 250
    )
    visible = ~missing & (opacity > 0)
    np.testing.assert_array_equal((blue > red)[visible], (shares < 0)[visible])


def test_the_picture_in_the_page_is_that_picture() -> None:
    output = causal()
    (image,) = Page(static_html(output)).all("img")
    kind, data = image["src"].split(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(data) == matrix_png(view_of(make_figure(output), 0))


def test_rows_columns_and_picture_have_the_same_grid() -> None:
    html = static_html(encoder_decoder())
    (image,) = Page(html).all("img")
    assert (image["width"], image["height"]) == (str(4 * CELL), str(9 * CELL))
    headers = [given for given in Page(html).all("span") if "writing-mode" in given["style"]]
    assert len(headers) == 4
    assert all(f"flex:none;width:{CELL}px;overflow:hidden" in given["style"] for given in headers)
    labels = re.search(rf"line-height:{CELL}px;white-space:pre[^>]*>(.*?)</div>", html)
    assert labels is not None
    assert labels[1].split("<br>") == [
        "The",
        "nurse",
        "slept",
        ".",
        "&lt;/s&gt;",
        "&lt;s&gt;",
        "A",
        "enfermeira",
        "dormiu",
    ]


def test_tokens_say_their_mean_share() -> None:
    output = causal()
    figure = make_figure(output)
    titles = [span["title"] for span in Page(static_html(output)).all("span") if "title" in span]
    means = [f"{share * 100:.1f} %" for share in figure.mean_shares(0)]
    assert titles[:6] == means


def test_right_to_left_text_has_its_direction_and_its_labels_keep_to_themselves() -> None:
    html = static_html(causal(("שלום", " עולם"), (" כן", ".")))
    page = Page(html)
    assert [given.get("dir") for given in page.all("p")].count("rtl") == 2
    assert "<bdi>עולם</bdi>" in html


def test_two_hundred_inputs_by_sixty_steps_are_small() -> None:
    output = large()
    assert output[0].scores.shape == (200, 60)
    html = static_html(output)
    assert len(html.encode("utf-8")) <= 60_000


@pytest.mark.parametrize("shape", [(5, 4), (100, 30), (400, 100)])
def test_a_page_grows_with_its_cells_by_ten_bytes_at_most(shape) -> None:
    output = large(*shape)
    cells = output[0].scores.size
    assert len(static_html(output).encode("utf-8")) <= 15_000 + 10 * cells


def test_every_text_of_a_batch_is_there() -> None:
    page = Page(static_html(batch(causal(), encoder_decoder())))
    assert len(page.all("img")) == 2
    assert "Text 2 of 2: The nurse slept." in page.texts["p"]


def contrast(one: float, other: float) -> float:
    light, dark = max(one, other), min(one, other)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("negative", [False, True])
@pytest.mark.parametrize("signed", [False, True])
def test_the_deepest_shade_leaves_text_readable_on_light_and_on_dark_pages(
    signed: bool, negative: bool
) -> None:
    colour = hue(signed, negative and signed)
    for page, ink in (((255, 255, 255), (0x1C, 0x1D, 0x21)), ((0x11, 0x12, 0x14), (233, 233, 236))):
        ground = tuple(
            round(MOST_OPAQUE_TEXT * over + (1 - MOST_OPAQUE_TEXT) * under)
            for over, under in zip(colour, page, strict=True)
        )
        assert contrast(luminance(ground), luminance(ink)) >= 4.5


def test_every_colour_of_the_tables_has_a_readable_ink() -> None:
    for signed in (False, True):
        for appearance in ("light", "dark"):
            table = colours.table(signed, appearance)
            assert len(table) == 256
            for fill in table:
                ink = colours.rgb(colours.readable_ink(fill))
                assert contrast(luminance(colours.rgb(fill)), luminance(ink)) >= 4.5


def test_places_in_a_table_meet_at_zero_and_end_at_the_domain() -> None:
    shares = np.array([-2.0, -0.5, -0.0, 0.0, 0.25, 0.5, np.nan])
    assert entries(shares, 0.5, True).tolist() == [0, 0, 128, 128, 192, 255, -1]
    assert entries(shares, 0.5, False).tolist() == [255, 255, 0, 0, 128, 255, -1]
