"""Turns the padded scores of a batch into labelled arrays, one text at a time."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from inseq_widget.methods.base import BatchScores
from inseq_widget.models import Example
from inseq_widget.results import Token
from inseq_widget.results.sequence import labelled


def labelled_scores(scores: BatchScores, example: Example, number: int) -> dict[str, xr.DataArray]:
    """Take one text's scores out of a batch.

    Parameters
    ----------
    scores : BatchScores
    example : Example
    number : int
        Its place in the batch.

    Returns
    -------
    dict of str to xarray.DataArray, each (input, step, ...)
        By reduction, and under ``"raw"`` with all dimensions; NaN where an input comes after
        the step.
    """
    prefix = example.target[: example.end - 1]
    arrays = {}
    for name, by_stack in scores.kept.items():
        parts: list[Tensor] = []
        inputs: list[Token] = []
        if "source" in by_stack:
            inputs += example.source
            parts.append(by_stack["source"][number, : len(example.source), : example.n_steps])
        if "target" in by_stack:
            inputs += prefix
            part = by_stack["target"][number, : len(prefix), : example.n_steps].clone()
            positions = torch.arange(len(prefix))[:, None]
            part[positions >= torch.arange(example.start, example.end)] = np.nan
            parts.append(part)
        steps = example.target[example.start : example.end]
        extra = [dim for dim in scores.extra_dims if name == "raw" or dim != "feature"]
        array = labelled(torch.cat(parts).numpy(), inputs, steps, extra)
        if scores.layers:
            array = array.assign_coords(layer=("layer", list(scores.layers)))
        if scores.n_features is not None:
            array.attrs["n_features"] = scores.n_features
        arrays[name] = array
    return arrays
