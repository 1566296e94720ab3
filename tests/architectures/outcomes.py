"""What every method makes of every architecture: scores, or the words that refuse it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cache

import torch

import inseq_widget as iw
from inseq_widget.methods import list_methods
from inseq_widget.methods.base import METHODS
from inseq_widget.results import FeatureAttributionSequenceOutput
from tests.architectures.models import loaded, texts
from tests.architectures.untouched import left_as_it_was

# Keywords that make a method quick, given to each that takes them.
QUICK: dict[str, object] = {
    "n_steps": 3,
    "n_samples": 4,
    "n_neighbors": 5,
    "max_probe_steps": 5,
    "num_probes": 2,
    "stdevs": 0.1,
    "target_layer": "all",
}


@dataclass(frozen=True)
class Outcome:
    """What came of a method with a model.

    Attributes
    ----------
    sequence : FeatureAttributionSequenceOutput or None
    refusal : str
        The message of the NotImplementedError, where there are no scores.
    """

    sequence: FeatureAttributionSequenceOutput | None
    refusal: str = ""


def quick(method: str) -> dict[str, object]:
    """Choose the keywords that make a method quick."""
    known = {option.name for option in dataclasses.fields(METHODS[method])}
    return {name: value for name, value in QUICK.items() if name in known}


@cache
def model_of(name: str) -> iw.AttributionModel:
    """Load the model of an architecture once."""
    return loaded(name, torch.float32)


@cache
def outcome(name: str, method: str) -> Outcome:
    """Explain the texts of an architecture once, and check that the model is left as it was."""
    model = model_of(name)
    text, target = texts(name)
    with left_as_it_was(model.model):
        try:
            output = model.attribute(
                text,
                target,
                method,
                attribute_target=True,
                show_progress=False,
                **quick(method),
            )
        except NotImplementedError as error:
            return Outcome(None, str(error))
    return Outcome(output[0])


def methods() -> list[str]:
    """List the methods; the one that gives no scores is left out."""
    return [name for name in list_methods() if name != "dummy"]
