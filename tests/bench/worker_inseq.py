"""Inseq's side of the benchmark; runs in its own environment."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from messages import Job
from transformers import PreTrainedTokenizerBase
from worker import reduced, serve

# What only its `load_model` takes.
AT_LOADING = ("target_layer",)


class Sequence(Protocol):
    """What is read of one sequence of Inseq's result."""

    source_attributions: torch.Tensor | None
    target_attributions: torch.Tensor | None


class Output(Protocol):
    """What is read of Inseq's result; its own classes live in its own environment."""

    sequence_attributions: list[Sequence]


class InseqSubject:
    """Inseq, loaded with its own defaults."""

    packages: tuple[str, ...] = ("inseq",)

    def __init__(self, job: Job) -> None:
        import inseq  # type: ignore[import-not-found]

        loading: dict[str, object] = {
            key: value for key, value in job.keywords.items() if key in AT_LOADING
        }
        self.keywords = {k: value for k, value in job.keywords.items() if k not in AT_LOADING}
        self.features = job.features
        if job.dtype != "float32":
            loading["model_kwargs"] = {"dtype": getattr(torch, job.dtype)}
        self.model = inseq.load_model(job.model, job.method, device=job.device, **loading)

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        return self.model.tokenizer  # type: ignore[no-any-return]

    @property
    def weights(self) -> torch.nn.Module:
        return self.model.model  # type: ignore[no-any-return]

    def attribute(self, given: str, forced: str) -> Output:
        output: Output = self.model.attribute(given, forced, show_progress=False, **self.keywords)
        return output

    def scores(self, result: Output) -> dict[str, np.ndarray]:
        sequence = result.sequence_attributions[0]
        source, target = sequence.source_attributions, sequence.target_attributions
        scores = target if source is None else source
        assert scores is not None
        return {"scores": reduced(scores.detach().float().numpy(), self.features)}

    def points(self, result: Output) -> tuple[list[int], list[float]]:
        return [], []


if __name__ == "__main__":
    serve(InseqSubject)
