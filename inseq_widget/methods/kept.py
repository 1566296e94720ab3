"""Collects vector-valued scores chunk by chunk, each reduced over its features as it comes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from inseq_widget.methods.base import BatchScores
from inseq_widget.models import Example, Stack

_ORDER: tuple[Stack, Stack] = ("source", "target")

# Features of a text are kept unasked where they take at most so much, and as much of all texts.
KEPT_BYTES, KEPT_BYTES_IN_ALL = 128_000_000, 1_000_000_000

_REDUCED = {
    "norm": lambda scores: torch.linalg.vector_norm(scores, dim=-1),
    "sum": lambda scores: scores.sum(-1),
}


class FeatureScores:
    """Scores with a feature dimension, kept as their norm and their sum over it.

    All features of a text are kept beside them where they do not take too much memory.

    Parameters
    ----------
    widths : mapping of str to int
        How many positions each attributed stack has, padding included.
    examples : sequence of Example, (batch,)
    n_steps, n_features : int
    dtype : torch.dtype
        Single or double precision.
    feature_bytes : float
        How many bytes a text's scores may take with all features.
    layers : tuple of str
        Names of the layers, for scores of several of them; empty for scores of the inputs.
    """

    def __init__(
        self,
        widths: Mapping[Stack, int],
        examples: Sequence[Example],
        n_steps: int,
        n_features: int,
        dtype: torch.dtype,
        *,
        feature_bytes: float,
        layers: tuple[str, ...] = (),
    ) -> None:
        self._n_features = n_features
        self._layers = layers
        of_layers = [len(layers)] if layers else []
        self._reduced: dict[str, dict[Stack, Tensor]] = {
            name: {
                stack: torch.zeros((len(examples), width, n_steps, *of_layers), dtype=dtype)
                for stack, width in widths.items()
            }
            for name in _REDUCED
        }
        self._whole: list[Tensor | None] = []
        self._too_many: list[int] = []
        self._places: list[dict[Stack, Tensor]] = []
        for example in examples:
            n_inputs = {stack: _n_inputs(example, stack) for stack in _ORDER if stack in widths}
            shape = (sum(n_inputs.values()), example.n_steps, *of_layers, n_features)
            n_bytes = math.prod(shape) * dtype.itemsize
            whole = torch.zeros(shape, dtype=dtype) if n_bytes <= feature_bytes else None
            parts = [] if whole is None else whole.split(list(n_inputs.values()))
            self._whole.append(whole)
            self._too_many.append(n_bytes if whole is None and feature_bytes > 0 else 0)
            self._places.append(dict(zip(n_inputs, parts, strict=False)))

    def put(
        self,
        stack: Stack,
        steps: slice,
        scores: Tensor,
        layer: int | None = None,
        texts: slice = slice(None),
    ) -> None:
        """Take the finished scores of some steps.

        Parameters
        ----------
        stack : {"source", "target"}
        steps : slice
        scores : torch.Tensor, (step, batch, position, feature)
            May have fewer positions than the stack: those that the steps see.
        layer : int, optional
            Place of the layer, where there are several.
        texts : slice
            The texts of the batch that the scores are of; all of them by default.
        """
        for name, by_stack in self._reduced.items():
            place = by_stack[stack][texts, : scores.shape[2], steps]
            if layer is not None:
                place = place[:, :, :, layer]
            place.copy_(_REDUCED[name](scores).movedim(0, 2))
        for row, places in enumerate(self._places[texts]):
            if stack in places:
                place = places[stack][: scores.shape[2], steps]
                if layer is not None:
                    place = place[:, :, layer]
                n_inputs, n_steps = place.shape[:2]
                place.copy_(scores[:n_steps, row, :n_inputs].transpose(0, 1))

    def finished(self, step_scores: Mapping[str, Tensor] | None = None) -> BatchScores:
        """Give all scores.

        Parameters
        ----------
        step_scores : mapping of str to torch.Tensor, each (batch, step), optional
            What the method reports of each step.

        Returns
        -------
        BatchScores
        """
        return BatchScores(
            self._reduced,
            (*(["layer"] if self._layers else []), "feature"),
            self._n_features,
            self._layers,
            {name: values.cpu() for name, values in (step_scores or {}).items()},
            self._whole,
            self._too_many,
        )


def _n_inputs(example: Example, stack: Stack) -> int:
    """Count the positions of a stack that steps of a text can see."""
    return len(example.source) if stack == "source" else example.end - 1


def bytes_for_features(granular: bool | None, n_texts: int, *, every: bool = False) -> float:
    """Say how many bytes the scores of a text may take with all their features.

    Parameters
    ----------
    granular : bool or None
        What the user asked for: all, none, or what memory allows.
    n_texts : int
        How many texts are explained in one call.
    every : bool
        Whether None asks for all.

    Returns
    -------
    float

    Raises
    ------
    TypeError
        For what is neither.
    """
    if granular is None and not every:
        return min(KEPT_BYTES, KEPT_BYTES_IN_ALL / n_texts)
    if granular is not None and not isinstance(granular, bool):
        raise TypeError(f"granular: {granular!r} given; pass True, False or None.")
    return 0 if granular is False else math.inf
