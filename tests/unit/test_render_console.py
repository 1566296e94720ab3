"""A terminal shows the text and the matrix, in its width, with and without colours."""

from __future__ import annotations

import io
import re
import unicodedata

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from inseq_widget.render import print_heatmaps
from inseq_widget.render.colours import rgb, table
from inseq_widget.results import FeatureAttributionOutput
from tests.unit.outputs import batch, causal, encoder_decoder, evil, large

ANSI = re.compile(r"\x1b\[[0-9;]*m")


def printed(output: FeatureAttributionOutput, *, width: int = 80, colours: bool = False) -> str:
    target = io.StringIO()
    console = Console(
        file=target,
        width=width,
        force_terminal=colours,
        color_system="truecolor" if colours else None,
        force_jupyter=False,
        highlight=False,
    )
    print_heatmaps(output, console=console)
    return target.getvalue()


def matrix_of(text: str, label: str) -> list[str]:
    """Read the cells of a row, over all blocks of columns."""
    rows = re.findall(rf"^ *{re.escape(label)} ((?: *(?:−?\d+|·) )+ *)$", text, re.MULTILINE)
    return [cell for row in rows for cell in row.split()]


@pytest.mark.parametrize("signed", [False, True])
def test_without_colours_the_cells_say_the_shares_in_percent(signed: bool) -> None:
    output = causal(signed=signed)
    text = printed(output)
    scores = output[0].scores.to_numpy().astype(np.float64)
    shares = scores / np.nansum(np.abs(scores), axis=0)
    for token, row in zip(output[0].inputs, shares, strict=True):
        expected = ["·" if np.isnan(share) else f"{round(share * 100)}" for share in row]
        assert matrix_of(text, token.text.strip()) == [cell.replace("-", "−") for cell in expected]


def test_without_colours_brackets_mark_what_matters_in_the_text() -> None:
    output = causal(("quiet", " loud"), (" end", "."))
    output[0].kept["norm"][:, :] = [[0.01, 0.01], [0.99, 0.9], [np.nan, 0.09]]
    text = printed(output)
    assert "quiet [loud]" in text
    assert "\x1b" not in text


def test_the_columns_wrap_in_blocks_and_none_is_lost() -> None:
    output = large(30, 40)
    text = printed(output, width=60)
    first = output[0].inputs[0].text.strip()
    assert len(matrix_of(text, first)) == 40
    assert len(re.findall(rf"^ *{first} ", text, re.MULTILINE)) > 1


@pytest.mark.parametrize("width", [30, 60, 80, 200])
@pytest.mark.parametrize("output", [causal(), encoder_decoder(signed=True), evil(), large(20, 30)])
def test_no_line_is_wider_than_the_terminal(output, width) -> None:
    for line in printed(output, width=width).splitlines():
        assert cell_len(line) <= width


def test_the_largest_cell_has_the_last_colour_and_a_missing_one_has_none() -> None:
    output = causal()
    text = printed(output, colours=True)
    last = ";".join(map(str, rgb(table(False, "dark")[-1])))
    strongest = re.search(rf"\x1b\[[0-9;]*48;2;{last}m *(\d+) \x1b", text)
    scores = output[0].scores.to_numpy()
    assert strongest is not None
    assert int(strongest[1]) == round(100 * np.nanmax(scores / np.nansum(scores, axis=0)))
    assert re.search(r"\x1b\[2m +· \x1b", text)


def test_a_light_terminal_gets_the_light_scale(monkeypatch) -> None:
    monkeypatch.setenv("COLORFGBG", "0;15")
    text = printed(causal(), colours=True)
    assert ";".join(map(str, rgb(table(False, "light")[-1]))) in text


def test_colours_do_not_change_the_numbers() -> None:
    output = encoder_decoder(signed=True)
    plain, coloured = printed(output), ANSI.sub("", printed(output, colours=True))
    for token in output[0].inputs:
        label = token.text.strip()
        assert matrix_of(coloured, label) == matrix_of(plain, label) != []


@pytest.mark.parametrize("colours", [False, True])
def test_nothing_of_a_token_reaches_the_terminal_as_a_command(colours: bool) -> None:
    text = ANSI.sub("", printed(evil(), colours=colours))
    hidden = {
        character
        for character in text
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    }
    assert hidden <= {"\n"}
    assert "[bold]rich[/bold]" in text
    assert ":smile:" in text


def test_every_text_of_a_batch_is_shown() -> None:
    text = printed(batch(causal(), causal()))
    assert "Text 1 of 2" in text
    assert "Text 2 of 2" in text


def test_show_prints_to_standard_output(capsys) -> None:
    causal().show()
    assert "saliency of probability" in capsys.readouterr().out


def test_a_result_without_texts_says_so() -> None:
    assert "No text was attributed." in printed(causal()[0:0])
