"""Faults of a model that show while it runs, in the words of an error, and where they began."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from inseq_widget.models.example import Example
    from inseq_widget.models.trace import Trace

NOT_NUMBERS = (
    "model: the {what} for {where} are not numbers (NaN or infinite){origin}. Half precision "
    "overflows in some models: load it with dtype=torch.float32 or torch.bfloat16."
)


def not_numbers(what: str, where: str, origin: str | None) -> ValueError:
    """Make the error that reports numbers which are none.

    Parameters
    ----------
    what : str
        Which numbers: logits or gradients.
    where : str
        The token that they belong to.
    origin : str or None
        The path of the module where the first of them came up.

    Returns
    -------
    ValueError
    """
    began = "" if origin is None else f"; the first of them come from {origin}"
    return ValueError(NOT_NUMBERS.format(what=what, where=where, origin=began))


def named_step(example: Example, step: int) -> str:
    """Name the token of a step, for an error.

    Parameters
    ----------
    example : Example
    step : int

    Returns
    -------
    str
    """
    token = example.target[example.start + step]
    return f"{token.label!r} (position {token.position})"


def broken_logits(logits: Tensor) -> Tensor:
    """Say which rows give no probabilities; a logit of minus infinity does, of zero.

    Parameters
    ----------
    logits : torch.Tensor, (..., vocabulary)

    Returns
    -------
    torch.Tensor of bool, (...)
    """
    if logits.isfinite().all():  # one look, for what is nearly always so
        return torch.zeros(logits.shape[:-1], dtype=torch.bool, device=logits.device)
    none_possible = (logits == -torch.inf).all(-1)
    return torch.isnan(logits).any(-1) | (logits == torch.inf).any(-1) | none_possible


def check_gradients(gradients: Sequence[Tensor], trace: Trace, steps: Sequence[int]) -> None:
    """Report gradients that are not finite.

    Parameters
    ----------
    gradients : sequence of torch.Tensor, each (step, batch, position, feature)
    trace : Trace
    steps : sequence of int
        Those of the gradients.

    Raises
    ------
    ValueError
        It names the token, and the module where they come from.
    """
    for gradient in gradients:
        finite = gradient.isfinite()
        if not finite.all():
            broken = ~finite.flatten(2).all(-1) & trace.step_mask.T[list(steps)]
            if broken.any():
                row, number = (int(index) for index in broken.nonzero()[0])
                raise trace.gradient_fault(trace, number, steps[row])


@dataclass
class _Watched:
    """What passed through one call of a module."""

    path: str
    taken: list[Tensor]
    given: list[Tensor]
    # Whether gradients are finite, as far as they were seen.
    finite_at_taken: list[bool] = field(default_factory=list)
    finite_at_given: list[bool] = field(default_factory=list)


def forward_origin(model: nn.Module, run: Callable[[], object]) -> str | None:
    """Find the module that first gives numbers which are not finite though it takes such.

    Parameters
    ----------
    model : torch.nn.Module
    run : callable
        Runs the model.

    Returns
    -------
    str or None
        Its path, the innermost one.
    """
    found: list[str] = []

    def look(call: _Watched) -> None:
        # A mask may hold minus infinity.
        taken_well = not any((t.isnan() | (t == torch.inf)).any() for t in call.taken)
        if not found and taken_well and not all(t.isfinite().all() for t in call.given):
            found.append(_described(call.path, model))

    with _watching(model, look), torch.no_grad():
        _ignoring_faults(run)
    return found[0] if found else None


def backward_origin(model: nn.Module, run: Callable[[], Tensor]) -> str | None:
    """Find the module in which gradients stop to be finite on their way back.

    Parameters
    ----------
    model : torch.nn.Module
    run : callable
        Runs the model, and gives a tensor to differentiate.

    Returns
    -------
    str or None
        Its path, the innermost one.
    """
    broken: list[_Watched] = []

    def watch(call: _Watched) -> None:
        def look(seen: list[bool], *, ends: bool) -> Callable[[Tensor], None]:
            def hook(gradient: Tensor) -> None:
                seen.append(bool(gradient.isfinite().all()))
                if ends and not seen[-1]:
                    broken.append(call)

            return hook

        for tensors, seen, ends in (
            (call.taken, call.finite_at_taken, True),
            (call.given, call.finite_at_given, False),
        ):
            for tensor in tensors:
                if tensor.requires_grad:
                    tensor.register_hook(look(seen, ends=ends))

    def run_back() -> None:
        output = run()
        output.backward(torch.ones_like(output))  # ends at leaves that are not parameters

    with _watching(model, watch), torch.enable_grad():
        _ignoring_faults(run_back)
    # In the order of the way back; of modules that take the same tensor the innermost ends first.
    for call in broken:
        if call.finite_at_given and all(call.finite_at_given):
            return _described(call.path, model)
    return None


@contextmanager
def _watching(model: nn.Module, look: Callable[[_Watched], None]) -> Iterator[None]:
    """Show every call of a module when it has ended."""
    with ExitStack() as hooks:
        for path, module in model.named_modules():

            def see(
                _: nn.Module,
                arguments: tuple[object, ...],
                keywords: dict[str, object],
                output: object,
                path: str = path,
            ) -> None:
                taken = _tensors([*arguments, *keywords.values()])
                look(_Watched(path, list(taken), list(_tensors([output]))))

            hooks.callback(module.register_forward_hook(see, with_kwargs=True).remove)
        yield


def _tensors(values: Iterable[object]) -> Iterator[Tensor]:
    """Find the tensors of floating-point numbers, in tuples and mappings too."""
    for value in values:
        if isinstance(value, Tensor):
            if value.is_floating_point():
                yield value
        elif isinstance(value, tuple | list):
            yield from _tensors(value)
        elif isinstance(value, dict):
            yield from _tensors(value.values())


def _ignoring_faults(run: Callable[[], object]) -> None:
    """Run what may fail again for the reason that is being looked for."""
    try:
        run()
    except (RuntimeError, ValueError):
        return


def _described(path: str, model: nn.Module) -> str:
    module = model.get_submodule(path)
    return f"{path or 'the model itself'} ({type(module).__name__})"
