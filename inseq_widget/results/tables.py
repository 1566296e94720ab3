"""Tables and dictionaries made from the scores of a sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from inseq_widget.results.reductions import share_of_step
from inseq_widget.results.selecting import step_index

if TYPE_CHECKING:
    from inseq_widget.results.sequence import FeatureAttributionSequenceOutput

ScoresDict = dict[tuple[int, str], dict[tuple[int, str], float]]
StepScoresDict = dict[tuple[int, str], dict[str, float]]


def scores_dicts(
    sequence: FeatureAttributionSequenceOutput, scores: xr.DataArray
) -> dict[str, ScoresDict | StepScoresDict]:
    """Give scores as nested dictionaries, in Inseq's form.

    Parameters
    ----------
    sequence : FeatureAttributionSequenceOutput
    scores : xarray.DataArray, (input, step)
        Its scores, aggregated or not.

    Returns
    -------
    dict
        ``"source_attributions"``, ``"target_attributions"`` and ``"step_scores"``.
    """
    inputs, steps = sequence.inputs, sequence.steps
    values = scores.to_numpy()
    source: ScoresDict = {}
    target: ScoresDict = {}
    named: StepScoresDict = {}
    for column, step in enumerate(steps):
        key = (step.position, step.piece)
        source[key], target[key] = {}, {}
        for row in np.flatnonzero(~np.isnan(values[:, column])):
            token = inputs[row]
            side = source if token.side == "source" else target
            side[key][token.position, token.piece] = float(values[row, column])
        named[key] = {name: float(row[column]) for name, row in sequence.step_scores.items()}
    return {"source_attributions": source, "target_attributions": target, "step_scores": named}


def scores_table(sequence: FeatureAttributionSequenceOutput) -> pd.DataFrame:
    """Give the scores as a table with one row for each input of each step.

    Parameters
    ----------
    sequence : FeatureAttributionSequenceOutput

    Returns
    -------
    pandas.DataFrame
        See :meth:`FeatureAttributionSequenceOutput.to_dataframe`.
    """
    scores = sequence.scores.to_numpy()
    shares = share_of_step(sequence.scores).to_numpy()
    columns, rows = np.nonzero(~np.isnan(scores.T))
    inputs, steps = sequence.inputs, sequence.steps
    frame = pd.DataFrame(
        {
            "step_position": [steps[column].position for column in columns],
            "step_token": [steps[column].text for column in columns],
            "step_id": [steps[column].id for column in columns],
            "input_side": [inputs[row].side for row in rows],
            "input_position": [inputs[row].position for row in rows],
            "input_token": [inputs[row].text for row in rows],
            "input_id": [inputs[row].id for row in rows],
            "score": scores[rows, columns],
            "share": shares[rows, columns],
        }
    )
    magnitudes = frame["score"].abs().groupby(frame["step_position"])
    frame["rank"] = magnitudes.rank(method="first", ascending=False).astype(int)
    for name, values in sequence.step_scores.items():
        frame[name] = values.numpy()[columns]
    return frame


def ranked_tokens(
    sequence: FeatureAttributionSequenceOutput, step: int, k: int | None
) -> pd.DataFrame:
    """Give the inputs of a step with the largest magnitudes.

    Parameters
    ----------
    sequence : FeatureAttributionSequenceOutput
    step : int
    k : int or None

    Returns
    -------
    pandas.DataFrame
        See :meth:`FeatureAttributionSequenceOutput.rank_tokens`.
    """
    check_k(k)
    column = step_index(step, len(sequence.steps), "step")
    scores = sequence.scores[:, [column]]
    shares = share_of_step(scores).to_numpy()[:, 0]
    values = scores.to_numpy()[:, 0]
    rows = np.flatnonzero(~np.isnan(values))
    rows = rows[np.argsort(-np.abs(values[rows]), kind="stable")][:k]
    tokens = [sequence.inputs[row] for row in rows]
    return pd.DataFrame(
        {
            "position": [token.position for token in tokens],
            "side": [token.side for token in tokens],
            "token": [token.text for token in tokens],
            "score": values[rows],
            "share": shares[rows],
            "rank": range(1, len(tokens) + 1),
        }
    )


def check_k(k: int | None) -> None:
    """Check how many of the largest are asked for.

    Parameters
    ----------
    k : int or None
        None for all.

    Raises
    ------
    TypeError, ValueError
        For something else than a positive integer.
    """
    if k is None:
        return
    if isinstance(k, bool) or not isinstance(k, int | np.integer):
        raise TypeError(f"k: {k!r} given; an integer works.")
    if k < 1:
        raise ValueError(f"k: {k} given; choose 1 or more.")
