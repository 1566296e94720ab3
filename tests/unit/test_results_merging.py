"""Outputs of the same model and method join into one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import inseq_widget as iw
from inseq_widget.results import step_attributions_of
from tests.unit import outputs
from tests.unit.explorable import FakeModel


def named(**changes: object) -> iw.FeatureAttributionOutput:
    output = outputs.causal()
    output.info.update(changes)  # type: ignore[typeddict-item]
    return output


def test_sequences_texts_and_times_are_joined_in_order() -> None:
    first = named(input_texts=["a"], generated_texts=["a b"], exec_time=1.5)
    second = outputs.batch(outputs.causal(("One",)), outputs.causal(("Two",)))
    second.info.update(input_texts=["c", "d"], generated_texts=["c e", "d f"], exec_time=0.25)
    for merged in (iw.merge_attributions([first, second]), first + second):
        assert [s.target[0].text for s in merged] == ["The", "One", "Two"]
        assert merged.info["input_texts"] == ["a", "c", "d"]
        assert merged.info["generated_texts"] == ["a b", "c e", "d f"]
        assert merged.info["exec_time"] == 1.75
        assert merged.info["aggregation"] == ["2 outputs merged"]
        for ours, theirs in zip(merged, [*first, *second], strict=True):
            np.testing.assert_array_equal(ours.scores, theirs.scores)
    assert first.info["input_texts"] == ["a"]
    assert first.info["aggregation"] == []


def test_what_is_merged_shares_nothing_with_what_it_was_made_of() -> None:
    first, second = outputs.causal(), outputs.causal(seed=1)
    before = first[0].scores.copy(deep=True)
    merged = first + second
    merged[0].kept["norm"][:] = 0
    merged[0].step_scores["probability"][:] = 0
    merged[0].source.clear()
    merged.weight_attributions("probability")
    np.testing.assert_array_equal(first[0].scores, before)
    assert float(first[0].step_scores["probability"][0]) == pytest.approx(0.9)
    assert len(first[0].source) == 3


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model_name", "another"),
        ("model_class", "Another"),
        ("tokenizer_name", "another"),
        ("tokenizer_class", "Another"),
        ("attribution_method", "attention"),
        ("attribute_target", True),
        ("constrained_decoding", True),
        ("step_scores", ["entropy"]),
        ("include_eos_baseline", True),
    ],
)
def test_outputs_that_do_not_belong_together_are_refused(field: str, value: object) -> None:
    first = outputs.causal()
    was = dict(first.info).get(field)
    with pytest.raises(ValueError, match=rf"attributions: {field} is .* in number 0 and") as caught:
        iw.merge_attributions([first, first, named(**{field: value})])
    assert repr(was) in str(caught.value)
    assert repr(value) in str(caught.value)


def test_what_is_no_output_is_refused() -> None:
    with pytest.raises(ValueError, match=r"attributions: an empty list"):
        iw.merge_attributions([])
    with pytest.raises(TypeError, match=r"attributions: number 1 is a str"):
        iw.merge_attributions([outputs.causal(), "no output"])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="unsupported operand"):
        _ = outputs.causal() + 1  # type: ignore[operator]


def test_the_model_stays_only_when_all_share_it() -> None:
    model, other = FakeModel(), FakeModel()
    both = outputs.causal(live_model=model) + outputs.causal(live_model=model)
    assert both.live_model is model
    assert [sequence.live_model for sequence in both] == [model, model]
    apart = outputs.causal(live_model=model) + outputs.causal(live_model=other)
    assert apart.live_model is None
    assert [sequence.live_model for sequence in apart] == [None, None]


def test_what_the_outputs_do_not_agree_on_is_not_claimed() -> None:
    first = named(attributed_fn="probability", method_args={"n_steps": "20", "seed": "0"})
    second = named(attributed_fn="logit", method_args={"n_steps": "50", "seed": "0"})
    second.info["model_revision"] = "abc"
    merged = first + second
    assert merged.info["attributed_fn"] == "probability, logit"
    assert merged.info["method_args"] == {"seed": "0"}
    assert merged.info["model_revision"] is None
    assert merged[1].info["attributed_fn"] == "logit"


def test_steps_are_joined_when_all_have_them() -> None:
    first, second = outputs.causal(), outputs.causal(("One",))
    with_steps = [replace(o, step_attributions=step_attributions_of(o[0])) for o in (first, second)]
    merged = iw.merge_attributions(with_steps)
    texts = [step.target[0][0].text for step in merged.step_attributions]
    assert texts == [token.text for o in (first, second) for token in o[0].steps]
    assert iw.merge_attributions([with_steps[0], second]).step_attributions is None
    assert len(merged[1:].step_attributions) == len(second[0].steps)
