"""Adds, subtracts and scales the scores of sequences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
import xarray as xr

from inseq_widget.results.deriving import derived, derived_info
from inseq_widget.results.labelling import relabelled
from inseq_widget.results.provenance import Info
from inseq_widget.results.reductions import reduce_dims
from inseq_widget.results.tokens import Token

if TYPE_CHECKING:
    from inseq_widget.results.sequence import FeatureAttributionSequenceOutput

Arrays = dict[str, xr.DataArray]


def subtracted(
    first: FeatureAttributionSequenceOutput, second: FeatureAttributionSequenceOutput
) -> FeatureAttributionSequenceOutput:
    """Subtract the scores of one sequence from those of another: first minus second.

    Parameters
    ----------
    first, second : FeatureAttributionSequenceOutput
        With the same number of tokens everywhere; the tokens themselves may differ.

    Returns
    -------
    FeatureAttributionSequenceOutput
        Tokens that differ read ``a → b`` and have the id -1. Step scores and scores between
        tokens that both have are subtracted, too. A norm over features does not subtract: where
        the features were not kept, the difference is of their sums.

    Raises
    ------
    ValueError
        Where the two do not have the same shape, or nothing in them subtracts.
    """
    _check_sizes(first, second)
    info = _joined_info(first, second, "−", "difference")
    both = _subtractable(first, second)
    kept = {name: a.copy(data=a.to_numpy() - b.to_numpy()) for name, (a, b) in both.items()}
    result = _combined(first, second, info, kept)
    result.info["signed"] = not _shows_norm(result)
    result.source = paired_tokens(first.source, second.source)
    result.target = paired_tokens(first.target, second.target)
    result.step_scores = _differences(first.step_scores, second.step_scores)
    result.sequence_scores = _differences(first.sequence_scores, second.sequence_scores)
    inputs, steps = result.inputs, result.steps
    result.kept = {name: relabelled(a, a.to_numpy(), inputs, steps) for name, a in kept.items()}
    return result


def added(
    first: FeatureAttributionSequenceOutput, second: FeatureAttributionSequenceOutput
) -> FeatureAttributionSequenceOutput:
    """Add the scores of two sequences of the same tokens.

    Parameters
    ----------
    first, second : FeatureAttributionSequenceOutput

    Returns
    -------
    FeatureAttributionSequenceOutput
        With the step scores, and the scores between tokens, in which the two agree.

    Raises
    ------
    ValueError
        Where tokens or shapes differ, or nothing in the two adds up.
    """
    _check_sizes(first, second)
    check_same_tokens(first, second, ("the first", "the second"))
    info = _joined_info(first, second, "+", "sum")
    both = _subtractable(first, second)
    kept = {name: a.copy(data=a.to_numpy() + b.to_numpy()) for name, (a, b) in both.items()}
    result = _combined(first, second, info, kept)
    signed = first.info["signed"] or second.info["signed"] or _has_negative(kept)
    result.info["signed"] = signed and not _shows_norm(result)
    result.step_scores = _agreed(first.step_scores, second.step_scores)
    result.sequence_scores = _agreed(first.sequence_scores, second.sequence_scores)
    return result


def scaled(
    sequence: FeatureAttributionSequenceOutput, factor: float
) -> FeatureAttributionSequenceOutput:
    """Multiply the scores of a sequence by a number.

    Parameters
    ----------
    sequence : FeatureAttributionSequenceOutput
    factor : float
        Finite.

    Returns
    -------
    FeatureAttributionSequenceOutput
        A norm over features is multiplied by the factor's magnitude. Step scores stay.

    Raises
    ------
    ValueError
        For a factor that is not finite.
    """
    if not math.isfinite(factor):
        raise ValueError(f"factor: {factor} given; a finite number works.")
    info = derived_info(sequence.info, f"multiplied by {factor:g}")
    info["score_label"] = f"{factor:g} × {info['score_label']}"
    kept = {
        name: array.copy(data=array.to_numpy() * (abs(factor) if name == "norm" else factor))
        for name, array in sequence.kept.items()
    }
    result = derived(sequence, info, kept, sequence.reduction)
    result.info["signed"] = not _shows_norm(result) and (info["signed"] or factor < 0)
    return result


def magnitude(sequence: FeatureAttributionSequenceOutput) -> FeatureAttributionSequenceOutput:
    """Take the magnitudes of the scores that a sequence shows.

    Parameters
    ----------
    sequence : FeatureAttributionSequenceOutput

    Returns
    -------
    FeatureAttributionSequenceOutput
        With one number for each input and step.
    """
    info = derived_info(sequence.info, "magnitudes taken")
    info["score_label"] = f"magnitude of {info['score_label']}"
    info["signed"] = False
    return derived(sequence, info, {"raw": abs(sequence.scores)}, sequence.reduction)


def check_same_tokens(
    first: FeatureAttributionSequenceOutput,
    second: FeatureAttributionSequenceOutput,
    names: tuple[str, str],
) -> None:
    """Check that two sequences attribute the same tokens to the same inputs.

    Parameters
    ----------
    first, second : FeatureAttributionSequenceOutput
    names : tuple of str
        What the error calls the two.

    Raises
    ------
    ValueError
        It says where the two differ first.
    """
    one, other = names
    for what in ("inputs", "steps"):
        ours, theirs = getattr(first, what), getattr(second, what)
        for place, (a, b) in enumerate(zip(ours, theirs, strict=False)):
            if not _same(a, b):
                raise ValueError(
                    f"{what}: {one} and {other} differ at number {place}: {a.label!r} (id {a.id}) "
                    f"and {b.label!r} (id {b.id})."
                )
        if len(ours) != len(theirs):
            raise ValueError(
                f"{what}: {one} has {len(ours)} and {other} {len(theirs)}; select(…) cuts both to "
                "what they share."
            )


def _check_sizes(
    first: FeatureAttributionSequenceOutput, second: FeatureAttributionSequenceOutput
) -> None:
    for name in ("source", "inputs", "target", "attr_pos_start", "attr_pos_end"):
        ours, theirs = getattr(first, name), getattr(second, name)
        if isinstance(ours, list):
            ours, theirs = f"{len(ours)} tokens", f"{len(theirs)} tokens"
        if ours != theirs:
            raise ValueError(
                f"{name}: {ours} in the first and {theirs} in the second; only sequences of the "
                "same shape add or subtract."
            )


def _subtractable(
    first: FeatureAttributionSequenceOutput, second: FeatureAttributionSequenceOutput
) -> dict[str, tuple[xr.DataArray, xr.DataArray]]:
    """Find the scores that differences have a meaning for, of both sequences."""
    if "raw" in first.kept and "raw" in second.kept:
        pair = first.kept["raw"], second.kept["raw"]
        name = "raw"
    else:
        pair = _sums(first), _sums(second)
        name = "sum"
    ours, theirs = ([(dim, array.sizes[dim]) for dim in array.dims[2:]] for array in pair)
    if ours != theirs:
        raise ValueError(
            f"scores: dimensions {dict(ours)} after input and step in the first and "
            f"{dict(theirs)} in the second; reduce both in the same way, for example with "
            "aggregate()."
        )
    return {name: pair}


def _sums(sequence: FeatureAttributionSequenceOutput) -> xr.DataArray:
    if "sum" in sequence.kept:
        return sequence.kept["sum"]
    raw = sequence.kept.get("raw")
    if raw is not None and "feature" in raw.dims:
        summed = reduce_dims(raw, ["feature"], "sum")
        return summed.assign_attrs(n_features=raw.sizes["feature"])
    raise ValueError(
        "scores: one of the two has only norms over features, and norms do not add or subtract; "
        "call attribute(..., granular=True) to keep the features, or aggregate() both first."
        if raw is None
        else "scores: one of the two has one number for each input and step, and the other has "
        "features or layers; aggregate() both or none."
    )


def _combined(
    first: FeatureAttributionSequenceOutput,
    second: FeatureAttributionSequenceOutput,
    info: Info,
    kept: Arrays,
) -> FeatureAttributionSequenceOutput:
    reduction = first.reduction
    if "sum" in kept and reduction not in ("sum", "mean"):
        info["score_label"] = info["score_label"].replace(f"{reduction} over", "sum over")
        reduction = "sum"
    result = derived(first, info, kept, reduction)
    if first.foil != second.foil:
        result.foil = result.foil_tokens = None
    return result


def _joined_info(
    first: FeatureAttributionSequenceOutput,
    second: FeatureAttributionSequenceOutput,
    sign: str,
    noun: str,
) -> Info:
    ours, theirs = first.info, second.info
    verb = "subtracted" if sign == "−" else "added"
    info = derived_info(ours, f"{theirs['attribution_method']} of another result {verb}")
    if ours["attribution_method"] != theirs["attribution_method"]:
        info["attribution_method"] = (
            f"{ours['attribution_method']} {sign} {theirs['attribution_method']}"
        )
    same = ours["score_label"] == theirs["score_label"]
    info["score_label"] = (
        f"{noun} of {ours['score_label']}"
        if same
        else f"({ours['score_label']}) {sign} ({theirs['score_label']})"
    )
    info["exec_time"] = ours["exec_time"] + theirs["exec_time"]
    return info


def _shows_norm(sequence: FeatureAttributionSequenceOutput) -> bool:
    """Whether :attr:`scores` is a norm, which has no sign."""
    return sequence.is_reduced and sequence.reduction == "norm"


def _has_negative(kept: Arrays) -> bool:
    return any(bool((array < 0).any()) for array in kept.values())


def _differences(
    first: Mapping[str, torch.Tensor], second: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    return {
        name: values - second[name]
        for name, values in first.items()
        if name in second and values.shape == second[name].shape
    }


def _agreed(
    first: Mapping[str, torch.Tensor], second: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    return {
        name: values.clone()
        for name, values in first.items()
        if name in second
        and values.shape == second[name].shape
        and torch.allclose(values, second[name], equal_nan=True)
    }


def _same(first: Token, second: Token) -> bool:
    return (first.piece, first.id) == (second.piece, second.id)


def paired_tokens(first: Sequence[Token], second: Sequence[Token]) -> list[Token]:
    """Join the tokens of two texts one by one.

    Parameters
    ----------
    first, second : sequence of Token, (token,)

    Returns
    -------
    list of Token, (token,)
        Those that differ read ``a → b``.
    """
    return [a if _same(a, b) else _pair(a, b) for a, b in zip(first, second, strict=True)]


def _pair(first: Token, second: Token) -> Token:
    blank = first.text[: len(first.text) - len(first.text.lstrip())]
    return replace(
        first,
        piece=f"{first.piece} → {second.piece}",
        id=-1,
        text=f"{blank}{first.label} → {second.label}",
        special=first.special and second.special,
    )
