"""The project's own side of the benchmark."""

from __future__ import annotations

import numpy as np
import torch
from messages import Job
from transformers import PreTrainedTokenizerBase
from worker import serve

import inseq_widget
from inseq_widget.results.output import FeatureAttributionOutput
from inseq_widget.scores import StepFunctionArgs


def log_probability(args: StepFunctionArgs) -> torch.Tensor:
    """Return the logarithm of the target's probability, which captum's wrappers explain."""
    return torch.log_softmax(args.logits.float(), -1).gather(-1, args.target_ids[..., None])[..., 0]


ATTRIBUTED = {"log_probability": log_probability}


class WidgetSubject:
    """inseq_widget, loaded with its own defaults."""

    packages: tuple[str, ...] = ()

    def __init__(self, job: Job) -> None:
        self.job = job
        self.model = inseq_widget.load_model(
            job.model, job.method, device=job.device, dtype=getattr(torch, job.dtype)
        )

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        return self.model.tokenizer

    @property
    def weights(self) -> torch.nn.Module:
        return self.model.model

    def attribute(self, given: str, forced: str) -> FeatureAttributionOutput:
        keywords: dict[str, object] = dict(self.job.keywords)
        if keywords.get("spans") == "prompt":
            offsets = self.tokenizer(given, return_offsets_mapping=True)["offset_mapping"]
            keywords["spans"] = [tuple(pair) for pair in offsets]
        output = self.model.attribute(
            given,
            forced,
            show_progress=False,
            attributed_fn=ATTRIBUTED.get(self.job.attributed_fn, self.job.attributed_fn),
            **keywords,  # type: ignore[arg-type]
        )
        # Part of the job, in case a result is made when it is first looked at.
        assert output[0].scores is not None
        return output

    def scores(self, result: FeatureAttributionOutput) -> dict[str, np.ndarray]:
        sequence, layer = result[0], self.job.layer
        if self.job.features is None:
            scores = sequence.raw_scores
        else:
            scores = sequence.reduce(self.job.features, keep=() if layer is None else ("layer",))
        if layer is not None:
            scores = scores.isel(layer=layer)
        return {"scores": scores.to_numpy(), "shown": sequence.scores.to_numpy()}

    def points(self, result: FeatureAttributionOutput) -> tuple[list[int], list[float]]:
        sequence = result[0]
        if "n_steps" not in sequence.step_scores:
            return [], []
        deltas = sequence.step_scores["deltas"].numpy()
        totals = np.nansum(sequence.reduce("sum").to_numpy(), 0)
        off = np.abs(deltas / (totals - deltas))
        return [int(number) for number in sequence.step_scores["n_steps"]], off.tolist()


if __name__ == "__main__":
    serve(WidgetSubject)
