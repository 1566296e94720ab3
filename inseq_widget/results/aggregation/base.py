"""What an aggregator is, and the register in which it is found by its name."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, TypeVar, overload

from inseq_widget.registry import Registry
from inseq_widget.results.reductions import (
    FUNCTIONS,
    AggregationFunction,
    Array,
    find_function,
)

if TYPE_CHECKING:
    from inseq_widget.results.sequence import FeatureAttributionSequenceOutput

GivenFunction = str | AggregationFunction | Callable[..., Array]


@dataclass(kw_only=True)
class Aggregator(ABC):
    """Makes a result of a result: base class of all aggregators.

    A class of one's own sets ``aggregator_name``, is a keyword-only dataclass whose fields are
    the keywords that ``aggregate`` takes for it, and implements :meth:`aggregate`. One that only
    joins neighbouring tokens derives from
    :class:`~inseq_widget.results.aggregation.spans.SpanAggregator` instead.

    Attributes
    ----------
    aggregator_name : str
        Name for ``aggregate``.
    default_function : str or None
        Name of the aggregation function that is used unless another one is given.
    aggregate_fn : str or callable, optional
        The aggregation function.
    function_keywords : mapping of str to object
        Keywords of the aggregation function.
    """

    aggregator_name: ClassVar[str]
    default_function: ClassVar[str | None] = None

    aggregate_fn: GivenFunction | None = None
    function_keywords: Mapping[str, object] = field(default_factory=dict)

    @abstractmethod
    def aggregate(
        self, sequence: FeatureAttributionSequenceOutput
    ) -> FeatureAttributionSequenceOutput:
        """Make the aggregated result, and leave the given one as it is."""

    def function(self, default: str | None = None) -> AggregationFunction:
        """Give the aggregation function, with its keywords.

        Parameters
        ----------
        default : str, optional
            Name of the function where none is given; that of the class by default.
        """
        given = self.aggregate_fn
        if given is None:
            given = default or self.default_function
        return find_function(given).bound(self.function_keywords)

    @classmethod
    def keywords(cls) -> list[str]:
        """List the keywords that it takes, without the aggregation function and its own."""
        own = list(inspect.signature(cls).parameters)
        return [name for name in own if name not in ("aggregate_fn", "function_keywords")]

    @classmethod
    def keywords_of_function(cls, given: GivenFunction | None) -> list[str]:
        """List the keywords of a function that it is called with; of its default for None."""
        given = cls.default_function if given is None else given
        return [] if given is None else list(find_function(given).keywords)


AGGREGATORS: Registry[type[Aggregator]] = Registry("aggregator")

A = TypeVar("A", bound=type[Aggregator])


@overload
def register_aggregator(aggregator: A) -> A: ...
@overload
def register_aggregator(*, overwrite: bool) -> Callable[[A], A]: ...
def register_aggregator(
    aggregator: A | None = None, *, overwrite: bool = False
) -> A | Callable[[A], A]:
    """Register an aggregator of one's own under its ``aggregator_name``; a class decorator.

    Parameters
    ----------
    aggregator : subclass of Aggregator
    overwrite : bool, default False
        Replace what has the name.

    Returns
    -------
    The class.

    Raises
    ------
    TypeError
        For anything but such a class with a name.
    ValueError
        When the name is taken.
    """

    def add(aggregator: A) -> A:
        if not (isinstance(aggregator, type) and issubclass(aggregator, Aggregator)):
            raise TypeError(f"aggregator: {aggregator!r} given; pass a subclass of Aggregator.")
        name = getattr(aggregator, "aggregator_name", None)
        if not isinstance(name, str) or not name:
            raise TypeError(f"aggregator: {aggregator.__name__} has no aggregator_name; set one.")
        if name in (*FUNCTIONS, "norm"):
            raise ValueError(f"aggregator: {name!r} is an aggregation function; choose another.")
        AGGREGATORS.add(name, aggregator, overwrite)
        return aggregator

    return add if aggregator is None else add(aggregator)


def register_aggregation_function(
    fn: Callable[..., Array], identifier: str, *, linear: bool = False, overwrite: bool = False
) -> None:
    """Register an aggregation function of one's own, to be used by its name.

    Parameters
    ----------
    fn : callable
        Takes ``(scores, axis)`` and keywords of its own: ``scores`` is a numpy.ndarray of any
        number of dimensions with missing scores as NaN (``numpy.nanmedian`` leaves them out,
        ``numpy.median`` does not); returns a numpy.ndarray without the axis. Where all scores are
        missing, the result counts as missing whatever it returns.
    identifier : str
        Its name.
    linear : bool, default False
        Whether it gives the same before and after the sum over features, as ``sum`` and ``mean``
        do: it can then join tokens whose features were reduced already.
    overwrite : bool, default False
        Replace what has the name.

    Raises
    ------
    TypeError
        For what is no function, or no name.
    ValueError
        When the name is taken.
    """
    if not callable(fn):
        raise TypeError(f"fn: {fn!r} given; pass a function of (scores, axis).")
    if not isinstance(identifier, str) or not identifier:
        raise TypeError(f"identifier: {identifier!r} given; pass a name.")
    if identifier == "norm" or identifier in AGGREGATORS:
        raise ValueError(f"identifier: {identifier!r} is taken; choose another name.")
    FUNCTIONS.add(identifier, AggregationFunction(identifier, fn, linear), overwrite)


def list_aggregators() -> list[str]:
    """List the names of the aggregators.

    Returns
    -------
    list of str
    """
    return list(AGGREGATORS)
