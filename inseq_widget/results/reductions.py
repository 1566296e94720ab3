"""Functions that make one score of several: along a dimension, or within groups of neighbours.

Missing scores (NaN) are left out; where all are missing, the result is missing.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import xarray as xr

from inseq_widget.registry import Registry

Array = npt.NDArray[np.floating]
Starts = npt.NDArray[np.intp]
Dims = Sequence[Hashable]


@dataclass(frozen=True)
class Members:
    """Scores that are to be joined along an axis.

    Attributes
    ----------
    values : numpy.ndarray
    axis : int
    starts : numpy.ndarray of int, (group,), or None
        Where the groups of neighbours begin, the first at 0; None for all in one.
    """

    values: Array
    axis: int
    starts: Starts | None

    @cached_property
    def missing(self) -> npt.NDArray[np.bool_] | None:
        """Which scores are missing; None where none is."""
        missing = np.isnan(self.values)
        return missing if missing.any() else None

    def filled(self, value: float) -> Array:
        """Put a value where a score is missing."""
        if self.missing is None:
            return self.values
        return np.where(self.missing, self.values.dtype.type(value), self.values)

    def joined(self, ufunc: np.ufunc, values: npt.NDArray[np.generic]) -> Array:
        """Apply a function of two numbers over all members of each group."""
        if self.starts is None:
            result: Array = ufunc.reduce(values, axis=self.axis)
        else:
            result = ufunc.reduceat(values, self.starts, axis=self.axis)
        return result

    def counts(self) -> npt.NDArray[np.signedinteger]:
        """Count the scores that are there, in a shape that fits the joined ones."""
        if self.missing is not None:
            return self.joined(np.add, (~self.missing).astype(np.int32)).astype(np.int32)
        length = self.values.shape[self.axis]
        if self.starts is None:
            return np.array(length)
        shape = [1] * self.values.ndim
        shape[self.axis] = -1
        return np.diff(self.starts, append=length).reshape(shape)


def _sum(members: Members) -> Array:
    return members.joined(np.add, members.filled(0))


def _mean(members: Members) -> Array:
    total = _sum(members)
    mean: Array = total / np.maximum(members.counts(), 1).astype(total.dtype)
    return mean


def _prod(members: Members) -> Array:
    return members.joined(np.multiply, members.filled(1))


def _max(members: Members) -> Array:
    return members.joined(np.maximum, members.filled(-np.inf))


def _min(members: Members) -> Array:
    return members.joined(np.minimum, members.filled(np.inf))


def _absmax(members: Members) -> Array:
    largest, smallest = _max(members), _min(members)
    return np.where(np.abs(largest) >= np.abs(smallest), largest, smallest)


def _vnorm(members: Members, vnorm_ord: float = 2) -> Array:
    order = float(vnorm_ord)
    if np.isnan(order):
        raise ValueError("vnorm_ord: NaN given; choose a number, such as 1, 2 or float('inf').")
    if order == 2:
        values = members.filled(0)
        return np.sqrt(members.joined(np.add, values * values))
    # A missing member must not count: 0 adds nothing, and to a negative power infinity does not.
    magnitudes = np.abs(members.filled(0 if order >= 0 else np.inf))
    if order == 0:
        return members.joined(np.add, (magnitudes != 0).astype(magnitudes.dtype))
    if np.isinf(order):
        return members.joined(np.maximum if order > 0 else np.minimum, magnitudes)
    with np.errstate(divide="ignore"):  # 0 to a negative power is infinity, and comes back as 0
        powers: Array = members.joined(np.add, magnitudes**order)
        roots: Array = powers ** (1 / order)
    return roots


@dataclass(frozen=True)
class AggregationFunction:
    """A function that makes one score of several.

    Attributes
    ----------
    name : str
    function : callable
        Of :class:`Members` where ``vectorized``, else of ``(scores, axis)``; and of keywords.
    linear : bool
        Whether it and the sum over features may change places.
    vectorized : bool
    given : mapping of str to object
        What it is called with beside the scores.
    """

    name: str
    function: Callable[..., Array]
    linear: bool = False
    vectorized: bool = False
    given: Mapping[str, object] = field(default_factory=dict)

    @property
    def keywords(self) -> tuple[str, ...]:
        """Names of the keywords that it takes."""
        try:
            parameters = list(inspect.signature(self.function).parameters.values())
        except (TypeError, ValueError):  # of a builtin
            return ()
        named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        taken = parameters[1 if self.vectorized else 2 :]
        return tuple(parameter.name for parameter in taken if parameter.kind in named)

    def bound(self, keywords: Mapping[str, object]) -> AggregationFunction:
        """Give it those of some keywords that it takes."""
        given = {name: keywords[name] for name in self.keywords if name in keywords}
        return replace(self, given=given)

    def along(self, values: Array, axis: int) -> Array:
        """Join all scores along an axis.

        Parameters
        ----------
        values : numpy.ndarray
        axis : int

        Returns
        -------
        numpy.ndarray
            Without the axis.
        """
        values = _floating(values)
        members = Members(values, axis, None)
        result = self._called(members) if self.vectorized else self._own(values, axis)
        missing = members.missing
        return result if missing is None else np.where(missing.all(axis), np.nan, result)

    def within(self, values: Array, starts: Starts, axis: int) -> Array:
        """Join the scores within each group of neighbours; a score alone stays as it is.

        Parameters
        ----------
        values : numpy.ndarray
        starts : numpy.ndarray of int, (group,)
            Where the groups begin, the first at 0.
        axis : int

        Returns
        -------
        numpy.ndarray
            As long as there are groups along the axis.
        """
        values = _floating(values)
        length = values.shape[axis]
        if len(starts) == length:
            return values.copy()
        members = Members(values, axis, starts)
        ends = np.append(starts[1:], length)
        alone = np.flatnonzero(ends - starts == 1)
        if self.vectorized:
            result = self._called(members)
        else:
            result = np.take(values, starts, axis)
            for group in np.flatnonzero(ends - starts > 1):
                part = np.take(values, np.arange(starts[group], ends[group]), axis)
                _along(result, axis)[group] = self._own(part, axis)
        if members.missing is not None:
            result = np.where(members.counts() == 0, np.nan, result)
        _along(result, axis)[alone] = _along(values, axis)[starts[alone]]
        return result

    def _called(self, members: Members) -> Array:
        with np.errstate(over="ignore"):
            return self.function(members, **self.given)

    def _own(self, values: Array, axis: int) -> Array:
        expected = values.shape[:axis] + values.shape[axis:][1:]
        with warnings.catch_warnings():
            # What NumPy says of slices where everything is missing: they stay missing.
            warnings.simplefilter("ignore", RuntimeWarning)
            result = np.asarray(self.function(values, axis, **self.given))
        if result.shape != expected:
            raise ValueError(
                f"aggregate_fn: {self.name} gave the shape {result.shape} for scores of the shape "
                f"{values.shape} along axis {axis}; it has to give {expected}."
            )
        return result


def _floating(values: Array) -> Array:
    values = np.asarray(values)
    return values if np.issubdtype(values.dtype, np.floating) else values.astype(np.float64)


def _along(values: Array, axis: int) -> Array:
    return np.moveaxis(values, axis, 0)


FUNCTIONS: Registry[AggregationFunction] = Registry("aggregate_fn")
for _name, _function, _linear in (
    ("mean", _mean, True),
    ("sum", _sum, True),
    ("min", _min, False),
    ("max", _max, False),
    ("absmax", _absmax, False),
    ("prod", _prod, False),
    ("vnorm", _vnorm, False),
):
    FUNCTIONS.add(_name, AggregationFunction(_name, _function, _linear, vectorized=True))

REDUCTION_NAMES: tuple[str, ...] = ("norm", "sum", "mean", "max", "min", "absmax", "prod")


def list_aggregation_functions() -> list[str]:
    """List the names of the aggregation functions.

    Returns
    -------
    list of str
    """
    return list(FUNCTIONS)


def find_function(given: object) -> AggregationFunction:
    """Find an aggregation function.

    Parameters
    ----------
    given : str, AggregationFunction or callable
        A registered name (``"norm"`` is another for ``"vnorm"``), or a function of
        ``(scores, axis)``.

    Returns
    -------
    AggregationFunction

    Raises
    ------
    ValueError
        For an unknown name; the message gives the nearest ones.
    TypeError
        For anything else.
    """
    if isinstance(given, AggregationFunction):
        return given
    if isinstance(given, str):
        return FUNCTIONS["vnorm" if given == "norm" else given]
    if callable(given):
        return AggregationFunction(getattr(given, "__name__", type(given).__name__), given)
    raise TypeError(
        f"aggregate_fn: {given!r} given; choose one of {', '.join(FUNCTIONS)}, "
        "or pass a function of (scores, axis)."
    )


def reduce_dims(array: xr.DataArray, dims: Dims, reduction: str) -> xr.DataArray:
    """Reduce named dimensions of an array of scores.

    Parameters
    ----------
    array : xarray.DataArray
        Scores with at least the dimensions ``dims``. Missing ones (NaN) are left out; where all
        are missing, the result is missing.
    dims : sequence of hashable
        Dimensions to reduce, for example ``("feature",)`` or ``("layer", "head")``.
    reduction : str
        Name of an aggregation function: ``vnorm`` (or ``norm``) is the Euclidean norm, ``absmax``
        the value of largest magnitude with its sign.

    Returns
    -------
    xarray.DataArray
        The array without ``dims``.

    Raises
    ------
    ValueError
        For a reduction of another name.
    """
    return reduce_with(array, dims, find_function(reduction))


def reduce_with(array: xr.DataArray, dims: Dims, function: AggregationFunction) -> xr.DataArray:
    """Reduce named dimensions of an array of scores with an aggregation function.

    Parameters
    ----------
    array : xarray.DataArray
    dims : sequence of hashable
    function : AggregationFunction

    Returns
    -------
    xarray.DataArray
        The array without ``dims``.
    """
    if not dims:
        return array
    others = [dim for dim in array.dims if dim not in dims]
    values = array.transpose(*others, *dims).to_numpy()
    values = values.reshape(*values.shape[: len(others)], -1)
    left = array.isel(dict.fromkeys(dims, 0), drop=True).transpose(*others)
    reduced = left.copy(data=function.along(values, values.ndim - 1))
    reduced.attrs = {}
    return reduced


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
    return reduce_dims(array, dims, "mean")


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


def share_of_largest(scores: xr.DataArray) -> xr.DataArray:
    """Divide all scores by the largest magnitude among them.

    Parameters
    ----------
    scores : xarray.DataArray
        Scores; missing ones are NaN.

    Returns
    -------
    xarray.DataArray
        Between -1 and 1, with their signs; 0 where every score is.
    """
    largest = float(abs(scores).max(skipna=True))
    return scores / largest if largest > 0 else scores.copy()
