"""Progress is shown where work runs, with an estimate, and leaves nothing behind."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

import inseq_widget as iw
from inseq_widget import progress
from tests.architectures.outcomes import quick


class RecordingHandle:
    """Stands in for a notebook's display handle and keeps what it was given."""

    shown: list[dict[str, str]]

    def __init__(self) -> None:
        type(self).shown = []

    def display(self, bundle: dict[str, str], raw: bool) -> None:
        self.shown.append(bundle)

    update = display


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> type[RecordingHandle]:
    monkeypatch.setattr(progress, "in_notebook", lambda: True)
    monkeypatch.setattr(progress, "DisplayHandle", RecordingHandle)
    monkeypatch.setattr(progress, "_NOTEBOOK_SECONDS", 0.0)
    return RecordingHandle


def test_a_notebook_bar_estimates_and_is_empty_in_the_end(notebook: type[RecordingHandle]) -> None:
    with progress.progress_bar("saliency", 4, show=True) as advance:
        advance(1)
        advance(3)
    first, quarter, whole, last = notebook.shown
    assert "estimating" in first["text/plain"]
    assert quarter["text/plain"].startswith("saliency: 25%")
    assert "s left" in quarter["text/plain"]
    assert whole["text/plain"].startswith("saliency: 100%")
    assert last == {"text/html": "", "text/plain": ""}


def test_a_notebook_bar_is_emptied_after_an_interrupt(notebook: type[RecordingHandle]) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        progress.progress_bar("<b>", 1, show=True),
    ):
        raise KeyboardInterrupt
    assert "<b>" not in notebook.shown[0]["text/html"]
    assert notebook.shown[-1]["text/html"] == ""


def test_attribute_reports_all_of_its_work(
    notebook: type[RecordingHandle], tiny: iw.AttributionModel
) -> None:
    for method in iw.list_feature_attribution_methods():
        texts, targets = ["One two", "Hi"], ["One two three", "Hi you"]
        tiny.attribute(texts, targets, method, batch_size=1, **quick(method))
        assert notebook.shown[-2]["text/plain"].startswith(f"{method}: 100%")


def test_a_terminal_shows_a_bar_and_a_file_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for terminal, expected in ((True, "saliency"), (False, "")):
        written = io.StringIO()
        console = Console(file=written, force_terminal=terminal, width=80)
        monkeypatch.setattr(progress, "Console", lambda console=console, **_: console)
        with progress.progress_bar("saliency", 1, show=True) as advance:
            advance(1)
        assert expected in written.getvalue()
        assert bool(written.getvalue()) == bool(expected)


def test_progress_can_be_switched_off(
    notebook: type[RecordingHandle], tiny: iw.AttributionModel
) -> None:
    notebook.shown = []
    tiny.attribute("One two", "One two three", show_progress=False)
    assert notebook.shown == []
