"""Results with scores of every dimension, made by hand: what aggregation is tested with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from inseq_widget.results import FeatureAttributionSequenceOutput, Token
from inseq_widget.results.labelling import labelled
from tests.unit.outputs import info, token

NAN = np.nan
Texts = Sequence[str]


def texts_of(tokens: Sequence[Token]) -> list[str]:
    return [one.text for one in tokens]


def pieces(texts: Texts, side: str, first: int = 0, word: int = 0) -> list[Token]:
    """Make tokens of texts; an entry in angle brackets is special, one with a space a new word."""
    made: list[Token] = []
    for place, text in enumerate(texts, first):
        special = text.startswith("<")
        begins = special or text[:1].isspace() or not made or made[-1].special
        word += begins and bool(made)
        made.append(replace(token(text, place, side, special=special), word=word))
    return made


def causal(
    values: object,
    prompt: Texts,
    generated: Texts,
    dims: Sequence[str] = (),
    *,
    start: int | None = None,
    step_scores: Mapping[str, Sequence[float]] | None = None,
    **more: object,
) -> FeatureAttributionSequenceOutput:
    """Make a result of a decoder-only model; (input, step, *dims) scores."""
    both = pieces([*prompt, *generated], "prompt")
    target = [
        replace(one, side="prompt" if one.position < len(prompt) else "target") for one in both
    ]
    start = len(prompt) if start is None else start
    return _sequence(values, target[: len(prompt)], target, start, 0, dims, step_scores, more)


def translated(
    values: object,
    source: Texts,
    target: Texts,
    dims: Sequence[str] = (),
    *,
    step_scores: Mapping[str, Sequence[float]] | None = None,
    **more: object,
) -> FeatureAttributionSequenceOutput:
    """Make a result of an encoder-decoder model whose target begins with a start token."""
    written = pieces(["<s>", *target], "target")
    encoded = pieces(source, "source")
    return _sequence(values, encoded, written, 1, len(source), dims, step_scores, more)


def _sequence(
    values: object,
    source: list[Token],
    target: list[Token],
    start: int,
    n_source: int,
    dims: Sequence[str],
    step_scores: Mapping[str, Sequence[float]] | None,
    more: Mapping[str, object],
) -> FeatureAttributionSequenceOutput:
    scores = np.asarray(values, dtype=np.float64)
    end = start + scores.shape[1]
    inputs = [*source[:n_source], *target[: len(scores) - n_source]]
    array = labelled(scores, inputs, target[start:end], dims)
    about = info()
    return FeatureAttributionSequenceOutput(
        **{
            "source": source,
            "target": target,
            "kept": {"raw": array},
            "reduction": "norm" if "feature" in dims else "mean",
            "attr_pos_start": start,
            "attr_pos_end": end,
            "architecture": "encoder_decoder" if n_source else "decoder_only",
            "info": about,
            "step_scores": {
                name: torch.tensor(row, dtype=torch.float64)
                for name, row in (step_scores or {}).items()
            },
            **more,
        }
    )


def without_features(
    sequence: FeatureAttributionSequenceOutput,
) -> FeatureAttributionSequenceOutput:
    """Reduce the features as attributing does where they are too many to be kept."""
    raw = sequence.kept["raw"]
    norm = (raw**2).sum("feature", skipna=False) ** 0.5
    total = raw.sum("feature", skipna=False).assign_attrs(n_features=raw.sizes["feature"])
    return replace(sequence, kept={"norm": norm, "sum": total})


def random_causal(
    n_prompt: int = 4,
    n_generated: int = 4,
    dims: Mapping[str, int] | None = None,
    seed: int = 0,
    **more: object,
) -> FeatureAttributionSequenceOutput:
    """Make a result of random scores, missing where an input does not come before its step."""
    dims = dims or {}
    n_inputs = n_prompt + n_generated - 1
    draws = np.random.default_rng(seed).normal(size=(n_inputs, n_generated, *dims.values()))
    draws[np.arange(n_inputs)[:, None] >= n_prompt + np.arange(n_generated)] = NAN
    words = [f" w{number}" for number in range(n_prompt + n_generated)]
    return causal(draws, words[:n_prompt], words[n_prompt:], list(dims), **more)


def random_translated(
    n_source: int = 4,
    n_target: int = 4,
    dims: Mapping[str, int] | None = None,
    seed: int = 0,
    **more: object,
) -> FeatureAttributionSequenceOutput:
    """Make a result of random scores of source and prefix."""
    dims = dims or {}
    shape = (n_source + n_target, n_target, *dims.values())
    draws = np.random.default_rng(seed).normal(size=shape)
    draws[n_source:][np.arange(n_target)[:, None] >= 1 + np.arange(n_target)] = NAN
    return translated(
        draws,
        [f" s{number}" for number in range(n_source)],
        [f" t{number}" for number in range(n_target)],
        list(dims),
        **more,
    )
