"""Gradients summed along paths that pass near the embeddings of real tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import ClassVar, Literal

import torch
from torch import Tensor

from inseq_widget.methods.base import AttributionMethod, BatchScores, Job, register
from inseq_widget.methods.baselines import WithBaseline, baseline_id
from inseq_widget.methods.forward_points import sums_along
from inseq_widget.methods.keywords import check_choice, check_whole
from inseq_widget.methods.multiplied import Multiplied
from inseq_widget.methods.points import Keep, Path, Text, each_text, summed_over_points
from inseq_widget.methods.tolerance import Tolerance, check_tolerance, groups_of, reported
from inseq_widget.models import Stack, TraceableModel
from inseq_widget.models.precision import at_least_single

Strategy = Literal["greedy", "maxcount"]
_STRATEGIES = ("greedy", "maxcount")
# How many numbers a table of candidates or distances may have at once.
_TABLE = 2**25


@register
@dataclass(frozen=True)
class DiscretizedIntegratedGradients(Multiplied, WithBaseline, AttributionMethod):
    """Discretized integrated gradients (Sanyal and Ren, 2021, section 3).

    The path of an input goes from its embedding to its baseline by way of tokens that are near
    neighbours of each other, each moved where it has to be so that no feature ever turns back.
    The score is the sum, over the path's points, of the gradient times the way to the next
    point. Special tokens, which have no meaningful neighbours, take the straight path.

    Parameters
    ----------
    n_steps : int, default 50
        Number of points on the path, both ends included.
    method : {"greedy", "maxcount"}, default "greedy"
        Which neighbour comes next: the one that has to be moved least, or the one of which the
        most features need not be moved.
    n_neighbors : int, default 50
        How many nearest neighbours of a token to choose from.
    internal_batch_size : int, optional
        How many points go through the model together at most; by default as many as run fast.
    return_convergence_delta : bool, default False
        Report, as the step score ``deltas``, by how much the scores of a step miss the difference
        in output between input and baseline.
    multiply_by_inputs : bool, default False
        Multiply the scores, which have the path's steps as factors already, by the difference
        between input and baseline, too. They then sum to nothing in particular; ``deltas`` are
        of the scores without the factor.
    tolerance : float, optional
        Use, for each step, only as many points as bring its convergence delta within this share
        of the magnitude of that difference, up to ``n_steps``. Paths of different length are
        different paths: this one chooses among them. The step scores ``n_steps`` and ``deltas``
        tell how many points it were and what is left.
    """

    name: ClassVar[str] = "discretized_integrated_gradients"
    multiplied_label: ClassVar[str] = (
        "gradient × step, summed over a path of tokens, × (input − baseline), sum over features"
    )
    alone_label: ClassVar[str] = "gradient × step, summed over a path of tokens and over features"
    signed: ClassVar[bool] = True
    reduction: ClassVar[str] = "sum"
    takes_gradients: ClassVar[bool] = True
    without: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("cache_dir", "save_cache", "overwrite_cache", "mode", "n_jobs"),
        "neighbours are searched for in the model's memory as paths need them, by Euclidean "
        "distance, and nothing is written to a disk: leave it out.",
    )

    n_steps: int = 50
    method: Strategy = "greedy"
    n_neighbors: int = 50
    internal_batch_size: int | None = None
    return_convergence_delta: bool = False
    multiply_by_inputs: bool = False
    tolerance: float | None = None

    def __post_init__(self) -> None:
        """Refuse keywords that cannot be meant."""
        check_choice("method", self.method, _STRATEGIES)
        check_whole("n_steps", self.n_steps, 2)
        check_whole("n_neighbors", self.n_neighbors, 1)
        if self.internal_batch_size is not None:
            check_whole("internal_batch_size", self.internal_batch_size, 1)
        check_tolerance(self.tolerance, self.method)

    def attribute(self, job: Job) -> BatchScores:
        """See :meth:`AttributionMethod.attribute`."""
        vocabularies = {
            stack: Vocabulary(
                job.model, stack, self.n_neighbors, baseline_id(job.model, self.baseline)
            )
            for stack in job.stacks
        }
        if self.tolerance is None:
            return each_text(job, partial(self._explain, vocabularies=vocabularies))
        tolerance = Tolerance(self.tolerance, self.n_steps)
        explain = partial(self._explain_within, vocabularies=vocabularies, tolerance=tolerance)
        scores = each_text(job, explain)
        tolerance.warn(stacklevel=4)
        return scores

    def _explain(
        self, text: Text, keep: Keep, vocabularies: dict[Stack, Vocabulary]
    ) -> dict[str, Tensor]:
        points = self._path(text, vocabularies, self.n_steps)
        totals = self._keep_sums(text, points, text.steps, 1.0, keep)
        if not self.return_convergence_delta:
            return {}
        return {"deltas": totals - _difference(text, points)}

    def _explain_within(
        self,
        text: Text,
        keep: Keep,
        vocabularies: dict[Stack, Vocabulary],
        tolerance: Tolerance,
    ) -> dict[str, Tensor]:
        """Keep scores of as many points as each step needs."""

        @cache
        def path_of(number: int) -> TokenPaths:
            return self._path(text, vocabularies, number)

        def sums(number: int, n_steps: int) -> Tensor:
            return sums_along(text, path_of(number), n_steps, self.internal_batch_size)

        difference = _difference(text, path_of(self.n_steps))
        needed = tolerance.points_needed(difference, sums)
        totals = torch.zeros(text.example.n_steps, dtype=text.dtype)
        for number, steps in groups_of(needed).items():
            share = number * len(steps) / sum(needed)
            totals += self._keep_sums(text, path_of(number), steps, share, keep)
        tolerance.note(text.example, totals - difference, difference)
        return reported(needed, totals - difference)

    def _path(self, text: Text, vocabularies: dict[Stack, Vocabulary], n_steps: int) -> TokenPaths:
        """Find the path of every input of a text."""
        paths: dict[Stack, Tensor] = {}
        places: dict[Stack, Tensor] = {}
        for stack, start in text.baselines(self).items():
            own = text.embeddings[stack]
            tokens = text.example.source if stack == "source" else text.example.target
            kinds, places[stack], firsts = _kinds(
                [token.id for token in tokens[: len(own)]], (own != start).any(-1)
            )
            paths[stack] = vocabularies[stack].paths(
                kinds, own[firsts], start[firsts], n_steps, self.method
            )
        return TokenPaths(paths, places)

    def _keep_sums(
        self, text: Text, points: TokenPaths, steps: Sequence[int], share: float, keep: Keep
    ) -> Tensor:
        """Hand on the scores of some steps; give their sums, (step,) of the text."""
        totals = torch.zeros(text.example.n_steps, dtype=text.dtype)
        done = summed_over_points(text, points, steps, self.internal_batch_size, share)
        for window, sums in done:
            parts = [score.sum((1, 2)).cpu() for score in sums.values()]
            totals[list(window)] = torch.stack(parts).sum(0)
            if self.multiply_by_inputs:
                for stack, start in text.baselines(self).items():
                    sums[stack] = sums[stack] * (text.embeddings[stack] - start)
            keep(window, sums)
        return totals


def _kinds(ids: list[int], moving: Tensor) -> tuple[list[int], Tensor, list[int]]:
    """Group the positions that share a path: those of the same token that move or stay alike.

    Returns
    -------
    ids : list of int, (kind,)
    places : torch.Tensor of int, (position,)
        The kind of every position.
    firsts : list of int, (kind,)
        The first position of every kind.
    """
    numbers: dict[tuple[int, bool], int] = {}
    firsts: list[int] = []
    places = []
    for position, key in enumerate(zip(ids, moving.tolist(), strict=True)):
        if key not in numbers:
            numbers[key] = len(numbers)
            firsts.append(position)
        places.append(numbers[key])
    return [token_id for token_id, _ in numbers], torch.tensor(places, device=moving.device), firsts


def _difference(text: Text, points: TokenPaths) -> Tensor:
    """Give the difference in output between the text and its baselines, (step,)."""
    trace = text.trace(points.at(slice(0, 1)))
    at_baselines = text.job.values(trace.logits.detach(), trace.step_ids).detach()[0]
    return (text.own_values() - at_baselines).to("cpu", text.dtype)


class TokenPaths(Path):
    """Paths through the embeddings of tokens; each input has its own.

    Parameters
    ----------
    paths : dict of str to torch.Tensor, each (kind, point, feature)
        By stack, from baseline to embedding.
    places : dict of str to torch.Tensor of int, each (position,)
        Which path a position takes.
    """

    def __init__(self, paths: dict[Stack, Tensor], places: dict[Stack, Tensor]) -> None:
        self._paths = paths
        self._places = places
        # From the last point there is no way to go.
        self.n_points = next(iter(paths.values())).shape[1] - 1

    def at(self, points: slice) -> dict[Stack, Tensor]:
        """See :meth:`Points.at`."""
        return {
            stack: path[self._places[stack], points].movedim(1, 0)
            for stack, path in self._paths.items()
        }

    def combine(self, stack: Stack, points: slice, gradients: Tensor) -> Tensor:
        """See :meth:`Points.combine`."""
        ways = self.ways(points)[stack][:, : gradients.shape[2]]
        return torch.einsum("pif,spif->sif", ways, gradients)

    def ways(self, points: slice) -> dict[Stack, Tensor]:
        """See :meth:`Path.ways`."""
        stop = min(points.stop, self.n_points) + 1
        return {
            stack: path[self._places[stack], points.start : stop].diff(dim=1).movedim(1, 0)
            for stack, path in self._paths.items()
        }


class Vocabulary:
    """Finds paths through the embeddings of a stack's vocabulary.

    Neighbours are looked for only of the tokens that paths come by, and remembered.

    Parameters
    ----------
    model : TraceableModel
    stack : {"source", "target"}
    n_neighbors : int
    baseline : int or None
        The token of the baseline, where it is one: no path comes by it before its end.
    """

    def __init__(
        self, model: TraceableModel, stack: Stack, n_neighbors: int, baseline: int | None
    ) -> None:
        self._matrix = at_least_single(model.embedding_matrix(stack))
        self._n_neighbors = min(n_neighbors, len(self._matrix) - 1)
        self._baseline = baseline
        self._special = set(model.tokenizer.all_special_ids)
        self._neighbours: dict[int, Tensor] = {}

    def paths(
        self, ids: list[int], embeddings: Tensor, baselines: Tensor, n_steps: int, strategy: str
    ) -> Tensor:
        """Find the path of some tokens.

        Parameters
        ----------
        ids : list of int, (token,)
        embeddings, baselines : torch.Tensor, (token, feature)
        n_steps : int
            Points of each path, both ends included.
        strategy : {"greedy", "maxcount"}

        Returns
        -------
        torch.Tensor, (token, point, feature)
            From baseline to embedding.
        """
        moving = (embeddings != baselines).any(-1).tolist()
        # An id beyond the vocabulary is one that the tokenizer does not know: padding of the model.
        walks = [
            number
            for number, token_id in enumerate(ids)
            if moving[number] and token_id not in self._special and token_id < len(self._matrix)
        ]
        backwards = torch.linspace(1, 0, n_steps).to(embeddings)[:, None]
        paths = baselines[:, None] + backwards * (embeddings - baselines)[:, None]
        paths[:, 0], paths[:, -1] = embeddings, baselines
        if walks:
            way = self._walk([ids[number] for number in walks], baselines[walks], n_steps, strategy)
            for point in range(1, n_steps - 1):
                anchors = self._anchors(way[point - 1], baselines[walks])
                paths[walks, point] = _moved(
                    anchors, paths[walks, point - 1], baselines[walks], n_steps
                )
        return paths.flip(1)

    def _anchors(self, ids: list[int | None], baselines: Tensor) -> Tensor:
        """Give the embeddings of tokens; None stands for the baseline."""
        rows = torch.tensor([0 if token_id is None else token_id for token_id in ids])
        arrived = torch.tensor([token_id is None for token_id in ids], device=baselines.device)
        anchors = self._matrix[rows.to(baselines.device)].to(baselines)
        return torch.where(arrived[:, None], baselines, anchors)

    def _walk(
        self, ids: list[int], baselines: Tensor, n_steps: int, strategy: str
    ) -> list[list[int | None]]:
        """Choose the tokens that paths come by, point by point; None once there is no more."""
        here: list[int | None] = list(ids)
        visited: list[set[int]] = [{token_id} for token_id in ids]
        if self._baseline is not None:
            for been in visited:
                been.add(self._baseline)
        way = []
        for _ in range(n_steps - 2):
            walking = [number for number, token_id in enumerate(here) if token_id is not None]
            nexts = self._next(
                [token_id for token_id in here if token_id is not None],
                [visited[number] for number in walking],
                baselines[walking],
                n_steps,
                strategy,
            )
            for number, token_id in zip(walking, nexts, strict=True):
                here[number] = token_id
                if token_id is not None:
                    visited[number].add(token_id)
            way.append(list(here))
        return way

    def _next(
        self,
        ids: list[int],
        visited: list[set[int]],
        baselines: Tensor,
        n_steps: int,
        strategy: str,
    ) -> list[int | None]:
        """Choose the token that comes after each; None where no neighbour is left."""
        self._find_neighbours(ids)
        nexts: list[int | None] = []
        size = max(1, _TABLE // (self._n_neighbors * self._matrix.shape[1]))
        for first in range(0, len(ids), size):
            chunk = slice(first, first + size)
            neighbours = torch.stack([self._neighbours[token_id] for token_id in ids[chunk]])
            costs = _costs(
                self._matrix[neighbours].to(baselines),
                self._matrix[ids[chunk]].to(baselines)[:, None],
                baselines[chunk, None],
                n_steps,
                strategy,
            ).tolist()
            for costs_of_one, names, been in zip(
                costs, neighbours.tolist(), visited[chunk], strict=True
            ):
                left = [
                    (cost, place)
                    for place, (cost, name) in enumerate(zip(costs_of_one, names, strict=True))
                    if name not in been
                ]
                nexts.append(names[min(left)[1]] if left else None)
        return nexts

    def _find_neighbours(self, ids: list[int]) -> None:
        """Look for the nearest neighbours of the tokens of which they are not known yet."""
        new = sorted({token_id for token_id in ids if token_id not in self._neighbours})
        size = max(1, _TABLE // len(self._matrix))
        for first in range(0, len(new), size):
            chunk = new[first : first + size]
            distances = torch.cdist(self._matrix[chunk], self._matrix)
            distances[range(len(chunk)), chunk] = torch.inf
            nearest = distances.topk(self._n_neighbors, largest=False).indices
            self._neighbours.update(zip(chunk, nearest, strict=True))


def _between(anchors: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Say which features of anchors lie on the way from ``start`` to ``end``."""
    return (torch.minimum(start, end) <= anchors) & (anchors <= torch.maximum(start, end))


def _moved(anchors: Tensor, start: Tensor, end: Tensor, n_steps: int) -> Tensor:
    """Move what is not on the way from ``start`` to ``end`` a small step along it."""
    return torch.where(_between(anchors, start, end), anchors, start - (start - end) / n_steps)


def _costs(anchors: Tensor, start: Tensor, end: Tensor, n_steps: int, strategy: str) -> Tensor:
    """Say how unsuitable anchors are, (..., anchor): the less, the better."""
    if strategy == "maxcount":
        return -_between(anchors, start, end).sum(-1)
    off: Tensor = torch.linalg.vector_norm(anchors - _moved(anchors, start, end, n_steps), dim=-1)
    return off
