"""Gives a sequence as one labelled data set, for xarray and for files that it writes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import torch
import xarray as xr

from inseq_widget.results.tokens import labels

if TYPE_CHECKING:
    from inseq_widget.results.sequence import FeatureAttributionSequenceOutput

Attribute = str | int | float


def dataset(sequence: FeatureAttributionSequenceOutput) -> xr.Dataset:
    """Give a sequence as a data set.

    Parameters
    ----------
    sequence : FeatureAttributionSequenceOutput

    Returns
    -------
    xarray.Dataset
        See :meth:`FeatureAttributionSequenceOutput.to_xarray`.
    """
    variables: dict[str, xr.DataArray] = {
        "scores": sequence.scores,
        **{name: array.rename(name) for name, array in sequence.kept.items()},
    }
    joined = xr.Dataset(variables).copy(deep=True)
    joined = joined.assign_coords(
        input_piece=("input", [token.piece for token in sequence.inputs]),
        step_piece=("step", [token.piece for token in sequence.steps]),
    )
    for name, values in sequence.step_scores.items():
        joined[_free_name(name, joined)] = ("step", values.numpy().copy())
    for name, values in sequence.sequence_scores.items():
        joined[_free_name(name, joined)] = _between_tokens(sequence, name, values)
    return joined.assign_attrs(_attributes(sequence))


def _free_name(name: str, joined: xr.Dataset) -> str:
    """Name a step score; one that is called like something else gets a word before its name."""
    taken = name in joined.variables or name in joined.dims
    return f"step_score_{name}" if taken else name


def _between_tokens(
    sequence: FeatureAttributionSequenceOutput, name: str, values: torch.Tensor
) -> xr.DataArray:
    """Label scores between tokens, (attended, attending, ...)."""
    attended = sequence.target if name.startswith("decoder") else sequence.source
    attending = sequence.source if name.startswith("encoder") else sequence.target
    # Dimensions of its own: the last target tokens need not have such scores.
    rows, columns = f"{name}_attended", f"{name}_attending"
    return xr.DataArray(
        values.numpy().copy(),
        dims=[rows, columns, *_further_dims(sequence, name, values)],
        coords={
            rows: labels(attended[: values.shape[0]]),
            columns: labels(attending[: values.shape[1]]),
        },
    )


def _further_dims(
    sequence: FeatureAttributionSequenceOutput, name: str, values: torch.Tensor
) -> list[str]:
    """Name the dimensions after the tokens: those of the scores where they are the same."""
    for array in sequence.kept.values():
        if array.shape[2:] == values.shape[2:]:
            return [str(dim) for dim in array.dims[2:]]
    return [f"{name}_dimension_{number}" for number in range(2, values.dim())]


def _attributes(sequence: FeatureAttributionSequenceOutput) -> dict[str, Attribute]:
    """Say what produced the scores in text and numbers, which every file format can hold."""
    attributes: dict[str, object] = {
        **sequence.info,
        "reduction": sequence.reduction,
        "architecture": sequence.architecture,
        "attr_pos_start": sequence.attr_pos_start,
        "attr_pos_end": sequence.attr_pos_end,
    }
    return {name: _attribute(value) for name, value in attributes.items() if value is not None}


def _attribute(value: object) -> Attribute:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str | int | float):
        return value
    return json.dumps(value, ensure_ascii=False)
