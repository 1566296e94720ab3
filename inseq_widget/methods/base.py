"""What an attribution method is, and the registry that finds one by its name."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from torch import Tensor

from inseq_widget.methods.batch_scores import BatchScores as BatchScores
from inseq_widget.methods.batch_scores import TextScores as TextScores
from inseq_widget.methods.batch_scores import padded
from inseq_widget.methods.keywords import check_flag
from inseq_widget.models import Example, Stack, Trace, TraceableModel
from inseq_widget.models.precision import at_least_single
from inseq_widget.progress import Advance
from inseq_widget.registry import Registry
from inseq_widget.scores import StepFunction, StepFunctionArgs
from inseq_widget.scores.contrast import Contrast


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
    feature_bytes : float
        How many bytes a text's scores may take with all their features; those that would take
        more are reduced as they come.
    advance : callable
        To be told what share of the batch's work (0 to 1, in sum) has been done.
    contrast : Contrast or None
        What the model predicts under the contrastive inputs, where there are any.
    dropout_logits : callable or None
        Gives the logits of so many runs of the untouched texts with dropout on,
        (run, batch, step, vocabulary).
    """

    model: TraceableModel
    trace: Trace
    attributed_fn: StepFunction
    attribute_target: bool
    feature_bytes: float
    advance: Advance
    contrast: Contrast | None = None
    dropout_logits: Callable[[int], Tensor] | None = None

    def of_text(self, number: int, advance: Advance) -> Job:
        """Give the job of one text of the batch, whose runs are rows of their own.

        Parameters
        ----------
        number : int
        advance : callable
            Counts the work on the text alone.

        Returns
        -------
        Job
        """
        noisy = self.dropout_logits

        def of_this(n_runs: int) -> Tensor:
            assert noisy is not None
            return noisy(n_runs)[:, number : number + 1]

        return dataclasses.replace(
            self,
            advance=advance,
            contrast=None if self.contrast is None else self.contrast.of_text(number),
            dropout_logits=None if noisy is None else of_this,
        )

    @property
    def stacks(self) -> list[Stack]:
        """The stacks whose tokens are attributed."""
        if self.model.architecture == "decoder_only":
            return ["target"]
        return ["source", "target"] if self.attribute_target else ["source"]

    @property
    def function_name(self) -> str:
        """What the attributed function is called, for an error."""
        name: str = getattr(self.attributed_fn, "__name__", type(self.attributed_fn).__name__)
        return name

    def values(self, logits: Tensor, target_ids: Tensor, first_step: int = 0) -> Tensor:
        """Compute the attributed function.

        Parameters
        ----------
        logits : torch.Tensor, (row, step, vocabulary)
            The rows are the texts of the batch; of one text's job, runs of that text.
        target_ids : torch.Tensor of int, (row, step)
        first_step : int, default 0
            The step that the first of them is.

        Returns
        -------
        torch.Tensor, (row, step)
            In single precision at least.

        Raises
        ------
        ValueError
            When the function does not give one number a step.
        """
        args = StepFunctionArgs(
            logits, target_ids, dropout_logits=self._dropout(first_step, logits)
        )
        if self.contrast is not None:
            args = self.contrast.beside(args, first_step, explained=True)
        values = self.attributed_fn(args)
        if not isinstance(values, Tensor) or values.shape != target_ids.shape:
            gave = f"the shape {tuple(values.shape)}" if isinstance(values, Tensor) else values
            raise ValueError(
                f"attributed_fn: {self.function_name} gave {gave}, "
                f"but there are {tuple(target_ids.shape)} (batch, step) values to explain."
            )
        return at_least_single(values)

    def reported_args(self) -> StepFunctionArgs:
        """Give what the step functions see that are reported, (batch, step)."""
        logits = self.trace.logits.detach()
        args = StepFunctionArgs(
            logits, self.trace.step_ids, dropout_logits=self._dropout(0, logits)
        )
        return args if self.contrast is None else self.contrast.beside(args, 0, explained=False)

    def _dropout(self, first_step: int, like: Tensor) -> Callable[[int], Tensor] | None:
        noisy = self.dropout_logits
        if noisy is None:
            return None
        steps = slice(first_step, first_step + like.shape[-2])
        return lambda n_runs: noisy(n_runs)[:, :, steps].to(like.device)


class AttributionMethod(ABC):
    """An attribution method. Its dataclass fields are the keywords that users may give.

    Attributes
    ----------
    name : str
        What users call it: the field's standard name.
    score_label : str
        What a score is with these keywords, in words, for legends.
    signed : bool
        Whether a default score can be negative.
    reduction : str
        The default reduction of features, or of layers and heads.
    needs_graph, needs_attention : bool
        What the trace has to keep.
    takes_gradients : bool
        Whether the attributed function must have a gradient.
    without : mapping of str to str
        Keywords of other packages for the same method that are refused, and what to do instead.
    explains_output : bool
        Whether the attributed function matters.
    """

    name: ClassVar[str]
    signed: ClassVar[bool]
    reduction: ClassVar[str]
    needs_graph: ClassVar[bool] = False
    needs_attention: ClassVar[bool] = False
    takes_gradients: ClassVar[bool] = False
    explains_output: ClassVar[bool] = True
    without: ClassVar[Mapping[str, str]] = {}

    @property
    @abstractmethod
    def score_label(self) -> str:
        """What a score is, in words."""

    @property
    def is_signed(self) -> bool:
        """Whether scores have a sign with these keywords: ``abs=False`` keeps it."""
        return self.signed or getattr(self, "abs", True) is False

    def check(self, model: TraceableModel) -> None:  # noqa: B027 - not every method has to
        """Refuse keywords that do not fit the model, before any expensive work.

        Parameters
        ----------
        model : TraceableModel

        Raises
        ------
        ValueError, NotImplementedError
        """

    def check_texts(self, n_texts: int) -> None:  # noqa: B027 - not every method has to
        """Refuse keywords that do not fit the number of texts, before any expensive work.

        Parameters
        ----------
        n_texts : int

        Raises
        ------
        ValueError
        """

    def trace(self, model: TraceableModel, examples: Sequence[Example]) -> Trace:
        """Make the batch's trace, with what the method needs of it.

        Parameters
        ----------
        model : TraceableModel
        examples : sequence of Example, (batch,)

        Returns
        -------
        Trace
            Its logits are the model's own: step scores are made of them.
        """
        return model.trace(examples, graph=self.needs_graph, attention=self.needs_attention)

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


class TextMethod(AttributionMethod):
    """A method that explains the texts of a batch one after the other, each on its own."""

    @abstractmethod
    def attribute_text(self, job: Job, example: Example) -> TextScores:
        """Compute the scores of every step of a text.

        Parameters
        ----------
        job : Job
            Its ``advance`` counts the work on this text alone (0 to 1, in sum).
        example : Example

        Returns
        -------
        TextScores
        """

    def attribute(self, job: Job) -> BatchScores:
        """See :meth:`AttributionMethod.attribute`."""
        examples = job.trace.examples

        def advance(share: float) -> None:
            job.advance(share / len(examples))

        texts = [
            self.attribute_text(job.of_text(number, advance), example)
            for number, example in enumerate(examples)
        ]
        first = texts[0]
        return BatchScores(
            {"raw": {stack: padded([text.raw[stack] for text in texts]) for stack in first.raw}},
            extra_dims=first.extra_dims,
            layers=first.layers,
            step_scores={
                name: padded([text.step_scores[name] for text in texts])
                for name in first.step_scores
            },
            sequence_scores=[text.sequence_scores for text in texts],
        )


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


def keywords_of_method(name: str) -> list[str]:
    """List the keywords that a method takes.

    Parameters
    ----------
    name : str

    Returns
    -------
    list of str

    Raises
    ------
    ValueError
        For an unknown name; the message gives the nearest ones.
    """
    return [option.name for option in _options(name)]


def _options(name: str) -> tuple[dataclasses.Field[object], ...]:
    method = METHODS[name]
    assert dataclasses.is_dataclass(method), "a method is a dataclass of its keywords"
    return dataclasses.fields(method)


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
        For a keyword that the method does not take, or a flag that is neither True nor False.
    """
    known = keywords_of_method(name)
    unknown = [keyword for keyword in keywords if keyword not in known]
    method = METHODS[name]
    for keyword in unknown:
        if keyword in method.without:
            raise TypeError(f"{keyword}: {name!r} does not take it; {method.without[keyword]}")
    if unknown:
        takes = f"takes {', '.join(known)}" if known else "takes none of its own"
        raise TypeError(f"{', '.join(unknown)}: not a keyword of attribute; {name!r} {takes}.")
    for option in _options(name):
        if isinstance(option.default, bool) and option.name in keywords:
            check_flag(option.name, keywords[option.name])
    return method(**keywords)
