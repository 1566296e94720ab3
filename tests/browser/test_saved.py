"""Heatmaps outlive their kernel: reopened notebooks, exported pages, reports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from figure import Figure
from lab import KERNELS, Lab
from notebook_page import NotebookPage, write_notebook
from playwright.sync_api import Browser, Page, expect
from watch import Watch

CELLS = [
    "import inseq_widget as iw\n"
    "model = iw.load_model('demo:bergamot-en-pt', 'saliency')\n"
    "out = model.attribute('The nurse said that she was tired.', show_progress=False)",
    "out",
]


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_heatmap_is_seen_after_the_kernel_restarts_and_the_page_reloads(
    kernel: str, page: Page, lab: Lab, watch: Watch
) -> None:
    notebook = NotebookPage(page, lab)
    notebook.open(write_notebook(lab, f"restart-{kernel}.ipynb", kernel, CELLS))
    notebook.run_all()
    live, static = page.locator(".inseq-widget-live"), page.locator(".inseq-static")
    Figure(live).wait_until_drawn()
    expect(static).to_be_hidden()
    notebook.save()
    # JupyterLab's widget manager reports the dead model; what it draws for it must not be seen.
    with watch.expecting("widget model not found"):
        notebook.restart_kernel()
        notebook.reload()
        expect(static).to_be_visible()
        expect(static).to_contain_text("enfermeira")
        expect(live).to_have_count(0)
        for text in ("Error displaying widget", "Loading widget"):
            for place in page.get_by_text(text).all():
                expect(place).to_be_hidden()
        notebook.run_all()
        Figure(live).wait_until_drawn()
        expect(static).to_be_hidden()
    notebook.shut_down()


@pytest.mark.parametrize("quickstart", ["ipykernel7"], indirect=True)
def test_a_notebook_opened_without_its_kernel_shows_every_heatmap(
    quickstart: NotebookPage, page: Page, lab: Lab, watch: Watch
) -> None:
    saved = lab.folder / "quickstart-ipykernel7.ipynb"
    copy = lab.folder / "reopened.ipynb"
    copy.write_bytes(saved.read_bytes())
    notebook = NotebookPage(page, lab)
    with watch.expecting("widget model not found"):
        notebook.open(copy)
        static = page.locator(".inseq-static")
        expect(static).to_have_count(6)
        for number in range(6):
            expect(static.nth(number)).to_be_visible()
        for place in page.get_by_text("Error displaying widget").all():
            expect(place).to_be_hidden()
    notebook.shut_down()


@pytest.mark.parametrize("quickstart", ["ipykernel7"], indirect=True)
def test_html_made_by_nbconvert_shows_every_heatmap_without_a_network(
    quickstart: NotebookPage, page: Page, lab: Lab, watch: Watch, tmp_path: Path
) -> None:
    saved = lab.folder / "quickstart-ipykernel7.ipynb"
    empty = tmp_path / "empty.ipynb"
    nbformat.write(nbformat.v4.new_notebook(metadata=nbformat.read(saved, 4).metadata), empty)
    own, asked_by_nbconvert = to_html(saved, tmp_path), to_html(empty, tmp_path)
    with watch.expecting("."):
        # The page's own frame asks for MathJax and the like; a heatmap adds nothing to that.
        page.goto(asked_by_nbconvert.as_uri())
        allowed = set(watch.requests)
        page.goto(own.as_uri())
        static = page.locator(".inseq-static")
        expect(static).to_have_count(6)
        for number in range(6):
            expect(static.nth(number)).to_be_visible()
        expect(static.first).to_contain_text("enfermeira")
        watch.requests = [url for url in watch.requests if url not in allowed]


def to_html(notebook: Path, folder: Path) -> Path:
    command = [sys.executable, "-m", "nbconvert", "--to", "html", "--output-dir", str(folder)]
    subprocess.run([*command, str(notebook)], check=True, capture_output=True)
    return folder / f"{notebook.stem}.html"


@pytest.mark.parametrize("quickstart", ["ipykernel7"], indirect=True)
def test_a_report_opened_as_a_file_can_be_hovered_and_pinned(
    quickstart: NotebookPage, browser: Browser, tmp_path: Path
) -> None:
    report = tmp_path / "report.html"
    quickstart.run_code(f"_ = translation.to_html({str(report)!r})")
    context = browser.new_context(offline=True)
    watch = Watch(context)
    page = context.new_page()
    page.goto(report.as_uri())
    figure = Figure(page.locator(".inseq-widget-live"))
    figure.wait_until_drawn()
    figure.step(2).hover()
    expect(figure.tooltip).to_have_attribute("data-open", "true")
    figure.click_cell(1, 3)
    figure.expect_pinned(inputs=[1], steps=[3])
    expect(figure.alternatives).to_contain_text("no kernel")
    figure.matrix.press("Escape")
    figure.expect_pinned()
    context.close()
    watch.check()


@pytest.mark.parametrize("quickstart", ["ipykernel7"], indirect=True)
def test_a_report_without_scripts_still_shows_its_heatmap(
    quickstart: NotebookPage, browser: Browser, tmp_path: Path
) -> None:
    report = tmp_path / "report.html"
    quickstart.run_code(f"_ = translation.to_html({str(report)!r})")
    context = browser.new_context(offline=True, java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    expect(page.locator("main figure").first).to_be_visible()
    expect(page.locator("main")).to_contain_text("enfermeira", use_inner_text=True)
    context.close()
