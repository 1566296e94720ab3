"""Peak memory of this process: of its whole life, and of one stretch of work."""

from __future__ import annotations

import resource
import sys
from contextlib import suppress
from pathlib import Path

import psutil

MEGABYTE = 1e6


def resident() -> float:
    """Return what the process holds in memory now, in megabytes."""
    return float(psutil.Process().memory_info().rss) / MEGABYTE


def peak() -> float:
    """Return the largest resident size since the start or the last `forget_peak`, in megabytes."""
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1 if sys.platform == "darwin" else 1024
    return largest * unit / MEGABYTE


def forget_peak() -> None:
    """Start the peak anew from what is held now.

    Only Linux can. Elsewhere the peak goes on from the start of the process, which is the same
    wherever the measured work needs more than loading the model did.
    """
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
