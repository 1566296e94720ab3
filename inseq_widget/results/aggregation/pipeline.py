"""Chains of aggregators: what a user asks for becomes steps, and keywords find their takers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from inseq_widget.registry import Registry
from inseq_widget.results.aggregation.base import AGGREGATORS, Aggregator, GivenFunction
from inseq_widget.results.aggregation.scores import ScoresAggregator, scored_dims
from inseq_widget.results.deriving import copied
from inseq_widget.results.reductions import FUNCTIONS

if TYPE_CHECKING:
    from inseq_widget.results.sequence import FeatureAttributionSequenceOutput

OneAggregator = str | type[Aggregator]


@dataclass(frozen=True)
class Step:
    """One aggregator of a chain.

    Attributes
    ----------
    aggregator : subclass of Aggregator
    function : str or callable or None
        The aggregation function; None for the default one.
    fixed : mapping of str to object
        Keywords that do not come from the user.
    """

    aggregator: type[Aggregator]
    function: GivenFunction | None = None
    fixed: Mapping[str, object] = field(default_factory=dict)

    def takes(self) -> list[str]:
        """List the keywords that it and its function take from the user."""
        of_function = self.aggregator.keywords_of_function(self.function)
        own = [*self.aggregator.keywords(), *of_function]
        return [name for name in own if name not in self.fixed]

    def made(self, keywords: Mapping[str, object]) -> Aggregator:
        """Make the aggregator with those of some keywords that it takes."""
        own = self.aggregator.keywords()
        of_function = self.aggregator.keywords_of_function(self.function)
        return self.aggregator(
            aggregate_fn=self.function,
            function_keywords={n: v for n, v in keywords.items() if n in of_function},
            **{
                **{name: value for name, value in keywords.items() if name in own},
                **self.fixed,
            },
        )


class AggregatorPipeline:
    """A chain of aggregators.

    Parameters
    ----------
    aggregators : sequence of str, of subclasses of Aggregator, or of pairs of one and a function
        Names of aggregators or of aggregation functions; a function is that of ``"scores"``.
    aggregate_fn : sequence of str or callable, optional
        The aggregation function of each.

    Raises
    ------
    TypeError, ValueError
        For what is none of these.
    """

    def __init__(
        self,
        aggregators: Sequence[OneAggregator | tuple[OneAggregator, GivenFunction | None]],
        aggregate_fn: Sequence[GivenFunction | None] | None = None,
    ) -> None:
        functions = [None] * len(aggregators) if aggregate_fn is None else list(aggregate_fn)
        if isinstance(aggregate_fn, str) or len(functions) != len(aggregators):
            raise ValueError(
                f"aggregate_fn: {aggregate_fn!r} given for {len(aggregators)} aggregators; "
                "give a list with one for each."
            )
        self.steps = [
            _step(given, function) for given, function in zip(aggregators, functions, strict=True)
        ]

    @classmethod
    def of_steps(cls, steps: Sequence[Step]) -> AggregatorPipeline:
        """Make a chain of finished steps."""
        pipeline = cls([])
        pipeline.steps = list(steps)
        return pipeline

    def aggregate(
        self, sequence: FeatureAttributionSequenceOutput, **keywords: object
    ) -> FeatureAttributionSequenceOutput:
        """Run the chain.

        Parameters
        ----------
        sequence : FeatureAttributionSequenceOutput
        **keywords
            Each goes to all aggregators and functions that take it.

        Returns
        -------
        FeatureAttributionSequenceOutput

        Raises
        ------
        TypeError
            For a keyword that nothing takes.
        """
        # A result that needs no aggregation takes what the default of the others does.
        takers = self.steps or [Step(ScoresAggregator)]
        taken = dict.fromkeys(name for step in takers for name in step.takes())
        unknown = [name for name in keywords if name not in taken]
        if unknown:
            names = ", ".join(dict.fromkeys(step.aggregator.aggregator_name for step in takers))
            raise TypeError(
                f"aggregate: {names} does not take {', '.join(map(repr, unknown))}; "
                f"it takes {', '.join(taken)}."
            )
        made = [step.made(keywords) for step in self.steps]
        result = sequence
        for aggregator in made:
            result = aggregator.aggregate(result)
        return result if made else replace(copied(sequence), live_model=None)


AggregatorInput = (
    AggregatorPipeline
    | OneAggregator
    | Sequence[OneAggregator | tuple[OneAggregator, GivenFunction | None]]
    | None
)


def default_pipeline(sequence: FeatureAttributionSequenceOutput) -> AggregatorPipeline:
    """Choose how a result is aggregated by default.

    Parameters
    ----------
    sequence : FeatureAttributionSequenceOutput

    Returns
    -------
    AggregatorPipeline
        The norm over features; the mean over heads, then over layers; each normalised. Where
        there are features and layers, only their mean is. Empty where neither is there.
    """
    dims = scored_dims(sequence)
    steps = []
    for dim in reversed(dims):
        fixed: dict[str, object] = {"dim": dim}
        if dim == "feature" and len(dims) > 1:
            fixed |= {"normalize": False, "rescale": False}
        steps.append(Step(ScoresAggregator, None, fixed))
    return AggregatorPipeline.of_steps(steps)


def pipeline_of(
    aggregator: AggregatorInput,
    aggregate_fn: GivenFunction | Sequence[GivenFunction | None] | None,
    sequence: FeatureAttributionSequenceOutput,
) -> AggregatorPipeline:
    """Read what a user asks for.

    Parameters
    ----------
    aggregator : str, class, list, AggregatorPipeline or None
    aggregate_fn : str, callable, list or None
    sequence : FeatureAttributionSequenceOutput
        The result that a default is for.

    Returns
    -------
    AggregatorPipeline

    Raises
    ------
    TypeError, ValueError
        For what is no aggregator or function.
    """
    if aggregator is None or isinstance(aggregator, AggregatorPipeline):
        if aggregate_fn is not None:
            raise ValueError(
                f"aggregate_fn: {aggregate_fn!r} given without the name of an aggregator; "
                "name it, too, as in aggregate('scores', 'mean')."
            )
        return default_pipeline(sequence) if aggregator is None else aggregator
    if isinstance(aggregator, list | tuple):
        return AggregatorPipeline(aggregator, aggregate_fn)  # type: ignore[arg-type]
    if isinstance(aggregate_fn, list | tuple):
        raise ValueError(
            f"aggregate_fn: {aggregate_fn!r} given for one aggregator; give one function."
        )
    return AggregatorPipeline([aggregator], [aggregate_fn])  # type: ignore[list-item]


def _step(given: object, function: GivenFunction | None) -> Step:
    if isinstance(given, tuple | list):
        if len(given) != 2:
            raise TypeError(f"aggregator: {given!r} given; pass a pair of aggregator and function.")
        if function is not None:
            raise ValueError(f"aggregate_fn: {function!r} given, and another one in {given!r}.")
        given, function = given
    if isinstance(given, type) and issubclass(given, Aggregator):
        return Step(given, function)
    if not isinstance(given, str):
        raise TypeError(
            f"aggregator: {given!r} given; pass a name, a subclass of Aggregator, or a list."
        )
    known: Registry[Step] = Registry("aggregator")
    for name in AGGREGATORS:
        known.add(name, Step(AGGREGATORS[name], function))
    for name in FUNCTIONS:
        known.add(name, Step(ScoresAggregator, name))
    step = known["vnorm" if given == "norm" else given]
    if function is not None and given not in AGGREGATORS:
        raise ValueError(
            f"aggregate_fn: {function!r} given, but {given!r} is a function itself; name an "
            "aggregator or leave one of them out."
        )
    return step
