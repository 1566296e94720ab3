"""Aggregation: chainable reductions of a result's dimensions, and joins of its tokens."""

from inseq_widget.results.aggregation import by_text, pair  # noqa: F401 - they register themselves
from inseq_widget.results.aggregation.aggregated import (
    AggregateFn,
    aggregated_output,
    aggregated_sequence,
)
from inseq_widget.results.aggregation.base import (
    Aggregator,
    list_aggregators,
    register_aggregation_function,
    register_aggregator,
)
from inseq_widget.results.aggregation.pipeline import AggregatorInput, AggregatorPipeline
from inseq_widget.results.aggregation.slices import sliced
from inseq_widget.results.aggregation.spans import SpanAggregator
from inseq_widget.results.reductions import list_aggregation_functions

__all__ = [
    "AggregateFn",
    "Aggregator",
    "AggregatorInput",
    "AggregatorPipeline",
    "SpanAggregator",
    "aggregated_output",
    "aggregated_sequence",
    "list_aggregation_functions",
    "list_aggregators",
    "register_aggregation_function",
    "register_aggregator",
    "sliced",
]
