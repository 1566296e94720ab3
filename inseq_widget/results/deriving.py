"""Makes one result out of another, with nothing shared between the two."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
import xarray as xr

from inseq_widget.results.provenance import Info
from inseq_widget.results.tokens import Token

if TYPE_CHECKING:
    from inseq_widget.results.sequence import FeatureAttributionSequenceOutput


def derived_info(info: Info, sentence: str) -> Info:
    """Copy what produced a result, and note what was done to it since.

    Parameters
    ----------
    info : Info
    sentence : str

    Returns
    -------
    Info
        Shares nothing with ``info``.
    """
    new = copy.deepcopy(info)
    new["aggregation"].append(sentence)
    return new


def copied(sequence: FeatureAttributionSequenceOutput) -> FeatureAttributionSequenceOutput:
    """Copy a sequence with its arrays, so that changing one leaves the other as it is.

    Parameters
    ----------
    sequence : FeatureAttributionSequenceOutput

    Returns
    -------
    FeatureAttributionSequenceOutput
        Of the same live model.
    """
    return replace(
        sequence,
        source=list(sequence.source),
        target=list(sequence.target),
        kept={name: array.copy() for name, array in sequence.kept.items()},
        info=copy.deepcopy(sequence.info),
        step_scores=cloned(sequence.step_scores),
        sequence_scores=cloned(sequence.sequence_scores),
        step_aggregates={
            name: dict(aggregates) for name, aggregates in sequence.step_aggregates.items()
        },
    )


def derived(
    sequence: FeatureAttributionSequenceOutput,
    info: Info,
    kept: Mapping[str, xr.DataArray],
    reduction: str,
) -> FeatureAttributionSequenceOutput:
    """Put other scores in the place of a sequence's own; its tokens stay.

    Parameters
    ----------
    sequence : FeatureAttributionSequenceOutput
    info : Info
        A copy of the sequence's, see :func:`derived_info`.
    kept : mapping of str to xarray.DataArray, each (input, step, ...)
    reduction : str

    Returns
    -------
    FeatureAttributionSequenceOutput
        Without a live model; shares nothing with ``sequence``.
    """
    info["reduction"] = reduction
    without_scores = copied(replace(sequence, kept={}, info=info, live_model=None))
    return replace(without_scores, kept=kept, reduction=reduction)


def cloned(scores: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Copy tensors by name.

    Parameters
    ----------
    scores : mapping of str to torch.Tensor

    Returns
    -------
    dict of str to torch.Tensor
    """
    return {name: values.clone() for name, values in scores.items()}


def renumbered(tokens: Sequence[Token]) -> list[Token]:
    """Give tokens the positions that they have in a new list.

    Parameters
    ----------
    tokens : sequence of Token, (token,)

    Returns
    -------
    list of Token, (token,)
    """
    return [replace(token, position=position) for position, token in enumerate(tokens)]
