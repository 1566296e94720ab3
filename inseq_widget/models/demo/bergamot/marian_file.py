"""Reads the tensors of a binary Marian model file.

The file is little endian: a version and a count, then for each tensor a record of name length,
type, number of dimensions and bytes of data, all unsigned 64-bit; then all names, all shapes as
signed 32-bit, the length of a padding and that padding, and the data of each tensor in order.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np

_VERSION = 1
_FLOAT32 = 0x404
_INT8 = 0x4101
_INT8_TRAILER = 256  # bytes after int8 data; the first four are the float32 multiplier
_EMBEDDING = "Wemb"


def read_marian_file(path: Path) -> dict[str, np.ndarray]:
    """Read the weights of a Marian model.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    dict of str to numpy.ndarray of float32
        Matrices of shape (input, output), vectors of shape (1, feature), and the embedding of
        shape (vocabulary, feature). 8-bit integers are divided by their multiplier.

    Raises
    ------
    ValueError
        When the file is not a Marian model of version 1, ends too early, goes on after its last
        tensor, or holds a tensor whose size, multiplier or values are impossible.
    """
    content = _Reader(path)
    version, count = content.unpack("<2Q")
    if version != _VERSION:
        raise content.error(f"has version {version} instead of {_VERSION}")
    if count * 32 > content.remaining:
        raise content.error(f"announces {count} tensors")
    records = [content.unpack("<4Q") for _ in range(count)]
    names = [content.take(record[0]).rstrip(b"\0").decode("utf-8", "replace") for record in records]
    shapes = [content.shape(record[2]) for record in records]
    content.take(*content.unpack("<Q"))
    tensors: dict[str, np.ndarray] = {}
    for name, shape, (_, kind, _, size) in zip(names, shapes, records, strict=True):
        data = content.take(size)
        if name.startswith("special:") or name.endswith("_QuantMultA"):
            continue  # the training configuration, and numbers for integer kernels
        if name in tensors:
            raise content.error(f"holds {name} twice")
        tensors[name] = _tensor(content, name, kind, shape, data)
    if content.remaining:
        raise content.error(f"goes on for {content.remaining} bytes after its last tensor")
    return tensors


def _tensor(
    content: _Reader, name: str, kind: int, shape: tuple[int, ...], data: bytes
) -> np.ndarray:
    if kind not in (_FLOAT32, _INT8):
        raise content.error(f"has the unknown type {kind:#x} for {name}")
    size = math.prod(shape)
    expected = 4 * size if kind == _FLOAT32 else size + _INT8_TRAILER
    if len(shape) != 2 or min(shape) < 1 or len(data) != expected:
        raise content.error(f"has {len(data)} bytes for {name} of shape {shape}")
    if kind == _FLOAT32:
        vector = np.frombuffer(data, "<f4", size).reshape(shape)
        if not np.isfinite(vector).all():
            raise content.error(f"holds values in {name} that are not finite")
        return vector
    (multiplier,) = struct.unpack_from("<f", data, size)
    if not (math.isfinite(multiplier) and multiplier > 0):
        raise content.error(f"has the multiplier {multiplier} for {name}")
    values = np.frombuffer(data, np.int8, size).astype(np.float32) / np.float32(multiplier)
    if name == _EMBEDDING:
        return values.reshape(shape)
    # Every other matrix lies transposed, ready for the integer kernels.
    rows, columns = shape
    return np.ascontiguousarray(values.reshape(columns, rows).T)


class _Reader:
    """Takes pieces off the front of a file and refuses to go beyond its end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._content = memoryview(path.read_bytes())
        self._position = 0

    @property
    def remaining(self) -> int:
        return len(self._content) - self._position

    def take(self, size: int) -> bytes:
        if size > self.remaining:
            raise self.error(f"ends {size - self.remaining} bytes too early")
        piece = self._content[self._position : self._position + size]
        self._position += size
        return bytes(piece)

    def unpack(self, form: str) -> tuple[int, ...]:
        return struct.unpack(form, self.take(struct.calcsize(form)))

    def shape(self, dimensions: int) -> tuple[int, ...]:
        # Compared before a format is made of it: struct refuses a huge one in words of its own.
        if 4 * dimensions > self.remaining:
            raise self.error(f"announces a tensor of {dimensions} dimensions")
        return self.unpack(f"<{dimensions}i")

    def error(self, what: str) -> ValueError:
        return ValueError(
            f"{self._path} {what}: it is damaged or no binary Marian model; "
            "reinstall the package that brings it."
        )
