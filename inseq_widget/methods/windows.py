"""Windows that slide over tokens, as captum's Occlusion lets users describe them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from inseq_widget.methods.keywords import check_whole
from inseq_widget.models import Stack, TraceableModel

# A number of tokens, a tuple that goes on with the number of features, or one of these a stack.
Shape = int | tuple[int, ...]
Shapes = Shape | tuple[Shape, ...] | None


@dataclass(frozen=True)
class Window:
    """A window over the tokens of one stack.

    Attributes
    ----------
    width : int
        How many tokens it covers.
    stride : int
        By how many it moves.
    """

    width: int
    stride: int

    def starts(self, n_positions: int) -> range:
        """Give where the windows over so many positions begin; the last may be cut short."""
        return range(0, self.fitting(n_positions) * self.stride, self.stride)

    def fitting(self, n_positions: int) -> int:
        """Count the windows over so many positions."""
        beyond_first = max(0, n_positions - self.width)
        return math.ceil(beyond_first / self.stride) + 1


def windows_of(shapes: Shapes, strides: Shapes, stacks: Sequence[Stack]) -> dict[Stack, Window]:
    """Give each stack its window.

    Parameters
    ----------
    shapes : int, tuple of int, or tuple of those
        Tokens covered; as a tuple tokens and features, and with several stacks one for each.
    strides : int, tuple of int, tuple of those, or None
    stacks : sequence of str

    Returns
    -------
    dict of str to Window

    Raises
    ------
    ValueError
        For what is no window, or one that moves by more than it is wide.
    """
    widths = _tokens("sliding_window_shapes", shapes, len(stacks))
    moves = _tokens("strides", strides, len(stacks))
    for width, move in zip(widths, moves, strict=True):
        if move > width:
            raise ValueError(
                f"strides: {move} given, but the window is {width} wide: tokens between two "
                "windows would get no score; choose at most its width."
            )
    return {
        stack: Window(width, move) for stack, width, move in zip(stacks, widths, moves, strict=True)
    }


def check_windows(shapes: Shapes, strides: Shapes) -> None:
    """Refuse what describes no windows, whatever is attributed.

    Raises
    ------
    ValueError
    """
    both: list[Stack] = ["source", "target"]
    try:
        windows_of(shapes, strides, both)
    except ValueError:
        windows_of(shapes, strides, ["target"])


def check_features(shapes: Shapes, model: TraceableModel) -> None:
    """Refuse windows that cover a part of a token's features.

    Raises
    ------
    ValueError
    """
    if isinstance(shapes, int) or shapes is None:
        return
    n_features = model.embed("target", torch.zeros(1, dtype=torch.long)).shape[-1]
    nested: list[Any] = [shape for shape in shapes if isinstance(shape, tuple | list)]
    for shape in nested or [shapes]:
        if len(shape) > 1 and shape[1] != n_features:
            raise ValueError(
                f"sliding_window_shapes: {shape} given, but a token has {n_features} features and "
                f"is taken away as a whole; pass ({shape[0]}, {n_features}), or {shape[0]} alone."
            )


def _tokens(argument: str, given: Shapes, n_stacks: int) -> list[int]:
    """Give the number of tokens for each stack."""
    if not isinstance(given, tuple | list):
        return [_first(argument, given)] * n_stacks
    of_stacks = argument == "strides" and n_stacks > 1 and len(given) == n_stacks
    if not of_stacks and not any(isinstance(entry, tuple | list) for entry in given):
        return [_first(argument, tuple(given))] * n_stacks
    if len(given) != n_stacks:
        raise ValueError(
            f"{argument}: {given!r} given for {n_stacks} sequences of tokens that are attributed; "
            "pass a number of tokens, or one for each sequence."
        )
    return [_first(argument, entry) for entry in given]


def _first(argument: str, entry: object) -> int:
    if entry is None and argument == "strides":
        return 1
    parts: list[Any] = list(entry) if isinstance(entry, tuple | list) else [entry]
    if not 1 <= len(parts) <= 2:
        raise ValueError(
            f"{argument}: {entry!r} given; pass a number of tokens, or tokens and features."
        )
    for part in parts:
        check_whole(argument, part, 1)
    n_tokens: int = parts[0]
    return n_tokens
