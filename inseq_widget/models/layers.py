"""Finds the layers of a model by its structure, without a table of architectures."""

from __future__ import annotations

from collections import deque

from torch import nn

from inseq_widget.models.trace import Stack
from inseq_widget.models.traceable import TraceableModel


def layers_of(model: TraceableModel) -> dict[Stack, list[nn.Module]]:
    """List the layers of every stack, the first one first.

    Parameters
    ----------
    model : TraceableModel

    Returns
    -------
    dict of str to list of torch.nn.Module

    Raises
    ------
    NotImplementedError
        When a stack does not hold its layers in a ``torch.nn.ModuleList``.
    """
    if model.architecture == "encoder_decoder":
        return {
            "source": _layers(model.model.get_encoder()),
            "target": _layers(model.model.get_decoder()),
        }
    return {"target": _layers(model.model)}


def _layers(stack: nn.Module) -> list[nn.Module]:
    """Find the list of layers that lies nearest to the root; the longest of those."""
    level: deque[nn.Module] = deque([stack])
    while level:
        lists = [
            child
            for module in level
            for child in module.children()
            if isinstance(child, nn.ModuleList) and len(child)
        ]
        if lists:
            return list(max(lists, key=lambda modules: len(modules)))
        level = deque(child for module in level for child in module.children())
    raise NotImplementedError(
        f"model: {type(stack).__name__} does not hold its layers in a list of modules."
    )
