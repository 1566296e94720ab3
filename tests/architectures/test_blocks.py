"""Attention in blocks, of keys that their queries can see, differentiates as the whole does."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from inseq_widget.models import attention
from tests.architectures.double import in_double
from tests.architectures.models import ARCHITECTURES, loaded, texts

# Grouped queries, a sliding window, experts; encoders see what comes later.
NAMES = ["Llama", "Mistral", "Mixtral", "GPT-2", "BART", "M2M-100"]
SHORTER = {False: ("the nurse", "the nurse said that"), True: ("the nurse", "a enfermeira")}


def scores(name: str, method: str) -> list[np.ndarray]:
    encodes = ARCHITECTURES[name].encoder_decoder
    pairs = [texts(name), SHORTER[encodes]]
    with in_double():
        output = loaded(name).attribute(
            [text for text, _ in pairs],
            [target for _, target in pairs],
            method,
            attribute_target=encodes,
            show_progress=False,
        )
    return [sequence.scores.to_numpy() for sequence in output]


@pytest.mark.parametrize("block", [1, 2, 4])
@pytest.mark.parametrize("method", ["saliency", "attnlrp"])
@pytest.mark.parametrize("name", NAMES)
def test_blocks_change_no_score(
    name: str, method: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = scores(name, method)
    monkeypatch.setattr(attention, "_FUSED_KEYS", {"cpu": 2})
    monkeypatch.setattr(attention, "_BLOCK", {"cpu": block})
    n_keys: list[int] = []
    fused = torch.nn.functional.scaled_dot_product_attention

    def counting(
        query: torch.Tensor, key: torch.Tensor, *others: object, **keywords: object
    ) -> torch.Tensor:
        n_keys.append(key.shape[2])
        return fused(query, key, *others, **keywords)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", counting)
    for actual, wanted in zip(scores(name, method), expected, strict=True):
        largest = np.nanmax(np.abs(wanted))
        np.testing.assert_allclose(actual, wanted, rtol=0, atol=1e-9 * largest)
    if method == "saliency":  # whose attention is not taken apart
        assert len(set(n_keys)) > 2
