"""Repairs of Inseq 0.7.1, for what it cannot do with current transformers; and its full precision.

What is repaired is listed in docs/differences.md. The repairs change where a method finds what it
works on, and no formula.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import torch

# GPT-2's attention calls its values `value_states` now, and Inseq looks for the variable's name.
GPT2 = {"self_attention_module": "attn", "value_vector": "value_states"}


@contextmanager
def repaired() -> Iterator[None]:
    """Repair value zeroing, the layer methods and ReAGent while the context lasts."""
    with _value_zeroing(), _layer_methods(), _tagger():
        yield


@contextmanager
def same_numbers(uniform: tuple[float, ...]) -> Iterator[None]:
    """Let numpy draw these uniform numbers, as many as are asked for, and no others."""
    original = np.random.uniform

    def drawn(low: float, high: float, size: int) -> np.ndarray:
        assert size == len(uniform)
        return low + (high - low) * np.array(uniform)

    np.random.uniform = drawn
    try:
        yield
    finally:
        np.random.uniform = original


@contextmanager
def _tagger() -> Iterator[None]:
    """Put a tagger in the place of nltk's, whose data is downloaded: all words are one class."""
    from inseq.utils import import_utils

    tagger = ModuleType("nltk")
    tagger.download = lambda name: True  # type: ignore[attr-defined]
    tagger.pos_tag = lambda words: [(word, "NN") for word in words]  # type: ignore[attr-defined]
    sys.modules["nltk"], import_utils._nltk_available = tagger, True
    try:
        yield
    finally:
        del sys.modules["nltk"]
        import_utils._nltk_available = False


@contextmanager
def _value_zeroing() -> Iterator[None]:
    """Let value zeroing take layers that give a tensor, and find GPT-2's values."""
    import inseq
    from inseq.attr.feat.ops.value_zeroing import ValueZeroing
    from inseq.models.model_config import MODEL_CONFIGS

    name = "get_states_extract_and_patch_hook"
    original = getattr(ValueZeroing, name)

    def either(zeroing: Any, block_idx: int, hidden_state_idx: int = 0) -> Callable[..., Any]:
        of_tuple = original(zeroing, block_idx, hidden_state_idx)

        def hook(module: torch.nn.Module, args: Any, output: Any) -> Any:
            if isinstance(output, tuple):
                return of_tuple(module, args, output)
            zeroing.corrupted_block_output_states[block_idx] = output.detach().clone().float()
            return zeroing.clean_block_output_states[block_idx].to(output.dtype)

        return hook

    setattr(ValueZeroing, name, either)
    before = MODEL_CONFIGS["GPT2LMHeadModel"]
    inseq.register_model_config("GPT2LMHeadModel", GPT2, overwrite=True, allow_partial=True)
    try:
        yield
    finally:
        setattr(ValueZeroing, name, original)
        MODEL_CONFIGS["GPT2LMHeadModel"] = before


@contextmanager
def _layer_methods() -> Iterator[None]:
    """Let the baselines of the layer methods reach the model, which is given the text twice."""
    from inseq.models.huggingface_model import (
        HuggingfaceDecoderOnlyModel,
        HuggingfaceEncoderDecoderModel,
    )

    # After the attributed tensor: the ids, of which those of the same stack come first, and then
    # what is not a tensor of the batch; the flag says whether the tensor holds embeddings.
    places = ((HuggingfaceDecoderOnlyModel, 1, 5), (HuggingfaceEncoderDecoderModel, 2, 8))
    originals = [family.forward for family, _, _ in places]

    def corrected(original: Callable[..., Any], ids: int, flag: int) -> Callable[..., Any]:
        def forward(model: Any, *args: Any, **kwargs: Any) -> Any:
            given = list(args)
            if not given[flag]:
                given[ids] = given[0]
            return original(model, *given, **kwargs)

        return forward

    for (family, ids, flag), original in zip(places, originals, strict=True):
        family.forward = corrected(original, ids, flag)
    try:
        yield
    finally:
        for (family, _, _), original in zip(places, originals, strict=True):
            family.forward = original


class Beginning:
    """What Inseq keeps for a whole process and writes to, as it is when this is made."""

    def __init__(self) -> None:
        from inseq import AttributionModel
        from inseq.data.aggregation_functions import DEFAULT_ATTRIBUTION_AGGREGATE_DICT

        self._kept = [
            DEFAULT_ATTRIBUTION_AGGREGATE_DICT,
            *(each for each in AttributionModel.attribute.__defaults__ if isinstance(each, dict)),
        ]
        self._contents = copy.deepcopy(self._kept)

    def restore(self) -> None:
        """Undo what was written since: one job would change what the next one gets."""
        for kept, contents in zip(self._kept, self._contents, strict=True):
            kept.clear()
            kept.update(copy.deepcopy(contents))


def keep_double_precision() -> None:
    """Keep the precision of a model's scores, which Inseq rounds to float32 when a step is done."""
    from inseq.data.attribution import FeatureAttributionStepOutput

    original = FeatureAttributionStepOutput.to

    def moved(output: Any, device: Any) -> Any:
        return output if device is torch.float32 else original(output, device)

    FeatureAttributionStepOutput.to = moved
