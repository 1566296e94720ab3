"""The perturbation engine: a text run again and again with some of its inputs taken away."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from inseq_widget.methods.base import Job
from inseq_widget.methods.baselines import WithBaseline
from inseq_widget.methods.chunking import ChunkSizer
from inseq_widget.methods.features import Features
from inseq_widget.methods.keywords import check_whole
from inseq_widget.models import Example, Stack
from inseq_widget.models.faults import named_step
from inseq_widget.models.reruns import Reruns

# Starting another run costs about as much as this many positions more in one that runs anyway:
# reading the weights on a processor, keeping a graphics card busy.
_START_COST = {"cpu": 28}
_START_COST_ELSEWHERE = 1024


@dataclass(frozen=True, kw_only=True)
class WithRuns(WithBaseline):
    """Keywords of a method that runs a text again and again with inputs taken away.

    Parameters
    ----------
    perturbations_per_eval : int, optional
        How many such texts go through the model together at most; by default as many as run fast.
        It changes no score.
    """

    perturbations_per_eval: int | None = None

    def __post_init__(self) -> None:
        """Refuse keywords that cannot be meant."""
        if self.perturbations_per_eval is not None:
            check_whole("perturbations_per_eval", self.perturbations_per_eval, 1)


class PerturbedRuns:
    """Runs of one text with some of its features replaced by a baseline.

    One run of the text serves all of its steps. Runs go in batches; those whose first changed
    token stands late begin there, behind what the clean run left.

    Parameters
    ----------
    job : Job
    example : Example
        The text; one of the job's.
    features : Features
        What is taken away together.
    method : WithRuns
        It knows what stands in its place, and how many texts may run together.

    Attributes
    ----------
    clean : torch.Tensor, (step,)
        The attributed function of the untouched text. On the CPU, as all that is given here.
    n_features : int
    visible : torch.Tensor of bool, (feature, step)
        Whether any position of the feature comes before the step.
    replaceable : torch.Tensor of bool, (feature,)
        Whether the feature has a token that is not its own baseline.
    n_taken : torch.Tensor, (feature, step)
        How many of those tokens the step sees.
    """

    clean: Tensor
    n_features: int
    visible: Tensor
    replaceable: Tensor
    n_taken: Tensor

    def __init__(self, job: Job, example: Example, features: Features, method: WithRuns) -> None:
        self._job = job
        self._at_most = method.perturbations_per_eval
        self._example = example
        self._reruns = Reruns(job.model, example)
        steps = example.target[example.start : example.end]
        self._step_ids = torch.tensor([[token.id for token in steps]], device=job.model.device)
        self.clean = self._function(self._reruns.logits[None], 0)[0]
        self._baselines: dict[Stack, Tensor] = {}
        self._differs: dict[Stack, Tensor] = {}
        for stack in job.stacks:
            embedded = self._reruns.embeddings[stack]
            (stand_in,) = method.baselines(job.model, [example], stack, len(embedded))
            self._baselines[stack] = stand_in.to(embedded)
            self._differs[stack] = (self._baselines[stack] != embedded).any(-1).cpu()
        self._group(features)

    def regrouped(self, features: Features) -> PerturbedRuns:
        """Make runs of the same text with other features, without another clean run.

        Parameters
        ----------
        features : Features

        Returns
        -------
        PerturbedRuns
        """
        other = copy.copy(self)
        other._group(features)
        return other

    def _group(self, features: Features) -> None:
        self._members = {
            stack: features.members(stack, len(self._baselines[stack])) for stack in self._baselines
        }
        self.n_features = len(features)
        self.visible = torch.zeros(len(features), self._example.n_steps, dtype=torch.bool)
        self.replaceable = torch.zeros(len(features), dtype=torch.bool)
        self.n_taken = torch.zeros(len(features), self._example.n_steps)
        for stack, members in self._members.items():
            taken = members & self._differs[stack]
            self.replaceable |= taken.any(1)
            self.n_taken += taken.float() @ self._seen(stack).float()
            if stack == "source":
                self.visible |= members.any(1)[:, None]
            else:
                seen = members.cumsum(1) > 0
                self.visible |= seen[:, self._example.start - 1 : self._example.end - 1]

    def values(self, keep: Tensor, share: float = 0.0) -> Tensor:
        """Compute the attributed function of the text without some of its features.

        Parameters
        ----------
        keep : torch.Tensor of bool, (perturbation, feature)
            The features that are False are replaced by the baseline.
        share : float, default 0
            What share of the work on the text this is; the job's progress is told of it.

        Returns
        -------
        torch.Tensor, (perturbation, step)
        """
        distinct, numbers = torch.unique(keep.cpu(), dim=0, return_inverse=True)
        gone = {
            # In floating point, where a matrix product is fast.
            stack: (((~distinct).float() @ members.float()) > 0) & self._differs[stack]
            for stack, members in self._members.items()
        }
        values = self.clean.repeat(len(distinct), 1)
        firsts = [self._first_changed(gone, row) for row in range(len(distinct))]
        changed = [row for row, first in enumerate(firsts) if first is not None]
        order = sorted(changed, key=lambda row: firsts[row] or 0)
        n_rows = max(1, min(len(order), self._at_most or len(order)))
        sizer = ChunkSizer(self._job.model.device, n_rows, self._reruns.bytes_of_a_row)
        done = 0
        while done < len(order):
            block = self._block([firsts[row] or 0 for row in order[done:]], sizer.rows)
            members = order[done : done + block]

            def chunk(rows: int, members: Sequence[int] = members) -> Tensor:
                return self._run(gone, members[:rows], firsts[members[0]] or 0)

            result, _ = sizer.run(chunk)
            finished = members[: len(result)]
            values[finished, values.shape[1] - result.shape[1] :] = result
            done += len(finished)
            self._job.advance(share * len(finished) / len(order))
        if not order:
            self._job.advance(share)
        return values[numbers]

    def spread(self, scores: Tensor) -> dict[Stack, Tensor]:
        """Give every position the score of its feature.

        Parameters
        ----------
        scores : torch.Tensor, (feature, step, ...)

        Returns
        -------
        dict of str to torch.Tensor, each (position, step, ...)
            NaN at positions that no feature has.
        """
        spread: dict[Stack, Tensor] = {}
        for stack, members in self._members.items():
            placed = scores.new_full((members.shape[1], *scores.shape[1:]), torch.nan)
            feature, position = members.nonzero(as_tuple=True)
            placed[position] = scores[feature]
            spread[stack] = placed
        return spread

    def divided(self, scores: Tensor) -> dict[Stack, Tensor]:
        """Divide the score of every feature equally among its tokens.

        Parameters
        ----------
        scores : torch.Tensor, (feature, step)

        Returns
        -------
        dict of str to torch.Tensor, each (position, step)
            At every step, what the tokens of a feature have sums to its score; those that are
            their own baseline, or come after the step, have nothing of it. NaN at positions that
            no feature has.
        """
        shares = scores / self.n_taken.clamp(min=1)
        divided = self.spread(shares)
        for stack, placed in divided.items():
            placed[~self._differs[stack]] *= 0
            placed.masked_fill_(~self._seen(stack) & ~placed.isnan(), 0.0)
        return divided

    def _seen(self, stack: Stack) -> Tensor:
        """Say which positions of a stack each step sees, (position, step)."""
        width = len(self._differs[stack])
        seen = torch.ones(width, self._example.n_steps, dtype=torch.bool)
        return seen if stack == "source" else seen.triu(1 - self._example.start)

    def _function(self, logits: Tensor, first_step: int) -> Tensor:
        """Compute the attributed function from its ``first_step`` on, (row, step)."""
        ids = self._step_ids[:, first_step:].to(logits.device)
        values = self._job.values(logits, ids.expand(len(logits), -1), first_step).cpu()
        finite = values.isfinite()
        if not finite.all():
            row, step = (int(index) for index in (~finite).nonzero()[0])
            raise ValueError(
                f"attributed_fn: {self._job.function_name} gave {float(values[row, step])} for "
                f"{named_step(self._example, first_step + step)}, though the logits are numbers, "
                "so no score can be made of it; look for a division by zero or a logarithm of zero."
            )
        return values

    def _first_changed(self, gone: dict[Stack, Tensor], row: int) -> int | None:
        """Find where a run has to begin; -1 before the source, None where nothing changed."""
        if "source" in gone and gone["source"][row].any():
            return -1
        if "target" in gone and gone["target"][row].any():
            return int(gone["target"][row].int().argmax()) if self._reruns.shares_prefix else 0
        return None

    def _block(self, firsts: Sequence[int], at_most: int) -> int:
        """Choose how many of the next rows run together, all from where the first one begins.

        A row that could begin later is computed from there on for nothing; that pays until it
        adds up to what another run costs to start.
        """
        budget = _START_COST.get(self._job.model.device.type, _START_COST_ELSEWHERE)
        for count, first in enumerate(firsts[:at_most]):
            budget -= first - firsts[0]
            beyond_source = firsts[0] == -1 and first > -1
            if budget < 0 or beyond_source:
                return count
        return min(at_most, len(firsts))

    def _run(self, gone: dict[Stack, Tensor], members: Sequence[int], first: int) -> Tensor:
        """Run some rows that are clean before position ``first``; give (row, step)."""
        rows: dict[Stack, Tensor] = {}
        for stack, taken in gone.items():
            if stack == "target" or first == -1:
                embedded = self._reruns.embeddings[stack]
                mask = taken[list(members)].to(embedded.device)[..., None]
                rows[stack] = torch.where(mask, self._baselines[stack], embedded)
        first_step = max(0, first - self._reruns.row_of(0))
        steps = torch.arange(first_step, self._example.n_steps).expand(len(members), -1)
        return self._function(self._reruns.run(rows, steps, max(0, first)), first_step)
