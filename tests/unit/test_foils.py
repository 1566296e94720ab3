"""Foils by step: how they are named, which token they become, and what the result says of them."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

import inseq_widget as iw
from inseq_widget.results import FeatureAttributionOutput, FeatureAttributionSequenceOutput

PROMPT = "The nurse said"
FULL = "The nurse said that she was tired, and slept."
STEPS = [" that", " she", " was", " tired", ",", " and", " slept", "."]


def contrasted(
    model: iw.AttributionModel,
    foils: object,
    prompt: object = PROMPT,
    full: str | None = FULL,
    **keywords: object,
) -> FeatureAttributionOutput:
    return model.attribute(
        prompt,
        full,
        "dummy",
        contrast_targets=foils,
        step_scores=["contrast_prob", "contrast_prob_diff"],
        show_progress=False,
        **keywords,
    )


def texts(sequence: FeatureAttributionSequenceOutput) -> list[str]:
    assert sequence.foil_tokens is not None
    return [token.text for token in sequence.foil_tokens]


def changed(**at: str) -> list[str]:
    """Give the texts of the steps with some of them replaced, by the names _0, _1 ..."""
    return [at.get(f"_{step}", text) for step, text in enumerate(STEPS)]


@pytest.mark.parametrize(
    ("foils", "expected"),
    [
        ({1: " he"}, changed(_1=" he")),
        ({1: "he"}, changed(_1=" he")),  # a word begins there
        ({-7: "he"}, changed(_1=" he")),
        ({4: "."}, changed(_4=".")),  # no space before a mark
        ({4: " ."}, changed(_4=" .")),  # unless it is asked for
        ({4: "but"}, changed(_4=" but")),  # a word in the place of a mark
        ({5: "!"}, changed(_5="!")),
        ({-1: "<|im_end|>", 0: "who"}, changed(_0=" who", _7="<|im_end|>")),
        ({2: 384}, changed(_2=" he")),
        ({1: "   "}, changed(_1="   ")),
    ],
)
def test_a_foil_is_the_token_that_the_tokenizer_would_write_there(
    tiny: iw.AttributionModel, foils: dict[int, str], expected: list[str]
) -> None:
    (sequence,) = contrasted(tiny, foils)
    assert [token.text for token in sequence.steps] == STEPS
    assert texts(sequence) == expected
    for step, (foil, own) in enumerate(zip(sequence.foil_tokens, sequence.steps, strict=True)):
        assert (foil.position, foil.side) == (own.position, "target")
        difference = float(sequence.step_scores["contrast_prob_diff"][step])
        assert (difference == 0) == (foil.id == own.id)


def test_within_a_word_a_foil_goes_on_with_it(tiny: iw.AttributionModel) -> None:
    (sequence,) = contrasted(tiny, {0: "hat", 1: "os"}, "The 2", "The 22nd")
    assert [token.text for token in sequence.steps] == ["2", "nd"]
    assert texts(sequence) == ["hat", "os"]


def test_no_space_is_put_between_characters_that_are_written_without(
    tiny: iw.AttributionModel,
) -> None:
    (sequence,) = contrasted(tiny, {-1: "的"}, "你", "你好。")
    assert texts(sequence)[-1] == "的"


def test_a_foil_of_an_encoder_decoder_model_may_stand_at_the_beginning(
    bergamot: iw.AttributionModel,
) -> None:
    (sequence,) = contrasted(
        bergamot,
        {0: "O", 1: "enfermeiro", -3: "o", -2: "!"},
        "The nurse said that she was tired.",
        "A enfermeira disse que estava cansada.",
    )
    own = ["A", " enfermeira", " disse", " que", " estava", " can", "s", "ada", ".", "</s>"]
    assert [token.text for token in sequence.steps] == own
    pieces = [token.piece for token in sequence.foil_tokens]
    assert pieces[:2] == ["▁O", "▁enfermeiro"]
    assert texts(sequence)[-4:] == ["s", "o", "!", "</s>"]


def test_a_reply_to_messages_is_contrasted_by_step(tiny: iw.AttributionModel) -> None:
    messages = [{"role": "user", "content": "Is it cold?"}]
    (sequence,) = contrasted(tiny, {0: "No", 1: "!"}, messages, "Yes.")
    assert texts(sequence) == ["No", "!"]


def test_an_alternative_is_a_foil_as_it_is(tiny: iw.AttributionModel) -> None:
    (plain,) = tiny.attribute(PROMPT, FULL, "dummy", show_progress=False)
    found = plain.alternatives(1, 3).alternatives
    (sequence,) = contrasted(tiny, {1: found[2]})
    assert sequence.foil_tokens[1] == found[2].token
    expected = found[2].probability
    assert float(sequence.step_scores["contrast_prob"][1]) == pytest.approx(expected, rel=1e-5)
    several = contrasted(tiny, {1: found, 2: [alternative.token for alternative in found]})
    assert [one.foil_tokens[1].id for one in several] == [entry.token.id for entry in found]
    assert [one.foil_tokens[2].id for one in several] == [entry.token.id for entry in found]


def test_the_most_likely_other_token_is_found_for_every_step_or_for_one(
    tiny: iw.AttributionModel,
) -> None:
    (plain,) = tiny.attribute(PROMPT, FULL, "dummy", show_progress=False)
    expected = []
    for step, own in enumerate(plain.steps):
        ranked = [entry.token for entry in plain.alternatives(step, 2).alternatives]
        expected.append(next(token for token in ranked if token.id != own.id))
    (sequence,) = contrasted(tiny, iw.Foil.MOST_LIKELY)
    assert sequence.foil_tokens == expected
    assert sequence.foil == "most likely"
    (sequence,) = contrasted(tiny, {2: iw.Foil.MOST_LIKELY})
    assert sequence.foil_tokens == [*plain.steps[:2], expected[2], *plain.steps[3:]]
    assert sequence.foil == f"{expected[2].label!r} at step 2"


def test_the_most_likely_token_is_passed_over_where_it_stands(tiny: iw.AttributionModel) -> None:
    prompt, length = "The nurse said", {"max_new_tokens": 3, "do_sample": False}
    (sequence,) = contrasted(tiny, iw.Foil.MOST_LIKELY, prompt, None, generation_args=length)
    for step, (own, foil) in enumerate(zip(sequence.steps, sequence.foil_tokens, strict=True)):
        first, second = sequence.alternatives(step, 2).alternatives
        assert (first.token.id, second.token.id) == (own.id, foil.id)


def test_one_sequence_is_given_for_each_foil_text_by_text(tiny: iw.AttributionModel) -> None:
    other = "The doctor said that he was tired, and left."
    output = contrasted(
        tiny,
        [[other, {1: [" he", " they"]}], {0: " hello"}],
        [PROMPT, "He said"],
        [FULL, "He said yes"],
    )
    assert [sequence.foil for sequence in output] == [
        other,
        "'he' at step 1",
        "'they' at step 1",
        "'hello' at step 0",
    ]
    assert texts(output[0])[1] == " he"
    assert [sequence.foil_tokens[1].label for sequence in output[:3]] == ["he", "he", "they"]
    assert output.info["generated_texts"] == [FULL, FULL, FULL, "He said yes"]
    assert len({id(sequence.kept) for sequence in output}) == 4


def test_results_of_one_text_share_no_scores(tiny: iw.AttributionModel) -> None:
    first, second = tiny.attribute(
        PROMPT,
        FULL,
        "attention",
        contrast_targets={1: [" he", " they"]},
        step_scores="contrast_prob",
        show_progress=False,
    )
    np.testing.assert_array_equal(first.scores, second.scores)
    assert not np.shares_memory(first.raw_scores.to_numpy(), second.raw_scores.to_numpy())


def test_a_single_token_stands_beside_lists_of_them(tiny: iw.AttributionModel) -> None:
    output = contrasted(tiny, {1: [" he", " they"], 7: "!"})
    assert [sequence.foil for sequence in output] == [
        "'he' at step 1, '!' at step 7",
        "'they' at step 1, '!' at step 7",
    ]


def test_a_result_says_what_it_was_contrasted_with(tiny: iw.AttributionModel) -> None:
    (plain,) = tiny.attribute(PROMPT, FULL, "dummy", show_progress=False)
    assert (plain.foil, plain.foil_tokens) == (None, None)
    assert "foil" not in repr(plain)
    (sequence,) = contrasted(tiny, {1: " he"})
    assert "foil \"'he' at step 1\"" in repr(sequence)


def test_another_source_alone_has_no_foil_but_the_tokens(
    tiny_encoder_decoder: iw.AttributionModel,
) -> None:
    (sequence,) = tiny_encoder_decoder.attribute(
        "He slept",
        "Ele dormiu",
        "dummy",
        contrast_sources="She slept",
        step_scores="pcxmi",
        show_progress=False,
    )
    assert sequence.foil is None
    assert sequence.foil_tokens == sequence.steps


def test_a_foil_that_stands_there_is_a_warning_at_the_call(tiny: iw.AttributionModel) -> None:
    with pytest.warns(UserWarning, match=r"'she' at step 1 of text 0 is the token that") as caught:
        tiny.attribute(
            PROMPT,
            FULL,
            "dummy",
            contrast_targets={1: " she", 2: " is"},
            step_scores="contrast_prob_diff",
            show_progress=False,
        )
    assert [entry.filename for entry in caught] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        contrasted(tiny, {1: " he"})


def test_a_character_of_several_tokens_is_no_foil_by_text(tiny: iw.AttributionModel) -> None:
    with pytest.raises(ValueError, match=r"'再' at step 1 of text 0 is not one token there but"):
        contrasted(tiny, {1: "再"})


def test_foils_stay_with_a_copy_only_where_each_step_has_one(tiny: iw.AttributionModel) -> None:
    (sequence,) = contrasted(tiny, {1: " he"})
    same = replace(sequence, live_model=None)
    assert same.foil_tokens == sequence.foil_tokens
    assert same.foil_tokens is not sequence.foil_tokens
    fewer = replace(sequence, attr_pos_end=sequence.attr_pos_end - 1)
    assert (fewer.foil, fewer.foil_tokens) == (sequence.foil, None)


def test_foils_by_step_cost_no_pass_of_their_own(
    tiny: iw.AttributionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = []
    forward = tiny.model.forward

    def counting(**keywords: torch.Tensor) -> object:
        runs.append(len(keywords["input_ids"]))
        return forward(**keywords)

    monkeypatch.setattr(tiny.model, "forward", counting)
    contrasted(tiny, {1: [" he", " they", iw.Foil.MOST_LIKELY]})
    assert runs == [1]
