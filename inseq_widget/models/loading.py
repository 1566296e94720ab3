"""Loads a model with its tokenizer, from a name or as an object, and tells its shape."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
import transformers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from inseq_widget.models.decoder_only import DecoderOnlyModel
from inseq_widget.models.demo import PREFIX, load_demo
from inseq_widget.models.encoder_decoder import EncoderDecoderModel
from inseq_widget.models.placing import place
from inseq_widget.models.state import left_untouched
from inseq_widget.models.traceable import TraceableModel


def load(
    model: str | Path | PreTrainedModel,
    *,
    tokenizer: str | Path | PreTrainedTokenizerBase | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    model_kwargs: Mapping[str, object] | None = None,
    tokenizer_kwargs: Mapping[str, object] | None = None,
) -> TraceableModel:
    """Load a causal or encoder-decoder model that can be traced.

    Parameters
    ----------
    model : str, path or PreTrainedModel
        A hub id, a folder, a ``demo:`` name, or a model that is loaded already.
    tokenizer : str, path or PreTrainedTokenizerBase, optional
        The model's own by default.
    device : str or torch.device, optional
        Where to put the model; a GPU if there is one, else the CPU. A model given as an object
        stays where it is unless a device is named.
    dtype : torch.dtype, optional
        Floating-point type; float32 by default, and as it is for a model given as an object.
    model_kwargs, tokenizer_kwargs : mapping, optional
        Keywords of ``from_pretrained``.

    Returns
    -------
    TraceableModel

    Raises
    ------
    TypeError, ValueError
        For something that is not a model, is neither causal nor encoder-decoder, or a tokenizer
        that is missing or does not fit.
    """
    model_kwargs, tokenizer_kwargs = dict(model_kwargs or {}), dict(tokenizer_kwargs or {})
    if dtype is not None and not isinstance(dtype, torch.dtype):
        raise TypeError(f"dtype: {dtype!r} given; pass a torch.dtype such as torch.bfloat16.")
    if isinstance(model, PreTrainedModel):
        if model_kwargs:
            raise ValueError(
                f"model_kwargs: {sorted(model_kwargs)} only apply while loading; "
                "the model given is loaded already."
            )
        loaded = model
        _check_shape(loaded.config, type(loaded).__name__, loaded)
        name = tokenizer or loaded.config.name_or_path
        if not name:
            raise ValueError(
                "tokenizer: the model was made from a configuration and names none; "
                "pass tokenizer= with a tokenizer, an id or a folder."
            )
        fitting = _tokenizer(name, tokenizer_kwargs)
        if dtype is not None and dtype != loaded.dtype:
            raise ValueError(
                f"dtype: the model given is {loaded.dtype}; convert it with model.to({dtype}) "
                "before, so that your own model is not changed behind your back."
            )
    elif isinstance(model, str) and model.startswith(PREFIX):
        if model_kwargs or (tokenizer_kwargs and tokenizer is None):
            raise ValueError(
                f"model_kwargs, tokenizer_kwargs: {sorted({**model_kwargs, **tokenizer_kwargs})} "
                "cannot be given for a demo model, which is not loaded by from_pretrained."
            )
        loaded, fitting = load_demo(model, dtype=dtype or torch.float32)
        if tokenizer is not None:
            fitting = _tokenizer(tokenizer, tokenizer_kwargs)
    elif isinstance(model, str | Path):
        if tokenizer is None:  # found where the model is found, unless another place is given
            found = {key: model_kwargs[key] for key in _OF_TOKENIZER if key in model_kwargs}
            tokenizer_kwargs = {**found, **tokenizer_kwargs}
        loaded = _from_pretrained(str(model), dtype, model_kwargs)
        fitting = _tokenizer(tokenizer or model, tokenizer_kwargs)
    else:
        raise TypeError(
            f"model: {type(model).__name__} given; pass a hub id, a folder, a demo name "
            "(see inseq_widget.demo_models()) or a transformers PreTrainedModel."
        )
    if loaded.main_input_name != "input_ids":
        raise ValueError(
            f"model: {type(loaded).__name__} reads {loaded.main_input_name}, not text; attribution "
            "explains models that read text."
        )
    _check_tokenizer(loaded, fitting)
    if device is None and not isinstance(model, PreTrainedModel) and torch.cuda.is_available():
        place(loaded, "cuda")
    elif device is not None:
        place(loaded, device, asked=True)
    shape = EncoderDecoderModel if loaded.config.is_encoder_decoder else DecoderOnlyModel
    traceable = shape(loaded, fitting)
    _check_causal(traceable)
    return traceable


def _check_causal(traceable: TraceableModel) -> None:
    """Refuse a model whose outputs depend on later tokens: one pass would not serve all steps."""
    model = traceable.model
    ids = torch.tensor([[1, 2, 3]], device=traceable.device)
    encoder_decoder = model.config.is_encoder_decoder
    name = "decoder_input_ids" if encoder_decoder else "input_ids"
    inputs = {"input_ids": ids, name: ids}
    with left_untouched(model), torch.no_grad():
        longer = model(**inputs, use_cache=False).logits[0, :2]
        shorter = model(**{**inputs, name: ids[:, :2]}, use_cache=False).logits[0]
    half = longer.dtype in (torch.float16, torch.bfloat16)
    tolerance = _HALF_ROUNDING if half else _ROUNDING
    largest = longer[longer.isfinite()].abs().max() if longer.isfinite().any() else 1.0
    if longer.shape == shorter.shape and ((longer - shorter).abs() > tolerance * largest).any():
        raise ValueError(
            f"model: {type(model).__name__} is not causal, its output for a token depends on later "
            "tokens; attribution explains models that generate from left to right (a decoder made "
            "of an encoder needs is_decoder=True in its configuration)."
        )


# Keywords of from_pretrained that say where the configuration is found, too.
_OF_CONFIG = (
    "trust_remote_code",
    "revision",
    "code_revision",
    "cache_dir",
    "local_files_only",
    "force_download",
    "proxies",
    "token",
    "subfolder",
    "gguf_file",
)


# Of those, what tells where the tokenizer is found, too.
_OF_TOKENIZER = tuple(key for key in _OF_CONFIG if key != "trust_remote_code")


def _from_pretrained(
    name: str, dtype: torch.dtype | None, keywords: dict[str, object]
) -> PreTrainedModel:
    given = [key for key in ("dtype", "torch_dtype") if key in keywords]
    if dtype is not None and given:
        raise ValueError(f"dtype: given twice, also as {given[0]} in model_kwargs.")
    of_config = {key: keywords[key] for key in _OF_CONFIG if key in keywords}
    config = AutoConfig.from_pretrained(name, **of_config)
    _check_shape(config, name, None)
    shape = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    if not given:
        keywords["dtype"] = dtype or torch.float32
    packed = getattr(transformers, "GgufConfig", None)  # older versions always unpack
    if "gguf_file" in keywords and packed is not None:  # packed weights have no gradients
        keywords.setdefault("quantization_config", packed(dequantize=True))
    loaded = shape.from_pretrained(name, **keywords, output_loading_info=True)
    model, report = cast("tuple[PreTrainedModel, dict[str, set[str]]]", loaded)
    _check_weights(model, name, sorted(report["missing_keys"]))
    model.eval()
    return model


def _check_weights(model: PreTrainedModel, name: str, missing: list[str]) -> None:
    """Refuse a checkpoint without all weights, in whose place there would be random ones."""
    if missing:
        shown = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" * (len(missing) > 3))
        raise ValueError(
            f"model: {name!r} has no weights for {shown} of {type(model).__name__}, which would be "
            "random numbers; a checkpoint saved without its output head cannot write. Name one "
            "that was saved as a model that generates."
        )


def _check_shape(config: PreTrainedConfig, name: str, model: PreTrainedModel | None) -> None:
    """Refuse what neither continues nor translates, before any weight is read."""
    if model is not None:
        fits = model.can_generate()
    else:
        mappings = (AutoModelForCausalLM._model_mapping, AutoModelForSeq2SeqLM._model_mapping)
        remote = getattr(config, "auto_map", None) or {}
        fits = any(type(config) in mapping for mapping in mappings) or any(
            head in remote for head in ("AutoModelForCausalLM", "AutoModelForSeq2SeqLM")
        )
    declared = [str(architecture) for architecture in config.architectures or []]
    encoder_only = bool(declared) and all(head.endswith(_OTHER_HEADS) for head in declared)
    if not fits or (model is None and encoder_only):
        kind = type(model).__name__ if model is not None else ", ".join(declared) or "no class"
        raise ValueError(
            f"model: {name!r} ({kind}, model type {config.model_type!r}) is neither causal nor "
            "encoder-decoder; attribution explains models that generate text, such as those of "
            "AutoModelForCausalLM and AutoModelForSeq2SeqLM."
        )


# How far logits may differ by rounding, of the largest: in single precision, which many models
# use inside whatever their weights are, and in half precision.
_ROUNDING, _HALF_ROUNDING = 1e-4, 0.05

_OTHER_HEADS = (
    "ForMaskedLM",
    "ForSequenceClassification",
    "ForTokenClassification",
    "ForQuestionAnswering",
    "ForMultipleChoice",
    "ForPreTraining",
)


def _tokenizer(
    given: str | Path | PreTrainedTokenizerBase, keywords: dict[str, object]
) -> PreTrainedTokenizerBase:
    if isinstance(given, PreTrainedTokenizerBase):
        return given
    if not isinstance(given, str | Path):
        raise TypeError(
            f"tokenizer: {type(given).__name__} given; pass a tokenizer, its hub id or its folder."
        )
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(str(given), **keywords)
    return tokenizer


def _check_tokenizer(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    weight = model.get_input_embeddings().weight
    assert isinstance(weight, torch.Tensor), "an embedding has a matrix of weights"
    n_rows = weight.shape[0]
    largest = max(tokenizer.get_vocab().values())
    if largest >= n_rows:
        raise ValueError(
            f"tokenizer: {type(tokenizer).__name__} has ids up to {largest}, but the model embeds "
            f"{n_rows} tokens (ids up to {n_rows - 1}); pass the tokenizer that the model was "
            "trained with, or resize the model's embeddings."
        )
