"""Leaves a model as it was: flags, modes and attention implementation are put back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from transformers import PreTrainedConfig, PreTrainedModel


@contextmanager
def left_untouched(model: PreTrainedModel) -> Iterator[None]:
    """Run the block with the model in evaluation mode and without parameter gradients.

    Whatever happens in the block, an exception or a keyboard interrupt included, every module's
    training mode, every parameter's ``requires_grad`` and the attention implementation of every
    configuration are afterwards what they were before.

    Parameters
    ----------
    model : PreTrainedModel
    """
    training = [module for module in model.modules() if module.training]
    wanting = [parameter for parameter in model.parameters() if parameter.requires_grad]
    configurations = configurations_of(model)
    implementations = [config._attn_implementation_internal for config in configurations]
    try:
        for module in training:
            module.training = False
        for parameter in wanting:
            parameter.requires_grad_(False)
        yield
    finally:
        for module in training:
            module.training = True
        for parameter in wanting:
            parameter.requires_grad_(True)
        for config, implementation in zip(configurations, implementations, strict=True):
            config._attn_implementation_internal = implementation


def configurations_of(model: PreTrainedModel) -> list[PreTrainedConfig]:
    """Collect the configuration of every stack, each once, with their sub-configurations.

    Parameters
    ----------
    model : PreTrainedModel

    Returns
    -------
    list of PreTrainedConfig
    """
    found: dict[int, PreTrainedConfig] = {}
    pending = [m.config for m in model.modules() if isinstance(m, PreTrainedModel)]
    while pending:
        config = pending.pop()
        if id(config) not in found:
            found[id(config)] = config
            nested = (getattr(config, name, None) for name in config.sub_configs)
            pending.extend(c for c in nested if isinstance(c, PreTrainedConfig))
    return list(found.values())
