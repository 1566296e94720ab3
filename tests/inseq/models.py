"""The tiny models that both libraries load: random, small in every direction, each in a folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MarianConfig,
    MarianMTModel,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

# What the tokenizers learn their pieces from: some words of the tests' texts are single tokens,
# others are several.
CORPUS = (
    "The nurse said that she was tired because of the long night.",
    "Water boils at one hundred degrees, and the bread rises slowly.",
    "Colorless green ideas sleep furiously in the garden.",
    "La mattina il mugnaio apre la porta. Non posso crederci. Non posso crederlo.",
)
SMALL = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 3}
STACKS = {
    "d_model": 16,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "max_position_embeddings": 64,
    "forced_eos_token_id": 1,
    "init_std": 0.3,
}


def sentencepiece_like(template: str) -> PreTrainedTokenizerFast:
    """Make a tokenizer that marks the beginnings of words, and adds special tokens."""
    special = ["<s>", "</s>", "<unk>", "<pad>"]
    pieces = Tokenizer(models.BPE(unk_token="<unk>"))
    pieces.pre_tokenizer = pre_tokenizers.Metaspace()
    pieces.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=180, special_tokens=special, show_progress=False)
    pieces.train_from_iterator(CORPUS, trainer)
    pieces.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=pieces,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
    )


def byte_level() -> PreTrainedTokenizerFast:
    """Make a tokenizer of bytes, which has no unknown token and no padding."""
    pieces = Tokenizer(models.BPE())
    pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pieces.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=360,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    pieces.train_from_iterator(CORPUS, trainer)
    end = "<|endoftext|>"
    return PreTrainedTokenizerFast(tokenizer_object=pieces, bos_token=end, eos_token=end)


def llama(size: int) -> PreTrainedModel:
    config = LlamaConfig(
        vocab_size=size,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        initializer_range=0.3,
        **SMALL,
    )
    return LlamaForCausalLM(config)


def gpt2(size: int) -> PreTrainedModel:
    config = GPT2Config(
        vocab_size=size,
        n_positions=64,
        n_embd=16,
        n_layer=2,
        n_head=4,
        initializer_range=0.3,
        bos_token_id=0,
        eos_token_id=0,
    )
    return GPT2LMHeadModel(config)


def bart(size: int) -> PreTrainedModel:
    config = BartConfig(vocab_size=size, decoder_start_token_id=1, **SMALL, **STACKS)
    return BartForConditionalGeneration(config)


def t5(size: int) -> PreTrainedModel:
    config = T5Config(
        vocab_size=size,
        d_model=16,
        d_kv=4,
        d_ff=32,
        num_layers=2,
        num_heads=4,
        decoder_start_token_id=3,
        **SMALL,
    )
    return T5ForConditionalGeneration(config)


def marian(size: int) -> PreTrainedModel:
    config = MarianConfig(
        vocab_size=size, decoder_start_token_id=3, scale_embedding=True, **SMALL, **STACKS
    )
    return MarianMTModel(config)


def unscaled_marian(size: int) -> PreTrainedModel:
    config = MarianConfig(
        vocab_size=size, decoder_start_token_id=3, scale_embedding=False, **SMALL, **STACKS
    )
    return MarianMTModel(config)


# The words of the scripts and of Inseq's README: a text of whole words reads back as it was.
WORDS = """
The the developer argued with designer because her idea cannot be implemented. Hello ladies and
manager went home he she was sick met developer. designer late late. Le La patron ne a rencontré le
développeur. styliste était en retard. gentlemen welcome to this new day of ours
"""


def whole_words(template: str) -> PreTrainedTokenizerFast:
    """Make a tokenizer of whole words between spaces."""
    special = ["<s>", "</s>", "<unk>", "<pad>"]
    words = {word: number for number, word in enumerate(dict.fromkeys([*special, *WORDS.split()]))}
    pieces = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    pieces.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    pieces.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=pieces,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
    )


@dataclass(frozen=True)
class Kind:
    """An architecture with a tokenizer of the kind that goes with it."""

    model: Callable[[int], PreTrainedModel]
    tokenizer: Callable[[], PreTrainedTokenizerFast]
    causal: bool


KINDS = {
    "llama": Kind(llama, lambda: sentencepiece_like("<s> $A"), causal=True),
    "gpt2": Kind(gpt2, byte_level, causal=True),
    "bart": Kind(bart, lambda: sentencepiece_like("$A </s>"), causal=False),
    "t5": Kind(t5, lambda: sentencepiece_like("$A </s>"), causal=False),
    "marian": Kind(marian, lambda: sentencepiece_like("$A </s>"), causal=False),
}


# By the names that the scripts load them under.
FOR_SCRIPTS = {
    "Helsinki-NLP/opus-mt-en-fr": Kind(
        unscaled_marian, lambda: whole_words("$A </s>"), causal=False
    ),
    "gpt2": Kind(gpt2, lambda: whole_words("$A"), causal=True),
}


def save_for_scripts(folder: Path) -> None:
    """Write the models that the scripts name."""
    for name, kind in FOR_SCRIPTS.items():
        save(kind, folder / name)


def save(kind: Kind, folder: Path) -> None:
    """Write a model and its tokenizer, always the same ones."""
    tokenizer = kind.tokenizer()
    torch.manual_seed(0)
    model = kind.model(len(tokenizer))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
