"""Aggregates a result of one text, or an output of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from inseq_widget.results.aggregation.base import GivenFunction
from inseq_widget.results.aggregation.pipeline import AggregatorInput, pipeline_of

if TYPE_CHECKING:
    from inseq_widget.results.output import FeatureAttributionOutput
    from inseq_widget.results.sequence import FeatureAttributionSequenceOutput

AggregateFn = GivenFunction | Sequence[GivenFunction | None] | None


def aggregated_sequence(
    sequence: FeatureAttributionSequenceOutput,
    aggregator: AggregatorInput,
    aggregate_fn: AggregateFn,
    keywords: Mapping[str, object],
) -> FeatureAttributionSequenceOutput:
    """Aggregate a result of one text.

    Parameters
    ----------
    sequence : FeatureAttributionSequenceOutput
    aggregator : str, class, list, AggregatorPipeline or None
    aggregate_fn : str, callable, list or None
    keywords : mapping of str to object

    Returns
    -------
    FeatureAttributionSequenceOutput
    """
    return pipeline_of(aggregator, aggregate_fn, sequence).aggregate(sequence, **keywords)


def aggregated_output(
    output: FeatureAttributionOutput,
    aggregator: AggregatorInput,
    aggregate_fn: AggregateFn,
    keywords: Mapping[str, object],
) -> FeatureAttributionOutput:
    """Aggregate every result of an output.

    Parameters
    ----------
    output : FeatureAttributionOutput
    aggregator : str, class, list, AggregatorPipeline or None
    aggregate_fn : str, callable, list or None
    keywords : mapping of str to object
        An output among them stands for its results, one for each of these.

    Returns
    -------
    FeatureAttributionOutput

    Raises
    ------
    ValueError
        When another output has another number of results.
    """
    for name, value in keywords.items():
        if isinstance(value, type(output)) and len(value) != len(output):
            raise ValueError(
                f"{name}: an output of {len(value)} texts given for one of {len(output)}."
            )
    sequences = []
    for number, sequence in enumerate(output):
        own = {
            name: value[number] if isinstance(value, type(output)) else value
            for name, value in keywords.items()
        }
        sequences.append(aggregated_sequence(sequence, aggregator, aggregate_fn, own))
    if not sequences:
        return replace(output, sequence_attributions=[], live_model=None, step_attributions=None)
    info = sequences[0].info
    info["signed"] = any(sequence.info["signed"] for sequence in sequences)
    info["input_texts"] = list(output.info["input_texts"])
    info["generated_texts"] = list(output.info["generated_texts"])
    for sequence in sequences:
        sequence.info = info
    return replace(
        output,
        sequence_attributions=sequences,
        info=info,
        live_model=None,
        step_attributions=None,
    )
