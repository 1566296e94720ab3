"""Joins neighbouring tokens of a result, and with them rows, columns and step scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
import xarray as xr

from inseq_widget.results.aggregation.changes import changed_scores, n_rows, remade
from inseq_widget.results.labelling import relabelled
from inseq_widget.results.reductions import AggregationFunction, Starts, find_function
from inseq_widget.results.tokens import Token

if TYPE_CHECKING:
    from inseq_widget.results.sequence import FeatureAttributionSequenceOutput


def merged(
    sequence: FeatureAttributionSequenceOutput,
    source: Starts,
    target: Starts,
    function: AggregationFunction,
    *,
    name: str,
    given: bool,
) -> FeatureAttributionSequenceOutput:
    """Join groups of neighbouring tokens.

    Parameters
    ----------
    sequence : FeatureAttributionSequenceOutput
    source, target : numpy.ndarray of int, (group,)
        Where the groups begin. The source of a decoder-only model follows its target.
    function : AggregationFunction
        Joins columns, then rows.
    name : str
        Name of the aggregator.
    given : bool
        Whether the function was chosen by the user, and not by default.

    Returns
    -------
    FeatureAttributionSequenceOutput
    """
    n_prompt = len(sequence.source)
    if sequence.architecture == "decoder_only":
        source = target[target < n_prompt]
    start, end, columns = _steps(target, sequence.attr_pos_start, sequence.attr_pos_end)
    new_target = merged_tokens(sequence.target, target)
    if sequence.architecture == "decoder_only":
        ends = np.append(target[1:], len(sequence.target))
        new_source = new_target[: int((ends <= n_prompt).sum())]
    else:
        new_source = merged_tokens(sequence.source, source)
    n_source, n_target = n_rows(sequence)
    of_source, of_target = source[source < n_source], target[target < n_target]
    if sequence.architecture == "decoder_only":
        of_source = of_source[:0]
    rows = np.concatenate([of_source, n_source + of_target])
    inputs = [*new_source[: len(of_source)], *new_target[: len(of_target)]]

    def joined(array: xr.DataArray) -> xr.DataArray:
        values = function.within(function.within(array.to_numpy(), columns, 1), rows, 0)
        return relabelled(array, values, inputs, new_target[start:end])

    kept = changed_scores(
        sequence.kept,
        joined,
        linear=function.linear,
        doing=f"joining tokens by {function.name!r}",
    )
    return remade(
        sequence,
        f"{name}: {function.name} over joined tokens",
        kept,
        source=new_source,
        target=new_target,
        attr_pos_start=start,
        attr_pos_end=end,
        step_scores=_step_scores(sequence, columns, name, function if given else None),
        sequence_scores=_sequence_scores(sequence, source, target, function),
    )


def merged_tokens(tokens: Sequence[Token], starts: Starts) -> list[Token]:
    """Join tokens within groups, and number the new ones.

    Parameters
    ----------
    tokens : sequence of Token, (token,)
    starts : numpy.ndarray of int, (group,)

    Returns
    -------
    list of Token, (group,)
    """
    ends = [*starts[1:].tolist(), len(tokens)]
    groups = [tokens[start:end] for start, end in zip(starts.tolist(), ends, strict=True)]
    return [_joined_token(group, place) for place, group in enumerate(groups)]


def _joined_token(group: Sequence[Token], place: int) -> Token:
    if len(group) == 1:
        return replace(group[0], position=place)
    return Token(
        piece="".join(token.piece for token in group),
        id=-1,
        text="".join(token.text for token in group),
        position=place,
        # A token with a generated part is explained: it counts as generated.
        side=group[-1].side,
        special=all(token.special for token in group),
        word=group[0].word,
    )


def _steps(target: Starts, start: int, end: int) -> tuple[int, int, Starts]:
    """Find the explained groups of the target, and where they begin among the old steps."""
    before = int(np.searchsorted(target, start, side="right")) - 1
    if start == end:
        return before + 1, before + 1, target[:0]
    inner = target[(target > start) & (target < end)] - start
    columns = np.concatenate([np.zeros(1, dtype=inner.dtype), inner])
    return before, before + len(columns), columns


def _step_scores(
    sequence: FeatureAttributionSequenceOutput,
    columns: Starts,
    name: str,
    given: AggregationFunction | None,
) -> dict[str, torch.Tensor]:
    joined = {}
    for score, values in sequence.step_scores.items():
        ways = sequence.step_aggregates.get(score, {})
        way = ways.get(name) or ways.get("spans")
        function = find_function(way) if way else given or find_function("absmax")
        joined[score] = torch.from_numpy(function.within(values.numpy(), columns, 0))
    return joined


def _sequence_scores(
    sequence: FeatureAttributionSequenceOutput,
    source: Starts,
    target: Starts,
    function: AggregationFunction,
) -> dict[str, torch.Tensor]:
    joined = {}
    for name, scores in sequence.sequence_scores.items():
        values = scores.numpy()
        first = target if name.startswith("decoder") else source
        second = source if name.startswith("encoder") else target
        for axis, starts in ((1, second), (0, first)):
            values = function.within(values, starts[starts < values.shape[axis]], axis)
        joined[name] = torch.from_numpy(values)
    return joined
