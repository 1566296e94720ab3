"""What else a model might have written at a step."""

from __future__ import annotations

import torch

from inseq_widget.arguments import check_count
from inseq_widget.models import Example, TraceableModel
from inseq_widget.models.precision import at_least_single
from inseq_widget.results import FeatureAttributionSequenceOutput
from inseq_widget.results.alternatives import (
    AlternativeToken,
    StepAlternatives,
    check_whole_text,
)
from inseq_widget.scores.foils import token_at


def most_probable(
    model: TraceableModel, sequence: FeatureAttributionSequenceOutput, step: int, k: int
) -> StepAlternatives:
    """Find the most probable tokens at a step; see :meth:`AttributionModel.alternatives`."""
    check_whole_text(sequence, step)
    check_count("k", k)
    start = sequence.attr_pos_start + step % len(sequence.steps)
    target = sequence.target[start]
    source = () if sequence.architecture == "decoder_only" else tuple(sequence.source)
    example = Example(source, tuple(sequence.target), start, start, start + 1)
    trace = model.trace([example])
    probabilities = torch.softmax(at_least_single(trace.logits[0, 0]), dim=-1)
    values, ids = probabilities.topk(min(k, len(probabilities)))
    own = float(probabilities[target.id])
    rank = 1 + int((probabilities > own).sum())
    ranked = zip(ids.tolist(), values.tolist(), range(1, len(ids) + 1), strict=True)
    return StepAlternatives(
        AlternativeToken(target, own, rank),
        [
            AlternativeToken(token_at(model, example, 0, token_id), probability, place)
            for token_id, probability, place in ranked
        ],
    )
