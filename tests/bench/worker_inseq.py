"""The peer's side of the benchmark; runs in the peer's environment."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from cases import Case
from worker import all_weights_read, serve


class Sequence(Protocol):
    """What is read of one sequence of the peer's result."""

    target_attributions: torch.Tensor


class Output(Protocol):
    """What is read of the peer's result; its own classes live in its own environment."""

    sequence_attributions: list[Sequence]


class InseqSubject:
    """Inseq, loaded with its own defaults."""

    packages: tuple[str, ...] = ("inseq",)

    def __init__(self, case: Case, folder: Path) -> None:
        import inseq  # type: ignore[import-not-found]

        self.model = inseq.load_model(str(folder), case.method)

    def token_ids(self, text: str) -> list[int]:
        return list(self.model.tokenizer(text)["input_ids"])

    def touch_weights(self) -> str:
        return all_weights_read(self.model.model)

    def attribute(self, prompt: str, text: str) -> Output:
        output: Output = self.model.attribute(prompt, text, show_progress=False)
        return output

    def scores(self, result: Output) -> np.ndarray:
        return np.asarray(result.sequence_attributions[0].target_attributions.detach())


if __name__ == "__main__":
    serve(InseqSubject)
