"""The attribution of one text: its tokens, its labelled scores, and tables made from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
import torch
import xarray as xr

from inseq_widget.results.display import Shows
from inseq_widget.results.provenance import Info, LiveModel
from inseq_widget.results.reductions import (
    REDUCTION_NAMES,
    mean_of_present,
    reduce_dims,
    share_of_step,
)
from inseq_widget.results.tokens import Token, labels

if TYPE_CHECKING:
    from inseq_widget.results.output import FeatureAttributionOutput

Architecture = Literal["decoder_only", "encoder_decoder"]
ScoresDict = dict[tuple[int, str], dict[tuple[int, str], float]]
StepScoresDict = dict[tuple[int, str], dict[str, float]]


def labelled(
    values: np.ndarray, inputs: Sequence[Token], steps: Sequence[Token], extra: Sequence[str] = ()
) -> xr.DataArray:
    """Put token coordinates on an array of scores.

    Parameters
    ----------
    values : numpy.ndarray, (input, step, *extra)
    inputs : sequence of Token, (input,)
    steps : sequence of Token, (step,)
    extra : sequence of str
        Names of the dimensions after ``step``.

    Returns
    -------
    xarray.DataArray, (input, step, *extra)
        Coordinates ``input`` and ``step`` hold the tokens as text; ``input_id``,
        ``input_position``, ``input_side``, ``step_id`` and ``step_position`` lie beside them.
    """
    coordinates: dict[str, object] = {
        "input": ("input", labels(inputs)),
        "step": ("step", labels(steps)),
        "input_id": ("input", [token.id for token in inputs]),
        "input_position": ("input", [token.position for token in inputs]),
        "input_side": ("input", [token.side for token in inputs]),
        "step_id": ("step", [token.id for token in steps]),
        "step_position": ("step", [token.position for token in steps]),
    }
    return xr.DataArray(values, dims=("input", "step", *extra), coords=coordinates, name="score")


@dataclass(eq=False)
class FeatureAttributionSequenceOutput(Shows):
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

    def _as_output(self) -> FeatureAttributionOutput:
        from inseq_widget.results.output import FeatureAttributionOutput

        return FeatureAttributionOutput([self], self.info, self.live_model)

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
            When the method reduced its features as it went; ``granular=True`` keeps them.
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
        reduction : {"norm", "sum", "mean", "max", "absmax"}
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
        if reduction in self.kept and reduction != "raw":
            array = self.kept[reduction]
        elif "raw" in self.kept:
            raw = self.kept["raw"]
            # Layers of vectors are averaged; layers of weights are reduced like the heads.
            first = ["feature"] if "feature" in raw.dims else raw.dims[2:]
            array = reduce_dims(raw, [dim for dim in first if dim not in keep], reduction)
        elif reduction == "mean" and "sum" in self.kept:
            total = self.kept["sum"]
            array = total / total.attrs["n_features"]
        elif reduction in REDUCTION_NAMES:
            raise ValueError(
                f"reduction: {reduction!r} needs the scores of every feature, which were not "
                "kept; call attribute(..., granular=True), or choose one of "
                f"{', '.join(self.kept)}, mean."
            )
        else:
            raise ValueError(
                f"reduction: {reduction!r} is not known; "
                f"choose one of {', '.join(REDUCTION_NAMES)}."
            )
        array = mean_of_present(array, [dim for dim in array.dims[2:] if dim not in keep])
        return array.assign_attrs(reduction=reduction)

    @property
    def source_attributions(self) -> torch.Tensor | None:
        """Scores of the encoder tokens, (source, step, ...); None where they have none.

        The last dimensions are layer and head for attention, the layer where several were
        attributed, and then the feature with ``granular=True``; absent otherwise.
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

    def get_scores_dicts(
        self, do_aggregation: bool = True
    ) -> dict[str, ScoresDict | StepScoresDict]:
        """Give the scores as nested dictionaries, in Inseq's form.

        Parameters
        ----------
        do_aggregation : bool, default True
            Aggregate as Inseq does by default: the norm over features, or the mean over layers
            and heads, and then each step's share. Otherwise, and for methods that give one
            number for each input and step, the values of :attr:`scores`.

        Returns
        -------
        dict
            ``"source_attributions"`` and ``"target_attributions"`` map ``(position, piece)`` of
            a generated token to ``{(position, piece): score}`` of its inputs, missing ones left
            out; ``"step_scores"`` maps it to ``{name: value}``.
        """
        scores = (
            share_of_step(self.reduce(self._inseq_reduction))
            if do_aggregation and self.is_reduced
            else self.scores
        )
        inputs, steps = self.inputs, self.steps
        values = scores.to_numpy()
        source: ScoresDict = {}
        target: ScoresDict = {}
        named: StepScoresDict = {}
        for column, step in enumerate(steps):
            key = (step.position, step.piece)
            source[key], target[key] = {}, {}
            for row in np.flatnonzero(~np.isnan(values[:, column])):
                token = inputs[row]
                side = source if token.side == "source" else target
                side[key][token.position, token.piece] = float(values[row, column])
            named[key] = {name: float(row[column]) for name, row in self.step_scores.items()}
        return {"source_attributions": source, "target_attributions": target, "step_scores": named}

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
        scores, shares = self.scores.to_numpy(), share_of_step(self.scores).to_numpy()
        columns, rows = np.nonzero(~np.isnan(scores.T))
        inputs, steps = self.inputs, self.steps
        frame = pd.DataFrame(
            {
                "step_position": [steps[column].position for column in columns],
                "step_token": [steps[column].text for column in columns],
                "step_id": [steps[column].id for column in columns],
                "input_side": [inputs[row].side for row in rows],
                "input_position": [inputs[row].position for row in rows],
                "input_token": [inputs[row].text for row in rows],
                "input_id": [inputs[row].id for row in rows],
                "score": scores[rows, columns],
                "share": shares[rows, columns],
            }
        )
        magnitudes = frame["score"].abs().groupby(frame["step_position"])
        frame["rank"] = magnitudes.rank(method="first", ascending=False).astype(int)
        for name, values in self.step_scores.items():
            frame[name] = values.numpy()[columns]
        return frame

    def __repr__(self) -> str:
        sizes = self._any.sizes
        return (
            f"<{type(self).__name__} {sizes['input']} inputs x {sizes['step']} steps, "
            f"{self.reduction}>"
        )

    @property
    def _any(self) -> xr.DataArray:
        return next(iter(self.kept.values()))

    @property
    def is_reduced(self) -> bool:
        """Whether :attr:`scores` reduce features, layers or heads."""
        return "raw" not in self.kept or self.kept["raw"].ndim > 2

    @property
    def _inseq_reduction(self) -> str:
        return "norm" if "norm" in self.kept else "mean"

    def _tensor(self, side: Literal["source", "target"], rows: int) -> torch.Tensor | None:
        array = self.kept.get("raw")
        if array is None:
            array = self.reduce(self.reduction, keep=("layer",))
        is_source = array.coords["input_side"].to_numpy() == "source"
        values = array.to_numpy()[is_source if side == "source" else ~is_source]
        if not len(values):
            return None
        missing = np.full((rows - len(values), *values.shape[1:]), np.nan, dtype=values.dtype)
        return torch.from_numpy(np.concatenate([values, missing]))
