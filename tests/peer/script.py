"""A script in Inseq's words, run as it stands, and everything that it attributes."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.peer.job import Failure, failure, seen


@dataclass(frozen=True)
class Script:
    """Source text to run.

    Attributes
    ----------
    source : str
    library : str
        Which one it imports.
    folder : Path
        Where it runs: names of models in it are folders there.
    results : tuple of str
        Names of variables to look at.
    """

    source: str
    library: str
    folder: Path
    results: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ran:
    """What a script came to.

    Attributes
    ----------
    attributed : list
        What each call of ``attribute`` returned, as lists of `Scores`.
    results : dict of str to object
        By variable: a list of `Scores`, an array or a plain value.
    failed : Failure or None
    """

    attributed: list[Any]
    results: dict[str, Any]
    failed: Failure | None = None


def ran(script: Script) -> Ran:
    """Run a script in a namespace of its own."""
    names: dict[str, Any] = {"__name__": "__main__"}
    attributed: list[Any] = []
    before = Path.cwd()
    os.chdir(script.folder)
    try:
        with contextlib.redirect_stdout(io.StringIO()), _noting(script.library, attributed):
            exec(compile(script.source, "<script>", "exec"), names)
    except Exception as error:
        return Ran(attributed, {}, failure(error))
    finally:
        os.chdir(before)
    return Ran(attributed, {name: seen(names[name]) for name in script.results})


@contextlib.contextmanager
def _noting(library: str, attributed: list[Any]) -> Iterator[None]:
    """Note what every call of a library's ``attribute`` returns, before the script changes it."""
    model = import_module(library).AttributionModel
    original = model.attribute

    def attribute(*args: Any, **kwargs: Any) -> Any:
        out = original(*args, **kwargs)
        attributed.append(seen(out))
        return out

    model.attribute = attribute
    try:
        yield
    finally:
        model.attribute = original
