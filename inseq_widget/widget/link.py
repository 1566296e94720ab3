"""Links the selections of two widgets, so that pinning in one pins in the other."""

from __future__ import annotations

import threading

import traitlets

from inseq_widget.explore.operations import shortened
from inseq_widget.widget.selection import Selection
from inseq_widget.widget.widget import AttributionWidget


class Link:
    """Two widgets whose selections follow each other. Made by :func:`link`.

    Parameters
    ----------
    first, second : AttributionWidget
    """

    def __init__(self, first: AttributionWidget, second: AttributionWidget) -> None:
        self._first = first
        self._second = second
        # What one side clips must not come back and clip the other. Threads have their own flag:
        # a page's changes may arrive on another thread than the user's.
        self._passing_on = threading.local()
        self._linked = True
        first.observe(self._changed, names="selection")
        second.observe(self._changed, names="selection")
        self._pass_on(first, second)

    def unlink(self) -> None:
        """Let the selections go their own ways again. Doing it twice does no harm."""
        if self._linked:
            self._linked = False
            self._first.unobserve(self._changed, names="selection")
            self._second.unobserve(self._changed, names="selection")

    def _changed(self, change: traitlets.Bunch) -> None:
        if change.owner is self._first:
            self._pass_on(self._first, self._second)
        else:
            self._pass_on(self._second, self._first)

    def _pass_on(self, origin: AttributionWidget, other: AttributionWidget) -> None:
        if getattr(self._passing_on, "now", False):
            return
        self._passing_on.now = True
        try:
            other.selection = _fitting(origin.selection, other)
        finally:
            self._passing_on.now = False


def link(first: AttributionWidget, second: AttributionWidget) -> Link:
    """Link the selections of two widgets both ways.

    Parameters
    ----------
    first, second : AttributionWidget
        The second takes over what is pinned in the first. Where one has no such text, input or
        step, it pins what it has: nothing of a text that it does not show.

    Returns
    -------
    Link
        Its ``unlink()`` ends it.

    Raises
    ------
    TypeError
        For anything but widgets.
    ValueError
        For one widget twice.
    """
    for name, widget in (("first", first), ("second", second)):
        if not isinstance(widget, AttributionWidget):
            raise TypeError(f"{name}: {shortened(widget)} given; the result of .widget() works.")
    if first is second:
        raise ValueError("second: the same widget as first; make two with .widget().")
    return Link(first, second)


def _fitting(selection: Selection, widget: AttributionWidget) -> Selection:
    if selection.sequence >= len(widget.shapes):
        return Selection(widget.selection.sequence)
    n_inputs, n_steps = widget.shapes[selection.sequence]
    return Selection(
        selection.sequence,
        tuple(index for index in selection.inputs if index < n_inputs),
        tuple(index for index in selection.steps if index < n_steps),
    )
