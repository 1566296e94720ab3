"""Tells activation modules by what they do: element by element, and without weights."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from inseq_widget.models.precision import at_least_single

# "vanishing": element-wise, and zero at zero; "gate": element-wise, and something else there.
Kind = Literal["vanishing", "gate", "other"]
_PROBED = 2  # positions are enough to notice when they are mixed


def may_be_elementwise(module: nn.Module) -> bool:
    """Say whether a module is small enough to be a non-linearity: no parts, no weight vectors."""
    return not any(True for _ in module.children()) and all(
        parameter.numel() == 1 for parameter in module.parameters()
    )


def kind_of_module(module: nn.Module, x: Tensor) -> Kind:
    """Find out whether a module works element by element, by differentiating it.

    Its Jacobian is then diagonal: what it makes of a cotangent is the cotangent times what it
    makes of ones.

    Parameters
    ----------
    module : torch.nn.Module
        It gives a tensor of the shape that it takes.
    x : torch.Tensor, (..., feature)
        Something that it was given.

    Returns
    -------
    {"vanishing", "gate", "other"}
    """
    with torch._C.DisableTorchFunction(), torch.enable_grad():
        probe = at_least_single(x.detach())
        for dim in range(x.dim() - 1):
            probe = probe.narrow(dim, 0, min(_PROBED, probe.shape[dim]))
        probe = probe.clone().requires_grad_()
        value = module.forward(probe)
        if value.shape != probe.shape or not value.requires_grad:
            return "other"
        cotangent = torch.linspace(1, 2, probe.numel()).to(probe).view_as(probe)
        (diagonal,) = torch.autograd.grad(value, probe, torch.ones_like(value), retain_graph=True)
        (product,) = torch.autograd.grad(value, probe, cotangent.to(value.dtype))
        difference = (product - cotangent * diagonal).abs().max()
        if difference > 1e-4 * product.abs().max():
            return "other"
        return "vanishing" if not module.forward(torch.zeros_like(probe)).any() else "gate"
