"""A tiny sentence encoder with a vocabulary of its own, made in a moment."""

from __future__ import annotations

import torch
from tokenizers import Tokenizer, pre_tokenizers, processors
from tokenizers.models import WordPiece
from transformers import BertConfig, BertModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
WORDS = ["the", "nurse", "doctor", "said", "that", "he", "she", "was", "tired", "very", "today"]
# Parts of words, so that words have several tokens.
PARTS = ["n", "t", "s", "hello", "##ur", "##se", "##hat", "##o", "##aid", "##red", ".", ",", "..."]
VOCABULARY = {piece: number for number, piece in enumerate([*SPECIAL, *WORDS, *PARTS])}
N_LAYERS = 3


def encoder_tokenizer() -> PreTrainedTokenizerBase:
    tokenizer = Tokenizer(WordPiece(VOCABULARY, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    marks = [(mark, VOCABULARY[mark]) for mark in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, marks)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=48,
    )


def tiny_encoder() -> BertModel:
    """Make a random encoder, whose dropout is on as long as it trains."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=16,
        num_hidden_layers=N_LAYERS,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=48,
        initializer_range=0.8,
    )
    return BertModel(config).eval()


def encoder_of_words() -> BertModel:
    """Make an encoder whose embeddings say which word it is and nothing else."""
    size = len(VOCABULARY) + len(VOCABULARY) % 2
    config = BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=size,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=48,
    )
    model = BertModel(config).eval()
    with torch.no_grad():
        model.embeddings.word_embeddings.weight.copy_(torch.eye(len(VOCABULARY), size))
        model.embeddings.position_embeddings.weight.zero_()
        model.embeddings.token_type_embeddings.weight.zero_()
    return model
