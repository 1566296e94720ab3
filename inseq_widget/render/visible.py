"""The one place where a token becomes text that can be read: whitespace, controls, bytes."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

from inseq_widget.explore.protocol import TokenSpec

PartKind = Literal["text", "space", "newline", "chip"]

_NAMES = {
    0x00AD: "SHY",
    0x034F: "CGJ",
    0x061C: "ALM",
    0x200B: "ZWSP",
    0x200C: "ZWNJ",
    0x200D: "ZWJ",
    0x200E: "LRM",
    0x200F: "RLM",
    0x2028: "LS",
    0x2029: "PS",
    0x202A: "LRE",
    0x202B: "RLE",
    0x202C: "PDF",
    0x202D: "LRO",
    0x202E: "RLO",
    0x2060: "WJ",
    0x2066: "LRI",
    0x2067: "RLI",
    0x2068: "FSI",
    0x2069: "PDI",
    0xFEFF: "BOM",
}
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_COMBINING_GRAPHEME_JOINER = 0x034F
_NO_BREAK_SPACE = 0xA0
_BYTE_PIECE = re.compile(r"<(0x[0-9A-Fa-f]{2})>")


@dataclass(frozen=True)
class Part:
    """A run of a token's characters.

    Attributes
    ----------
    kind : {"text", "space", "newline", "chip"}
        A chip stands for something that cannot be seen at all.
    text : str
        What it is in a running text; empty for a chip.
    mark : str
        What shows it. The same as ``text`` for plain text.
    """

    kind: PartKind
    text: str
    mark: str


def visible_parts(token: TokenSpec) -> list[Part]:
    """Split a token into runs, each with what shows it.

    Parameters
    ----------
    token : TokenSpec

    Returns
    -------
    list of Part
        A special token is one chip with its vocabulary entry; so is a token without text of its
        own, which is a part of a character that takes several.
    """
    text, piece = token["text"], token["piece"]
    if token["special"]:
        return [_chip(_spelled(piece or text) or "∅")]
    if not text:
        return [_chip(f"⟨{_piece_name(piece)}⟩")]
    return _parts_of(text)


def visible_text(token: TokenSpec) -> str:
    """Give a token as it stands in a running text, with its own spaces and line breaks."""
    return "".join(
        f"{part.mark}\n" if part.kind == "newline" else part.text or part.mark
        for part in visible_parts(token)
    )


def visible_label(token: TokenSpec, most: int | None = None) -> str:
    """Give a token on one line, for labels and tables.

    Parameters
    ----------
    token : TokenSpec
    most : int, optional
        How many characters it may have; the end of a longer one becomes an ellipsis.

    Returns
    -------
    str
        Never empty. The space before a word is left out, any other is marked.
    """
    label = "".join(part.mark for part in visible_parts(token))
    if not token["special"] and token["text"].strip():
        label = re.sub(r"^·(?=[^·])", "", label)
        if unicodedata.category(label[0]).startswith("M"):
            label = f"◌{label}"
    return label if most is None or len(label) <= most else f"{label[: most - 1]}…"


def is_right_to_left(text: str) -> bool:
    """Say whether the first letter of a text is of a script written from right to left."""
    directions = (unicodedata.bidirectional(character) for character in text)
    return next((way in ("R", "AL") for way in directions if way in ("L", "R", "AL")), False)


def shown(text: str) -> str:
    """Give any text, such as a model's name, on one line without anything that cannot be seen."""
    return _spelled(text)


def _spelled(text: str) -> str:
    return "".join(part.mark if part.kind != "space" else " " for part in _parts_of(text))


def _parts_of(text: str) -> list[Part]:
    parts: list[Part] = []
    for at, character in enumerate(text):
        part = _visible_character(character, text[at - 1] if at else "", text[at + 1 : at + 2])
        if part.kind == "text" and parts and parts[-1].kind == "text":
            parts[-1] = _plain(parts[-1].text + part.text)
        else:
            parts.append(part)
    return parts


def _visible_character(character: str, before: str, after: str) -> Part:
    code, category = ord(character), unicodedata.category(character)
    if character == "\n":
        return Part("newline", "\n", "⏎")
    if character == "\t":
        return Part("space", "\t", "⇥")
    if character == " ":
        between_words = bool(before.strip(" ") and after.strip(" "))
        return _plain(" ") if between_words else Part("space", " ", "·")
    if category == "Zs":
        return Part("space", character, "⍽" if code == _NO_BREAK_SPACE else "␣")
    if code < 0x20:
        return _chip(chr(0x2400 + code))
    if code == 0x7F:
        return _chip("␡")
    # Inside a token a joiner shapes its neighbours: part of an emoji or of a script.
    if code in (0x200C, 0x200D) and before and after:
        return _plain(character)
    if 0xE0020 <= code <= 0xE007F and before:
        return _plain(character)
    if category in _INVISIBLE or code == _COMBINING_GRAPHEME_JOINER:
        return _chip(f"⟨{_NAMES.get(code, f'U+{code:04X}')}⟩")
    return _plain(character)


def _plain(text: str) -> Part:
    return Part("text", text, text)


def _chip(mark: str) -> Part:
    return Part("chip", "", mark)


def _piece_name(piece: str) -> str:
    """Name a part of a character: by its bytes where the vocabulary entry spells bytes."""
    byte = _BYTE_PIECE.fullmatch(piece)
    if byte:
        return byte[1]
    spelled = [_byte_of(character) for character in piece]
    known = [value for value in spelled if value is not None]
    if len(known) == len(spelled) and any(value > 0x7F for value in known):
        return " ".join(f"{value:02X}" for value in known)
    return _spelled(piece) or "∅"


def _is_printable_byte(code: int) -> bool:
    return 0x21 <= code <= 0x7E or 0xA1 <= code <= 0xAC or 0xAE <= code <= 0xFF


# Byte-level vocabularies write printable Latin-1 bytes as they are, and the other 68, in order, as
# the characters from U+0100 on (Radford et al., 2019, released code of GPT-2).
_OTHER_BYTES = [byte for byte in range(0x100) if not _is_printable_byte(byte)]


def _byte_of(character: str) -> int | None:
    code = ord(character)
    if _is_printable_byte(code):
        return code
    other = code - 0x100
    return _OTHER_BYTES[other] if 0 <= other < len(_OTHER_BYTES) else None
