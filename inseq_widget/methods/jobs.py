"""Makes the jobs of one call, and takes back the progress of those that fail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from torch import Tensor

from inseq_widget.methods.base import Job
from inseq_widget.models import Trace, TraceableModel
from inseq_widget.models.dropout import dropout_logits
from inseq_widget.progress import Advance
from inseq_widget.scores import StepFunction
from inseq_widget.scores.contrast import Contrast, ContrastExample


@dataclass(frozen=True)
class JobMaker:
    """What the jobs of one call share.

    Parameters
    ----------
    model : TraceableModel
    attributed_fn : callable
        The step function that is explained.
    attribute_target : bool
        Whether the target prefix of an encoder-decoder model counts.
    granular : bool
        Whether every feature is kept.
    advance : callable
        Counts finished texts.
    force_inputs : bool
        Whether the function sees what is predicted under the contrastive inputs.
    """

    model: TraceableModel
    attributed_fn: StepFunction
    attribute_target: bool
    granular: bool
    advance: Advance
    force_inputs: bool = False

    @contextmanager
    def taken_back_if_it_fails(self) -> Iterator[JobMaker]:
        """Report progress inside the block, and take it back if the block fails."""
        done = 0.0

        def count(amount: float) -> None:
            nonlocal done
            done += amount
            self.advance(amount)

        try:
            yield replace(self, advance=count)
        except BaseException:
            self.advance(-done)
            raise

    def __call__(self, trace: Trace, others: Sequence[ContrastExample] | None = None) -> Job:
        """Make the job of a batch that was traced, with the contrastive side of its texts."""
        count = len(trace.examples)
        contrast = None
        if others:
            n_steps = trace.step_ids.shape[1]
            contrast = Contrast.traced(self.model, others, n_steps, self.force_inputs)
        drawn: dict[int, Tensor] = {}

        def noisy(n_runs: int) -> Tensor:
            if n_runs not in drawn:
                drawn[n_runs] = dropout_logits(self.model, trace.examples, n_runs)
            return drawn[n_runs]

        return Job(
            self.model,
            trace,
            self.attributed_fn,
            self.attribute_target,
            self.granular,
            lambda share: self.advance(share * count),
            contrast,
            noisy,
        )
