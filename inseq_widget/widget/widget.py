"""The live heatmap: an anywidget over one result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

import anywidget
import traitlets

from inseq_widget.explore.conversation import Conversation
from inseq_widget.explore.figure import Figure, make_figure
from inseq_widget.explore.operations import shortened
from inseq_widget.explore.protocol import KernelMessage, SelectionState, Theme
from inseq_widget.progress import in_notebook
from inseq_widget.render.bundle import WIDGET_MODULE, require
from inseq_widget.render.headline import headline
from inseq_widget.render.numbers import counted
from inseq_widget.render.visible import shown
from inseq_widget.results import FeatureAttributionOutput, FeatureAttributionSequenceOutput
from inseq_widget.widget.display import display_figure
from inseq_widget.widget.selection import Selection, SelectionTrait, checked_selection

_KEYWORDS = ("theme", "selection")
_THEMES = get_args(Theme)
# What the kernel alone decides.
_FROM_KERNEL = ("_spec", "_scores")


def _state_of(selection: Selection, widget: object) -> SelectionState:
    return selection.to_state()


class AttributionWidget(anywidget.AnyWidget):
    """A live heatmap of a result.

    Parameters
    ----------
    output : FeatureAttributionOutput or FeatureAttributionSequenceOutput
        What it shows.
    theme : {"auto", "light", "dark"}, default "auto"
        ``"auto"`` follows the notebook.
    selection : Selection or mapping, optional
        What is pinned at first; nothing by default.

    Attributes
    ----------
    selection : Selection
        What is pinned. Clicks set it, ``observe`` tells of changes, and assigning a
        :class:`Selection` or a mapping such as ``{"steps": [3]}`` moves the view.
    theme : str

    Raises
    ------
    TypeError
        For anything but a result, and for keywords that are not known.
    ValueError
        For a result without any text.
    traitlets.TraitError
        For a selection that the result does not have.
    MissingBundle
        In a clone whose front end has not been built.
    """

    # Without its file the class could not be made; making a widget then says what to do.
    if WIDGET_MODULE.is_file():
        _esm = WIDGET_MODULE

    _spec = traitlets.Dict().tag(sync=True)
    _scores = traitlets.Bytes().tag(sync=True)
    selection = SelectionTrait().tag(sync=True, to_json=_state_of)
    theme = traitlets.Enum(_THEMES, default_value="auto").tag(sync=True)

    def __init__(
        self,
        output: FeatureAttributionOutput | FeatureAttributionSequenceOutput,
        *,
        theme: Theme = "auto",
        selection: Selection | Mapping[str, object] | None = None,
        **unknown: object,
    ) -> None:
        if unknown:
            raise TypeError(
                f"{', '.join(unknown)}: not known; "
                f"AttributionWidget takes output, {', '.join(_KEYWORDS)}."
            )
        if isinstance(output, FeatureAttributionSequenceOutput):
            output = FeatureAttributionOutput([output], output.info, output.live_model)
        if not isinstance(output, FeatureAttributionOutput):
            raise TypeError(f"output: {shortened(output)} given; the result of attribute() works.")
        if not len(output):
            raise ValueError("output: it has no attributed text, so there is nothing to show.")
        require(WIDGET_MODULE)
        self._output = output
        self._figure = make_figure(output)
        self._shapes = tuple(
            (len(sequence["inputs"]), len(sequence["steps"]))
            for sequence in self._figure.spec["sequences"]
        )
        self._conversation = Conversation(output, self._send_frame)
        super().__init__(
            _spec=self._figure.spec,
            _scores=self._figure.scores,
            theme=theme,
            selection=selection,
        )
        self.on_msg(self._receive)

    @property
    def output(self) -> FeatureAttributionOutput:
        """The result that is shown."""
        return self._output

    @property
    def figure(self) -> Figure:
        """What is drawn of it."""
        return self._figure

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """Number of inputs and of steps of each text, (sequence,)."""
        return self._shapes

    def set_state(self, sync_data: object) -> None:
        """Take changes that a page made, and give it back what it must not change.

        Parameters
        ----------
        sync_data : dict
            New states by trait. An impossible one is refused: the page gets the present one again
            and nothing is raised, for nobody at the page could handle it.
        """
        if not isinstance(sync_data, dict):
            return
        refused = [name for name, state in sync_data.items() if not self._allows(name, state)]
        super().set_state({k: state for k, state in sync_data.items() if k not in refused})
        for name in refused:
            self.send_state(name)

    def close(self) -> None:
        """Give open requests up, and close every view."""
        conversation = getattr(self, "_conversation", None)
        if conversation is not None:  # None when it could not be made
            conversation.close()
        super().close()

    def __repr__(self) -> str:
        spec = self._figure.spec
        texts = counted(len(spec["sequences"]), "text")
        return f"<AttributionWidget: {headline(spec)}, {texts}, {shown(spec['model'])}>"

    def _ipython_display_(self) -> None:
        # Once it is closed there is no view, and the picture is all there is.
        bundle = None if self.comm is None else self._repr_mimebundle_()
        display_figure(self._figure, bundle)

    def _allows(self, name: str, state: object) -> bool:
        if name == "selection":
            try:
                checked_selection(state, self._shapes)
            except traitlets.TraitError:
                return False
        return name not in _FROM_KERNEL and (name != "theme" or state in _THEMES)

    def _receive(self, widget: object, content: object, buffers: object) -> None:
        self._conversation.receive(content)

    def _send_frame(self, message: KernelMessage) -> None:
        self.send(message)


def display_output(output: FeatureAttributionOutput) -> None:
    """Display a result: live in a notebook, as a table in a terminal.

    Parameters
    ----------
    output : FeatureAttributionOutput
    """
    if in_notebook() and len(output):
        AttributionWidget(output)._ipython_display_()
    else:
        display_figure(make_figure(output), None)
