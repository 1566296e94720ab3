"""Weights the scores of each step by what is known of the step itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inseq_widget.results.deriving import derived_info

if TYPE_CHECKING:
    from inseq_widget.results.sequence import FeatureAttributionSequenceOutput


def check_step_score(sequence: FeatureAttributionSequenceOutput, name: str) -> None:
    """Check that a sequence has a step score.

    Parameters
    ----------
    sequence : FeatureAttributionSequenceOutput
    name : str

    Raises
    ------
    ValueError
        It lists those that are there.
    """
    if name not in sequence.step_scores:
        there = ", ".join(sequence.step_scores) or "none"
        raise ValueError(
            f"weight_attributions: {name!r} is no step score of this result; there are: {there}. "
            "attribute(..., step_scores=[…]) adds others."
        )


def weight(sequence: FeatureAttributionSequenceOutput, name: str) -> None:
    """Aggregate a sequence by default and multiply each step by a step score, in place.

    Parameters
    ----------
    sequence : FeatureAttributionSequenceOutput
    name : str
        Name of the step score.

    Raises
    ------
    ValueError
        For a step score that is not there.
    """
    check_step_score(sequence, name)
    aggregated = sequence.aggregate()
    shares, weights = aggregated.scores, sequence.step_scores[name].numpy()
    info = derived_info(aggregated.info, f"multiplied by {name}")
    info["score_label"] = f"({info['score_label']}) × {name}"
    info["signed"] = bool((shares < 0).any()) or bool((weights < 0).any())
    sequence.kept = {"raw": shares.copy(data=shares.to_numpy() * weights)}
    sequence.reduction = aggregated.reduction
    sequence.info = info
    sequence.live_model = None
