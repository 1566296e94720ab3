"""Collects the attention weights of the steps while a model runs."""

from __future__ import annotations

import torch
from torch import Tensor

from inseq_widget.models.attention_call import AttentionCall, rows_of_queries


class AttentionRows:
    """Keeps the attention weights of some query rows, layer by layer.

    Parameters
    ----------
    rows : torch.Tensor, (batch, step)
        The query positions that are wanted, of the stack that generates.

    Attributes
    ----------
    own : list of torch.Tensor, each (batch, head, step, target)
        Self-attention of the generating stack, layer by layer.
    cross : list of torch.Tensor, each (batch, head, step, source)
        Cross-attention, layer by layer.
    numbers : dict of str to list of int
        The layer that each of them is, by the kind of attention; -1 where it is not known.
    """

    def __init__(self, rows: Tensor) -> None:
        self._rows = rows
        self.own: list[Tensor] = []
        self.cross: list[Tensor] = []
        self.numbers: dict[str, list[int]] = {"decoder": [], "cross": []}

    def __call__(self, call: AttentionCall) -> Tensor | None:
        """Keep the wanted rows of a call."""
        if call.kind == "encoder":
            return None
        if call.is_plain and call.query is not None and self._are_many(call.query.shape[2]):
            # Where most rows are wanted anyway, one plain product gives them and the output.
            weights = call.weights()
            self._add(call, rows_of_queries(weights, self._rows))
            return call.output(weights)
        self._add(call, call.weights(self._rows))
        return None

    def _are_many(self, n_queries: int) -> bool:
        """Say whether so many rows are wanted that computing all of them costs little more."""
        return 2 * self._rows.shape[1] >= n_queries

    def _add(self, call: AttentionCall, weights: Tensor) -> None:
        """Keep rows; those of a layer that attends twice stand side by side, as more heads."""
        kept = self.own if call.kind == "decoder" else self.cross
        weights = weights.detach()
        numbers = self.numbers[call.kind]
        if call.layer >= 0 and numbers[-1:] == [call.layer]:
            kept[-1] = torch.cat([kept[-1], weights], 1)
        else:
            kept.append(weights)
            numbers.append(call.layer)
