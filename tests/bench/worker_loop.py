"""A naive loop in the place of a peer that fails: value zeroing, a forward pass for each token."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from messages import Job
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase
from worker import serve

SMALLEST = 1e-5
"""Smaller distances count as none, as in Inseq."""


@dataclass
class Zeroing:
    """What the hooks of one pass know: the token whose values go, and the layers' clean outputs."""

    token: int
    clean: list[Tensor]
    moved: list[Tensor]


class LoopSubject:
    """Value zeroing by definition, on a Llama of transformers."""

    packages: tuple[str, ...] = ()

    def __init__(self, job: Job) -> None:
        if job.method != "value_zeroing":
            raise ValueError(f"method: there is no naive loop for {job.method!r}")
        self._tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(job.model)
        self._model = AutoModelForCausalLM.from_pretrained(
            job.model, dtype=getattr(torch, job.dtype), device_map=job.device
        )
        self._n_inputs = job.text.inputs

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        return self._tokenizer

    @property
    def weights(self) -> nn.Module:
        return self._model

    @torch.inference_mode()
    def attribute(self, given: str, forced: str) -> Tensor:
        """Return the scores, (input, step, layer)."""
        # The last token is explained, but explains nothing.
        ids = torch.tensor([self._tokenizer(forced)["input_ids"][:-1]], device=self._model.device)
        clean = self._model.model(ids, output_hidden_states=True, use_cache=False).hidden_states
        outputs = list(clean[1:])
        distances = torch.stack(
            [self._distances(ids, token, outputs) for token in range(ids.shape[1])]
        )
        distances[distances < SMALLEST] = 0
        later = torch.ones(distances.shape[:2]).tril(-1).bool()
        distances[later] = 0
        scores = distances / distances.sum(0).clamp(min=torch.finfo(distances.dtype).tiny)
        scores[later] = torch.nan
        return scores[:, self._n_inputs - 1 :]

    def _distances(self, ids: Tensor, token: int, clean: list[Tensor]) -> Tensor:
        """Return how far the outputs move without the values of a token, (position, layer).

        Every layer gets its clean input, because the one before hands on what it gave untouched.
        """
        layers = self._model.model.layers
        zeroing = Zeroing(token, clean, [])
        hooks = [layer.self_attn.v_proj.register_forward_hook(_zero(zeroing)) for layer in layers]
        # What the last layer gives is read after the final norm.
        hooks += [
            layer.register_forward_hook(_patch(zeroing, number))
            for number, layer in enumerate(layers[:-1])
        ]
        try:
            last = self._model.model(ids, use_cache=False).last_hidden_state
        finally:
            for hook in hooks:
                hook.remove()
        pairs = zip([*zeroing.moved, last], clean, strict=True)
        cosines = [torch.cosine_similarity(moved, kept, -1)[0] for moved, kept in pairs]
        return 1 - torch.stack(cosines, -1).float().cpu()

    def scores(self, result: Tensor) -> dict[str, np.ndarray]:
        return {"scores": result.numpy()}

    def points(self, result: Tensor) -> tuple[list[int], list[float]]:
        return [], []


def _zero(zeroing: Zeroing):  # type: ignore[no-untyped-def]
    def hook(module: nn.Module, args: tuple[Tensor, ...], values: Tensor) -> Tensor:
        values = values.clone()
        values[:, zeroing.token] = 0
        return values

    return hook


def _patch(zeroing: Zeroing, number: int):  # type: ignore[no-untyped-def]
    def hook(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        zeroing.moved.append(output)
        return zeroing.clean[number]

    return hook


if __name__ == "__main__":
    serve(LoopSubject)
