"""The table in plain text names the largest attributions of every step."""

from __future__ import annotations

import re
import unicodedata

import pandas as pd
import pytest

from inseq_widget.render import top_attributions_text
from tests.unit.outputs import batch, causal, encoder_decoder, evil, large


def rows_of(text: str) -> dict[int, str]:
    """Find the line of every step."""
    found = (re.match(r" *(\d+)  ", line) for line in text.splitlines())
    return {int(match[1]): match.string for match in found if match}


@pytest.mark.parametrize("signed", [False, True])
def test_every_step_has_its_largest_inputs_in_order(signed: bool) -> None:
    output = causal(signed=signed)
    rows = rows_of(top_attributions_text(output, k=3))
    frame: pd.DataFrame = output[0].to_dataframe()
    steps = frame["step_position"].unique()
    assert list(rows) == list(range(len(steps)))
    for number, position in enumerate(steps):
        top = frame[frame["step_position"] == position].sort_values("rank").head(3)
        cells = [
            f"{share:.1%}".replace("%", " %").replace("-", "−") + f" {token.strip()}"
            for share, token in zip(top["share"], top["input_token"], strict=True)
        ]
        expected = [top["step_token"].iloc[0].strip(), f"{top['probability'].iloc[0]:.1%}"]
        row = re.split(r" {2,}", rows[number].strip())
        assert row[1:] == [expected[0], expected[1].replace("%", " %"), *cells]


def test_the_columns_are_aligned() -> None:
    lines = top_attributions_text(causal()).splitlines()
    head = next(line for line in lines if line.startswith("step"))
    column = head.index("inputs")
    body = lines[lines.index(head) + 1 :]
    assert len(body) == 4
    assert all(line[column - 2 : column] == "  " for line in body)
    assert all("%" in line[column : column + 8] for line in body)


def test_it_says_what_is_explained_and_how() -> None:
    text = top_attributions_text(causal())
    for words in ("saliency of probability", "demo:model", "norm reduction", "gradient norm"):
        assert words in text


def test_forty_steps_are_shown_and_the_rest_is_counted() -> None:
    text = top_attributions_text(large(10, 60))
    assert list(rows_of(text)) == list(range(40))
    assert text.endswith("… 20 more steps")


def test_many_texts_share_the_forty_steps() -> None:
    text = top_attributions_text(batch(*[causal() for _ in range(30)]))
    assert len(re.findall(r"^Text \d+ of 30", text, re.MULTILINE)) == 10
    assert text.endswith("… 20 more texts")


def test_a_special_token_and_a_source_are_named() -> None:
    text = top_attributions_text(encoder_decoder(), k=9)
    assert "</s>" in text
    assert "<s>" in text


def test_without_a_probability_there_is_no_column_for_it() -> None:
    output = causal()
    output[0].step_scores.clear()
    text = top_attributions_text(output)
    assert "token  inputs" in text
    assert "–" not in text


@pytest.mark.parametrize("output", [evil(), large(), batch(causal(), evil())])
def test_there_is_nothing_in_it_but_visible_text_and_line_breaks(output) -> None:
    text = top_attributions_text(output)
    hidden = {
        character
        for character in text
        if character != "\n" and unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    }
    assert hidden == set()
    assert not re.search(r" $", text, re.MULTILINE)


def test_markup_is_text() -> None:
    text = top_attributions_text(evil(), k=20)
    assert "[bo…" in text
    assert "<script>alert(1…" in text
