"""A part of the inputs and steps of a sequence is a sequence of its own."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import regex
import torch

import inseq_widget as iw
from inseq_widget.results import Token
from tests.unit import outputs

Sequence = iw.FeatureAttributionSequenceOutput


def texts(tokens: list[Token]) -> list[str]:
    return [token.text.strip() for token in tokens]


def check_layout(part: Sequence) -> None:
    """Check what every sequence keeps to: where its tokens are, and what its labels say."""
    for tokens in (part.source, part.target):
        assert [token.position for token in tokens] == list(range(len(tokens)))
    assert part.attr_pos_end - part.attr_pos_start == len(part.steps) == part.scores.sizes["step"]
    n_source = int((part.scores.coords["input_side"] == "source").sum())
    n_target = part.scores.sizes["input"] - n_source
    assert part.inputs == [*part.source[:n_source], *part.target[:n_target]]
    assert part.scores.coords["input"].to_numpy().tolist() == [t.label for t in part.inputs]
    positions = part.scores.coords["input_position"].to_numpy().tolist()
    assert positions == [t.position for t in part.inputs]
    assert part.scores.coords["step"].to_numpy().tolist() == [t.label for t in part.steps]
    assert part.scores.coords["step_id"].to_numpy().tolist() == [t.id for t in part.steps]
    assert {len(values) for values in part.step_scores.values()} == {len(part.steps)}
    assert part.live_model is None


def score_of(whole: Sequence, part: Sequence, token: Token, step: Token) -> tuple[float, float]:
    """Give a score of the part, and the one of the whole with the same ids (they are unique)."""
    values = []
    for sequence in (whole, part):
        row = [(t.side == "source", t.id) for t in sequence.inputs].index(
            (token.side == "source", token.id)
        )
        column = [t.id for t in sequence.steps].index(step.id)
        values.append(float(sequence.scores[row, column]))
    return values[0], values[1]


def check_scores(whole: Sequence, part: Sequence, missing: tuple[str, ...] = ()) -> None:
    for token in part.inputs:
        for step in part.steps:
            expected, found = score_of(whole, part, token, step)
            expected = np.nan if token.text.strip() in missing else expected
            assert found == pytest.approx(expected, nan_ok=True)


@pytest.fixture
def causal() -> Sequence:
    return outputs.causal()[0]


@pytest.fixture
def translated() -> Sequence:
    return outputs.encoder_decoder()[0]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (0, ["that"]),
        (-1, ["."]),
        (slice(1, 3), ["she", "was"]),
        (slice(-2, None), ["was", "."]),
        (slice(2, 99), ["was", "."]),
        ("she", ["she"]),
        (" she", ["she"]),
        ("she was", ["she", "was"]),
        ("that she was.", ["that", "she", "was", "."]),
    ],
)
def test_steps_are_selected_by_place_and_by_text(
    causal: Sequence, steps: int | slice | str, expected: list[str]
) -> None:
    part = causal.select(steps=steps)
    assert texts(part.steps) == expected
    check_layout(part)
    check_scores(causal, part)
    column = texts(causal.steps).index(expected[0])
    # Every token before the last selected step is an input still, those after it are none.
    assert (
        texts(part.inputs)
        == ["The", "nurse", "said", "that", "she", "was", "."][: 3 + column + len(expected) - 1]
    )
    np.testing.assert_array_equal(
        part.step_scores["probability"],
        causal.step_scores["probability"][column : column + len(expected)],
    )


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (0, ["The"]),
        (-1, ["was"]),
        (slice(1, 3), ["nurse", "said"]),
        (slice(None, None, 2), ["The", "said", "she"]),
        ([2, 0], ["The", "said"]),
        (np.array([1, 1]), ["nurse"]),
        ("prompt", ["The", "nurse", "said"]),
        ("target", ["that", "she", "was"]),
        (re.compile("nurse|she"), ["nurse", "she"]),
        (re.compile("The "), ["The"]),
        (re.compile("rse sa"), ["nurse", "said"]),
        (re.compile("said that"), ["said", "that"]),
        (regex.compile(r"\p{Lu}\w+"), ["The"]),
    ],
)
def test_inputs_are_selected_by_place_side_and_pattern(
    causal: Sequence, inputs: object, expected: list[str]
) -> None:
    part = causal.select(inputs=inputs)  # type: ignore[arg-type]
    check_layout(part)
    assert texts(part.steps) == texts(causal.steps)
    scored = ~np.isnan(part.scores.to_numpy()).all(1)
    assert [t for t, there in zip(texts(part.inputs), scored, strict=True) if there] == expected
    # A step before a chosen input stays between the inputs, without a score.
    between = tuple(t for t, there in zip(texts(part.inputs), scored, strict=True) if not there)
    assert set(between) <= {"that", "she"}
    check_scores(causal, part, missing=between)
    assert part.source == [token for token in part.target if token.side == "prompt"]


def test_a_step_that_is_no_input_stays_and_its_scores_are_missing(causal: Sequence) -> None:
    part = causal.select(inputs=[0, 4])
    assert texts(part.target) == ["The", "that", "she", "was", "."]
    assert texts(part.inputs) == ["The", "that", "she"]
    assert np.isnan(part.scores.to_numpy()[1]).all()
    assert (part.attr_pos_start, part.attr_pos_end) == (1, 5)
    np.testing.assert_array_equal(part.scores[0], causal.scores[0])


def test_inputs_and_steps_are_selected_together(causal: Sequence) -> None:
    part = causal.select(inputs=re.compile("nurse"), steps="was")
    assert texts(part.inputs) == ["nurse"]
    assert texts(part.target) == ["nurse", "was", "."]
    assert part.scores.shape == (1, 1)
    check_layout(part)
    check_scores(causal, part)
    again = causal.select(steps="was").select(inputs=re.compile("nurse"))
    np.testing.assert_array_equal(part.scores, again.scores)


@pytest.mark.parametrize(
    ("inputs", "source", "prefix"),
    [
        ("source", ["The", "nurse", "slept", ".", "</s>"], []),
        ("target", [], ["<s>", "A", "enfermeira", "dormiu"]),
        (re.compile("nurse|A"), ["nurse"], ["A"]),
        (slice(1, 3), ["nurse", "slept"], []),
    ],
)
def test_both_sides_of_an_encoder_decoder_are_selected(
    translated: Sequence, inputs: object, source: list[str], prefix: list[str]
) -> None:
    part = translated.select(inputs=inputs)  # type: ignore[arg-type]
    check_layout(part)
    assert texts(part.source) == source
    assert texts(part.steps) == texts(translated.steps)
    assert texts([token for token in part.inputs if token.side == "target"]) == prefix
    check_scores(translated, part)


def test_a_decoder_that_was_not_attributed_keeps_its_tokens() -> None:
    whole = outputs.encoder_decoder(with_prefix=False)[0]
    part = whole.select(inputs=slice(0, 2), steps=1)
    assert texts(part.target) == texts(whole.target)
    assert part.attr_pos_start == 2
    check_layout(part)
    check_scores(whole, part)


def test_a_character_of_several_tokens_is_found_with_all_of_them() -> None:
    whole = outputs.causal(("I", " ", "", "😀", " like"), (" it", "", "🎉"))[0]
    part = whole.select(inputs=re.compile("😀"))
    assert [token.position for token in whole.inputs if token.text in ("", "😀")][:2] == [2, 3]
    assert texts(part.inputs) == ["", "😀"]
    assert len(whole.select(steps="it🎉").steps) == 3
    special = outputs.token("<s>", 0, "prompt", special=True)
    marked = replace(whole, target=[special, *whole.target[1:]])
    with pytest.raises(ValueError, match="matches nothing"):
        marked.select(inputs=re.compile("<s>"))


def test_every_array_is_cut_alike(tiny: iw.AttributionModel) -> None:
    whole = tiny.attribute(
        "The nurse said",
        "The nurse said hello to me",
        "attention",
        show_progress=False,
    )[0]
    whole.sequence_scores = {
        "decoder_self_attentions": torch.arange(25.0).reshape(5, 5),
    }
    part = whole.select(inputs=[0, 2], steps=slice(1, 3))
    assert part.raw_scores.dims == whole.raw_scores.dims == ("input", "step", "layer", "head")
    np.testing.assert_array_equal(part.raw_scores[:2], whole.raw_scores[[0, 2], 1:3])
    np.testing.assert_array_equal(
        part.sequence_scores["decoder_self_attentions"],
        whole.sequence_scores["decoder_self_attentions"][[0, 2, 4]][:, [0, 2, 4]],
    )


def test_the_whole_is_left_as_it_was(causal: Sequence) -> None:
    before = causal.scores.copy(deep=True)
    part = causal.select()
    np.testing.assert_array_equal(part.scores, before)
    part.kept["norm"][:] = 0
    part.step_scores["probability"][:] = 0
    np.testing.assert_array_equal(causal.scores, before)
    assert float(causal.step_scores["probability"][0]) == pytest.approx(0.9)
    assert causal.info["aggregation"] == []
    assert causal.select(inputs=0, steps=0).info["aggregation"] == [
        "1 of 6 inputs and 1 of 4 steps selected"
    ]


def test_foils_stay_beside_their_steps(causal: Sequence) -> None:
    foils = outputs.tokens([" this", " he", " is", "!"], "target", 3)
    part = replace(causal, foil="he is", foil_tokens=foils).select(inputs=0, steps=slice(1, 3))
    assert texts(part.foil_tokens) == ["he", "is"]
    assert [foil.position for foil in part.foil_tokens] == [step.position for step in part.steps]


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"steps": 4}, ValueError, r"steps: 4 given; there are 4, -4 to 3"),
        ({"steps": slice(2, 2)}, ValueError, r"steps: .* selects nothing of 4 steps"),
        ({"steps": slice(None, None, 2)}, ValueError, r"steps: .* choose neighbours"),
        ({"steps": "he"}, ValueError, r"steps: 'he' is not among the steps 'that', 'she'"),
        ({"steps": 1.5}, TypeError, r"steps: 1.5 given; an integer works"),
        ({"steps": True}, TypeError, r"steps: True given; an integer works"),
        ({"inputs": [0, 9]}, ValueError, r"inputs: 9 given; there are 6, -6 to 5"),
        ({"inputs": "source"}, ValueError, r"no input is of the side 'source'; there is prompt"),
        ({"inputs": "nurse"}, ValueError, r"inputs: 'nurse' given; .* re.compile"),
        ({"inputs": re.compile("doctor")}, ValueError, r"inputs: 'doctor' matches nothing"),
        ({"inputs": []}, ValueError, r"inputs: \[\] selects no input"),
        ({"inputs": "target", "steps": 0}, ValueError, r"inputs: 'target' selects no input"),
    ],
)
def test_what_is_not_there_is_refused(
    causal: Sequence, keywords: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        causal.select(**keywords)  # type: ignore[arg-type]


def test_a_text_of_several_steps_apart_is_refused() -> None:
    whole = outputs.causal(("A",), (" she", " and", " she"))[0]
    with pytest.raises(ValueError, match=r"steps: 'she' stands at the steps 0, 2; pass one"):
        whole.select(steps="she")
