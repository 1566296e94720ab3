"""Linked widgets share what is pinned, as far as both have it."""

from __future__ import annotations

import comm
import pytest

from inseq_widget.widget import AttributionWidget, Selection, link
from tests.unit.comms import RecordingComm
from tests.unit.outputs import batch, causal


@pytest.fixture(autouse=True)
def _recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comm, "create_comm", RecordingComm)


@pytest.fixture
def large() -> AttributionWidget:
    """Make a widget of two texts, the first of 6 inputs by 4 steps."""
    return AttributionWidget(batch(causal(), causal()))


@pytest.fixture
def small() -> AttributionWidget:
    """Make a widget of one text, of 3 inputs by 2 steps."""
    return AttributionWidget(causal(("a", "b"), ("c", "d")))


def test_pinning_in_either_pins_in_the_other() -> None:
    one, other = AttributionWidget(causal()), AttributionWidget(causal(seed=1))
    link(one, other)
    one.selection = {"steps": [3], "inputs": [0]}
    assert other.selection == Selection(0, (0,), (3,))
    other.selection = {"steps": [1]}
    assert one.selection == Selection(0, (), (1,))


def test_the_second_takes_over_what_is_pinned_in_the_first(large) -> None:
    other = AttributionWidget(batch(causal(), causal()), selection={"steps": [1]})
    large.selection = {"sequence": 1, "inputs": [2]}
    link(large, other)
    assert other.selection == Selection(1, (2,), ())


def test_a_pages_click_reaches_the_other_page_and_is_sent_to_each_once() -> None:
    one, other = AttributionWidget(causal()), AttributionWidget(causal())
    link(one, other)
    clicked = {"sequence": 0, "inputs": [1], "steps": [2]}
    one.comm.page_sets(selection=clicked)
    assert other.comm.states("selection") == [clicked]
    assert one.comm.states("selection") == []


def test_what_one_does_not_have_is_left_out_there_and_kept_here(large, small) -> None:
    link(large, small)
    large.selection = {"inputs": [5, 1], "steps": [3, 0]}
    assert small.selection == Selection(0, (1,), (0,))
    assert large.selection == Selection(0, (5, 1), (3, 0))


def test_a_text_that_one_does_not_have_pins_nothing_there(large, small) -> None:
    link(large, small)
    small.selection = {"steps": [1]}
    large.selection = {"sequence": 1, "steps": [1]}
    assert small.selection == Selection()
    assert large.selection == Selection(1, (), (1,))


def test_each_change_is_told_once(large, small) -> None:
    link(large, small)
    told = []
    large.observe(lambda change: told.append("large"), "selection")
    small.observe(lambda change: told.append("small"), "selection")
    large.selection = {"steps": [0]}
    small.selection = {"steps": [1]}
    assert sorted(told) == ["large", "large", "small", "small"]


def test_a_chain_of_links_passes_a_selection_on() -> None:
    widgets = [AttributionWidget(causal()) for _ in range(3)]
    for one, other in ((0, 1), (1, 2), (2, 0)):
        link(widgets[one], widgets[other])
    widgets[1].selection = {"steps": [2]}
    assert {widget.selection for widget in widgets} == {Selection(steps=(2,))}


def test_unlinked_widgets_go_their_own_ways(large) -> None:
    other = AttributionWidget(causal())
    both = link(large, other)
    both.unlink()
    both.unlink()
    large.selection = {"steps": [1]}
    assert other.selection == Selection()


@pytest.mark.parametrize("given", [None, "w", causal()], ids=["None", "str", "output"])
def test_only_widgets_can_be_linked(large, given) -> None:
    with pytest.raises(TypeError, match="first: "):
        link(given, large)
    with pytest.raises(TypeError, match="second: "):
        link(large, given)


def test_a_widget_is_not_linked_with_itself(large) -> None:
    with pytest.raises(ValueError, match="the same widget"):
        link(large, large)
