"""Reads the arrays of Inseq's JSON files: safetensors in base64, bytes in base64, or lists."""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Mapping
from typing import Any, TypedDict, cast

import numpy as np
import torch
from safetensors import SafetensorError, deserialize

from inseq_widget.results.storage.arrays import EIGHT_BITS, FLOATS, WHOLE
from inseq_widget.results.storage.conformity import check_conforms, shortened
from inseq_widget.results.storage.unpacking import FREE_SIZE, MAX_RATIO

_NAME = "attribution"  # of the one array in each piece of safetensors
_TYPES = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool")
_IN_SAFETENSORS = FLOATS | WHOLE | EIGHT_BITS | {"BF16": torch.bfloat16}
_GZIP = 16 + zlib.MAX_WBITS


class _Encoded(TypedDict):
    """An array that is no safetensors."""

    dtype: str
    shape: list[int]


def tensor_of(node: object, where: str) -> torch.Tensor:
    """Read an array.

    Parameters
    ----------
    node : object
        A text, a dictionary with ``__ndarray__``, or nested lists.
    where : str
        Name of the array in errors.

    Returns
    -------
    torch.Tensor
        In single precision where it has less.

    Raises
    ------
    ValueError
    """
    try:
        if isinstance(node, str):
            values = _of_safetensors(base64.b64decode(node, validate=True))
        elif isinstance(node, dict):
            values = _of_ndarray(node, where)
        elif isinstance(node, list):
            values = torch.from_numpy(np.asarray(node, dtype=np.float32))
        else:
            raise ValueError(f"it is {shortened(node)}")
    except (ValueError, TypeError, OverflowError, RecursionError, SafetensorError) as error:
        raise ValueError(f"{where} is no array: {error}") from error
    half = values.is_floating_point() and values.element_size() < 4
    return values.to(torch.float32) if half else values


def _of_safetensors(content: bytes) -> torch.Tensor:
    arrays = dict(cast("Any", deserialize)(content))
    if _NAME not in arrays:
        raise ValueError(f"it holds no {_NAME!r}")
    array = cast("Mapping[str, object]", arrays[_NAME])
    dtype = _IN_SAFETENSORS.get(str(array["dtype"]))
    if dtype is None:
        raise ValueError(f"its type is {array['dtype']}")
    data, shape = cast("bytearray", array["data"]), cast("list[int]", array["shape"])
    if not data:
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(bytearray(data), dtype=dtype).reshape(shape)


def _of_ndarray(node: Mapping[str, object], where: str) -> torch.Tensor:
    if "__ndarray__" not in node:
        raise ValueError("'__ndarray__' is missing")
    check_conforms(node, _Encoded, where)
    encoded = cast("_Encoded", node)
    if encoded["dtype"] not in _TYPES:
        raise ValueError(f"its type is {shortened(encoded['dtype'])}")
    dtype, shape, data = np.dtype(encoded["dtype"]), encoded["shape"], node["__ndarray__"]
    if not isinstance(data, str):
        values = np.asarray(data, dtype=dtype)
        if 0 not in shape and list(values.shape) != shape:
            raise ValueError(f"its shape is {list(values.shape)} and not {shape}")
        return torch.from_numpy(values.reshape(shape))
    content = _decoded(data, math.prod(shape) * dtype.itemsize)
    return torch.from_numpy(np.frombuffer(bytearray(content), dtype=dtype).reshape(shape))


def _decoded(data: str, size: int) -> bytes:
    """Decode bytes, and unpack them no further than to the size that they have to have."""
    mark, _, text = data.partition(":")
    content = base64.b64decode(text, validate=True)
    if mark == "b64.gz":
        if size > max(FREE_SIZE, MAX_RATIO * len(content)):
            raise ValueError(f"it would unpack to {size} bytes, {MAX_RATIO} times as many")
        try:
            content = zlib.decompressobj(_GZIP).decompress(content, size + 1)
        except zlib.error as error:
            raise ValueError(f"its compression is damaged ({error})") from error
    elif mark != "b64":
        raise ValueError(f"it begins with {shortened(mark)}")
    if len(content) != size:
        raise ValueError(f"it has not the {size} bytes of its shape")
    return content
