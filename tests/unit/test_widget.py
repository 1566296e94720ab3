"""The live heatmap as Python sees it: what it is made of, and what a page may change."""

from __future__ import annotations

import threading

import comm
import numpy as np
import pytest
import traitlets

from inseq_widget.render import MissingBundle, bundle
from inseq_widget.widget import AttributionWidget, Selection
from inseq_widget.widget import widget as widget_module
from tests.unit.comms import RecordingComm
from tests.unit.explorable import FakeModel
from tests.unit.outputs import batch, causal, encoder_decoder, evil


@pytest.fixture(autouse=True)
def _recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comm, "create_comm", RecordingComm)


@pytest.fixture
def widget() -> AttributionWidget:
    return AttributionWidget(causal())


def test_opening_sends_the_figure_and_the_scores_as_bytes() -> None:
    output = causal()
    widget = AttributionWidget(output, theme="dark", selection={"steps": [1]})
    opened = widget.comm.published[0]
    state = opened["data"]["state"]
    assert state["_spec"]["model"] == "demo:model"
    assert state["selection"] == {"sequence": 0, "inputs": [], "steps": [1]}
    assert state["theme"] == "dark"
    assert "export" in state["_esm"]
    assert opened["data"]["buffer_paths"] == [["_scores"]]
    received = np.frombuffer(opened["buffers"][0], "<f4").reshape(6, 4)
    np.testing.assert_array_equal(received, output[0].scores.to_numpy())


def test_a_sequence_can_be_shown_alone() -> None:
    output = batch(causal(), causal(("a", "b"), ("c",)))
    widget = AttributionWidget(output[1])
    assert widget.shapes == ((2, 1),)
    assert widget.output[0] is output[1]


def test_a_result_makes_its_widget() -> None:
    output = encoder_decoder()
    widget = output.widget(theme="light")
    assert widget.output is output
    assert widget.theme == "light"


def test_a_picture_of_a_tame_repr_is_given_of_a_wild_result() -> None:
    shown = repr(AttributionWidget(evil()))
    assert shown == "<AttributionWidget: saliency of probability, 1 text, <script>model</script>␀>"


@pytest.mark.parametrize("given", [None, "out", [causal()], np.zeros((2, 2))], ids=str)
def test_anything_but_a_result_is_refused(given) -> None:
    with pytest.raises(TypeError, match=r"output: .* the result of attribute"):
        AttributionWidget(given)


def test_a_result_without_texts_is_refused() -> None:
    with pytest.raises(ValueError, match="no attributed text"):
        AttributionWidget(causal()[0:0])


def test_unknown_keywords_are_refused_with_the_known_ones() -> None:
    with pytest.raises(TypeError, match=r"colour, zoom: not known.*theme, selection"):
        AttributionWidget(causal(), colour="red", zoom=2)


def test_an_unknown_theme_is_refused() -> None:
    with pytest.raises(traitlets.TraitError, match="theme"):
        AttributionWidget(causal(), theme="purple")


def test_an_impossible_first_selection_is_refused() -> None:
    with pytest.raises(traitlets.TraitError, match="steps has 9"):
        AttributionWidget(causal(), selection={"steps": [9]})


def test_a_clone_without_its_bundle_is_told_how_to_build_it(monkeypatch, tmp_path) -> None:
    static = tmp_path / "inseq_widget" / "widget" / "static"
    monkeypatch.setattr(bundle, "STATIC", static)
    monkeypatch.setattr(widget_module, "WIDGET_MODULE", static / "widget.js")
    with pytest.raises(MissingBundle, match="npm ci && npm run build"):
        AttributionWidget(causal())


def test_a_page_sets_the_selection_and_observers_are_told_once(widget) -> None:
    changes = []
    widget.observe(lambda change: changes.append((change.old, change.new)), "selection")
    widget.comm.page_sets(selection={"sequence": 0, "inputs": [2], "steps": [1, 0]})
    assert widget.selection == Selection(0, (2,), (1, 0))
    assert changes == [(Selection(), Selection(0, (2,), (1, 0)))]
    # The page has it already.
    assert widget.comm.states("selection") == []


def test_python_sets_the_selection_and_the_page_is_told(widget) -> None:
    widget.selection = Selection(steps=(3,))
    widget.selection = {"steps": [3]}  # the same again: no news
    assert widget.comm.states("selection") == [{"sequence": 0, "inputs": [], "steps": [3]}]


def test_a_page_that_pins_twice_is_told_what_is_pinned(widget) -> None:
    widget.comm.page_sets(selection={"sequence": 0, "inputs": [1, 1], "steps": []})
    assert widget.comm.states("selection") == [{"sequence": 0, "inputs": [1], "steps": []}]


@pytest.mark.parametrize(
    "state",
    [None, 7, [], {"inputs": [99]}, {"inputs": "all"}, {"sequence": 4}, {"zoom": 2}],
    ids=str,
)
def test_an_impossible_selection_of_a_page_is_taken_back_and_raises_nothing(
    widget, state, caplog, capfd
) -> None:
    widget.selection = {"steps": [2]}
    told = []
    widget.observe(told.append, "selection")
    widget.comm.page_sets(selection=state)
    if state is None:  # nothing pinned
        assert widget.selection == Selection()
    else:
        assert widget.selection == Selection(steps=(2,))
        assert told == []
        assert widget.comm.states("selection")[-1] == {"sequence": 0, "inputs": [], "steps": [2]}
        assert widget.comm.sent("echo_update") == []
    assert caplog.records == []
    assert capfd.readouterr().err == ""


def test_the_figure_is_not_a_pages_to_change(widget) -> None:
    before = dict(widget._spec), widget._scores
    widget.comm.page_sets(_spec={"model": "other"}, _scores="none", theme="light")
    assert (widget._spec, widget._scores) == before
    assert widget.theme == "light"
    assert widget.comm.states("_spec") == [before[0]]


def test_an_unknown_theme_of_a_page_is_taken_back(widget) -> None:
    widget.comm.page_sets(theme=["purple"])
    assert widget.theme == "auto"
    assert widget.comm.states("theme") == ["auto"]


@pytest.mark.parametrize("state", [[], "x", 3, None], ids=str)
def test_an_update_that_is_none_raises_nothing(widget, state, capfd) -> None:
    widget.comm.page_sends({"method": "update", "state": state})
    assert capfd.readouterr().err == ""


def test_a_page_asks_for_alternatives_and_gets_them() -> None:
    widget = AttributionWidget(causal(live_model=FakeModel()))
    request = {
        "v": 1,
        "type": "request",
        "id": "r1",
        "op": "alternatives",
        "args": {"sequence": 0, "step": 1, "k": 2},
    }
    answered = threading.Event()
    send = widget.comm.publish_msg

    def publish(msg_type, data=None, **keys) -> None:
        send(msg_type, data, **keys)
        if data.get("content", {}).get("type") == "result":
            answered.set()

    widget.comm.publish_msg = publish
    widget.comm.page_sends({"method": "custom", "content": request})
    assert answered.wait(20)
    frames = [message["content"] for message in widget.comm.sent("custom")]
    assert [frame["type"] for frame in frames] == ["accepted", "result"]
    assert len(frames[1]["result"]["alternatives"]) == 2


def test_closing_twice_and_asking_a_closed_widget_raise_nothing() -> None:
    widget = AttributionWidget(causal(live_model=FakeModel()))
    connection = widget.comm
    widget.close()
    widget.close()
    connection.page_sends({"method": "custom", "content": {"v": 1, "type": "cancel", "id": "x"}})
    widget.selection = {"steps": [1]}
    assert widget.selection == Selection(steps=(1,))
