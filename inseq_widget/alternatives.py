"""What else a model might have written at a step."""

from __future__ import annotations

import torch

from inseq_widget.arguments import check_count
from inseq_widget.models import Example, TraceableModel
from inseq_widget.models.precision import at_least_single
from inseq_widget.models.text import tokens_of_ids
from inseq_widget.results import FeatureAttributionSequenceOutput
from inseq_widget.results.alternatives import AlternativeToken, StepAlternatives


def most_probable(
    model: TraceableModel, sequence: FeatureAttributionSequenceOutput, step: int, k: int
) -> StepAlternatives:
    """Find the most probable tokens at a step; see :meth:`AttributionModel.alternatives`."""
    n_steps = len(sequence.steps)
    if not -n_steps <= step < n_steps:
        raise ValueError(f"step: {step} given; there are {n_steps} steps, 0 to {n_steps - 1}.")
    check_count("k", k)
    start = sequence.attr_pos_start + step % n_steps
    target = sequence.target[start]
    source = () if sequence.architecture == "decoder_only" else tuple(sequence.source)
    example = Example(source, tuple(sequence.target), start, start, start + 1)
    trace = model.trace([example])
    probabilities = torch.softmax(at_least_single(trace.logits[0, 0]), dim=-1)
    values, ids = probabilities.topk(min(k, len(probabilities)))
    before = [token.id for token in sequence.target[:start]]

    def alternative(token_id: int, probability: float, rank: int) -> AlternativeToken:
        (token,) = tokens_of_ids(
            model.tokenizer, [token_id], "target", first_position=start, context=before
        )
        return AlternativeToken(token, probability, rank)

    own = float(probabilities[target.id])
    rank = 1 + int((probabilities > own).sum())
    ranked = zip(ids.tolist(), values.tolist(), range(1, len(ids) + 1), strict=True)
    return StepAlternatives(
        AlternativeToken(target, own, rank), [alternative(*entry) for entry in ranked]
    )
