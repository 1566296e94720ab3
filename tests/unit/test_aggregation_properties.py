"""What holds for every text, every cut into tokens, and all scores."""

from __future__ import annotations

import copy
from itertools import pairwise

import numpy as np
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from inseq_widget.results import FeatureAttributionSequenceOutput, Token
from inseq_widget.results.aggregation.token_groups import (
    matching_spans,
    sentence_spans,
    split_spans,
    subword_spans,
    word_spans,
)
from inseq_widget.results.reductions import reduce_dims
from tests.unit.aggregable import random_causal, random_translated

FINDERS = {
    "words": word_spans,
    "sentences": sentence_spans,
    "subwords": subword_spans,
    "split": lambda tokens: split_spans(tokens, regex.compile(r"\s|[aé。]"), "single"),
    "start": lambda tokens: split_spans(tokens, regex.compile(r"\p{P}+"), "start"),
    "end": lambda tokens: split_spans(tokens, regex.compile(r"\p{P}+"), "end"),
    "regex": lambda tokens: matching_spans(tokens, regex.compile(r"\w\W|.{3}")),
}
# Often what is hard: space, marks, emoji of several characters, letters of several parts.
LETTERS = st.sampled_from(
    [*"ab .!?\n。、今ナไทย", "é", "e\u0301", "👩‍👩‍👧", "🇵🇹", "ש", "ع", "\u200d"]
)
TEXTS = st.lists(LETTERS | st.characters(codec="utf-8"), max_size=20).map("".join)


@st.composite
def tokenized(draw: st.DrawFn) -> list[Token]:
    """Cut a text anywhere, inside the bytes of a character too, and put special tokens between."""
    encoded = draw(TEXTS).encode("utf-8")
    cuts = sorted(draw(st.sets(st.integers(0, len(encoded)), max_size=25)) | {0, len(encoded)})
    texts: list[tuple[str, bool]] = []
    pending = b""
    for start, end in pairwise(cuts):
        pending += encoded[start:end]
        if draw(st.integers(0, 12)) == 0:
            texts.append(("<s>", True))
        try:
            text = pending.decode("utf-8")
        except UnicodeDecodeError as error:
            if error.reason != "unexpected end of data":
                raise
            # The last token of a character has it; what is whole already stands here.
            text = pending[: error.start].decode("utf-8")
        pending = pending[len(text.encode("utf-8")) :]
        texts.append((text, False))
    n_prompt = draw(st.integers(0, len(texts)))
    tokens, word = [], 0
    for place, (text, special) in enumerate(texts):
        word += draw(st.booleans()) or special or (place > 0 and texts[place - 1][1])
        side = "prompt" if place < n_prompt else "target"
        tokens.append(Token(text or "part", place, text, place, side, special, word))
    return tokens


@given(tokenized(), st.sampled_from(sorted(FINDERS)))
@settings(deadline=None, max_examples=300)
def test_spans_cover_the_text_and_do_not_overlap(tokens: list[Token], name: str) -> None:
    spans = FINDERS[name](tokens)
    covered = [place for start, end in spans for place in range(start, end)]
    assert covered == sorted(set(covered))
    assert all(start < end for start, end in spans)
    if name not in ("regex", "split", "start", "end") or (name != "regex" and spans):
        assert covered == list(range(len(tokens)))


@given(tokenized(), st.sampled_from(["words", "sentences", "subwords", "regex"]))
@settings(deadline=None, max_examples=300)
def test_special_tokens_are_never_joined(tokens: list[Token], name: str) -> None:
    for start, end in FINDERS[name](tokens):
        assert end == start + 1 or not any(token.special for token in tokens[start:end])


@given(tokenized(), st.sampled_from(["words", "sentences", "regex"]))
@settings(deadline=None, max_examples=300)
def test_sides_are_never_joined_and_parts_go_with_their_character(
    tokens: list[Token], name: str
) -> None:
    spans = FINDERS[name](tokens)
    group = {place: number for number, (a, b) in enumerate(spans) for place in range(a, b)}
    for start, end in spans:
        assert len({token.side for token in tokens[start:end]}) == 1
    for place, (token, after) in enumerate(pairwise(tokens)):
        apart = token.text or token.special or after.special or token.side != after.side
        completed = any(
            later.text and not later.special
            for later in tokens[place + 1 : _end_of_stretch(tokens, place)]
        )
        if not apart and completed:
            assert group.get(place) == group.get(place + 1)


def _end_of_stretch(tokens: list[Token], place: int) -> int:
    end = place + 1
    while end < len(tokens) and not tokens[end].special and tokens[end].side == tokens[place].side:
        end += 1
    return end


@given(TEXTS.filter(bool))
@settings(deadline=None, max_examples=200)
def test_words_of_single_characters_are_those_of_unicode(text: str) -> None:
    tokens = [Token(c, 0, c, place, "source", False, 0) for place, c in enumerate(text)]
    words = [text[start:end] for start, end in word_spans(tokens)]
    borders = [match.start() for match in regex.finditer(r"(?w)\b", text)]
    starts = sorted({0, *borders} - {len(text)})
    expected = [text[a:b] for a, b in zip(starts, [*starts[1:], len(text)], strict=True)]
    assert words == expected


def spans(length: int) -> st.SearchStrategy[list[tuple[int, int]]]:
    def cut(borders: set[int]) -> list[tuple[int, int]]:
        ordered = sorted(borders)
        return list(zip(ordered[::2], ordered[1::2], strict=False))

    return st.sets(st.integers(0, length)).map(cut)


@st.composite
def results(draw: st.DrawFn) -> FeatureAttributionSequenceOutput:
    dims = draw(st.sampled_from([{}, {"head": 2}, {"layer": 2, "head": 3}, {"feature": 3}]))
    first, second = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    make = draw(st.sampled_from([random_causal, random_translated]))
    scores = {"own": [float(number) for number in range(second)]}
    return make(first, second, dims, draw(st.integers(0, 9)), step_scores=scores)


@given(results(), st.data())
@settings(deadline=None)
def test_sums_conserve_totals(
    sequence: FeatureAttributionSequenceOutput, data: st.DataObject
) -> None:
    sequence.step_aggregates = {"own": {"spans": "sum"}}
    chosen = {"target_spans": data.draw(spans(len(sequence.target)))}
    if sequence.architecture == "encoder_decoder":
        chosen["source_spans"] = data.draw(spans(len(sequence.source)))
    before = copy.deepcopy(sequence)
    result = sequence.aggregate("spans", "sum", **chosen)
    total = np.nansum(sequence.kept["raw"], axis=(0, 1))
    np.testing.assert_allclose(np.nansum(result.kept["raw"], axis=(0, 1)), total, atol=1e-12)
    assert result.step_scores["own"].sum() == sequence.step_scores["own"].sum()
    for name in ("source", "target"):
        texts = ["".join(one.text for one in getattr(s, name)) for s in (sequence, result)]
        # Of a decoder-only model, a prompt's token that is joined over the border is generated.
        assert texts[0] == texts[1] or (
            texts[0].startswith(texts[1]) and sequence.architecture == "decoder_only"
        )
    assert sequence.kept["raw"].identical(before.kept["raw"])
    assert sequence.target == before.target


@given(results(), st.data(), st.sampled_from(["sum", "max", "min", "absmax", "mean", "prod"]))
@settings(deadline=None)
def test_a_joined_result_fits_together(
    sequence: FeatureAttributionSequenceOutput, data: st.DataObject, function: str
) -> None:
    chosen = {"target_spans": data.draw(spans(len(sequence.target)))}
    if sequence.architecture == "encoder_decoder":
        chosen["source_spans"] = data.draw(spans(len(sequence.source)))
    result = sequence.aggregate("spans", function, **chosen)
    array = result.kept["raw"]
    assert array.sizes["step"] == len(result.steps) == len(result.step_scores["own"])
    assert array.sizes["input"] == len(result.inputs)
    for tokens in (result.source, result.target):
        assert [token.position for token in tokens] == list(range(len(tokens)))
    assert array.coords["input_position"].to_numpy().tolist() == [
        token.position for token in result.inputs
    ]
    assert len(result.target_attributions) == result.attr_pos_end
    old_start = sum(len(token.text) for token in sequence.target[: sequence.attr_pos_start])
    new_start = sum(len(token.text) for token in result.target[: result.attr_pos_start])
    assert new_start <= old_start < new_start + len(result.steps[0].text)
    present, whole = array.to_numpy(), sequence.kept["raw"].to_numpy()
    if function in ("max", "min", "absmax"):
        assert set(present[~np.isnan(present)]) <= set(whole[~np.isnan(whole)])


ORDERS = [("sum", "sum"), ("mean", "mean"), ("max", "max"), ("min", "min"), ("prod", "prod")]


@given(st.integers(0, 20), st.sampled_from([*ORDERS, ("vnorm", "vnorm"), ("sum", "mean")]))
@settings(deadline=None)
def test_the_order_of_reductions_does_not_matter(seed: int, functions: tuple[str, str]) -> None:
    sequence = random_translated(dims={"layer": 3, "head": 4}, seed=seed)
    of_layers, of_heads = functions
    one = sequence.aggregate(of_layers, dim="layer", normalize=False)
    one = one.aggregate(of_heads, dim="head", normalize=False)
    other = sequence.aggregate(of_heads, dim="head", normalize=False)
    other = other.aggregate(of_layers, dim="layer", normalize=False)
    np.testing.assert_allclose(one.kept["raw"], other.kept["raw"], rtol=1e-10, atol=1e-14)
    if of_layers == of_heads:
        both = reduce_dims(sequence.kept["raw"], ["layer", "head"], of_layers)
        np.testing.assert_allclose(one.kept["raw"], both, rtol=1e-10, atol=1e-14)


@given(results(), st.data())
@settings(deadline=None)
def test_joining_tokens_and_summing_features_change_places(
    sequence: FeatureAttributionSequenceOutput, data: st.DataObject
) -> None:
    chosen = {"target_spans": data.draw(spans(len(sequence.target)))}
    names = [str(dim) for dim in reversed(sequence.kept["raw"].dims[2:])]
    first = sequence.aggregate("spans", "sum", **chosen)
    last = sequence
    for dim in names:
        first = first.aggregate("sum", dim=dim, normalize=False)
        last = last.aggregate("sum", dim=dim, normalize=False)
    last = last.aggregate("spans", "sum", **chosen)
    np.testing.assert_allclose(first.kept["raw"], last.kept["raw"], rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("make", [random_causal, random_translated])
@given(st.data())
@settings(deadline=None, max_examples=50)
def test_slices_keep_scores_as_they_are(make: object, data: st.DataObject) -> None:
    sequence = make(5, 3)
    of_source = sequence.architecture == "encoder_decoder"
    start = data.draw(st.integers(0, 4))
    end = data.draw(st.integers(start + 1, 5))
    result = sequence[start:end]
    tokens, expected = (result.source, sequence.source[start:end])
    assert [token.text for token in tokens] == [token.text for token in expected]
    rows = [*range(start, end), *range(5, len(sequence.inputs))]
    np.testing.assert_array_equal(result.kept["raw"], sequence.kept["raw"][rows])
    assert [t.text for t in result.steps] == [t.text for t in sequence.steps]
    assert len(result.target) == len(sequence.target) - (0 if of_source else 5 - end + start)
