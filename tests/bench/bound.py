"""The fewest multiply-adds that a method needs, when nothing is computed twice.

Matrix products alone are counted. A product's backward with respect to its input costs what its
forward does; attention scores and weighted values each have two inputs.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bound_translation import Translator
from cases import Keywords
from texts import Text


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
    def of(cls, configuration: dict[str, int]) -> Network:
        """Read the sizes from a model's configuration."""
        head = configuration["head_dim"]
        return cls(
            layers=configuration["num_hidden_layers"],
            hidden=configuration["hidden_size"],
            query=configuration["num_attention_heads"] * head,
            key_value=configuration["num_key_value_heads"] * head,
            intermediate=configuration["intermediate_size"],
            vocabulary=configuration["vocab_size"],
        )

    @property
    def per_position(self) -> int:
        """Multiply-adds of one layer's matrices for one position."""
        return 2 * self.hidden * self.key_value + self.hidden * self.query + self.after_values

    @property
    def after_values(self) -> int:
        """Those of them that come after the values have been weighted."""
        return self.hidden * self.query + 3 * self.hidden * self.intermediate

    @property
    def head(self) -> int:
        """Multiply-adds of the logits of one position."""
        return self.hidden * self.vocabulary

    def mixing(self, length: int) -> int:
        """Multiply-adds of one layer's causal attention: scores and weighted values."""
        return self.query * length * (length + 1)

    def forward(self, length: int) -> int:
        """Multiply-adds of all layers for so many positions, without logits."""
        return self.layers * (self.per_position * length + self.mixing(length))

    def backward(self, seen: int) -> int:
        """Multiply-adds of one backward row from a step that sees so many positions.

        In the last layer only the step's own position has a gradient behind the attention, so that
        layer counts for its keys and values alone.
        """
        layer = self.per_position * seen + 2 * self.mixing(seen)
        return (self.layers - 1) * layer + 2 * self.hidden * self.key_value * seen + self.head


def _gradients(network: Network, text: Text, points: Sequence[int]) -> int:
    """Count a forward pass for each point of each set of points, and a row for each of a step.

    Steps with the same number of points share their forward passes.
    """
    total = 0
    seen = [text.inputs + step for step in range(text.targets)]
    last: dict[int, int] = {}
    for number, positions in zip(points, seen, strict=True):
        last[number] = positions
        total += number * network.backward(positions)
    for number, positions in last.items():
        steps = Counter(points)[number]
        total += number * (network.forward(positions) + steps * network.head)
    return total


def _gradient(network: Network, text: Text, keywords: Keywords, points: Sequence[int]) -> int:
    return _gradients(network, text, [1] * text.targets)


def _integrated(network: Network, text: Text, keywords: Keywords, points: Sequence[int]) -> int:
    return _gradients(network, text, points or [int(keywords["n_steps"])] * text.targets)


def _deeplift(network: Network, text: Text, keywords: Keywords, points: Sequence[int]) -> int:
    baseline = network.forward(text.inputs + text.targets - 1)
    return baseline + _gradient(network, text, keywords, points)


def _attention(network: Network, text: Text, keywords: Keywords, points: Sequence[int]) -> int:
    """Count one forward pass up to the last layer's attention weights."""
    length = text.inputs + text.targets - 1
    layer = network.per_position * length + network.mixing(length)
    last = network.hidden * (network.query * text.targets + network.key_value * length)
    return (network.layers - 1) * layer + last


def _occlusion(network: Network, text: Text, keywords: Keywords, points: Sequence[int]) -> int:
    """Count the clean pass, and for each token the positions from it on."""
    length = text.inputs + text.targets - 1
    total = network.forward(length) + text.targets * network.head
    for token in range(text.inputs if keywords.get("spans") == "prompt" else length):
        after = length - token
        mixing = network.mixing(length) - network.mixing(token)
        total += network.layers * (network.per_position * after + mixing)
        total += min(text.targets, after) * network.head
    return total


def _lime(network: Network, text: Text, keywords: Keywords, points: Sequence[int]) -> int:
    """Count one pass for each sample, which all steps read."""
    one = network.forward(text.inputs + text.targets - 1) + text.targets * network.head
    return int(keywords["n_samples"]) * one


def _value_zeroing(network: Network, text: Text, keywords: Keywords, points: Sequence[int]) -> int:
    """Count the clean pass, and for each token and step what comes after the values."""
    pairs = sum(text.inputs + step for step in range(text.targets))
    clean = network.forward(text.inputs + text.targets - 1)
    return clean + network.layers * network.after_values * pairs


Count = Callable[[Network, Text, Keywords, Sequence[int]], int]

COUNTS: dict[str, Count] = {
    "saliency": _gradient,
    "input_x_gradient": _gradient,
    "layer_gradient_x_activation": _gradient,
    "integrated_gradients": _integrated,
    "layer_integrated_gradients": _integrated,
    "deeplift": _deeplift,
    "attention": _attention,
    "occlusion": _occlusion,
    "feature_ablation": _occlusion,
    "lime": _lime,
    "value_zeroing": _value_zeroing,
}


def multiply_adds(
    method: str, model: Path, text: Text, keywords: Keywords, points: Sequence[int] = ()
) -> int | None:
    """Return the lower bound of a method, or None where none is counted.

    Parameters
    ----------
    method : str
    model : Path
        Folder of the model, for its sizes.
    text : Text
    keywords : mapping
        Of the method.
    points : sequence of int, (step,)
        How many points of a path each step used, where the method chose.
    """
    configuration = json.loads((model / "config.json").read_text())
    if configuration.get("is_encoder_decoder"):
        return Translator.of(configuration).multiply_adds(method, text.inputs, text.targets)
    if method not in COUNTS:
        return None
    return COUNTS[method](Network.of(configuration), text, keywords, points)
