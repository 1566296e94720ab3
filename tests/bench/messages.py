"""What the driver and a worker tell each other, as both ends of the pipe know it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from texts import Text


@dataclass(frozen=True)
class Job:
    """What a worker is started for.

    Attributes
    ----------
    model : str
        Folder of the model.
    method : str
    keywords : dict
        Of the method.
    attributed_fn : str
    text : Text
    features : {"norm", "sum"} or None
        How the scores that are compared are reduced.
    layer : int or None
        Which layer of several is compared.
    device, dtype : str
    threads : int
    """

    model: str
    method: str
    keywords: dict[str, str | int | float]
    attributed_fn: str
    text: Text
    features: str | None
    layer: int | None
    device: str
    dtype: str
    threads: int

    def as_json(self) -> str:
        """Return the job as a worker reads it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, given: str) -> Job:
        """Read what `as_json` wrote."""
        entries = json.loads(given)
        return cls(**{**entries, "text": Text(**entries["text"])})


@dataclass(frozen=True)
class Loaded:
    """What a worker says of itself once its model is loaded.

    Attributes
    ----------
    input_ids, target_ids : list of int
    dtype : str
    threads : int
    versions : dict of str to str
    peak : float
        Peak of the process so far, imports and loading included, in megabytes.
    held : float
        Memory held now that every weight has been read.
    """

    input_ids: list[int]
    target_ids: list[int]
    dtype: str
    threads: int
    versions: dict[str, str]
    peak: float
    held: float


@dataclass(frozen=True)
class Run:
    """One run of the timed job.

    Attributes
    ----------
    seconds : float
    peak : float
        Peak memory since loading, in megabytes, read before scores are made of the result.
    points : list of int, (step,)
        How many points of a path each step used, where the method chooses.
    off : list of float, (step,)
        The convergence deltas there, as shares of the steps' differences in output.
    """

    seconds: float
    peak: float
    points: list[int]
    off: list[float]
