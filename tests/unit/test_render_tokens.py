"""One line for each generated token, which opens into the text that it came from."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from inseq_widget.explore.figure import make_figure
from inseq_widget.render.token_lines import TokenLines, ends_line
from inseq_widget.render.view import Look
from inseq_widget.results import FeatureAttributionOutput
from tests.unit.outputs import batch, causal, encoder_decoder, evil
from tests.unit.test_render_html import Page
from tests.unit.test_render_show import printed, shares_of

LOOK = Look()
FOLD = re.compile(r"<details><summary>(.*?)</summary>(.*?)</details>", re.DOTALL)


def folds(output: FeatureAttributionOutput, **arguments: object) -> list[tuple[str, str]]:
    html = output.show_tokens(display=False, return_html=True, **arguments)
    return FOLD.findall(html)


def text_of(html: str) -> str:
    return re.sub(r"<[^>]*>", "", html.replace("<br>", "\n"))


def test_every_generated_token_opens_into_the_text_before_it() -> None:
    output = causal()
    words = [token.text for token in output[0].target]
    lines = folds(output)
    assert len(lines) == 4
    for step, (head, body) in enumerate(lines):
        assert text_of(head).startswith(f"{step} {words[3 + step].strip()} ")
        shown = "Prompt The nurse said" + (
            f"Generated {''.join(words[3 : 3 + step])}" if step else ""
        )
        assert text_of(body) == shown


def test_a_source_is_part_of_it_and_a_prefix_where_it_has_scores() -> None:
    _, body = folds(encoder_decoder())[1]
    assert (
        text_of(body)
        == "Source The nurse slept.</s>".replace("<", "&lt;").replace(">", "&gt;")
        + "Target &lt;s&gt;A"
    )
    _, body = folds(encoder_decoder(with_prefix=False))[1]
    assert "Target" not in body


@pytest.mark.parametrize("signed", [False, True])
def test_the_tokens_say_their_shares_and_the_line_names_the_largest(signed: bool) -> None:
    output = causal(signed=signed)
    shares = shares_of(output)
    for step, (head, body) in enumerate(folds(output)):
        column = shares[~np.isnan(shares[:, step]), step]
        titles = re.findall(r'title="([^"]*)"', body)
        written = [f"{share * 100:.1f} %".replace("-", "−") for share in column]
        faint = np.abs(column) < 0.02 * np.abs(shares[~np.isnan(shares)]).max()
        assert titles == [
            text for text, is_faint in zip(written, faint, strict=True) if not is_faint
        ]
        first = np.argsort(-np.abs(column))[0]
        name = output[0].inputs[first].text.strip()
        assert f"← {name} {written[first]}" in head


def test_the_scale_can_be_clipped_and_scores_shown_as_they_are() -> None:
    output = causal()
    legend = Page(output.show_tokens(0.1, 0.2, display=False, return_html=True)).texts["p"][-1]
    assert legend.startswith("gradient norm, share of the step’s total: ≤ 10.0 %")
    assert legend.endswith("≥ 20.0 %.")
    html = output.show_tokens(do_aggregation=False, display=False, return_html=True)
    assert "gradient norm, score: 0" in html
    assert f"{float(output[0].scores[0, 0]):.3g}" in html


def test_a_step_score_colours_the_generated_tokens() -> None:
    output = causal()
    output[0].step_scores["entropy"] = torch.tensor([0.0, 1.0, 2.0, 0.5])
    heads = [head for head, _ in folds(output, step_score_highlight="entropy")]
    found = [re.search(r"background:#......(..)", head) for head in heads]
    opacities = [int(match[1], 16) if match else 0 for match in found]
    assert opacities == [round(255 * 0.55 * value / 2) for value in (0, 1, 2, 0.5)]
    assert [text_of(head).split(" · ")[0] for head in heads] == [
        "0 that entropy 0",
        "1 she entropy 1",
        "2 was entropy 2",
        "3 . entropy 0.5",
    ]
    assert "background" not in folds(output)[0][0]
    text = printed(TokenLines(output, LOOK, step_score_highlight="probability"))
    assert "that  probability 90.0 %" in text
    coloured = printed(TokenLines(output, LOOK, step_score_highlight="entropy"), colours=True)
    assert re.search(r"\x1b\[1;[\d;]*48;2;[\d;]*mwas\x1b", coloured)


def test_a_step_score_with_a_sign_has_a_diverging_scale() -> None:
    output = causal()
    output[0].step_scores["change"] = torch.tensor([-1.0, 1.0, -0.5, float("nan")])
    heads = [head for head, _ in folds(output, step_score_highlight="change")]
    colours = [re.search(r"background:#(......)", head) for head in heads]
    assert colours[0][1] == colours[2][1] != colours[1][1]
    assert colours[3] is None


@pytest.mark.parametrize("known", [["probability"], []])
def test_an_unknown_step_score_is_refused(known: list[str]) -> None:
    output = causal()
    if not known:
        output[0].step_scores.clear()
    has = known[0] if known else "none"
    with pytest.raises(ValueError, match=rf"step_score_highlight: 'entropy' .* has {has}; "):
        output.show_tokens(step_score_highlight="entropy")


@pytest.mark.parametrize(
    ("wrap_after", "ending"),
    [
        (None, []),
        (1, [" a", "b", ".", "!", " a ", "..."]),
        (2, ["b", "!", "..."]),
        ("a", [" a", " a "]),
        (".", ["."]),
        (".!?", [".", "!"]),
        ("...", [".", "..."]),
        (["b", "!"], ["b", "!"]),
        (("b",), ["b"]),
        ("zz", []),
    ],
)
def test_where_lines_end(wrap_after, ending: list[str]) -> None:
    texts = [" a", "b", ".", "!", " a ", "..."]
    (sequence,) = make_figure(causal(texts, ["x"])).spec["sequences"]
    tokens = sequence["tokens"][: len(texts)]
    found = [
        token["text"]
        for number, token in enumerate(tokens, start=1)
        if ends_line(token, number, wrap_after)
    ]
    assert found == ending


def test_lines_are_broken_in_html_and_in_a_terminal() -> None:
    output = causal(("One", ".", " Two", "."), (" Three", "."))
    _, body = folds(output, wrap_after=".")[0]
    assert text_of(body) == "Prompt One.\n Two.\n"
    text = printed(TokenLines(output, LOOK, wrap_after="."))
    assert re.search(r"Prompt: .*\n +.*Two", text)
    with pytest.raises(ValueError, match="wrap_after: 0"):
        output.show_tokens(wrap_after=0)


def test_characters_are_replaced_everywhere_and_stay_text() -> None:
    output = causal(("The", "_nurse"), ("_said", "."))
    given = {"_": " ", "nurse": "<b>\x1b"}
    html = output.show_tokens(display=False, return_html=True, replace_char=given)
    assert "&lt;b&gt;␛" in html
    assert "_" not in text_of(html).replace("gradient norm", "")
    assert "_" not in printed(TokenLines(output, LOOK, replace_char=given))
    assert output[0].target[1].text == "_nurse"
    with pytest.raises(ValueError, match="replace_char: "):
        output.show_tokens(replace_char={"": "x"})


def test_every_text_has_its_lines() -> None:
    output = batch(causal(), encoder_decoder())
    assert len(folds(output)) == 8
    assert "Text 2 of 2" in output.show_tokens(display=False, return_html=True)
    nothing = output[0:0].show_tokens(display=False, return_html=True)
    assert "No text was attributed." in nothing


def test_the_figure_has_every_token_on_its_shade() -> None:
    output = causal()
    figure = output.show_tokens(
        display=False, return_figure=True, step_score_highlight="probability"
    )
    assert isinstance(figure, Figure)
    drawn = [text.get_text() for axes in figure.axes for text in axes.texts]
    for step in range(4):
        for token in output[0].inputs[: 3 + step]:
            assert drawn.count(token.text.strip()) >= 4 - step
    shades = [patch for axes in figure.axes for patch in axes.patches]
    present = np.count_nonzero(np.nan_to_num(output[0].scores.to_numpy()))
    assert len(shades) >= present + 4


def test_right_to_left_text_runs_from_the_right_in_the_figure() -> None:
    output = causal(("שלום", " עולם"), (" כן",))
    figure = output.show_tokens(display=False, return_figure=True)
    places = {text.get_text(): text.get_position()[0] for ax in figure.axes for text in ax.texts}
    assert places["שלום"] > places["עולם"]


def test_hostile_tokens_are_drawn_as_text() -> None:
    figure = evil().show_tokens(display=False, return_figure=True)
    drawn = {text.get_text() for axes in figure.axes for text in axes.texts}
    assert "</script><!--" in drawn
    assert not any(text.get_parse_math() for axes in figure.axes for text in axes.texts)
