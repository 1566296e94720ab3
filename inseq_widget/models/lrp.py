"""The rules of AttnLRP, applied to whatever a model computes while a context is open.

A rule keeps the value of an operation and replaces its derivative, so that gradient times input
is relevance. The operations are met at torch's function interface: no table of architectures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from inseq_widget.models.elementwise import Kind, kind_of_module, may_be_elementwise

Function = Callable[..., object]

# Names as torch gives them to its functions, methods and operators, underscores stripped.
_PRODUCTS = {"mul", "multiply", "rmul", "matmul", "rmatmul", "bmm", "mm", "mv", "dot", "einsum"}
# They vanish at zero, so that their value is their input times a bounded factor.
_NON_LINEARITIES = {
    *("relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish", "hardswish"),
    *("tanh", "hardtanh", "softsign", "tanhshrink", "softshrink", "hardshrink", "erf"),
    *("clamp", "clip", "clamp_min", "clamp_max", "square"),
}
# They do not: no factor of their input gives their value there.
_GATES = {"sigmoid", "hardsigmoid", "softplus"}
_DENOMINATORS = {"sqrt", "rsqrt", "reciprocal", "var", "std", "norm", "linalg_vector_norm"}
_QUOTIENTS = {"div", "divide", "true_divide", "rdiv"}


@contextmanager
def lrp_rules(model: nn.Module) -> Iterator[None]:
    """Give everything that runs inside the block the derivatives of AttnLRP.

    - Normalisation: a denominator, such as a standard deviation, is a constant.
    - An element-wise non-linearity ``f`` with ``f(0) = 0`` is ``x · (f(x) / x)`` with a constant
      factor: all relevance of its output is its input's. A module without weights that works
      element by element is one non-linearity, however it is written.
    - One with ``f(0) ≠ 0`` (sigmoid, softplus) has no such factor and is a constant, so that a
      gate hands all relevance to what it gates.
    - Of a product of tensors that all depend on the inputs, each gets an equal share.
    - Softmax, linear maps, sums and all else keep their derivative.

    Values stay what the model computes without the rules, up to the rounding of a fused attention
    kernel, which is taken apart.

    Parameters
    ----------
    model : torch.nn.Module
        Its parameters must not require gradients.
    """
    kinds: dict[nn.Module, Kind] = {}
    with ExitStack() as stack:
        for module in model.modules():
            if may_be_elementwise(module):
                hook = module.register_forward_hook(partial(_after_module, kinds))
                stack.callback(hook.remove)
        stack.enter_context(_Rules())
        yield


class _Rules(TorchFunctionMode):
    """Replaces the derivative of every function that has a rule."""

    def __torch_function__(
        self,
        func: Function,
        types: Iterable[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if not torch.is_grad_enabled() or not _n_dependent((*args, *kwargs.values())):
            return func(*args, **kwargs)
        rule = _rule_of(name.strip("_"))
        if rule is None:
            return func(*args, **kwargs)
        if name.endswith("_") and not name.endswith("__"):
            # In place: the rule works on a copy, which is then written over the original.
            target = args[0]
            assert isinstance(target, Tensor)
            result = rule(func, (target.clone(), *args[1:]), kwargs)
            return target.copy_(result)
        kwargs.pop("inplace", None)
        return rule(func, args, kwargs)


Rule = Callable[[Function, tuple[object, ...], dict[str, object]], Tensor]


def _rule_of(name: str) -> Rule | None:
    """Find the rule of a function by its name."""
    if name in _SPECIAL:
        return _SPECIAL[name]
    if name in _PRODUCTS:
        return _product
    if name in _NON_LINEARITIES:
        return _non_linearity
    if name in _GATES or name in _DENOMINATORS:
        return _constant
    if name in _QUOTIENTS:
        return _quotient
    return None


def _product(func: Function, args: tuple[object, ...], kwargs: dict[str, object]) -> Tensor:
    """Give every factor that depends on the inputs an equal share."""
    n_factors = _n_dependent((*args, *kwargs.values()))
    return _shared(_tensor(func(*args, **kwargs)), n_factors)


def _non_linearity(func: Function, args: tuple[object, ...], kwargs: dict[str, object]) -> Tensor:
    x = _tensor(args[0] if args else kwargs["input"])
    return _scaled_input(x, _tensor(func(*args, **kwargs)).detach())


def _constant(func: Function, args: tuple[object, ...], kwargs: dict[str, object]) -> Tensor:
    return _tensor(func(*args, **kwargs)).detach()


def _quotient(func: Function, args: tuple[object, ...], kwargs: dict[str, object]) -> Tensor:
    """Take the denominator as a constant."""
    if "other" in kwargs:
        args = (*args, kwargs.pop("other"))
    if getattr(func, "__name__", "").strip("_") == "rdiv":  # a number divided by the tensor
        return _constant(func, args, kwargs)
    denominator = args[1].detach() if isinstance(args[1], Tensor) else args[1]
    return _tensor(func(args[0], denominator, *args[2:], **kwargs))


def _power(func: Function, args: tuple[object, ...], kwargs: dict[str, object]) -> Tensor:
    exponent = kwargs["exponent"] if "exponent" in kwargs else args[1]
    if not isinstance(exponent, int | float):
        return _tensor(func(*args, **kwargs))
    return (_non_linearity if exponent > 0 else _constant)(func, args, kwargs)


def _added_product(func: Function, args: tuple[object, ...], kwargs: dict[str, object]) -> Tensor:
    """Do ``baddbmm`` as a product and a sum."""

    def apart(
        input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1
    ) -> Tensor:
        product = torch.bmm(batch1, batch2) * alpha
        product = _shared(product, _n_dependent((batch1, batch2)))
        return product if beta == 0 else input * beta + product

    return _called(apart, args, kwargs)


def _layer_norm(func: Function, args: tuple[object, ...], kwargs: dict[str, object]) -> Tensor:
    def linear(
        input: Tensor,
        normalized_shape: tuple[int, ...],
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        eps: float = 1e-5,
    ) -> Tensor:
        dims = tuple(range(-len(normalized_shape), 0))
        centred = input - input.mean(dims, keepdim=True)
        scale = (centred.detach().square().mean(dims, keepdim=True) + eps).rsqrt()
        return centred * scale if weight is None else centred * scale * weight

    return _carried(_called(func, args, kwargs), _called(linear, args, kwargs))


def _rms_norm(func: Function, args: tuple[object, ...], kwargs: dict[str, object]) -> Tensor:
    def linear(
        input: Tensor,
        normalized_shape: tuple[int, ...],
        weight: Tensor | None = None,
        eps: float | None = None,
    ) -> Tensor:
        dims = tuple(range(-len(normalized_shape), 0))
        eps = torch.finfo(input.dtype).eps if eps is None else eps
        scale = (input.detach().square().mean(dims, keepdim=True) + eps).rsqrt()
        return input * scale if weight is None else input * scale * weight

    return _carried(_called(func, args, kwargs), _called(linear, args, kwargs))


def _normalize(func: Function, args: tuple[object, ...], kwargs: dict[str, object]) -> Tensor:
    x = _tensor(args[0] if args else kwargs["input"])
    return _scaled_input(x, _called(func, args, kwargs).detach())


def _gated_linear_unit(
    func: Function, args: tuple[object, ...], kwargs: dict[str, object]
) -> Tensor:
    def apart(input: Tensor, dim: int = -1) -> Tensor:
        gated, gate = input.chunk(2, dim)
        return gated * gate.detach().sigmoid()

    return _called(apart, args, kwargs)


def _fused_attention(func: Function, args: tuple[object, ...], kwargs: dict[str, object]) -> Tensor:
    """Do the attention of one fused kernel in its steps, each of which has its rule."""

    def apart(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        if enable_gqa:
            key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
            value = value.repeat_interleave(query.shape[-3] // value.shape[-3], -3)
        scale = query.shape[-1] ** -0.5 if scale is None else scale
        factors = (query * scale, key.transpose(-2, -1))
        scores = _shared(torch.matmul(*factors), _n_dependent(factors))
        if is_causal:
            visible = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
            scores = scores.masked_fill(~visible, -torch.inf)
        if attn_mask is not None and attn_mask.dtype == torch.bool:
            scores = scores.masked_fill(~attn_mask, -torch.inf)
        elif attn_mask is not None:
            scores = scores + attn_mask
        factors = (scores.softmax(-1), value)
        return _shared(torch.matmul(*factors), _n_dependent(factors))

    return _called(apart, args, kwargs)


_SPECIAL: dict[str, Rule] = {
    "pow": _power,
    "baddbmm": _added_product,
    "layer_norm": _layer_norm,
    "rms_norm": _rms_norm,
    "normalize": _normalize,
    "glu": _gated_linear_unit,
    "scaled_dot_product_attention": _fused_attention,
}


def _after_module(
    kinds: dict[nn.Module, Kind], module: nn.Module, args: tuple[object, ...], output: object
) -> Tensor | None:
    """Take what a module without weights does element by element as one non-linearity."""
    if len(args) != 1 or not isinstance(args[0], Tensor) or not isinstance(output, Tensor):
        return None
    x = args[0]
    if not (x.requires_grad and output.requires_grad) or x.shape != output.shape or output is x:
        return None
    if module not in kinds:
        kinds[module] = kind_of_module(module, x)
    if kinds[module] == "other":
        return None
    return output.detach() if kinds[module] == "gate" else _scaled_input(x, output.detach())


def _shared(product: Tensor, n_factors: int) -> Tensor:
    """Leave a product as it is, and divide the gradient that reaches its factors."""
    if n_factors > 1:
        product.register_hook(partial(torch.mul, other=1 / n_factors))
    return product


def _scaled_input(x: Tensor, value: Tensor) -> Tensor:
    """Give ``value`` the derivative of ``x`` times the constant ``value / x``."""
    factor = torch.where(x == 0, torch.zeros_like(x), value / x).detach()
    return _carried(value, x * factor)


def _carried(value: Tensor, linear: Tensor) -> Tensor:
    """Give ``value``, to the last bit, the derivative of ``linear``."""
    return value.detach() + (linear - linear.detach()).to(value.dtype)


def _n_dependent(values: Iterable[object]) -> int:
    """Count the tensors that depend on the inputs."""
    count = 0
    for value in values:
        if isinstance(value, Tensor):
            count += value.requires_grad
        elif isinstance(value, list | tuple):
            count += _n_dependent(value)
    return count


def _called(func: Function, args: tuple[object, ...], kwargs: Mapping[str, object]) -> Tensor:
    return _tensor(func(*args, **kwargs))


def _tensor(value: object) -> Tensor:
    assert isinstance(value, Tensor)
    return value
