"""Tokens become text: every character once, words whole, special tokens apart."""

from __future__ import annotations

import pytest
from transformers import PreTrainedTokenizerBase

import inseq_widget as iw
from inseq_widget.models.text import tokens_of_ids
from inseq_widget.results import Token

TEXTS = [
    "The nurse said that she was tired.",
    "unbelievably re-tokenised",
    "two  spaces\n\nand\ttabs ",
    "naïve café Zürich",
    "日本語のテキスト",
    "مرحبا بالعالم",
    "👩‍👩‍👧 family and 🏳️‍🌈",
    "e\u0301 combining and \u202e override",
    "<script>alert('x')</script> &amp;",
    "a" * 50,
]


def tokens(tokenizer: PreTrainedTokenizerBase, text: str) -> list[Token]:
    return tokens_of_ids(tokenizer, tokenizer(text)["input_ids"], "prompt")


@pytest.mark.parametrize("text", TEXTS)
def test_the_texts_of_the_tokens_join_to_the_text(
    tokenizer: PreTrainedTokenizerBase, text: str
) -> None:
    assert "".join(token.text for token in tokens(tokenizer, text)) == text


@pytest.mark.parametrize("text", [*TEXTS[:2], TEXTS[3]])
def test_the_texts_of_sentencepiece_tokens_join_to_the_text(
    bergamot: iw.AttributionModel, text: str
) -> None:
    *pieces, end = tokens(bergamot.tokenizer, text)
    assert end.special
    joined = "".join(token.text for token in pieces)
    assert joined == bergamot.tokenizer.decode([token.id for token in pieces])


def test_the_pieces_of_a_word_share_its_number(tokenizer: PreTrainedTokenizerBase) -> None:
    pieces = tokens(tokenizer, "It works unbelievably well")
    words: dict[int, str] = {}
    for token in pieces:
        words[token.word] = words.get(token.word, "") + token.text.strip()
    assert list(words.values()) == ["It", "works", "unbelievably", "well"]
    assert len(pieces) > len(words)


def test_the_parts_of_a_character_belong_to_its_word(tokenizer: PreTrainedTokenizerBase) -> None:
    pieces = tokens(tokenizer, "a 👧 b")
    parts = [token for token in pieces if not token.text]
    assert parts, "this character takes several tokens"
    whole = next(token for token in pieces if "👧" in token.text)
    assert {token.word for token in parts} == {whole.word}
    assert whole.word not in {token.word for token in pieces if token.text.strip() in ("a", "b")}


def test_special_tokens_are_marked_and_stand_for_themselves(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    ids = tokenizer("<|im_start|>user\nhi<|im_end|>")["input_ids"]
    first, *middle, last = tokens_of_ids(tokenizer, ids, "prompt")
    assert (first.special, first.text) == (True, "<|im_start|>")
    assert (last.special, last.text) == (True, "<|im_end|>")
    assert not any(token.special for token in middle)
    assert "".join(token.text for token in middle) == "user\nhi"
    assert len({first.word, middle[0].word, last.word}) == 3


def test_a_generated_token_reads_as_it_does_after_its_prompt(
    bergamot: iw.AttributionModel,
) -> None:
    ids = bergamot.tokenizer("Good morning, nurse")["input_ids"][:-1]
    whole = tokens_of_ids(bergamot.tokenizer, ids, "target")
    (last,) = tokens_of_ids(bergamot.tokenizer, ids[-1:], "target", context=ids[:-1])
    assert last.text == whole[-1].text
