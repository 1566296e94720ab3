"""Everything of a model and of the process that an attribution has to leave as it was."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from inseq_widget.models.attention import _active
from inseq_widget.models.state import configurations_of

_HOOKS = [name for name in nn.Module().__dict__ if "hooks" in name]
_GLOBAL_HOOKS = [name for name in vars(nn.modules.module) if name.startswith("_global_")]


def state_of(model: PreTrainedModel) -> dict[str, object]:
    """Note what must not change; equal states compare equal."""
    modules = dict(model.named_modules())
    return {
        "hooks": {
            f"{path}.{kind}": list(getattr(module, kind))
            for path, module in modules.items()
            for kind in _HOOKS
            if isinstance(getattr(module, kind), dict) and getattr(module, kind)
        },
        "global hooks": {
            name: list(getattr(nn.modules.module, name))
            for name in _GLOBAL_HOOKS
            if isinstance(getattr(nn.modules.module, name), dict)
        },
        "own attributes": {path: sorted(vars(module)) for path, module in modules.items()},
        "classes": {path: type(module) for path, module in modules.items()},
        "forward of classes": {type(m).__name__: type(m).forward for m in modules.values()},
        "training": {path: module.training for path, module in modules.items()},
        "requires_grad": {name: p.requires_grad for name, p in model.named_parameters()},
        "grad": {name: p.grad is None for name, p in model.named_parameters()},
        "parameters": {name: _number(p) for name, p in model.named_parameters()},
        "buffers": {name: _number(b) for name, b in model.named_buffers()},
        "implementations": [
            (config._attn_implementation_internal, config._experts_implementation_internal)
            for config in configurations_of(model)
        ],
        "torch random state": torch.get_rng_state().tolist(),
        "numpy random state": str(np.random.get_state()),
        "python random state": random.getstate(),
        "grad mode": torch.is_grad_enabled(),
        "default dtype": torch.get_default_dtype(),
        "functions": {name: id(f) for name, f in vars(nn.functional).items() if callable(f)},
        "observer": _active.get(),
    }


def _number(tensor: torch.Tensor) -> tuple[int, str, str]:
    """Tell a tensor by its place in memory, its kind and its values."""
    return tensor.data_ptr(), str(tensor.dtype), tensor.detach().cpu().double().numpy().tobytes()


@contextmanager
def left_as_it_was(model: PreTrainedModel) -> Iterator[None]:
    """Fail where the block changes anything, naming what; also when the block raises."""
    before = state_of(model)
    try:
        yield
    finally:
        after = state_of(model)
        changed = {
            kind: _difference(before[kind], after[kind])
            for kind in before
            if before[kind] != after[kind]
        }
        assert not changed, changed


def _difference(before: object, after: object) -> object:
    if isinstance(before, dict) and isinstance(after, dict):
        names = {**before, **after}
        return [name for name in names if before.get(name) != after.get(name)]
    return f"{str(before)[:80]} is now {str(after)[:80]}"
