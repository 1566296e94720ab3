"""Configuration of the Bergamot models: what the published small ones have, by default."""

from __future__ import annotations

from transformers import PreTrainedConfig


class BergamotConfig(PreTrainedConfig):
    """Sizes of a Bergamot model.

    Ids from 0 to ``vocab_size - 2`` are pieces of the vocabulary; the last one stands for padding
    and for the start of the target, and its embedding is zero.

    Parameters
    ----------
    vocab_size : int
        Number of embeddings, the one for padding included.
    d_model : int
        Number of features.
    encoder_layers, decoder_layers : int
    num_attention_heads : int
    ffn_dim : int
        Features inside a feed-forward block.
    """

    model_type = "inseq_widget_bergamot"
    keys_to_ignore_at_inference = ["past_key_values"]  # noqa: RUF012 (transformers' own form)
    attribute_map = {  # noqa: RUF012
        "hidden_size": "d_model",
        "num_hidden_layers": "encoder_layers",
    }

    vocab_size: int = 32_001
    d_model: int = 256
    encoder_layers: int = 6
    decoder_layers: int = 2
    num_attention_heads: int = 8
    ffn_dim: int = 1536
    is_encoder_decoder: bool = True
    tie_word_embeddings: bool = False
    eos_token_id: int = 0
    pad_token_id: int = 32_000
    decoder_start_token_id: int = 32_000
    use_cache: bool = True
