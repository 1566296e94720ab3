"""Results with layers and heads, or with features, made by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import xarray as xr

from inseq_widget.results import FeatureAttributionOutput
from tests.unit.outputs import causal, info


def with_layers(
    n_layers: int = 3, n_heads: int = 2, *, seed: int = 0, signed: bool = False
) -> FeatureAttributionOutput:
    """Make a result of a method such as attention: (input, step, layer, head)."""
    output = causal()
    base = output[0].kept["norm"]
    draws = np.random.default_rng(seed).normal(size=(*base.shape, n_layers, n_heads))
    scores = draws if signed else np.abs(draws)
    scores *= np.arange(1, n_layers + 1)[:, None]
    scores[np.isnan(base.to_numpy())] = np.nan
    raw = xr.DataArray(scores, dims=("input", "step", "layer", "head"), coords=base.coords)
    return _of(output, {"raw": raw}, "mean", signed=signed)


def with_features(
    n_features: int = 4, *, seed: int = 0, reduction: str = "norm"
) -> FeatureAttributionOutput:
    """Make a result of a gradient method that kept its features."""
    output = causal()
    base = output[0].kept["norm"]
    draws = np.random.default_rng(seed).normal(size=(*base.shape, n_features))
    draws[np.isnan(base.to_numpy())] = np.nan
    raw = xr.DataArray(draws, dims=("input", "step", "feature"), coords=base.coords)
    total = raw.sum("feature", skipna=False).assign_attrs(n_features=n_features)
    norm = ((raw**2).sum("feature", skipna=False) ** 0.5).assign_attrs(n_features=n_features)
    return _of(output, {"norm": norm, "sum": total, "raw": raw}, reduction, signed=False)


def _of(
    output: FeatureAttributionOutput,
    kept: dict[str, xr.DataArray],
    reduction: str,
    *,
    signed: bool,
) -> FeatureAttributionOutput:
    about = info()
    about["reduction"], about["signed"] = reduction, signed
    one = replace(output[0], kept=kept, reduction=reduction, info=about)
    return replace(output, sequence_attributions=[one], info=about)
