"""The largest shares of each step: what the tables in text and in HTML show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from inseq_widget.explore.figure import Figure
from inseq_widget.explore.protocol import TokenSpec


@dataclass(frozen=True)
class TopStep:
    """A step and its largest shares.

    Attributes
    ----------
    step : int
        Index along the ``step`` dimension.
    token : TokenSpec
        The generated token.
    probability : float or None
        Where it was reported.
    inputs : list of (TokenSpec, float)
        Inputs with their signed shares, the largest magnitude first.
    """

    step: int
    token: TokenSpec
    probability: float | None
    inputs: list[tuple[TokenSpec, float]]


def top_steps(figure: Figure, sequence: int, k: int) -> Iterator[TopStep]:
    """Go through the steps of a sequence with their ``k`` largest shares each.

    Parameters
    ----------
    figure : Figure
    sequence : int
    k : int
        Fewer where fewer inputs have a score.

    Yields
    ------
    TopStep
    """
    spec = figure.spec["sequences"][sequence]
    shares = figure.shares(sequence)
    for column, step in enumerate(spec["steps"]):
        values = shares[:, column]
        # Missing ones sort to the end; equal ones keep the order of the text.
        order = np.argsort(-np.abs(values), kind="stable")[:k]
        yield TopStep(
            step=column,
            token=spec["tokens"][step["token"]],
            probability=step["step_scores"].get("probability"),
            inputs=[
                (spec["tokens"][spec["inputs"][row]], float(values[row]))
                for row in order
                if not np.isnan(values[row])
            ],
        )
