"""A selection is what can be pinned, and nothing else gets through."""

from __future__ import annotations

import numpy as np
import pytest
import traitlets

from inseq_widget.widget import AttributionWidget, Selection
from tests.unit.outputs import batch, causal

# Two texts: 6 inputs by 4 steps, and 3 by 2.
OUTPUT = batch(causal(), causal(("a", "b"), ("c", "d")))


@pytest.fixture
def widget() -> AttributionWidget:
    return AttributionWidget(OUTPUT)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, Selection()),
        ({}, Selection()),
        (Selection(1, (2,), (1,)), Selection(1, (2,), (1,))),
        ({"steps": [3]}, Selection(0, (), (3,))),
        ({"sequence": 1, "inputs": (0, 2)}, Selection(1, (0, 2), ())),
        ({"inputs": [5, 0, 5, 3]}, Selection(0, (5, 0, 3), ())),
        ({"steps": range(4)}, Selection(0, (), (0, 1, 2, 3))),
        ({"sequence": np.int64(1), "steps": np.array([1])}, Selection(1, (), (1,))),
    ],
    ids=str,
)
def test_a_possible_selection_is_taken(widget, given, expected) -> None:
    widget.selection = {"inputs": [1]}
    widget.selection = given
    assert widget.selection == expected
    assert all(type(index) is int for index in (*widget.selection.inputs, *widget.selection.steps))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (3, "3 given"),
        ("steps", "'steps' given"),
        ([0, 1], "given; a Selection, a mapping"),
        ({"step": [1]}, "'step' not known; there are sequence, inputs, steps"),
        ({1: 2}, "1 not known"),
        ({"sequence": 2}, "sequence has 2; there are 2 texts, 0 to 1"),
        ({"sequence": -1}, "sequence has -1"),
        ({"sequence": True}, "sequence is True"),
        ({"sequence": 0.0}, "sequence has 0.0"),
        ({"sequence": None}, "sequence has None"),
        ({"inputs": [6]}, "inputs has 6; there are 6 inputs of text 0, 0 to 5"),
        ({"inputs": [0, -1]}, "inputs has -1"),
        ({"inputs": 3}, "inputs is 3; a list or tuple"),
        ({"inputs": None}, "inputs is None"),
        ({"inputs": "012"}, "inputs is '012'"),
        ({"inputs": b"\x01"}, "a list or tuple"),
        ({"inputs": {1: 2}}, "a list or tuple"),
        ({"inputs": {1, 2}}, "a list or tuple"),
        ({"inputs": [1.5]}, "inputs has 1.5"),
        ({"inputs": [False]}, "inputs is False"),
        ({"inputs": ["1"]}, "inputs has '1'"),
        ({"inputs": [[1]]}, r"inputs has \[1\]"),
        ({"steps": [4]}, "steps has 4; there are 4 steps of text 0, 0 to 3"),
        ({"sequence": 1, "steps": [3]}, "there are 2 steps of text 1, 0 to 1"),
        ({"steps": [10**30]}, "steps has 1000"),
        (Selection(1, (), (3,)), "steps has 3"),
    ],
    ids=lambda value: "" if isinstance(value, str) else str(value)[:40],
)
def test_an_impossible_selection_is_refused_and_changes_nothing(widget, given, words) -> None:
    widget.selection = {"inputs": [1], "steps": [2]}
    with pytest.raises(traitlets.TraitError, match=words):
        widget.selection = given
    assert widget.selection == Selection(0, (1,), (2,))


def test_a_selection_is_a_value() -> None:
    one, other = Selection(0, [1, 1, 2]), Selection(0, (1, 2), ())
    assert one == other
    assert len({one, other, Selection()}) == 2
    assert one.inputs == (1, 2)
    with pytest.raises(AttributeError):
        one.inputs = ()  # type: ignore[misc]


def test_a_selection_of_no_indices_cannot_be_made() -> None:
    with pytest.raises(traitlets.TraitError, match="inputs has 'a'"):
        Selection(0, ("a",))  # type: ignore[arg-type]


def test_a_selection_finds_its_scores(widget) -> None:
    widget.selection = {"inputs": [0, 2], "steps": [1, 3]}
    chosen = widget.selection
    scores = widget.output[chosen.sequence].scores
    pinned = scores[list(chosen.inputs), list(chosen.steps)]
    assert pinned.coords["input"].values.tolist() == ["The", "said"]
    assert pinned.coords["step"].values.tolist() == ["she", "."]
