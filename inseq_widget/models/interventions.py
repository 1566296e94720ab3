"""What a run takes in place of its own embeddings, and modules in place of what they run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

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
