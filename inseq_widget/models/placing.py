"""Where a model is: put on a device for good, or for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from transformers import PreTrainedModel

from inseq_widget.models.traceable import TraceableModel

Device = str | torch.device


def place(model: PreTrainedModel, device: Device, *, asked: bool = False) -> None:
    """Put a model on a device, where it can be moved.

    Parameters
    ----------
    model : PreTrainedModel
    device : str or torch.device
    asked : bool
        Whether the user asked for it.

    Raises
    ------
    ValueError
        For a device that there is not, or when a device was asked for and the model cannot be
        moved.
    """
    place = _device(device)
    spread = getattr(model, "hf_device_map", None) is not None
    quantised = getattr(model, "is_quantized", False) and not _is_of_gguf(model)
    if not (spread or quantised):
        nn.Module.to(model, place)
    elif asked and place.type != model.device.type:
        raise ValueError(
            f"device: {str(device)!r} given, but {type(model).__name__} is quantised or spread "
            f"over devices, and stays where it was loaded ({model.device}); pass "
            "model_kwargs={'device_map': ...} instead."
        )


@contextmanager
def on_device(traceable: TraceableModel, device: Device | None) -> Iterator[None]:
    """Have a model on a device inside the block, and back where it was afterwards.

    Parameters
    ----------
    traceable : TraceableModel
    device : str, torch.device or None
        None leaves it where it is.

    Raises
    ------
    ValueError
        See :func:`place`.
    """
    if device is None:
        yield
        return
    before = traceable.device
    try:
        place(traceable.model, device, asked=True)
        yield
    finally:
        place(traceable.model, before)


def _device(given: Device) -> torch.device:
    try:
        device = torch.device(given)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f"device: {given!r} given; pass a device such as 'cpu' or 'cuda'."
        ) from error
    backend = getattr(torch, device.type, None)
    if device.type != "cpu" and not (backend and backend.is_available()):
        raise ValueError(f"device: {str(given)!r} given, but this machine has none; try 'cpu'.")
    return device


def _is_of_gguf(model: PreTrainedModel) -> bool:
    """Say whether a model counts as quantised because of the file that its weights were read from.

    They are plain numbers since then.
    """
    quantisation = getattr(model.config, "quantization_config", None)
    return str(getattr(quantisation, "quant_method", "")).lower().endswith("gguf")
