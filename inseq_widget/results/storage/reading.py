"""Reads an output from a file; nothing that the file says is run or imported."""

from __future__ import annotations

import json
import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np
import torch
import xarray as xr
from safetensors import SafetensorError, safe_open

from inseq_widget.results.labelling import labelled
from inseq_widget.results.provenance import Info
from inseq_widget.results.sequence import FeatureAttributionSequenceOutput
from inseq_widget.results.steps import step_attributions_of
from inseq_widget.results.storage.arrays import EIGHT_BITS, FLOATS, WHOLE, grown
from inseq_widget.results.storage.conformity import check_conforms, shortened
from inseq_widget.results.storage.infos import completed_info
from inseq_widget.results.storage.inseq_json import inseq_output
from inseq_widget.results.storage.layout import (
    FORMAT,
    VERSION,
    ArrayLayout,
    OutputLayout,
    SequenceLayout,
    StoredPrecision,
    TokenColumns,
    array_name,
    array_names,
    check_fits,
)
from inseq_widget.results.storage.unpacking import kind_of, unpacked
from inseq_widget.results.storage.writing import path_given
from inseq_widget.results.tokens import Token

if TYPE_CHECKING:
    from inseq_widget.results.output import FeatureAttributionOutput


class _Slice(Protocol):
    def get_shape(self) -> list[int]: ...
    def get_dtype(self) -> str: ...


class _Stored(AbstractContextManager["_Stored"], Protocol):
    """What is used of an open safetensors file, whose library declares no types."""

    def metadata(self) -> dict[str, str] | None: ...
    def keys(self) -> list[str]: ...
    def get_slice(self, name: str) -> _Slice: ...
    def get_tensor(self, name: str) -> torch.Tensor: ...


# What safetensors says of files that are no such files, and what to say of them.
_REASONS = {
    "header too small": "it is too short for a safetensors file.",
    "header too large": "its header is given as longer than safetensors files may have.",
    "invalid header length": "its header is given as longer than the file.",
    "incomplete metadata": "its arrays do not fill the file; it is cut off, or was changed.",
    "invalid offset": "its arrays do not lie where its header says.",
    "invalid JSON": "its header is no JSON: it is damaged, or no safetensors file.",
    "invalid UTF-8": "its header is no text.",
    "not start": "it is no safetensors file, nor a JSON file.",
}


def load_output(path: str | os.PathLike[str]) -> FeatureAttributionOutput:
    """Read an output from a file; see :meth:`FeatureAttributionOutput.load`.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    FeatureAttributionOutput

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When it holds no output, or a damaged one; the message names the file and what is wrong.
    """
    given = path_given(path)
    if not given.exists():
        raise FileNotFoundError(f"path: there is no file {given}.")
    try:
        if not given.is_file():
            raise ValueError("it is no file.")
        with unpacked(given) as plain:
            if kind_of(plain) == "json":
                return inseq_output(_parsed(plain.read_bytes()))
            return _read(plain)
    except ValueError as error:
        raise ValueError(f"path: {given} cannot be read: {error}") from error
    except MemoryError as error:
        raise ValueError(f"path: {given} cannot be read: it does not fit in memory.") from error
    except RecursionError as error:
        raise ValueError(f"path: {given} cannot be read: it is nested too deep.") from error


def _parsed(text: str | bytes) -> object:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"its JSON is damaged ({error}).") from error


def _read(path: Path) -> FeatureAttributionOutput:
    try:
        with cast("_Stored", safe_open(path, framework="pt")) as file:
            layout = _layout(file.metadata() or {})
            names = list(array_names(layout))
            _check_arrays(file, names, layout["scores_precision"])
            check_fits(layout, {n: tuple(file.get_slice(n).get_shape()) for n in names})
            # Copies, so that the file may change while the result is used.
            arrays = {name: file.get_tensor(name).clone() for name in names}
    except SafetensorError as error:
        raise ValueError(_reason(str(error))) from error
    scales, precision = layout["scales"], layout["scores_precision"]
    for name, values in arrays.items():
        arrays[name] = grown(values, precision, scales.get(name, 1.0))
    return _assembled(layout, arrays)


def _reason(message: str) -> str:
    known = (text for part, text in _REASONS.items() if part.lower() in message.lower())
    return next(known, f"it is no valid safetensors file ({message}).")


def _layout(metadata: dict[str, str]) -> OutputLayout:
    if metadata.get("format") != FORMAT:
        raise ValueError(
            f"it holds no attribution: its format is {shortened(metadata.get('format'))}; "
            f"{FORMAT!r} was expected."
        )
    version = metadata.get("version", "")
    if not (version.isascii() and version.isdigit() and len(version) < 10 and int(version) > 0):
        raise ValueError(f"its version is {shortened(version)}; a number was expected.")
    if int(version) > VERSION:
        raise ValueError(
            f"a newer inseq-widget wrote it (layout {int(version)}; this one reads up to "
            f"{VERSION}): pip install --upgrade inseq-widget."
        )
    if "output" not in metadata:
        raise ValueError("its header does not describe the arrays ('output' is missing).")
    layout = _parsed(metadata["output"])
    check_conforms(layout, OutputLayout, "output")
    return cast("OutputLayout", layout)


def _check_arrays(file: _Stored, names: list[str], precision: StoredPrecision | None) -> None:
    there = set(file.keys())
    floats = FLOATS | EIGHT_BITS if precision == "float8" else FLOATS
    for name in names:
        if name not in there:
            raise ValueError(f"the array {name!r} is missing.")
        dtype = file.get_slice(name).get_dtype()
        if dtype not in (floats if name.split("/")[1] == "kept" else floats | WHOLE):
            raise ValueError(f"the array {name!r} is of the type {dtype}; scores are not.")


def _assembled(layout: OutputLayout, arrays: dict[str, torch.Tensor]) -> FeatureAttributionOutput:
    from inseq_widget.results.output import FeatureAttributionOutput

    infos = [
        completed_info(info, f"infos[{number}]") for number, info in enumerate(layout["infos"])
    ]
    sequences = [
        _sequence(one, number, arrays, infos[one["info"]])
        for number, one in enumerate(layout["sequences"])
    ]
    steps = None
    if layout["step_attributions"]:
        steps = [step for one in sequences for step in step_attributions_of(one)]
    return FeatureAttributionOutput(sequences, infos[0], step_attributions=steps)


def _sequence(
    one: SequenceLayout, number: int, arrays: dict[str, torch.Tensor], info: Info
) -> FeatureAttributionSequenceOutput:
    source, target = _tokens(one["source"]), _tokens(one["target"])
    steps = target[one["attr_pos_start"] : one["attr_pos_end"]]
    kept = {}
    for name, of_array in one["kept"].items():
        values = arrays[array_name(number, "kept", name)].numpy()
        n_target = len(values) - one["n_source_inputs"]
        inputs = [*source[: one["n_source_inputs"]], *target[:n_target]]
        kept[name] = _labelled(values, inputs, steps, of_array)
    return FeatureAttributionSequenceOutput(
        source=source,
        target=target,
        kept=kept,
        reduction=one["reduction"],
        attr_pos_start=one["attr_pos_start"],
        attr_pos_end=one["attr_pos_end"],
        architecture=one["architecture"],
        info=info,
        step_scores={n: arrays[array_name(number, "step_scores", n)] for n in one["step_scores"]},
        sequence_scores={
            n: arrays[array_name(number, "sequence_scores", n)] for n in one["sequence_scores"]
        },
        step_aggregates=one["step_aggregates"],
        foil=one["foil"],
        foil_tokens=None if one["foil_tokens"] is None else _tokens(one["foil_tokens"]),
    )


def _tokens(columns: TokenColumns) -> list[Token]:
    return [
        Token(*fields)
        for fields in zip(
            columns["piece"],
            columns["id"],
            columns["text"],
            columns["position"],
            columns["side"],
            columns["special"],
            columns["word"],
            strict=True,
        )
    ]


def _labelled(
    values: np.ndarray, inputs: list[Token], steps: list[Token], layout: ArrayLayout
) -> xr.DataArray:
    array = labelled(values, inputs, steps, layout["dims"][2:])
    coordinates = {
        name: (of["dims"], of["values"]) if of["dims"] else of["values"][0]
        for name, of in layout["coords"].items()
    }
    return array.assign_coords(coordinates).assign_attrs(layout["attrs"])
