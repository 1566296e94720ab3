"""The project's own side of the benchmark."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from cases import Case
from worker import all_weights_read, serve

import inseq_widget
from inseq_widget.results.output import FeatureAttributionOutput


class WidgetSubject:
    """inseq_widget, loaded with its own defaults."""

    packages: tuple[str, ...] = ()

    def __init__(self, case: Case, folder: Path) -> None:
        self.model = inseq_widget.load_model(str(folder), case.method)

    def token_ids(self, text: str) -> list[int]:
        return list(self.model.tokenizer(text)["input_ids"])

    def touch_weights(self) -> str:
        return all_weights_read(self.model.model)

    def attribute(self, prompt: str, text: str) -> FeatureAttributionOutput:
        output = self.model.attribute(prompt, text, show_progress=False)
        # Part of the job, in case a result is made when it is first looked at.
        assert output[0].scores is not None
        return output

    def scores(self, result: FeatureAttributionOutput) -> np.ndarray:
        attributions = result[0].target_attributions
        assert attributions is not None
        return attributions.numpy()


if __name__ == "__main__":
    serve(WidgetSubject)
