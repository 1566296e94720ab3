"""Attributions in double precision, and how to compare them with a loop over steps."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import torch
from torch import Tensor

import inseq_widget as iw
from inseq_widget.results import FeatureAttributionSequenceOutput
from tests.architectures.models import loaded, texts

TOLERANCE = 1e-9  # of the largest number, in double precision
SIDES = {"source": ("source",), "target": ("prompt", "target")}


@cache
def model_of(name: str) -> iw.AttributionModel:
    return loaded(name)


def attributed(
    name: str, method: str, pair: tuple[str, str] | None = None, **keywords: object
) -> FeatureAttributionSequenceOutput:
    """Explain a text and its forced target, those of the architecture by default."""
    text, target = pair or texts(name)
    return model_of(name).attribute(
        text, target, method, attribute_target=True, granular=True, show_progress=False, **keywords
    )[0]


def rows_of(sequence: FeatureAttributionSequenceOutput, column: int, stack: str) -> Tensor:
    """Take the raw scores of one step at the inputs of a stack that come before it."""
    values = sequence.raw_scores.to_numpy()[:, column]
    present = ~np.isnan(values).reshape(len(values), -1).any(1)
    return torch.from_numpy(values[np.isin(sequence.raw_scores.input_side, SIDES[stack]) & present])


def assert_same_scores(
    sequence: FeatureAttributionSequenceOutput, steps: list[Mapping[str, Tensor]]
) -> None:
    """Compare with what a loop gives for each step, by stack."""
    largest = float(np.nanmax(np.abs(sequence.raw_scores)))
    assert largest > 0
    assert len(steps) == sequence.attr_pos_end - sequence.attr_pos_start
    for column, stacks in enumerate(steps):
        for stack, expected in stacks.items():
            actual = rows_of(sequence, column, stack)
            assert actual.shape == expected.shape
            assert (actual - expected).abs().max() <= TOLERANCE * largest
