"""What else could stand at a step, asked of the model or of its result."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import inseq_widget as iw
from inseq_widget.results import FeatureAttributionSequenceOutput
from tests.unit.outputs import causal

PROMPT, FULL = "The nurse said", "The nurse said that she was tired."


@pytest.fixture(scope="module")
def sequence(tiny: iw.AttributionModel) -> FeatureAttributionSequenceOutput:
    (one,) = tiny.attribute(PROMPT, FULL, "dummy", show_progress=False)
    return one


def test_a_result_gives_what_its_model_gives(
    tiny: iw.AttributionModel, sequence: FeatureAttributionSequenceOutput
) -> None:
    assert sequence.alternatives(2, 4) == tiny.alternatives(sequence, 2, 4)
    assert len(sequence.alternatives(-1).alternatives) == 10


@pytest.mark.parametrize("step", [0, 3, -1])
def test_alternatives_are_the_most_probable_tokens_after_the_prefix(
    tiny: iw.AttributionModel, sequence: FeatureAttributionSequenceOutput, step: int
) -> None:
    place = sequence.attr_pos_start + step % len(sequence.steps)
    prefix = [token.id for token in sequence.target[:place]]
    with torch.no_grad():
        logits = tiny.model(torch.tensor([prefix])).logits[0, -1]
    shares = (logits.exp() / logits.exp().sum()).tolist()
    ranked = sorted(range(len(shares)), key=lambda n: -shares[n])
    found = sequence.alternatives(step, 5)
    assert [entry.token.id for entry in found.alternatives] == ranked[:5]
    assert [entry.rank for entry in found.alternatives] == [1, 2, 3, 4, 5]
    for entry in [found.target, *found.alternatives]:
        assert entry.probability == pytest.approx(shares[entry.token.id], rel=1e-4)
        assert entry.token.position == place
    assert found.target.token == sequence.target[place]
    assert found.target.rank == 1 + ranked.index(sequence.target[place].id)


def test_without_its_model_a_result_says_what_to_do() -> None:
    (one,) = causal()
    with pytest.raises(ValueError, match=r"alternatives: the model .* is not at hand; load it"):
        one.alternatives(0)


def test_joined_tokens_are_refused_by_result_and_model(
    tiny: iw.AttributionModel, sequence: FeatureAttributionSequenceOutput
) -> None:
    first, second, *others = sequence.target
    joined = replace(first, piece=first.piece + second.piece, id=-1, text=first.text + second.text)
    merged = replace(
        sequence,
        source=[joined],
        target=[joined, *others],
        attr_pos_start=sequence.attr_pos_start - 1,
        attr_pos_end=sequence.attr_pos_end - 1,
    )
    for ask in (merged.alternatives, lambda step: tiny.alternatives(merged, step)):
        with pytest.raises(ValueError, match=r"alternatives: tokens of this result were joined or"):
            ask(0)


def test_a_result_with_tokens_left_out_is_refused(
    tiny: iw.AttributionModel, sequence: FeatureAttributionSequenceOutput
) -> None:
    sliced = sequence.aggregate("slices", target_spans=(1, 3))
    for ask in (sliced.alternatives, lambda step: tiny.alternatives(sliced, step)):
        with pytest.raises(ValueError, match=r"alternatives: tokens .* joined or left out"):
            ask(0)


def test_a_result_with_other_scores_of_the_same_tokens_can_be_asked_about(
    tiny: iw.AttributionModel, sequence: FeatureAttributionSequenceOutput
) -> None:
    shares = sequence.aggregate("scores")
    assert tiny.alternatives(shares, 1, 3) == tiny.alternatives(sequence, 1, 3)
    with pytest.raises(ValueError, match=r"not at hand; ask the result that attribute gave, or"):
        shares.alternatives(1)


@pytest.mark.parametrize(("step", "k", "name"), [(5, 3, "step"), (-6, 3, "step"), (0, 0, "k")])
def test_a_step_that_is_not_there_is_refused(
    sequence: FeatureAttributionSequenceOutput, step: int, k: int, name: str
) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: "):
        sequence.alternatives(step, k)


def test_what_is_no_sequence_or_no_step_is_named(
    tiny: iw.AttributionModel, sequence: FeatureAttributionSequenceOutput
) -> None:
    with pytest.raises(TypeError, match=r"^sequence: .*FeatureAttributionOutput given; .*out\[0\]"):
        tiny.alternatives(causal(), 0)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^step: '0' given"):
        sequence.alternatives("0")  # type: ignore[arg-type]
