"""What a worker answers, as both ends of its pipe know it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Loaded:
    """What a worker says of itself once its model is loaded."""

    prompt_ids: list[int]
    target_ids: list[int]
    dtype: str
    threads: int
    versions: dict[str, str]


@dataclass(frozen=True)
class Run:
    """One run of the timed job, in seconds."""

    seconds: float


@dataclass(frozen=True)
class Memory:
    """Memory of a worker in megabytes.

    Attributes
    ----------
    peak : float
        Peak of the whole process, imports and loading included.
    loaded : float
        Held when the model was loaded and every weight had been read.
    running : float
        Peak since then.
    """

    peak: float
    loaded: float
    running: float
