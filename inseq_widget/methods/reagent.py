"""ReAGent: importance learnt by replacing tokens at random, for all steps side by side."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from inseq_widget.methods.base import Job, TextMethod, TextScores, register
from inseq_widget.methods.chunking import ChunkSizer
from inseq_widget.methods.features import Place, input_places
from inseq_widget.methods.keywords import check_whole
from inseq_widget.models import Example, Stack, TraceableModel
from inseq_widget.models.precision import at_least_single
from inseq_widget.models.reruns import Reruns
from inseq_widget.scores.step_functions import check_share


@register
@dataclass(frozen=True)
class Reagent(TextMethod):
    """Recursive attribution generation (Zhao and Shan, 2024, "ReAGent", section 3).

    A probe begins with random importance. In every round it replaces random tokens, and what the
    target's probability loses is credited to them and debited to the others. It has converged
    when the target is among the most probable tokens while all but the most important tokens are
    replaced. The score of input *i* at step *t* is its share of the importance (softmax), the
    mean over the converged probes; over all probes where none has converged, of which a warning
    tells. Replacements are drawn from the tokenizer's ordinary tokens, all equally probable. The
    rounds of all steps share their random draws, so that one run serves each. The decoder's start
    token is never replaced and has the score 0.

    Parameters
    ----------
    keep_top_n : int, default 5
        How many of the most important tokens are kept by the test for convergence. With 0,
        ``keep_ratio`` counts.
    keep_ratio : float, optional
        The share of the tokens to keep instead.
    invert_keep : bool, default False
        Replace the most important tokens in that test, and keep the others.
    stopping_condition_top_k : int, default 3
        Among how many tokens the target has to be.
    replacing_ratio : float, default 0.3
        How probable it is that a round replaces a token.
    max_probe_steps : int, default 3000
        After how many rounds to give up.
    num_probes : int, default 16
    seed : int, default 0
    """

    name: ClassVar[str] = "reagent"
    score_label: ClassVar[str] = "share of the importance for the probability"
    signed: ClassVar[bool] = False
    reduction: ClassVar[str] = "sum"
    explains_output: ClassVar[bool] = False

    keep_top_n: int = 5
    keep_ratio: float | None = None
    invert_keep: bool = False
    stopping_condition_top_k: int = 3
    replacing_ratio: float = 0.3
    max_probe_steps: int = 3000
    num_probes: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers that no probe can work with."""
        check_whole("keep_top_n", self.keep_top_n, 0)
        for keyword in ("stopping_condition_top_k", "max_probe_steps", "num_probes"):
            check_whole(keyword, getattr(self, keyword), 1)
        check_whole("seed", self.seed, 0)
        check_share("replacing_ratio", self.replacing_ratio, whole=False)
        if self.keep_ratio is not None:
            check_share("keep_ratio", self.keep_ratio)
        if (self.keep_top_n == 0) == (self.keep_ratio is None):
            raise ValueError(
                "keep_top_n, keep_ratio: pass how many tokens to keep, or keep_top_n=0 and a "
                f"keep_ratio; {self.keep_top_n} and {self.keep_ratio} given."
            )

    def attribute_text(self, job: Job, example: Example) -> TextScores:
        """See :meth:`TextMethod.attribute_text`."""
        probes = _Probes(self, job, example)
        done = 0.0
        for number in range(1, self.max_probe_steps + 1):
            probes.update()
            probes.retire()
            reached = max(float(probes.converged.double().mean()), number / self.max_probe_steps)
            if probes.converged.all():
                reached = 1.0
            job.advance(reached - done)
            done = reached
            if reached == 1.0:
                break
        share = probes.converged.double().mean(1)
        given_up = int((share == 0).sum())
        if given_up:
            warnings.warn(
                f"reagent: no probe converged at {given_up} of {example.n_steps} steps, whose "
                "scores are the mean over all probes; more max_probe_steps, a larger keep_top_n "
                "or stopping_condition_top_k let more of them converge.",
                stacklevel=2,
            )
        return TextScores(probes.scores(), step_scores={"converged_probes": share})

    def n_kept(self, n_seen: int) -> int:
        """Count the tokens that matter most, of those that a step sees.

        Parameters
        ----------
        n_seen : int

        Returns
        -------
        int
        """
        if self.keep_ratio is None:
            return min(self.keep_top_n, n_seen)
        return math.ceil(self.keep_ratio * n_seen)


def ordinary_ids(model: TraceableModel) -> Tensor:
    """List the ids of the tokens that write text: those that are not special.

    Parameters
    ----------
    model : TraceableModel

    Returns
    -------
    torch.Tensor of int, (token,)
        In ascending order.
    """
    added = model.tokenizer.added_tokens_decoder
    special = {number for number, token in added.items() if token.special}
    special |= set(model.tokenizer.all_special_ids)
    weight = model.model.get_input_embeddings().weight
    assert isinstance(weight, Tensor)
    known = set(model.tokenizer.get_vocab().values()) - special
    return torch.tensor(sorted(token_id for token_id in known if token_id < len(weight)))


class _Probes:
    """All probes of all steps of a text, each with the importance of its tokens so far."""

    def __init__(self, method: Reagent, job: Job, example: Example) -> None:
        self._method = method
        self._model = job.model
        self._example = example
        self._reruns = Reruns(job.model, example)
        self._stacks = job.stacks
        start: Place = ("target", 0)
        fixed = {start} if job.model.architecture == "encoder_decoder" else set()
        self._places = [p for p in input_places(example, job.stacks) if p not in fixed]
        self._ordinary = ordinary_ids(job.model)
        self._generator = torch.Generator().manual_seed(method.seed)
        steps = example.target[example.start : example.end]
        self._step_ids = torch.tensor([token.id for token in steps])
        self._seen = torch.tensor(
            [
                [stack == "source" or position < step for stack, position in self._places]
                for step in range(example.start, example.end)
            ]
        )
        self._n_kept = torch.tensor([method.n_kept(int(seen.sum())) for seen in self._seen])
        logits = at_least_single(self._reruns.logits)
        self._clean = _target_probability(logits, self._step_ids)
        n_probes, n_places = method.num_probes, len(self._places)
        initial = torch.rand(n_probes, n_places, generator=self._generator)
        self._importance = initial.to(self._clean.dtype).repeat(example.n_steps, 1, 1)
        self.converged = torch.zeros(example.n_steps, n_probes, dtype=torch.bool)

    def update(self) -> None:
        """Let every probe replace random tokens, and credit them with what that changes."""
        shape = (self._method.num_probes, len(self._places))
        replaced = torch.rand(shape, generator=self._generator) < self._method.replacing_ratio
        drawn = self._drawn()
        # One run of a probe's text serves all steps: each sees its own part of it.
        probes = (~self.converged).any(0).nonzero()[:, 0]
        every_step = torch.arange(self._example.n_steps).expand(len(probes), -1)

        def lost(chunk: slice) -> Tensor:
            rows = probes[chunk]
            logits = self._logits(replaced[rows], drawn[rows], every_step[chunk])
            return self._clean - _target_probability(logits, self._step_ids)

        loss = self._in_chunks(len(probes), lost).T
        signed = torch.where(replaced[probes], loss[..., None], -loss[..., None])
        # A loss of exactly 1 would be infinitely much importance.
        edge = torch.finfo(signed.dtype).eps
        gained = torch.logit(signed * 0.5 + 0.5, eps=edge)
        active = ~self.converged[:, probes, None]
        self._importance[:, probes] += torch.where(active, gained, 0.0)

    def retire(self) -> None:
        """Find the probes whose most important tokens are enough for the target."""
        drawn = self._drawn()
        # Longest last steps first: their chunk costs the most.
        pairs = (~self.converged).nonzero().flip(0)

        def enough(chunk: slice) -> Tensor:
            steps, probes = pairs[chunk].unbind(1)
            logits = self._logits(self._unimportant(steps, probes), drawn[probes], steps[:, None])
            target = logits[:, 0].gather(1, self._step_ids[steps, None].to(logits.device))
            better = (logits[:, 0] > target).sum(1).cpu()
            return better < self._method.stopping_condition_top_k

        if len(pairs):
            self.converged[pairs[:, 0], pairs[:, 1]] = self._in_chunks(len(pairs), enough)

    def scores(self) -> dict[Stack, Tensor]:
        """Average the probes, (position, step) of each stack."""
        hidden = ~self._seen[:, None]
        shares = torch.softmax(self._importance.masked_fill(hidden, -torch.inf), -1)
        counted = self.converged | ~self.converged.any(1, keepdim=True)
        weights = counted.to(shares.dtype)
        mean = (shares * weights[..., None]).sum(1) / weights.sum(1, keepdim=True)
        raw: dict[Stack, Tensor] = {}
        for stack in self._stacks:
            width = len(input_places(self._example, [stack]))
            raw[stack] = mean.new_zeros(width, self._example.n_steps)
            for number, (place, position) in enumerate(self._places):
                if place == stack:
                    raw[stack][position] = mean[:, number]
        return raw

    def _drawn(self) -> Tensor:
        """Draw a replacement of every token for every probe, (probe, place)."""
        shape = (self._method.num_probes, len(self._places))
        return self._ordinary[torch.randint(len(self._ordinary), shape, generator=self._generator)]

    def _unimportant(self, steps: Tensor, probes: Tensor) -> Tensor:
        """Say which tokens the test for convergence replaces, (row, place)."""
        seen = self._seen[steps]
        importance = self._importance[steps, probes].masked_fill(~seen, -torch.inf)
        rank = importance.argsort(dim=-1, descending=True).argsort(dim=-1)
        important = rank < self._n_kept[steps, None]
        return seen & (important if self._method.invert_keep else ~important)

    def _logits(self, replaced: Tensor, drawn: Tensor, steps: Tensor) -> Tensor:
        """Run rows with tokens replaced; give the logits at each row's steps."""
        rows: dict[Stack, Tensor] = {}
        for stack in self._stacks:
            columns = [n for n, (place, _) in enumerate(self._places) if place == stack]
            positions = [self._places[n][1] for n in columns]
            clean = self._reruns.embeddings[stack]
            rows[stack] = clean.repeat(len(replaced), 1, 1)
            other = self._model.embed(stack, drawn[:, columns]).to(clean)
            mask = replaced[:, columns, None].to(clean.device)
            rows[stack][:, positions] = torch.where(mask, other, clean[positions])
        return at_least_single(self._reruns.run(rows, steps))

    def _in_chunks(self, n_rows: int, run: Callable[[slice], Tensor]) -> Tensor:
        """Run as many rows at once as memory holds; join what they give, (row, ...)."""
        sizer = ChunkSizer(self._model.device, n_rows, self._reruns.bytes_of_a_row)
        results: list[Tensor] = []
        done = 0
        while done < n_rows:

            def chunk(rows: int, first: int = done) -> Tensor:
                return run(slice(first, first + rows))

            result, _ = sizer.run(chunk)
            results.append(result)
            done += len(result)
        return torch.cat(results)


def _target_probability(logits: Tensor, ids: Tensor) -> Tensor:
    """Compute the probability of the token at each step, (..., step), on the CPU."""
    target = logits.gather(-1, ids.to(logits.device).expand(logits.shape[:-1])[..., None])[..., 0]
    return torch.exp(target - torch.logsumexp(logits, dim=-1)).cpu()
