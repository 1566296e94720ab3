"""What the comparisons attribute, and jobs about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.inseq.models import KINDS
from tests.peer.job import Job

PROMPT = "The nurse said that"
FORCED = "The nurse said that she was so tired."
SOURCE = "The nurse was so tired."
TARGET = "Non posso crederci."
CAUSAL = [name for name, kind in KINDS.items() if kind.causal]
# Marian is left out: the two libraries explain different models there (test_marian.py).
TRANSLATING = [name for name, kind in KINDS.items() if not kind.causal and name != "marian"]
ALL = [*CAUSAL, *TRANSLATING]

FIRST_LAYER = {
    "llama": "model.layers[0]",
    "gpt2": "transformer.h[0]",
    "bart": "model.encoder.layers[0]",
    "t5": "encoder.block[0]",
    "marian": "model.encoder.layers[0]",
}

Keywords = Mapping[str, Any]


def job(
    model: str,
    method: str,
    keywords: Keywords | None = None,
    *,
    loading: Keywords | None = None,
    own: Keywords | None = None,
    peer: Keywords | None = None,
    **options: Any,
) -> Job:
    """Ask for the scores of the forced text, with every feature kept on both sides."""
    texts = (PROMPT, FORCED) if KINDS[model].causal else (SOURCE, TARGET)
    return Job(
        model,
        method,
        *texts,
        keywords or {},
        loading or {},
        {"granular": True, **(own or {})},
        peer or {},
        **options,
    )
