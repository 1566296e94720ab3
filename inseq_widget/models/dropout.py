"""Runs a text with dropout on, and leaves the model and the random state as they were."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from inseq_widget.models.example import Example
from inseq_widget.models.traceable import TraceableModel


def dropout_logits(
    model: TraceableModel, examples: Sequence[Example], n_runs: int, seed: int = 0
) -> Tensor:
    """Predict the steps of texts several times with dropout on.

    Parameters
    ----------
    model : TraceableModel
    examples : sequence of Example, (batch,)
    n_runs : int
    seed : int, default 0
        Every text gets the noise that it gets alone.

    Returns
    -------
    torch.Tensor, (run, batch, step, vocabulary)
        Zero where a shorter text has no such step.
    """
    n_steps = max(example.n_steps for example in examples)
    texts = []
    for example in examples:
        with _seeded(model.model, seed):
            runs = [
                model.trace([example], around=lambda: _training(model.model)).logits[0]
                for _ in range(n_runs)
            ]
        logits = torch.stack(runs)
        texts.append(nn.functional.pad(logits, (0, 0, 0, n_steps - example.n_steps)))
    return torch.stack(texts, 1)


@contextmanager
def _seeded(model: nn.Module, seed: int) -> Iterator[None]:
    """Seed the random state of the devices that a model is on, and of no other, in the block."""
    places = {parameter.device for parameter in model.parameters()}
    devices = [place for place in places if place.type == "cuda"]
    with torch.random.fork_rng(devices):
        torch.default_generator.manual_seed(seed)
        for device in devices:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


@contextmanager
def _training(model: nn.Module) -> Iterator[None]:
    """Put every module into training mode inside the block."""
    modules = list(model.modules())
    before = [module.training for module in modules]
    try:
        for module in modules:
            module.training = True
        yield
    finally:
        for module, training in zip(modules, before, strict=True):
            module.training = training
