"""Reads the JSON files of Inseq. The names of classes in them are read as words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch

from inseq_widget.results.labelling import labelled
from inseq_widget.results.provenance import Info
from inseq_widget.results.sequence import Architecture, FeatureAttributionSequenceOutput
from inseq_widget.results.steps import step_attributions_of
from inseq_widget.results.storage.conformity import check_conforms
from inseq_widget.results.storage.infos import completed_info
from inseq_widget.results.storage.inseq_arrays import tensor_of
from inseq_widget.results.storage.inseq_tokens import Marking, marking_of, tokens_of_pieces
from inseq_widget.results.storage.writing import described
from inseq_widget.results.tokens import Side

if TYPE_CHECKING:
    from inseq_widget.results.output import FeatureAttributionOutput

Entries = list[tuple[str, int]]

_OF_LAYERS = ("attention", "value_zeroing")  # methods with layers and heads
_OF_NO_OUTPUT = (*_OF_LAYERS, "dummy")  # methods that explain no function of the output


@dataclass(frozen=True)
class _Given:
    """A sequence as the file has it.

    ``source_scores`` are (source, step, ...), ``target_scores`` (target, step, ...).
    """

    fields: Mapping[str, object]
    class_name: str
    where: str
    source: Entries
    target: Entries
    source_scores: torch.Tensor | None
    target_scores: torch.Tensor | None
    start: int
    end: int

    @property
    def architecture(self) -> Architecture:
        return "decoder_only" if self.source_scores is None else "encoder_decoder"


def inseq_output(content: object) -> FeatureAttributionOutput:
    """Make an output of what an Inseq file holds.

    Parameters
    ----------
    content : object
        The parsed JSON.

    Returns
    -------
    FeatureAttributionOutput
        Each sequence keeps ``"raw"`` with all the dimensions that were saved, in single precision
        where the file has less. Texts of tokens are guesses, see :func:`tokens_of_pieces`; for a
        decoder-only model all tokens before the first explained one count as the prompt.

    Raises
    ------
    ValueError
        When it is no such file, or its parts contradict each other.
    """
    from inseq_widget.results.output import FeatureAttributionOutput

    whole, _ = _fields(content, "its JSON")
    for key in ("sequence_attributions", "info"):
        if key not in whole:
            raise ValueError(f"its JSON is not what Inseq writes: {key!r} is missing.")
    of_info, _ = _fields(whole["info"], "info")
    given = [
        _given(part, f"sequence_attributions[{number}]")
        for number, part in enumerate(_items(whole["sequence_attributions"], "its sequences"))
    ]
    marking = marking_of(piece for one in given for piece, _ in [*one.source, *one.target])
    info = _info(of_info, given)
    sequences = [_sequence(one, marking, info) for one in given]
    steps = None
    if whole.get("step_attributions") is not None:
        steps = [step for sequence in sequences for step in step_attributions_of(sequence)]
    output = FeatureAttributionOutput(sequences, info, step_attributions=steps)
    described(output, None)  # refuses what does not fit together
    return output


def _fields(node: object, where: str) -> tuple[dict[str, object], str]:
    """Give the fields of an object, and its class as a word; empty where the file has none."""
    check_conforms(node, dict[str, object], where)
    mapping = cast("dict[str, object]", node)
    if "__instance_type__" not in mapping:
        return mapping, ""
    name = mapping["__instance_type__"]
    last = name[-1] if isinstance(name, list) and name else None
    fields = mapping.get("attributes")
    check_conforms(fields, dict[str, object], f"{where}.attributes")
    return cast("dict[str, object]", fields), last if isinstance(last, str) else ""


def _items(node: object, where: str) -> list[object]:
    check_conforms(node, list[object], where)
    return cast("list[object]", node)


def _given(node: object, where: str) -> _Given:
    fields, class_name = _fields(node, where)
    source = _entries(fields.get("source"), f"{where}.source")
    target = _entries(fields.get("target"), f"{where}.target")
    start, end = fields.get("attr_pos_start", 0), fields.get("attr_pos_end")
    check_conforms(start, int, f"{where}.attr_pos_start")
    check_conforms(end, int | None, f"{where}.attr_pos_end")
    first = cast("int", start)
    last = len(target) if end is None else min(cast("int", end), len(target))
    if not 0 <= first <= last:
        raise ValueError(f"{where}: attr_pos_start {first} is beyond {last}, where steps end.")
    one = _Given(
        fields,
        class_name,
        where,
        source,
        target,
        _scores(fields, "source_attributions", where),
        _scores(fields, "target_attributions", where),
        first,
        last,
    )
    _check_shapes(one)
    return one


def _entries(node: object, where: str) -> Entries:
    entries = []
    for number, item in enumerate(_items(node, where)):
        token, _ = _fields(item, f"{where}[{number}]")
        piece, token_id = token.get("token"), token.get("id")
        check_conforms(piece, str, f"{where}[{number}].token")
        check_conforms(token_id, int, f"{where}[{number}].id")
        entries.append((cast("str", piece), cast("int", token_id)))
    return entries


def _scores(fields: Mapping[str, object], key: str, where: str) -> torch.Tensor | None:
    node = fields.get(key)
    if node is None:
        return None
    values = tensor_of(node, f"{where}.{key}")
    return values if values.is_floating_point() else values.to(torch.float32)


def _check_shapes(one: _Given) -> None:
    extra = []
    for key, values, rows in (
        ("source_attributions", one.source_scores, len(one.source)),
        ("target_attributions", one.target_scores, len(one.target)),
    ):
        if values is None:
            continue
        shape = tuple(values.shape)
        fits = shape[:1] == (rows,) or (key == "target_attributions" and shape[:1] == (one.end,))
        if not 2 <= len(shape) <= 4 or not fits or shape[1] != one.end - one.start:
            raise ValueError(
                f"{one.where}.{key} has the shape {shape} for {rows} tokens and "
                f"{one.end - one.start} steps."
            )
        extra.append(shape[2:])
    if len(set(extra)) > 1:
        raise ValueError(f"{one.where}: scores of source and target have the sizes {extra}.")


def _sequence(one: _Given, marking: Marking, info: Info) -> FeatureAttributionSequenceOutput:
    causal = one.architecture == "decoder_only"
    before: Side = "prompt" if causal else "target"
    n_after = len(one.target) - one.start
    sides: list[Side] = [*[before] * one.start, *["target"] * n_after]  # type: ignore[list-item]
    target = tokens_of_pieces(one.target, sides, marking)
    of_source: Side = "prompt" if causal else "source"
    source = tokens_of_pieces(one.source, [of_source] * len(one.source), marking)
    parts = []
    inputs = []
    if one.source_scores is not None:
        parts.append(one.source_scores)
        inputs += source
    if one.target_scores is not None:
        part = one.target_scores[: _n_prefix(one, one.target_scores)]
        parts.append(part)
        inputs += target[: len(part)]
    if not parts:  # of a method without scores
        inputs = target[: max(one.end - 1, 0)]
        parts.append(torch.full((len(inputs), one.end - one.start), torch.nan))
    values = torch.cat(parts)
    dims = _extra_dims(one, values.dim() - 2, info["attribution_method"])
    array = labelled(values.numpy(), inputs, target[one.start : one.end], dims)
    if "feature" in dims:
        array.attrs["n_features"] = values.shape[-1]
    return FeatureAttributionSequenceOutput(
        source=source,
        target=target,
        kept={"raw": array},
        reduction=info["reduction"],
        attr_pos_start=one.start,
        attr_pos_end=one.end,
        architecture=one.architecture,
        info=info,
        step_scores=_named(one, "step_scores"),
        sequence_scores=_named(one, "sequence_scores"),
    )


def _n_prefix(one: _Given, values: torch.Tensor) -> int:
    """Count the rows of decoder tokens that a step may see; Inseq adds one that none does."""
    there = (~values.isnan()).flatten(1).any(1).nonzero()
    n_there = int(there.max()) + 1 if len(there) else 0
    return min(len(values), max(one.end - 1, n_there))


def _extra_dims(one: _Given, count: int, method: str) -> list[str]:
    of_layers = one.class_name.startswith("MultiDimensional") or (
        not one.class_name and method in _OF_LAYERS
    )
    if count == 2 or of_layers:
        return ["layer", "head"][:count]
    return ["feature"][:count]


def _named(one: _Given, key: str) -> dict[str, torch.Tensor]:
    node = one.fields.get(key)
    if node is None:
        return {}
    fields, _ = _fields(node, f"{one.where}.{key}")
    return {
        name: tensor_of(value, f"{one.where}.{key}[{name!r}]") for name, value in fields.items()
    }


def _info(fields: Mapping[str, object], given: list[_Given]) -> Info:
    """Say what Inseq says of how the scores were made; what it does not say is empty."""
    named = {key: value for key, value in fields.items() if value is not None}
    method = named.get("attribution_method", "")
    explained = named.get("attributed_fn")
    if isinstance(explained, str):
        named["attributed_fn"] = explained.removesuffix("_fn")
    if method in _OF_NO_OUTPUT:
        named["attributed_fn"] = None
    keywords: dict[str, str] = {}
    for key in ("attribution_args", "attributed_fn_args", "step_scores_args"):
        keywords |= _in_words(named.get(key, {}), f"info.{key}")
    named["method_args"] = keywords
    named["generation_args"] = _in_words(named.get("generation_args", {}), "info.generation_args")
    scores = [v for one in given for v in (one.source_scores, one.target_scores) if v is not None]
    has_features = any(one.class_name.startswith("Granular") for one in given) or (
        method not in _OF_LAYERS and any(values.dim() > 2 for values in scores)
    )
    named["reduction"] = "norm" if has_features else "mean"
    named["signed"] = any(bool((values < 0).any()) for values in scores)
    named["score_label"] = f"score of {method}" if method else "score"
    named["aggregation"] = []
    if any(_is_aggregated(one) for one in given):
        named["aggregation"] = ["aggregated by Inseq before it was saved"]
    named["versions"] = {}
    return completed_info(named, "info")


def _in_words(node: object, where: str) -> dict[str, str]:
    fields, _ = _fields(node, where)
    return {key: repr(value) for key, value in fields.items()}


def _is_aggregated(one: _Given) -> bool:
    scores = one.target_scores if one.source_scores is None else one.source_scores
    if any(token_id < 0 for _, token_id in [*one.source, *one.target]):
        return True
    if scores is None:
        return False
    return one.class_name.startswith(("Granular", "MultiDimensional")) and scores.dim() == 2
