"""What can be done with the attributions of a list of texts: joining and calculating."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from numbers import Real
from typing import TYPE_CHECKING

import xarray as xr

from inseq_widget.results.provenance import Info
from inseq_widget.results.steps import step_attributions_of
from inseq_widget.results.weighting import check_step_score

if TYPE_CHECKING:
    from inseq_widget.results.output import FeatureAttributionOutput
    from inseq_widget.results.sequence import FeatureAttributionSequenceOutput


class OutputOperations:
    """Gives an output its operations; each but those that say so gives a new output.

    ``a + b`` has the sequences of both, see :func:`~inseq_widget.merge_attributions`. ``a - b``
    is a minus b, sequence by sequence; ``2 * a``, ``a / 2``, ``-a`` and ``abs(a)`` are those of
    each sequence.
    """

    def _as_output(self) -> FeatureAttributionOutput:
        raise NotImplementedError

    def to_xarray(self) -> list[xr.Dataset]:
        """Give each text as a labelled data set.

        Returns
        -------
        list of xarray.Dataset, (sequence,)
            See :meth:`FeatureAttributionSequenceOutput.to_xarray`.
        """
        return [sequence.to_xarray() for sequence in self._as_output()]

    def weight_attributions(self, step_score_id: str) -> FeatureAttributionOutput:
        """Multiply the shares of each step by one of its step scores, in place.

        Parameters
        ----------
        step_score_id : str
            See :meth:`FeatureAttributionSequenceOutput.weight_attributions`.

        Returns
        -------
        FeatureAttributionOutput
            The same object.

        Raises
        ------
        ValueError
            For a step score that a sequence does not have; nothing has changed then.
        """
        output = self._as_output()
        for sequence in output:
            check_step_score(sequence, step_score_id)
        done_before = _done(output)
        for sequence in output:
            sequence.weight_attributions(step_score_id)
        output.info = _info_of(output.info, output.sequence_attributions, done_before)
        output.live_model = None
        output.step_attributions = None
        return output

    def decode_tokens(self, tokenizer: object = None) -> FeatureAttributionOutput:
        """Replace the vocabulary entries of tokens by readable text, in place.

        Parameters
        ----------
        tokenizer : object, optional
            See :meth:`FeatureAttributionSequenceOutput.decode_tokens`.

        Returns
        -------
        FeatureAttributionOutput
            The same object.
        """
        output = self._as_output()
        for sequence in output:
            sequence.decode_tokens(tokenizer)
        if output.step_attributions is not None:
            output.step_attributions = [step for s in output for step in step_attributions_of(s)]
        return output

    def __add__(self, other: FeatureAttributionOutput) -> FeatureAttributionOutput:
        if not isinstance(other, OutputOperations):
            return NotImplemented
        from inseq_widget.results.merging import merge_attributions

        return merge_attributions([self._as_output(), other])

    def __sub__(self, other: FeatureAttributionOutput) -> FeatureAttributionOutput:
        if not isinstance(other, OutputOperations):
            return NotImplemented
        output = self._as_output()
        if len(output) != len(other):
            raise ValueError(
                f"sequence_attributions: {len(output)} in the first and {len(other)} in the "
                "second; only outputs of as many sequences subtract."
            )
        difference = _made(output, [a - b for a, b in zip(output, other, strict=True)])
        difference.info["exec_time"] = output.info["exec_time"] + other.info["exec_time"]
        return difference

    def __mul__(self, factor: float) -> FeatureAttributionOutput:
        if not isinstance(factor, Real):
            return NotImplemented
        output = self._as_output()
        return _made(output, [sequence * factor for sequence in output])

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> FeatureAttributionOutput:
        if not isinstance(divisor, Real):
            return NotImplemented
        output = self._as_output()
        return _made(output, [sequence / divisor for sequence in output])

    def __neg__(self) -> FeatureAttributionOutput:
        output = self._as_output()
        return _made(output, [-sequence for sequence in output])

    def __abs__(self) -> FeatureAttributionOutput:
        output = self._as_output()
        return _made(output, [abs(sequence) for sequence in output])


def _made(
    output: FeatureAttributionOutput, sequences: list[FeatureAttributionSequenceOutput]
) -> FeatureAttributionOutput:
    """Put sequences that were made of an output's own into an output of theirs."""
    return replace(
        output,
        sequence_attributions=sequences,
        info=_info_of(output.info, sequences, _done(output)),
        live_model=None,
        step_attributions=None,
    )


def _done(output: FeatureAttributionOutput) -> int:
    """Count what was done to the first sequence since it was attributed."""
    return len(output[0].info["aggregation"]) if len(output) else 0


def _info_of(
    info: Info, sequences: Sequence[FeatureAttributionSequenceOutput], done_before: int
) -> Info:
    """Note in what produced an output what was just done to its sequences."""
    new = copy.deepcopy(info)
    if sequences:
        first = sequences[0].info
        new["attribution_method"] = first["attribution_method"]
        new["reduction"] = first["reduction"]
        new["score_label"] = first["score_label"]
        new["signed"] = any(sequence.info["signed"] for sequence in sequences)
        new["aggregation"] += first["aggregation"][done_before:]
    return new
