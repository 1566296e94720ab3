"""The quickstart in a real JupyterLab, on the real demo models, under ipykernel 6 and 7."""

from __future__ import annotations

import math
import re
from itertools import pairwise

import pytest
from figure import Figure, luminance
from notebook_page import NotebookPage
from playwright.sync_api import expect

# The generated token that most tests pin; it has inputs before and steps after it.
STEP = 2


def step_scores(notebook: NotebookPage, step: int) -> list[float]:
    """Return a step's scores as the kernel knows them, NaN where they are missing."""
    values = notebook.value(f"translation[0].scores.fillna(1e30)[:, {step}].values.tolist()")
    assert isinstance(values, list)
    return [math.nan if value > 1e29 else value for value in values]


def test_every_result_is_drawn_live_and_its_static_twin_is_hidden(quickstart: NotebookPage) -> None:
    figures = quickstart.page.locator(".inseq-widget-live")
    expect(figures).to_have_count(6)
    for number in range(6):
        Figure(figures.nth(number)).wait_until_drawn()
    static = quickstart.page.locator(".inseq-static")
    expect(static).to_have_count(6)
    for number in range(6):
        expect(static.nth(number)).to_be_hidden()


def test_the_shades_of_the_text_follow_the_scores(quickstart: NotebookPage, figure: Figure) -> None:
    quickstart.run_code(f"widget.selection = {{'steps': [{STEP}]}}")
    figure.expect_pinned(steps=[STEP])
    scores = step_scores(quickstart, STEP)
    places = sorted(range(len(scores)), key=lambda place: scores[place])
    brightness = [luminance(figure.shade(figure.input(place))) for place in places]
    assert all(darker <= lighter + 1e-6 for lighter, darker in pairwise(brightness))
    assert brightness[-1] < brightness[0]


def test_the_matrix_has_the_colours_of_the_text(quickstart: NotebookPage, figure: Figure) -> None:
    quickstart.run_code(f"widget.selection = {{'steps': [{STEP}]}}")
    figure.expect_pinned(steps=[STEP])
    for place in range(len(step_scores(quickstart, STEP))):
        assert figure.cell_colour(place, STEP) == figure.shade(figure.input(place))


def test_hovering_a_token_shows_its_facts_and_its_counterparts(
    quickstart: NotebookPage, figure: Figure
) -> None:
    identifier, position, probability = quickstart.values(
        f"translation[0].steps[{STEP}].id",
        f"translation[0].steps[{STEP}].position",
        f"float(translation[0].step_scores['probability'][{STEP}])",
    )
    assert isinstance(probability, float)
    overview = figure.shade(figure.input(1))
    figure.step(STEP).hover()
    expect(figure.tooltip).to_have_attribute("data-open", "true")
    expect(figure.tooltip).to_contain_text(f"id {identifier} · position {position}")
    expect(figure.tooltip).to_contain_text(f"{probability * 100:.1f} %")
    expect(figure.step(STEP)).to_have_attribute("data-mark", re.compile(r"\bactive\b"))
    assert figure.shade(figure.input(1)) != overview
    figure.leave()
    assert figure.shade(figure.input(1)) == overview


def test_hovering_never_reaches_the_kernel(quickstart: NotebookPage, figure: Figure) -> None:
    figure.step(STEP).hover()
    expect(figure.tooltip).to_have_attribute("data-open", "true")
    empty = {"sequence": 0, "inputs": [], "steps": []}
    assert quickstart.value("widget.selection.to_state()") == empty


def test_the_strip_shows_step_scores_and_a_drag_pins_a_run_of_them(
    quickstart: NotebookPage, figure: Figure
) -> None:
    (probabilities,) = quickstart.values("translation[0].step_scores['probability'].tolist()")
    assert isinstance(probabilities, list)
    mouse, count = quickstart.page.mouse, len(probabilities)
    figure.strip.scroll_into_view_if_needed()
    mouse.move(*figure.bar_centre(STEP, count))
    expect(figure.tooltip).to_have_attribute("data-open", "true")
    expect(figure.tooltip).to_contain_text(f"{probabilities[STEP] * 100:.1f} %")
    expect(figure.step(STEP)).to_have_attribute("data-mark", re.compile(r"\bpointed\b"))
    mouse.click(*figure.bar_centre(STEP, count))
    figure.expect_pinned(steps=[STEP])
    mouse.move(*figure.bar_centre(1, count))
    mouse.down()
    mouse.move(*figure.bar_centre(4, count), steps=6)
    mouse.up()
    figure.expect_pinned(steps=[1, 2, 3, 4])
    quickstart.expect_value(
        "widget.selection.to_state()", {"sequence": 0, "inputs": [], "steps": [1, 2, 3, 4]}
    )
    figure.strip.press("Escape")
    figure.expect_pinned()
    figure.strip.press("Home")
    figure.strip.press("ArrowRight")
    figure.strip.press("Enter")
    quickstart.expect_value(
        "widget.selection.to_state()", {"sequence": 0, "inputs": [], "steps": [1]}
    )


def test_a_clicked_token_is_the_selection_in_python(
    quickstart: NotebookPage, figure: Figure
) -> None:
    figure.step(STEP).click()
    figure.expect_pinned(steps=[STEP])
    quickstart.expect_value(
        "widget.selection.to_state()", {"sequence": 0, "inputs": [], "steps": [STEP]}
    )


def test_a_click_calls_the_observers_in_python(quickstart: NotebookPage, figure: Figure) -> None:
    quickstart.run_code("seen.clear()")
    figure.input(1).click()
    quickstart.expect_value(
        "[each.to_state() for each in seen[-1:]]", [{"sequence": 0, "inputs": [1], "steps": []}]
    )


def test_the_selection_of_python_moves_the_view(quickstart: NotebookPage, figure: Figure) -> None:
    quickstart.run_code(f"widget.selection = {{'steps': [{STEP}], 'inputs': [1]}}")
    figure.expect_pinned(steps=[STEP], inputs=[1])


def test_an_impossible_selection_is_refused_and_the_view_stays(
    quickstart: NotebookPage, figure: Figure
) -> None:
    quickstart.run_code(f"widget.selection = {{'steps': [{STEP}]}}")
    with pytest.raises(AssertionError, match="9999"):
        quickstart.run_code("widget.selection = {'steps': [9999]}")
    figure.expect_pinned(steps=[STEP])


def test_a_cell_shows_score_and_rank_when_pointed_at(
    quickstart: NotebookPage, figure: Figure
) -> None:
    scores = step_scores(quickstart, STEP)
    place = max(range(len(scores)), key=lambda place: scores[place])
    figure.hover_cell(place, STEP)
    expect(figure.tooltip).to_have_attribute("data-open", "true")
    expect(figure.tooltip).to_contain_text(f"1st of {len(scores)}")
    share = scores[place] / sum(scores)
    expect(figure.tooltip).to_contain_text(re.compile(rf"{math.floor(share * 100)}[.\d]*\s?%"))
    expect(figure.input(place)).to_have_attribute("data-mark", re.compile(r"\bpointed\b"))


def test_clicks_in_the_matrix_pin_add_and_escape_clears(
    quickstart: NotebookPage, figure: Figure
) -> None:
    figure.click_cell(1, STEP)
    figure.expect_pinned(inputs=[1], steps=[STEP])
    figure.click_cell(3, STEP + 1, "Shift")
    figure.expect_pinned(inputs=[1, 3], steps=[STEP, STEP + 1])
    quickstart.expect_value(
        "widget.selection.to_state()", {"sequence": 0, "inputs": [1, 3], "steps": [STEP, STEP + 1]}
    )
    figure.matrix.press("Escape")
    figure.expect_pinned()
    quickstart.expect_value(
        "widget.selection.to_state()", {"sequence": 0, "inputs": [], "steps": []}
    )


def test_the_arrow_keys_walk_the_matrix_and_enter_pins(
    quickstart: NotebookPage, figure: Figure
) -> None:
    figure.click_cell(0, 0)
    figure.matrix.press("Escape")
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        figure.matrix.press(key)
    expect(figure.matrix).to_have_attribute("aria-activedescendant", "cell-2-1")
    expect(figure.tooltip).to_have_attribute("data-open", "true")
    figure.matrix.press("Enter")
    figure.expect_pinned(inputs=[2], steps=[1])
    quickstart.expect_value(
        "widget.selection.to_state()", {"sequence": 0, "inputs": [2], "steps": [1]}
    )


def test_the_keyboard_does_not_reach_the_notebook(quickstart: NotebookPage, figure: Figure) -> None:
    # In JupyterLab's command mode, a would insert a cell and Enter would edit one.
    before = quickstart.cell_count()
    figure.step(STEP).click()
    for key in ("a", "ArrowRight", "Enter", "Escape"):
        quickstart.page.keyboard.press(key)
    assert quickstart.cell_count() == before


def test_a_pinned_token_gets_the_alternatives_that_the_model_gives(
    quickstart: NotebookPage, figure: Figure
) -> None:
    figure.step(STEP).click()
    expect(figure.alternatives.locator(".answer")).to_have_attribute("data-state", "done")
    expected = quickstart.value(
        "[entry.token.text.strip() for entry in "
        f"translator.alternatives(translation[0], {STEP}, 3).alternatives]"
    )
    assert isinstance(expected, list)
    labels = figure.alternatives.locator("li .bar-label")
    for number, text in enumerate(expected):
        expect(labels.nth(number)).to_contain_text(text)


def test_the_other_text_can_be_chosen_in_the_page(quickstart: NotebookPage, figure: Figure) -> None:
    figure.root.locator("select[data-part=sequence]").select_option("1")
    expect(figure.text).to_contain_text("designer")
    quickstart.expect_value(
        "widget.selection.to_state()", {"sequence": 1, "inputs": [], "steps": []}
    )


def test_linked_widgets_share_their_selection(quickstart: NotebookPage) -> None:
    quickstart.run_code("by_gradient.selection = {}")
    first = Figure(quickstart.output_of("by_gradient"))
    second = Figure(quickstart.output_of("by_attention"))
    for figure in (first, second):
        figure.wait_until_drawn()
    first.step(1).click()
    second.expect_pinned(steps=[1])
    second.click_cell(2, 3)
    first.expect_pinned(inputs=[2], steps=[3])
    quickstart.expect_value("by_gradient.selection == by_attention.selection", True)
