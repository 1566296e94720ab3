"""Finds where a model holds its layers, by structure alone."""

from __future__ import annotations

from collections import deque

from torch import nn
from transformers import PreTrainedModel


def lists_of_layers(model: PreTrainedModel) -> list[list[nn.Module]]:
    """List the layers of every stack, as far as the model holds them in lists.

    Parameters
    ----------
    model : PreTrainedModel

    Returns
    -------
    list of list of torch.nn.Module
        One list a stack, the encoder's first.
    """
    stacks: list[nn.Module] = (
        [model.get_encoder(), model.get_decoder()] if model.config.is_encoder_decoder else [model]
    )
    found = (nearest_list(stack) for stack in stacks)
    return [layers for layers in found if layers is not None]


def nearest_list(stack: nn.Module) -> list[nn.Module] | None:
    """Find the list of modules that lies nearest to the root; the longest of those.

    Parameters
    ----------
    stack : torch.nn.Module

    Returns
    -------
    list of torch.nn.Module or None
    """
    level: deque[nn.Module] = deque([stack])
    while level:
        lists = [
            list(child)
            for module in level
            for child in module.children()
            if isinstance(child, nn.ModuleList) and len(child)
        ]
        if lists:
            return max(lists, key=len)
        level = deque(child for module in level for child in module.children())
    return None
