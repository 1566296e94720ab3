"""Small models with texts, and each step's value as a plain function of its embeddings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

import inseq_widget as iw
from inseq_widget.results import FeatureAttributionOutput, FeatureAttributionSequenceOutput
from tests.parity import naive
from tests.parity.conftest import Case
from tests.parity.tiny import tiny_bart, tiny_llama

TOLERANCE = 1e-9  # of the largest score, in double precision
KINDS = ["decoder_only", "encoder_decoder"]
SIDES = {"source": ("source",), "target": ("prompt", "target")}


def make_case(kind: str, tokenizer: PreTrainedTokenizerBase) -> Case:
    """Make a tiny model in double precision with weights large enough to bend its paths."""
    model = (tiny_llama() if kind == "decoder_only" else tiny_bart()).double()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() == 2:
                weight *= 4
    wrapped = iw.load_model(model, "saliency", tokenizer=tokenizer)
    texts = ["The nurse said that", "Water boils at"]
    ends = [" she was tired.", " one hundred degrees today."]
    if kind == "encoder_decoder":
        return Case(wrapped, texts, ends)
    return Case(wrapped, texts, [text + end for text, end in zip(texts, ends, strict=True)])


def explained(case: Case, method: str, /, **keywords: object) -> FeatureAttributionOutput:
    """Explain a case with a method's keywords, ``method`` among them, and raw scores kept."""
    model = iw.load_model(case.model.model, method, tokenizer=case.model.tokenizer, **keywords)
    return model.attribute(
        case.texts,
        case.targets,
        show_progress=False,
        attribute_target=bool(case.model.model.config.is_encoder_decoder),
        granular=True,
    )


def raw_rows(sequence: FeatureAttributionSequenceOutput, column: int, stack: str) -> Tensor:
    """Take the raw scores of one step at the inputs of a stack that come before it."""
    raw = sequence.raw_scores
    rows = np.isin(raw.input_side, SIDES[stack]) & ~np.isnan(raw.to_numpy()[:, column, 0])
    return torch.from_numpy(raw.to_numpy()[rows, column])


@dataclass(frozen=True)
class Step:
    """One step on its own: embeddings, baselines, and its value as a function of embeddings."""

    stacks: tuple[str, ...]
    inputs: tuple[Tensor, ...]  # each (1, position, feature)
    baselines: tuple[Tensor, ...]  # each (1, position, feature)
    value: Callable[..., Tensor]  # of tensors (batch, position, feature), gives (batch,)


def step_of(case: Case, sequence: FeatureAttributionSequenceOutput, column: int) -> Step:
    """Take a step apart; the baseline is the unknown token, but for tokens that stay."""
    model, tokenizer = case.model.model, case.model.tokenizer
    position = sequence.attr_pos_start + column
    token = sequence.target[position].id
    _, inputs = naive.step_logits(model, sequence, position)
    names = tuple(inputs)
    unknown = torch.tensor([tokenizer.unk_token_id])
    baselines = []
    for name in names:
        ids = [
            token.id
            for token in (sequence.target[:position] if name == "target" else sequence.source)
        ]
        stays = [token_id == tokenizer.eos_token_id for token_id in ids]
        if name == "target" and sequence.architecture == "encoder_decoder":
            stays[0] = True
        own = inputs[name].detach()
        saying_nothing = _embedding(model, name)(unknown)[0].detach()
        baselines.append(torch.where(torch.tensor(stays)[None, :, None], own, saying_nothing))

    def value(*embedded: Tensor) -> Tensor:
        keyword = {"source": "inputs_embeds", "target": "decoder_inputs_embeds"}
        if sequence.architecture == "decoder_only":
            keyword = {"target": "inputs_embeds"}
        given = {keyword[name]: x for name, x in zip(names, embedded, strict=True)}
        return model(**given, use_cache=False).logits[:, -1].softmax(-1)[:, token]

    return Step(names, tuple(x.detach() for x in inputs.values()), tuple(baselines), value)


def _embedding(model: PreTrainedModel, stack: str) -> torch.nn.Module:
    if not model.config.is_encoder_decoder:
        return model.get_input_embeddings()
    side = model.get_encoder() if stack == "source" else model.get_decoder()
    return side.get_input_embeddings()


def value_alone(step: Step, embedded: tuple[Tensor, ...]) -> float:
    """Give a step's value at some embeddings."""
    with torch.no_grad():
        return float(step.value(*embedded)[0])


def gradients_alone(step: Step, embedded: tuple[Tensor, ...]) -> list[Tensor]:
    """Give a step's gradient at some embeddings, each (position, feature)."""
    leaves = [x.detach().clone().requires_grad_() for x in embedded]
    return [grad[0] for grad in torch.autograd.grad(step.value(*leaves).sum(), leaves)]


def assert_rows_equal(
    sequence: FeatureAttributionSequenceOutput,
    column: int,
    stacks: tuple[str, ...],
    expected: list[Tensor],
    tolerance: float = TOLERANCE,
) -> None:
    """Compare the raw scores of a step with those of an oracle, each (position, feature)."""
    largest = max(float(rows.abs().max()) for rows in expected)
    assert largest > 0
    for stack, rows in zip(stacks, expected, strict=True):
        actual = raw_rows(sequence, column, stack)
        assert actual.shape == rows.shape
        assert (actual - rows).abs().max() <= tolerance * largest


def integrated(step: Step, n_steps: int) -> list[Tensor]:
    """Integrate a step's gradient point by point with Gauss and Legendre's rule."""
    places, weights = np.polynomial.legendre.leggauss(n_steps)
    directions = [own - start for own, start in zip(step.inputs, step.baselines, strict=True)]
    totals = [torch.zeros_like(own[0]) for own in step.inputs]
    for alpha, weight in zip((1 + places) / 2, weights / 2, strict=True):
        here = tuple(
            start + alpha * direction
            for start, direction in zip(step.baselines, directions, strict=True)
        )
        for total, gradient in zip(totals, gradients_alone(step, here), strict=True):
            total += weight * gradient
    return [total * direction[0] for total, direction in zip(totals, directions, strict=True)]
