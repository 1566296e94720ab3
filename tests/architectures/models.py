"""A tiny randomly initialised model of every class that writes text, and a tokenizer for them."""

from __future__ import annotations

from functools import cache

import torch
from tokenizers import Tokenizer, pre_tokenizers, processors
from tokenizers.models import WordLevel
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

import inseq_widget as iw
from tests.architectures.configurations import ARCHITECTURES

_TEXT = (
    "the nurse said that she was tired because it had been very long night and nobody came water "
    "boils at one hundred degrees good morning bom dia a enfermeira disse que estava cansada"
)
WORDS = _TEXT.split()
SPECIAL = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3}


@cache
def tokenizer(encoder_decoder: bool) -> PreTrainedTokenizerBase:
    """Make a tokenizer of words; that of an encoder-decoder model ends every text."""
    vocabulary = {**SPECIAL, **{word: number for number, word in enumerate(WORDS, len(SPECIAL))}}
    words = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    if encoder_decoder:
        words.post_processor = processors.TemplateProcessing(
            single="$A </s>", special_tokens=[("</s>", SPECIAL["</s>"])]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
    )


def made(
    name: str, dtype: torch.dtype = torch.float64, dropout: float = 0.0, **keywords: str
) -> PreTrainedModel:
    """Make a model of a class, always with the same weights; keywords are of ``from_config``."""
    architecture = ARCHITECTURES[name]
    config = AutoConfig.for_model(architecture.model_type, **architecture.options)
    for option in list(vars(config)):
        if option.endswith(("dropout", "pdrop")) and dropout:
            setattr(config, option, dropout)
    if dtype == torch.float64:  # the products of all experts at once exist in less precision only
        config._experts_implementation = "eager"
    kind = AutoModelForSeq2SeqLM if architecture.encoder_decoder else AutoModelForCausalLM
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model: PreTrainedModel = kind.from_config(config, **keywords)
        _give_everything_a_say(model)
    return model.to(dtype).eval()


def _give_everything_a_say(model: PreTrainedModel) -> None:
    """Move what starts as zero, or too small to matter in a tiny model, away from it."""
    for parameter in model.parameters():
        if not parameter.any() or (parameter.dim() > 1 and parameter.std() < 0.1):
            torch.nn.init.normal_(parameter, std=0.2)


def loaded(name: str, dtype: torch.dtype = torch.float64) -> iw.AttributionModel:
    """Make a model of a class, ready to be explained."""
    model = made(name, dtype)
    return iw.load_model(model, tokenizer=tokenizer(ARCHITECTURES[name].encoder_decoder))


def in_training(name: str, dtype: torch.dtype = torch.float32) -> iw.AttributionModel:
    """Make a model of a class as somebody has it who trains it: with dropout, partly frozen."""
    model = made(name, dtype, dropout=0.1)
    ready = iw.load_model(model, tokenizer=tokenizer(ARCHITECTURES[name].encoder_decoder))
    ready.model.train()
    next(ready.model.parameters()).requires_grad_(False)
    return ready


def texts(name: str) -> tuple[str, str]:
    """Give a text and a forced target of a few tokens."""
    if ARCHITECTURES[name].encoder_decoder:
        return "the nurse was tired", "a enfermeira estava"
    return "the nurse said that", "the nurse said that she was tired"
