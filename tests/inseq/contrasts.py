"""What the forced texts are contrasted with, in every way that there is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from tests.inseq.models import KINDS
from tests.inseq.texts import FORCED, SOURCE, TARGET
from tests.peer.job import Loaded

OTHER_SOURCE = "The bread rises slowly."
CAUSAL_TARGETS = {
    "equal length": "The mugnaio said that she was so slow.",
    "longer": "The tired nurse and the mugnaio said that she was not so slow.",
    "shorter": "Because she was so slow.",
}
TRANSLATED_TARGETS = {
    "equal length": "Non posso crederlo.",
    "longer": "La porta non posso crederlo.",
    "shorter": "Posso crederlo.",
}


@dataclass(frozen=True)
class Contrast:
    """A contrast, by what `attribute` is given for it."""

    name: str
    keywords: dict[str, Any] = field(hash=False)


def contrasts(model: str) -> list[Contrast]:
    """List the contrasts of a model."""
    causal = KINDS[model].causal
    targets = CAUSAL_TARGETS if causal else TRANSLATED_TARGETS
    found = [Contrast(name, {"contrast_targets": text}) for name, text in targets.items()]
    pairs = [(6, 5), (7, 7), (8, 3)] if causal else [(1, 2), (2, 1)]
    longer = targets["longer"]
    found.append(
        Contrast("pairs", {"contrast_targets": longer, "contrast_targets_alignments": pairs})
    )
    if not causal:
        both = {"contrast_sources": OTHER_SOURCE, "contrast_targets": targets["longer"]}
        found.append(Contrast("another source", {"contrast_sources": OTHER_SOURCE}))
        found.append(Contrast("another source and target", both))
    return found


def contrast_named(model: str, name: str) -> Contrast:
    """Find a contrast by its name."""
    return next(each for each in contrasts(model) if each.name == name)


@dataclass(frozen=True)
class OtherSide:
    """The contrastive side of the forced text, worked out plainly.

    Attributes
    ----------
    foils : list of int
        The contrastive token by the position of the target; right-aligned.
    logits : list of list of float
        What the model predicts there under the contrastive text, by position.
    """

    foils: list[int]
    logits: list[list[float]]


def other_side(loaded: Loaded, target: str, source: str = SOURCE) -> OtherSide:
    """Work out the contrastive side of a target whose tokens are counted from the end."""
    model, tokenizer = loaded.model, loaded.tokenizer
    if model.config.is_encoder_decoder:
        start = model.config.decoder_start_token_id
        own = [start, *tokenizer(TARGET)["input_ids"]]
        other = [start, *tokenizer(target)["input_ids"]]
        given = {
            "input_ids": tokenizer(source, return_tensors="pt")["input_ids"],
            "decoder_input_ids": torch.tensor([other]),
        }
    else:
        own, other = tokenizer(FORCED)["input_ids"], tokenizer(target)["input_ids"]
        given = {"input_ids": torch.tensor([other])}
    with torch.no_grad():
        logits = model(**given).logits[0]
    places = [position - len(own) + len(other) for position in range(len(own))]
    return OtherSide(
        [other[place] if place >= 0 else -1 for place in places],
        [logits[place - 1].tolist() if place >= 1 else [] for place in places],
    )
