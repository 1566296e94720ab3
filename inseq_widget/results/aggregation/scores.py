"""The aggregator "scores": reduces features, layers or heads, and shares out each step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
import xarray as xr

from inseq_widget.results.aggregation.base import Aggregator, GivenFunction, register_aggregator
from inseq_widget.results.aggregation.changes import changed_scores, remade
from inseq_widget.results.deriving import cloned
from inseq_widget.results.reductions import (
    AggregationFunction,
    reduce_with,
    share_of_largest,
    share_of_step,
)

if TYPE_CHECKING:
    from inseq_widget.results.sequence import FeatureAttributionSequenceOutput

# What was kept of the features that each function can be had from.
_KEPT_FOR = {"vnorm": "norm", "sum": "sum", "mean": "sum"}


@register_aggregator
@dataclass(kw_only=True)
class ScoresAggregator(Aggregator):
    """Reduces one dimension of the scores: features, heads or layers.

    The default function is ``vnorm`` over features and ``mean`` over layers and heads. A result
    with nothing but inputs and steps left is only normalised or rescaled.

    Parameters
    ----------
    aggregate_fn : str or callable, optional
    select_idx : int, (int, int) or list of int, optional
        What to take of the dimension: one of it, which needs no function; from start up to, not
        including, end; or those listed. Negative ones count from the end.
    normalize : bool, optional
        Divide each step's scores by their total magnitude over source and target together.
        True by default, unless ``rescale`` is.
    rescale : bool, default False
        Divide all scores by the largest magnitude among them.
    dim : {"feature", "head", "layer"}, optional
        The dimension; the last one by default.
    """

    aggregator_name: ClassVar[str] = "scores"

    select_idx: int | tuple[int, int] | list[int] | None = None
    normalize: bool | None = None
    rescale: bool = False
    dim: str | None = None

    def __post_init__(self) -> None:
        if self.normalize and self.rescale:
            raise ValueError("normalize, rescale: both given; choose one.")

    @classmethod
    def keywords_of_function(cls, given: GivenFunction | None) -> list[str]:
        """List the keywords of a function that it is called with; of its default for None."""
        return super().keywords_of_function("vnorm" if given is None else given)

    def aggregate(
        self, sequence: FeatureAttributionSequenceOutput
    ) -> FeatureAttributionSequenceOutput:
        """Make the aggregated result, and leave the given one as it is."""
        dims = scored_dims(sequence)
        dim = self._dim(dims)
        if dim is None:
            scaled = {"raw": self._scaled(sequence.kept["raw"])}
            label = sequence.info["score_label"] + self._in_words
            return remade(sequence, f"scores{self._in_words}", scaled, score_label=label)
        function = self.function("vnorm" if dim == "feature" else "mean")
        stand_in = self._stand_in(sequence, function) if dim == "feature" else None
        if stand_in is not None:
            kept = {"raw": self._scaled(sequence.reduce(stand_in, keep=("layer",)))}
        else:
            kept = changed_scores(
                sequence.kept,
                lambda array: self._reduced(array, dim, function),
                linear=function.linear and not self._scales,
                doing=f"{function.name!r} over the dimension {dim!r}",
            )
        one = isinstance(self.select_idx, int)
        done = f"{dim} {self.select_idx}" if one else f"{function.name} over {dim}s"
        note = done + self._in_words
        notes = [*sequence.info["aggregation"], note]
        return remade(
            sequence,
            note,
            kept,
            signed=False if function.name == "vnorm" and not one else None,
            score_label=f"{sequence.info['attribution_method']}: {'; '.join(notes)}",
            sequence_scores={
                **cloned(sequence.sequence_scores),
                **self._between_tokens(sequence, dims, dim, function),
            },
            # What layers and heads are left is averaged where one number is needed.
            reduction=None if "feature" in dims and dim != "feature" else "mean",
        )

    @property
    def _normalizes(self) -> bool:
        return not self.rescale if self.normalize is None else self.normalize

    @property
    def _scales(self) -> bool:
        return self.rescale or self._normalizes

    @property
    def _in_words(self) -> str:
        if self.rescale:
            return ", as shares of the largest"
        return ", as shares of each step" if self._normalizes else ""

    def _dim(self, dims: list[str]) -> str | None:
        if self.dim is not None:
            if self.dim not in dims:
                raise ValueError(
                    f"dim: {self.dim!r} given; the scores have "
                    f"{', '.join(dims) or 'no dimension beside input and step'}."
                )
            return self.dim
        if not dims and self.select_idx is not None:
            raise ValueError(
                f"select_idx: {self.select_idx!r} given; the scores have no dimension beside "
                "input and step to take it from."
            )
        return dims[-1] if dims else None

    def _stand_in(
        self, sequence: FeatureAttributionSequenceOutput, function: AggregationFunction
    ) -> str | None:
        """Find the reduction over features that was kept and is what is asked for."""
        plain = function.vectorized and dict(function.given) in ({}, {"vnorm_ord": 2})
        kept = _KEPT_FOR.get(function.name) if plain else None
        if self.select_idx is None and kept in sequence.kept:
            return function.name
        if "raw" in sequence.kept:
            return None
        wanted = "select_idx" if self.select_idx is not None else "aggregate_fn"
        given = self.select_idx if self.select_idx is not None else function.name
        choices = [name for name, kept in _KEPT_FOR.items() if kept in sequence.kept]
        raise ValueError(
            f"{wanted}: {given!r} over features needs the scores of every feature, which were not "
            f"kept; call attribute(..., granular=True), or choose {' or '.join(choices)}."
        )

    def _reduced(
        self, array: xr.DataArray, dim: str, function: AggregationFunction
    ) -> xr.DataArray:
        chosen = array.isel({dim: self._indices(array.sizes[dim], dim)})
        if dim in chosen.dims:
            chosen = reduce_with(chosen, [dim], function)
        else:
            chosen = chosen.drop_vars(dim, errors="ignore")
        return self._scaled(chosen)

    def _scaled(self, scores: xr.DataArray) -> xr.DataArray:
        if self.rescale:
            return share_of_largest(scores)
        return share_of_step(scores) if self._normalizes else scores.copy(deep=True)

    def _indices(self, size: int, dim: str) -> int | slice | list[int]:
        """Read ``select_idx`` for a dimension of some size."""
        chosen = self.select_idx
        if chosen is None:
            return slice(None)
        of_size = f"the dimension {dim} has {size}"
        if isinstance(chosen, int) and not isinstance(chosen, bool):
            if not -size <= chosen < size:
                raise ValueError(f"select_idx: {chosen} given; {of_size}.")
            return chosen
        numbers = chosen if isinstance(chosen, tuple | list) else ()
        if not numbers or not all(type(number) is int for number in numbers):
            raise TypeError(
                f"select_idx: {chosen!r} given; pass a number, a pair (start, end), or a list."
            )
        positive = [number + size if number < 0 else number for number in numbers]
        if isinstance(chosen, tuple):
            if len(positive) != 2 or not 0 <= positive[0] < positive[1] <= size:
                raise ValueError(f"select_idx: {chosen} is no (start, end); {of_size}.")
            return slice(*positive)
        if len(set(positive)) < len(positive) or not all(0 <= n < size for n in positive):
            raise ValueError(f"select_idx: {chosen} given; {of_size}, and each may be chosen once.")
        return positive

    def _between_tokens(
        self,
        sequence: FeatureAttributionSequenceOutput,
        dims: list[str],
        dim: str,
        function: AggregationFunction,
    ) -> dict[str, torch.Tensor]:
        """Reduce the sequence scores that have the dimension; they are not normalised."""
        changed = {}
        for name, scores in sequence.sequence_scores.items():
            if dim in dims[: scores.dim() - 2]:
                axis = 2 + dims.index(dim)
                values = np.moveaxis(scores.numpy(), axis, -1)
                values = values[..., self._indices(values.shape[-1], dim)]
                if values.ndim == scores.dim():
                    values = function.along(values, values.ndim - 1)
                changed[name] = torch.from_numpy(np.ascontiguousarray(values))
        return changed


def scored_dims(sequence: FeatureAttributionSequenceOutput) -> list[str]:
    """Name the dimensions beside input and step; features count where only their norm is left.

    Parameters
    ----------
    sequence : FeatureAttributionSequenceOutput

    Returns
    -------
    list of {"layer", "head", "feature"}
    """
    if "raw" in sequence.kept:
        return [str(dim) for dim in sequence.kept["raw"].dims[2:]]
    first = next(iter(sequence.kept.values()))
    return [*(str(dim) for dim in first.dims[2:]), "feature"]
