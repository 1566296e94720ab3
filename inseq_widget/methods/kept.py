"""Collects vector-valued scores chunk by chunk, each reduced over its features as it comes."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from inseq_widget.methods.base import BatchScores
from inseq_widget.models import Stack

_REDUCED = {
    "norm": lambda scores: torch.linalg.vector_norm(scores, dim=-1),
    "sum": lambda scores: scores.sum(-1),
}


class FeatureScores:
    """Scores with a feature dimension, kept as their norm and their sum over it.

    Parameters
    ----------
    widths : mapping of str to int
        How many positions each attributed stack has.
    n_batch, n_steps, n_features : int
    dtype : torch.dtype
        Single or double precision.
    granular : bool
        Keep every feature, too.
    layers : tuple of str
        Names of the layers, for scores of several of them; empty for scores of the inputs.
    """

    def __init__(
        self,
        widths: Mapping[Stack, int],
        n_batch: int,
        n_steps: int,
        n_features: int,
        dtype: torch.dtype,
        *,
        granular: bool,
        layers: tuple[str, ...] = (),
    ) -> None:
        self._n_features = n_features
        self._layers = layers
        self._kept: dict[str, dict[Stack, Tensor]] = {}
        for name in [*_REDUCED, *(["raw"] if granular else [])]:
            ends = [*([len(layers)] if layers else []), *([n_features] if name == "raw" else [])]
            self._kept[name] = {
                stack: torch.zeros((n_batch, width, n_steps, *ends), dtype=dtype)
                for stack, width in widths.items()
            }

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
        width = scores.shape[2]
        for name, by_stack in self._kept.items():
            reduced = _REDUCED[name](scores) if name in _REDUCED else scores
            place = by_stack[stack][texts, :width, steps]
            if layer is not None:
                place = place[:, :, :, layer]
            place.copy_(reduced.movedim(0, 2))

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
            self._kept,
            (*(["layer"] if self._layers else []), "feature"),
            self._n_features,
            self._layers,
            {name: values.cpu() for name, values in (step_scores or {}).items()},
        )
