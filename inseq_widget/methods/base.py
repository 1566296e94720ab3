"""What an attribution method is, and the registry that finds one by its name."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, TypeVar

from torch import Tensor

from inseq_widget.models import Stack, Trace, TraceableModel
from inseq_widget.progress import Advance
from inseq_widget.registry import Registry
from inseq_widget.scores import StepFunction


@dataclass(frozen=True)
class Job:
    """What a method is asked to do for one batch.

    Attributes
    ----------
    model : TraceableModel
    trace : Trace
        The batch's teacher-forced run, with what the method declared that it needs.
    attributed_fn : callable
        The step function whose value is explained.
    attribute_target : bool
        Whether the tokens of an encoder-decoder model's target prefix count as inputs.
    granular : bool
        Whether scores keep their features.
    advance : callable
        To be told what share of the batch's work (0 to 1, in sum) has been done.
    """

    model: TraceableModel
    trace: Trace
    attributed_fn: StepFunction
    attribute_target: bool
    granular: bool
    advance: Advance

    @property
    def stacks(self) -> list[Stack]:
        """The stacks whose tokens are attributed."""
        if self.model.architecture == "decoder_only":
            return ["target"]
        return ["source", "target"] if self.attribute_target else ["source"]


@dataclass
class BatchScores:
    """The scores of one batch on the CPU, padding and later positions included.

    Attributes
    ----------
    kept : dict
        ``kept[name][stack]`` is a torch.Tensor, (batch, position, step, ...). The name is a
        reduction over features, or ``"raw"`` for scores with all their dimensions.
    extra_dims : tuple of str
        Names of the dimensions of ``"raw"`` after ``step``.
    n_features : int or None
        How many features were reduced.
    """

    kept: dict[str, dict[Stack, Tensor]] = field(default_factory=dict)
    extra_dims: tuple[str, ...] = ()
    n_features: int | None = None


class AttributionMethod(ABC):
    """An attribution method. Its dataclass fields are the keywords that users may give.

    Attributes
    ----------
    name : str
        What users call it: the field's standard name.
    score_label : str
        What a score is, in words, for legends.
    signed : bool
        Whether a default score can be negative.
    reduction : str
        The default reduction of features, or of layers and heads.
    needs_graph, needs_attention : bool
        What the trace has to keep.
    explains_output : bool
        Whether the attributed function matters.
    """

    name: ClassVar[str]
    score_label: ClassVar[str]
    signed: ClassVar[bool]
    reduction: ClassVar[str]
    needs_graph: ClassVar[bool] = False
    needs_attention: ClassVar[bool] = False
    explains_output: ClassVar[bool] = True

    @abstractmethod
    def attribute(self, job: Job) -> BatchScores:
        """Compute the scores of every step of a batch.

        Parameters
        ----------
        job : Job

        Returns
        -------
        BatchScores
        """


METHODS: Registry[type[AttributionMethod]] = Registry("method")
M = TypeVar("M", bound=type[AttributionMethod])


def register(method: M) -> M:
    """Register a method class under its name."""
    METHODS.add(method.name, method)
    return method


def list_methods() -> list[str]:
    """List the names of the attribution methods.

    Returns
    -------
    list of str
    """
    return list(METHODS)


def make_method(name: str, keywords: Mapping[str, object]) -> AttributionMethod:
    """Make a method with a user's keywords.

    Parameters
    ----------
    name : str
        Name of a registered method.
    keywords : mapping
        Its arguments.

    Returns
    -------
    AttributionMethod

    Raises
    ------
    ValueError
        For an unknown name; the message gives the nearest ones.
    TypeError
        For a keyword that the method does not take.
    """
    method = METHODS[name]
    assert dataclasses.is_dataclass(method), "a method is a dataclass of its keywords"
    known = [option.name for option in dataclasses.fields(method)]
    unknown = [keyword for keyword in keywords if keyword not in known]
    if unknown:
        takes = f"takes {', '.join(known)}" if known else "takes none of its own"
        raise TypeError(f"{', '.join(unknown)}: not a keyword of attribute; {name!r} {takes}.")
    return method(**keywords)
