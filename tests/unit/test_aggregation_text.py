"""Subwords, words, sentences and patterns are found in the text, whatever the tokenizer's marks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import regex
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from inseq_widget.models.text import tokens_of_ids
from inseq_widget.results import Token
from inseq_widget.results.aggregation.token_groups import (
    divided,
    ends_of,
    marked_spans,
    matching_spans,
    sentence_spans,
    split_spans,
    subword_spans,
    word_spans,
)
from tests.unit.aggregable import causal, pieces, texts_of, translated

Spans = Sequence[tuple[int, int]]
TEXTS = {
    "english": "The nurses weren't tired. Unbelievable! They re-read it 3.5 times.",
    "german": "Die Krankenschwester schläft. Ölig? Ja, sehr.",
    "chinese": "今天天气很好。我们去公园吧！",
    "japanese": "看護師は疲れていた。カタカナも読む。",
    "arabic": "قالت الممرضة إنها متعبة. هل نامت؟",
    "hebrew": "האחות אמרה שהיא עייפה. היא ישנה.",
    "thai": "สวัสดีครับ วันนี้อากาศดี",
    "hindi": "नर्स थकी हुई थी। वह सो गई।",
    "emoji": "A 👩‍👩‍👧 family. A 🏳️‍🌈 flag 🇵🇹🇧🇷! 👍🏽 ok",
    "combining": "e\u0301te\u0301 nai\u0308ve. Z\u0351\u036balgo",
    "lines": "Title\nText here\n\nMore  text",
}
WORDS = {
    "english": "The nurses weren't tired . Unbelievable ! They re - read it 3.5 times .",
    "german": "Die Krankenschwester schläft . Ölig ? Ja , sehr .",
    "arabic": "قالت الممرضة إنها متعبة . هل نامت ؟",
    "hebrew": "האחות אמרה שהיא עייפה . היא ישנה .",
    "hindi": "नर्स थकी हुई थी । वह सो गई ।",
    "emoji": "A 👩‍👩‍👧 family . A 🏳️‍🌈 flag 🇵🇹 🇧🇷 ! 👍🏽 ok",
    "combining": "e\u0301te\u0301 nai\u0308ve . Z\u0351\u036balgo",
}
SENTENCES = {
    "english": ["The nurses weren't tired.", "Unbelievable!", "They re-read it 3.5 times."],
    "german": ["Die Krankenschwester schläft.", "Ölig?", "Ja, sehr."],
    "chinese": ["今天天气很好。", "我们去公园吧！"],
    "japanese": ["看護師は疲れていた。", "カタカナも読む。"],
    "arabic": ["قالت الممرضة إنها متعبة.", "هل نامت؟"],
    "hebrew": ["האחות אמרה שהיא עייפה.", "היא ישנה."],
    "hindi": ["नर्स थकी हुई थी।", "वह सो गई।"],
}


def wrapped(tokenizer: tokenizers.Tokenizer) -> PreTrainedTokenizerBase:
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="</s>")


def word_piece() -> PreTrainedTokenizerBase:
    tokenizer = tokenizers.Tokenizer(models.WordPiece(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.decoder = decoders.WordPiece(cleanup=False)
    trainer = trainers.WordPieceTrainer(vocab_size=250, special_tokens=["<unk>", "</s>"])
    tokenizer.train_from_iterator(TEXTS.values(), trainer)
    return wrapped(tokenizer)


def unigram() -> PreTrainedTokenizerBase:
    tokenizer = tokenizers.Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=230, special_tokens=["<unk>", "</s>"], unk_token="<unk>"
    )
    tokenizer.train_from_iterator(TEXTS.values(), trainer)
    return wrapped(tokenizer)


def characters() -> PreTrainedTokenizerBase:
    letters = sorted(set("".join(TEXTS.values())))
    vocabulary = {letter: number for number, letter in enumerate(["<unk>", "</s>", *letters])}
    tokenizer = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(tokenizers.Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return wrapped(tokenizer)


def bytes_alone() -> PreTrainedTokenizerBase:
    tokenizer = tokenizers.Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=258, special_tokens=["<unk>", "</s>"], initial_alphabet=alphabet
    )
    tokenizer.train_from_iterator([], trainer)
    return wrapped(tokenizer)


@pytest.fixture(
    scope="module", params=["byte-level BPE", "WordPiece", "Unigram", "characters", "bytes"]
)
def any_tokenizer(
    request: pytest.FixtureRequest, tokenizer: PreTrainedTokenizerBase
) -> PreTrainedTokenizerBase:
    make: dict[str, Callable[[], PreTrainedTokenizerBase]] = {
        "byte-level BPE": lambda: tokenizer,
        "WordPiece": word_piece,
        "Unigram": unigram,
        "characters": characters,
        "bytes": bytes_alone,
    }
    return make[request.param]()


def encoded(tokenizer: PreTrainedTokenizerBase, text: str) -> list[Token]:
    tokens = tokens_of_ids(
        tokenizer, tokenizer(text, add_special_tokens=False)["input_ids"], "source"
    )
    if not any(token.special for token in tokens):
        shown = "".join(text.split())
        assert "".join("".join(token.text for token in tokens).split()) == shown
    return tokens


def joined(tokens: Sequence[Token], spans: Spans) -> list[str]:
    """Join the texts of spans that cover all tokens, without space around and without spaces."""
    assert [start for start, _ in spans] == [0, *(end for _, end in spans[:-1])]
    assert not spans or spans[-1][1] == len(tokens)
    texts = ("".join(token.text for token in tokens[start:end]).strip() for start, end in spans)
    return [text for text in texts if text]


@pytest.mark.parametrize("language", WORDS)
def test_words_are_whole_for_every_tokenizer(
    any_tokenizer: PreTrainedTokenizerBase, language: str
) -> None:
    tokens = encoded(any_tokenizer, TEXTS[language])
    assert not any(token.special for token in tokens), "the tokenizer knows every character"
    words = joined(tokens, word_spans(tokens))
    # A token such as "!!" or "m." is never cut.
    whole = {token.text.strip() for token in tokens}
    expected = WORDS[language].split()
    assert "".join(words) == "".join(expected)
    assert {word for word in words if word not in expected} <= whole


@pytest.mark.parametrize("language", SENTENCES)
def test_sentences_are_whole_for_every_tokenizer(
    any_tokenizer: PreTrainedTokenizerBase, language: str
) -> None:
    tokens = encoded(any_tokenizer, TEXTS[language])
    assert joined(tokens, sentence_spans(tokens)) == SENTENCES[language]


@pytest.mark.parametrize("language", TEXTS)
def test_subwords_are_runs_without_space_for_every_tokenizer(
    any_tokenizer: PreTrainedTokenizerBase, language: str
) -> None:
    tokens = encoded(any_tokenizer, TEXTS[language])
    assert joined(tokens, subword_spans(tokens)) == TEXTS[language].split()


@pytest.mark.parametrize("language", TEXTS)
def test_words_never_cut_a_visible_character(
    any_tokenizer: PreTrainedTokenizerBase, language: str
) -> None:
    tokens = encoded(any_tokenizer, TEXTS[language])
    text = "".join(token.text for token in tokens)
    starts = {match.start() for match in regex.finditer(r"\X", text)} | {len(text)}
    position = 0
    for start, end in word_spans(tokens):
        assert position in starts
        position += sum(len(token.text) for token in tokens[start:end])
    assert position == len(text)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["今", "天", "天", "气"], ["今", "天", "天", "气"]),
        (["今天", "天气"], ["今天", "天气"]),
        (["カ", "タ", "カ", "ナ", "も"], ["カタカナ", "も"]),
        ([" a", " ", " b"], ["a", "b"]),
        ([" don", "'", "t"], ["don't"]),
        (["A", "<sep>", "B"], ["A", "<sep>", "B"]),
    ],
)
def test_words_of_tokens(texts: list[str], expected: list[str]) -> None:
    tokens = pieces(texts, "source")
    assert joined(tokens, word_spans(tokens)) == expected


def test_prompt_and_generated_tokens_are_one_word_for_subwords_alone() -> None:
    target = causal([[1.0]] * 3, [" un", "believ"], ["able", " it"]).target
    for spans in (word_spans, sentence_spans):
        assert (2, 2) not in spans(target)
        assert any(start == 2 for start, _ in spans(target))
    assert subword_spans(target) == [(0, 3), (3, 4)]


def test_special_tokens_stand_alone_and_parts_go_with_their_character() -> None:
    tokens = pieces(["<s>", "a", "", "", "👧", "<e>", "", "b"], "source")
    for spans in (word_spans(tokens), sentence_spans(tokens), subword_spans(tokens)):
        assert {(0, 1), (5, 6), (6, 8)} <= set(spans)
    assert (1, 2) in word_spans(tokens)
    assert (2, 5) in word_spans(tokens)


def test_parts_that_nothing_completes_stand_alone() -> None:
    tokens = pieces(["a", "", "", "<e>"], "source")
    assert word_spans(tokens) == [(0, 1), (1, 2), (2, 3), (3, 4)]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"New York", [(1, 3)]),
        (r"\p{Lu}\w+", [(0, 1), (1, 2), (2, 3)]),
        (r"\bis\b|ty", [(5, 6)]),
        (r"York a", [(2, 4)]),
        (r"x*", []),
        (r"<s>", []),
    ],
)
def test_a_pattern_joins_the_tokens_that_begin_in_its_matches(
    pattern: str, expected: list[tuple[int, int]]
) -> None:
    tokens = pieces(["The", " New", " York", " a", " ci", "ty", " <s>", "<s>"], "source")
    tokens[-2] = pieces([" <"], "source", 6)[0]
    assert matching_spans(tokens, regex.compile(pattern)) == expected


def test_two_matches_in_one_token_are_one_span() -> None:
    tokens = pieces(["aa", "ab", "b"], "source")
    assert matching_spans(tokens, regex.compile("a")) == [(0, 1), (1, 2)]
    assert matching_spans(tokens, regex.compile("bb|a")) == [(0, 1), (1, 2), (2, 3)]


SPLIT = ["Hello", ",", " world", ".", " I", " am", ".", ".", " ok"]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("single", [(0, 3), (3, 4), (4, 6), (6, 7), (7, 8), (8, 9)]),
        ("start", [(0, 3), (3, 6), (6, 7), (7, 9)]),
        ("end", [(0, 4), (4, 7), (7, 8), (8, 9)]),
    ],
)
def test_split_cuts_at_the_tokens_of_matches(mode: str, expected: Spans) -> None:
    assert split_spans(pieces(SPLIT, "source"), regex.compile(r"\."), mode) == expected


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("single", [(0, 1), (1, 3), (3, 5), (5, 6), (6, 7), (7, 9)]),
        ("start", [(0, 1), (1, 3), (3, 6), (6, 7), (7, 9)]),
        ("end", [(0, 3), (3, 5), (5, 7), (7, 9)]),
    ],
)
def test_a_match_may_touch_several_tokens(mode: str, expected: Spans) -> None:
    assert split_spans(pieces(SPLIT, "source"), regex.compile(r"[.,] ?"), mode) == expected


def test_a_token_that_two_matches_touch_is_a_part_of_its_own() -> None:
    tokens = pieces(["ab", "cd", "ef"], "source")
    assert split_spans(tokens, regex.compile("bc|de"), "single") == [(0, 1), (1, 2), (2, 3)]
    assert split_spans(tokens, regex.compile("c|d"), "single") == [(0, 1), (1, 2), (2, 3)]


def test_split_finds_a_tokenizers_marks_and_special_tokens() -> None:
    tokens = [
        Token(f"▁{text}" if text[0] == " " else text, 0, text, place, "source", False, 0)
        for place, text in enumerate([" a", "b", " c"])
    ]
    assert split_spans(tokens, regex.compile("▁"), "start") == [(0, 2), (2, 3)]
    assert split_spans(tokens, regex.compile("Ġ"), "start") == []
    turns = pieces(["<u>", "a", " b", "<u>", "c"], "source")
    assert split_spans(turns, regex.compile("<u>"), "start") == [(0, 3), (3, 5)]


@pytest.mark.parametrize(
    ("names", "marks", "is_suffix", "expected"),
    [
        (["▁phen", "omen", "al", "▁a"], ("▁",), False, [(0, 3), (3, 4)]),
        (["▁a", "▁phen", "omen", "al"], ("▁",), False, [(0, 1), (1, 4)]),
        (["Hello", "Ġwor", "ld", "Ċ", "x"], ("Ġ", "Ċ"), False, [(0, 1), (1, 3), (3, 5)]),
        (["phen", "##omen", "##al", "a"], ("##",), True, [(0, 3), (3, 4)]),
        (["▁a", "b", "</s>"], ("▁",), False, [(0, 2), (2, 3)]),
    ],
)
def test_marks_find_the_last_word_too(
    names: list[str], marks: tuple[str, ...], is_suffix: bool, expected: Spans
) -> None:
    tokens = [
        Token(name, 0, name, place, "source", name == "</s>", 0) for place, name in enumerate(names)
    ]
    assert marked_spans(tokens, marks, is_suffix) == expected


def test_lines_are_cut_behind_a_pattern() -> None:
    tokens = pieces(["a", " b", "\n", "c"], "source")
    assert divided(tokens, ends_of(regex.compile("\n"))) == [(0, 3), (3, 4)]


def test_aggregators_join_by_text_on_both_sides() -> None:
    values = np.arange(1.0, 21).reshape(5, 4)
    sequence = translated(values, [" un", "der", " it", "!", "<e>"], [" a", "b", ".", " C"])
    cases = {
        "subwords": ([" under", " it!", "<e>"], [" ab.", " C"]),
        "words": ([" under", " it", "!", "<e>"], [" ab", ".", " C"]),
        "sentences": ([" under it!", "<e>"], [" ab.", " C"]),
    }
    for name, (source, target) in cases.items():
        result = sequence.aggregate(name, "sum")
        assert texts_of(result.source) == source
        assert texts_of(result.steps) == target
        assert result.kept["raw"].sum() == values.sum()
        alone = sequence.aggregate(name, aggregate_target=False)
        assert (texts_of(alone.source), len(alone.steps)) == (source, 4)
        assert texts_of(sequence.aggregate(name, aggregate_source=False).inputs) == texts_of(
            sequence.source
        )
    result = sequence.aggregate("regex", pattern="under it|b[.]")
    assert texts_of(result.source) == [" under it", "!", "<e>"]
    assert texts_of(result.steps) == [" a", "b.", " C"]
    result = sequence.aggregate("split", split_pattern="!|b", split_mode="end")
    assert texts_of(result.source) == [" under it!", "<e>"]
    assert texts_of(result.target) == ["<s> ab", ". C"]
    result = sequence.aggregate("subwords", special_chars=(" ", "<"))
    assert texts_of(result.source) == [" under", " it!", "<e>"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"aggregator": "split"}, "split_pattern: None given; pass a regular expression"),
        ({"aggregator": "regex"}, "pattern: None given; pass a regular expression"),
        ({"aggregator": "regex", "pattern": "("}, r"pattern: '\(' is no regular expression"),
        (
            {"aggregator": "split", "split_pattern": "a", "split_mode": "both"},
            "split_mode: 'both' given; choose one of single, start, end",
        ),
        ({"aggregator": "subwords", "special_chars": ""}, "special_chars: '' given"),
        ({"aggregator": "subwords", "is_suffix_symbol": True}, "without special_chars"),
    ],
)
def test_what_finds_no_groups_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        causal([[1.0]], ["a"], [" b"]).aggregate(**arguments)


def test_marks_that_no_token_has_are_warned_of() -> None:
    sequence = causal([[1.0], [2.0]], ["a", "b"], [" c"])
    with pytest.warns(UserWarning, match="special_chars: no token begins with 'Ġ' or 'Ċ'"):
        result = sequence.aggregate("subwords", special_chars=("Ġ", "Ċ"))
    assert texts_of(result.target) == ["a", "b", " c"]
