"""Everything in a token can be seen, and nothing in it moves what stands around it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inseq_widget.explore.protocol import TokenSpec
from inseq_widget.render.visible import (
    is_right_to_left,
    shown,
    visible_label,
    visible_text,
)


def spec(text: str, piece: str | None = None, *, special: bool = False) -> TokenSpec:
    return TokenSpec(
        text=text,
        piece=text if piece is None else piece,
        id=0,
        position=0,
        side="target",
        special=special,
        word=0,
    )


@pytest.mark.parametrize(
    ("token", "text", "label"),
    [
        (spec("nurse"), "nurse", "nurse"),
        (spec(" nurse"), " nurse", "nurse"),
        (spec(" New York"), " New York", "New York"),
        (spec(" "), " ", "·"),
        (spec("  "), "  ", "··"),
        (spec("   if"), "   if", "···if"),
        (spec("\n"), "⏎\n", "⏎"),
        (spec("\t"), "\t", "⇥"),
        (spec("a\n\nb"), "a⏎\n⏎\nb", "a⏎⏎b"),
        (spec("\xa0"), "\xa0", "⍽"),
        (spec("\u3000"), "\u3000", "␣"),
        (spec("a\x00b"), "a␀b", "a␀b"),
        (spec("\x1b[31m"), "␛[31m", "␛[31m"),
        (spec("\x7f"), "␡", "␡"),
        (spec("\u202eabc\u202c"), "⟨RLO⟩abc⟨PDF⟩", "⟨RLO⟩abc⟨PDF⟩"),
        (spec("\u2066x\u2069"), "⟨LRI⟩x⟨PDI⟩", "⟨LRI⟩x⟨PDI⟩"),
        (spec("\u200b"), "⟨ZWSP⟩", "⟨ZWSP⟩"),
        (spec("\ufeff"), "⟨BOM⟩", "⟨BOM⟩"),
        (spec("\u2028"), "⟨LS⟩", "⟨LS⟩"),
        (spec("\ue000"), "⟨U+E000⟩", "⟨U+E000⟩"),
        (spec("\ud83d"), "⟨U+D83D⟩", "⟨U+D83D⟩"),
        # A joiner between its neighbours is part of a picture or of a script.
        (spec("👩\u200d⚕️"), "👩\u200d⚕️", "👩\u200d⚕️"),
        (spec("\u200d"), "⟨ZWJ⟩", "⟨ZWJ⟩"),
        (spec("\u0301"), "\u0301", "◌\u0301"),
        (spec("</s>", special=True), "</s>", "</s>"),
        (spec("", "<pad>", special=True), "<pad>", "<pad>"),
        (spec("", "", special=True), "∅", "∅"),
        # A part of a character: its bytes, where the vocabulary spells them.
        (spec("", "<0xF0>"), "⟨0xF0⟩", "⟨0xF0⟩"),
        (spec("", "ðŁĺ"), "⟨F0 9F 98⟩", "⟨F0 9F 98⟩"),
        (spec("", "abc"), "⟨abc⟩", "⟨abc⟩"),
        (spec("", ""), "⟨∅⟩", "⟨∅⟩"),
        (spec("<b>"), "<b>", "<b>"),
    ],
    ids=lambda value: ascii(value["text"] or value["piece"]) if isinstance(value, dict) else "",
)
def test_a_token_reads_so_in_a_text_and_so_in_a_label(token, text, label) -> None:
    assert visible_text(token) == text
    assert visible_label(token) == label


def test_a_long_label_ends_in_an_ellipsis() -> None:
    assert visible_label(spec(" internationalisation"), 8) == "interna…"
    assert visible_label(spec(" nurse"), 5) == "nurse"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("שלום", True), ("12 مرحبا", True), ("nurse שלום", False), ("12", False), ("", False)],
)
def test_direction_is_that_of_the_first_letter(text, expected) -> None:
    assert is_right_to_left(text) is expected


ANY_TEXT = st.text(st.characters(codec=None, categories=None), max_size=12)


@given(ANY_TEXT, ANY_TEXT, st.booleans())
def test_no_label_has_anything_that_cannot_be_seen(text: str, piece: str, special: bool) -> None:
    label = visible_label(spec(text, piece, special=special))
    assert label
    for at, character in enumerate(label):
        category = unicodedata.category(character)
        joins = ord(character) in (0x200C, 0x200D) and 0 < at < len(label) - 1
        tags = 0xE0020 <= ord(character) <= 0xE007F and at > 0
        assert joins or tags or category not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"), label


@given(ANY_TEXT)
def test_any_other_text_is_shown_on_one_line(text: str) -> None:
    assert len(shown(text).splitlines()) <= 1


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1))
def test_text_that_can_be_seen_is_left_as_it_is(text: str) -> None:
    assert visible_text(spec(text)) == text
