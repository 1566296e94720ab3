"""The best rate of matrix products here: `python rate.py DEVICE DTYPE` prints it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass

PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12}
"""Dense bfloat16 operations per second of some cards, by a part of their name; the makers' data."""

CPU_SHAPES = ((528, 576, 1536), (2048, 1536, 576), (2048, 2048, 2048))
"""Some like SmolLM2's at these lengths, and a larger one."""
CARD_SHAPES = ((2048, 1536, 576), (8192, 8192, 8192))


@dataclass(frozen=True)
class Rate:
    """What a device reaches.

    Attributes
    ----------
    multiply_adds : float
        Per second, in matrix products.
    card : str
        Name of the graphics card, if it is one.
    """

    multiply_adds: float
    card: str = ""

    @property
    def peak(self) -> float | None:
        """Multiply-adds per second that the card's maker states for bfloat16."""
        known = (
            value / 2
            for name, value in PEAKS.items()
            if name in self.card.replace("-", " ").split()
        )
        return next(known, None) if self.card else None


def matrix_rate(device: str, dtype: str, environment: dict[str, str]) -> Rate:
    """Measure the best rate of matrix products.

    A process of its own keeps torch, and its memory, out of the driver.
    """
    run = [sys.executable, __file__, device, dtype]
    said = subprocess.run(run, env=environment, capture_output=True, check=True).stdout
    return Rate(**json.loads(said))


def best_rate(device: str, dtype_name: str) -> Rate:
    """Return the best of several shapes."""
    import torch

    dtype = getattr(torch, dtype_name)
    on_card = device != "cpu"
    best = 0.0
    with torch.inference_mode():
        for rows, inner, columns in CARD_SHAPES if on_card else CPU_SHAPES:
            left = torch.randn(rows, inner, device=device, dtype=dtype)
            right = torch.randn(inner, columns, device=device, dtype=dtype)
            for _ in range(12):
                started = time.perf_counter()
                torch.mm(left, right)
                if on_card:
                    torch.cuda.synchronize()
                best = max(best, rows * inner * columns / (time.perf_counter() - started))
    return Rate(best, torch.cuda.get_device_name() if on_card else "")


if __name__ == "__main__":
    found = best_rate(sys.argv[1], sys.argv[2])
    print(json.dumps({"multiply_adds": found.multiply_adds, "card": found.card}))
