"""Keeps a run of a long text as the inputs of its layers, to be differentiated one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from inseq_widget.models.attention import IMPLEMENTATION, can_intercept
from inseq_widget.models.example import Example
from inseq_widget.models.interventions import running
from inseq_widget.models.layers import layers_of
from inseq_widget.models.state import left_untouched
from inseq_widget.models.trace import Trace
from inseq_widget.models.traceable import TraceableModel

Forward = Callable[..., object]


class NotAChainError(Exception):
    """The layers do not hand hidden states from one to the next and nothing else."""


@dataclass(frozen=True)
class Segment:
    """One layer of a run whose inside was not kept.

    Attributes
    ----------
    given : torch.Tensor, (batch, position, feature)
        What the layer got.
    end : torch.Tensor, (batch, position, feature)
        A leaf that stands for what it gave.
    run : callable
        Runs the layer on other hidden states, everything else being as it was.
    """

    given: Tensor
    end: Tensor
    run: Callable[[Tensor], Tensor]


@dataclass
class LayerChain:
    """A run as a chain of layers: only what passes between them is in memory.

    Attributes
    ----------
    segments : list of Segment
        From the first layer to the last.
    """

    segments: list[Segment] = field(default_factory=list)

    def check(self, cut: Tensor, embeddings: Sequence[Tensor]) -> None:
        """Make sure that the chain is the only way from the embeddings to ``cut``.

        Raises
        ------
        NotAChainError
        """
        if not self.segments:
            raise NotAChainError
        for before, after in zip(self.segments[:-1], self.segments[1:], strict=True):
            if after.given is not before.end:
                raise NotAChainError
        ends = [segment.end for segment in self.segments]
        reached = torch.autograd.grad(
            cut.sum(), [*embeddings, *ends], retain_graph=True, allow_unused=True
        )
        if any(gradient is not None for gradient in reached[:-1]) or reached[-1] is None:
            raise NotAChainError


@contextmanager
def kept_by_layers(layers: Sequence[nn.Module]) -> Iterator[LayerChain]:
    """Run the layers inside the block without a graph, and keep what they got.

    Parameters
    ----------
    layers : sequence of torch.nn.Module

    Raises
    ------
    NotAChainError
        From within the model, where a layer takes or gives more than hidden states that depends
        on the embeddings.
    """
    chain = LayerChain()
    with ExitStack() as patches:
        for layer in layers:
            patches.enter_context(running(layer, _without_graph(layer.forward, chain)))
        yield chain


def _without_graph(forward: Forward, chain: LayerChain) -> Forward:
    def run_layer(*arguments: object, **keywords: object) -> object:
        if arguments:
            given, others = arguments[0], (*arguments[1:], keywords)
        else:
            keywords = dict(keywords)
            given, others = keywords.pop("hidden_states", None), (keywords,)
        if not isinstance(given, Tensor) or _differentiable(others):
            raise NotAChainError

        def call(hidden: Tensor) -> object:
            if arguments:
                return forward(hidden, *arguments[1:], **keywords)
            return forward(hidden_states=hidden, **keywords)

        def run(hidden: Tensor) -> Tensor:
            return _only_tensor(call(hidden))

        with torch.no_grad():
            output = call(given.detach())
        end = _only_tensor(output).detach().requires_grad_()
        chain.segments.append(Segment(given, end, run))
        return (end, *output[1:]) if isinstance(output, tuple) else end

    return run_layer


def _only_tensor(output: object) -> Tensor:
    """Take the hidden states of what a layer gives."""
    first, others = (output[0], output[1:]) if isinstance(output, tuple) else (output, ())
    if not isinstance(first, Tensor) or any(isinstance(other, Tensor) for other in others):
        raise NotAChainError
    return first


def _differentiable(given: object) -> bool:
    """Say whether a tensor that depends on the embeddings is somewhere in a layer's arguments."""
    if isinstance(given, Tensor):
        return given.requires_grad
    if isinstance(given, dict):
        return any(_differentiable(value) for value in given.values())
    if isinstance(given, list | tuple):
        return any(_differentiable(value) for value in given)
    return False


def traced_by_layers(model: TraceableModel, examples: Sequence[Example]) -> Trace | None:
    """Trace a decoder-only model without the inside of its layers.

    Parameters
    ----------
    model : TraceableModel
    examples : sequence of Example, (batch,)

    Returns
    -------
    Trace or None
        With its chain; None for a model whose layers are not a plain chain, which has to be
        traced as a whole.
    """
    if model.architecture != "decoder_only":
        return None
    chains: list[LayerChain] = []

    @contextmanager
    def around() -> Iterator[None]:
        with kept_by_layers(layers_of(model)["target"]) as chain:
            chains.append(chain)
            yield

    try:
        trace = model.trace(examples, graph=True, around=around)
        chains[0].check(trace.cut, list(trace.embeddings.values()))
    except (NotAChainError, NotImplementedError):
        return None
    return replace(trace, chain=chains[0])


@contextmanager
def running_again(model: TraceableModel) -> Iterator[None]:
    """Prepare the model for its layers to run on their own, as they did in a trace."""
    with left_untouched(model.model), torch.enable_grad():
        if can_intercept(model.model):
            model.model.set_attn_implementation(IMPLEMENTATION)
        yield


# Numbers that a layer keeps for its backward pass, in units of a hidden state: what comes between
# norms, projections and the feed-forward block of a usual layer.
_STATES_PER_LAYER = 40


def graph_bytes(model: TraceableModel, examples: Sequence[Example]) -> int:
    """Guess the memory that a trace with the whole graph takes.

    Parameters
    ----------
    model : TraceableModel
    examples : sequence of Example, (batch,)

    Returns
    -------
    int
        In bytes.
    """
    config = model.model.config.get_text_config()
    width = max(example.end for example in examples)
    hidden = model.embed("target", torch.zeros(1, dtype=torch.long)).shape[-1]
    heads = int(getattr(config, "num_attention_heads", 1) or 1)
    layers = int(getattr(config, "num_hidden_layers", 1) or 1)
    # Products, their exponentials and the weights of every head, beside the hidden states.
    numbers = width * (_STATES_PER_LAYER * hidden + 3 * heads * width)
    return len(examples) * layers * numbers * model.model.dtype.itemsize
