"""Stops early: as many points on a path as bring the sum of the scores near what it should be."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from inseq_widget.methods.keywords import check_number
from inseq_widget.methods.quadrature import numbers_to_try
from inseq_widget.models import Example

# Gives, of a number of points and of steps, what the scores of each step would sum to, (step,).
Sums = Callable[[int, int], Tensor]


def check_tolerance(tolerance: float | None, method: str, only: str | None = None) -> None:
    """Refuse what is no share, and rules whose error does not shrink as is expected here.

    Parameters
    ----------
    tolerance : float or None
    method : str
        Where the points lie.
    only : str, optional
        The only rule that goes with a tolerance.

    Raises
    ------
    ValueError
    """
    if tolerance is None:
        return
    check_number("tolerance", tolerance, positive=True)
    if only is not None and method != only:
        raise ValueError(
            f"tolerance: works with method={only!r} only, but method={method!r} was given."
        )


@dataclass
class Tolerance:
    """How near the scores of a step have to come to what they should sum to.

    Parameters
    ----------
    share : float
        Of the magnitude of what they should sum to.
    n_steps : int
        How many points there are at most.
    """

    share: float
    n_steps: int
    _missed: list[tuple[float, str]] = field(default_factory=list)

    def points_needed(self, differences: Tensor, sums: Sums) -> list[int]:
        """Find the number of points that brings each step within the tolerance.

        A number counts when the next larger one that is tried is within it, too: a delta can
        pass through zero by chance. Steps that not even all points bring within it are not tried
        any further.

        Parameters
        ----------
        differences : torch.Tensor, (step,)
            What the scores of each step should sum to.
        sums : callable

        Returns
        -------
        list of int, (step,)
        """

        def within(steps: Sequence[int], number: int) -> set[int]:
            stop = max(steps) + 1
            fine = self._is_near(sums(number, stop) - differences[:stop], differences[:stop])
            return {step for step in steps if fine[step]}

        needed = [self.n_steps] * len(differences)
        *smaller, largest = numbers_to_try(self.n_steps)
        pending = sorted(within(range(len(differences)), largest))
        met_before: dict[int, int] = {}
        for number in smaller:
            if not pending:
                break
            near = within(pending, number)
            for step in near & met_before.keys():
                needed[step] = met_before[step]
            pending = [step for step in pending if not (step in near and step in met_before)]
            met_before = dict.fromkeys(near, number)
        for step in pending:
            needed[step] = met_before.get(step, self.n_steps)
        return needed

    def note(self, example: Example, deltas: Tensor, differences: Tensor) -> None:
        """Remember the steps of a text that are not within the tolerance.

        Parameters
        ----------
        example : Example
        deltas, differences : torch.Tensor, (step,)
        """
        for step in (~self._is_near(deltas, differences)).nonzero()[:, 0].tolist():
            off = float(deltas[step].abs() / differences[step].abs())
            self._missed.append((off, example.target[example.start + step].label))

    def warn(self, stacklevel: int) -> None:
        """Tell which steps are not within the tolerance, if any."""
        if not self._missed:
            return
        worst, label = max(self._missed)
        warnings.warn(
            f"tolerance: {len(self._missed)} steps are not within {self.share:g} of the "
            f"difference in output with n_steps={self.n_steps} points; the worst, {label!r}, "
            f"is off by {worst:.3g} of it. Raise n_steps, or look at the step scores "
            "'n_steps' and 'deltas'.",
            stacklevel=stacklevel + 1,
        )

    def _is_near(self, deltas: Tensor, differences: Tensor) -> Tensor:
        return deltas.abs() <= self.share * differences.abs()


def groups_of(needed: Sequence[int]) -> dict[int, list[int]]:
    """Group steps by the number of points that they need.

    Parameters
    ----------
    needed : sequence of int, (step,)

    Returns
    -------
    dict of int to list of int
        From the smallest number on.
    """
    return {
        number: [step for step, own in enumerate(needed) if own == number]
        for number in sorted(set(needed))
    }


def reported(needed: Sequence[int], deltas: Tensor) -> dict[str, Tensor]:
    """Give the step scores of a path with a tolerance, each (step,)."""
    return {"n_steps": torch.tensor(needed), "deltas": deltas}
