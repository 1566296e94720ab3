"""A stand-in for a model that a page asks questions, whose answers a test holds in its hands."""

from __future__ import annotations

import threading
from collections.abc import Callable

from inseq_widget.results import FeatureAttributionSequenceOutput
from inseq_widget.results.alternatives import AlternativeToken, StepAlternatives
from tests.unit.outputs import token

Frame = dict[str, object]


class FakeModel:
    """Answers at once, or does before what it is given to do."""

    model_name = "fake"

    def __init__(self, before: Callable[[], None] = lambda: None) -> None:
        self.lock = threading.RLock()
        self.before = before
        self.calls: list[tuple[int, int]] = []

    def alternatives(
        self, sequence: FeatureAttributionSequenceOutput, step: int, k: int = 10
    ) -> StepAlternatives:
        self.calls.append((step, k))
        self.before()
        entries = [
            AlternativeToken(token(f" word{rank}", step, "target"), 1 / 2**rank, rank)
            for rank in range(1, k + 1)
        ]
        return StepAlternatives(entries[0], entries)


class Page:
    """Receives frames, and lets a test wait for the one that ends a request."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self._changed = threading.Condition()

    def __call__(self, frame: Frame) -> None:
        with self._changed:
            self.frames.append(frame)
            self._changed.notify_all()

    def of(self, request: str, *types: str) -> list[Frame]:
        return [
            frame
            for frame in list(self.frames)
            if frame["id"] == request and (not types or frame["type"] in types)
        ]

    def wait_for(self, request: str, *types: str, seconds: float = 20) -> Frame:
        """Wait for a frame of a request: of the given types, else the one that ends it."""
        types = types or ("result", "error")
        with self._changed:
            arrived = self._changed.wait_for(lambda: self.of(request, *types), seconds)
        assert arrived, f"no {types} for {request} among {self.frames}"
        return self.of(request, *types)[0]
