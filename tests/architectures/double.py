"""Makes models compute in double precision throughout, so that equal means equal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


class _NeverNarrow(TorchFunctionMode):
    """Leaves double precision as it is where a model's code asks for single."""

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        keywords = dict(kwargs or {})
        if args and isinstance(args[0], Tensor) and args[0].dtype == torch.float64:
            if func is Tensor.float:
                return args[0]
            if any(value is torch.float32 for value in args[1:]):
                args = [torch.float64 if value is torch.float32 else value for value in args]
            if keywords.get("dtype") is torch.float32:
                keywords["dtype"] = torch.float64
        return func(*args, **keywords)


@contextmanager
def in_double() -> Iterator[None]:
    """Run the block with no single precision inside of models in double precision."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with _NeverNarrow():
            yield
    finally:
        torch.set_default_dtype(before)
