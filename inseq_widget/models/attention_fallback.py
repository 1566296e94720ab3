"""Follows attention in architectures that compute it themselves: a softmax, then a product."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from transformers import PreTrainedModel

from inseq_widget.models.attention_call import AttentionCall, Observation

Function = Callable[..., object]

_SOFTMAX: set[Function] = {
    torch.softmax,
    torch.special.softmax,
    nn.functional.softmax,
    Tensor.softmax,
}
_PRODUCTS: set[Function] = {
    torch.matmul,
    torch.bmm,
    Tensor.matmul,
    Tensor.bmm,
    Tensor.__matmul__,
    torch.einsum,
}


@contextmanager
def following(model: PreTrainedModel, observation: Observation) -> Iterator[None]:
    """Show the attention that the model computes inside the block to an observer.

    Parameters
    ----------
    model : PreTrainedModel
    observation : Observation
    """
    running: list[nn.Module] = []

    def enter(module: nn.Module, _: object) -> None:
        running.append(module)

    def leave(module: nn.Module, _: object, output: object) -> None:
        if running and running[-1] is module:
            running.pop()

    with ExitStack() as stack:
        for module in model.modules():
            stack.callback(module.register_forward_pre_hook(enter).remove)
            stack.callback(module.register_forward_hook(leave, always_call=True).remove)
        stack.enter_context(_Follower(observation, running))
        yield


class _Follower(TorchFunctionMode):
    """Sees every torch function, and knows which tensors are attention weights.

    Weights are what a softmax gives, over as many keys for as many queries as a stack has, and
    what becomes of them without a change of number and last dimensions: dropout, another dtype,
    heads merged into the batch. The first product of them is the attention's output.
    """

    def __init__(self, observation: Observation, running: Sequence[nn.Module]) -> None:
        super().__init__()
        self._observation = observation
        self._running = running
        self._weights: list[Tensor] = []

    def __torch_function__(
        self,
        func: Function,
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        keywords = dict(kwargs or {})
        output = func(*args, **keywords)
        if not isinstance(output, Tensor):
            return output
        if func in _SOFTMAX:
            if output.dim() > 2 and self._observation.kind(*output.shape[-2:]) is not None:
                self._weights = [output]
            return output
        if not self._weights:
            return output
        given = _tensors(args)
        if not given or not any(given[0] is weights for weights in self._weights):
            return output
        weights = given[0]
        if func in _PRODUCTS:
            if len(given) == 2 and _is_matrix_product(args[0]):
                self._weights = []
                return self._product(weights, given[1], output)
        elif output.numel() == weights.numel() and output.shape[-2:] == weights.shape[-2:]:
            self._weights.append(output)
        return output

    def _product(self, weights: Tensor, value: Tensor, output: Tensor) -> Tensor:
        """Show a product of weights and values; give what the observer wants in its place."""
        n_queries, n_keys = weights.shape[-2:]
        kind = self._observation.kind(n_queries, n_keys)
        assert kind is not None, "weights have as many queries and keys as a stack has"
        call = AttentionCall(
            self._running[-1],
            self._observation.layer,
            kind,
            value.reshape(self._observation.n_batch, -1, n_keys, value.shape[-1]),
            computed=weights.reshape(self._observation.n_batch, -1, n_queries, n_keys),
        )
        instead = self._observation.see(call)
        if instead is None:
            return output
        return instead.transpose(1, 2).reshape(output.shape).to(output.dtype)


def _tensors(args: Sequence[object]) -> list[Tensor]:
    """List the tensors among arguments, and in sequences of them."""
    found: list[Tensor] = []
    for value in args:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += [each for each in value if isinstance(each, Tensor)]
    return found


def _is_matrix_product(first: object) -> bool:
    """Say whether an Einstein sum's equation, if this is one, is that of a matrix product."""
    if not isinstance(first, str):
        return True
    operands, _, result = first.replace(" ", "").partition("->")
    left, _, right = operands.partition(",")
    shared = left[:-2]
    return (
        len(left) == len(right) == len(result) > 2
        and right == shared + left[-1] + right[-1]
        and result == shared + left[-2] + right[-1]
    )
