"""The one interception point: every attention call of a model can be observed and replaced.

Models call attention through transformers' attention interface, where the implementation that is
registered here computes it by plain matrix products in the dtype of its input, which
differentiate in batches of backward rows. Architectures that attend on their own are followed by
:mod:`inseq_widget.models.attention_fallback`. Either way, an observer sees the same calls.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from transformers import AttentionInterface, PreTrainedModel
from transformers.masking_utils import AttentionMaskInterface, eager_mask

from inseq_widget.models.attention_call import (
    AttentionCall,
    AttentionFunction,
    Observation,
    Observer,
    plain_weights,
    weighted_values,
)
from inseq_widget.models.attention_fallback import following
from inseq_widget.models.state import configurations_of, left_untouched

__all__ = ["IMPLEMENTATION", "AttentionCall", "Observer", "can_intercept", "observing"]

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
    "output_router_logits",
    "return_dict",
}
# Weights that take more than this are not kept for a backward pass. On a processor the fused
# kernel goes back faster than through weights from so many keys on.
_FUSED_BYTES = 2**28
_FUSED_KEYS = {"cpu": 256}
# Queries that go together where those before them see no later key. Smaller blocks save less than
# they cost; on a graphics card all do.
_BLOCK = {"cpu": 256}
_active: ContextVar[Observation | None] = ContextVar("inseq_widget_observation", default=None)


@contextmanager
def observing(
    model: PreTrainedModel,
    observer: Observer,
    n_source: int | None,
    n_target: int,
    n_batch: int = 1,
) -> Iterator[Observation]:
    """Show every attention call of the model, or of one of its layers, to an observer.

    Parameters
    ----------
    model : PreTrainedModel
    observer : callable
    n_source : int or None
        Number of encoder positions; None for a decoder-only model.
    n_target : int
        Number of decoder positions, which must differ from ``n_source``.
    n_batch : int, default 1
        Number of texts that run together.

    Yields
    ------
    Observation
    """
    observation = Observation(observer, n_source, n_target, n_batch)
    with ExitStack() as stack:
        stack.enter_context(left_untouched(model))
        stack.enter_context(observation.counting(model))
        if can_intercept(model):
            model.set_attn_implementation(IMPLEMENTATION)
            stack.callback(_active.reset, _active.set(observation))
        else:
            # Other implementations report weights that they did not mask, or have none.
            for config in configurations_of(model):
                config._attn_implementation_internal = "eager"
            stack.enter_context(following(model, observation))
        yield observation


def can_intercept(model: PreTrainedModel) -> bool:
    """Say whether the model's attention goes through transformers' attention interface."""
    return bool(model._can_set_attn_implementation())


def intercepted_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **kwargs: object,
) -> tuple[Tensor, None]:
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
        An observer gets them instead.
    """
    function = _own_function(module, kwargs)
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    observation = _active.get()
    if observation is not None:
        kind = observation.kind(query.shape[2], key.shape[2])
        if kind is not None:
            call = AttentionCall(
                module,
                observation.layer,
                kind,
                value,
                query,
                key,
                attention_mask,
                scaling,
                function,
                kwargs,
            )
            instead = observation.see(call)
            if instead is not None:
                return instead.contiguous(), None
        if function is None and not _differentiated(query):
            # Without a backward pass to come, the fused kernel is faster and keeps no weights.
            return _fused(query, key, value, attention_mask, scaling), None
    if function is None:
        if _is_long(query, key) and not _has_direction(query):
            return _fused(query, key, value, attention_mask, scaling), None
        return weighted_values(plain_weights(query, key, attention_mask, scaling), value), None
    output, _ = function(
        module, query, key, value, attention_mask, scaling=scaling, dropout=0.0, **kwargs
    )
    return output, None


def _fused(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float
) -> Tensor:
    """Attend without keeping the weights, (batch, query, head, feature).

    The fused kernel computes what the mask then hides; a block of queries is given only the keys
    that come before its end, where the mask hides all others from it.
    """
    n_queries, n_keys = query.shape[2], key.shape[2]
    block = _BLOCK.get(query.device.type, n_queries)
    if mask is None or not n_queries == n_keys == mask.shape[-2] == mask.shape[-1]:
        block = n_queries
    outputs = []
    for first in range(0, n_queries, block):
        last = min(first + block, n_queries)
        stop, own = n_keys, mask
        if mask is not None and block < n_queries:
            stop = last if _hides_all(mask[..., first:last, last:]) else n_keys
            own = mask[..., first:last, :stop]
        output = nn.functional.scaled_dot_product_attention(
            query[:, :, first:last],
            key[:, :, :stop],
            value[:, :, :stop],
            own,
            scale=scaling,
            enable_gqa=True,
        )
        outputs.append(output.transpose(1, 2))
    return torch.cat(outputs, dim=1).contiguous()


def _hides_all(mask: Tensor) -> bool:
    """Say whether a mask, (..., query, key), lets none of its queries see any of its keys."""
    if not mask.is_floating_point():
        return False
    return bool((mask <= torch.finfo(mask.dtype).min).all())


def _is_long(query: Tensor, key: Tensor) -> bool:
    """Say whether the weights are too many to be kept for a backward pass."""
    n_keys = key.shape[2]
    if n_keys >= _FUSED_KEYS.get(query.device.type, n_keys + 1):
        return True
    return _n_bytes(query, key) > _FUSED_BYTES


def _n_bytes(query: Tensor, key: Tensor) -> int:
    """Give the memory that the weights would take."""
    return query[..., 0].numel() * key.shape[2] * query.element_size()


def _differentiated(tensor: Tensor) -> bool:
    return tensor.requires_grad or _has_direction(tensor)


def _has_direction(tensor: Tensor) -> bool:
    return forward_ad.unpack_dual(tensor).tangent is not None


def _own_function(module: nn.Module, kwargs: dict[str, object]) -> AttentionFunction | None:
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
    function: AttentionFunction = own
    return function


AttentionInterface.register(IMPLEMENTATION, intercepted_attention)
AttentionMaskInterface.register(IMPLEMENTATION, eager_mask)
