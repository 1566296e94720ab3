"""Tokens are grouped by what the text says, whatever the tokenizer's marks."""

from __future__ import annotations

import pytest
from transformers import PreTrainedTokenizerBase

from inseq_widget.methods.features import Features, Spans, check_spans, features_of
from inseq_widget.models import Example
from inseq_widget.models.text import tokens_of_ids
from inseq_widget.results import Token


def tokens(texts: list[str], side: str, first: int = 0) -> tuple[Token, ...]:
    """Make tokens of texts; an entry in angle brackets is a special token."""
    made, word = [], -1
    for number, text in enumerate(texts):
        special = text.startswith("<")
        word += special or not made or text.startswith(" ") or made[-1].special
        made.append(Token(f"piece{number}", number, text, first + number, side, special, word))
    return tuple(made)


def prompted(prompt: list[str], generated: list[str]) -> Example:
    target = tokens(prompt, "prompt") + tokens(generated, "target", len(prompt))
    return Example((), target, len(prompt), len(prompt), len(target))


def grouped(features: Features, example: Example) -> list[str]:
    rows = {"source": example.source, "target": example.target}
    return ["".join(rows[stack][n].text for stack, n in group) for group in features.groups]


def prompt_groups(texts: list[str], spans: Spans) -> list[str]:
    example = prompted(texts, ["x"])
    return grouped(features_of(example, ["target"], spans), example)


def test_by_default_every_token_is_a_feature() -> None:
    texts = ["<s>", "A", " b", "b", "."]
    assert prompt_groups(texts, "tokens") == texts


def test_words_are_runs_of_text_and_special_tokens_stand_alone() -> None:
    assert prompt_groups(["<s>", "Un", "der", " it", "."], "words") == ["<s>", "Under", " it."]


def test_a_special_token_ends_a_sentence() -> None:
    turns = ["<user>", "What", " now", "<end>", "<reply>", "Nothing", "."]
    expected = ["<user>", "What now", "<end>", "<reply>", "Nothing."]
    assert prompt_groups(turns, "sentences") == expected


def test_an_empty_list_of_spans_is_refused() -> None:
    with pytest.raises(ValueError, match="spans: an empty list given"):
        check_spans([])


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["One", ".", " Two", "!", " Three"], ["One.", " Two!", " Three"]),
        (["He", " said", ' "', "No", '."', " She", " left", "."], ['He said "No."', " She left."]),
        (["See", " e", ".g.", " this", " 3", ".5", "."], ["See e.g. this 3.5."]),
        (["Title", "\n", "Text", " here"], ["Title\n", "Text here"]),
        (
            ["今日", "は", "晴", "れ", "。", "明日", "は", "雨", "。"],
            ["今日は晴れ。", "明日は雨。"],
        ),
        (["Er", " kam", "?", " Ölig", "."], ["Er kam?", " Ölig."]),
        (["ठीक", " है", "।", " चलो", "।"], ["ठीक है।", " चलो।"]),
        (["A", ".", "<sep>", " B", "."], ["A.", "<sep>", " B."]),
    ],
)
def test_sentences_end_where_the_text_says_so(texts: list[str], expected: list[str]) -> None:
    assert prompt_groups(texts, "sentences") == expected


def test_lines_and_documents_end_at_line_ends_and_blank_lines() -> None:
    texts = ["a", " b", "\n", "c", "\n\n", "d", " \n", "e"]
    assert prompt_groups(texts, "lines") == ["a b\n", "c\n\n", "d \n", "e"]
    assert prompt_groups(texts, "documents") == ["a b\nc\n\n", "d \ne"]


def test_a_token_belongs_where_its_first_visible_character_does() -> None:
    assert prompt_groups(["a", ".", "  B", " c.", "\n D"], "sentences") == [
        "a.",
        "  B c.",
        "\n D",
    ]


def test_the_parts_of_a_character_belong_where_the_character_does() -> None:
    example = prompted(["a", "。", "", "", "猫", "。"], ["x"])
    features = features_of(example, ["target"], "sentences")
    assert [len(group) for group in features.groups] == [2, 4]


def test_prompt_and_generated_tokens_are_never_one_feature() -> None:
    example = prompted(["She", " was"], [" tired", ".", " Very", " x"])
    features = features_of(example, ["target"], "sentences")
    assert grouped(features, example) == ["She was", " tired.", " Very"]


def test_source_and_target_are_never_one_feature() -> None:
    example = Example(
        tokens(["A", " b", "."], "source"), tokens(["<s>", "C", " d"], "target"), 1, 1, 3
    )
    assert grouped(features_of(example, ["source"], "words"), example) == ["A", " b."]
    both = features_of(example, ["source", "target"], "words")
    assert grouped(both, example) == ["A", " b.", "<s>", "C"]


def test_given_offsets_count_characters_of_the_prompt_without_special_tokens() -> None:
    texts = ["<s>", "One", " two", " three", " four"]
    assert prompt_groups(texts, [(8, 13), (0, 3)]) == [" three", "One"]
    assert prompt_groups(texts, [(4, 9)]) == [" two three"]


def test_offsets_that_hold_no_token_are_refused() -> None:
    with pytest.raises(ValueError, match=r"spans: no token begins between 30 and 40.*6 characters"):
        prompt_groups(["abc", " de"], [(30, 40)])


@pytest.mark.parametrize(
    ("spans", "error"),
    [
        ("clauses", ValueError),
        ([(3, 3)], ValueError),
        ([(-1, 2)], ValueError),
        ([(0, 4), (3, 5)], ValueError),
        (["one"], TypeError),
        (7, TypeError),
    ],
)
def test_what_groups_nothing_is_refused(spans: object, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^spans:"):
        check_spans(spans)


def test_the_members_of_features_are_marked_by_stack() -> None:
    features = Features(((("target", 0), ("target", 2)), (("source", 1),)))
    assert features.members("target", 3).tolist() == [[True, False, True], [False] * 3]
    assert features.members("source", 2).tolist() == [[False] * 2, [False, True]]


def test_real_tokens_group_into_the_sentences_of_their_text(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    sentences = ["The nurse was tired.", " She slept! ", "猫が好きです。", "犬もね。"]
    ids = tokenizer("".join(sentences))["input_ids"]
    target = tokens_of_ids(tokenizer, ids, "prompt")
    example = Example((), (*target, target[0]), len(ids), len(ids), len(ids) + 1)
    groups = grouped(features_of(example, ["target"], "sentences"), example)
    assert "".join(groups) == "".join(sentences)
    assert [group.strip() for group in groups] == [sentence.strip() for sentence in sentences]
