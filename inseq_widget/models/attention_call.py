"""One attention of a running model, as an observer sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from inseq_widget.models.structure import lists_of_layers

Kind = Literal["encoder", "decoder", "cross"]


class AttentionFunction(Protocol):
    """Attention as modelling files of transformers define it."""

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
    ) -> tuple[Tensor, Tensor | None]:
        """Give the output, (batch, query, head, feature), and the weights."""


@dataclass(frozen=True)
class AttentionCall:
    """One attention of a running model.

    Attributes
    ----------
    module : torch.nn.Module
        The module that attends.
    layer : int
        Place of the layer among those of its stack, in the order in which they run; -1 where
        the model does not hold its layers in a list.
    kind : {"encoder", "decoder", "cross"}
        Whether the encoder or the decoder attends to itself, or the decoder to the encoder. A
        decoder-only model is all decoder.
    value : torch.Tensor, (batch, key-value head, key, feature)
        As the model gives it; see :attr:`values`.
    query : torch.Tensor or None, (batch, head, query, feature)
    key : torch.Tensor or None, (batch, key-value head, key, feature)
    mask : torch.Tensor or None, (batch or 1, head or 1, query, key)
        Added to the products of query and key.
    scaling : float or None
        Factor of the products. Like query, key and mask, not known for an architecture that
        attends on its own.
    function : callable or None
        The model's own attention function, where the call says more than plain attention does.
    extra : dict
        What it says more.
    computed : torch.Tensor or None, (batch, head, query, key)
        The weights, where the model has them already.
    """

    module: nn.Module
    layer: int
    kind: Kind
    value: Tensor
    query: Tensor | None = None
    key: Tensor | None = None
    mask: Tensor | None = None
    scaling: float | None = None
    function: AttentionFunction | None = None
    extra: dict[str, object] = field(default_factory=dict)
    computed: Tensor | None = None

    @property
    def is_plain(self) -> bool:
        """Whether all weights cost one product of query and key."""
        return self.computed is None and self.function is None

    @property
    def n_heads(self) -> int:
        """Number of query heads."""
        asking = self.query if self.computed is None else self.computed
        assert asking is not None, "a call without weights has a query"
        return asking.shape[1]

    @property
    def values(self) -> Tensor:
        """The value of every query head, (batch, head, key, feature)."""
        batch, kv_heads, n_keys, features = self.value.shape
        if kv_heads == self.n_heads:
            return self.value
        shared = self.value[:, :, None].expand(-1, -1, self.n_heads // kv_heads, -1, -1)
        return shared.reshape(batch, self.n_heads, n_keys, features)

    def weights(self, rows: Tensor | None = None) -> Tensor:
        """Give the attention weights.

        Parameters
        ----------
        rows : torch.Tensor of int, optional, (batch, row)
            The query positions that are wanted; only they are computed. All by default.

        Returns
        -------
        torch.Tensor, (batch, head, query or row, key)
        """
        if self.computed is not None:
            return self.computed if rows is None else rows_of_queries(self.computed, rows)
        if rows is not None:
            assert self.query is not None, "a call without weights has a query"
            return self.asked_by(rows_of_queries(self.query, rows), rows).weights()
        assert self.query is not None, "a call without weights has a query"
        assert self.key is not None
        assert self.scaling is not None
        if self.function is None:
            return plain_weights(self.query, self.key, self.mask, self.scaling)
        _, weights = self.function(
            self.module,
            self.query,
            self.key,
            self.value,
            self.mask,
            scaling=self.scaling,
            dropout=0.0,
            **self.extra,
        )
        assert weights is not None, "an attention function must give its weights"
        return weights

    def asked_by(self, query: Tensor, rows: Tensor) -> AttentionCall:
        """Make the same call for other queries, each at the place of one that was there.

        Parameters
        ----------
        query : torch.Tensor, (batch, head, row, feature)
        rows : torch.Tensor of int, (batch, row)
            The query positions whose mask and biases hold for each.

        Returns
        -------
        AttentionCall
        """
        assert self.query is not None, "a call without weights has a query"
        n_queries = self.query.shape[2]
        extra = {
            name: rows_of_queries(value, rows)
            if isinstance(value, Tensor) and value.dim() == 4 and value.shape[2] == n_queries
            else value
            for name, value in self.extra.items()
        }
        mask = None if self.mask is None else rows_of_queries(self.mask, rows)
        return replace(self, query=query, mask=mask, extra=extra)

    def output(self, weights: Tensor) -> Tensor:
        """Give what weights, (batch, head, query, key), make of the values.

        Returns
        -------
        torch.Tensor, (batch, query, head, feature)
        """
        return weighted_values(weights, self.value)


class Observer(Protocol):
    """What sees the attention calls of a model while it runs."""

    def __call__(self, call: AttentionCall) -> Tensor | None:
        """Look at a call.

        Parameters
        ----------
        call : AttentionCall

        Returns
        -------
        torch.Tensor or None, (batch, query, head, feature)
            The output to use instead; None leaves it to the model.
        """


class Observation:
    """One observer at work on one model.

    Parameters
    ----------
    observer : callable
    n_source : int or None
        Number of encoder positions; None for a decoder-only model.
    n_target : int
        Number of decoder positions. It must differ from ``n_source``: that is how
        cross-attention is told from self-attention without knowing the architecture.
    n_batch : int
        Number of texts that run together.

    Attributes
    ----------
    n_calls : int
        How many calls of the stack that generates were seen.
    """

    def __init__(
        self, observer: Observer, n_source: int | None, n_target: int, n_batch: int
    ) -> None:
        self._observer = observer
        self._n_source = n_source
        self._n_target = n_target
        self.n_batch = n_batch
        self.n_calls = 0
        self.layer = -1

    def kind(self, n_queries: int, n_keys: int) -> Kind | None:
        """Tell by the numbers of queries and keys what attends to what."""
        if n_keys == n_queries == self._n_target:
            return "decoder"
        if n_keys == self._n_source:
            if n_queries == self._n_target:
                return "cross"
            if n_queries == self._n_source:
                return "encoder"
        return None

    def see(self, call: AttentionCall) -> Tensor | None:
        """Show a call to the observer."""
        self.n_calls += call.kind != "encoder"
        return self._observer(call)

    @contextmanager
    def counting(self, model: PreTrainedModel) -> Iterator[None]:
        """Know which layer runs inside the block."""
        with ExitStack() as hooks:
            for layers in lists_of_layers(model):
                entered: list[nn.Module] = []
                for layer in layers:
                    enter, leave = self._enter(entered), self._leave
                    hooks.callback(layer.register_forward_pre_hook(enter).remove)
                    hooks.callback(layer.register_forward_hook(leave, always_call=True).remove)
            yield

    def _enter(self, entered: list[nn.Module]) -> Callable[[nn.Module, object], None]:
        def enter(layer: nn.Module, _: object) -> None:
            self.layer = len(entered)
            entered.append(layer)

        return enter

    def _leave(self, layer: nn.Module, _: object, output: object) -> None:
        self.layer = -1


def plain_weights(query: Tensor, key: Tensor, mask: Tensor | None, scaling: float) -> Tensor:
    """Compute attention weights; several query heads may share a key-value head.

    Parameters
    ----------
    query : torch.Tensor, (batch, head, query, feature)
    key : torch.Tensor, (batch, key-value head, key, feature)
    mask : torch.Tensor or None, (batch or 1, head or 1, query, key)
    scaling : float

    Returns
    -------
    torch.Tensor, (batch, head, query, key)
    """
    batch, heads, n_queries, features = query.shape
    # Query heads that share a key-value head are stacked as further queries of it: no copies.
    stacked = (query * scaling).reshape(batch, key.shape[1], -1, features)
    products = torch.matmul(stacked, key.transpose(2, 3)).view(batch, heads, n_queries, -1)
    if mask is not None:
        products = products + mask
    # Half precision needs the wider exponent sums; single and double keep their own precision.
    wide = torch.float32 if query.dtype in (torch.float16, torch.bfloat16) else query.dtype
    return torch.softmax(products, dim=-1, dtype=wide).to(query.dtype)


def weighted_values(weights: Tensor, value: Tensor) -> Tensor:
    """Sum values by their weights.

    Parameters
    ----------
    weights : torch.Tensor, (batch, head, query, key)
    value : torch.Tensor, (batch, key-value head, key, feature)

    Returns
    -------
    torch.Tensor, (batch, query, head, feature)
    """
    batch, heads, n_queries, n_keys = weights.shape
    output = torch.matmul(weights.reshape(batch, value.shape[1], -1, n_keys), value)
    return output.view(batch, heads, n_queries, -1).transpose(1, 2).contiguous()


def rows_of_queries(tensor: Tensor, rows: Tensor) -> Tensor:
    """Take rows, (batch, row), of a tensor whose dimension 2 counts queries."""
    if tensor.shape[2] == 1:
        return tensor
    _, heads, _, width = tensor.shape
    index = rows.to(tensor.device)[:, None, :, None].expand(-1, heads, -1, width)
    return tensor.expand(rows.shape[0], -1, -1, -1).gather(2, index)
