"""Results with everything that a file has to keep, and what it means that two are the same."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace

import numpy as np
import torch
import xarray as xr

from inseq_widget.results import FeatureAttributionOutput, Info, Token
from inseq_widget.results.labelling import labelled
from inseq_widget.results.steps import step_attributions_of
from tests.unit.outputs import batch, causal, encoder_decoder, evil


def evil_tokens() -> FeatureAttributionOutput:
    """Make an output whose tokens try to be anything but text, and are on its arrays."""
    output = evil()
    one = output[0]
    values = one.scores.to_numpy()
    kept = {one.reduction: labelled(values, one.inputs, one.steps)}
    output.sequence_attributions = [replace(one, kept=kept)]
    return output


def everything() -> FeatureAttributionOutput:
    """Make an output that uses every field, with all dimensions and several types."""
    torch.manual_seed(0)
    output = encoder_decoder()
    one = output[0]
    shape = (len(one.inputs), len(one.steps), 3, 2, 5)
    draws = np.random.default_rng(0).normal(size=shape)
    draws[-1, 0] = np.nan
    raw = labelled(draws, one.inputs, one.steps, ["layer", "head", "feature"])
    raw = raw.assign_coords(layer=("layer", [0, 2, 11]), model=7, head=("head", ["a", "\ud83d"]))
    raw.attrs["n_features"] = np.int64(5)
    total = raw.sum("feature").isel(head=0).astype(np.float32)
    total.attrs["n_features"] = 5
    n_source, n_target = len(one.source), len(one.target)
    full = replace(
        one,
        kept={"sum": total, "raw": raw},
        reduction="mean",
        step_scores={
            "probability": torch.linspace(0.9, 0.1, len(one.steps)),
            "bits/é\u2028": torch.full((len(one.steps),), -torch.inf, dtype=torch.float64),
            "top_p_size": torch.arange(len(one.steps)),
            "half": torch.rand(len(one.steps), 2, dtype=torch.float16)[:, 0],
        },
        sequence_scores={
            "encoder_self_attentions": torch.rand(n_source, n_source, 3, 2),
            "decoder_self_attentions": torch.rand(n_target, n_target, 3, 2),
            "cross": torch.rand(n_source, n_target).T.contiguous().T,
        },
        step_aggregates={"probability": {"spans": "prod"}},
        foil="um médico",
        foil_tokens=[Token("▁m", 5, " m", i, "target", False, 0) for i in range(len(one.steps))],
    )
    about: Info = {**full.info, "aggregation": ["spans joined"], "model_revision": "abc"}
    other = replace(causal()[0], info=about)
    whole = batch(FeatureAttributionOutput([full, other], output.info), evil_tokens(), causal())
    whole.step_attributions = [step for one in whole for step in step_attributions_of(one)]
    return whole


def assert_same(first: object, second: object, where: str = "output") -> None:
    """Compare two results field by field, numbers bit by bit; the live model is left out."""
    assert type(first) is type(second), where
    if isinstance(first, xr.DataArray) and isinstance(second, xr.DataArray):
        xr.testing.assert_identical(first, second)
        assert first.dtype == second.dtype, where
    elif isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor):
        assert first.dtype == second.dtype, where
        torch.testing.assert_close(first, second, rtol=0, atol=0, equal_nan=True)
    elif is_dataclass(first) and not isinstance(first, type):
        for field in fields(first):
            if field.name != "live_model":
                own, others = getattr(first, field.name), getattr(second, field.name)
                assert_same(own, others, f"{where}.{field.name}")
    elif isinstance(first, dict) and isinstance(second, dict):
        assert list(first) == list(second), where
        for key, value in first.items():
            assert_same(value, second[key], f"{where}[{key!r}]")
    elif isinstance(first, list) and isinstance(second, list):
        assert len(first) == len(second), where
        for number, (one, other) in enumerate(zip(first, second, strict=True)):
            assert_same(one, other, f"{where}[{number}]")
    else:
        assert first == second, where
