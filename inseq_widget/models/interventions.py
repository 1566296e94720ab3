"""What a run takes in place of its own embeddings, modules in place of others, and its cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from inseq_widget.models.padding import rows_of
from inseq_widget.models.trace import Stack


@dataclass(frozen=True)
class Given:
    """Embeddings, and directions in which they move, that replace those of a run."""

    embeddings: Mapping[Stack, Tensor]
    tangents: Mapping[Stack, Tensor]

    def embedding(self, name: Stack, own: Tensor) -> Tensor:
        """Give what stands in for a stack's own embeddings, cut to as many positions."""
        if name not in self.embeddings:
            return own
        # In one piece, as embedding modules give them: some models go on with views.
        return self.embeddings[name][:, : own.shape[1]].to(own).contiguous()

    def tangent(self, name: Stack, own: Tensor) -> Tensor:
        """Give the direction in which a stack's embeddings move; zero where none is given."""
        if name not in self.tangents:
            return torch.zeros_like(own)
        return self.tangents[name][:, : own.shape[1]].to(own)


@contextmanager
def running(module: nn.Module, forward: Callable[..., object]) -> Iterator[None]:
    """Have a module run another function inside the block.

    Parameters
    ----------
    module : torch.nn.Module
    forward : callable
    """
    own = module.__dict__.get("forward")
    module.__dict__["forward"] = forward
    try:
        yield
    finally:
        if own is None:
            del module.__dict__["forward"]
        else:
            module.__dict__["forward"] = own


@contextmanager
def cut_before_head(model: PreTrainedModel, rows: Tensor, graph: bool) -> Iterator[list[Tensor]]:
    """Send only the wanted rows into the output head, detached from what made them.

    Parameters
    ----------
    model : PreTrainedModel
    rows : torch.Tensor of int, (batch, step)
    graph : bool
        Whether there is a graph to cut.

    Yields
    ------
    list of torch.Tensor, each (batch, step, feature)
        The rows, as the end of one graph and as the beginning of another, once the model has
        run; empty where the model has no output head to be found.
    """
    ends: list[Tensor] = []
    head = model.get_output_embeddings()
    if head is None or isinstance(head, nn.Embedding):  # the input's, where they are tied
        yield ends
        return

    def cut(_: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        hidden = rows_of(arguments[0], rows)
        # Without a graph there is nothing to cut, and a direction goes on into the head.
        leaf = hidden.detach().requires_grad_() if graph else hidden
        ends[:] = [hidden, leaf]
        return (leaf, *arguments[1:])

    hook = head.register_forward_pre_hook(cut)
    try:
        yield ends
    finally:
        hook.remove()
