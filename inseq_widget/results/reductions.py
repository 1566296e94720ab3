"""Reductions: how a dimension of a score array goes away."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import xarray as xr

Dims = Sequence[Hashable]


def _norm(array: xr.DataArray, dims: Dims) -> xr.DataArray:
    squares: xr.DataArray = (array**2).sum(dims, skipna=False)
    return squares**0.5


def _absmax(array: xr.DataArray, dims: Dims) -> xr.DataArray:
    largest, smallest = array.max(dims, skipna=False), array.min(dims, skipna=False)
    return largest.where(abs(largest) >= abs(smallest), smallest)


_REDUCTIONS: dict[str, Callable[[xr.DataArray, Dims], xr.DataArray]] = {
    "norm": _norm,
    "sum": lambda array, dims: array.sum(dims, skipna=False),
    "mean": lambda array, dims: array.mean(dims, skipna=False),
    "max": lambda array, dims: array.max(dims, skipna=False),
    "absmax": _absmax,
}

REDUCTION_NAMES: tuple[str, ...] = tuple(_REDUCTIONS)


def reduce_dims(array: xr.DataArray, dims: Dims, reduction: str) -> xr.DataArray:
    """Reduce named dimensions of an array of scores.

    Parameters
    ----------
    array : xarray.DataArray
        Scores with at least the dimensions ``dims``. A missing score (NaN) stays missing.
    dims : sequence of hashable
        Dimensions to reduce, for example ``("feature",)`` or ``("layer", "head")``.
    reduction : {"norm", "sum", "mean", "max", "absmax"}
        ``norm`` is the Euclidean norm, ``absmax`` the value of largest magnitude with its sign.

    Returns
    -------
    xarray.DataArray
        The array without ``dims``.

    Raises
    ------
    ValueError
        For a reduction of another name.
    """
    if reduction not in _REDUCTIONS:
        raise ValueError(
            f"reduction: {reduction!r} is not known; choose one of {', '.join(_REDUCTIONS)}."
        )
    return _REDUCTIONS[reduction](array, dims) if dims else array


def mean_of_present(array: xr.DataArray, dims: Dims) -> xr.DataArray:
    """Average over dimensions along which some scores do not exist.

    Parameters
    ----------
    array : xarray.DataArray
    dims : sequence of hashable

    Returns
    -------
    xarray.DataArray
        The array without ``dims``: the mean of the scores that are there, NaN where none is.
    """
    return array.mean(dims, skipna=True) if dims else array


def share_of_step(scores: xr.DataArray) -> xr.DataArray:
    """Divide the scores of every step by their total magnitude over all inputs.

    Parameters
    ----------
    scores : xarray.DataArray, (input, step, ...)
        Scores; missing ones are NaN.

    Returns
    -------
    xarray.DataArray, (input, step, ...)
        Signed shares whose magnitudes sum to 1 in each step; 0 everywhere in a step without any
        score other than 0.
    """
    total = abs(scores).sum("input", skipna=True)
    return scores / total.where(total > 0, 1.0)
