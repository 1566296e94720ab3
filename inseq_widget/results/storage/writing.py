"""Writes an output to a safetensors file."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import warnings
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

import numpy as np
import torch
import xarray as xr
from safetensors import SafetensorError
from safetensors.torch import save_file

from inseq_widget.results.provenance import Info, info_of_texts
from inseq_widget.results.sequence import FeatureAttributionSequenceOutput
from inseq_widget.results.storage.arrays import FLOATS, WHOLE, separate, shrunk
from inseq_widget.results.storage.atomic import replaced
from inseq_widget.results.storage.conformity import check_conforms
from inseq_widget.results.storage.infos import completed_info
from inseq_widget.results.storage.layout import (
    FORMAT,
    VERSION,
    ArrayLayout,
    CoordinateLayout,
    OutputLayout,
    SequenceLayout,
    StoredPrecision,
    TokenColumns,
    array_name,
    check_fits,
)
from inseq_widget.results.tokens import Token

if TYPE_CHECKING:
    from inseq_widget.results.output import FeatureAttributionOutput

ScoresPrecision = StoredPrecision
Arrays = dict[str, torch.Tensor]

# What safetensors allows for the header, in bytes.
MAX_HEADER = 100_000_000
# Coordinates that follow from the tokens.
_OF_TOKENS = {
    "input",
    "step",
    "input_id",
    "input_position",
    "input_side",
    "step_id",
    "step_position",
}
_SUFFIX = re.compile(r"(\.[^.]+)?(\.gz)?$")


def save_output(
    output: FeatureAttributionOutput,
    path: str | os.PathLike[str],
    overwrite: bool = False,
    compress: bool = False,
    ndarray_compact: bool = True,
    use_primitives: bool = False,
    split_sequences: bool = False,
    scores_precision: ScoresPrecision | None = None,
) -> None:
    """Write an output to a file; see :meth:`FeatureAttributionOutput.save`.

    Parameters
    ----------
    output : FeatureAttributionOutput
    path : path-like
    overwrite, compress, ndarray_compact, use_primitives, split_sequences : bool
    scores_precision : {"float32", "float16", "float8"}, optional

    Raises
    ------
    FileExistsError
        When there is such a file, and ``overwrite`` was not asked for.
    FileNotFoundError
        When the folder does not exist.
    ValueError, TypeError
        For another precision, or an output that the file cannot hold.
    OSError
        When it could not be written; what was there before is there still.
    """
    if scores_precision not in (None, *get_args(StoredPrecision)):
        raise ValueError(
            f"scores_precision: {scores_precision!r} given; choose one of "
            f"{', '.join(get_args(StoredPrecision))}, or leave it out."
        )
    whole = path_given(path)
    outputs = _each_sequence(output) if split_sequences else [output]
    paths = (
        [_numbered(whole, number, compress) for number in range(len(outputs))]
        if split_sequences
        else [whole]
    )
    for target in paths:
        _check_free(target, overwrite)
    if not ndarray_compact or use_primitives:
        warnings.warn(
            "ndarray_compact, use_primitives: arrays are binary and everything else is plain "
            "JSON in any case, so they change nothing.",
            stacklevel=3,
        )
    with ExitStack() as stack:  # all files appear when all are written
        for one, target in zip(outputs, paths, strict=True):
            _write(one, stack.enter_context(replaced(target)), compress, scores_precision, target)


def path_given(path: object) -> Path:
    """Read the argument ``path``.

    Parameters
    ----------
    path : object

    Returns
    -------
    pathlib.Path

    Raises
    ------
    TypeError
        For what is no path.
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path: {path!r} given; pass a text or a pathlib.Path.")
    return Path(os.fsdecode(path))


def _check_free(path: Path, overwrite: bool) -> None:
    if path.is_dir():
        raise IsADirectoryError(f"path: {path} is a folder; add the name of a file.")
    if not overwrite and path.exists():
        raise FileExistsError(f"path: {path} exists; pass overwrite=True to replace it.")
    if not path.parent.is_dir():
        tilde = " ('~' is not expanded: os.path.expanduser does that.)" if "~" in str(path) else ""
        raise FileNotFoundError(f"path: there is no folder {path.parent}; make it first.{tilde}")


def _each_sequence(output: FeatureAttributionOutput) -> list[FeatureAttributionOutput]:
    return [
        replace(
            output,
            sequence_attributions=[sequence],
            info=info_of_texts(output.info, [number], len(output)),
        )
        for number, sequence in enumerate(output)
    ]


def _numbered(path: Path, number: int, compress: bool) -> Path:
    suffix = cast("re.Match[str]", _SUFFIX.search(path.name)).group()
    stem = path.name.removesuffix(suffix)
    ending = ".gz" if compress and not suffix.endswith(".gz") else ""
    return path.with_name(f"{stem}_{number}{suffix}{ending}")


def _write(
    output: FeatureAttributionOutput,
    written: Path,
    compress: bool,
    precision: StoredPrecision | None,
    path: Path,
) -> None:
    layout, arrays = described(output, precision)
    text = json.dumps(layout)
    if len(text) > MAX_HEADER * 0.9:
        raise ValueError(
            f"path: the tokens of {len(output)} sequences are too many for one file; "
            "pass split_sequences=True."
        )
    metadata = {"format": FORMAT, "version": str(VERSION), "output": text}
    plain = written.with_name("plain") if compress else written
    try:
        save_file(arrays, plain, metadata)
    except SafetensorError as error:
        raise OSError(f"path: {path} could not be written: {error}") from error
    if compress:
        with (
            plain.open("rb") as source,
            written.open("wb") as target,
            gzip.GzipFile("", "wb", fileobj=target, mtime=0) as packed,
        ):
            shutil.copyfileobj(source, packed)


def described(
    output: FeatureAttributionOutput, precision: StoredPrecision | None
) -> tuple[OutputLayout, Arrays]:
    """Take an output apart into what the header says and the arrays.

    Parameters
    ----------
    output : FeatureAttributionOutput
    precision : {"float32", "float16", "float8"} or None

    Returns
    -------
    layout : OutputLayout
    arrays : dict of str to torch.Tensor

    Raises
    ------
    ValueError
        For an output that could not be read back.
    """
    infos: list[Info] = [output.info]
    arrays: Arrays = {}
    sequences = []
    for number, sequence in enumerate(output):
        if sequence.info not in infos:
            infos.append(sequence.info)
        sequences.append(_sequence_layout(sequence, infos.index(sequence.info)))
        arrays.update(_arrays_of(sequence, number))
    scales: dict[str, float] = {}
    for name, values in arrays.items():
        arrays[name], scale = shrunk(values, precision, name)
        if scale != 1.0:
            scales[name] = scale
    layout = OutputLayout(
        infos=[dict(info) for info in infos],  # type: ignore[arg-type]
        sequences=sequences,
        step_attributions=output.step_attributions is not None,
        scores_precision=precision,
        scales=scales,
    )
    for number, info in enumerate(layout["infos"]):
        completed_info(info, f"infos[{number}]")
    check_conforms(layout, OutputLayout, "output")
    check_fits(layout, {name: tuple(values.shape) for name, values in arrays.items()})
    return layout, separate(arrays)


def _sequence_layout(sequence: FeatureAttributionSequenceOutput, info: int) -> SequenceLayout:
    sides = next(iter(sequence.kept.values())).coords["input_side"].to_numpy()
    return SequenceLayout(
        architecture=sequence.architecture,
        source=_columns(sequence.source),
        target=_columns(sequence.target),
        n_source_inputs=int((sides == "source").sum()),
        attr_pos_start=sequence.attr_pos_start,
        attr_pos_end=sequence.attr_pos_end,
        reduction=sequence.reduction,
        kept={name: _array_layout(array) for name, array in sequence.kept.items()},
        step_scores=list(sequence.step_scores),
        sequence_scores=list(sequence.sequence_scores),
        step_aggregates={name: dict(of) for name, of in sequence.step_aggregates.items()},
        foil=sequence.foil,
        foil_tokens=None if sequence.foil_tokens is None else _columns(sequence.foil_tokens),
        info=info,
    )


def _columns(tokens: list[Token]) -> TokenColumns:
    return TokenColumns(
        piece=[token.piece for token in tokens],
        id=[token.id for token in tokens],
        text=[token.text for token in tokens],
        position=[token.position for token in tokens],
        side=[token.side for token in tokens],
        special=[token.special for token in tokens],
        word=[token.word for token in tokens],
    )


def _array_layout(array: xr.DataArray) -> ArrayLayout:
    own = {str(name): array.coords[name] for name in array.coords if name not in _OF_TOKENS}
    return ArrayLayout(
        dims=[str(dim) for dim in array.dims],  # type: ignore[misc]
        coords={
            name: CoordinateLayout(
                dims=[str(dim) for dim in labels.dims],  # type: ignore[misc]
                values=np.atleast_1d(labels.to_numpy()).tolist(),
            )
            for name, labels in own.items()
        },
        attrs={str(name): _plain(value) for name, value in array.attrs.items()},
    )


def _plain(value: object) -> Any:
    """Turn what numpy counts with into Python's numbers, and tuples into lists."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return list(value) if isinstance(value, tuple) else value


def _arrays_of(sequence: FeatureAttributionSequenceOutput, number: int) -> Arrays:
    arrays: Arrays = {}
    for name, array in sequence.kept.items():
        values = array.to_numpy()
        own = values if values.flags.writeable else values.copy()
        arrays[_key(number, "kept", name)] = torch.from_numpy(own)
    for name, scores in sequence.step_scores.items():
        arrays[_key(number, "step_scores", name)] = scores
    for name, scores in sequence.sequence_scores.items():
        arrays[_key(number, "sequence_scores", name)] = scores
    for name, scores in arrays.items():
        allowed = FLOATS if "/kept/" in name else FLOATS | WHOLE
        if scores.dtype not in allowed.values():
            raise ValueError(f"{name} is of {scores.dtype}, which files do not hold.")
    return arrays


def _key(number: int, kind: str, name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{kind}: the name {name!r} is no valid unicode text.") from error
    return array_name(number, kind, name)
