"""What a layer's attention mixes: one matrix of weights over positions, with the residual."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from inseq_widget.methods.keywords import check_choice, check_whole
from inseq_widget.models import TraceableModel
from inseq_widget.models.attention import AttentionCall
from inseq_widget.models.layers import layers_of
from inseq_widget.models.precision import at_least_single

HeadFusion = Literal["mean", "max", "min"]
_FUSIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda weights: weights.mean(1),
    "max": lambda weights: weights.amax(1),
    "min": lambda weights: weights.amin(1),
}
_NUMBERS_AT_ONCE = 2**25  # of attention weights with their heads: 128 MB in single precision


@dataclass(frozen=True)
class MixingKeywords:
    """Keywords of the methods that follow what layers mix.

    Parameters
    ----------
    head_fusion : {"mean", "max", "min"}, default "mean"
        How the weights of a layer's heads become one.
    start_layer : int, default 0
        The first layer that counts, in each stack; those below pass on what they get.
    add_residual : bool, default True
        Count half of what a position passes on as its own, for the residual connection.
    """

    head_fusion: HeadFusion = "mean"
    start_layer: int = 0
    add_residual: bool = True

    def __post_init__(self) -> None:
        check_choice("head_fusion", self.head_fusion, _FUSIONS)
        check_whole("start_layer", self.start_layer, 0)
        if not isinstance(self.add_residual, bool):
            raise TypeError(f"add_residual: {self.add_residual!r} given; pass True or False.")

    def check(self, model: TraceableModel) -> None:
        """Refuse a first layer that the model does not have.

        Parameters
        ----------
        model : TraceableModel

        Raises
        ------
        ValueError
        """
        if self.start_layer == 0:
            return
        shortest = min(len(layers) for layers in layers_of(model).values())
        if self.start_layer >= shortest:
            raise ValueError(
                f"start_layer: {self.start_layer} given, but the model has {shortest} layers; "
                f"pass 0 to {shortest - 1}."
            )


class LayerMixing(ABC):
    """Observes a model's attention as mixtures of positions, one layer after the other.

    Parameters
    ----------
    keywords : MixingKeywords
    """

    def __init__(self, keywords: MixingKeywords) -> None:
        self._keywords = keywords

    @abstractmethod
    def within(self, kind: Literal["encoder", "decoder"], mixed: Tensor) -> None:
        """Take the self-attention of the next layer.

        Parameters
        ----------
        kind : {"encoder", "decoder"}
        mixed : torch.Tensor, (batch, position, position)
            How much of each position's state below goes into each; rows sum to 1.
        """

    @abstractmethod
    def across(self, kept: Tensor, taken: Tensor) -> None:
        """Take the cross-attention of the next layer.

        Parameters
        ----------
        kept : torch.Tensor, (batch, target, 1)
            How much each decoder position keeps of its own state.
        taken : torch.Tensor, (batch, target, source)
            How much it takes of the encoder's output; with ``kept``, rows sum to 1.
        """

    def __call__(self, call: AttentionCall) -> Tensor | None:
        """Observe an attention call."""
        if 0 <= call.layer < self._keywords.start_layer:
            return None
        fused, output = _fused(call, _FUSIONS[self._keywords.head_fusion])
        residual = float(self._keywords.add_residual)
        total = fused.sum(-1, keepdim=True) + residual
        # The least of the heads can be zero at every position.
        total = torch.where(total == 0, torch.ones_like(total), total)
        if call.kind == "cross":
            self.across(residual / total, fused / total)
        else:
            own = torch.eye(fused.shape[-1], dtype=fused.dtype, device=fused.device)
            self.within(call.kind, (fused + residual * own) / total)
        return output


def _fused(call: AttentionCall, fusion: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor | None]:
    """Make one of the heads' weights, some query rows at a time where all would take much room.

    Gives also the attention's output where the weights of all rows were there to make it of.
    """
    asking = call.query if call.computed is None else call.computed
    assert asking is not None, "a call without weights has a query"
    n_batch, n_heads, n_queries, _ = asking.shape
    at_once = _NUMBERS_AT_ONCE // (n_batch * n_heads * call.value.shape[2])
    if call.computed is not None or at_once >= n_queries:
        weights = call.weights()
        return fusion(at_least_single(weights)), call.output(weights) if call.is_plain else None
    rows = torch.arange(n_queries, device=asking.device).expand(n_batch, -1)
    parts = rows.split(max(1, at_once), 1)
    return torch.cat([fusion(at_least_single(call.weights(part))) for part in parts], 1), None
