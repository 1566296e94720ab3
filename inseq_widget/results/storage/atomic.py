"""Replaces a file as a whole: there is the old one or the new one, never a part of either."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Give a place to write to, and put what was written there in the place of ``path``.

    Parameters
    ----------
    path : pathlib.Path
        Of a file, which may exist, in a folder that does. Where it is a symbolic link, the file
        that it points to is replaced.

    Yields
    ------
    pathlib.Path
        To be written inside the ``with`` block. It lies in a new folder beside ``path``, on the
        same disk. When the block ends well the file is flushed to the disk and renamed; when it
        ends with an exception, an interrupt included, nothing of it stays.
    """
    target = Path(os.path.realpath(path))
    with tempfile.TemporaryDirectory(prefix=".saving-", dir=target.parent) as folder:
        written = Path(folder, "written")
        yield written
        shutil.copymode(target if target.exists() else _ordinary_file(folder), written)
        _flush(written)
        os.replace(written, target)
    if os.name == "posix":
        _flush(target.parent)


def _ordinary_file(folder: str) -> Path:
    """Make a file with the permissions that new files have here."""
    path = Path(folder, "ordinary")
    path.touch()
    return path


def _flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
