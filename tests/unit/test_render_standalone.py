"""The page of its own: live without a network, readable without script, safe with any token."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest

from inseq_widget.explore.figure import make_figure
from inseq_widget.explore.protocol import FigureSpec
from inseq_widget.render import MissingBundle, bundle, standalone, standalone_page
from inseq_widget.render.page import section
from tests.unit.conformity import nonconformity
from tests.unit.outputs import causal, encoder_decoder, evil
from tests.unit.test_render_html import Page

SCRIPT = "mountAll(document);"


@pytest.fixture(autouse=True)
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Put a script in the bundle's place, so that the page's own parts stand out."""
    path = tmp_path / "standalone.js"
    path.write_text(SCRIPT, encoding="utf-8")
    monkeypatch.setattr(standalone, "STANDALONE_SCRIPT", path)
    return path


def states_of(page: str) -> dict[str, dict[str, object]]:
    found = re.findall(r'<script type="application/json" id="([^"]*)">(.*?)</script>', page, re.S)
    return {id: json.loads(text) for id, text in found}


def test_every_result_has_a_place_with_its_state() -> None:
    outputs = [causal(), encoder_decoder(signed=True), evil()]
    page = standalone_page(outputs)
    places = [
        given["data-inseq-widget"]
        for given in Page(page).all("div")
        if "class" not in given and "data-inseq-widget" in given
    ]
    states = states_of(page)
    assert places == list(states)
    for state, output in zip(states.values(), outputs, strict=True):
        assert state["spec"] == make_figure(output).spec
        assert nonconformity(state["spec"], FigureSpec) == []
        scores = np.frombuffer(base64.b64decode(state["scores"]), "<f4")
        expected = output[0].scores.to_numpy()
        np.testing.assert_array_equal(scores.reshape(expected.shape), expected)


def test_without_script_the_static_heatmaps_are_seen() -> None:
    output = causal()
    page = standalone_page([output])
    without_script = page.split("<noscript>")[1].split("</noscript>")[0]
    assert without_script == section(make_figure(output), tables=False)
    assert "data:image/png;base64," in without_script


def test_the_page_names_no_other_place_and_its_policy_forbids_any() -> None:
    page = standalone_page([causal(), evil()])
    assert not re.search(r"https?:", page)
    for tag, given in Page(page).elements:
        assert tag not in {"link", "iframe", "object", "base"}
        assert not {"href", "action", "srcset"} & set(given)
        assert (given.get("src") or "data:").startswith("data:")
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert policy[1] == (
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"
    )


def test_no_token_ends_the_element_that_holds_it() -> None:
    page = standalone_page([evil()])
    scripts = re.findall(r"<script\b", page, re.IGNORECASE)
    assert len(scripts) == len(re.findall(r"</script>", page, re.IGNORECASE)) == 2
    assert "<!--" not in page
    for hidden in "\u2028\u2029\u202e\x00":
        assert hidden not in page
    page.encode("utf-8")


def test_the_page_is_titled() -> None:
    assert "<title>saliency of probability, demo:model</title>" in standalone_page([causal()])
    assert "<title>a &lt;b&gt; &amp; c</title>" in standalone_page([causal()], "a <b> & c")
    several = standalone_page([causal(), encoder_decoder(signed=True)])
    assert "<title>Feature attributions</title>" in several
    assert "<h2>input x gradient of probability, demo:model</h2>" in several
    assert several.startswith('<!doctype html>\n<html lang="en">')


@pytest.mark.parametrize("outputs", [[], [causal()[0:0]], [causal(), causal()[0:0]]])
def test_a_page_of_nothing_is_refused(outputs) -> None:
    with pytest.raises(ValueError, match="outputs: "):
        standalone_page(outputs)


def test_a_clone_without_its_bundle_is_told_how_to_build_it(script: Path) -> None:
    script.unlink()
    with pytest.raises(MissingBundle, match="npm ci && npm run build"):
        standalone_page([causal()])


@pytest.mark.parametrize("text", ["a</script>b", "a</SCRIPT >b", "a<!--b"])
def test_a_bundle_that_would_end_its_element_is_refused(script: Path, text: str) -> None:
    script.write_text(text, encoding="utf-8")
    with pytest.raises(RuntimeError, match="would end"):
        standalone_page([causal()])


def test_the_built_bundle_can_stand_in_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standalone, "STANDALONE_SCRIPT", bundle.STANDALONE_SCRIPT)
    text = bundle.STANDALONE_SCRIPT.read_text(encoding="utf-8")
    assert f"<script>{text}</script>" in standalone_page([causal()])


def test_a_result_writes_its_page(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    page = evil().to_html(path, title="Evil \ud83d")
    assert path.read_text(encoding="utf-8") == page
    assert "<title>Evil ⟨U+D83D⟩</title>" in page
