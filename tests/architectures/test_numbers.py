"""Of every architecture, what is explained is the model that generates, step by step."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

import inseq_widget as iw
from inseq_widget.results import FeatureAttributionSequenceOutput
from tests.architectures import stepwise
from tests.architectures.double import in_double
from tests.architectures.models import ARCHITECTURES, loaded, made, texts

TOLERANCE = 1e-9  # of the largest number, in double precision
FORMULA = {
    "saliency": lambda gradient, x: gradient.abs(),
    "input_x_gradient": lambda gradient, x: gradient * x,
}
SIDES = {"source": ("source",), "target": ("prompt", "target")}
NAMES = list(ARCHITECTURES)


@pytest.fixture(autouse=True)
def _in_double() -> Iterator[None]:
    with in_double():
        yield


@cache
def model_of(name: str) -> iw.AttributionModel:
    return loaded(name)


def attributed(name: str, method: str) -> FeatureAttributionSequenceOutput:
    text, target = texts(name)
    return model_of(name).attribute(
        text, target, method, attribute_target=True, granular=True, show_progress=False
    )[0]


def rows_of(sequence: FeatureAttributionSequenceOutput, column: int, stack: str) -> Tensor:
    """Take the raw scores of one step at the inputs of a stack that come before it."""
    values = sequence.raw_scores.to_numpy()[:, column]
    present = ~np.isnan(values).any(tuple(range(1, values.ndim)))
    return torch.from_numpy(values[np.isin(sequence.raw_scores.input_side, SIDES[stack]) & present])


@pytest.mark.parametrize("name", NAMES)
def test_logits_from_embeddings_are_those_of_every_prefix_alone(name: str) -> None:
    model = model_of(name)
    text, target = texts(name)
    (example,) = model._traceable.examples([text], [target], {}, (None, None), None)
    sequence = attributed(name, "dummy")
    expected = stepwise.logits(model.model, sequence)
    traced = model._traceable.trace([example], graph=True)
    given = {stack: leaf.detach() for stack, leaf in traced.embeddings.items()}
    from_embeddings = model._traceable.trace([example], embeddings=given)
    for trace in (traced, from_embeddings):
        assert (trace.logits[0].detach() - expected).abs().max() <= TOLERANCE * expected.abs().max()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method", list(FORMULA))
def test_gradient_scores_equal_a_backward_pass_for_each_step(name: str, method: str) -> None:
    sequence = attributed(name, method)
    largest = float(np.nanmax(np.abs(sequence.raw_scores)))
    assert largest > 0
    for column, stacks in enumerate(stepwise.gradients(model_of(name).model, sequence)):
        for stack, (gradient, embedding) in stacks.items():
            actual = rows_of(sequence, column, stack)
            expected = FORMULA[method](gradient, embedding)
            assert actual.shape == expected.shape
            assert (actual - expected).abs().max() <= TOLERANCE * largest


# What RWKV calls attentions is the output of its layers.
WITHOUT_WEIGHTS = {"RWKV", "Mamba", "Mamba 2"}
# Its heads attend twice with the same weights, to two halves of the values.
ATTENDS_TWICE = {"DiffLlama"}


@pytest.mark.parametrize("name", [name for name in NAMES if name not in WITHOUT_WEIGHTS])
def test_attention_is_what_the_model_reports(name: str) -> None:
    # Other implementations report none, or some that they did not mask.
    eager = made(name, attn_implementation="eager")
    expected = stepwise.attentions(eager, attributed(name, "dummy"))
    assert expected is not None
    sequence = attributed(name, "attention")
    stack = "source" if ARCHITECTURES[name].encoder_decoder else "target"
    for column, weights in enumerate(expected):
        actual = rows_of(sequence, column, stack).movedim(0, -1)
        if name in ATTENDS_TWICE:
            weights = torch.cat([weights, weights], dim=1)
        assert actual.shape == weights.shape
        assert (actual - weights).abs().max() <= TOLERANCE


@pytest.mark.parametrize("name", sorted(WITHOUT_WEIGHTS))
def test_a_model_without_attention_says_what_works_instead(name: str) -> None:
    with pytest.raises(NotImplementedError, match="'saliency' work"):
        attributed(name, "attention")
