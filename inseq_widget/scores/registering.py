"""The register of step functions: found by name, bound to a user's keywords, open to users."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import overload

from torch import Tensor

from inseq_widget.registry import Registry
from inseq_widget.scores.arguments import StepFunctionArgs

StepFunction = Callable[..., Tensor]
"""Takes :class:`StepFunctionArgs` and keywords of its own; gives a number for each step."""


@dataclass(frozen=True)
class Entry:
    """A registered step function.

    Attributes
    ----------
    function : callable
    contrastive : bool
        Whether it compares with a contrastive input.
    needs_inputs : bool
        Whether, to be explained, the contrastive input has to be run, and not only its tokens.
    other_input_alone : bool
        Whether it looks at the contrastive side alone: where that has an input of its own, the
        value is the same whatever the regular input is.
    explained : bool
        Whether it can be explained by gradients at all.
    aggregate : mapping of str to str
        How its values are joined where tokens are, by the aggregator's name.
    """

    function: StepFunction
    contrastive: bool = False
    needs_inputs: bool = False
    other_input_alone: bool = False
    explained: bool = True
    aggregate: Mapping[str, str] = field(default_factory=dict)


STEP_FUNCTIONS: Registry[Entry] = Registry("step function")


@overload
def register(function: StepFunction) -> StepFunction: ...
@overload
def register(
    *,
    contrastive: bool = ...,
    needs_inputs: bool = ...,
    other_input_alone: bool = ...,
    explained: bool = ...,
    aggregate: Mapping[str, str] | None = ...,
) -> Callable[[StepFunction], StepFunction]: ...
def register(
    function: StepFunction | None = None,
    *,
    contrastive: bool = False,
    needs_inputs: bool = False,
    other_input_alone: bool = False,
    explained: bool = True,
    aggregate: Mapping[str, str] | None = None,
) -> StepFunction | Callable[[StepFunction], StepFunction]:
    """Register one of the project's own step functions under its name; a decorator."""

    def add(function: StepFunction) -> StepFunction:
        entry = Entry(
            function,
            contrastive,
            needs_inputs,
            other_input_alone,
            explained,
            dict(aggregate or {}),
        )
        STEP_FUNCTIONS.add(function.__name__, entry)
        return function

    return add if function is None else add(function)


def register_step_function(
    fn: StepFunction,
    identifier: str,
    aggregate_map: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> None:
    """Register a step function of one's own, to be reported or explained by its name.

    Parameters
    ----------
    fn : callable
        Takes :class:`~inseq_widget.scores.StepFunctionArgs`, and keywords that users of
        ``attribute`` may give; returns a torch.Tensor, (...), one number for each step. To be
        explained by gradients it has to be made of torch operations.
    identifier : str
        Its name.
    aggregate_map : mapping of str to str, optional
        How its values are joined where an aggregator joins tokens, such as
        ``{"spans": "prod"}``.
    overwrite : bool, default False
        Replace what has the name.

    Raises
    ------
    TypeError
        For what is no function of arguments, or no name.
    ValueError
        When the name is taken.
    """
    if not callable(fn):
        raise TypeError(f"fn: {fn!r} given; pass a function of StepFunctionArgs.")
    if not isinstance(identifier, str) or not identifier:
        raise TypeError(f"identifier: {identifier!r} given; pass a name.")
    STEP_FUNCTIONS.add(identifier, Entry(fn, aggregate=dict(aggregate_map or {})), overwrite)


def list_step_functions() -> list[str]:
    """List the names of the step functions.

    Returns
    -------
    list of str
    """
    return list(STEP_FUNCTIONS)


def find_step_function(given: str | StepFunction) -> tuple[str, Entry]:
    """Find a step function and the name to show for it.

    Parameters
    ----------
    given : str or callable
        A registered name, or a function of :class:`StepFunctionArgs`.

    Returns
    -------
    name : str
    entry : Entry

    Raises
    ------
    ValueError
        For an unknown name; the message gives the nearest ones.
    TypeError
        For anything else.
    """
    if isinstance(given, str):
        return given, STEP_FUNCTIONS[given]
    if callable(given):
        known = (name for name in STEP_FUNCTIONS if STEP_FUNCTIONS[name].function is given)
        own = next(known, None)
        if own is not None:
            return own, STEP_FUNCTIONS[own]
        return getattr(given, "__name__", type(given).__name__), Entry(given)
    raise TypeError(
        f"step function: {given!r} is neither a name ({', '.join(STEP_FUNCTIONS)}) nor callable."
    )


def keywords_of(function: StepFunction) -> list[str]:
    """List the keywords that a step function takes beside its arguments."""
    try:
        parameters = list(inspect.signature(function).parameters.values())[1:]
    except (TypeError, ValueError):  # of a builtin
        return []
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [parameter.name for parameter in parameters if parameter.kind in named]


def bound(function: StepFunction, keywords: Mapping[str, object]) -> StepFunction:
    """Give a step function its keywords, under its own name.

    Parameters
    ----------
    function : callable
    keywords : mapping

    Returns
    -------
    callable
        Of :class:`StepFunctionArgs` alone; the function itself where there are no keywords.
    """
    if not keywords:
        return function

    @functools.wraps(function)
    def with_keywords(args: StepFunctionArgs) -> Tensor:
        return function(args, **keywords)

    return with_keywords
