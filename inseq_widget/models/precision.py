"""The precision that scores are kept in, whatever the model computes in."""

from __future__ import annotations

import torch
from torch import Tensor


def at_least_single(tensor: Tensor) -> Tensor:
    """Widen half precision to single; single and double stay as they are.

    Parameters
    ----------
    tensor : torch.Tensor, (...)

    Returns
    -------
    torch.Tensor, (...)
    """
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
