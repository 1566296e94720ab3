"""DeepLIFT's rescale rule: activation functions differentiated by differences from a baseline."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import torch
from torch import Tensor, nn

from inseq_widget.models import TraceableModel
from inseq_widget.models.activations import visiting

# The element-wise functions that captum's DeepLift replaces the derivative of, by exact type.
_RESCALED = (nn.ReLU, nn.ELU, nn.LeakyReLU, nn.Sigmoid, nn.Tanh, nn.Softplus)
# Those of its rules that mix positions or depend on how many texts there are.
_NOT_ELEMENTWISE = (nn.Softmax, nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
# Below this difference of inputs the derivative takes the place of the quotient.
_SMALL = 1e-10


def check_rescalable(model: TraceableModel) -> None:
    """Refuse a model that has modules for which DeepLIFT has a rule that is not implemented.

    Parameters
    ----------
    model : TraceableModel

    Raises
    ------
    NotImplementedError
    """
    for path, module in model.model.named_modules():
        if type(module) in _NOT_ELEMENTWISE:
            raise NotImplementedError(
                f"method: {path!r} is a {type(module).__name__}, for which the rescale rule is "
                "not implemented; 'integrated_gradients' works with any model."
            )


class Rescale:
    """The rescale rule between a baseline and an input.

    The model runs at the baseline in the context :meth:`recording`, then at the input in the
    context :meth:`applied`, where the derivative of every activation function is the quotient of
    the differences of what it gives and takes. The calls of a module are matched by their order.
    A call that does not see every position in both runs, as of an expert in a mixture, keeps its
    derivative.

    Parameters
    ----------
    model : TraceableModel
    n_texts : int
        Size of the batch.
    """

    def __init__(self, model: TraceableModel, n_texts: int) -> None:
        self._model = model.model
        self._modules = [m for m in model.model.modules() if type(m) in _RESCALED]
        self._n_texts = n_texts
        self._inputs: dict[tuple[nn.Module, int], Tensor] = {}
        self._widths: list[int] = []

    def recording(self) -> AbstractContextManager[None]:
        """Make the context in which the model runs at the baseline."""
        return self._recording()

    def applied(self) -> AbstractContextManager[None]:
        """Make the context in which the model runs at the input."""
        return self._applied()

    @contextmanager
    def _recording(self) -> Iterator[None]:
        def keep(module: nn.Module, number: int, tensor: Tensor) -> None:
            self._inputs[module, number] = tensor.detach()

        with ExitStack() as contexts:
            self._enter_writing_apart(contexts)
            contexts.enter_context(self._measuring(self._widths))
            contexts.enter_context(visiting(self._modules, True, keep))
            yield

    @contextmanager
    def _applied(self) -> Iterator[None]:
        widths: list[int] = []
        counted: dict[nn.Module, int] = {}

        def replace(
            module: nn.Module, arguments: tuple[Tensor, ...], output: Tensor
        ) -> Tensor | None:
            number = counted.get(module, 0)
            counted[module] = number + 1
            own = arguments[0]
            baseline = self._inputs.get((module, number))
            if baseline is None:
                return None
            aligned = self._aligned(baseline, own, widths)
            return None if aligned is None else _rescaled(module, own, aligned, output)

        with ExitStack() as contexts:
            self._enter_writing_apart(contexts)
            contexts.enter_context(self._measuring(widths))
            for module in self._modules:
                # First of all hooks: others are to see what takes the output's place.
                hook = module.register_forward_hook(replace, prepend=True)
                contexts.callback(hook.remove)
            yield

    def _enter_writing_apart(self, contexts: ExitStack) -> None:
        """Keep modules from writing over what they were given."""
        for module in self._modules:
            if isinstance(module, nn.ReLU | nn.ELU | nn.LeakyReLU) and module.inplace:
                contexts.callback(setattr, module, "inplace", True)
                module.inplace = False

    @contextmanager
    def _measuring(self, widths: list[int]) -> Iterator[None]:
        """Note how many positions the stacks of a run have."""

        def measure(
            _: nn.Module, arguments: tuple[object, ...], keywords: dict[str, Tensor]
        ) -> None:
            widths[:] = [
                keywords[name].shape[1]
                for name in ("input_ids", "decoder_input_ids")
                if name in keywords
            ]

        hook = self._model.register_forward_pre_hook(measure, with_kwargs=True)
        try:
            yield
        finally:
            hook.remove()

    def _aligned(self, baseline: Tensor, own: Tensor, widths: list[int]) -> Tensor | None:
        """Cut a baseline to the positions of a run; None where they do not correspond."""
        texts = self._n_texts
        for before, now in zip(self._widths, widths, strict=True):
            if baseline.shape[:2] == (texts, before) and own.shape[:2] == (texts, now):
                cut = baseline[:, :now]
            elif baseline.shape[0] == texts * before and own.shape[0] == texts * now:
                # Some models have the positions of all texts in one dimension.
                cut = baseline.unflatten(0, (texts, before))[:, :now].flatten(0, 1)
            else:
                continue
            if cut.shape == own.shape:
                return cut
        return None


def _rescaled(module: nn.Module, own: Tensor, baseline: Tensor, output: Tensor) -> Tensor:
    """Give the output another derivative: the quotient of differences."""
    # Quotients of small differences need more digits than the model computes with.
    wide = torch.float32 if own.device.type == "mps" else torch.float64
    with torch.no_grad():
        x, x_baseline = own.detach().to(wide), baseline.to(own.device, wide)
        step = x - x_baseline
        small = step.abs() < _SMALL
        rise = module.forward(x) - module.forward(x_baseline)
        multiplier = (rise / torch.where(small, 1.0, step)).to(own.dtype)
    line = output.detach() + multiplier * (own - own.detach())
    return torch.where(small, output, line)
