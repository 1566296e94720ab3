"""Fonts for pictures on paper: one family, and others for what it has no letters for."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from matplotlib import font_manager

# It comes with matplotlib, so that a picture is the same on every machine.
DEFAULT_FAMILY = "DejaVu Sans"

# Tried in order for letters that the first family lacks; those that are not installed are passed.
FALLBACK_FAMILIES = (
    "DejaVu Sans",
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Noto Sans JP",
    "Noto Sans SC",
    "Noto Sans KR",
    "Source Han Sans",
    "Hiragino Sans",
    "PingFang SC",
    "Apple SD Gothic Neo",
    "Yu Gothic",
    "Microsoft YaHei",
    "Malgun Gothic",
    "WenQuanYi Zen Hei",
    "Noto Sans Arabic",
    "Noto Naskh Arabic",
    "Geeza Pro",
    "Noto Sans Hebrew",
    "Noto Sans Devanagari",
    "Noto Sans Bengali",
    "Noto Sans Tamil",
    "Noto Sans Telugu",
    "Noto Sans Thai",
    "Noto Sans Georgian",
    "Noto Sans Armenian",
    "Noto Sans Ethiopic",
    "Nirmala UI",
    "Leelawadee UI",
    "Noto Sans Symbols",
    "Noto Sans Symbols 2",
    "Noto Sans Symbols2",
    "Noto Emoji",
    "Segoe UI Symbol",
    "Arial Unicode MS",
    "Unifont",
)


def families_for(texts: Iterable[str], font: str | None = None) -> list[str]:
    """Choose fonts that have the letters of some texts, as far as there are any.

    Parameters
    ----------
    texts : iterable of str
    font : str, optional
        Name of the family to begin with; DejaVu Sans by default.

    Returns
    -------
    list of str
        Names of installed families, the first choice first.

    Raises
    ------
    ValueError
        When no family of that name is installed.
    """
    installed = {entry.name for entry in font_manager.fontManager.ttflist}
    first = DEFAULT_FAMILY if font is None else font
    if first not in installed:
        near = difflib.get_close_matches(first, installed, n=3)
        advice = f"near it: {', '.join(near)}" if near else f"{DEFAULT_FAMILY} always is"
        raise ValueError(f"font: {first!r} is not installed; {advice}.")
    chosen, lacking = [first], _lacking(set("".join(texts)), first)
    for family in FALLBACK_FAMILIES:
        if lacking and family in installed and family not in chosen:
            left = _lacking(lacking, family)
            if left != lacking:
                chosen.append(family)
                lacking = left
    return chosen


def _lacking(characters: set[str], family: str) -> set[str]:
    """Find the characters that a family has no letter for."""
    path = font_manager.findfont(font_manager.FontProperties(family=[family]))
    known = font_manager.get_font(path).get_charmap()
    return {character for character in characters if ord(character) not in known}
