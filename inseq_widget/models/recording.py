"""Keeps what every layer of a run got, so that it can run again with another attention."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from inseq_widget.models.attention import AttentionCall
from inseq_widget.models.attention_call import Kind
from inseq_widget.models.example import Example
from inseq_widget.models.interventions import running
from inseq_widget.models.structure import lists_of_layers
from inseq_widget.models.trace import Trace
from inseq_widget.models.traceable import TraceableModel

Arguments = tuple[tuple[object, ...], dict[str, object]]


@dataclass
class RecordedCall:
    """An attention call of a recorded layer.

    Attributes
    ----------
    call : AttentionCall
    before : dict of torch.nn.Module to torch.Tensor
        What the parts of the layer gave that had run before, each once.
    """

    call: AttentionCall
    before: dict[nn.Module, Tensor]


@dataclass(eq=False)
class RecordedLayer:
    """What one layer of the stack that generates did in a run of one text.

    Attributes
    ----------
    layer : torch.nn.Module
    arguments : tuple
        Positional and keyword arguments that it got.
    given, output : torch.Tensor, (1, position, feature)
        Hidden states that it got and gave.
    calls : list of RecordedCall
        Its attention calls, in their order.
    parts : list of RecordedLayer
        What its parts got and gave, where that was wanted, of those that take and give one
        tensor.
    """

    layer: nn.Module
    arguments: Arguments
    given: Tensor
    output: Tensor
    calls: list[RecordedCall] = field(default_factory=list)
    parts: list[RecordedLayer] = field(default_factory=list)

    def of_kind(self, kind: Kind) -> list[RecordedCall]:
        """List the calls of one kind."""
        return [recorded for recorded in self.calls if recorded.call.kind == kind]

    def run(self, hidden: Tensor) -> Tensor:
        """Run the layer on other hidden states, everything else being as it was.

        Parameters
        ----------
        hidden : torch.Tensor, (batch, position, feature)

        Returns
        -------
        torch.Tensor, (batch, position, feature)
        """
        n_batch = hidden.shape[0]
        positional, keywords = self.arguments

        def fitting(value: object) -> object:
            if value is self.given:
                return hidden
            if isinstance(value, Tensor) and value.dim() > 2 and value.shape[0] == 1:
                return value.expand(n_batch, *value.shape[1:])
            return value

        return hidden_states(
            self.layer(
                *(fitting(value) for value in positional),
                **{name: fitting(value) for name, value in keywords.items()},
            )
        )


@dataclass
class Recording:
    """The layers of the stack that generates, in a run of one text.

    Attributes
    ----------
    n_source : int or None
        Number of encoder positions of the run; None for a decoder-only model.
    n_target : int
        Number of its decoder positions.
    layers : list of RecordedLayer
        From the first to the last.
    encoder : list of RecordedLayer
        Those of the encoder, where they were wanted.
    final : torch.nn.Module or None
        The norm that the last layer's output goes through, where the model has one.
    encoder_final : torch.nn.Module or None
        The same of the encoder, where its layers were wanted.
    """

    n_source: int | None = None
    n_target: int = 0
    layers: list[RecordedLayer] = field(default_factory=list)
    encoder: list[RecordedLayer] = field(default_factory=list)
    final: nn.Module | None = None
    encoder_final: nn.Module | None = None


@dataclass(kw_only=True)
class RecordedTrace(Trace):
    """A trace of one text, with what its layers got and gave.

    Attributes
    ----------
    recording : Recording
    """

    recording: Recording


def recorded(
    model: TraceableModel, example: Example, *, parts: bool = False, encoder: bool = False
) -> RecordedTrace:
    """Run the model over a text, and keep what its layers got and gave.

    Parameters
    ----------
    model : TraceableModel
    example : Example
    parts : bool, default False
        Keep also what the parts of the layers got and gave.
    encoder : bool, default False
        Keep also what the encoder's layers got and gave.

    Returns
    -------
    RecordedTrace

    Raises
    ------
    NotImplementedError
        When the model has no attention, or its layers are not in a list.
    """
    recorder = _Recorder(model, parts, encoder)
    trace = model.trace([example], observer=recorder.see, around=recorder.listening)
    recording = recorder.recording
    recording.n_target = trace.embeddings["target"].shape[1]
    if "source" in trace.embeddings:
        recording.n_source = trace.embeddings["source"].shape[1]
    return RecordedTrace(**vars(trace), recording=recording)


def hidden_states(output: object) -> Tensor:
    """Take the hidden states of what a layer gives."""
    first = output[0] if isinstance(output, tuple | list) else output
    assert isinstance(first, Tensor), "a layer gives its hidden states first"
    return first


class _Recorder:
    """Listens to the layers, to their parts and to their attention while a model runs."""

    def __init__(self, model: TraceableModel, parts: bool, encoder: bool) -> None:
        self._parts = parts
        stacks = lists_of_layers(model.model)
        if len(stacks) <= encoder:
            raise NotImplementedError(
                f"method: {type(model.model).__name__} does not hold its layers in a list of "
                "modules; 'attention' and gradient methods such as 'saliency' work."
            )
        self._model = model.model
        self._layers = stacks[-1]
        self._encoder = stacks[0] if encoder else []
        self._running: RecordedLayer | None = None
        self._gave: dict[nn.Module, list[Tensor]] = {}
        self.recording = Recording()

    def see(self, call: AttentionCall) -> None:
        """Keep an attention call."""
        if self._running is not None and (self._encoder or call.kind != "encoder"):
            once = {part: gave[0] for part, gave in self._gave.items() if len(gave) == 1}
            self._running.calls.append(RecordedCall(call, once))

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Keep what the layers get and give inside the block."""
        layers = [*self._encoder, *self._layers]
        inside = {part for layer in layers for part in layer.modules()}
        with ExitStack() as hooks:
            for layer in layers:
                enter = layer.register_forward_pre_hook(self._enter, with_kwargs=True)
                hooks.callback(enter.remove)
            for part in inside:
                # What has no parameters costs little, and may hand on what has to be seen.
                if not list(part.children()) and list(part.parameters()):
                    hooks.callback(part.register_forward_hook(self._keep).remove)
            for part in inside.difference(layers) if self._parts else ():
                whole = part.register_forward_hook(self._keep_whole, with_kwargs=True)
                hooks.callback(whole.remove)
            for layer in layers:
                hooks.callback(layer.register_forward_hook(self._leave).remove)
            for other in self._model.modules():
                if other not in inside:
                    hooks.callback(other.register_forward_hook(self._after).remove)
            yield

    def _enter(self, layer: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        given = _given(args, kwargs)
        assert given is not None, "a layer gets hidden states"
        self._gave = {}
        self._running = RecordedLayer(layer, (args, dict(kwargs)), given, given)
        stack = self.recording.encoder if layer in self._encoder else self.recording.layers
        stack.append(self._running)

    def _keep(self, part: nn.Module, _: object, output: object) -> None:
        if isinstance(output, Tensor):
            self._gave.setdefault(part, []).append(output)

    def _keep_whole(
        self, part: nn.Module, args: tuple[object, ...], kwargs: dict[str, object], output: object
    ) -> None:
        given = _given(args, kwargs)
        first = output[0] if isinstance(output, tuple | list) and output else output
        if self._running is not None and given is not None and isinstance(first, Tensor):
            # Some layers add to it in place.
            gave = first.clone()
            self._running.parts.append(RecordedLayer(part, (args, dict(kwargs)), given, gave))

    def _leave(self, layer: nn.Module, _: object, output: object) -> None:
        if self._running is not None and self._running.layer is layer:
            self._running.output = hidden_states(output)
            self._running = None

    def _after(self, module: nn.Module, args: tuple[object, ...], output: object) -> None:
        """Find the norms that take what the last layers gave."""
        recording = self.recording
        if recording.final is None and _ends(recording.layers, self._layers, args, output):
            recording.final = module
        elif recording.encoder_final is None and _ends(
            recording.encoder, self._encoder, args, output
        ):
            recording.encoder_final = module


def _ends(
    recorded: list[RecordedLayer],
    layers: list[nn.Module],
    args: tuple[object, ...],
    output: object,
) -> bool:
    """Say whether a module takes what the last of some layers gave, and gives the like."""
    if not layers or len(recorded) < len(layers):
        return False
    last = recorded[-1].output
    takes = bool(args) and args[0] is last
    return takes and isinstance(output, Tensor) and output.shape == last.shape


def _given(args: tuple[object, ...], kwargs: dict[str, object]) -> Tensor | None:
    """Find the hidden states among what a module gets."""
    every = (*args, kwargs.get("hidden_states"), *kwargs.values())
    return next((value for value in every if isinstance(value, Tensor)), None)


@contextmanager
def giving(outputs: dict[nn.Module, Tensor]) -> Iterator[None]:
    """Have modules give what is known already, inside the block, without running.

    Parameters
    ----------
    outputs : dict of torch.nn.Module to torch.Tensor
    """
    with ExitStack() as patches:
        for module, output in outputs.items():
            patches.enter_context(running(module, _constant(output)))
        yield


def _constant(output: Tensor) -> Callable[..., Tensor]:
    def forward(*args: object, **kwargs: object) -> Tensor:
        return output

    return forward


def close(actual: Tensor, expected: Tensor, within: float = 0.0) -> bool:
    """Say whether tensors are equal but for the rounding of their precision, or a share."""
    allowed = max(within, torch.finfo(expected.dtype).eps ** (2 / 3)) * expected.abs().max()
    return bool((actual - expected).abs().max() <= allowed)
