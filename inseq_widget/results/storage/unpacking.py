"""Finds out what a file is, and unpacks it where it is compressed."""

from __future__ import annotations

import gzip
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

_GZIP = b"\x1f\x8b"
_LENGTH = 8  # bytes of a safetensors file that say how long its header is
_CHUNK = 1 << 20

# A compressed file may unpack to this many bytes, or to this many times its own size.
FREE_SIZE = 64 << 20
MAX_RATIO = 200


def kind_of(path: Path) -> Literal["safetensors", "json"]:
    """Tell from its first bytes what a file is.

    Parameters
    ----------
    path : pathlib.Path
        Not compressed.

    Returns
    -------
    {"safetensors", "json"}

    Raises
    ------
    ValueError
        When it is neither.
    """
    with path.open("rb") as file:
        start = file.read(_LENGTH + 1)
    if not start:
        raise ValueError("it is empty.")
    if start.startswith(b"PK"):
        raise ValueError("it is a zip archive, such as torch.save writes; unpickling runs code.")
    if start.startswith(_GZIP):
        raise ValueError("it is compressed twice.")
    if start.lstrip().startswith(b"{") and 0 not in start[:_LENGTH]:
        return "json"
    if len(start) <= _LENGTH:
        raise ValueError(f"it ends after {len(start)} bytes.")
    return "safetensors"


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Give a file as it is, or its content in a temporary file where it is compressed.

    Parameters
    ----------
    path : pathlib.Path

    Yields
    ------
    pathlib.Path

    Raises
    ------
    ValueError
        For a file that is damaged, or that unpacks to more than a score file would.
    """
    with path.open("rb") as file:
        compressed = file.read(len(_GZIP)) == _GZIP
    if not compressed:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder, "plain")
        _unpack(path, plain, max(FREE_SIZE, MAX_RATIO * path.stat().st_size))
        yield plain


def _unpack(path: Path, plain: Path, limit: int) -> None:
    size = 0
    try:
        with gzip.open(path, "rb") as source, plain.open("wb") as target:
            while chunk := source.read(_CHUNK):
                size += len(chunk)
                if size > limit:
                    raise ValueError(
                        f"it unpacks to more than {limit >> 20} MiB, {MAX_RATIO} times its size; "
                        "unpack it with gunzip if you know where it comes from."
                    )
                target.write(chunk)
    except (gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"its gzip compression is damaged ({error}).") from error
    except EOFError as error:
        raise ValueError("its gzip compression ends too early.") from error
