"""Says what a name stands for: a method, a step function, an aggregator or what joins scores."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from inseq_widget.methods.base import METHODS
from inseq_widget.registry import Registry
from inseq_widget.results.aggregation.base import AGGREGATORS
from inseq_widget.results.reductions import FUNCTIONS
from inseq_widget.scores.registering import STEP_FUNCTIONS

_FUNCTIONS = {
    "absmax": "The score of largest magnitude, with its sign.",
    "max": "The largest score.",
    "mean": "The mean of the scores.",
    "min": "The smallest score.",
    "prod": "The product of the scores.",
    "sum": "The sum of the scores.",
    "vnorm": "The norm of the scores: of order vnorm_ord, by default 2, the Euclidean one.",
}


def explain(id: str) -> None:
    """Print what a name stands for, with its formula, keywords and source.

    Parameters
    ----------
    id : str
        Name of an attribution method, a step function, an aggregator or an aggregation function.

    Raises
    ------
    ValueError
        For an unknown name; the message gives the nearest ones.
    """
    known: Registry[list[tuple[str, str]]] = Registry("id")
    for name, kind, documentation in _entries():
        if name in known:
            known[name].append((kind, documentation))
        else:
            known.add(name, [(kind, documentation)])
    console = Console()
    for kind, documentation in known[id]:
        console.print(Text(f"{id} ({kind})", style="bold"), soft_wrap=True)
        console.print(Text(f"\n{inspect.cleandoc(documentation)}\n"), soft_wrap=True)


def _entries() -> Iterator[tuple[str, str, str]]:
    """Yield each name with what it is and what is written of it."""
    nothing = "Nothing is written of it."
    for name in METHODS:
        yield name, "attribution method", METHODS[name].__doc__ or nothing
    for name in STEP_FUNCTIONS:
        yield name, "step function", STEP_FUNCTIONS[name].function.__doc__ or nothing
    for name in AGGREGATORS:
        yield name, "aggregator", AGGREGATORS[name].__doc__ or nothing
    for name in FUNCTIONS:
        written = _FUNCTIONS.get(name) if FUNCTIONS[name].vectorized else None
        written = written or FUNCTIONS[name].function.__doc__
        yield name, "aggregation function", written or nothing
