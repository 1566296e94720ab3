"""Step functions, computed for all steps at once from the logits of one trace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from inseq_widget.models.precision import at_least_single
from inseq_widget.registry import Registry


@dataclass(frozen=True)
class StepFunctionArgs:
    """What a step function sees.

    Attributes
    ----------
    logits : torch.Tensor, (..., vocabulary)
        What the model predicted at each step.
    target_ids : torch.Tensor of int, (...)
        The tokens that stand there.
    """

    logits: Tensor
    target_ids: Tensor


StepFunction = Callable[[StepFunctionArgs], Tensor]

_STEP_FUNCTIONS: Registry[StepFunction] = Registry("step function")


def logit(args: StepFunctionArgs) -> Tensor:
    """Logit of the target.

    Parameters
    ----------
    args : StepFunctionArgs

    Returns
    -------
    torch.Tensor, (...)
    """
    return args.logits.gather(-1, args.target_ids[..., None])[..., 0]


def probability(args: StepFunctionArgs) -> Tensor:
    """Probability of the target, the softmax of the logits.

    Parameters
    ----------
    args : StepFunctionArgs

    Returns
    -------
    torch.Tensor, (...)
        Between 0 and 1.
    """
    logits = at_least_single(args.logits)
    target = logits.gather(-1, args.target_ids[..., None])[..., 0]
    return torch.exp(target - torch.logsumexp(logits, dim=-1))


_STEP_FUNCTIONS.add("logit", logit)
_STEP_FUNCTIONS.add("probability", probability)


def list_step_functions() -> list[str]:
    """List the names of the step functions.

    Returns
    -------
    list of str
    """
    return list(_STEP_FUNCTIONS)


def resolve_step_function(given: str | StepFunction) -> tuple[str, StepFunction]:
    """Find a step function and the name to show for it.

    Parameters
    ----------
    given : str or callable
        A registered name, or a function of :class:`StepFunctionArgs`.

    Returns
    -------
    name : str
    function : callable

    Raises
    ------
    ValueError
        For an unknown name; the message gives the nearest ones.
    TypeError
        For anything else.
    """
    if isinstance(given, str):
        return given, _STEP_FUNCTIONS[given]
    if callable(given):
        return getattr(given, "__name__", type(given).__name__), given
    raise TypeError(
        f"step function: {given!r} is neither a name ({', '.join(_STEP_FUNCTIONS)}) nor callable."
    )
