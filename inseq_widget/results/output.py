"""The attributions of a list of texts, with what produced them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import overload

import pandas as pd

from inseq_widget.results.display import Shows
from inseq_widget.results.provenance import Info, LiveModel
from inseq_widget.results.sequence import (
    FeatureAttributionSequenceOutput,
    ScoresDict,
    StepScoresDict,
)


@dataclass(eq=False)
class FeatureAttributionOutput(Shows):
    """The attributions of a list of texts.

    Attributes
    ----------
    sequence_attributions : list of FeatureAttributionSequenceOutput
        One for each text.
    info : Info
        What produced them.
    live_model : object or None
        The model, while it is at hand: a widget asks it for more. Never saved.
    """

    sequence_attributions: list[FeatureAttributionSequenceOutput]
    info: Info
    live_model: LiveModel | None = None

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
            return FeatureAttributionOutput(chosen, self.info, self.live_model)
        return self.sequence_attributions[index]

    def get_scores_dicts(
        self, do_aggregation: bool = True
    ) -> list[dict[str, ScoresDict | StepScoresDict]]:
        """Give each text's scores as nested dictionaries, in Inseq's form.

        Parameters
        ----------
        do_aggregation : bool, default True
            See :meth:`FeatureAttributionSequenceOutput.get_scores_dicts`.

        Returns
        -------
        list of dict, (sequence,)
        """
        return [sequence.get_scores_dicts(do_aggregation) for sequence in self]

    def to_dataframe(self) -> pd.DataFrame:
        """Give all scores as one table.

        Returns
        -------
        pandas.DataFrame
            The tables of the sequences below each other, with their number as the first column,
            ``sequence``.
        """
        frames = [sequence.to_dataframe() for sequence in self]
        for number, frame in enumerate(frames):
            frame.insert(0, "sequence", number)
        return pd.concat(frames, ignore_index=True)

    def __repr__(self) -> str:
        method, model = self.info["attribution_method"], self.info["model_name"]
        return f"<{type(self).__name__} {len(self)} sequences, {method} of {model}>"
