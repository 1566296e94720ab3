"""The one registry pattern: things found by their name, with advice where a name is wrong."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Registry(Generic[T]):
    """Things by name.

    Parameters
    ----------
    argument : str
        The argument in which users give a name, as errors call it.
    """

    def __init__(self, argument: str) -> None:
        self._argument = argument
        self._entries: dict[str, T] = {}

    def add(self, name: str, entry: T, overwrite: bool = False) -> None:
        """Register an entry.

        Raises
        ------
        ValueError
            When the name is taken, and may not be overwritten.
        """
        if name in self._entries and not overwrite:
            raise ValueError(f"{self._argument}: {name!r} is registered already.")
        self._entries[name] = entry

    def __getitem__(self, name: str) -> T:
        """Find an entry.

        Raises
        ------
        ValueError
            For an unknown name; the message gives the nearest ones.
        """
        if name in self._entries:
            return self._entries[name]
        near = difflib.get_close_matches(str(name), self._entries, n=3, cutoff=0.5)
        advice = f"did you mean {' or '.join(map(repr, near))}? There" if near else "there"
        raise ValueError(
            f"{self._argument}: {name!r} is not known; {advice} are {', '.join(self)}."
        )

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries))
