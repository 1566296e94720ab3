"""Picks layers, heads and features of a result, by their names or by their numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import xarray as xr

from inseq_widget.render.visible import shown
from inseq_widget.results import (
    FeatureAttributionOutput,
    FeatureAttributionSequenceOutput,
    Info,
)
from inseq_widget.results.deriving import derived, derived_info

# A dimension by name or number, and what of it: one place, or a range from start to before end.
Dim = int | str
Slices = Mapping[Dim, int | tuple[int, int]]

# Inseq's names of the dimensions, beside which their own names are known too.
_INSEQ_NAMES = {
    "Model Layer": "layer",
    "Attention Head": "head",
    "Embedding Dimension": "feature",
}
_N_TOKEN_DIMS = 2
# What a score's label says about the dimensions that were reduced.
_REDUCED = re.compile(r", \w+ over (?:features|layers and heads|layers|heads)")


def extra_dims(sequence: FeatureAttributionSequenceOutput) -> tuple[str, ...]:
    """Name the dimensions of the scores beside inputs and steps.

    Parameters
    ----------
    sequence : FeatureAttributionSequenceOutput

    Returns
    -------
    tuple of str
        Of ``"layer"``, ``"head"`` and ``"feature"`` those that were kept, in their order.
    """
    return tuple(str(dim) for dim in _fullest(sequence).dims[_N_TOKEN_DIMS:])


def named_dim(sequence: FeatureAttributionSequenceOutput, dim: Dim, argument: str) -> str:
    """Find a dimension.

    Parameters
    ----------
    sequence : FeatureAttributionSequenceOutput
    dim : int or str
        ``"layer"``, ``"head"`` or ``"feature"``, Inseq's ``"Model Layer"``, ``"Attention Head"``
        or ``"Embedding Dimension"``, or its number: 2 is the first after inputs and steps.
    argument : str
        Name of the argument that it was given for.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        When the scores have no such dimension.
    """
    known = extra_dims(sequence)
    if isinstance(dim, str):
        name = _INSEQ_NAMES.get(dim, dim)
    else:
        place = dim - _N_TOKEN_DIMS
        name = known[place] if 0 <= place < len(known) else ""
    if name in known:
        return name
    if not known:
        raise ValueError(
            f"{argument}: {dim!r} given, but these scores have inputs and steps alone; "
            "attribute(..., granular=True) keeps the features of gradient methods, attention and "
            "layer methods have layers or heads."
        )
    choices = ", ".join(f"{each!r} or {number}" for number, each in enumerate(known, start=2))
    raise ValueError(f"{argument}: {dim!r} given; choose {choices}.")


def sliced(output: FeatureAttributionOutput, slices: Slices | None) -> FeatureAttributionOutput:
    """Keep some layers, heads or features alone.

    Parameters
    ----------
    output : FeatureAttributionOutput
    slices : mapping, optional
        By dimension, see :func:`named_dim`: a place, or ``(start, end)``.

    Returns
    -------
    FeatureAttributionOutput
        A new result; the same one where nothing is picked.

    Raises
    ------
    TypeError, ValueError
        For a dimension or a place that the scores do not have.
    """
    if not slices:
        return output
    if not isinstance(slices, Mapping):
        raise TypeError(
            f"slice_dims: {slices!r} given; a mapping from dimensions works, such as "
            "{'layer': 3} or {'head': (0, 4)}."
        )
    sequences = [_sliced_sequence(sequence, slices) for sequence in output]
    info = _noted(output.info, slices)
    return replace(output, sequence_attributions=sequences, info=info, live_model=None)


def along(
    sequence: FeatureAttributionSequenceOutput, dim: str | None
) -> tuple[xr.DataArray, list[str]]:
    """Give the scores along one dimension, every other one reduced.

    Parameters
    ----------
    sequence : FeatureAttributionSequenceOutput
    dim : {"layer", "head", "feature"} or None
        None where there is none: the scores are one slice.

    Returns
    -------
    xarray.DataArray, (input, step, slice)
    list of str
        The name of each slice.
    """
    if dim is None:
        return sequence.scores.expand_dims({"all": 1}, axis=-1), ["all scores"]
    if dim == "feature":
        sequence = replace(sequence, kept={"raw": sequence.raw_scores})
    scores = sequence.reduce(sequence.reduction, keep=(dim,))
    return scores, [_slice_name(dim, scores, place) for place in range(scores.sizes[dim])]


def label_along(sequence: FeatureAttributionSequenceOutput, dim: str | None) -> str:
    """Say what a score is where one dimension is kept.

    Parameters
    ----------
    sequence : FeatureAttributionSequenceOutput
    dim : {"layer", "head", "feature"} or None

    Returns
    -------
    str
        The label of the scores, with the dimensions that are still reduced.
    """
    label = sequence.info["score_label"]
    if dim is None or "raw" not in sequence.kept:
        return label
    rest = [each for each in extra_dims(sequence) if each != dim]
    return label_of_reduced(label, "mean" if dim == "feature" else sequence.reduction, rest)


def label_of_reduced(label: str, reduction: str, dims: Sequence[str]) -> str:
    """Say of scores how which dimensions were reduced.

    Parameters
    ----------
    label : str
        What a score is; what it says about a reduction is replaced.
    reduction : str
    dims : sequence of str
        None where nothing is reduced.
    """
    bare = _REDUCED.sub("", label)
    return f"{bare}, {reduction} over {' and '.join(f'{dim}s' for dim in dims)}" if dims else bare


def _noted(info: Info, slices: Slices) -> Info:
    words = _in_words(slices)
    new = derived_info(info, f"picked {words}")
    new["score_label"] = f"{info['score_label']}; {words}"
    return new


def _slice_name(dim: str, scores: xr.DataArray, place: int) -> str:
    if dim not in scores.coords:
        return f"{dim} {place}"
    name = shown(str(scores.coords[dim].values[place]))
    return f"{dim} {name}" if name.isdigit() else name


def _fullest(sequence: FeatureAttributionSequenceOutput) -> xr.DataArray:
    return max(sequence.kept.values(), key=lambda array: array.ndim)


def _sliced_sequence(
    sequence: FeatureAttributionSequenceOutput, slices: Slices
) -> FeatureAttributionSequenceOutput:
    picks: dict[str, int | slice] = {}
    for dim, given in slices.items():
        name = named_dim(sequence, dim, "slice_dims")
        picks[name] = _checked_pick(dim, given, _fullest(sequence).sizes[name])
    kept = {"raw": sequence.kept["raw"]} if "raw" in sequence.kept else sequence.kept
    arrays = {name: array.isel(picks).copy() for name, array in kept.items()}
    info = _noted(sequence.info, slices)
    return derived(sequence, info, arrays, sequence.reduction)


def _checked_pick(dim: Dim, given: int | tuple[int, int], size: int) -> int | slice:
    if isinstance(given, int):
        if not -size <= given < size:
            raise ValueError(f"slice_dims: {dim!r} has {size} places; {given} is none of them.")
        return given
    if len(given) != 2 or not 0 <= given[0] < given[1] <= size:
        raise ValueError(
            f"slice_dims: {tuple(given)} given for {dim!r}, which has {size} places; "
            f"a pair (start, end) with 0 <= start < end <= {size} works, or one place."
        )
    return slice(given[0], given[1])


def _in_words(slices: Slices) -> str:
    return ", ".join(f"{_own_name(dim)} {_range(given)}" for dim, given in slices.items())


def _own_name(dim: Dim) -> str:
    return _INSEQ_NAMES.get(dim, dim) if isinstance(dim, str) else f"dimension {dim}"


def _range(given: int | tuple[int, int]) -> str:
    if isinstance(given, int) or given[0] == given[1] - 1:
        return str(given if isinstance(given, int) else given[0])
    return f"{given[0]} to {given[1] - 1}"
