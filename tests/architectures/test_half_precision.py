"""Models in half precision rank the inputs much as they do in single precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from tests.architectures.models import loaded, texts
from tests.architectures.outcomes import outcome, quick

# A mixture of experts, linear biases, absolute and rotary positions, soft-capped scores, states
# in the place of attention, and an encoder with a decoder.
NAMES = ["Mixtral", "Bloom", "GPT-2", "Qwen3", "Gemma 2", "Mamba", "Marian"]
METHODS = ["saliency", "input_x_gradient", "integrated_gradients", "attnlrp", "occlusion"]
# Its embeddings are normed at once: to the first order nothing changes with their size, and what
# input_x_gradient sums to is rounding.
OF_NO_SIZE = ("Bloom", "input_x_gradient")
CASES = [(name, method) for name in NAMES for method in METHODS if (name, method) != OF_NO_SIZE]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize(("name", "method"), CASES)
def test_half_precision_ranks_the_inputs_alike(name: str, method: str, dtype: torch.dtype) -> None:
    wide = outcome(name, method).sequence
    assert wide is not None
    narrow = loaded(name, dtype).attribute(
        *texts(name),
        method,
        attribute_target=wide.architecture == "encoder_decoder",
        show_progress=False,
        **quick(method),
    )[0]
    expected, actual = wide.scores.to_numpy(), narrow.scores.to_numpy()
    present = np.isfinite(expected)
    assert (np.isfinite(actual) == present).all()
    agreement = spearmanr(actual[present], expected[present]).statistic
    assert agreement > 0.9
