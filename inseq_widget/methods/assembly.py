"""Turns the padded scores of a batch into labelled arrays, one text at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from inseq_widget.methods.base import BatchScores
from inseq_widget.models import Example
from inseq_widget.models.faults import named_step
from inseq_widget.results import Token
from inseq_widget.results.labelling import labelled


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
        the step. Reductions of features that would have taken too much memory say in
        ``attrs["too_many_bytes"]`` how much.

    Raises
    ------
    ValueError
        When a score is infinite, or missing (NaN) where the input's other scores are not.
    """
    prefix = example.target[: example.end - 1]
    # (position, step)
    later = torch.arange(len(prefix))[:, None] >= torch.arange(example.start, example.end)
    arrays = {}
    steps = example.target[example.start : example.end]
    for name, by_stack in scores.kept.items():
        parts: list[Tensor] = []
        inputs: list[Token] = []
        if "source" in by_stack:
            inputs += example.source
            part = by_stack["source"][number, : len(example.source), : example.n_steps]
            _check_numbers(part, torch.zeros(part.shape[:2], dtype=torch.bool), inputs, example)
            parts.append(part)
        if "target" in by_stack:
            part = by_stack["target"][number, : len(prefix), : example.n_steps].clone()
            part[later] = np.nan
            _check_numbers(part, later, prefix, example)
            inputs += prefix
            parts.append(part)
        extra = [dim for dim in scores.extra_dims if name == "raw" or dim != "feature"]
        arrays[name] = labelled(torch.cat(parts).numpy(), inputs, steps, extra)
    whole = scores.features[number] if scores.features else None
    if whole is not None:
        # Its norm and its sum have been checked, and say which scores are missing.
        missing = torch.from_numpy(np.isnan(arrays["norm"].to_numpy()))
        whole[missing] = np.nan
        arrays["raw"] = labelled(whole.numpy(), inputs, steps, scores.extra_dims)
    for name, array in arrays.items():
        if scores.layers:
            arrays[name] = array.assign_coords(layer=("layer", list(scores.layers)))
        if scores.n_features is not None:
            arrays[name].attrs["n_features"] = scores.n_features
        if scores.too_many and scores.too_many[number]:
            arrays[name].attrs["too_many_bytes"] = scores.too_many[number]
    return arrays


def _check_numbers(
    scores: Tensor, later: Tensor, inputs: Sequence[Token], example: Example
) -> None:
    """Report scores that are no numbers, (position, step, ...), but for those left out on purpose.

    An input that has no score at all, at any step that sees it, has none on purpose: it is in no
    span, or of a stack that a layer says nothing about.

    Raises
    ------
    ValueError
        It names the input and the token of the step.
    """
    finite = scores.isfinite()
    if finite.all():
        return
    left_out = scores.isnan().all(1, keepdim=True)
    broken = ~(finite | left_out).flatten(2).all(2) if scores.dim() > 2 else ~(finite | left_out)
    broken &= ~later
    if broken.any():
        position, step = (int(index) for index in broken.nonzero()[0])
        raise ValueError(
            f"attributed_fn, model: the score of {inputs[position].label!r} (position {position}) "
            f"for {named_step(example, step)} is not a number (NaN or infinite): one of the two "
            "gave such numbers. Another step function shows which; half precision overflows in "
            "some models: load it with dtype=torch.float32 or torch.bfloat16."
        )
