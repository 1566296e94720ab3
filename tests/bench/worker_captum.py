"""The side of captum's wrappers for language models, in the project's own environment."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from captum.attr import (
    FeatureAblation,
    LayerGradientXActivation,
    LayerIntegratedGradients,
    LLMAttribution,
    LLMAttributionResult,
    LLMGradientAttribution,
    TextTokenInput,
)
from messages import Job
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase
from worker import serve


class CaptumSubject:
    """The wrapper that does what a method of this project does, for the log-probability."""

    packages: tuple[str, ...] = ("captum",)

    def __init__(self, job: Job) -> None:
        self.job = job
        self._tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(job.model)
        self._model = AutoModelForCausalLM.from_pretrained(
            job.model, dtype=getattr(torch, job.dtype), device_map=job.device
        )
        unknown = self._tokenizer.unk_token_id
        assert isinstance(unknown, int), "the baseline is the unknown token"
        self._unknown = unknown
        wrappers: dict[str, Callable[[TextTokenInput, torch.Tensor], LLMAttributionResult]] = {
            "feature_ablation": self._ablation,
            "layer_gradient_x_activation": self._gradient_x_activation,
            "layer_integrated_gradients": self._integrated_gradients,
        }
        self._wrapper = wrappers[job.method]

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        return self._tokenizer

    @property
    def weights(self) -> torch.nn.Module:
        return self._model

    def attribute(self, given: str, forced: str) -> LLMAttributionResult:
        inputs = TextTokenInput(given, self._tokenizer, baselines=self._unknown)
        ids = self._tokenizer(forced)["input_ids"][inputs.n_itp_features :]
        return self._wrapper(inputs, torch.tensor(ids))

    def _ablation(self, inputs: TextTokenInput, target: torch.Tensor) -> LLMAttributionResult:
        wrapper = LLMAttribution(FeatureAblation(self._model), self._tokenizer)
        return wrapper.attribute(inputs, target=target, forward_in_tokens=False)

    def _gradient_x_activation(
        self, inputs: TextTokenInput, target: torch.Tensor
    ) -> LLMAttributionResult:
        method = LayerGradientXActivation(self._model, self._model.get_input_embeddings())
        return LLMGradientAttribution(method, self._tokenizer).attribute(inputs, target=target)

    def _integrated_gradients(
        self, inputs: TextTokenInput, target: torch.Tensor
    ) -> LLMAttributionResult:
        # What is moved is captum's mask of the tokens, 1 where they stay and 0 at the baseline.
        method = LayerIntegratedGradients(self._model, self._model.get_input_embeddings())
        wrapper = LLMGradientAttribution(method, self._tokenizer)
        return wrapper.attribute(inputs, target=target, **self.job.keywords)

    def scores(self, result: LLMAttributionResult) -> dict[str, np.ndarray]:
        assert result.token_attr is not None
        return {"scores": result.token_attr.detach().float().cpu().numpy().T}

    def points(self, result: LLMAttributionResult) -> tuple[list[int], list[float]]:
        return [], []


if __name__ == "__main__":
    serve(CaptumSubject)
