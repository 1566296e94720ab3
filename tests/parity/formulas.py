"""Every step function as a naive formula of one step's logits, and the runs that give them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from inseq_widget.results import FeatureAttributionSequenceOutput


@dataclass(frozen=True)
class Seen:
    """What one step sees: logits (vocabulary,) and token, regular and contrastive."""

    logits: Tensor
    token: int
    other_logits: Tensor
    other_token: int


def shares(logits: Tensor) -> Tensor:
    return logits.exp() / logits.exp().sum()


def log_share(logits: Tensor, token: int) -> Tensor:
    return shares(logits)[token].log()


def divergence(seen: Seen) -> Tensor:
    ours, theirs = shares(seen.logits), shares(seen.other_logits)
    return (ours * (ours / theirs).log()).sum()


def nucleus(logits: Tensor, top_p: float = 0.9) -> Tensor:
    total, count = 0.0, 0
    for share in sorted(shares(logits).tolist(), reverse=True):
        if total >= top_p:
            break
        total, count = total + share, count + 1
    return torch.tensor(float(count), dtype=logits.dtype)


Formula = Callable[[Seen], Tensor]

PLAIN: dict[str, Formula] = {
    "logit": lambda s: s.logits[s.token],
    "probability": lambda s: shares(s.logits)[s.token],
    "entropy": lambda s: -(shares(s.logits) * shares(s.logits).log()).sum(),
    "crossentropy": lambda s: -log_share(s.logits, s.token),
    "perplexity": lambda s: 1 / shares(s.logits)[s.token],
    "top_p_size": lambda s: nucleus(s.logits),
}
CONTRASTIVE: dict[str, Formula] = {
    "contrast_logits": lambda s: s.other_logits[s.other_token],
    "contrast_prob": lambda s: shares(s.other_logits)[s.other_token],
    "contrast_logits_diff": lambda s: s.logits[s.token] - s.other_logits[s.other_token],
    "contrast_prob_diff": lambda s: (
        shares(s.logits)[s.token] - shares(s.other_logits)[s.other_token]
    ),
    "pcxmi": lambda s: (
        (shares(s.logits)[s.token] / shares(s.other_logits)[s.other_token]).log() / math.log(2)
    ),
    "in_context_pvi": lambda s: (
        log_share(s.other_logits, s.other_token) - log_share(s.logits, s.token)
    ),
    "kl_divergence": divergence,
}


@dataclass(frozen=True)
class Other:
    """The contrastive side of a text: ids, and the place of each step among them."""

    source: list[int]
    target: list[int]
    places: list[int]


def other_side(
    tokenizer: PreTrainedTokenizerBase,
    sequence: FeatureAttributionSequenceOutput,
    target: str,
    source: str | None = None,
) -> Other:
    """Tokenise a contrastive text, and count the places of the steps from its end."""
    ids = tokenizer(target)["input_ids"]
    own_source: list[int] = []
    if sequence.architecture == "encoder_decoder":
        ids = [sequence.target[0].id, *ids]
        own_source = [token.id for token in sequence.source]
        if source is not None:
            own_source = tokenizer(source)["input_ids"]
    steps = range(sequence.attr_pos_start, sequence.attr_pos_end)
    return Other(own_source, ids, [len(ids) - len(sequence.target) + step for step in steps])


def logits_after(model: PreTrainedModel, source: list[int], prefix: list[int]) -> Tensor:
    """Run the model on one prefix alone, (vocabulary,)."""
    given = {"input_ids": torch.tensor([prefix])}
    if model.config.is_encoder_decoder:
        given = {
            "input_ids": torch.tensor([source]),
            "decoder_input_ids": torch.tensor([prefix]),
        }
    with torch.no_grad():
        return model(**given, use_cache=False).logits[0, -1]


def seen_at(
    model: PreTrainedModel,
    sequence: FeatureAttributionSequenceOutput,
    column: int,
    other: Other,
) -> Seen:
    """Run the model on the regular and on the contrastive prefix of one step."""
    position, place = sequence.attr_pos_start + column, other.places[column]
    own = [token.id for token in sequence.target]
    source = [token.id for token in sequence.source]
    return Seen(
        logits_after(model, source, own[:position]),
        own[position],
        logits_after(model, other.source, other.target[:place]),
        other.target[place],
    )
