"""What the benchmark runs on."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def processor() -> str:
    """Return the processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def machine() -> str:
    """Return the machine, and how busy it is now: call it before measuring."""
    load = f"{os.getloadavg()[0]:.1f} processes at work before the run"
    return f"{processor()}, {os.cpu_count()} cores, {platform.system()}, {load}"
