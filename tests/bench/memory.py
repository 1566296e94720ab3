"""Memory of this process or of its device: held now, and at most since some moment."""

from __future__ import annotations

import resource
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import torch

MEGABYTE = 1e6


def resident(device: str) -> float:
    """Return what is held in memory now, in megabytes."""
    if device != "cpu":
        return torch.cuda.memory_allocated() / MEGABYTE
    return float(psutil.Process().memory_info().rss) / MEGABYTE


def peak(device: str) -> float:
    """Return the most that was held since the start or the last `forget_peak`, in megabytes."""
    if device != "cpu":
        return torch.cuda.max_memory_allocated() / MEGABYTE
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1 if sys.platform == "darwin" else 1024
    return largest * unit / MEGABYTE


def forget_peak(device: str) -> None:
    """Start the peak anew from what is held now.

    Of the systems' own counts only Linux's can. Elsewhere the peak goes on from the start of the
    process, which is the same wherever the measured work needs more than loading the model did.
    """
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        return
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
