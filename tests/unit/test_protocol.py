"""The protocol is declared once: what is generated from it and what uses it do not drift."""

from __future__ import annotations

from pathlib import Path
from typing import get_args, get_origin, get_type_hints

import anywidget
import pytest
import traitlets

from inseq_widget.explore import protocol
from inseq_widget.explore.operations import OPERATIONS
from inseq_widget.explore.typescript import main, typescript
from inseq_widget.widget import AttributionWidget
from inseq_widget.widget.selection import SelectionTrait
from tests.unit.conformity import nonconformity
from tests.unit.outputs import batch, causal, encoder_decoder, evil

TYPESCRIPT = Path(__file__).resolve().parents[2] / "js" / "src" / "protocol.ts"
# What declares a trait of each type of the protocol.
TRAIT_OF = {
    protocol.FigureSpec: traitlets.Dict,
    bytes: traitlets.Bytes,
    protocol.SelectionState: SelectionTrait,
    protocol.Theme: traitlets.Enum,
}


def test_the_front_end_has_the_types_that_the_kernel_declares() -> None:
    assert TYPESCRIPT.read_text(encoding="utf-8") == typescript()


def test_the_generator_writes_the_file_it_is_given(tmp_path: Path) -> None:
    main([str(tmp_path / "protocol.ts")])
    assert (tmp_path / "protocol.ts").read_text(encoding="utf-8") == typescript()


def test_a_type_without_counterpart_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "Odd", dict[str, set[int]] | None, raising=False)
    with pytest.raises(TypeError, match="no TypeScript counterpart"):
        typescript()


def test_the_widget_has_exactly_the_traits_of_the_protocol() -> None:
    base = set(anywidget.AnyWidget.class_traits(sync=True))
    own = {
        name: trait
        for name, trait in AttributionWidget.class_traits(sync=True).items()
        if name not in base
    }
    declared = get_type_hints(protocol.Traits)
    assert {name: type(trait) for name, trait in own.items()} == {
        name: TRAIT_OF[annotation] for name, annotation in declared.items()
    }
    assert tuple(own["theme"].values) == get_args(protocol.Theme)


def test_the_operations_are_those_of_the_protocol() -> None:
    assert set(OPERATIONS) == set(get_args(protocol.Operation))
    assert set(OPERATIONS) == set(get_type_hints(protocol.Operations))
    assert get_origin(get_type_hints(protocol.Operations)["alternatives"]) is tuple


@pytest.mark.parametrize(
    "output",
    [causal(), encoder_decoder(signed=True), evil(), batch(causal(), causal(seed=1))],
    ids=["causal", "encoder-decoder", "evil", "batch"],
)
def test_a_widgets_state_keeps_to_the_protocol(output) -> None:
    widget = AttributionWidget(output, selection={"inputs": [1], "steps": [0]})
    state = widget.get_state(["_spec", "_scores", "selection", "theme"])
    assert nonconformity(state, protocol.Traits) == []


def test_a_state_that_does_not_keep_to_the_protocol_is_found() -> None:
    wrong = {"sequence": True, "inputs": ["1"], "step": []}
    assert len(nonconformity(wrong, protocol.SelectionState)) == 3
