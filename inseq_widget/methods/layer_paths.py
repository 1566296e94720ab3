"""Straight paths between what layers give at a baseline and at a text, and runs led along them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from inseq_widget.methods.quadrature import Nodes
from inseq_widget.models import Stack
from inseq_widget.models.activations import Call, visiting


@dataclass(frozen=True)
class LayerPath:
    """The straight path between what a layer gives at the baseline and at the text.

    ``baseline`` and ``difference`` are (position, feature).
    """

    call: Call
    baseline: Tensor
    difference: Tensor


@dataclass(frozen=True)
class Slot:
    """Where in a batch of pairs the points of one layer are."""

    column: int
    stack: Stack
    rows: slice
    weights: Tensor


class Replaced:
    """Puts points on the paths of layers in the place of what they give.

    Each row of the batch is a pair of layer and point, those of a layer behind each other.

    Parameters
    ----------
    paths : mapping of int to mapping of str to LayerPath
        By column and stack.
    pairs : sequence of (int, int)
        Column and point.
    nodes : Nodes
        Of all paths.
    at_input : bool
        Whether the paths are of what layers take.
    moving : bool
        Let the points move along their paths, for forward-mode differentiation.
    """

    def __init__(
        self,
        paths: Mapping[int, Mapping[Stack, LayerPath]],
        pairs: Sequence[tuple[int, int]],
        nodes: Nodes,
        at_input: bool,
        *,
        moving: bool = False,
    ) -> None:
        self._at_input = at_input
        self._moving = moving
        self.slots: list[Slot] = []
        self._points: dict[Call, list[tuple[int, slice, Tensor, Tensor]]] = {}
        for column in dict.fromkeys(column for column, _ in pairs):
            rows = [row for row, pair in enumerate(pairs) if pair[0] == column]
            place = slice(rows[0], rows[-1] + 1)
            chosen = [pairs[row][1] for row in rows]
            for stack, path in paths[column].items():
                alphas, weights = (
                    path.baseline.new_tensor([values[point] for point in chosen])
                    for values in (nodes.alphas, nodes.weights)
                )
                points = path.baseline + alphas[:, None, None] * path.difference
                entry = (len(self.slots), place, points, path.difference)
                self._points.setdefault(path.call, []).append(entry)
                self.slots.append(Slot(column, stack, place, weights))
        self._leaves: dict[int, Tensor] = {}

    def __call__(self) -> AbstractContextManager[None]:
        """Make a context in which one run is led through the points."""
        leaves: dict[int, Tensor] = {}
        self._leaves = leaves

        def put(module: nn.Module, number: int, tensor: Tensor) -> Tensor | None:
            for slot, rows, points, difference in self._points.get(Call(module, number), []):
                # What came before the first point has no part in any gradient.
                others = tensor if leaves else tensor.detach()
                leaf = points[:, : tensor.shape[1]].detach().requires_grad_(not self._moving)
                leaves[slot] = leaf
                if self._moving:
                    way = difference[: leaf.shape[1]].expand_as(leaf)
                    leaf = forward_ad.make_dual(leaf, way)
                parts = [others[: rows.start], leaf.to(tensor), others[rows.stop :]]
                tensor = torch.cat(parts)
            return tensor

        modules = [call.module for call in self._points]
        return visiting(modules, self._at_input, put)

    @property
    def activations(self) -> list[Tensor]:
        """The points of the latest run, (point, position, feature), in the order of the slots."""
        return [self._leaves[slot] for slot in range(len(self.slots))]
