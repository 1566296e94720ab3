"""The tiny models with a small vocabulary: a large one is most of what they compute."""

from __future__ import annotations

import copy
import json

from tokenizers import Tokenizer
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tests import tiny

VOCABULARY = 4_096  # of SmolLM2's tokens, the first: those of frequent words


def small_tokenizer(whole: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """Cut a byte-pair tokenizer down to its first entries."""
    definition = json.loads(whole.backend_tokenizer.to_str())
    model = definition["model"]
    model["vocab"] = {piece: n for piece, n in model["vocab"].items() if n < VOCABULARY}
    model["merges"] = [pair for pair in model["merges"] if "".join(pair) in model["vocab"]]
    tokenizer = copy.deepcopy(whole)
    tokenizer._tokenizer = Tokenizer.from_str(json.dumps(definition))
    return tokenizer


def small(model: PreTrainedModel) -> PreTrainedModel:
    """Cut a model's embeddings down to the small vocabulary."""
    model.resize_token_embeddings(VOCABULARY)
    return model


def tiny_llama() -> PreTrainedModel:
    return small(tiny.tiny_llama())


def tiny_gpt2() -> PreTrainedModel:
    return small(tiny.tiny_gpt2())


def tiny_falcon(**options: str) -> PreTrainedModel:
    return small(tiny.tiny_falcon(**options))


def tiny_t5() -> PreTrainedModel:
    return small(tiny.tiny_t5())


def tiny_bart() -> PreTrainedModel:
    return small(tiny.tiny_bart())
