"""What a tiny model of every class that writes text is made of."""

from __future__ import annotations

from dataclasses import dataclass, field

IDS = {"vocab_size": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}

LAYERED = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 4,
    "max_position_embeddings": 64,
    "initializer_range": 0.2,
}
# As many heads for keys and values as for queries.
ALL_HEADS = {**LAYERED, "num_key_value_heads": 4}
GPT = {"n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 64, "initializer_range": 0.2}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 12}
FALCON = {name: value for name, value in ALL_HEADS.items() if name != "head_dim"}
LOCAL_EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}
SLIDING = {"sliding_window": 3}
LATENT = {  # multi-head latent attention
    "q_lora_rank": 8,
    "kv_lora_rank": 8,
    "qk_rope_head_dim": 4,
    "qk_nope_head_dim": 4,
    "v_head_dim": 4,
    "num_key_value_heads": 4,
}
LINEAR = {  # gated linear attention
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 4,
    "linear_value_head_dim": 4,
}
STATES = {
    "mamba_d_state": 4,
    "mamba_d_conv": 4,
    "mamba_expand": 2,
}
STACKS = {
    "d_model": 16,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24,
    "max_position_embeddings": 64,
    "init_std": 0.2,
    "decoder_start_token_id": 2,
    "forced_eos_token_id": None,
    "forced_bos_token_id": None,
}
T5 = {
    "d_model": 16,
    "d_kv": 4,
    "d_ff": 24,
    "num_layers": 2,
    "num_decoder_layers": 2,
    "num_heads": 4,
    "decoder_start_token_id": 0,
}
SEAMLESS = {
    "hidden_size": 16,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24,
    "max_position_embeddings": 64,
    "decoder_start_token_id": 2,
    # The parts that read and make speech are not built, but are checked.
    "speech_encoder_layers": 1,
    "speech_encoder_attention_heads": 4,
    "t2u_encoder_layers": 1,
    "t2u_decoder_layers": 1,
}
T5GEMMA = {**LAYERED, **IDS, **SLIDING, "layer_types": ["sliding_attention", "full_attention"]}


@dataclass(frozen=True)
class Architecture:
    """A class of models and what a tiny one is made of.

    Attributes
    ----------
    model_type : str
        Its name in transformers.
    options : dict
        Of its configuration.
    encoder_decoder : bool
    class_name : str
        Of the model, where no automatic class finds it.
    """

    model_type: str
    options: dict[str, object] = field(default_factory=dict)
    encoder_decoder: bool = False
    class_name: str = ""


def _causal(model_type: str, *parts: dict[str, object], **options: object) -> Architecture:
    merged: dict[str, object] = dict(IDS)
    for part in (*parts, options):
        merged.update(part)
    return Architecture(model_type, merged)


def _encoder_decoder(
    model_type: str, *parts: dict[str, object], class_name: str = "", **options: object
) -> Architecture:
    made = _causal(model_type, *parts, **options)
    return Architecture(model_type, made.options, True, class_name)


ARCHITECTURES: dict[str, Architecture] = {
    "BioGpt": _causal("biogpt", ALL_HEADS),
    "Bloom": _causal("bloom", GPT, hidden_size=16),
    "CodeGen": _causal("codegen", GPT, rotary_dim=4, n_ctx=64),
    "Cohere": _causal("cohere", LAYERED),
    "Dbrx": _causal(
        "dbrx",
        d_model=16,
        n_heads=4,
        n_layers=2,
        max_seq_len=64,
        attn_config={"kv_n_heads": 2, "clip_qkv": 8.0, "rope_theta": 1e4},
        ffn_config={"ffn_hidden_size": 24, "moe_num_experts": 4, "moe_top_k": 2, "hidden_size": 16},
        initializer_range=0.2,
    ),
    "Falcon": _causal("falcon", FALCON, alibi=False),
    "Falcon (ALiBi)": _causal("falcon", FALCON, alibi=True, multi_query=False),
    "Gemma": _causal("gemma", LAYERED),
    "Gemma 2": _causal(
        "gemma2", LAYERED, SLIDING, layer_types=["sliding_attention", "full_attention"]
    ),
    "Gemma 3": _causal(
        "gemma3_text", LAYERED, SLIDING, layer_types=["sliding_attention", "full_attention"]
    ),
    "Gemma 3n": _causal(
        "gemma3n_text",
        LAYERED,
        SLIDING,
        num_hidden_layers=4,
        intermediate_size=[24] * 4,
        layer_types=["sliding_attention", "full_attention"] * 2,
        vocab_size_per_layer_input=64,
        hidden_size_per_layer_input=4,
        num_kv_shared_layers=2,
        laurel_rank=4,
        activation_sparsity_pattern=[0.5, 0.0, 0.0, 0.0],
    ),
    "GPT-BigCode": _causal("gpt_bigcode", GPT, multi_query=True),
    "GPT-J": _causal("gptj", GPT, rotary_dim=4),
    "GPT-2": _causal("gpt2", GPT),
    "GPT-Neo": _causal(
        "gpt_neo",
        hidden_size=16,
        num_layers=2,
        num_heads=4,
        max_position_embeddings=64,
        attention_types=[[["global", "local"], 1]],
        window_size=4,
        initializer_range=0.2,
    ),
    "GPT-NeoX": _causal("gpt_neox", ALL_HEADS),
    "Granite": _causal("granite", LAYERED, embedding_multiplier=3.0, residual_multiplier=0.5),
    "GraniteMoe": _causal("granitemoe", LAYERED, LOCAL_EXPERTS),
    "Llama": _causal("llama", LAYERED),
    "Llama (tied)": _causal("llama", LAYERED, tie_word_embeddings=True),
    "Mistral": _causal("mistral", LAYERED, SLIDING),
    "Mixtral": _causal("mixtral", LAYERED, LOCAL_EXPERTS, SLIDING),
    "Nemotron": _causal("nemotron", LAYERED),
    "MPT": _causal("mpt", d_model=16, n_heads=4, n_layers=2, max_seq_len=64, initializer_range=0.2),
    "OLMo": _causal("olmo", LAYERED),
    "OLMo 2": _causal("olmo2", LAYERED),
    "OLMoE": _causal("olmoe", LAYERED, EXPERTS),
    "OpenAI-GPT": _causal("openai-gpt", GPT),
    "OPT": _causal("opt", ALL_HEADS, ffn_dim=24, word_embed_proj_dim=16, init_std=0.2),
    "OPT (projected)": _causal("opt", ALL_HEADS, ffn_dim=24, word_embed_proj_dim=8, init_std=0.2),
    "Phi": _causal("phi", ALL_HEADS),
    "Phi-3": _causal("phi3", LAYERED, SLIDING),
    "Qwen2": _causal("qwen2", LAYERED),
    "Qwen2-MoE": _causal("qwen2_moe", LAYERED, EXPERTS, shared_expert_intermediate_size=12),
    "StableLM": _causal("stablelm", LAYERED),
    "StarCoder2": _causal("starcoder2", LAYERED),
    "XGLM": _causal(
        "xglm",
        d_model=16,
        ffn_dim=24,
        num_layers=2,
        attention_heads=4,
        max_position_embeddings=64,
        init_std=0.2,
    ),
    "Qwen3": _causal("qwen3", LAYERED),
    "Qwen3-MoE": _causal("qwen3_moe", LAYERED, EXPERTS),
    "Qwen3-Next": _causal(
        "qwen3_next",
        LAYERED,
        EXPERTS,
        LINEAR,
        shared_expert_intermediate_size=12,
        layer_types=["linear_attention", "full_attention"],
    ),
    "Llama 4": _causal(
        "llama4_text",
        LAYERED,
        num_local_experts=2,
        interleave_moe_layer_step=2,
        intermediate_size_mlp=24,
        attention_chunk_size=4,
    ),
    "SmolLM3": _causal("smollm3", LAYERED, no_rope_layers=[1, 0]),
    "GPT-OSS": _causal(
        "gpt_oss",
        LAYERED,
        LOCAL_EXPERTS,
        SLIDING,
        layer_types=["sliding_attention", "full_attention"],
    ),
    "DeepSeek-V3": _causal(
        "deepseek_v3",
        LAYERED,
        LATENT,
        n_routed_experts=4,
        n_group=2,
        topk_group=1,
        num_experts_per_tok=2,
        moe_intermediate_size=12,
        first_k_dense_replace=1,
        head_dim=4,
    ),
    "GLM-4": _causal("glm4", LAYERED),
    "DiffLlama": _causal("diffllama", LAYERED),
    "Mamba": _causal(
        "mamba", hidden_size=16, state_size=4, num_hidden_layers=2, initializer_range=0.2
    ),
    "Mamba 2": _causal(
        "mamba2",
        hidden_size=16,
        state_size=4,
        num_hidden_layers=2,
        num_heads=8,
        head_dim=4,
        n_groups=2,
        chunk_size=4,
        initializer_range=0.2,
    ),
    "Jamba": _causal(
        "jamba",
        LAYERED,
        STATES,
        EXPERTS,
        mamba_dt_rank=4,
        use_mamba_kernels=False,
        attn_layer_period=2,
        attn_layer_offset=1,
        expert_layer_period=2,
        expert_layer_offset=1,
    ),
    "Bamba": _causal(
        "bamba",
        LAYERED,
        STATES,
        mamba_n_heads=8,
        mamba_d_head=4,
        mamba_n_groups=1,
        mamba_chunk_size=4,
        attn_layer_indices=[1],
    ),
    "Falcon-H1": _causal(
        "falcon_h1",
        LAYERED,
        STATES,
        mamba_d_ssm=32,
        mamba_n_heads=8,
        mamba_d_head=4,
        mamba_n_groups=1,
        mamba_chunk_size=4,
    ),
    "RecurrentGemma": _causal(
        "recurrent_gemma",
        LAYERED,
        lru_width=16,
        attention_window_size=4,
        num_hidden_layers=3,
        block_types=["recurrent", "recurrent", "attention"],
    ),
    "RWKV": _causal(
        "rwkv", hidden_size=16, attention_hidden_size=16, num_hidden_layers=2, context_length=64
    ),
    "LFM2": _causal("lfm2", LAYERED, layer_types=["conv", "full_attention"], block_ff_dim=24),
    "BART": _encoder_decoder("bart", STACKS),
    "Marian": _encoder_decoder("marian", STACKS, scale_embedding=True),
    "FSMT": _encoder_decoder(
        "fsmt", STACKS, langs=["en", "pt"], src_vocab_size=64, tgt_vocab_size=64
    ),
    "M2M-100": _encoder_decoder("m2m_100", STACKS),
    "mBART": _encoder_decoder("mbart", STACKS),
    "mT5": _encoder_decoder("mt5", T5),
    "NLLB-MoE": _encoder_decoder(
        "nllb-moe",
        STACKS,
        num_experts=4,
        expert_capacity=64,
        encoder_sparse_step=2,
        decoder_sparse_step=2,
    ),
    "Pegasus": _encoder_decoder("pegasus", STACKS),
    "SeamlessM4T": _encoder_decoder(
        "seamless_m4t", SEAMLESS, class_name="SeamlessM4TForTextToText"
    ),
    "SeamlessM4T v2": _encoder_decoder(
        "seamless_m4t_v2", SEAMLESS, class_name="SeamlessM4Tv2ForTextToText"
    ),
    "T5": _encoder_decoder("t5", T5),
    "UMT5": _encoder_decoder("umt5", T5),
    "T5Gemma": _encoder_decoder(
        "t5gemma", encoder=dict(T5GEMMA), decoder={**T5GEMMA, "cross_attention_hidden_size": 16}
    ),
}
