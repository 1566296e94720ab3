"""Puts tokens on arrays of scores, as the coordinates of their dimensions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from inseq_widget.results.tokens import Token, labels


def labelled(
    values: np.ndarray, inputs: Sequence[Token], steps: Sequence[Token], extra: Sequence[str] = ()
) -> xr.DataArray:
    """Put token coordinates on an array of scores.

    Parameters
    ----------
    values : numpy.ndarray, (input, step, *extra)
    inputs : sequence of Token, (input,)
    steps : sequence of Token, (step,)
    extra : sequence of str
        Names of the dimensions after ``step``.

    Returns
    -------
    xarray.DataArray, (input, step, *extra)
        Coordinates ``input`` and ``step`` hold the tokens as text; ``input_id``,
        ``input_position``, ``input_side``, ``step_id`` and ``step_position`` lie beside them.
    """
    coordinates: dict[str, object] = {
        "input": ("input", labels(inputs)),
        "step": ("step", labels(steps)),
        "input_id": ("input", [token.id for token in inputs]),
        "input_position": ("input", [token.position for token in inputs]),
        "input_side": ("input", [token.side for token in inputs]),
        "step_id": ("step", [token.id for token in steps]),
        "step_position": ("step", [token.position for token in steps]),
    }
    return xr.DataArray(values, dims=("input", "step", *extra), coords=coordinates, name="score")


def relabelled(
    array: xr.DataArray, values: np.ndarray, inputs: Sequence[Token], steps: Sequence[Token]
) -> xr.DataArray:
    """Put other values and tokens in the place of an array's own.

    Parameters
    ----------
    array : xarray.DataArray, (input, step, ...)
        Its further dimensions with their coordinates, and its attributes, are taken over.
    values : numpy.ndarray, (input, step, ...)
    inputs : sequence of Token, (input,)
    steps : sequence of Token, (step,)

    Returns
    -------
    xarray.DataArray, (input, step, ...)
    """
    extra = [str(dim) for dim in array.dims[2:]]
    kept = {dim: array.coords[dim] for dim in extra if dim in array.coords}
    return labelled(values, inputs, steps, extra).assign_coords(kept).assign_attrs(array.attrs)
