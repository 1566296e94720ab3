"""One server, one browser, and the quickstart run once under each kernel."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import ARGUMENTS, chromium_path
from figure import Figure
from lab import KERNELS, Lab, running_lab
from notebook_page import NotebookPage, write_notebook
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from watch import Watch

ROOT = Path(__file__).resolve().parents[2]
QUICKSTART = ROOT / "notebooks" / "quickstart.ipynb"
BUILD = ROOT / "build" / "browser"

expect.set_options(timeout=15_000)


@pytest.fixture(scope="session")
def pictures() -> Path:
    """Return the folder that takes screenshots; ``$SCREENSHOTS`` names another."""
    folder = Path(os.environ.get("SCREENSHOTS", BUILD / "screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    home = tmp_path_factory.mktemp("lab")
    try:
        with running_lab(home) as running:
            yield running
    finally:
        BUILD.mkdir(parents=True, exist_ok=True)
        shutil.copy(home / "lab.log", BUILD)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(
        viewport={"width": 1280, "height": 960}, reduced_motion="reduce", device_scale_factor=2
    )
    yield context
    context.close()


@pytest.fixture(scope="session")
def watch(context: BrowserContext) -> Watch:
    return Watch(context)


@pytest.fixture(autouse=True)
def _nothing_leaves_this_machine_and_nothing_fails(watch: Watch, lab: Lab) -> Iterator[None]:
    yield
    watch.check()
    requests = lab.kernel_requests
    assert not requests.exists() or not requests.read_text()


@pytest.fixture
def page(context: BrowserContext, watch: Watch) -> Iterator[Page]:
    page = context.new_page()
    yield page
    page.close()


@pytest.fixture(scope="session", params=KERNELS)
def quickstart(
    request: pytest.FixtureRequest, lab: Lab, context: BrowserContext, watch: Watch
) -> Iterator[NotebookPage]:
    """Open the quickstart and run it from top to bottom, on the real demo models."""
    path = write_notebook(lab, f"quickstart-{request.param}.ipynb", request.param, QUICKSTART)
    page = context.new_page()
    notebook = NotebookPage(page, lab)
    notebook.open(path)
    notebook.run_all()
    notebook.save()
    yield notebook
    notebook.shut_down()
    page.close()


@pytest.fixture
def figure(quickstart: NotebookPage) -> Figure:
    """Return the quickstart's ``widget``, with nothing pinned and nothing pointed at."""
    quickstart.run_code("widget.selection = {}")
    figure = Figure(quickstart.output_of("widget = translation.widget()"))
    figure.wait_until_drawn()
    figure.leave()
    figure.expect_pinned()
    return figure
