"""Finds where a model holds its layers, by structure alone."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from torch import nn
from transformers import PreTrainedModel

if TYPE_CHECKING:
    from inseq_widget.models.trace import Stack


def stacks_of(model: PreTrainedModel) -> dict[Stack, nn.Module]:
    """Find the modules that read source and target.

    Parameters
    ----------
    model : PreTrainedModel

    Returns
    -------
    dict of str to torch.nn.Module
        The encoder's first. Of a model that also sees or hears, the part that reads text.
    """
    if model.config.is_encoder_decoder:
        return {"source": model.get_encoder(), "target": model.get_decoder()}
    composite = model.config.get_text_config(decoder=True) is not model.config
    return {"target": model.get_decoder() if composite else model}


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
    found = (nearest_list(stack) for stack in stacks_of(model).values())
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
