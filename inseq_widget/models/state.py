"""Leaves a model as it was: flags, modes and implementations are put back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

# What a configuration says of how attention and experts are computed.
_IMPLEMENTATIONS = ("_attn_implementation_internal", "_experts_implementation_internal")


@contextmanager
def left_untouched(model: PreTrainedModel) -> Iterator[None]:
    """Run the block with the model in evaluation mode and without parameter gradients.

    Whatever happens in the block, an exception or a keyboard interrupt included, every module's
    training mode, every parameter's ``requires_grad`` and the implementations of attention and
    experts in every configuration are afterwards what they were before.

    Parameters
    ----------
    model : PreTrainedModel
    """
    modules = list(model.modules())
    training = [module for module in modules if module.training]
    wanting = list(
        {
            id(parameter): parameter
            for module in modules
            for parameter in module._parameters.values()
            if parameter is not None and parameter.requires_grad
        }.values()
    )
    configurations = _configurations(modules)
    implementations = [
        {name: vars(config)[name] for name in _IMPLEMENTATIONS if name in vars(config)}
        for config in configurations
    ]
    try:
        for module in training:
            module.training = False
        for parameter in wanting:
            parameter.requires_grad_(False)
        if model.dtype == torch.float64:
            # The products of all experts at once exist in single and half precision only.
            for config in configurations:
                if "_experts_implementation_internal" in vars(config):
                    config._experts_implementation_internal = "eager"
        yield
    finally:
        for module in training:
            module.training = True
        for parameter in wanting:
            parameter.requires_grad_(True)
        for config, implementation in zip(configurations, implementations, strict=True):
            vars(config).update(implementation)


def configurations_of(model: PreTrainedModel) -> list[PreTrainedConfig]:
    """Collect the configuration of every stack, each once, with their sub-configurations.

    Parameters
    ----------
    model : PreTrainedModel

    Returns
    -------
    list of PreTrainedConfig
    """
    return _configurations(model.modules())


def _configurations(modules: Iterable[nn.Module]) -> list[PreTrainedConfig]:
    found: dict[int, PreTrainedConfig] = {}
    pending = [module.config for module in modules if isinstance(module, PreTrainedModel)]
    while pending:
        config = pending.pop()
        if id(config) not in found:
            found[id(config)] = config
            nested = (getattr(config, name, None) for name in config.sub_configs)
            pending.extend(c for c in nested if isinstance(c, PreTrainedConfig))
    return list(found.values())
