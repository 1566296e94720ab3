"""Arrays as they are stored: their types, and how they are made smaller."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from inseq_widget.results.storage.layout import StoredPrecision

# The names that safetensors gives to the types of arrays.
FLOATS = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
}
WHOLE = {
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
EIGHT_BITS = {"F8_E4M3": torch.float8_e4m3fn}  # only as what scores are rounded to
# The type, and the exponent that the largest number of an array gets in it.
_SMALL = {"float16": (torch.float16, 15), "float8": (torch.float8_e4m3fn, 8)}
# Powers of two below are no normal numbers in single precision.
_LEAST_EXPONENT = -126


def shrunk(
    values: torch.Tensor, precision: StoredPrecision | None, name: str
) -> tuple[torch.Tensor, float]:
    """Round the numbers of an array to a smaller type.

    They are divided by a power of two first, so that the largest is near the largest that the
    type has: few small ones become zero, and none is too large.

    Parameters
    ----------
    values : torch.Tensor
        Whole numbers are left as they are.
    precision : {"float32", "float16", "float8"} or None
        None leaves everything as it is.
    name : str
        Name of the array in errors.

    Returns
    -------
    values : torch.Tensor
    scale : float
        What the values have to be multiplied by.

    Raises
    ------
    ValueError
        For numbers that the type does not have.
    """
    if precision is None or not values.is_floating_point():
        return values, 1.0
    single = values.to(torch.float32)
    if (single.isinf() & ~values.isinf()).any():
        raise ValueError(
            f"scores_precision: {precision!r} ends at 3.4e38, and {name} goes beyond; "
            "leave scores_precision out to save numbers as they are."
        )
    if precision == "float32":
        return single, 1.0
    dtype, exponent = _SMALL[precision]
    finite = single[single.isfinite()]
    if precision == "float8" and single.isinf().any():
        raise ValueError(
            f"scores_precision: 'float8' has no infinite numbers, and {name} has; "
            "choose 'float16' or 'float32'."
        )
    if not finite.numel() or not finite.any():
        return single.to(dtype), 1.0
    _, largest = torch.frexp(finite.abs().max())
    scale = 2.0 ** max(int(largest) - exponent, _LEAST_EXPONENT)
    return (single / scale).to(dtype), scale


def grown(values: torch.Tensor, precision: StoredPrecision | None, scale: float) -> torch.Tensor:
    """Bring back the numbers of an array that was made smaller.

    Parameters
    ----------
    values : torch.Tensor
    precision : {"float32", "float16", "float8"} or None
        What it was saved with.
    scale : float

    Returns
    -------
    torch.Tensor
        In single precision where it was made smaller.
    """
    if precision is None or not values.is_floating_point():
        return values
    single = values.to(torch.float32)
    return single if scale == 1.0 else single * scale


def separate(arrays: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Make arrays contiguous, each with memory of its own, as safetensors wants them.

    Parameters
    ----------
    arrays : mapping of str to torch.Tensor

    Returns
    -------
    dict of str to torch.Tensor
        Copies only where they are needed.
    """
    seen: set[int] = set()
    result = {}
    for name, values in arrays.items():
        own = values.detach().cpu().contiguous()
        address = own.untyped_storage().data_ptr()
        result[name] = own.clone() if address in seen else own
        seen.add(address)
    return result
