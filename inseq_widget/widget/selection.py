"""What is pinned in a widget, and the trait that lets only possible selections through."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Protocol

import traitlets

from inseq_widget.explore.operations import shortened
from inseq_widget.explore.protocol import SelectionState


@dataclass(frozen=True)
class Selection:
    """What is pinned in a widget.

    Attributes
    ----------
    sequence : int
        Which text is shown.
    inputs : tuple of int
        Pinned inputs: indices along the ``input`` dimension of that text's scores, in the order
        in which they were pinned, each once.
    steps : tuple of int
        Pinned steps: indices along the ``step`` dimension, likewise.

    Raises
    ------
    traitlets.TraitError
        For anything but indices.

    Examples
    --------
    The scores of what is pinned: ``out[s.sequence].scores[list(s.inputs), list(s.steps)]``.
    """

    sequence: int = 0
    inputs: tuple[int, ...] = ()
    steps: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "sequence", _index("sequence", self.sequence))
        object.__setattr__(self, "inputs", _indices("inputs", self.inputs))
        object.__setattr__(self, "steps", _indices("steps", self.steps))

    def to_state(self) -> SelectionState:
        """Give the selection as it is sent to a page."""
        return SelectionState(
            sequence=self.sequence, inputs=list(self.inputs), steps=list(self.steps)
        )


NAMES = tuple(field.name for field in fields(Selection))


class HasFigure(Protocol):
    """A widget whose figure a selection belongs to."""

    @property
    def shapes(self) -> Sequence[tuple[int, int]]:
        """Number of inputs and of steps of each text, (sequence,)."""


class SelectionTrait(traitlets.TraitType[Selection, Selection | Mapping[str, object] | None]):
    """A selection that its widget's figure has.

    It takes a :class:`Selection`, a mapping with some of its names, or None for nothing pinned.
    """

    info_text = f"a Selection, a mapping with some of {', '.join(NAMES)}, or None"

    def __init__(self) -> None:
        super().__init__(default_value=Selection())

    def validate(self, obj: traitlets.HasTraits | HasFigure, value: object) -> Selection:
        """Give the selection that a value means.

        Raises
        ------
        traitlets.TraitError
            When it means none that the figure has; the message says what was given and what
            would work.
        """
        return checked_selection(value, obj.shapes if hasattr(obj, "shapes") else ())


def checked_selection(value: object, shapes: Sequence[tuple[int, int]]) -> Selection:
    """Read a selection and check that a figure has it.

    Parameters
    ----------
    value : Selection, mapping or None
    shapes : sequence of (int, int), (sequence,)
        Number of inputs and of steps of each text.

    Returns
    -------
    Selection

    Raises
    ------
    traitlets.TraitError
    """
    selection = _read(value)
    _check_range("sequence", (selection.sequence,), len(shapes), "texts")
    n_inputs, n_steps = shapes[selection.sequence]
    text = f"of text {selection.sequence}"
    _check_range("inputs", selection.inputs, n_inputs, f"inputs {text}")
    _check_range("steps", selection.steps, n_steps, f"steps {text}")
    return selection


def _read(value: object) -> Selection:
    if value is None:
        return Selection()
    if isinstance(value, Selection):
        return value
    if not isinstance(value, Mapping):
        raise traitlets.TraitError(
            f"selection: {shortened(value)} given; {SelectionTrait.info_text} works."
        )
    unknown = [key for key in value if key not in NAMES]
    if unknown:
        raise traitlets.TraitError(
            f"selection: {', '.join(map(shortened, unknown[:5]))} not known; "
            f"there are {', '.join(NAMES)}."
        )
    return Selection(**value)


def _index(name: str, value: object) -> int:
    # True is an int in Python, and never meant as one here.
    if isinstance(value, bool):
        raise traitlets.TraitError(f"selection: {name} is {value}; an index is an integer.")
    try:
        return operator.index(value)  # type: ignore[arg-type]  # it raises for what is no index
    except TypeError:
        raise traitlets.TraitError(
            f"selection: {name} has {shortened(value)}; an index is an integer."
        ) from None


def _indices(name: str, value: object) -> tuple[int, ...]:
    if isinstance(value, str | bytes | Mapping | set | frozenset) or not isinstance(
        value, Iterable
    ):
        raise traitlets.TraitError(
            f"selection: {name} is {shortened(value)}; a list or tuple of indices works."
        )
    return tuple(dict.fromkeys(_index(name, entry) for entry in value))


def _check_range(name: str, indices: Iterable[int], count: int, what: str) -> None:
    for index in indices:
        if not 0 <= index < count:
            raise traitlets.TraitError(
                f"selection: {name} has {shortened(index)}; there are {count} {what}, "
                f"0 to {count - 1}."
            )
