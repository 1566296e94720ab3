"""Contrastive functions explained by a loop over steps, under several methods."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

import inseq_widget as iw
from inseq_widget.results import FeatureAttributionSequenceOutput
from tests.parity.formulas import CONTRASTIVE, Other, Seen, logits_after
from tests.parity.stepwise import SIDES, Step, steps_of

PATH_POINTS = 3
WITHOUT_FORCE = sorted(set(CONTRASTIVE) - {"kl_divergence"})
WITH_FORCE = sorted(set(CONTRASTIVE) - {"contrast_logits", "contrast_prob"})
ASKED = [*((name, False) for name in WITHOUT_FORCE), *((name, True) for name in WITH_FORCE)]
Value = Callable[..., Tensor]


@dataclass(frozen=True)
class Side:
    """The contrastive side of one step: ids that are read for it, and the foil."""

    source: list[int]
    prefix: list[int]
    foil: int


def sides_of(other: Other) -> list[Side]:
    """Cut a contrastive text into what each step sees of it."""
    return [Side(other.source, other.target[:place], other.target[place]) for place in other.places]


def seen(
    model: iw.AttributionModel,
    sequence: FeatureAttributionSequenceOutput,
    column: int,
    side: Side,
) -> Seen:
    """Run the model on the regular and on the contrastive prefix of one step."""
    position = sequence.attr_pos_start + column
    own = [token.id for token in sequence.target]
    source = [token.id for token in sequence.source]
    return Seen(
        logits_after(model.model, source, own[:position]),
        own[position],
        logits_after(model.model, side.source, side.prefix),
        side.foil,
    )


def steps_with_values(
    model: iw.AttributionModel,
    sequence: FeatureAttributionSequenceOutput,
    sides: Sequence[Side],
    name: str,
    force: bool,
) -> Iterator[tuple[Step, Value]]:
    """Give each step with the contrastive function of its embeddings alone."""
    for step in steps_of(model, sequence, ("source", "target")):
        side = sides[step.column]
        elsewhere = logits_after(model.model, side.source, side.prefix)
        token = sequence.target[sequence.attr_pos_start + step.column].id

        def value(
            *embedded: Tensor,
            step: Step = step,
            elsewhere: Tensor = elsewhere,
            token: int = token,
            foil: int = side.foil,
        ) -> Tensor:
            given = dict(zip(step.model.names, embedded, strict=True))
            logits = step.model.model(**given, use_cache=False).logits[0, -1]
            return CONTRASTIVE[name](Seen(logits, token, elsewhere if force else logits, foil))

        yield step, value


def gradients(value: Value, embedded: Sequence[Tensor]) -> list[Tensor]:
    """Differentiate a step's value at some embeddings, each (position, feature)."""
    leaves = [x.detach().clone().requires_grad_() for x in embedded]
    return [gradient[0] for gradient in torch.autograd.grad(value(*leaves), leaves)]


def saliency(step: Step, value: Value) -> list[Tensor]:
    return [gradient.abs() for gradient in gradients(value, list(step.inputs.values()))]


def input_x_gradient(step: Step, value: Value) -> list[Tensor]:
    own = list(step.inputs.values())
    return [x[0] * gradient for x, gradient in zip(own, gradients(value, own), strict=True)]


def integrated_gradients(step: Step, value: Value) -> list[Tensor]:
    own, starts = list(step.inputs.values()), list(step.baselines.values())
    totals = [torch.zeros_like(x[0]) for x in own]
    for place, weight in zip(*np.polynomial.legendre.leggauss(PATH_POINTS), strict=True):
        here = [b + (1 + place) / 2 * (x - b) for x, b in zip(own, starts, strict=True)]
        for total, gradient in zip(totals, gradients(value, here), strict=True):
            total += weight / 2 * gradient
    return [total * (x - b)[0] for total, x, b in zip(totals, own, starts, strict=True)]


def occlusion(step: Step, value: Value) -> list[Tensor]:
    """Replace one token after the other by its baseline, each (position, 1)."""
    scores = []
    with torch.no_grad():
        clean = value(*step.inputs.values())
        for stack, own in step.inputs.items():
            rows = []
            for position in range(own.shape[1]):
                changed = own.clone()
                changed[:, position] = step.baselines[stack][:, position]
                rows.append((clean - value(*{**step.inputs, stack: changed}.values())).abs())
            scores.append(torch.stack(rows)[:, None])
    return scores


NAIVE = {
    "saliency": saliency,
    "input_x_gradient": input_x_gradient,
    "integrated_gradients": integrated_gradients,
    "occlusion": occlusion,
}


def compared(
    model: iw.AttributionModel,
    sequence: FeatureAttributionSequenceOutput,
    method: str,
    name: str,
    force: bool,
    sides: Sequence[Side],
) -> tuple[np.ndarray, np.ndarray]:
    """Give all scores of a sequence beside those of a loop over its steps."""
    raw = sequence.raw_scores if method != "occlusion" else sequence.scores
    values = raw.to_numpy().reshape(*raw.shape[:2], -1)
    naive, actual = [], []
    for step, value in steps_with_values(model, sequence, sides, name, force):
        for stack, expected in zip(step.inputs, NAIVE[method](step, value), strict=True):
            column = values[:, step.column]
            rows = np.isin(raw.input_side, SIDES[stack]) & ~np.isnan(column).any(-1)
            assert column[rows].shape == expected.shape
            actual.append(column[rows].ravel())
            naive.append(expected.numpy().ravel())
    return np.concatenate(actual), np.concatenate(naive)
