"""One thing to do with either library, in the same words, and the numbers that come out of it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Protocol

import numpy as np
import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

Keywords = Mapping[str, Any]


@dataclass(frozen=True)
class Job:
    """A call of ``attribute``, and what is then asked of its result.

    Attributes
    ----------
    model : str
        Folder of the model, or the name of a demo model.
    method : str
    texts, targets : str, list of str or None
        As ``attribute`` takes them.
    keywords : mapping
        Of ``attribute``.
    loading : mapping
        Keywords of the method that Inseq takes in ``load_model`` only.
    own, peer : mapping
        Keywords of ``attribute`` that only this project, or only Inseq, is given.
    views : mapping of str to str
        What to look at: by name, an expression about ``out``, the result. Every name stands for
        sequences, a tensor, a dictionary or a number.
    dtype : str
    repaired : bool
        Whether Inseq is repaired first where it fails otherwise (`repair.py`).
    uniform : tuple of float
        What Inseq draws where it draws uniform random numbers.
    """

    model: str
    method: str
    texts: str | list[str]
    targets: str | list[str] | None = None
    keywords: Keywords = field(default_factory=dict)
    loading: Keywords = field(default_factory=dict)
    own: Keywords = field(default_factory=dict)
    peer: Keywords = field(default_factory=dict)
    views: Mapping[str, str] = field(default_factory=lambda: {"all": "out"})
    dtype: str = "float64"
    repaired: bool = False
    uniform: tuple[float, ...] = ()


@dataclass(frozen=True)
class Scores:
    """What a sequence of a result says, under the names that both libraries have.

    Attributes
    ----------
    source, target : list of tuple of str and int
        Pieces and ids.
    source_attributions, target_attributions : numpy.ndarray or None, (token, step, ...)
    step_scores, sequence_scores : dict of str to numpy.ndarray
    start, end : int
        The explained positions of ``target``.
    """

    source: list[tuple[str, int]]
    target: list[tuple[str, int]]
    source_attributions: np.ndarray | None
    target_attributions: np.ndarray | None
    step_scores: dict[str, np.ndarray]
    sequence_scores: dict[str, np.ndarray]
    start: int
    end: int


@dataclass(frozen=True)
class Failure:
    """An exception, in words."""

    kind: str
    message: str


@dataclass(frozen=True)
class Done:
    """What a job came to.

    Attributes
    ----------
    views : dict
        By the job's names: a list of `Scores`, an array, a dictionary or a `Failure`.
    training : bool
        Whether the model was left in training mode.
    failed : bool
        Whether there is no result at all: each view is the same `Failure`.
    """

    views: dict[str, Any]
    training: bool
    failed: bool = False


class Sequence(Protocol):
    """What is read of one sequence of a result, of either library."""

    source: list[Any]
    target: list[Any]
    source_attributions: torch.Tensor | None
    target_attributions: torch.Tensor | None
    step_scores: dict[str, torch.Tensor] | None
    sequence_scores: dict[str, torch.Tensor] | None
    attr_pos_start: int
    attr_pos_end: int


@dataclass(frozen=True)
class Loaded:
    """A model with its tokenizer, as both libraries are handed them."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


def loaded(name: str, dtype: str) -> Loaded:
    """Load a model of a folder, or a demo model, so that attention weights are at hand."""
    precision = getattr(torch, dtype)
    if name.startswith("demo:"):
        # Only to get at the model: it is then handed to Inseq as it would be to any library.
        import inseq_widget

        demo = inseq_widget.load_model(name, dtype=precision)
        if "smollm2" in name:
            demo.model.set_attn_implementation("eager")
        return Loaded(demo.model, demo.tokenizer)
    causal = not AutoConfig.from_pretrained(name).is_encoder_decoder
    family = AutoModelForCausalLM if causal else AutoModelForSeq2SeqLM
    model = family.from_pretrained(name, dtype=precision, attn_implementation="eager").eval()
    return Loaded(model, AutoTokenizer.from_pretrained(name))


def attributed(job: Job, library: ModuleType, given: Loaded, extra: Keywords) -> Any:
    """Do the job's call with a library.

    Parameters
    ----------
    job : Job
    library : module
        Inseq or this project.
    given : Loaded
    extra : mapping
        What only this side is given.
    """
    # Inseq changes the tokenizer that it is handed.
    tokenizer = copy.deepcopy(given.tokenizer)
    explainer = library.load_model(given.model, job.method, tokenizer=tokenizer, **job.loading)
    return explainer.attribute(
        job.texts, job.targets, show_progress=False, **{**job.keywords, **extra}
    )


def done(job: Job, library: ModuleType, given: Loaded, extra: Keywords) -> Done:
    """Do a job and look at what came out of it; a failure is a finding, too."""
    try:
        out = attributed(job, library, given, extra)
    except Exception as error:
        return Done(dict.fromkeys(job.views, failure(error)), given.model.training, failed=True)
    views = {name: looked_at(expression, out) for name, expression in job.views.items()}
    return Done(views, given.model.training)


def looked_at(expression: str, out: Any) -> Any:
    """Give what an expression about a result comes to, in plain numbers."""
    try:
        return seen(eval(expression, {"out": out, "present": present}))
    except Exception as error:
        return failure(error)


def present(value: Any) -> Any:
    """Leave out missing numbers of nested dictionaries: Inseq's hold them."""
    if isinstance(value, list):
        return [present(each) for each in value]
    if isinstance(value, dict):
        return {key: present(each) for key, each in value.items() if each == each}
    return value


def seen(value: Any) -> Any:
    """Turn a result, or a part of one, into plain numbers."""
    if hasattr(value, "sequence_attributions"):
        return [read(sequence) for sequence in value.sequence_attributions]
    if hasattr(value, "target_attributions"):
        return [read(value)]
    if isinstance(value, dict):
        return {key: seen(each) for key, each in value.items()}
    if isinstance(value, list):
        return [seen(each) for each in value]
    return value.detach().numpy() if isinstance(value, torch.Tensor) else value


def read(sequence: Sequence) -> Scores:
    """Read the numbers of one sequence."""
    return Scores(
        [(token.token, token.id) for token in sequence.source],
        [(token.token, token.id) for token in sequence.target],
        _array(sequence.source_attributions),
        _array(sequence.target_attributions),
        {name: _array(values) for name, values in (sequence.step_scores or {}).items()},
        {name: _array(values) for name, values in (sequence.sequence_scores or {}).items()},
        sequence.attr_pos_start,
        sequence.attr_pos_end,
    )


def failure(error: Exception) -> Failure:
    """Put an exception into words that can be sent."""
    return Failure(type(error).__name__, str(error))


def _array(values: torch.Tensor | None) -> Any:
    return None if values is None else values.detach().numpy()
