"""Texts are aligned by a sentence encoder as a plain loop over its hidden states aligns them."""

from __future__ import annotations

import copy
import itertools
import math
import random
import re
from pathlib import Path

import pytest
import torch
from transformers import BertModel, PreTrainedTokenizerBase, T5Config, T5EncoderModel, T5Model

import inseq_widget as iw
from inseq_widget.models.text import tokens_of_ids
from inseq_widget.results import Token
from inseq_widget.scores.embedding_alignment import AlignmentEncoder, read_encoder
from tests.unit.sentence_encoder import (
    N_LAYERS,
    VOCABULARY,
    WORDS,
    encoder_of_words,
    encoder_tokenizer,
    tiny_encoder,
)

LEAST = 1e-3


@pytest.fixture(scope="module")
def pieces() -> PreTrainedTokenizerBase:
    return encoder_tokenizer()


def hidden_by_word(
    model: BertModel, pieces: PreTrainedTokenizerBase, text: str, layer: int
) -> list[tuple[str, list[torch.Tensor]]]:
    """Tokenise word by word, and give the hidden states of each word's tokens."""
    words = [word for word in re.split(r"\s+|\b", text) if word]
    split = [pieces(word, add_special_tokens=False)["input_ids"] for word in words]
    ids = [VOCABULARY["[CLS]"], *itertools.chain(*split), VOCABULARY["[SEP]"]]
    with torch.no_grad():
        states = model(torch.tensor([ids]), output_hidden_states=True).hidden_states[layer][0]
    rows = iter(states[1:-1])
    return [(word, [next(rows) for _ in own]) for word, own in zip(words, split, strict=True)]


def naive_word_pairs(
    model: BertModel, pieces: PreTrainedTokenizerBase, first: str, second: str, layer: int
) -> set[tuple[int, int]]:
    """Compare every token with every other, one pair at a time."""
    sides = [hidden_by_word(model, pieces, text, layer) for text in (first, second)]
    ours, theirs = (
        [(n, state) for n, (_, states) in enumerate(side) for state in states] for side in sides
    )
    similar = [[float(a @ b) for _, b in theirs] for _, a in ours]
    forwards = [sum(map(math.exp, row)) for row in similar]
    back = [sum(math.exp(row[m]) for row in similar) for m in range(len(theirs))]
    found = set()
    for n, (word, _) in enumerate(ours):
        for m, (other, _) in enumerate(theirs):
            if min(math.exp(similar[n][m]) / total for total in (forwards[n], back[m])) > LEAST:
                found.add((word, other))
    return found


def naive_places(
    pairs: set[tuple[int, int]],
    target: list[list[int]],
    contrast: list[list[int]],
    sizes: list[int],
) -> list[int]:
    """Give each target token the first free token of the words that belong to its own."""
    places, taken = [], set()
    for position in range(sizes[0]):
        choices = [
            place for n, m in sorted(pairs) if position in target[n] for place in contrast[m]
        ]
        free = [place for place in choices if place not in taken]
        if choices:
            taken.add((free or choices)[0])
            places.append((free or choices)[0])
        else:
            places.append(position - sizes[0] + sizes[1])
    return places


def texts() -> list[tuple[str, str]]:
    draw = random.Random(1)
    chosen = []
    for _ in range(6):
        one, other = (
            " ".join(draw.choices([*WORDS, "nurse,", "hello.", "nothat...", "saido"], k=n))
            for n in (draw.randint(3, 9), draw.randint(3, 9))
        )
        chosen.append((one, other))
    return chosen


@pytest.mark.parametrize("layer", range(N_LAYERS + 1))
def test_words_are_paired_as_a_loop_over_all_of_them_pairs_them(
    pieces: PreTrainedTokenizerBase, layer: int
) -> None:
    model = tiny_encoder()
    encoder = AlignmentEncoder(model, pieces, layer)
    counts = []
    for first, second in texts():
        words = [[w.span() for w in re.finditer(r"\w+|[^\w\s]+", t)] for t in (first, second)]
        expected = naive_word_pairs(model, pieces, first, second, layer)
        found = encoder.word_pairs(first, second)
        assert found == sorted((words[0][n], words[1][m]) for n, m in expected)
        counts.append(len(found) / len(words[0]) / len(words[1]))
    assert 0 < sum(counts) / len(counts) < 0.9  # some belong together, and not all of them


def target_tokens(tokenizer: PreTrainedTokenizerBase, text: str) -> list[Token]:
    return tokens_of_ids(tokenizer, tokenizer(text)["input_ids"], "target")


def tokens_by_word(tokens: list[Token], text: str) -> list[list[int]]:
    """List the tokens of each word, by the characters that they add to the text."""
    owners, position = [], 0
    for token in tokens:
        owners.append(range(position, position + len(token.text)))
        position += len(token.text)
    return [
        [n for n, characters in enumerate(owners) if set(characters) & set(range(*word.span()))]
        for word in re.finditer(r"\w+|[^\w\s]+", text)
    ]


def test_pairs_of_words_reach_the_tokens_of_the_model(
    pieces: PreTrainedTokenizerBase, tokenizer: PreTrainedTokenizerBase
) -> None:
    model = tiny_encoder()
    encoder = AlignmentEncoder(model, pieces, 2)
    several = 0
    for first, second in texts():
        sides = [target_tokens(tokenizer, text) for text in (first, second)]
        pairs = naive_word_pairs(model, pieces, first, second, 2)
        by_word = [tokens_by_word(t, text) for t, text in zip(sides, (first, second), strict=True)]
        several += any(len(own) > 1 for own in by_word[0])
        assert encoder.aligned(*sides) == naive_places(pairs, *by_word, [len(s) for s in sides])
    assert several  # words of several of the model's tokens


@pytest.mark.parametrize("order", [[2, 0, 3, 1], [3, 2, 1, 0], [0, 1, 2, 3]])
def test_the_same_words_in_another_order_find_each_other(
    pieces: PreTrainedTokenizerBase, tokenizer: PreTrainedTokenizerBase, order: list[int]
) -> None:
    # Embeddings that do not depend on the place: a word is like itself and like no other.
    encoder = AlignmentEncoder(encoder_of_words(), pieces, 0)
    words = [" nurse", " said", " that", " tired"]
    first, second = (
        [target_tokens(tokenizer, word)[0] for word in row]
        for row in (words, [words[n] for n in order])
    )
    assert encoder.aligned(first, second) == [order.index(n) for n in range(4)]


def test_a_word_without_a_counterpart_is_counted_from_the_end(
    pieces: PreTrainedTokenizerBase, tokenizer: PreTrainedTokenizerBase
) -> None:
    encoder = AlignmentEncoder(encoder_of_words(), pieces, 0)
    first = target_tokens(tokenizer, "the nurse was very tired")
    second = target_tokens(tokenizer, "the was tired")
    # "nurse" and "very" are like nothing there: they take what stands as far from the end.
    assert encoder.aligned(first, second) == [0, -1, 1, 1, 2]


def test_special_tokens_belong_together_in_order(
    pieces: PreTrainedTokenizerBase, tokenizer: PreTrainedTokenizerBase
) -> None:
    encoder = AlignmentEncoder(encoder_of_words(), pieces, 0)
    first, second = (
        target_tokens(tokenizer, text)
        for text in ("the nurse<|im_end|> tired", "nurse the<|im_end|> was not tired")
    )
    assert [token.special for token in first] == [False, False, True, False]
    assert [token.text for token in second[:3]] == ["n", "urse", " the"]
    assert encoder.aligned(first, second) == [2, 0, 3, 6]


def test_parts_of_a_character_stand_with_it(
    pieces: PreTrainedTokenizerBase, tokenizer: PreTrainedTokenizerBase
) -> None:
    encoder = AlignmentEncoder(encoder_of_words(), pieces, 0)
    first, second = (target_tokens(tokenizer, text) for text in ("the 好 nurse", "the nurse 好"))
    assert [token.text for token in first] == ["the", "", "", " 好", " nurse"]
    assert [token.text for token in second] == ["the", " nurse", "", "", " 好"]
    assert encoder.aligned(first, second) == [0, 2, 3, 4, 1]


def aligned(tiny: iw.AttributionModel, encoder: object, layer: int | None = None) -> list[str]:
    (sequence,) = tiny.attribute(
        "the",
        "the nurse said that she was tired",
        "dummy",
        contrast_targets="the tired doctor said that he was",
        contrast_targets_alignments="auto",
        alignment_encoder=encoder,
        alignment_layer=layer,
        step_scores=["contrast_prob"],
        show_progress=False,
    )
    return [token.text for token in sequence.foil_tokens]


def test_attribute_takes_an_encoder_and_leaves_it_as_it_was(
    tiny: iw.AttributionModel, pieces: PreTrainedTokenizerBase
) -> None:
    encoder = encoder_of_words().train()
    found = aligned(tiny, (encoder, pieces), 0)
    # "nurse" and "she" are as like each of the words that are left.
    assert found == [" doctor", " said", " that", " he", " was", " tired"]
    assert all(module.training for module in encoder.modules())
    assert all(parameter.requires_grad for parameter in encoder.parameters())
    assert not encoder.config.output_hidden_states


def test_an_encoder_is_loaded_from_its_folder(
    tiny: iw.AttributionModel, pieces: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    encoder_of_words().save_pretrained(tmp_path)
    pieces.save_pretrained(tmp_path)
    expected = [" doctor", " said", " that", " he", " was", " tired"]
    assert aligned(tiny, str(tmp_path), 0) == aligned(tiny, tmp_path, 0) == expected


def test_of_an_encoder_decoder_model_the_encoder_is_taken(
    pieces: PreTrainedTokenizerBase,
) -> None:
    config = T5Config(
        vocab_size=len(VOCABULARY), d_model=8, d_kv=4, d_ff=8, num_layers=2, num_heads=2
    )
    whole = T5Model(config).eval()
    alone = T5EncoderModel(copy.deepcopy(config)).eval()
    alone.load_state_dict(whole.state_dict(), strict=False)
    sentences = ("the nurse said", "the doctor was tired")
    found = [read_encoder((model, pieces), 1).word_pairs(*sentences) for model in (whole, alone)]
    assert found[0] == found[1]


def test_what_cannot_align_is_refused(
    tiny: iw.AttributionModel,
    pieces: PreTrainedTokenizerBase,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoder = tiny_encoder()

    def run(*_: object, **__: object) -> None:
        pytest.fail("the model ran before the input was refused")

    monkeypatch.setattr(tiny.model, "forward", run)
    with pytest.raises(TypeError, match=r"alignment_encoder: a BertModel without its tokenizer"):
        aligned(tiny, encoder)
    with pytest.raises(TypeError, match=r"alignment_encoder: \(\w+, BertModel\) given; pass a hub"):
        aligned(tiny, (pieces, encoder))
    with pytest.raises(ValueError, match=r"alignment_layer: 8 is the default, but .* 3 layers"):
        aligned(tiny, (encoder, pieces))
    with pytest.raises(ValueError, match=r"alignment_layer: 4 given, but the encoder has 3 layers"):
        aligned(tiny, (encoder, pieces), 4)
    for wrong in (-1, True, "2"):
        with pytest.raises(ValueError, match=rf"alignment_layer: {wrong!r} given"):
            aligned(tiny, (encoder, pieces), wrong)
    with pytest.raises(ValueError, match=r"alignment_encoder: '.*' could not be loaded"):
        aligned(tiny, str(tmp_path))


def test_a_text_longer_than_the_encoder_reads_is_named(
    pieces: PreTrainedTokenizerBase,
) -> None:
    encoder = AlignmentEncoder(tiny_encoder(), pieces, 1)
    with pytest.raises(
        ValueError, match=r"alignment_encoder: 'nurse .*' has 52 of the encoder's tokens.* 48"
    ):
        encoder.word_pairs("nurse " * 50, "nurse")
