"""The layout of a saved output, which docs/files.md describes: what is where in the file.

Scores are the file's arrays, and everything else is JSON in its header. The types below are both
the description of that JSON and what it is checked against.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, TypedDict

from inseq_widget.results.reductions import find_function
from inseq_widget.results.sequence import Architecture
from inseq_widget.results.tokens import Side

FORMAT = "inseq-widget"
VERSION = 1

Dim = Literal["input", "step", "layer", "head", "feature"]
Scalar = str | bool | int | float | None
StoredPrecision = Literal["float32", "float16", "float8"]


class TokenColumns(TypedDict):
    """Tokens, one list for each field."""

    piece: list[str]
    id: list[int]
    text: list[str]
    position: list[int]
    side: list[Side]
    special: list[bool]
    word: list[int]


class CoordinateLayout(TypedDict):
    """Labels along a dimension, or one label of the whole array where ``dims`` is empty."""

    dims: list[Dim]
    values: list[Scalar]


class ArrayLayout(TypedDict):
    """What labels an array beside the tokens."""

    dims: list[Dim]
    coords: dict[str, CoordinateLayout]
    attrs: dict[str, Scalar | list[Scalar]]


class SequenceLayout(TypedDict):
    """One attributed text. ``info`` is an index into ``OutputLayout.infos``.

    The first ``n_source_inputs`` along ``input`` are the first tokens of ``source``, the others
    the first of ``target``; along ``step`` are those from ``attr_pos_start`` to ``attr_pos_end``,
    and so are the ``foil_tokens``.
    """

    architecture: Architecture
    source: TokenColumns
    target: TokenColumns
    n_source_inputs: int
    attr_pos_start: int
    attr_pos_end: int
    reduction: str
    kept: dict[str, ArrayLayout]
    step_scores: list[str]
    sequence_scores: list[str]
    step_aggregates: dict[str, dict[str, str]]
    foil: str | None
    foil_tokens: TokenColumns | None
    info: int


class OutputLayout(TypedDict):
    """A whole output. ``infos[0]`` is its own. Arrays are multiplied by their ``scales``."""

    infos: list[dict[str, Scalar | list[str] | dict[str, str]]]
    sequences: list[SequenceLayout]
    step_attributions: bool
    scores_precision: StoredPrecision | None
    scales: dict[str, float]


def array_name(sequence: int, kind: str, name: str) -> str:
    """Name an array of the file.

    Parameters
    ----------
    sequence : int
    kind : {"kept", "step_scores", "sequence_scores"}
    name : str

    Returns
    -------
    str
    """
    return f"{sequence}/{kind}/{name}"


def array_names(layout: OutputLayout) -> Iterator[str]:
    """Name every array that a layout speaks of.

    Parameters
    ----------
    layout : OutputLayout

    Yields
    ------
    str
    """
    for number, one in enumerate(layout["sequences"]):
        for name in one["kept"]:
            yield array_name(number, "kept", name)
        for name in one["step_scores"]:
            yield array_name(number, "step_scores", name)
        for name in one["sequence_scores"]:
            yield array_name(number, "sequence_scores", name)


def check_fits(layout: OutputLayout, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse parts that contradict each other, before an array is read or written.

    Parameters
    ----------
    layout : OutputLayout
    shapes : mapping of str to tuple of int
        The shape of every array of :func:`array_names`.

    Raises
    ------
    ValueError
    """
    if not layout["infos"]:
        raise ValueError("infos is empty; the output's own was expected.")
    for number, one in enumerate(layout["sequences"]):
        where = f"sequences[{number}]"
        if not 0 <= one["info"] < len(layout["infos"]):
            raise ValueError(f"{where}.info is {one['info']}; there are {len(layout['infos'])}.")
        _check_columns(one["source"], f"{where}.source")
        _check_columns(one["target"], f"{where}.target")
        _check_sequence(one, where)
        for name, array in one["kept"].items():
            shape = shapes[array_name(number, "kept", name)]
            _check_array(one, array, shape, f"{where}.kept[{name!r}]")
        _check_inputs(one, {shapes[array_name(number, "kept", name)][0] for name in one["kept"]})
        n_steps = one["attr_pos_end"] - one["attr_pos_start"]
        for name in one["step_scores"]:
            shape = shapes[array_name(number, "step_scores", name)]
            if shape != (n_steps,):
                raise ValueError(
                    f"{where}.step_scores[{name!r}] has the shape {shape} for {n_steps} steps."
                )
        for name in one["sequence_scores"]:
            shape = shapes[array_name(number, "sequence_scores", name)]
            _check_between_tokens(one, name, shape, f"{where}.sequence_scores[{name!r}]")


def _check_columns(tokens: TokenColumns, where: str) -> None:
    lengths = {key: len(tokens[key]) for key in TokenColumns.__required_keys__}  # type: ignore[literal-required]
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{lengths[key]} of {key}" for key in sorted(lengths))
        raise ValueError(f"{where} has columns of unequal length: {listed}.")


def _check_sequence(one: SequenceLayout, where: str) -> None:
    start, end, n_target = one["attr_pos_start"], one["attr_pos_end"], len(one["target"]["id"])
    if not 0 <= start <= end <= n_target:
        raise ValueError(
            f"{where}: attr_pos_start {start} and attr_pos_end {end} are no part of "
            f"{n_target} target tokens."
        )
    if one["foil_tokens"] is not None:
        _check_columns(one["foil_tokens"], f"{where}.foil_tokens")
        if len(one["foil_tokens"]["id"]) != end - start:
            raise ValueError(
                f"{where} has {len(one['foil_tokens']['id'])} foil_tokens for {end - start} steps."
            )
    _check_reduction(one["kept"], one["reduction"], where)


def _check_reduction(kept: Mapping[str, ArrayLayout], reduction: str, where: str) -> None:
    if not kept:
        raise ValueError(f"{where}.kept is empty; scores were expected.")
    if reduction in kept and reduction != "raw":
        return
    if "raw" in kept:
        try:
            find_function(reduction)
        except (ValueError, KeyError) as error:
            raise ValueError(f"{where}.reduction: {error}") from error
    elif reduction != "mean" or "n_features" not in kept.get("sum", {"attrs": {}})["attrs"]:
        raise ValueError(
            f"{where}.reduction is {reduction!r}, which {', '.join(map(repr, kept))} do not give."
        )


def _check_array(
    one: SequenceLayout, array: ArrayLayout, shape: tuple[int, ...], where: str
) -> None:
    dims = array["dims"]
    if dims[:2] != ["input", "step"] or len(set(dims)) < len(dims):
        raise ValueError(f"{where} has the dimensions {dims}; input and step come first, once.")
    if len(shape) != len(dims):
        raise ValueError(f"{where} has the shape {shape} for the dimensions {dims}.")
    sizes = dict(zip(dims, shape, strict=True))
    n_steps = one["attr_pos_end"] - one["attr_pos_start"]
    if sizes["step"] != n_steps:
        raise ValueError(f"{where} has {sizes['step']} steps; its tokens are {n_steps}.")
    for name, coordinate in array["coords"].items():
        along, values = coordinate["dims"], coordinate["values"]
        if len(along) > 1 or any(dim not in sizes for dim in along):
            raise ValueError(f"{where}: the coordinate {name!r} is along {along}.")
        expected = sizes[along[0]] if along else 1
        if len(values) != expected or len({type(value) for value in values}) > 1:
            raise ValueError(
                f"{where}: the coordinate {name!r} has {len(values)} values; "
                f"{expected} of one type were expected."
            )
        if name in sizes and along != [name]:
            raise ValueError(f"{where}: the coordinate {name!r} is along {along}.")
    features = array["attrs"].get("n_features", 1)
    if type(features) is not int or features < 1:
        raise ValueError(f"{where}: n_features is {features!r}; 1 or more was expected.")


def _check_inputs(one: SequenceLayout, n_inputs: set[int]) -> None:
    if len(n_inputs) > 1:
        raise ValueError(f"kept arrays have {sorted(n_inputs)} inputs; the same in all expected.")
    n_source, n_target = one["n_source_inputs"], min(n_inputs) - one["n_source_inputs"]
    encoded = len(one["source"]["id"]) if one["architecture"] == "encoder_decoder" else 0
    if not (0 <= n_source <= encoded and 0 <= n_target <= one["attr_pos_end"]):
        raise ValueError(
            f"kept arrays have {min(n_inputs)} inputs, {n_source} of them of the source; there "
            f"are {encoded} source tokens, and {one['attr_pos_end']} target tokens that count."
        )
    sides = {"source": set(one["source"]["side"]), "target": set(one["target"]["side"])}
    if "source" in sides["target"] or (encoded and sides["source"] != {"source"}):
        raise ValueError(
            f"source and target tokens have the sides {sorted(sides['source'])} and "
            f"{sorted(sides['target'])}; those of the source, and no others, are 'source'."
        )


def _check_between_tokens(
    one: SequenceLayout, name: str, shape: tuple[int, ...], where: str
) -> None:
    n_source = {len(one["source"]["id"])}
    # What is written along the target ends with it, or with its last explained token.
    n_target = {len(one["target"]["id"]), one["attr_pos_end"]}
    n_target.add(one["attr_pos_end"] - one["attr_pos_start"])
    first = n_target if name.startswith("decoder") else n_source
    second = n_source if name.startswith("encoder") else n_target
    if len(shape) < 2 or shape[0] not in first or shape[1] not in second:
        raise ValueError(
            f"{where} has the shape {shape} for {len(one['source']['id'])} source and "
            f"{len(one['target']['id'])} target tokens."
        )
