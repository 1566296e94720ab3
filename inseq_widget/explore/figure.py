"""Turns a result into what a heatmap shows: its figure, and its scores as bytes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inseq_widget.explore.protocol import FigureSpec, SequenceSpec, StepSpec, TokenSpec
from inseq_widget.results import (
    FeatureAttributionOutput,
    FeatureAttributionSequenceOutput,
    Token,
)

# Below so many cells an outlier is worth seeing as the end of the scale.
_FEW_CELLS = 100
_ROBUST_PERCENTILE = 98.0

_WIRE = np.dtype("<f4")


@dataclass(frozen=True)
class Figure:
    """What a heatmap shows.

    Attributes
    ----------
    spec : FigureSpec
    scores : bytes
        Little-endian float32 values, the matrices of all sequences behind each other.
    """

    spec: FigureSpec
    scores: bytes

    def matrix(self, sequence: int) -> npt.NDArray[np.float32]:
        """Give the scores of a sequence, (input, step); NaN where one is missing."""
        spec = self.spec["sequences"][sequence]
        shape = (len(spec["inputs"]), len(spec["steps"]))
        values = np.frombuffer(
            self.scores, _WIRE, count=math.prod(shape), offset=spec["offset"] * _WIRE.itemsize
        )
        return values.reshape(shape).astype(np.float32)

    def shares(self, sequence: int) -> npt.NDArray[np.float64]:
        """Give the scores of a sequence as signed shares of their step, (input, step)."""
        totals = [step["total"] for step in self.spec["sequences"][sequence]["steps"]]
        return _shares(self.matrix(sequence).astype(np.float64), np.asarray(totals))

    def mean_shares(self, sequence: int) -> npt.NDArray[np.float64]:
        """Give the mean share of every input over the steps that have it, (input,)."""
        shares = self.shares(sequence)
        present = ~np.isnan(shares)
        counts = present.sum(axis=1)
        sums = np.where(present, shares, 0.0).sum(axis=1)
        return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def make_figure(output: FeatureAttributionOutput) -> Figure:
    """Make the figure of a result.

    Parameters
    ----------
    output : FeatureAttributionOutput

    Returns
    -------
    Figure
        Scores that float32 cannot hold count as missing.
    """
    info = output.info
    sequences: list[SequenceSpec] = []
    matrices: list[npt.NDArray[np.float32]] = []
    offset = 0
    for sequence in output:
        with np.errstate(over="ignore"):
            matrix = sequence.scores.to_numpy().astype(_WIRE)
        matrix[~np.isfinite(matrix)] = np.nan
        sequences.append(_sequence_spec(sequence, matrix, offset))
        matrices.append(matrix)
        offset += matrix.size
    spec = FigureSpec(
        model=wire_text(info["model_name"]),
        method=info["attribution_method"],
        attributed_fn=info["attributed_fn"],
        reduction=_shown_reduction(output),
        score_label=info["score_label"],
        signed=info["signed"],
        sequences=sequences,
    )
    return Figure(spec, b"".join(matrix.tobytes() for matrix in matrices))


def _shown_reduction(output: FeatureAttributionOutput) -> str | None:
    """Name the reduction; None where a score is one number from the start."""
    if not len(output):
        return output.info["reduction"]
    return output[0].reduction if output[0].is_reduced else None


def wire_text(text: str) -> str:
    """Give a text that JSON and UTF-8 can carry: surrogates without a partner become U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def colour_domain(shares: npt.NDArray[np.float64]) -> float:
    """Find the share at the end of the colour scale, so that an outlier does not pale the rest.

    Parameters
    ----------
    shares : numpy.ndarray, (input, step)
        Missing ones are NaN.

    Returns
    -------
    float
        The 98th percentile of the magnitudes that are there, or the largest of them in a small
        matrix or where most are 0; 1 where all of them are. Always above 0.
    """
    magnitudes = np.abs(shares[~np.isnan(shares)])
    if not magnitudes.size or magnitudes.max() == 0:
        return 1.0
    if magnitudes.size >= _FEW_CELLS:
        robust = float(np.percentile(magnitudes, _ROBUST_PERCENTILE))
        if robust > 0:
            return robust
    return float(magnitudes.max())


def _shares(
    matrix: npt.NDArray[np.float64], totals: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    shares: npt.NDArray[np.float64] = matrix / np.where(totals > 0, totals, 1.0)
    return shares


def _sequence_spec(
    sequence: FeatureAttributionSequenceOutput, matrix: npt.NDArray[np.float32], offset: int
) -> SequenceSpec:
    # A decoder-only model's prompt is the beginning of its target: it is shown once.
    before = [] if sequence.architecture == "decoder_only" else sequence.source
    n_inputs = len(matrix)
    n_source = sum(token.side == "source" for token in sequence.inputs)
    target_rows = range(len(before), len(before) + n_inputs - n_source)
    values = matrix.astype(np.float64)
    totals = np.nansum(np.abs(values), axis=0)
    shares = _shares(values, totals)
    present = np.abs(shares[~np.isnan(shares)])
    step_scores = {name: values.tolist() for name, values in sequence.step_scores.items()}
    return SequenceSpec(
        architecture=sequence.architecture,
        tokens=[_token_spec(token) for token in [*before, *sequence.target]],
        inputs=[*range(n_source), *target_rows],
        steps=[
            StepSpec(
                token=len(before) + sequence.attr_pos_start + column,
                total=float(total),
                step_scores={
                    name: row[column] if math.isfinite(row[column]) else None
                    for name, row in step_scores.items()
                },
            )
            for column, total in enumerate(totals)
        ],
        offset=offset,
        domain=colour_domain(shares),
        largest=float(present.max()) if present.size else 0.0,
    )


def _token_spec(token: Token) -> TokenSpec:
    return TokenSpec(
        text=wire_text(token.text),
        piece=wire_text(token.piece),
        id=token.id,
        position=token.position,
        side=token.side,
        special=token.special,
        word=token.word,
    )
