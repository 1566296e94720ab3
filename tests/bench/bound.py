"""The least time a method can take: its multiply-adds at the rate of matrix products here."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from cases import PROMPT_TOKENS, TARGET_TOKENS


@dataclass(frozen=True)
class Network:
    """Sizes of a Llama-like network, in features unless said otherwise."""

    layers: int
    hidden: int
    query: int
    key_value: int
    intermediate: int
    vocabulary: int

    @classmethod
    def of(cls, folder: Path) -> Network:
        """Read the sizes from the configuration in a model's folder."""
        configuration = json.loads((folder / "config.json").read_text())
        head = configuration["head_dim"]
        return cls(
            layers=configuration["num_hidden_layers"],
            hidden=configuration["hidden_size"],
            query=configuration["num_attention_heads"] * head,
            key_value=configuration["num_key_value_heads"] * head,
            intermediate=configuration["intermediate_size"],
            vocabulary=configuration["vocab_size"],
        )

    def per_position(self) -> int:
        """Multiply-adds of one layer's matrices for one position."""
        attention = 2 * self.hidden * self.query + 2 * self.hidden * self.key_value
        return attention + 3 * self.hidden * self.intermediate

    def mixing(self, length: int) -> int:
        """Multiply-adds of one layer's causal attention: scores and weighted values."""
        return 2 * self.query * length * (length + 1) // 2


def saliency(network: Network, prompt: int, targets: int) -> int:
    """Count the multiply-adds of one shared forward pass and one backward row for each step.

    A row goes through the positions that its step sees. In the last layer only the step's own
    position has a gradient behind the attention, so that layer counts for its keys and values
    alone. A product's backward with respect to its input costs what its forward does; attention
    scores and weighted values each have two inputs.
    """
    forward = network.layers * (
        network.per_position() * (prompt + targets - 1) + network.mixing(prompt + targets - 1)
    )
    # Each step needs the logits of one position, and their gradient with respect to it.
    head = 2 * targets * network.hidden * network.vocabulary
    backward = 0
    for step in range(targets):
        seen = prompt + step
        layer = network.per_position() * seen + 2 * network.mixing(seen)
        last = 2 * network.hidden * network.key_value * seen
        backward += (network.layers - 1) * layer + last
    return forward + head + backward


def attention(network: Network, prompt: int, targets: int) -> int:
    """Count the multiply-adds of one forward pass up to the last layer's attention weights."""
    length = prompt + targets - 1
    layer = network.per_position() * length + network.mixing(length)
    last = network.hidden * (network.query * targets + network.key_value * length)
    return (network.layers - 1) * layer + last


MULTIPLY_ADDS = {"saliency": saliency, "attention": attention}


def least_seconds(method: str, network: Network, rate: float) -> float | None:
    """Return the lower bound of a method on the benchmark's text, or None where none is counted.

    Parameters
    ----------
    method : str
    network : Network
    rate : float
        Multiply-adds per second.
    """
    if method not in MULTIPLY_ADDS:
        return None
    return MULTIPLY_ADDS[method](network, PROMPT_TOKENS, TARGET_TOKENS) / rate


def matrix_rate(environment: dict[str, str]) -> float:
    """Measure the best rate of float32 matrix products, in multiply-adds per second.

    A process of its own keeps torch, and its memory, out of the driver.
    """
    run = [sys.executable, __file__]
    return float(subprocess.run(run, env=environment, capture_output=True, check=True).stdout)


def best_rate() -> float:
    """Return the best of several shapes, some like this network's and some larger."""
    import torch

    best = 0.0
    with torch.inference_mode():
        for rows, inner, columns in ((528, 576, 1536), (2048, 1536, 576), (2048, 2048, 2048)):
            left, right = torch.randn(rows, inner), torch.randn(inner, columns)
            for _ in range(12):
                started = time.perf_counter()
                torch.mm(left, right)
                best = max(best, rows * inner * columns / (time.perf_counter() - started))
    return best


if __name__ == "__main__":
    print(best_rate())
