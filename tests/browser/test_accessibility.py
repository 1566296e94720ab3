"""axe-core finds nothing to object to, in either theme and in every state of a figure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from figure import Figure
from notebook_page import NotebookPage
from playwright.sync_api import expect

AXE = Path(__file__).resolve().parents[2] / "node_modules" / "axe-core" / "axe.min.js"

pytestmark = pytest.mark.parametrize("quickstart", ["ipykernel7"], indirect=True)


def violations(figure: Figure) -> list[str]:
    """Run axe-core's default rules inside the figure; return what they object to."""
    page = figure.root.page
    if not page.evaluate("() => 'axe' in window"):
        page.add_script_tag(path=AXE)
    found = figure.root.evaluate(
        """async root => (await axe.run(root)).violations.flatMap(rule =>
            rule.nodes.map(node => `${rule.id}: ${node.html} ${node.failureSummary}`))"""
    )
    return [str(each) for each in found]


@pytest.fixture(params=["light", "dark"])
def themed(
    request: pytest.FixtureRequest, quickstart: NotebookPage, figure: Figure
) -> Iterator[Figure]:
    quickstart.use_theme(request.param)
    expect(figure.root.locator(".figure")).to_have_attribute("data-appearance", request.param)
    yield figure
    quickstart.use_theme("light")


def test_with_nothing_pinned(themed: Figure) -> None:
    assert violations(themed) == []


def test_with_a_pinned_token_and_its_alternatives(themed: Figure) -> None:
    themed.step(2).click()
    expect(themed.alternatives.locator(".answer")).to_have_attribute("data-state", "done")
    assert violations(themed) == []


def test_with_an_open_tooltip_and_data_table(themed: Figure) -> None:
    table = themed.root.locator("[data-part=data]")
    table.evaluate("details => { details.open = true; }")
    expect(table.locator("tbody tr").first).to_be_visible()
    themed.input(1).hover()
    expect(themed.tooltip).to_have_attribute("data-open", "true")
    found = violations(themed)
    table.evaluate("details => { details.open = false; }")
    assert found == []


def test_a_signed_method(themed: Figure, quickstart: NotebookPage) -> None:
    signed = Figure(quickstart.output_of("answer"))
    signed.wait_until_drawn()
    signed.step(1).click()
    assert violations(signed) == []
    quickstart.page.keyboard.press("Escape")
