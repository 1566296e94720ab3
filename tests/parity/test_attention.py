"""The attention method gives the weights that the model reports for each prefix on its own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from inseq_widget.results import FeatureAttributionOutput
from tests.parity import naive
from tests.parity.conftest import Case

Attributed = Callable[..., FeatureAttributionOutput]


@pytest.fixture
def softmax_in_double_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the models' own attention from rounding its weights to single precision."""
    softmax = torch.nn.functional.softmax

    def exact(products: Tensor, dim: int, dtype: torch.dtype | None = None) -> Tensor:
        return softmax(products, dim=dim)

    monkeypatch.setattr(torch.nn.functional, "softmax", exact)


@pytest.mark.usefixtures("softmax_in_double_precision")
def test_weights_of_every_layer_and_head_equal_the_models_own(
    case: Case, attributed: Attributed
) -> None:
    for sequence in attributed("attention"):
        raw = sequence.raw_scores
        assert raw.dims == ("input", "step", "layer", "head")
        for column, stacks in enumerate(naive.attentions(case.model.model, sequence)):
            ((_, expected),) = stacks.items()
            actual = raw.to_numpy()[: expected.shape[-1], column]
            assert np.abs(actual - expected.permute(2, 0, 1).numpy()).max() <= 1e-9
            assert np.isnan(raw.to_numpy()[expected.shape[-1] :, column]).all()


def test_the_weights_of_a_step_sum_to_one_in_every_head(attributed: Attributed) -> None:
    for sequence in attributed("attention"):
        totals = sequence.raw_scores.sum("input", skipna=True)
        np.testing.assert_allclose(totals, 1.0, atol=1e-6)


def test_a_batch_gives_each_text_what_it_gets_alone(case: Case, attributed: Attributed) -> None:
    for text, target, sequence in zip(
        case.texts, case.targets, attributed("attention"), strict=True
    ):
        (alone,) = case.model.attribute(text, target, "attention", show_progress=False)
        difference = np.abs(sequence.raw_scores.to_numpy() - alone.raw_scores.to_numpy())
        assert np.nanmax(difference) <= 1e-9
