"""Of every architecture, a batch gives each text what it gets alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.architectures.double import in_double
from tests.architectures.exact import TOLERANCE, attributed, model_of
from tests.architectures.models import ARCHITECTURES, texts
from tests.architectures.refusals import refuses

# Shorter than the text of every architecture, in source and target.
SHORTER = {False: ("the nurse", "the nurse said that"), True: ("the nurse", "a enfermeira")}


@pytest.fixture(autouse=True)
def _in_double() -> Iterator[None]:
    with in_double():
        yield


@pytest.mark.parametrize(
    ("name", "method"),
    [
        (name, method)
        for name in ARCHITECTURES
        for method in ("saliency", "attention")
        if not refuses(method, name)
    ],
)
def test_a_batch_gives_each_text_what_it_gets_alone(name: str, method: str) -> None:
    pairs = [texts(name), SHORTER[ARCHITECTURES[name].encoder_decoder]]
    together = model_of(name).attribute(
        [text for text, _ in pairs],
        [target for _, target in pairs],
        method,
        attribute_target=True,
        granular=True,
        show_progress=False,
        batch_size=2,
    )
    assert len({len(sequence.target) for sequence in together}) == 2
    for pair, sequence in zip(pairs, together, strict=True):
        expected = attributed(name, method, pair).raw_scores.to_numpy()
        actual = sequence.raw_scores.to_numpy()
        largest = np.nanmax(np.abs(expected))
        assert largest > 0
        np.testing.assert_allclose(actual, expected, rtol=0, atol=TOLERANCE * largest)
