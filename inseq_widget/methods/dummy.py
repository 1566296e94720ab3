"""The method that explains nothing: for step scores alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from inseq_widget.methods.base import AttributionMethod, BatchScores, Job, register


@register
@dataclass(frozen=True)
class Dummy(AttributionMethod):
    """No attribution: every score is missing (NaN), and step scores cost one forward pass.

    The name is Inseq's.
    """

    name: ClassVar[str] = "dummy"
    score_label: ClassVar[str] = "no score"
    signed: ClassVar[bool] = False
    reduction: ClassVar[str] = "sum"
    explains_output: ClassVar[bool] = False

    def attribute(self, job: Job) -> BatchScores:
        """See :meth:`AttributionMethod.attribute`."""
        n_batch, n_steps = job.trace.step_ids.shape
        missing = {
            stack: torch.full((n_batch, job.trace.embeddings[stack].shape[1], n_steps), torch.nan)
            for stack in job.stacks
        }
        job.advance(1.0)
        return BatchScores({"raw": missing})
