"""The features of a text as players: the output of every step, with only some of them there."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from inseq_widget.methods.base import Job
from inseq_widget.methods.features import Features
from inseq_widget.methods.perturbed import PerturbedRuns, WithRuns
from inseq_widget.models import Example, Stack


class Coalitions:
    """Runs of one text in which a coalition of its features is there, the others replaced.

    Features that are their own baseline are no players: nothing changes without them.

    Parameters
    ----------
    job : Job
    example : Example
        The text; one of the job's.
    features : Features
    method : WithRuns
        It knows what stands in the place of a feature that is not in the coalition.

    Attributes
    ----------
    clean : torch.Tensor, (step,)
        The attributed function with every player there. On the CPU, as all that is given here.
    n_players : int
    """

    def __init__(self, job: Job, example: Example, features: Features, method: WithRuns) -> None:
        self._runs = PerturbedRuns(job, example, features, method)
        self._players = self._runs.replaceable.nonzero()[:, 0]
        self._visible = self._runs.visible[self._players]
        self._advance = job.advance
        self.clean = self._runs.clean
        self.n_players = len(self._players)

    def values(self, taking: Tensor, share: float) -> Tensor:
        """Compute the attributed function of coalitions.

        Parameters
        ----------
        taking : torch.Tensor of bool, (coalition, player)
        share : float
            What share of the work on the text this is; the job's progress is told of it.

        Returns
        -------
        torch.Tensor, (coalition, step)
        """
        if not self.n_players or not len(taking):
            self._advance(share)
            return self.clean.repeat(len(taking), 1)
        keep = torch.ones(len(taking), self._runs.n_features, dtype=torch.bool)
        keep[:, self._players] = taking
        return self._runs.values(keep, share)

    def by_visible(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Group the steps that see the same players: each group is a game of its own.

        Yields
        ------
        players, steps : torch.Tensor of int
            The players that the steps see, at least one, and the steps.
        """
        games: dict[tuple[int, ...], list[int]] = {}
        for step, visible in enumerate(self._visible.T):
            games.setdefault(tuple(visible.nonzero()[:, 0].tolist()), []).append(step)
        for players, steps in games.items():
            if players:
                yield torch.tensor(players), torch.tensor(steps)

    def spread(self, scores: Tensor) -> dict[Stack, Tensor]:
        """Give every position the score of its feature.

        Parameters
        ----------
        scores : torch.Tensor, (player, step)

        Returns
        -------
        dict of str to torch.Tensor, each (position, step)
            0 where a feature is no player, NaN at positions that no feature has.
        """
        whole = self.clean.new_zeros(self._runs.n_features, len(self.clean))
        whole[self._players] = scores.to(whole)
        return self._runs.spread(whole)
