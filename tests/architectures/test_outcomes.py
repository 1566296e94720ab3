"""Every method explains every architecture or says what works instead, and changes nothing."""

from __future__ import annotations

import numpy as np
import pytest

from inseq_widget.results import FeatureAttributionSequenceOutput
from tests.architectures import table
from tests.architectures.models import ARCHITECTURES
from tests.architectures.outcomes import methods, outcome
from tests.architectures.refusals import BY_METHOD, refuses

# It scores the words of the context alone, and with few samples may leave every sentence out.
OF_CONTEXT = {"context_cite"}


def seen(sequence: FeatureAttributionSequenceOutput) -> np.ndarray:
    """Say which inputs come before each step, (input, step)."""
    steps = np.arange(sequence.attr_pos_start, sequence.attr_pos_end)
    n_source = len(sequence.source) if sequence.architecture == "encoder_decoder" else 0
    before = np.arange(len(sequence.target))[:, None] < steps
    return np.concatenate([np.ones((n_source, len(steps)), dtype=bool), before])


@pytest.mark.parametrize("method", methods())
@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_scores_are_numbers_where_the_input_comes_before_the_step(name: str, method: str) -> None:
    result = outcome(name, method)
    assert (result.sequence is None) == refuses(method, name), result.refusal
    if result.sequence is None:
        # The refusal names methods that do explain the model.
        others = [m for m in methods() if m != method and f"'{m}'" in result.refusal]
        assert others, result.refusal
        assert all(outcome(name, other).sequence is not None for other in others), result.refusal
        return
    scores = result.sequence.scores.transpose("input", "step", ...).to_numpy()
    before = seen(result.sequence)[: len(scores)]
    encoded = result.sequence.architecture == "encoder_decoder"
    inputs = [*(result.sequence.source if encoded else []), *result.sequence.target][: len(scores)]
    if method in OF_CONTEXT:
        words = [token.side != "target" and not token.special for token in inputs]
        before &= np.array(words)[:, None]
    assert len(scores) in (before.shape[0], before.shape[0] - 1)
    assert np.isnan(scores[~before]).all()
    assert np.isfinite(scores[before]).all()
    assert method in OF_CONTEXT or np.abs(scores[before]).max() > 0


def test_every_refusal_that_is_written_down_is_one_of_these() -> None:
    assert set(BY_METHOD) <= set(methods())
    assert frozenset().union(*BY_METHOD.values()) <= set(ARCHITECTURES)


def test_the_table_in_the_documentation_is_current() -> None:
    assert table.PAGE.read_text(encoding="utf-8") == table.page(), (
        "run `make table` and look at what changed"
    )
