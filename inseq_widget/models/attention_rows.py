"""Collects the attention weights of the steps while a model runs."""

from __future__ import annotations

import torch
from torch import Tensor

from inseq_widget.models.attention_call import AttentionCall, rows_of_queries

# Attention of whole stacks to themselves is kept for as many bytes in a batch.
WHOLE_BYTES = 512_000_000


class AttentionRows:
    """Keeps the attention weights of some query rows, layer by layer.

    Parameters
    ----------
    rows : torch.Tensor, (batch, step)
        The query positions that are wanted, of the stack that generates.
    whole : bool, default False
        Keep also all rows of the self-attention of encoder and decoder.

    Attributes
    ----------
    own : list of torch.Tensor, each (batch, head, step, target)
        Self-attention of the generating stack, layer by layer.
    cross : list of torch.Tensor, each (batch, head, step, source)
        Cross-attention, layer by layer.
    whole : dict of str to list of torch.Tensor, each (batch, head, query, key), or None
        All rows of the self-attention, by the kind of attention; empty where it was not wanted,
        None where it takes too much memory.
    numbers : dict of str to list of int
        The layer that each of them is, by the kind of attention; -1 where it is not known.
    """

    def __init__(self, rows: Tensor, *, whole: bool = False) -> None:
        self._rows = rows
        self.own: list[Tensor] = []
        self.cross: list[Tensor] = []
        self.whole: dict[str, list[Tensor]] | None = {"encoder": [], "decoder": []} if whole else {}
        self._whole_bytes = 0
        self.numbers: dict[str, list[int]] = {"encoder": [], "decoder": [], "cross": []}

    def __call__(self, call: AttentionCall) -> Tensor | None:
        """Keep the wanted rows of a call."""
        wants_whole = bool(self.whole) and call.kind != "cross"
        if call.kind == "encoder" and not wants_whole:
            return None
        many = call.is_plain and call.query is not None and self._are_many(call.query.shape[2])
        if wants_whole or many:
            # Where most rows are wanted anyway, one plain product gives them and the output.
            weights = call.weights()
            if wants_whole:
                self._add_whole(call, weights)
            if call.kind != "encoder":
                self._add(call, rows_of_queries(weights, self._rows))
            return call.output(weights) if call.is_plain else None
        self._add(call, call.weights(self._rows))
        return None

    def _are_many(self, n_queries: int) -> bool:
        """Say whether so many rows are wanted that computing all of them costs little more."""
        return 2 * self._rows.shape[1] >= n_queries

    def _add(self, call: AttentionCall, weights: Tensor) -> None:
        """Keep rows, and the number of their layer."""
        kept = self.own if call.kind == "decoder" else self.cross
        if _joined(kept, weights.detach(), self._again(call)):
            self.numbers[call.kind].append(call.layer)

    def _add_whole(self, call: AttentionCall, weights: Tensor) -> None:
        """Keep all rows of a call, as long as there is memory for them."""
        assert self.whole is not None, "they are wanted"
        self._whole_bytes += weights.numel() * weights.element_size()
        if self._whole_bytes > WHOLE_BYTES:
            self.whole = None
            return
        again = self._again(call)
        if _joined(self.whole[call.kind], weights.detach().cpu(), again) and call.kind == "encoder":
            self.numbers["encoder"].append(call.layer)

    def _again(self, call: AttentionCall) -> bool:
        """Say whether a layer attends for the second time."""
        return call.layer >= 0 and self.numbers[call.kind][-1:] == [call.layer]


def _joined(kept: list[Tensor], weights: Tensor, again: bool) -> bool:
    """Keep rows; those of a layer that attends twice stand side by side, as more heads."""
    if again:
        kept[-1] = torch.cat([kept[-1], weights], 1)
    else:
        kept.append(weights)
    return not again
