"""The matrix in a real JupyterLab: zoom, pan, order, filter, map, and what Python hears of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from figure import Figure, luminance
from notebook_page import NotebookPage
from playwright.sync_api import expect
from test_accessibility import violations

pytestmark = pytest.mark.parametrize("quickstart", ["ipykernel7"], indirect=True)

# A causal result that is larger than its view in both directions.
INPUTS, STEPS = 400, 120
_LARGE = f"""
import numpy as np, torch
from inseq_widget.results import FeatureAttributionOutput, FeatureAttributionSequenceOutput, Token
from inseq_widget.results.labelling import labelled
prompt, steps = {INPUTS - STEPS + 1}, {STEPS}
words = "the model reads each token and gives attention to what came before it".split()
texts = [" " + words[k * 7 % len(words)] for k in range(prompt + steps)]
texts[0] = "<s>"
target = [
    Token(piece=text, id=k, text=text, position=k, side="prompt" if k < prompt else "target",
          special=k == 0, word=k) for k, text in enumerate(texts)
]
scores = np.random.default_rng(7).gamma(0.5, size=({INPUTS}, {STEPS})).astype(np.float32)
scores *= 1 + 6 * np.exp(-((np.arange({INPUTS})[:, None] / 3 - np.arange({STEPS})) ** 2) / 60)
scores[200, 60] = 90
scores[np.arange({INPUTS})[:, None] >= prompt + np.arange(steps)] = np.nan
about = {{**translation.info, "signed": False, "model_name": "made up"}}
one = FeatureAttributionSequenceOutput(
    source=target[:prompt], target=target,
    kept={{about["reduction"]: labelled(scores, target[:-1], target[prompt:])}},
    reduction=about["reduction"], attr_pos_start=prompt, attr_pos_end=prompt + steps,
    architecture="decoder_only", info=about, live_model=None,
    step_scores={{"probability": torch.linspace(0.9, 0.1, steps)}},
)
large = FeatureAttributionOutput([one], about, None).widget()
"""
# What is hot is seen though it shares its pixel.
HOT = (200, 60)


@pytest.fixture(scope="module")
def drawn(quickstart: NotebookPage) -> Iterator[Figure]:
    """Draw a large result in a cell of its own at the end of the notebook."""
    quickstart.run_code(_LARGE)
    quickstart.page.evaluate(
        """async () => {
            const { commands, shell } = window.jupyterapp;
            const notebook = shell.currentWidget.content;
            notebook.activeCellIndex = notebook.widgets.length - 1;
            await commands.execute("notebook:insert-cell-below");
            notebook.activeCell.model.sharedModel.setSource("large");
            await commands.execute("notebook:run-cell");
        }"""
    )
    figure = Figure(quickstart.output_of("large"))
    figure.wait_until_drawn()
    yield figure
    quickstart.command("notebook:delete-cell")


@pytest.fixture
def large(quickstart: NotebookPage, drawn: Figure) -> Figure:
    """Return it with nothing pinned, at the readable size, all inputs in the text's order."""
    quickstart.run_code("large.selection = {}")
    drawn.part("order").select_option("position")
    drawn.part("special").set_checked(True)
    if drawn.part("show-all").is_enabled():
        drawn.part("show-all").click()
    drawn.part("zoom-natural").click()
    drawn.matrix.evaluate("box => box.scrollTo(0, 0)")
    drawn.matrix.scroll_into_view_if_needed()
    drawn.leave()
    return drawn


def scrolled(figure: Figure) -> tuple[float, float]:
    data = figure.geometry()
    return float(data["scrollX"]), float(data["scrollY"])


def cell_size(figure: Figure) -> tuple[float, float]:
    data = figure.geometry()
    return float(data["cellWidth"]), float(data["cellHeight"])


def page_scroll(figure: Figure) -> list[float]:
    found: list[float] = figure.root.evaluate(
        """root => {
            const found = [];
            for (let up = root.parentElement; up !== null; up = up.parentElement)
                found.push(up.scrollTop, up.scrollLeft);
            return found;
        }"""
    )
    return found


def test_a_wheel_with_ctrl_zooms_around_the_pointer_and_leaves_the_page_alone(
    large: Figure,
) -> None:
    x, y = large.cell_centre(9, 12)
    large.matrix.hover(position={"x": x, "y": y})
    mouse, before, page = large.root.page.mouse, cell_size(large), page_scroll(large)
    large.root.page.keyboard.down("Control")
    for _ in range(4):
        mouse.wheel(0, -100)
    large.root.page.keyboard.up("Control")
    expect(large.part("zoom-natural")).not_to_have_text("100 %")
    after = cell_size(large)
    assert after[0] > 1.5 * before[0]
    assert after[1] > 1.5 * before[1]
    # The cell that was under the pointer still is.
    moved = large.cell_centre(9, 12)
    assert abs(moved[0] - x) < after[0] / 2
    assert abs(moved[1] - y) < after[1] / 2
    large.matrix.hover(position={"x": x, "y": y})
    expect(large.step(12)).to_have_attribute("data-mark", re.compile("pointed"))
    assert page_scroll(large) == page
    assert large.root.page.evaluate("visualViewport.scale") == 1


def test_all_fits_into_the_view_and_a_single_hot_cell_stays_visible(large: Figure) -> None:
    expect(large.map).to_be_visible()
    large.part("zoom-fit").click()
    expect(large.map).to_be_hidden()
    assert cell_size(large)[1] < 1.3
    assert scrolled(large) == (0, 0)
    box = large.matrix.evaluate(
        "box => [box.scrollWidth - box.clientWidth, box.scrollHeight - box.clientHeight]"
    )
    assert box == [0, 0]
    assert luminance(large.cell_colour(*HOT)) < 0.3
    # And what is pointed at there is the cell whose colour is seen.
    large.hover_cell(*HOT)
    expect(large.tooltip).to_contain_text("1st of")
    assert large.part("zoom-fit").get_attribute("aria-disabled") == "true"


def test_keys_zoom_and_the_keyboard_stays_in_sight(large: Figure) -> None:
    large.matrix.focus()
    large.matrix.press("End")
    for _ in range(3):
        large.matrix.press("+")
    large.root.page.wait_for_timeout(100)
    width = large.matrix.evaluate("box => box.clientWidth")
    x, _ = large.cell_centre(0, STEPS - 1)
    assert 0 < x < width
    large.matrix.press("0")
    expect(large.map).to_be_hidden()
    large.matrix.press("1")
    expect(large.part("zoom-natural")).to_have_text("100 %")


def test_dragging_with_the_middle_button_or_with_space_pans_and_pins_nothing(
    quickstart: NotebookPage, large: Figure
) -> None:
    box = large.matrix.bounding_box()
    assert box is not None
    mouse, page = large.root.page.mouse, page_scroll(large)
    x, y = box["x"] + 400, box["y"] + 350
    mouse.move(x, y)
    mouse.down(button="middle")
    mouse.move(x - 130, y - 90, steps=4)
    mouse.up(button="middle")
    assert scrolled(large) == (130, 90)
    large.matrix.focus()
    large.root.page.keyboard.down("Space")
    expect(large.matrix).to_have_css("cursor", "grab")
    mouse.move(x, y)
    mouse.down()
    mouse.move(x + 30, y + 40, steps=4)
    expect(large.matrix).to_have_css("cursor", "grabbing")
    mouse.up()
    large.root.page.keyboard.up("Space")
    assert scrolled(large) == (100, 50)
    large.expect_pinned()
    assert page_scroll(large) == page
    quickstart.expect_value(
        "large.selection.to_state()", {"sequence": 0, "inputs": [], "steps": []}
    )


def test_order_and_filter_speak_in_places_of_the_result(
    quickstart: NotebookPage, large: Figure
) -> None:
    large.part("order").select_option("score")
    (strongest,) = quickstart.values(
        "np.argsort(-np.nanmean(np.abs(scores) / np.nansum(scores, axis=0), axis=1))[:10].tolist()"
    )
    large.part("top").select_option("10")
    expect(large.part("shown")).to_have_text(f"10 of {INPUTS} inputs shown")
    assert large.shown_inputs() == strongest
    # Zoomed, sorted, filtered and scrolled: a click still means the cell of the result.
    large.part("zoom-in").click()
    large.matrix.evaluate("box => box.scrollTo(300, 0)")
    assert isinstance(strongest, list)
    large.click_cell(strongest[2], 14)
    large.expect_pinned(inputs=[strongest[2]], steps=[14])
    quickstart.expect_value(
        "large.selection.to_state()",
        {"sequence": 0, "inputs": [strongest[2]], "steps": [14]},
    )
    large.part("show-all").click()
    expect(large.part("shown")).to_have_text(f"all {INPUTS} inputs shown")
    # Sorted by the pinned step now, and what is pinned is where it was, as far as it goes.
    (by_step,) = quickstart.values("np.argsort(-scores[:, 14])[:5].tolist()")
    assert large.shown_inputs()[:5] == by_step


def test_a_threshold_and_special_tokens(quickstart: NotebookPage, large: Figure) -> None:
    large.part("least").select_option("5")
    shares = "(np.nanmax(np.abs(scores) / np.nansum(scores, axis=0), axis=1) >= 0.05)"
    (expected,) = quickstart.values(f"np.flatnonzero({shares}).tolist()")
    assert isinstance(expected, list)
    expect(large.part("shown")).to_have_text(f"{len(expected)} of {INPUTS} inputs shown")
    assert large.shown_inputs() == expected
    large.part("show-all").click()
    large.part("special").uncheck()
    assert large.shown_inputs() == list(range(1, INPUTS))


def test_a_selection_of_python_is_brought_into_sight_at_any_zoom(
    quickstart: NotebookPage, large: Figure
) -> None:
    large.part("top").select_option("5")
    large.part("zoom-in").click()
    quickstart.run_code("large.selection = {'inputs': [390], 'steps': [115]}")
    large.expect_pinned(inputs=[390], steps=[115])
    assert 390 in large.shown_inputs()
    x, y = large.cell_centre(390, 115)
    width, height = large.matrix.evaluate("box => [box.clientWidth, box.clientHeight]")
    assert 0 < x < width
    assert 0 < y < height


def test_the_map_moves_the_view(large: Figure) -> None:
    map_box = large.map.bounding_box()
    assert map_box is not None
    mouse = large.root.page.mouse
    mouse.click(map_box["x"] + map_box["width"] - 0.5, map_box["y"] + map_box["height"] - 0.5)
    end = large.matrix.evaluate(
        "box => [box.scrollWidth - box.clientWidth, box.scrollHeight - box.clientHeight]"
    )
    assert scrolled(large) == pytest.approx(end, abs=1)
    mouse.down()
    mouse.move(map_box["x"] + 0.5, map_box["y"] + 0.5, steps=5)
    mouse.up()
    assert scrolled(large) == (0, 0)
    large.expect_pinned()


def test_two_fingers_zoom(large: Figure) -> None:
    page = large.root.page
    box = large.matrix.bounding_box()
    assert box is not None
    before = cell_size(large)
    session = page.context.new_cdp_session(page)
    x, y = box["x"] + 400, box["y"] + 300

    def touch(kind: str, *apart: float) -> None:
        points = [{"x": x - apart[0], "y": y}, {"x": x + apart[0], "y": y}] if apart else []
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 40)
    for apart in (40, 60, 80):
        touch("touchMove", apart)
    touch("touchEnd")
    session.detach()
    assert cell_size(large)[0] == pytest.approx(2 * before[0], rel=0.05)
    assert page.evaluate("visualViewport.scale") == 1


def test_axe_objects_to_nothing_while_zoomed_sorted_and_filtered(large: Figure) -> None:
    large.part("order").select_option("score")
    large.part("top").select_option("5")
    large.part("zoom-fit").click()
    large.matrix.focus()
    large.matrix.press("ArrowDown")
    assert violations(large) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280, 2000])
def test_pictures(
    theme: str, width: int, quickstart: NotebookPage, large: Figure, pictures: Path
) -> None:
    page = quickstart.page
    before = page.viewport_size
    assert before is not None
    quickstart.use_theme(theme)
    frame = large.root.locator(".figure")
    frame.evaluate("(figure, width) => { figure.style.width = `${width}px`; }", width)
    page.set_viewport_size({"width": max(width + 420, 900), "height": 1800})
    large.click_cell(5, 3)
    large.leave()
    scenes = {
        "readable": lambda: None,
        "small": lambda: [large.part("zoom-out").click() for _ in range(4)],
        "fit": lambda: large.part("zoom-fit").click(),
        "sorted": lambda: (
            large.part("zoom-natural").click(),
            large.part("order").select_option("score"),
            large.part("top").select_option("20"),
        ),
    }
    for name, arrange in scenes.items():
        arrange()
        large.geometry()
        path = pictures / f"matrix-{name}-{width}-{theme}.png"
        large.root.locator(".lower").screenshot(path=path)
        assert path.stat().st_size > 8_000
        overflow = frame.evaluate("figure => figure.scrollWidth - figure.clientWidth")
        assert overflow == 0
    frame.evaluate("figure => { figure.style.width = ''; }")
    page.set_viewport_size(before)
    quickstart.use_theme("light")
