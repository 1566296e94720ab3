"""Which methods refuse which architectures: the model has not what they explain."""

from __future__ import annotations

# The layers mix tokens by something else than attention, at all or here and there.
WITHOUT_ATTENTION = frozenset({"Mamba", "Mamba 2", "RWKV"})
HYBRID = frozenset({"Bamba", "Falcon-H1", "Jamba", "LFM2", "Qwen3-Next", "RecurrentGemma"})
# The layers pass on hidden states in dimensions of their own.
OTHER_DIMENSIONS = frozenset({"FSMT", "Gemma 3n"})

BY_METHOD: dict[str, frozenset[str]] = {
    "alti_logit": WITHOUT_ATTENTION
    | HYBRID
    | {"DiffLlama", "Gemma 3n", "Granite", "OPT (projected)", "OpenAI-GPT"},
    "attention": WITHOUT_ATTENTION,
    "attention_flow": WITHOUT_ATTENTION | HYBRID,
    "attention_rollout": WITHOUT_ATTENTION | HYBRID,
    "layer_deeplift": OTHER_DIMENSIONS,
    "layer_gradient_x_activation": OTHER_DIMENSIONS,
    "layer_integrated_gradients": OTHER_DIMENSIONS,
    "value_zeroing": WITHOUT_ATTENTION | {"Gemma 3n"},
}


def refuses(method: str, name: str) -> bool:
    """Say whether a method refuses an architecture."""
    return name in BY_METHOD.get(method, frozenset())
