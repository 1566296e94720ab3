"""The largest numbers of each step: what the tables in text and in HTML show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from inseq_widget.explore.protocol import TokenSpec
from inseq_widget.render.view import View


@dataclass(frozen=True)
class TopStep:
    """A step and its largest numbers.

    Attributes
    ----------
    step : int
        Index along the ``step`` dimension.
    token : TokenSpec
        The generated token.
    probability : float or None
        Where it was reported.
    inputs : list of (TokenSpec, float)
        Inputs with their signed numbers, the largest magnitude first.
    """

    step: int
    token: TokenSpec
    probability: float | None
    inputs: list[tuple[TokenSpec, float]]


def top_steps(view: View, k: int) -> Iterator[TopStep]:
    """Go through the steps of a sequence with their ``k`` largest numbers each.

    Parameters
    ----------
    view : View
        Its steps and inputs count: what it leaves out is left out here, too.
    k : int
        Fewer where fewer inputs have a score.

    Yields
    ------
    TopStep
    """
    spec, inputs = view.sequence, view.row_tokens
    for place, column in enumerate(view.columns):
        step = spec["steps"][column]
        values = view.values[:, place]
        # Missing ones sort to the end; equal ones keep the order of the text.
        order = np.argsort(-np.abs(values), kind="stable")[:k]
        yield TopStep(
            step=column,
            token=spec["tokens"][step["token"]],
            probability=step["step_scores"].get("probability"),
            inputs=[
                (inputs[row], float(values[row])) for row in order if not np.isnan(values[row])
            ],
        )
