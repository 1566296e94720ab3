"""What all aggregators need to make a result of a result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import xarray as xr

from inseq_widget.results.deriving import derived, derived_info

if TYPE_CHECKING:
    from inseq_widget.results.sequence import FeatureAttributionSequenceOutput


def remade(
    sequence: FeatureAttributionSequenceOutput,
    note: str,
    kept: Mapping[str, xr.DataArray],
    *,
    reduction: str | None = None,
    signed: bool | None = None,
    score_label: str | None = None,
    **changes: object,
) -> FeatureAttributionSequenceOutput:
    """Make a result of another one, without its model.

    Parameters
    ----------
    sequence : FeatureAttributionSequenceOutput
    note : str
        What was done, for its ``info``.
    kept : mapping of str to xarray.DataArray
        The new scores.
    reduction : str, optional
        What :attr:`scores` shows; by default that of before, as far as it is still there.
    signed : bool, optional
        Whether the new scores have a sign, as far as that is known without looking at them.
    score_label : str, optional
        What a score now is, in words.
    **changes
        Other attributes that are new.

    Returns
    -------
    FeatureAttributionSequenceOutput
        Shares nothing with ``sequence``.
    """
    info = derived_info(sequence.info, note)
    if signed is not None:
        info["signed"] = signed
    if score_label is not None:
        info["score_label"] = score_label
    raw = kept.get("raw")
    if raw is not None and raw.ndim == 2:
        info["signed"] |= bool((raw < 0).any())
    if reduction is None:
        only_sum = not {"raw", sequence.reduction} & set(kept)
        reduction = "sum" if only_sum and sequence.reduction != "mean" else sequence.reduction
    result = derived(sequence, info, kept, reduction)
    return replace(result, **changes)  # type: ignore[arg-type]


def changed_scores(
    kept: Mapping[str, xr.DataArray],
    change: Callable[[xr.DataArray], xr.DataArray],
    *,
    linear: bool,
    doing: str,
) -> dict[str, xr.DataArray]:
    """Change scores whose features may have been reduced already.

    Parameters
    ----------
    kept : mapping of str to xarray.DataArray
    change : callable
    linear : bool
        Whether the change and the sum over features may change places.
    doing : str
        The change in words.

    Returns
    -------
    dict of str to xarray.DataArray
        The changed scores with all dimensions where they are there, otherwise the changed sum.

    Raises
    ------
    ValueError
        When the features are needed, and were not kept.
    """
    if "raw" in kept:
        return {"raw": change(kept["raw"])}
    if linear and "sum" in kept:
        return {"sum": change(kept["sum"])}
    without = ' "sum" and "mean" do without.' if "sum" in kept else ""
    raise ValueError(
        f"aggregate_fn: {doing} needs the scores of every feature, which were not kept; call "
        'attribute(..., granular=True), or aggregate "scores" before, as in '
        f'aggregate(["scores", "subwords"]).{without}'
    )


def n_rows(sequence: FeatureAttributionSequenceOutput) -> tuple[int, int]:
    """Count the inputs that are source tokens, and those that are target tokens.

    Parameters
    ----------
    sequence : FeatureAttributionSequenceOutput

    Returns
    -------
    n_source, n_target : int
    """
    inputs = sequence.inputs
    n_source = sum(token.side == "source" for token in inputs)
    return n_source, len(inputs) - n_source
