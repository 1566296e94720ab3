"""Guesses the texts of tokens from their vocabulary entries, where no tokenizer is at hand.

Inseq's files name the entries alone. Each kind of tokenizer marks in them where words begin or
end, and how: see :func:`marking_of`.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Sequence
from typing import Literal

from inseq_widget.results.tokens import Side, Token
from inseq_widget.results.words import with_words

Marking = Literal["sentencepiece", "byte_level", "word_end", "continued", "wordpiece", "none"]

_SPECIAL = re.compile(r"<\|.+\|>|</?[A-Za-z][\w:-]*>|<[｜|].+[｜|]>|\[[A-Z]{3,}\d*\]")
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")


def _byte_level_alphabet() -> dict[str, int]:
    """Give the byte behind each character of byte-level entries (Radford et al. 2019, GPT-2).

    Bytes that are visible characters in Latin-1 stand for themselves; the others, in order, are
    the characters from U+0100 on.
    """
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in visible]
    return {chr(byte): byte for byte in visible} | {
        chr(0x100 + number): byte for number, byte in enumerate(others)
    }


_BYTES = _byte_level_alphabet()


def is_special(piece: str) -> bool:
    """Tell whether an entry looks like a special token, such as ``</s>`` or ``[CLS]``.

    Parameters
    ----------
    piece : str

    Returns
    -------
    bool
    """
    return _SPECIAL.fullmatch(piece) is not None and _BYTE.fullmatch(piece) is None


def marking_of(pieces: Iterable[str]) -> Marking:
    """Tell how a tokenizer marks words in its entries.

    Parameters
    ----------
    pieces : iterable of str
        As many as there are.

    Returns
    -------
    str
        ``"sentencepiece"`` where one has ``▁``; else ``"byte_level"`` where one has ``Ġ`` or
        ``Ċ``; else ``"word_end"`` for ``</w>``, ``"continued"`` for ``@@`` at an end,
        ``"wordpiece"`` for ``##`` at a beginning; else ``"byte_level"`` where all of them are
        bytes of some text that is not plain ASCII; else ``"none"``.
    """
    ordinary = [piece for piece in pieces if not is_special(piece)]
    if any("▁" in piece for piece in ordinary):
        return "sentencepiece"
    if any("Ġ" in piece or "Ċ" in piece for piece in ordinary):
        return "byte_level"
    if any(piece.endswith("</w>") for piece in ordinary):
        return "word_end"
    if any(piece.endswith("@@") and piece != "@@" for piece in ordinary):
        return "continued"
    if any(piece.startswith("##") and piece != "##" for piece in ordinary):
        return "wordpiece"
    return "byte_level" if _are_bytes(ordinary) else "none"


def _are_bytes(pieces: Sequence[str]) -> bool:
    joined = "".join(pieces)
    if joined.isascii() or any(character not in _BYTES for character in joined):
        return False
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        decoder.decode(bytes(_BYTES[character] for character in joined))
    except UnicodeDecodeError:
        return False
    return True


def tokens_of_pieces(
    entries: Sequence[tuple[str, int]], sides: Sequence[Side], marking: Marking
) -> list[Token]:
    """Make tokens of vocabulary entries.

    Parameters
    ----------
    entries : sequence of (str, int), (token,)
        Entries with their ids.
    sides : sequence of {"source", "prompt", "target"}, (token,)
    marking : str
        See :func:`marking_of`.

    Returns
    -------
    list of Token, (token,)
        Where several make one character, the last of them has it and the others an empty text.
    """
    pieces = [piece for piece, _ in entries]
    special = [is_special(piece) for piece in pieces]
    texts = _texts(pieces, special, marking)
    tokens = [
        Token(piece, token_id, text, position, side, is_one, word=0)
        for position, ((piece, token_id), text, side, is_one) in enumerate(
            zip(entries, texts, sides, special, strict=True)
        )
    ]
    return with_words(tokens)


def _texts(pieces: Sequence[str], special: Sequence[bool], marking: Marking) -> list[str]:
    """Give what each entry adds to the text; runs between special tokens are read alone."""
    texts = list(pieces)
    start = 0
    for position in range(len(pieces) + 1):
        if position < len(pieces) and not special[position]:
            continue
        run = pieces[start:position]
        if marking == "byte_level":
            texts[start:position] = _joined_bytes([_as_bytes(piece) for piece in run])
        elif marking == "sentencepiece":
            texts[start:position] = _of_sentencepiece(run)
        elif marking != "none":
            texts[start:position] = _of_words(run, marking)
        start = position + 1
    first = next((n for n, is_one in enumerate(special) if not is_one), None)
    if marking == "sentencepiece" and first is not None:
        # Its decoders drop the space that they put before the whole text.
        texts[first] = texts[first].removeprefix(" ")
    return texts


def _as_bytes(piece: str) -> bytes:
    return b"".join(
        bytes([_BYTES[character]]) if character in _BYTES else character.encode("utf-8", "replace")
        for character in piece
    )


def _of_sentencepiece(run: Sequence[str]) -> list[str]:
    parts = []
    for piece in run:
        byte = _BYTE.fullmatch(piece)
        text = piece.replace("▁", " ").encode("utf-8", "replace")
        parts.append(bytes([int(byte.group(1), 16)]) if byte else text)
    return _joined_bytes(parts)


def _joined_bytes(parts: Sequence[bytes]) -> list[str]:
    """Decode bytes part by part; what is no text becomes a replacement character."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    last = len(parts) - 1
    return [decoder.decode(part, final=number == last) for number, part in enumerate(parts)]


def _of_words(run: Sequence[str], marking: Marking) -> list[str]:
    """Put a space before each entry that begins a word, but for the first."""
    texts: list[str] = []
    begins = False
    for piece in run:
        if marking == "word_end":
            text, space = piece.replace("</w>", " ").rstrip(" "), begins
            begins = piece.endswith("</w>")
        elif marking == "continued":
            text, space = piece.replace("@@", ""), begins
            begins = not piece.endswith("@@")
        else:
            text, space = piece.replace("##", ""), bool(texts) and not piece.startswith("##")
        texts.append(f" {text}" if space else text)
    return texts
