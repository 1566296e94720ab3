"""Gradient methods give what a backward pass for each step on its own prefix gives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from captum.attr import InputXGradient, Saliency
from torch import Tensor

from inseq_widget.results import FeatureAttributionOutput, FeatureAttributionSequenceOutput
from tests.parity import naive
from tests.parity.conftest import Case

Attributed = Callable[..., FeatureAttributionOutput]
TOLERANCE = 1e-9  # of the largest score, in double precision
FORMULA = {
    "saliency": lambda gradient, x: gradient.abs(),
    "input_x_gradient": lambda gradient, x: gradient * x,
}


def raw_rows(
    sequence: FeatureAttributionSequenceOutput, column: int, sides: tuple[str, ...]
) -> Tensor:
    """Take the raw scores of one step at the inputs of a stack that come before it."""
    raw = sequence.raw_scores
    rows = np.isin(raw.input_side, sides) & ~np.isnan(raw.to_numpy()[:, column, 0])
    return torch.from_numpy(raw.to_numpy()[rows, column])


SIDES = {"source": ("source",), "target": ("prompt", "target")}


@pytest.mark.parametrize("method", ["saliency", "input_x_gradient"])
@pytest.mark.parametrize("attributed_fn", ["probability", "logit"])
def test_scores_equal_a_backward_pass_for_each_step(
    case: Case, attributed: Attributed, method: str, attributed_fn: str
) -> None:
    output = attributed(method, attributed_fn=attributed_fn, attribute_target=True, granular=True)
    fn = getattr(naive, attributed_fn)
    for sequence in output:
        largest = float(np.nanmax(np.abs(sequence.raw_scores)))
        assert largest > 0
        for column, stacks in enumerate(naive.gradients(case.model.model, sequence, fn)):
            for stack, (gradient, embedding) in stacks.items():
                expected = FORMULA[method](gradient, embedding)
                actual = raw_rows(sequence, column, SIDES[stack])
                assert actual.shape == expected.shape
                assert (actual - expected).abs().max() <= TOLERANCE * largest


@pytest.mark.parametrize(
    ("method", "captum_method"), [("saliency", Saliency), ("input_x_gradient", InputXGradient)]
)
def test_scores_equal_captums(
    case: Case,
    attributed: Attributed,
    method: str,
    captum_method: type[Saliency] | type[InputXGradient],
) -> None:
    output = attributed(method, attributed_fn="probability", attribute_target=True, granular=True)
    for sequence in output:
        column = len(sequence.steps) // 2
        position = sequence.attr_pos_start + column
        _, inputs = naive.step_logits(case.model.model, sequence, position)

        def forward(
            *embedded: Tensor,
            names: tuple[str, ...] = tuple(inputs),
            target: int = sequence.target[position].id,
        ) -> Tensor:
            keyword = {"source": "inputs_embeds", "target": "decoder_inputs_embeds"}
            if names == ("target",):
                keyword = {"target": "inputs_embeds"}
            given = {keyword[name]: x for name, x in zip(names, embedded, strict=True)}
            logits = case.model.model(**given, use_cache=False).logits
            return logits[:, -1].softmax(-1)[:, target]

        explained = captum_method(forward).attribute(tuple(inputs.values()))
        largest = float(np.nanmax(np.abs(sequence.raw_scores)))
        for stack, expected in zip(inputs, explained, strict=True):
            actual = raw_rows(sequence, column, SIDES[stack])
            assert (actual - expected[0].detach()).abs().max() <= TOLERANCE * largest


@pytest.mark.parametrize("method", ["saliency", "input_x_gradient"])
def test_a_batch_gives_each_text_what_it_gets_alone(
    case: Case, attributed: Attributed, method: str
) -> None:
    together = attributed(method, attribute_target=True)
    for text, target, sequence in zip(case.texts, case.targets, together, strict=True):
        (alone,) = case.model.attribute(
            text, target, method, attribute_target=True, show_progress=False
        )
        for reduction in ("norm", "sum"):
            expected = alone.reduce(reduction)
            assert expected.shape == sequence.reduce(reduction).shape
            difference = np.nanmax(np.abs(sequence.reduce(reduction).to_numpy() - expected))
            assert difference <= TOLERANCE * np.nanmax(np.abs(expected))


def test_kept_reductions_equal_those_of_the_raw_scores(attributed: Attributed) -> None:
    for sequence in attributed("input_x_gradient", attribute_target=True, granular=True):
        raw = sequence.raw_scores.to_numpy()
        np.testing.assert_allclose(sequence.reduce("sum"), raw.sum(-1), rtol=1e-9, atol=1e-15)
        np.testing.assert_allclose(sequence.reduce("norm"), np.linalg.norm(raw, axis=-1), rtol=1e-9)


def test_logits_from_embeddings_equal_logits_from_ids(case: Case, attributed: Attributed) -> None:
    model = case.model.model
    for sequence in attributed("saliency", attribute_target=True):
        position = sequence.attr_pos_end - 1
        from_embeddings, _ = naive.step_logits(model, sequence, position)
        from_ids, _ = naive.step_logits(model, sequence, position, embedded=False)
        torch.testing.assert_close(from_embeddings.detach(), from_ids, rtol=1e-9, atol=1e-9)
        traced = case.model.alternatives(sequence, -1, k=5)
        expected = from_ids.softmax(-1).topk(5)
        assert [a.token.id for a in traced.alternatives] == expected.indices.tolist()
        for alternative, value in zip(traced.alternatives, expected.values, strict=True):
            assert alternative.probability == pytest.approx(float(value), rel=1e-5)


def test_probabilities_equal_the_step_by_step_ones(case: Case, attributed: Attributed) -> None:
    for sequence in attributed("saliency", attribute_target=True):
        for column, position in enumerate(range(sequence.attr_pos_start, sequence.attr_pos_end)):
            logits, _ = naive.step_logits(case.model.model, sequence, position, embedded=False)
            expected = naive.probability(logits, sequence.target[position].id)
            assert float(sequence.step_scores["probability"][column]) == pytest.approx(
                float(expected), rel=1e-5
            )


def test_a_range_of_steps_equals_those_columns_of_the_whole(
    case: Case, attributed: Attributed
) -> None:
    (whole, _) = attributed("saliency", attribute_target=True)
    start, end = whole.attr_pos_start + 1, whole.attr_pos_end - 1
    (part,) = case.model.attribute(
        case.texts[0],
        case.targets[0],
        "saliency",
        attr_pos_start=start,
        attr_pos_end=end - len(whole.target),
        attribute_target=True,
        show_progress=False,
    )
    assert (part.attr_pos_start, part.attr_pos_end) == (start, end)
    expected = whole.scores.to_numpy()[: part.scores.shape[0], 1:-1]
    difference = np.nanmax(np.abs(part.scores.to_numpy() - expected))
    assert difference <= TOLERANCE * np.nanmax(expected)
