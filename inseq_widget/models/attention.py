"""The one interception point: every attention call of a model, seen at transformers' interface.

The implementation registered here computes attention by plain matrix products in the dtype of
its input, which differentiates in batches of backward rows, and hands the weights of the query
rows that somebody asked for to a :class:`AttentionRows`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel
from transformers.masking_utils import AttentionMaskInterface, eager_mask

IMPLEMENTATION = "inseq_widget"
# What the implementation understands by itself; a call with more goes to the model's own.
_UNDERSTOOD = {
    "is_causal",
    "output_attentions",
    "position_ids",
    "cache_position",
    "use_cache",
    "sliding_window",
    "num_items_in_batch",
    "output_hidden_states",
    "return_dict",
}


class AttentionRows:
    """Collects the attention weights of some query rows while a model runs.

    Parameters
    ----------
    rows : torch.Tensor, (batch, step)
        The query positions that are wanted, for the stack that generates.
    n_source : int or None
        Number of encoder positions, padding included; None for a decoder-only model.
    n_target : int
        Number of decoder positions, padding included. It must differ from ``n_source``: that is
        how cross-attention is told from self-attention without knowing the architecture.

    Attributes
    ----------
    own : list of torch.Tensor, each (batch, head, step, target)
        Self-attention of the generating stack, layer by layer.
    cross : list of torch.Tensor, each (batch, head, step, source)
        Cross-attention, layer by layer.
    """

    def __init__(self, rows: Tensor, n_source: int | None, n_target: int) -> None:
        self._rows = rows
        self._n_source = n_source
        self._n_target = n_target
        self.own: list[Tensor] = []
        self.cross: list[Tensor] = []

    def wants(self, n_queries: int, n_keys: int) -> bool:
        """Say whether a call with so many queries and keys belongs to the generating stack."""
        return n_queries == self._n_target and n_keys in (self._n_target, self._n_source)

    def are_many(self, n_queries: int) -> bool:
        """Say whether so many rows are wanted that computing all of them costs little more."""
        return 2 * self._rows.shape[1] >= n_queries

    def select(self, tensor: Tensor) -> Tensor:
        """Take the wanted rows of a tensor whose dimension 2 counts queries."""
        if tensor.shape[2] == 1:
            return tensor
        _, heads, _, width = tensor.shape
        index = self._rows[:, None, :, None].expand(-1, heads, -1, width)
        return tensor.expand(self._rows.shape[0], -1, -1, -1).gather(2, index)

    def add(self, weights: Tensor) -> None:
        """Keep the weights of one layer, (batch, head, step, key)."""
        (self.own if weights.shape[-1] == self._n_target else self.cross).append(weights)


_active: ContextVar[AttentionRows | None] = ContextVar("inseq_widget_attention_rows", default=None)


class _AttentionFunction(Protocol):
    def __call__(
        self,
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        *,
        scaling: float,
        dropout: float,
        **kwargs: object,
    ) -> tuple[Tensor, Tensor | None]: ...


def intercepted_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **kwargs: object,
) -> tuple[Tensor, Tensor | None]:
    """Attend, as transformers' attention interface asks it to be done.

    Parameters
    ----------
    module : torch.nn.Module
        The attention module that calls.
    query : torch.Tensor, (batch, head, query, feature)
    key, value : torch.Tensor, (batch, key-value head, key, feature)
    attention_mask : torch.Tensor or None, (batch or 1, head or 1, query, key)
        Added to the products of query and key.
    scaling : float, optional
        Factor of the products; one over the square root of the number of features by default.
    dropout : float
        Not applied: a traced model is in evaluation mode.

    Returns
    -------
    output : torch.Tensor, (batch, query, head, feature)
    weights : None
        Wanted rows go to the active :class:`AttentionRows` instead.
    """
    attend = _own_function(module, kwargs) or _plain_attention
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    rows = _active.get()
    if rows is not None and rows.wants(query.shape[2], key.shape[2]):
        if attend is _plain_attention and rows.are_many(query.shape[2]):
            # Where most rows are wanted anyway, one plain product gives them and the output.
            output, weights = _plain_attention(
                module, query, key, value, attention_mask, scaling=scaling, dropout=0.0
            )
            rows.add(rows.select(weights.detach()))
            return output, None
        mask = None if attention_mask is None else rows.select(attention_mask)
        _, wanted = attend(
            module, rows.select(query), key, value, mask, scaling=scaling, dropout=0.0, **kwargs
        )
        assert wanted is not None, "an attention function must give its weights"
        rows.add(wanted.detach())
    if rows is not None and attend is _plain_attention:
        # Without a backward pass to come, the fused kernel is faster and keeps no weights.
        fused = nn.functional.scaled_dot_product_attention(
            query, key, value, attention_mask, scale=scaling, enable_gqa=True
        )
        return fused.transpose(1, 2).contiguous(), None
    output, _ = attend(
        module, query, key, value, attention_mask, scaling=scaling, dropout=0.0, **kwargs
    )
    return output, None


def _plain_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float,
    dropout: float,
    **kwargs: object,
) -> tuple[Tensor, Tensor]:
    """Attend by matrix products; several query heads may share a key-value head."""
    batch, heads, n_queries, features = query.shape
    kv_heads = key.shape[1]
    # Query heads that share a key-value head are stacked as further queries of it: no copies.
    stacked = (query * scaling).reshape(batch, kv_heads, -1, features)
    products = torch.matmul(stacked, key.transpose(2, 3)).view(batch, heads, n_queries, -1)
    if attention_mask is not None:
        products = products + attention_mask
    # Half precision needs the wider exponent sums; single and double keep their own precision.
    wide = torch.float32 if query.dtype in (torch.float16, torch.bfloat16) else query.dtype
    weights = torch.softmax(products, dim=-1, dtype=wide).to(query.dtype)
    output = torch.matmul(weights.view(batch, kv_heads, -1, weights.shape[-1]), value)
    output = output.view(batch, heads, n_queries, -1)
    return output.transpose(1, 2).contiguous(), weights


def _own_function(module: nn.Module, kwargs: dict[str, object]) -> _AttentionFunction | None:
    """Find the model's own attention function where a call says more than is understood here.

    Soft-capped scores, attention sinks and relative position biases arrive as extra keywords;
    every modelling file of transformers defines what they mean in ``eager_attention_forward``.
    """
    extra = {name for name, value in kwargs.items() if value is not None} - _UNDERSTOOD
    if not extra:
        return None
    own = getattr(sys.modules[type(module).__module__], "eager_attention_forward", None)
    if own is None:
        raise NotImplementedError(
            f"{type(module).__name__} passes {', '.join(sorted(extra))} to its attention, "
            "and its module defines no eager_attention_forward that says what they mean."
        )
    function: _AttentionFunction = own
    return function


AttentionInterface.register(IMPLEMENTATION, intercepted_attention)
AttentionMaskInterface.register(IMPLEMENTATION, eager_mask)


def can_intercept(model: PreTrainedModel) -> bool:
    """Say whether the model's attention goes through transformers' attention interface."""
    return bool(model._can_set_attn_implementation())


@contextmanager
def collecting(rows: AttentionRows | None) -> Iterator[None]:
    """Hand the attention weights of the model run inside the block to ``rows``."""
    token = _active.set(rows)
    try:
        yield
    finally:
        _active.reset(token)
