"""A random Marian of 60 million parameters in a folder: `python translation_model.py FOLDER`.

Inseq takes the demo translation model as an object alone, and this benchmark loads models from
folders. Inseq also scales what Marian's decoder is given, which
the decoder does itself: without scaling in the configuration, both sides explain the same model.
"""

from __future__ import annotations

import sys
from pathlib import Path

from texts import SOURCE, TRANSLATION

SEED = 20
VOCABULARY = 32_000
SPECIAL = ("</s>", "<unk>", "<pad>")


def save(folder: Path, *, size: int = 512, layers: int = 6) -> None:
    """Write weights, configuration and a tokenizer of whole words."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import MarianConfig, MarianMTModel, PreTrainedTokenizerFast

    end, unknown, padding = SPECIAL
    words = dict.fromkeys([*SPECIAL, *SOURCE.split(), *TRANSLATION.split()])
    backend = Tokenizer(
        models.WordLevel({word: number for number, word in enumerate(words)}, unk_token=unknown)
    )
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.post_processor = processors.TemplateProcessing(
        single=f"$A {end}", special_tokens=[(end, 0)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token=end, unk_token=unknown, pad_token=padding
    ).save_pretrained(folder)
    torch.manual_seed(SEED)
    configuration = MarianConfig(
        vocab_size=VOCABULARY,
        d_model=size,
        encoder_layers=layers,
        decoder_layers=layers,
        encoder_attention_heads=8,
        decoder_attention_heads=8,
        encoder_ffn_dim=4 * size,
        decoder_ffn_dim=4 * size,
        max_position_embeddings=512,
        scale_embedding=False,
        eos_token_id=0,
        forced_eos_token_id=0,
        pad_token_id=2,
        decoder_start_token_id=2,
        # Wide enough that every source token matters by far more than rounding, at any size.
        init_std=1.2 * size**-0.5,
    )
    MarianMTModel(configuration).save_pretrained(folder)


if __name__ == "__main__":
    save(Path(sys.argv[1]))
