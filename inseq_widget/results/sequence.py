"""The attribution of one text: its tokens, its labelled scores, and tables made from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import torch
import xarray as xr

from inseq_widget.results.alternatives import StepAlternatives, alternatives_of
from inseq_widget.results.display import Shows
from inseq_widget.results.provenance import AsksModel, Info, LiveModel
from inseq_widget.results.reductions import (
    FUNCTIONS,
    REDUCTION_NAMES,
    mean_of_present,
    reduce_dims,
)
from inseq_widget.results.sequence_operations import SequenceOperations
from inseq_widget.results.tables import ScoresDict, StepScoresDict, scores_dicts, scores_table
from inseq_widget.results.tokens import Token

if TYPE_CHECKING:
    from inseq_widget.results.aggregation import AggregateFn, AggregatorInput
    from inseq_widget.results.output import FeatureAttributionOutput

Architecture = Literal["decoder_only", "encoder_decoder"]


@dataclass(eq=False)
class FeatureAttributionSequenceOutput(Shows, SequenceOperations, AsksModel):
    """The attribution of one text.

    Attributes
    ----------
    source : list of Token
        Encoder tokens; for a decoder-only model the prompt's, which ``target`` begins with.
    target : list of Token
        Decoder tokens: prompt and generated tokens, or the decoder's start token and the target.
    kept : mapping of str to xarray.DataArray
        What the method kept: ``"norm"`` and ``"sum"`` over features, each (input, step), or
        (input, step, layer) where several layers were attributed, and under ``"raw"`` the scores
        with all their dimensions where those were kept.
    reduction : str
        The reduction that :attr:`scores` shows.
    step_scores : dict of str to torch.Tensor, (step,)
        Scores of the generated tokens themselves, such as ``"probability"``.
    sequence_scores : dict of str to torch.Tensor
        Scores between tokens none of which is a step, such as the attention among the source's
        own: (source, source, ...) for names that begin with ``"encoder"``, (target, target, ...)
        for those with ``"decoder"``, else (source, target, ...). The attended tokens come first.
    step_aggregates : mapping of str to mapping of str to str
        How a step score is joined where tokens are: by its name and the aggregator's, the name
        of an aggregation function.
    attr_pos_start, attr_pos_end : int
        The explained positions of ``target``: from start up to, not including, end.
    architecture : {"decoder_only", "encoder_decoder"}
    info : Info
        What produced it.
    live_model : object or None
        The model, while it is at hand.
    foil : str or None
        What it was contrasted with, in words: the contrastive text, or the tokens and their steps.
        None where the target itself stood under another source, or nothing was contrasted.
    foil_tokens : list of Token or None, (step,)
        The contrastive token of each step, the step's own where it had no foil. None where
        nothing was contrasted, and after steps were joined or left out.
    """

    source: list[Token]
    target: list[Token]
    kept: Mapping[str, xr.DataArray]
    reduction: str
    attr_pos_start: int
    attr_pos_end: int
    architecture: Architecture
    info: Info
    live_model: LiveModel | None = None
    step_scores: dict[str, torch.Tensor] = field(default_factory=dict)
    sequence_scores: dict[str, torch.Tensor] = field(default_factory=dict)
    step_aggregates: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    foil: str | None = None
    foil_tokens: list[Token] | None = None

    def __post_init__(self) -> None:
        """Keep foils only where each step has one."""
        if self.foil_tokens is not None:
            one_each = len(self.foil_tokens) == self.attr_pos_end - self.attr_pos_start
            self.foil_tokens = list(self.foil_tokens) if one_each else None

    def _as_output(self) -> FeatureAttributionOutput:
        from inseq_widget.results.output import FeatureAttributionOutput

        return FeatureAttributionOutput([self], self.info, self.live_model)

    def _as_sequence(self) -> FeatureAttributionSequenceOutput:
        return self

    @property
    def inputs(self) -> list[Token]:
        """The attributed tokens, in the order of the ``input`` dimension."""
        n_source = int((self._any.coords["input_side"] == "source").sum())
        n_target = self._any.sizes["input"] - n_source
        return [*self.source[:n_source], *self.target[:n_target]]

    @property
    def steps(self) -> list[Token]:
        """The generated tokens that are explained, in the order of the ``step`` dimension."""
        return self.target[self.attr_pos_start : self.attr_pos_end]

    @property
    def scores(self) -> xr.DataArray:
        """Labelled scores, (input, step); NaN where an input comes after the step."""
        return self.reduce(self.reduction)

    @property
    def raw_scores(self) -> xr.DataArray:
        """Scores with every dimension: (input, step), then those of layer, head and feature.

        Raises
        ------
        ValueError
            When the method reduced its features as it went, because of ``granular=False`` or
            because they would have taken too much memory.
        """
        if "raw" not in self.kept:
            raise ValueError(
                "raw_scores: the features were reduced while attributing; "
                "call attribute(..., granular=True) to keep them."
            )
        return self.kept["raw"]

    def reduce(self, reduction: str, keep: Sequence[str] = ()) -> xr.DataArray:
        """Give the scores under another reduction of their features, layers and heads.

        Where there are features and layers, the reduction is over features, and layers are
        averaged; a layer of the encoder has no score for a decoder token, nor the other way
        round, and does not count there.

        Parameters
        ----------
        reduction : {"norm", "sum", "mean", "max", "min", "absmax", "prod"}
            ``"vnorm"`` is another name of ``"norm"``; registered aggregation functions have
            theirs.
        keep : sequence of {"layer", "head"}
            Dimensions to keep.

        Returns
        -------
        xarray.DataArray, (input, step, *keep)

        Raises
        ------
        ValueError
            For an unknown reduction, or one that needs features that were not kept.
        """
        reduction = "norm" if reduction == "vnorm" else reduction
        if reduction not in REDUCTION_NAMES and reduction not in FUNCTIONS:
            raise ValueError(
                f"reduction: {reduction!r} is not known; "
                f"choose one of {', '.join(REDUCTION_NAMES)}."
            )
        if reduction in self.kept:
            array = self.kept[reduction]
        elif "raw" in self.kept:
            raw = self.kept["raw"]
            # Layers of vectors are averaged; layers of weights are reduced like the heads.
            first = ["feature"] if "feature" in raw.dims else raw.dims[2:]
            array = reduce_dims(raw, [dim for dim in first if dim not in keep], reduction)
        elif reduction == "mean" and "sum" in self.kept:
            total = self.kept["sum"]
            array = total / total.attrs["n_features"]
        else:
            raise ValueError(
                f"reduction: {reduction!r} needs the scores of every feature, which were not "
                "kept; call attribute(..., granular=True), or choose one of "
                f"{', '.join(self.kept)}, mean."
            )
        array = mean_of_present(array, [dim for dim in array.dims[2:] if dim not in keep])
        return array.assign_attrs(reduction=reduction)

    @property
    def source_attributions(self) -> torch.Tensor | None:
        """Scores of the encoder tokens, (source, step, ...); None where they have none.

        The last dimensions are layer and head for attention, the layer where several were
        attributed, and then the feature; with ``granular=False`` features are reduced.

        Raises
        ------
        ValueError
            When the features would have taken too much memory, and were not asked for.
        """
        if self.architecture == "decoder_only":
            return None
        return self._tensor("source", len(self.source))

    @property
    def target_attributions(self) -> torch.Tensor | None:
        """Scores of the decoder tokens, (target, step, ...), NaN where a token is not yet there.

        Its rows are the tokens of ``target`` up to ``attr_pos_end``, as in Inseq. None for an
        encoder-decoder model unless ``attribute_target=True`` was asked for.
        """
        return self._tensor("target", self.attr_pos_end)

    def alternatives(self, step: int, k: int = 10) -> StepAlternatives:
        """Find the most probable tokens at a step; the model that made the result is asked.

        Parameters
        ----------
        step : int
            Index along the ``step`` dimension; negative ones count from the end.
        k : int, default 10
            How many.

        Returns
        -------
        StepAlternatives
            Each can be a foil: ``contrast_targets={step: alternative}``.

        Raises
        ------
        ValueError
            When the model is gone, tokens were joined or left out, the step is not there, or
            fewer than one is asked for.
        """
        return alternatives_of(self, step, k)

    def aggregate(
        self,
        aggregator: AggregatorInput = None,
        aggregate_fn: AggregateFn = None,
        do_pre_aggregation_checks: bool = True,
        do_post_aggregation_checks: bool = True,
        **kwargs: Any,
    ) -> FeatureAttributionSequenceOutput:
        """Aggregate the scores; see the page *Aggregation* of the documentation.

        Parameters
        ----------
        aggregator : str, class, list or AggregatorPipeline, optional
            Name of an aggregator (``iw.list_aggregators()``) or of an aggregation function
            (``iw.list_aggregation_functions()``), which is one of ``"scores"``; a subclass of
            :class:`~inseq_widget.Aggregator`; or a list of these, or of pairs of one and a
            function, which run in order. By default, the norm over features or the mean over
            heads and layers, as shares of each step; a result with one number for each input and
            step stays as it is.
        aggregate_fn : str, callable or list, optional
            The aggregation function, for a list of aggregators a list of them.
        do_pre_aggregation_checks, do_post_aggregation_checks : bool
            For Inseq's scripts: what is asked for is always checked, and a result may keep
            layers and heads.
        **kwargs
            Each goes to every aggregator and function that takes it, such as ``normalize``,
            ``special_chars`` or ``vnorm_ord``.

        Returns
        -------
        FeatureAttributionSequenceOutput
            A new result without a live model; this one stays as it is.

        Raises
        ------
        TypeError, ValueError
            For what is not known, or not there; the error names it.

        Examples
        --------
        >>> out[0].aggregate(["scores", "subwords"])
        """
        from inseq_widget.results.aggregation import aggregated_sequence

        return aggregated_sequence(self, aggregator, aggregate_fn, kwargs)

    def __getitem__(self, index: int | slice) -> FeatureAttributionSequenceOutput:
        """Keep some tokens of the source, or of a decoder-only model's prompt; drop the others.

        Generated tokens are always kept. Negative numbers count from the end.
        """
        from inseq_widget.results.aggregation import sliced

        return sliced(self, index)

    def get_scores_dicts(
        self, aggregator: AggregatorInput = None, do_aggregation: bool = True, **kwargs: Any
    ) -> dict[str, ScoresDict | StepScoresDict]:
        """Give the scores as nested dictionaries, in Inseq's form.

        Parameters
        ----------
        aggregator : str, class, list or AggregatorPipeline, optional
            How to aggregate before, see :meth:`aggregate`.
        do_aggregation : bool, default True
            Otherwise, the values are those of :attr:`scores`.
        **kwargs
            Keywords of the aggregators.

        Returns
        -------
        dict
            ``"source_attributions"`` and ``"target_attributions"`` map ``(position, piece)`` of
            a generated token to ``{(position, piece): score}`` of its inputs, missing ones left
            out; ``"step_scores"`` maps it to ``{name: value}``.
        """
        made = self.aggregate(aggregator, **kwargs) if do_aggregation else self
        return scores_dicts(made, made.scores)

    def to_dataframe(self) -> pd.DataFrame:
        """Give the scores as a table with one row for each input of each step.

        Returns
        -------
        pandas.DataFrame
            Columns ``step_position``, ``step_token``, ``step_id``, ``input_side``,
            ``input_position``, ``input_token``, ``input_id``, ``score``, ``share`` (of the step's
            total magnitude, signed), ``rank`` (1 is the largest magnitude of the step) and one
            column for each step score. Inputs that come after the step have no row.
        """
        return scores_table(self)

    def __repr__(self) -> str:
        sizes = self._any.sizes
        foil = "" if self.foil is None else f", foil {self.foil!r}"
        return (
            f"<{type(self).__name__} {sizes['input']} inputs x {sizes['step']} steps, "
            f"{self.reduction}{foil}>"
        )

    @property
    def _any(self) -> xr.DataArray:
        return next(iter(self.kept.values()))

    @property
    def is_reduced(self) -> bool:
        """Whether :attr:`scores` reduce features, layers or heads."""
        return "raw" not in self.kept or self.kept["raw"].ndim > 2

    def _tensor(self, side: Literal["source", "target"], rows: int) -> torch.Tensor | None:
        array = self.kept.get("raw")
        if array is None:
            too_many = self._any.attrs.get("too_many_bytes")
            if too_many:
                raise ValueError(
                    f"{side}_attributions: with every feature they take {too_many / 1e6:,.0f} MB, "
                    "too much to be kept unasked; attribute(..., granular=True) keeps them, "
                    "granular=False gives the reduced scores here, and .scores has those already."
                )
            array = self.reduce(self.reduction, keep=("layer",))
        is_source = array.coords["input_side"].to_numpy() == "source"
        values = array.to_numpy()[is_source if side == "source" else ~is_source]
        if not len(values):
            return None
        missing = np.full((rows - len(values), *values.shape[1:]), np.nan, dtype=values.dtype)
        return torch.from_numpy(np.concatenate([values, missing]))
