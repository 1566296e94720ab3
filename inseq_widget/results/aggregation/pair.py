"""The aggregator "pair": the difference of two results of the same shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from inseq_widget.results.aggregation.base import Aggregator, GivenFunction, register_aggregator
from inseq_widget.results.arithmetic import paired_tokens, subtracted
from inseq_widget.results.labelling import relabelled
from inseq_widget.results.sequence_operations import SequenceOperations

if TYPE_CHECKING:
    from inseq_widget.results.sequence import FeatureAttributionSequenceOutput


@register_aggregator
@dataclass(kw_only=True)
class PairAggregator(Aggregator):
    """Subtracts a result from another one of the same shape: the second minus the first.

    The first is the result that is aggregated, the second ``paired_attr``, its edited form: what
    is positive became more important by the edit. Tokens that differ read ``a → b``. Step scores
    are subtracted, too. Where the features of either were reduced while attributing, what is
    subtracted is their sum; to subtract norms, aggregate both with ``"scores"`` before. The
    operator counts the other way round: ``a - b`` is a minus b.

    Parameters
    ----------
    paired_attr : FeatureAttributionSequenceOutput or FeatureAttributionOutput
        The second result; of an output, the one at the same place.
    """

    aggregator_name: ClassVar[str] = "pair"

    paired_attr: FeatureAttributionSequenceOutput | None = None

    def __post_init__(self) -> None:
        if self.aggregate_fn is not None:
            raise ValueError(
                f"aggregate_fn: {self.aggregate_fn!r} given; 'pair' takes none, it subtracts."
            )
        if not isinstance(self.paired_attr, SequenceOperations):
            raise TypeError(
                f"paired_attr: {self.paired_attr!r} given; pass the result to compare with."
            )

    @classmethod
    def keywords_of_function(cls, given: GivenFunction | None) -> list[str]:
        """List the keywords of a function that it is called with: none."""
        return []

    def aggregate(
        self, sequence: FeatureAttributionSequenceOutput
    ) -> FeatureAttributionSequenceOutput:
        """Make the difference, and leave both results as they are."""
        second = self.paired_attr
        assert second is not None
        result = subtracted(second, sequence)
        result.source = paired_tokens(sequence.source, second.source)
        target = paired_tokens(sequence.target, second.target)
        result.target = target
        inputs, steps = result.inputs, result.steps
        result.kept = {
            name: relabelled(array, array.to_numpy(), inputs, steps)
            for name, array in result.kept.items()
        }
        return result
