"""The attributions of a list of texts, with what produced them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any, overload

import pandas as pd

from inseq_widget.results.display import Shows
from inseq_widget.results.output_operations import OutputOperations
from inseq_widget.results.provenance import AsksModel, Info, LiveModel, info_of_texts
from inseq_widget.results.sequence import FeatureAttributionSequenceOutput
from inseq_widget.results.steps import FeatureAttributionStepOutput, step_attributions_of
from inseq_widget.results.tables import ScoresDict, StepScoresDict

if TYPE_CHECKING:
    from inseq_widget.results.aggregation import AggregateFn, AggregatorInput
    from inseq_widget.results.storage import ScoresPrecision


@dataclass(eq=False)
class FeatureAttributionOutput(Shows, OutputOperations, AsksModel):
    """The attributions of a list of texts.

    Attributes
    ----------
    sequence_attributions : list of FeatureAttributionSequenceOutput
        One for each text.
    info : Info
        What produced them.
    live_model : object or None
        The model, while it is at hand: a widget asks it for more. Never saved.
    step_attributions : list of FeatureAttributionStepOutput or None, (step,)
        The steps of all sequences one by one, where they were asked for.
    """

    sequence_attributions: list[FeatureAttributionSequenceOutput]
    info: Info
    live_model: LiveModel | None = None
    step_attributions: list[FeatureAttributionStepOutput] | None = None

    def _as_output(self) -> FeatureAttributionOutput:
        return self

    def __len__(self) -> int:
        return len(self.sequence_attributions)

    def __iter__(self) -> Iterator[FeatureAttributionSequenceOutput]:
        return iter(self.sequence_attributions)

    @overload
    def __getitem__(self, index: int) -> FeatureAttributionSequenceOutput: ...
    @overload
    def __getitem__(self, index: slice) -> FeatureAttributionOutput: ...
    def __getitem__(
        self, index: int | slice
    ) -> FeatureAttributionSequenceOutput | FeatureAttributionOutput:
        if isinstance(index, slice):
            chosen = self.sequence_attributions[index]
            info = info_of_texts(self.info, range(len(self))[index], len(self))
            if self.step_attributions is None:
                return FeatureAttributionOutput(chosen, info, self.live_model)
            steps = [step for sequence in chosen for step in step_attributions_of(sequence)]
            return FeatureAttributionOutput(chosen, info, self.live_model, steps)
        return self.sequence_attributions[index]

    def aggregate(
        self,
        aggregator: AggregatorInput = None,
        aggregate_fn: AggregateFn = None,
        do_pre_aggregation_checks: bool = True,
        do_post_aggregation_checks: bool = True,
        **kwargs: Any,
    ) -> FeatureAttributionOutput:
        """Aggregate the scores of every text.

        Parameters
        ----------
        aggregator : str, class, list or AggregatorPipeline, optional
        aggregate_fn : str, callable or list, optional
        do_pre_aggregation_checks, do_post_aggregation_checks : bool
        **kwargs
            See :meth:`FeatureAttributionSequenceOutput.aggregate`. An output as ``paired_attr``
            gives each text the one at its place.

        Returns
        -------
        FeatureAttributionOutput
            A new output without a live model; this one stays as it is.

        Examples
        --------
        >>> out.aggregate(["mean", "mean", "subwords"]).show()
        """
        from inseq_widget.results.aggregation import aggregated_output

        return aggregated_output(self, aggregator, aggregate_fn, kwargs)

    def get_scores_dicts(
        self, aggregator: AggregatorInput = None, do_aggregation: bool = True, **kwargs: Any
    ) -> list[dict[str, ScoresDict | StepScoresDict]]:
        """Give each text's scores as nested dictionaries, in Inseq's form.

        Parameters
        ----------
        aggregator : str, class, list or AggregatorPipeline, optional
        do_aggregation : bool, default True
        **kwargs
            See :meth:`FeatureAttributionSequenceOutput.get_scores_dicts`.

        Returns
        -------
        list of dict, (sequence,)
        """
        made = self.aggregate(aggregator, **kwargs) if do_aggregation else self
        return [sequence.get_scores_dicts(do_aggregation=False) for sequence in made]

    def to_dataframe(self) -> pd.DataFrame:
        """Give all scores as one table.

        Returns
        -------
        pandas.DataFrame
            The tables of the sequences below each other, with their number as the first column,
            ``sequence``. Without sequences it has no rows.
        """
        frames = [sequence.to_dataframe() for sequence in self]
        if not frames:
            return pd.DataFrame({"sequence": []})
        for number, frame in enumerate(frames):
            frame.insert(0, "sequence", number)
        return pd.concat(frames, ignore_index=True)

    def save(
        self,
        path: str | PathLike[str],
        overwrite: bool = False,
        compress: bool = False,
        ndarray_compact: bool = True,
        use_primitives: bool = False,
        split_sequences: bool = False,
        scores_precision: ScoresPrecision | None = None,
    ) -> None:
        """Save everything but the live model as a safetensors file; docs/files.md has its layout.

        Parameters
        ----------
        path : path-like
            Of the file, whatever its ending.
        overwrite : bool, default False
            Whether to replace a file that exists. It is replaced as a whole or not at all.
        compress : bool, default False
            Whether to compress the file with gzip.
        ndarray_compact, use_primitives : bool
            Inseq's, which choose between forms of its JSON; they change nothing here.
        split_sequences : bool, default False
            Whether to write one file for each sequence: ``out.safetensors`` becomes
            ``out_0.safetensors``, ``out_1.safetensors`` and so on, with ``.gz`` if compressed.
        scores_precision : {"float32", "float16", "float8"}, optional
            What to round scores to; as they are by default. They come back as float32, within
            2⁻¹¹ (float16) or 2⁻⁴ (float8) of themselves as long as they are not smaller than
            2⁻²⁸ or 2⁻¹³ of the largest one of their array; below they fade to zero.

        Raises
        ------
        FileExistsError
            When there is such a file, and ``overwrite`` was not asked for.
        ValueError, TypeError
            For an argument that is not known, or a result that a file cannot hold.
        OSError
            When the file could not be written; what was there before is there still.
        """
        from inseq_widget.results.storage import save_output

        save_output(
            self,
            path,
            overwrite,
            compress,
            ndarray_compact,
            use_primitives,
            split_sequences,
            scores_precision,
        )

    @staticmethod
    def load(path: str | PathLike[str], decompress: bool = False) -> FeatureAttributionOutput:
        """Open a saved output, or a JSON file of Inseq. Nothing in the file is run or imported.

        Parameters
        ----------
        path : path-like
            What kind of file it is, and whether it is compressed, is read from its content.
        decompress : bool
            Inseq's; it changes nothing here.

        Returns
        -------
        FeatureAttributionOutput
            Without a live model.

        Raises
        ------
        FileNotFoundError
            When there is no such file.
        ValueError
            When it holds no output, or a damaged one; the message says what is wrong.
        """
        from inseq_widget.results.storage import load_output

        return load_output(path)

    def __repr__(self) -> str:
        method, model = self.info["attribution_method"], self.info["model_name"]
        return f"<{type(self).__name__} {len(self)} sequences, {method} of {model}>"
