"""Makes the jobs of one call, and takes back the progress of those that fail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from torch import Tensor

from inseq_widget.methods.base import Job
from inseq_widget.models import Example, Trace, TraceableModel
from inseq_widget.models.dropout import dropout_logits
from inseq_widget.progress import Advance
from inseq_widget.scores import StepFunction
from inseq_widget.scores.contrast import Contrast, ContrastExample, traced_contrasts


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
    feature_bytes : float
        How many bytes a text's scores may take with all their features.
    advance : callable
        Counts finished texts.
    force_inputs : bool
        Whether the function sees what is predicted under the contrastive inputs.
    """

    model: TraceableModel
    attributed_fn: StepFunction
    attribute_target: bool
    feature_bytes: float
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

    def __call__(self, trace: Trace, rounds: Sequence[Sequence[ContrastExample]] = ()) -> list[Job]:
        """Make the jobs of a batch that was traced: one for each foil of its texts, or one alone.

        Parameters
        ----------
        trace : Trace
            The jobs share it.
        rounds : sequence of sequence of ContrastExample, (foil, batch)
            One contrastive side of each text after the other; they run together.

        Returns
        -------
        list of Job
        """
        count = len(trace.examples)
        contrasts: list[Contrast | None] = [None]
        if rounds:
            contrasts = [*traced_contrasts(self.model, trace, rounds, self.force_inputs)]
        drawn: dict[int, Tensor] = {}

        def noisy(n_runs: int) -> Tensor:
            if n_runs not in drawn:
                drawn[n_runs] = dropout_logits(self.model, trace.examples, n_runs)
            return drawn[n_runs]

        return [
            Job(
                self.model,
                trace,
                self.attributed_fn,
                self.attribute_target,
                self.feature_bytes,
                lambda share: self.advance(share * count),
                contrast,
                noisy,
            )
            for contrast in contrasts
        ]


def with_their_foils(numbers: Sequence[int], examples: Sequence[Example]) -> list[list[list[int]]]:
    """Put results of the same text together, and texts with as many of them.

    Parameters
    ----------
    numbers : sequence of int
        Of results.
    examples : sequence of Example, (result,)
        The text of each result; those of one text hold the same object.

    Returns
    -------
    list of list of list of int, (group, text, foil)
        The texts of a group go through the model together.
    """
    of_text: dict[int, list[int]] = {}
    for number in numbers:
        of_text.setdefault(id(examples[number]), []).append(number)
    groups: dict[int, list[list[int]]] = {}
    for foils in of_text.values():
        groups.setdefault(len(foils), []).append(foils)
    return list(groups.values())
