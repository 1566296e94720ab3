"""Sees, keeps and replaces what passes through the modules of a model while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

from torch import Tensor, nn

from inseq_widget.models.example import Example
from inseq_widget.models.layers import Layer
from inseq_widget.models.trace import Stack
from inseq_widget.models.traceable import TraceableModel
from inseq_widget.results import Token

Visit = Callable[[nn.Module, int, Tensor], Tensor | None]

# Enough tokens to tell the stacks and the batch dimension by their sizes.
_PROBE = {"source": 5, "target": 3}
_PROBE_TEXTS = 2


@dataclass(frozen=True)
class Call:
    """One of the times that a module is called while the model runs.

    Attributes
    ----------
    module : torch.nn.Module
    number : int
        Counted from 0.
    """

    module: nn.Module
    number: int


@dataclass(frozen=True)
class LocatedLayer:
    """A layer, and the call in which it sees the tokens of each stack.

    Attributes
    ----------
    name : str
    calls : mapping of str to Call
        Of the stacks whose tokens it has a position for.
    n_features : int
    """

    name: str
    calls: Mapping[Stack, Call]
    n_features: int


@contextmanager
def visiting(modules: Sequence[nn.Module], at_input: bool, visit: Visit) -> Iterator[None]:
    """Show the first tensor that modules take or give while the model runs.

    Parameters
    ----------
    modules : sequence of torch.nn.Module
    at_input : bool
        Show what they take, not what they give.
    visit : callable
        Told the module, the number of the call, counted from 0, and the tensor; what it returns
        takes the tensor's place.
    """
    counted: dict[nn.Module, int] = {}

    def shown(module: nn.Module, tensor: Tensor) -> Tensor | None:
        number = counted.get(module, 0)
        counted[module] = number + 1
        return visit(module, number, tensor)

    def after(module: nn.Module, _: tuple[object, ...], output: object) -> object:
        if isinstance(output, Tensor):
            return shown(module, output)
        if isinstance(output, tuple | list) and output and isinstance(output[0], Tensor):
            new = shown(module, output[0])
            return None if new is None else type(output)([new, *output[1:]])
        return None

    def before(
        module: nn.Module, arguments: tuple[object, ...], keywords: dict[str, object]
    ) -> tuple[tuple[object, ...], dict[str, object]] | None:
        for place, argument in enumerate(arguments):
            if isinstance(argument, Tensor):
                new = shown(module, argument)
                changed = (*arguments[:place], new, *arguments[place + 1 :])
                return None if new is None else (changed, keywords)
        for name, argument in keywords.items():
            if isinstance(argument, Tensor):
                new = shown(module, argument)
                return None if new is None else (arguments, {**keywords, name: new})
        return None

    with ExitStack() as hooks:
        for module in dict.fromkeys(modules):
            if at_input:
                hook = module.register_forward_pre_hook(before, with_kwargs=True)
            else:
                hook = module.register_forward_hook(after)
            hooks.callback(hook.remove)
        yield


class Recorder:
    """Keeps what passes at some calls in the latest run of a model.

    Calling it makes the context in which the model has to run.

    Parameters
    ----------
    calls : sequence of Call
    at_input : bool
        Keep what the modules take, not what they give.
    """

    def __init__(self, calls: Sequence[Call], at_input: bool) -> None:
        self._calls = list(calls)
        self._at_input = at_input
        self._seen: dict[Call, Tensor] = {}

    def __call__(self) -> AbstractContextManager[None]:
        """Make a context that keeps what passes in one run."""
        seen: dict[Call, Tensor] = {}
        self._seen = seen

        def keep(module: nn.Module, number: int, tensor: Tensor) -> Tensor | None:
            call = Call(module, number)
            if call not in self._calls:
                return None
            seen[call] = tensor
            # The model goes on with a copy: it may write into what it got.
            return tensor.clone()

        return visiting([call.module for call in self._calls], self._at_input, keep)

    @property
    def activations(self) -> list[Tensor]:
        """What passed in the latest run, in the order of the calls, (batch, position, feature)."""
        return [self._seen[call] for call in self._calls]


def locate(model: TraceableModel, layers: Sequence[Layer], at_input: bool) -> list[LocatedLayer]:
    """Find out with a run of a few tokens which stack's tokens a layer has positions for.

    Parameters
    ----------
    model : TraceableModel
    layers : sequence of Layer
    at_input : bool
        Look at what the layers take, not at what they give.

    Returns
    -------
    list of LocatedLayer

    Raises
    ------
    ValueError
        When a layer does not see every token of a stack, once, or when layers have different
        numbers of features.
    NotImplementedError
        When the numbered layers of an architecture give no (text, position, feature) tensor.
    """
    seen: dict[nn.Module, list[Tensor]] = {}

    def note(module: nn.Module, _: int, tensor: Tensor) -> None:
        seen.setdefault(module, []).append(tensor.detach())

    modules = [module for layer in layers for module in layer.modules.values()]
    model.trace(_probe(model), around=lambda: visiting(modules, at_input, note))
    located = [_located(layer, seen, at_input) for layer in layers]
    widths = {layer.n_features: layer.name for layer in located}
    if len(widths) > 1:
        raise ValueError(
            "target_layer: layers of one call need the same number of features; "
            + ", ".join(f"{name!r} has {width}" for width, name in widths.items())
            + "."
        )
    return located


def _probe(model: TraceableModel) -> list[Example]:
    def tokens(stack: Stack) -> tuple[Token, ...]:
        word = Token("", model.tokenizer.eos_token_id or 0, "", 0, stack, False, 0)
        return (word,) * _PROBE[stack]

    source = tokens("source") if model.architecture == "encoder_decoder" else ()
    target = tokens("target")
    n_given = len(target)
    text = Example(source, (*target, target[0]), n_given, n_given, n_given + 1)
    return [text] * _PROBE_TEXTS


def _located(layer: Layer, seen: Mapping[nn.Module, list[Tensor]], at_input: bool) -> LocatedLayer:
    calls: dict[Stack, Call] = {}
    verb = "takes" if at_input else "gives"
    for stack, module in layer.modules.items():
        for number, tensor in enumerate(seen.get(module, [])):
            if tensor.shape[:-1] != (_PROBE_TEXTS, _PROBE[stack]):
                continue
            if not tensor.is_floating_point():
                continue
            if stack in calls:
                raise ValueError(
                    f"target_layer: {layer.name!r} runs more than once for the same tokens; "
                    "name a module that contains one of its uses."
                )
            calls[stack] = Call(module, number)
            n_features = tensor.shape[-1]
    if calls:
        return LocatedLayer(layer.name, calls, n_features)
    called = [tensor for module in layer.modules.values() for tensor in seen.get(module, [])]
    if not called:
        raise ValueError(
            f"target_layer: {layer.name!r} {verb} no tensor when the model reads a text: "
            "it is not called by itself; name a module inside of it."
        )
    if not called[0].is_floating_point():
        raise ValueError(
            f"target_layer: {layer.name!r} takes token ids, which have no gradient; "
            "attribute to what it gives (attribute_to_layer_input=False)."
        )
    # Whoever counts layers cannot know what a layer of this architecture gives.
    error = NotImplementedError if layer.name.lstrip("-").isdigit() else ValueError
    raise error(
        f"target_layer: {layer.name!r} {verb} a tensor of shape {tuple(called[0].shape)} for "
        f"{_PROBE_TEXTS} texts of {_PROBE['target']} tokens, which has no (text, position, "
        "feature) dimensions to be attributed; methods that explain the inputs work, such as "
        "'saliency'."
    )
