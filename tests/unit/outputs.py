"""Results made by hand, without a model: what the pictures and the widget are tested with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch

from inseq_widget.results import (
    FeatureAttributionOutput,
    FeatureAttributionSequenceOutput,
    Info,
    LiveModel,
    Side,
    Token,
)
from inseq_widget.results.labelling import labelled

# What models emit at their worst, and what a page must never take for its own.
EVIL_TEXTS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "\u202eevil\u202c",
    "nul\x00and\x1b[31mred",
    "half \ud83d pair",
    "</script><!--",
    "\u2028line\u2029paragraph",
    "&lt;b&gt; & [bold]rich[/bold] :smile:",
    "  two\t\n\nlines",
    "שלום",
    "\u0301",
)


def token(
    text: str, position: int, side: Side, *, piece: str | None = None, special: bool = False
) -> Token:
    return Token(
        piece=text if piece is None else piece,
        id=100 + position,
        text=text,
        position=position,
        side=side,
        special=special,
        word=position,
    )


def tokens(texts: Sequence[str], side: Side, start: int = 0) -> list[Token]:
    return [token(text, position, side) for position, text in enumerate(texts, start)]


def info(*, signed: bool = False, model_name: str = "demo:model") -> Info:
    return Info(
        model_name=model_name,
        model_revision=None,
        model_class="Model",
        tokenizer_name="demo:tokenizer",
        tokenizer_class="Tokenizer",
        attribution_method="input_x_gradient" if signed else "saliency",
        method_args={},
        attributed_fn="probability",
        reduction="sum" if signed else "norm",
        score_label="gradient norm",
        signed=signed,
        step_scores=["probability"],
        attribute_target=False,
        constrained_decoding=False,
        generation_args={},
        input_texts=[],
        generated_texts=[],
        exec_time=0.5,
        versions={"python": "3.11.7", "torch": "2.13.0"},
        aggregation=[],
    )


def sequence(
    scores: np.ndarray,
    source: list[Token],
    target: list[Token],
    start: int,
    *,
    architecture: Literal["decoder_only", "encoder_decoder"],
    about: Info,
    live_model: LiveModel | None = None,
) -> FeatureAttributionSequenceOutput:
    n_steps = scores.shape[1]
    n_source = len(source) if architecture == "encoder_decoder" else 0
    inputs = [*source[:n_source], *target[: len(scores) - n_source]]
    steps = target[start : start + n_steps]
    return FeatureAttributionSequenceOutput(
        source=source,
        target=target,
        kept={about["reduction"]: labelled(scores, inputs, steps)},
        reduction=about["reduction"],
        attr_pos_start=start,
        attr_pos_end=start + n_steps,
        architecture=architecture,
        info=about,
        live_model=live_model,
        step_scores={"probability": torch.linspace(0.9, 0.1, n_steps)},
    )


def random_scores(shape: tuple[int, int], *, signed: bool = False, seed: int = 0) -> np.ndarray:
    draws = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    return draws if signed else np.abs(draws)


def causal(
    prompt: Sequence[str] = ("The", " nurse", " said"),
    generated: Sequence[str] = (" that", " she", " was", "."),
    *,
    signed: bool = False,
    seed: int = 0,
    live_model: LiveModel | None = None,
) -> FeatureAttributionOutput:
    """Make the result of a decoder-only model; an input after its step is missing."""
    target = [*tokens(prompt, "prompt"), *tokens(generated, "target", len(prompt))]
    n_inputs, n_steps = len(target) - 1, len(generated)
    scores = random_scores((n_inputs, n_steps), signed=signed, seed=seed)
    scores[np.arange(n_inputs)[:, None] >= len(prompt) + np.arange(n_steps)] = np.nan
    about = info(signed=signed)
    one = sequence(
        scores,
        target[: len(prompt)],
        target,
        len(prompt),
        architecture="decoder_only",
        about=about,
        live_model=live_model,
    )
    return FeatureAttributionOutput([one], about, live_model)


def encoder_decoder(
    source: Sequence[str] = ("The", " nurse", " slept", "."),
    target: Sequence[str] = ("A", " enfermeira", " dormiu", "."),
    *,
    with_prefix: bool = True,
    signed: bool = False,
    live_model: LiveModel | None = None,
) -> FeatureAttributionOutput:
    """Make the result of an encoder-decoder model whose decoder begins with a special token."""
    begin = token("<s>", 0, "target", special=True)
    written = [begin, *tokens(target, "target", 1)]
    encoded = [*tokens(source, "source"), token("</s>", len(source), "source", special=True)]
    n_prefix = len(target) if with_prefix else 0
    scores = random_scores((len(encoded) + n_prefix, len(target)), signed=signed)
    prefix = np.arange(n_prefix)[:, None] >= 1 + np.arange(len(target))
    scores[len(encoded) :][prefix] = np.nan
    about = info(signed=signed)
    one = sequence(
        scores,
        encoded,
        written,
        1,
        architecture="encoder_decoder",
        about=about,
        live_model=live_model,
    )
    return FeatureAttributionOutput([one], about, live_model)


def batch(*outputs: FeatureAttributionOutput) -> FeatureAttributionOutput:
    first = outputs[0]
    joined = [one for output in outputs for one in output]
    return FeatureAttributionOutput(joined, first.info, first.live_model)


def evil(*, signed: bool = False) -> FeatureAttributionOutput:
    """Make a result whose tokens and model name try to be anything but text."""
    output = causal(EVIL_TEXTS, [*EVIL_TEXTS, "end"], signed=signed)
    one = output[0]
    bytes_of_an_emoji = [
        token("", 0, "prompt", piece="ðŁĺ"),
        token("😀", 1, "prompt", piece="Ģ"),
        token("", 2, "prompt", piece="<0xE2>"),
    ]
    one.target[:3] = bytes_of_an_emoji
    one.source[:3] = bytes_of_an_emoji
    output.info["model_name"] = "<script>model</script>\x00"
    return output


def large(n_prompt: int = 141, n_generated: int = 60) -> FeatureAttributionOutput:
    """Make a result of 200 inputs and 60 steps of ordinary words."""
    words = [f" word{number}" for number in range(n_prompt + n_generated)]
    return causal(words[:n_prompt], words[n_prompt:])
