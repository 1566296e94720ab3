"""Where on a path a gradient is taken, and how much each place counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

GAUSS_LEGENDRE = "gausslegendre"
# Numbers of nodes that are tried one after the other, each about 4/3 to 3/2 of the one before.
_LADDER = (4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)


@dataclass(frozen=True)
class Nodes:
    """The points of a rule that integrates from 0 to 1.

    Attributes
    ----------
    alphas : tuple of float
        Where they lie, in ascending order.
    weights : tuple of float
        How much each counts.
    """

    alphas: tuple[float, ...]
    weights: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.alphas)


def _gauss_legendre(n_steps: int) -> Nodes:
    places, weights = np.polynomial.legendre.leggauss(n_steps)
    return Nodes(tuple(((1 + places) / 2).tolist()), tuple((weights / 2).tolist()))


def _riemann(offset: float) -> Callable[[int], Nodes]:
    """Make the rule that takes each of equal parts at the same share of its width."""

    def rule(n_steps: int) -> Nodes:
        alphas = (np.arange(n_steps) + offset) / n_steps
        return Nodes(tuple(alphas.tolist()), (1 / n_steps,) * n_steps)

    return rule


def _trapezoid(n_steps: int) -> Nodes:
    """Take both ends at half the weight.

    The weights are those of ``n_steps`` parts although there is one part fewer, as captum has
    them, so that the same arguments give the same scores.
    """
    weights = np.full(n_steps, 1 / n_steps)
    weights[[0, -1]] /= 2
    return Nodes(tuple(np.linspace(0, 1, n_steps).tolist()), tuple(weights.tolist()))


RULES: dict[str, Callable[[int], Nodes]] = {
    GAUSS_LEGENDRE: _gauss_legendre,
    "riemann_left": _riemann(0.0),
    "riemann_right": _riemann(1.0),
    "riemann_middle": _riemann(0.5),
    "riemann_trapezoid": _trapezoid,
}


def nodes_of(method: str, n_steps: int) -> Nodes:
    """Give the points of a rule.

    Parameters
    ----------
    method : str
        A name among ``RULES``.
    n_steps : int
        How many points.

    Returns
    -------
    Nodes
    """
    return RULES[method](n_steps)


def numbers_to_try(n_steps: int) -> Sequence[int]:
    """Name the numbers of points to try, ascending, the largest one last.

    Parameters
    ----------
    n_steps : int
        The largest.

    Returns
    -------
    sequence of int
    """
    return [*(number for number in _LADDER if number < n_steps), n_steps]
