"""How long a large matrix takes in Chromium: `python drawing.py INPUTS STEPS ROUNDS` prints it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = ROOT / "inseq_widget" / "widget" / "static" / "widget.js"
ADDRESS = "http://drawing.test/"
CELLS_HOVERED = 40

# A host as small as anywidget's contract allows, with the very bytes that a kernel would send.
_PAGE = """<!doctype html><meta charset="utf-8"><body><div id="place"></div><script type="module">
import createWidget from "/widget.js";
const spec = await (await fetch("/spec")).json();
// The same text above a matrix of one row shows what the cells of the others cost.
if (location.search === "?text") spec.sequences[0].inputs.length = 1;
const scores = await (await fetch("/scores")).arrayBuffer();
const traits = {
    _spec: spec, _scores: new DataView(scores), theme: "light",
    selection: { sequence: 0, inputs: [], steps: [] },
};
const model = {
    get: name => traits[name], set: (name, value) => { traits[name] = value; },
    save_changes() {}, on() {}, off() {}, send() {},
};
// Called in a frame: the message comes after its style, layout and painting.
const afterFrame = () => new Promise(done => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => done(performance.now());
    port2.postMessage(null);
});
const painted = () => new Promise(done => requestAnimationFrame(() => done(afterFrame())));
const widget = createWidget();
await painted();
let started = performance.now();
widget.initialize({ model });
widget.render({ model, el: document.getElementById("place") });
window.first = await painted() - started;
const root = document.querySelector(".inseq-widget-live").shadowRoot;
const part = name => root.querySelector(`[data-part="${name}"]`);
window.fit = async () => {
    const started = performance.now();
    part("zoom-fit").click();
    return await painted() - started;
};
// The work that a moved pointer makes: in the event, from the first listener to the last, and in
// the frame that follows; not the wait for that frame.
window.hovered = [];
let moved = 0;
let handled = 0;
window.addEventListener("pointermove", () => {
    moved = performance.now();
    requestAnimationFrame(async () => {
        const begun = performance.now();
        const ended = await afterFrame();
        window.hovered.push([handled + ended - begun, part("tooltip").textContent]);
    });
}, { capture: true });
window.addEventListener("pointermove", () => { handled = performance.now() - moved; });
window.ready = true;
</script>"""


@dataclass(frozen=True)
class Drawn:
    """What was measured of a matrix.

    Attributes
    ----------
    bytes_of_scores, bytes_of_tokens : int
        What the kernel sends: the scores, and everything else that the figure needs.
    first, text : list of float
        Seconds from the call of ``render`` in a fresh page to the end of its first frame: of the
        whole widget, and of the same with a single row of the matrix. The difference is what the
        matrix takes.
    fitted : list of float
        Seconds from a click on "Fit" to the end of the frame that shows every cell.
    hovered, hovered_fitted : list of float
        Seconds of work in the frame that answers a moved pointer, in readable cells and with every
        cell in view.
    """

    bytes_of_scores: int
    bytes_of_tokens: int
    first: list[float]
    text: list[float]
    fitted: list[float]
    hovered: list[float]
    hovered_fitted: list[float]


def measure_drawing(inputs: int, steps: int, rounds: int, environment: dict[str, str]) -> Drawn:
    """Measure in a process of its own.

    Raises
    ------
    RuntimeError
        When it ends without an answer.
    """
    run = [sys.executable, __file__, str(inputs), str(steps), str(rounds)]
    done = subprocess.run(run, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or ["no message"]
        raise RuntimeError(f"drawing.py failed: {said[-1]}")
    return Drawn(**json.loads(done.stdout))


def draw(inputs: int, steps: int, rounds: int) -> Drawn:
    """Make a result of so many inputs and steps, and draw it in so many fresh pages."""
    from playwright.sync_api import sync_playwright

    from inseq_widget.explore.figure import make_figure
    from tests.browser.chromium import ARGUMENTS, chromium_path
    from tests.unit.outputs import causal

    prompt = [f" word{number}" for number in range(inputs - steps + 1)]
    figure = make_figure(causal(prompt, [f" made{number}" for number in range(steps)]))
    spec = json.dumps(figure.spec).encode()
    served: dict[str, tuple[str, bytes]] = {
        "": ("text/html", _PAGE.encode()),
        "widget.js": ("text/javascript", BUNDLE.read_bytes()),
        "spec": ("application/json", spec),
        "scores": ("application/octet-stream", figure.scores),
    }
    drawn = Drawn(len(figure.scores), len(spec), [], [], [], [], [])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
        for _ in range(rounds):
            page = _page(browser, "?text", served)
            drawn.text.append(page.evaluate("window.first") / 1000)
            page.close()
            page = _page(browser, "", served)
            drawn.first.append(page.evaluate("window.first") / 1000)
            drawn.hovered.extend(_hover(page))
            drawn.fitted.append(page.evaluate("window.fit()") / 1000)
            drawn.hovered_fitted.extend(_hover(page))
            page.close()
        browser.close()
    return drawn


def _page(browser: Any, query: str, served: dict[str, tuple[str, bytes]]) -> Any:
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.route(ADDRESS + "**", lambda route: _answer(route, served))
    page.goto(ADDRESS + query)
    page.wait_for_function("window.ready")
    return page


def _answer(route: Any, served: dict[str, tuple[str, bytes]]) -> None:
    kind, body = served.get(urlsplit(route.request.url).path[1:], ("text/plain", b""))
    route.fulfill(content_type=kind, body=body)


def _hover(page: Any) -> list[float]:
    """Move over cells of the matrix; return the seconds that each answer took.

    Raises
    ------
    RuntimeError
        When a frame does not show what is pointed at.
    """
    cells = page.locator("canvas[data-part=cells]")
    cells.evaluate("canvas => canvas.scrollIntoView({ block: 'center' })")
    box = cells.bounding_box()
    origin = cells.evaluate("canvas => [+canvas.dataset.originX, +canvas.dataset.originY + 30]")
    page.mouse.move(box["x"] + origin[0] + 5, box["y"] + origin[1] + 5)
    page.wait_for_timeout(100)
    page.evaluate("window.hovered.length = 0")
    for number in range(1, CELLS_HOVERED + 1):
        # Always to another cell, over the whole view.
        x = box["x"] + origin[0] + (number * 97) % (box["width"] - origin[0] - 20)
        y = box["y"] + origin[1] + (number * 41) % (box["height"] - origin[1] - 20)
        page.mouse.move(x, y)
        page.wait_for_function(f"window.hovered.length >= {number}")
    answers = page.evaluate("window.hovered")
    texts = [text for _, text in answers]
    if (
        not all("word" in text or "made" in text for text in texts)
        or len(set(texts)) < len(texts) / 2
    ):
        raise RuntimeError("the tooltip does not follow the pointer")
    return [milliseconds / 1000 for milliseconds, _ in answers]


if __name__ == "__main__":
    inputs, steps, rounds = (int(argument) for argument in sys.argv[1:])
    print(json.dumps(asdict(draw(inputs, steps, rounds))))
