"""Tells the errors that say that memory ran out from all others."""

from __future__ import annotations

import torch

# What torch says of a processor's memory, in errors that have no class of their own.
_MESSAGES = ("allocate memory", "not enough memory", "out of memory")
# What may be an error about memory.
ERRORS = (torch.OutOfMemoryError, RuntimeError, MemoryError)


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that memory ran out.

    Parameters
    ----------
    error : BaseException

    Returns
    -------
    bool
    """
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(said in str(error) for said in _MESSAGES)
