"""What can be done with the attribution of one text: selecting, calculating, ranking."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from inseq_widget.results import arithmetic, selecting, tables
from inseq_widget.results.datasets import dataset
from inseq_widget.results.decoding import decoded
from inseq_widget.results.weighting import weight

if TYPE_CHECKING:
    from inseq_widget.results.sequence import FeatureAttributionSequenceOutput


class SequenceOperations:
    """Gives a sequence its operations; each but those that say so gives a new sequence.

    ``a - b`` is a minus b, score by score, for sequences of as many tokens; tokens that differ
    read ``a → b``. ``a + b`` adds the scores of sequences of the same tokens. ``2 * a``,
    ``a / 2`` and ``-a`` scale them, and ``abs(a)`` takes the magnitudes of :attr:`scores`. A
    norm over features does not add or subtract: without the features (``granular=True``) sums
    and differences are those of the sums over features.
    """

    def _as_sequence(self) -> FeatureAttributionSequenceOutput:
        raise NotImplementedError

    def select(
        self, *, inputs: selecting.Inputs | None = None, steps: selecting.Steps | None = None
    ) -> FeatureAttributionSequenceOutput:
        """Take some inputs and some steps.

        Parameters
        ----------
        inputs : int, slice, sequence of int, re.Pattern or {"source", "prompt", "target"}, optional
            Places along the ``input`` dimension, negative ones from the end; a pattern, for the
            tokens that show a part of what it matches in the text of the source or of the
            decoder; or all of a side. All inputs by default.
        steps : int, slice or str, optional
            Places along the ``step`` dimension, neighbours; or the text of a step, or of
            neighbouring steps together. All steps by default.

        Returns
        -------
        FeatureAttributionSequenceOutput
            The other tokens are gone, and those that stay are numbered anew. A step that is left
            out may still be an input. A step that is no selected input stays among the tokens; its
            scores as an input are missing (NaN). Scores are not divided anew.

        Raises
        ------
        TypeError, ValueError
            For what is not there, a text of several steps apart, or steps that are no neighbours.

        Examples
        --------
        >>> out[0].select(inputs=re.compile(r"nurse|doctor"), steps="she")
        """
        return selecting.selected(self._as_sequence(), inputs, steps)

    def rank_tokens(self, step: int, k: int | None = None) -> pd.DataFrame:
        """Give the inputs of a step, those with the largest magnitude first.

        Parameters
        ----------
        step : int
            Index along the ``step`` dimension; negative ones count from the end.
        k : int, optional
            How many; all by default.

        Returns
        -------
        pandas.DataFrame
            Columns ``position``, ``side``, ``token``, ``score``, ``share`` (of the step's total
            magnitude, signed) and ``rank``, from 1. Of equal magnitudes, the first in the text
            comes first; missing scores have no row.

        Raises
        ------
        TypeError, ValueError
            For a step that is not there, or ``k`` below 1.
        """
        return tables.ranked_tokens(self._as_sequence(), step, k)

    def to_xarray(self) -> xr.Dataset:
        """Give everything as one labelled data set.

        Returns
        -------
        xarray.Dataset
            ``scores`` (input, step); what the method kept of them under its names, such as
            ``norm``, ``sum`` and ``raw``, (input, step, ...); a variable (step,) for each step
            score; and one for each of :attr:`sequence_scores`, with dimensions of its own named
            after it, ``…_attended`` and ``…_attending``. A step score whose name is taken is
            called ``step_score_…``. Attributes are text and numbers, lists and mappings as JSON,
            so that ``to_netcdf`` and ``to_zarr`` write the data set as it is.
        """
        return dataset(self._as_sequence())

    def weight_attributions(self, step_fn_id: str) -> FeatureAttributionSequenceOutput:
        """Multiply the shares of each step by one of its step scores, in place.

        The scores are aggregated as by default before, and not again afterwards: what is left is
        one number for each input and step.

        Parameters
        ----------
        step_fn_id : str
            Name of a step score of this result, such as ``"probability"``.

        Returns
        -------
        FeatureAttributionSequenceOutput
            The same object.

        Raises
        ------
        ValueError
            For a step score that is not there.
        """
        sequence = self._as_sequence()
        weight(sequence, step_fn_id)
        return sequence

    def decode_tokens(self, tokenizer: object = None) -> FeatureAttributionSequenceOutput:
        """Replace the vocabulary entries of tokens by readable text, in place.

        Parameters
        ----------
        tokenizer : object, optional
            Not needed, since tokens know their text; Inseq's scripts pass it.

        Returns
        -------
        FeatureAttributionSequenceOutput
            The same object. A token without text of its own keeps its entry.
        """
        sequence = self._as_sequence()
        sequence.source, sequence.target = decoded(sequence.source), decoded(sequence.target)
        return sequence

    @property
    def minimum(self) -> float:
        """The smallest of the raw scores, of :attr:`scores` without them; 0 if that is smaller."""
        return min(0.0, *self._extremes())

    @property
    def maximum(self) -> float:
        """The largest of the raw scores, of :attr:`scores` without them; 0 if that is larger."""
        return max(0.0, *self._extremes())

    def _extremes(self) -> tuple[float, float]:
        sequence = self._as_sequence()
        raw = sequence.kept.get("raw")
        values = (sequence.scores if raw is None else raw).to_numpy()
        if np.isnan(values).all():
            return 0.0, 0.0
        return float(np.nanmin(values)), float(np.nanmax(values))

    def __sub__(self, other: FeatureAttributionSequenceOutput) -> FeatureAttributionSequenceOutput:
        if not isinstance(other, SequenceOperations):
            return NotImplemented
        return arithmetic.subtracted(self._as_sequence(), other)

    def __add__(self, other: FeatureAttributionSequenceOutput) -> FeatureAttributionSequenceOutput:
        if not isinstance(other, SequenceOperations):
            return NotImplemented
        return arithmetic.added(self._as_sequence(), other)

    def __mul__(self, factor: float) -> FeatureAttributionSequenceOutput:
        if not isinstance(factor, Real):
            return NotImplemented
        return arithmetic.scaled(self._as_sequence(), float(factor))

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> FeatureAttributionSequenceOutput:
        if not isinstance(divisor, Real):
            return NotImplemented
        return arithmetic.scaled(self._as_sequence(), 1 / float(divisor))

    def __neg__(self) -> FeatureAttributionSequenceOutput:
        return arithmetic.scaled(self._as_sequence(), -1.0)

    def __abs__(self) -> FeatureAttributionSequenceOutput:
        return arithmetic.magnitude(self._as_sequence())
