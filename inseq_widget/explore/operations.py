"""The operations that a page may request: how their arguments are checked and what they do."""

from __future__ import annotations

import reprlib
from collections.abc import Callable

from inseq_widget.explore.figure import wire_text
from inseq_widget.explore.jobs import Control, Explorable
from inseq_widget.explore.protocol import Alternative, AlternativesArgs, AlternativesResult
from inseq_widget.registry import Registry
from inseq_widget.results import FeatureAttributionOutput
from inseq_widget.results.alternatives import AlternativeToken

MOST_ALTERNATIVES = 100

Work = Callable[[Explorable, Control], AlternativesResult]
Operation = Callable[[FeatureAttributionOutput, object], Work]


class BadRequest(ValueError):  # noqa: N818  (named like the error code that it becomes)
    """Arguments that an operation cannot work with."""


def _prepare_alternatives(output: FeatureAttributionOutput, given: object) -> Work:
    """Check :class:`AlternativesArgs` and give the work that answers them."""
    named = _arguments(given, tuple(AlternativesArgs.__annotations__))
    number = _integer(named, "sequence", 0, len(output) - 1)
    sequence = output[number]
    step = _integer(named, "step", 0, len(sequence.steps) - 1)
    k = _integer(named, "k", 1, MOST_ALTERNATIVES)

    def work(model: Explorable, control: Control) -> AlternativesResult:
        found = model.alternatives(sequence, step, k)
        return AlternativesResult(
            sequence=number,
            step=step,
            target=_alternative(found.target),
            alternatives=[_alternative(entry) for entry in found.alternatives],
        )

    return work


OPERATIONS: Registry[Operation] = Registry("op")
OPERATIONS.add("alternatives", _prepare_alternatives)


def shortened(value: object) -> str:
    """Give a value as errors quote it: short, on one line, with escapes for the invisible."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = 60
    try:
        return " ".join(short.repr(value).split())
    except ValueError:  # an integer of thousands of digits
        return f"a huge {type(value).__name__}"


def _arguments(given: object, names: tuple[str, ...]) -> dict[str, object]:
    if not isinstance(given, dict):
        raise BadRequest(f"args: {shortened(given)} given; a mapping of {', '.join(names)} works.")
    unknown = [key for key in given if key not in names]
    missing = [name for name in names if name not in given]
    if unknown or missing:
        wrong = [f"{shortened(key)} is not known" for key in unknown[:3]]
        wrong += [f"{name} is missing" for name in missing]
        raise BadRequest(f"args: {', '.join(wrong)}; there are {', '.join(names)}.")
    return {name: given[name] for name in names}


def _integer(named: dict[str, object], name: str, least: int, most: int) -> int:
    value = named[name]
    # JSON has one kind of number; bool is an int in Python only.
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise BadRequest(
            f"{name}: {shortened(value)} given; an integer from {least} to {most} works."
        )
    return value


def _alternative(entry: AlternativeToken) -> Alternative:
    return Alternative(
        text=wire_text(entry.token.text),
        piece=wire_text(entry.token.piece),
        id=entry.token.id,
        probability=entry.probability,
        rank=entry.rank,
        special=entry.token.special,
    )
