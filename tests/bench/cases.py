"""The text that every measurement uses, and the table of methods with their limits."""

from __future__ import annotations

from dataclasses import dataclass

PROMPT = (
    "The lighthouse keeper climbed the narrow stairs every evening, lit the great lamp, and wrote "
    "the weather, the tides and the names of passing ships in his old leather"
)
CONTINUATION = (
    " logbook. One stormy night in November the lamp went dark, and by morning three fishing boats "
    "had run aground on the rocks that his light was there to mark."
)
PROMPT_TOKENS = 32
TARGET_TOKENS = 34
"""Counts under the tokenizer of SmolLM2; a run that finds others stops."""

LARGEST_DIFFERENCE = 3e-4
"""Allowed difference to the peer's scores, as a fraction of the peer's largest score."""


@dataclass(frozen=True)
class Case:
    """One method, compared with the peer's method of the same name.

    Attributes
    ----------
    method : str
        Name of the attribution method, the same on both sides.
    times_faster : float
        Limit: the median over the rounds of (peer's seconds / own seconds) must reach it.
    rounds : int
        Timed pairs, after one warm-up run of each side.
    vector_valued : bool
        The peer's raw scores end in a feature dimension, which the own side reduces to the L2 norm;
        otherwise both sides give raw scores and every entry is compared.
    """

    method: str
    times_faster: float
    rounds: int
    vector_valued: bool


CASES = (
    Case("saliency", times_faster=3.0, rounds=5, vector_valued=True),
    Case("attention", times_faster=1.0, rounds=31, vector_valued=False),
)


def case_named(method: str) -> Case:
    """Return the case of a method.

    Raises
    ------
    ValueError
        If the table has no such method; the message lists those that it has.
    """
    for case in CASES:
        if case.method == method:
            return case
    known = ", ".join(case.method for case in CASES)
    raise ValueError(f"method: no benchmark case for {method!r}; there are {known}")
