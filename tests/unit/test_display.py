"""A result is displayed twice over in a notebook, and as a table in a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from nbclient import NotebookClient
from nbconvert import HTMLExporter

from inseq_widget.render import static_html, top_attributions_text
from inseq_widget.results import FeatureAttributionOutput
from inseq_widget.widget.display import STYLE
from tests.unit.outputs import causal

ROOT = Path(__file__).resolve().parents[2]
VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    shell = InteractiveShell.instance()
    yield shell
    InteractiveShell.clear_instance()


@pytest.fixture
def kernel_shell(shell: InteractiveShell) -> InteractiveShell:
    """Make a shell that belongs to a kernel, as a notebook's does."""
    shell.kernel = object()
    return shell


def displayed(shell: InteractiveShell, value: object) -> list[dict[str, object]]:
    """Display a value in a cell, and collect the data of its outputs."""
    shell.user_ns["value"] = value
    with capture_output() as captured:
        shell.run_cell("display(value)")
    assert captured.stdout == ""
    return [dict(output.data) for output in captured.outputs]


def test_a_notebook_gets_the_picture_first_and_the_widget_second(kernel_shell) -> None:
    output = causal()
    picture, live = displayed(kernel_shell, output)
    assert picture == {
        "text/html": STYLE + static_html(output),
        "text/plain": top_attributions_text(output),
    }
    assert set(live) == {VIEW, "text/plain"}
    assert live[VIEW]["version_major"] == 2
    assert "\n" not in live["text/plain"]


def test_a_widget_is_displayed_in_the_same_way(kernel_shell) -> None:
    widget = causal().widget()
    _picture, live = displayed(kernel_shell, widget)
    assert live[VIEW]["model_id"] == widget.model_id


def test_a_sequence_is_displayed_too(kernel_shell) -> None:
    assert [VIEW in data for data in displayed(kernel_shell, causal()[0])] == [False, True]


def test_a_closed_widget_leaves_the_picture(kernel_shell) -> None:
    widget = causal().widget()
    widget.close()
    (picture,) = displayed(kernel_shell, widget)
    assert "text/html" in picture


def shown(shell: InteractiveShell, call: str, output: FeatureAttributionOutput) -> list[dict]:
    """Run a call in a cell, and collect the data of its outputs; nothing may be printed."""
    shell.user_ns["output"] = output
    with capture_output() as captured:
        shell.run_cell(f"result = output.{call}").raise_error()
    assert captured.stdout == ""
    return [dict(each.data) for each in captured.outputs]


def test_show_in_a_notebook_is_what_the_display_hook_shows(kernel_shell) -> None:
    output = causal()
    picture, live = shown(kernel_shell, "show()", output)
    assert picture == displayed(kernel_shell, output)[0]
    assert VIEW in live
    assert kernel_shell.user_ns["result"] is None


@pytest.mark.parametrize(
    "call",
    [
        "show(max_val=0.2)",
        "show(min_val=0.1)",
        "show(max_show_size=2)",
        "show(do_aggregation=False)",
        "show_granular()",
        "show_tokens()",
    ],
)
def test_a_limited_picture_is_static_in_a_notebook(kernel_shell, call: str) -> None:
    output = causal()
    (picture,) = shown(kernel_shell, call, output)
    assert set(picture) == {"text/html", "text/plain"}
    assert 'class="inseq-static"' in picture["text/html"]
    assert "saliency of probability" in picture["text/plain"]
    assert "\x1b" not in picture["text/plain"]


def test_an_aggregated_picture_is_live_in_a_notebook(kernel_shell) -> None:
    call = "show(aggregator=['scores', 'spans'], target_spans=[(1, 3)])"
    picture, live = shown(kernel_shell, call, causal(("The", " nur", "se"), (" said", " so")))
    assert "The<br>nurse<br>said" in picture["text/html"]
    assert VIEW in live


@pytest.mark.parametrize("call", ["show", "show_granular", "show_tokens"])
def test_what_is_not_displayed_is_only_returned_in_a_notebook(kernel_shell, call: str) -> None:
    output = causal()
    assert shown(kernel_shell, f"{call}(display=False)", output) == []
    assert shown(kernel_shell, f"{call}(display=False, return_html=True)", output) == []
    assert 'class="inseq-static"' in kernel_shell.user_ns["result"]
    assert shown(kernel_shell, f"{call}(display=False, return_figure=True)", output) == []
    assert type(kernel_shell.user_ns["result"]).__name__ == "Figure"


def test_a_terminal_gets_the_table_alone(shell, capsys) -> None:
    output = causal()
    for value in (output, output.widget()):
        shell.user_ns["value"] = value
        shell.run_cell("display(value)")
        assert capsys.readouterr().out.strip() == top_attributions_text(output)


def test_a_result_without_texts_says_so(kernel_shell, capsys) -> None:
    kernel_shell.user_ns["value"] = causal()[0:0]
    kernel_shell.run_cell("display(value)")
    assert "No text was attributed." in capsys.readouterr().out


def test_the_style_sheet_names_only_what_is_ours_or_a_neighbour_of_it() -> None:
    rule = STYLE.removeprefix("<style>").removesuffix("</style>")
    selectors, declarations = rule.split("{")
    assert declarations == "display:none}"
    # Every selector begins at an output that holds our picture, or right after such a one.
    for selector in selectors.split(","):
        assert selector.startswith(".jp-OutputArea-child:has(.inseq-static)")


@pytest.fixture(scope="module")
def executed() -> nbformat.NotebookNode:
    """Run a notebook that ends with a result, without any page attached."""
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell("from tests.unit.outputs import causal\ncausal()"),
            nbformat.v4.new_code_cell("w = causal().widget(); w.selection = {'steps': [1]}\nw"),
        ]
    )
    resources = {"metadata": {"path": str(ROOT)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    return notebook


def test_a_saved_notebook_keeps_the_picture_and_the_table(executed) -> None:
    nbformat.validate(executed)
    for cell in executed.cells:
        picture, live = cell.outputs
        assert (picture.output_type, live.output_type) == ("display_data", "display_data")
        assert 'class="inseq-static"' in picture.data["text/html"]
        assert "data:image/png;base64," in picture.data["text/html"]
        assert picture.data["text/plain"] == top_attributions_text(causal())
        assert set(live.data) == {VIEW, "text/plain"}


def test_an_export_without_widgets_shows_the_picture(executed) -> None:
    executed.metadata.pop("widgets", None)
    page, _ = HTMLExporter().from_notebook_node(executed)
    assert page.count('class="inseq-static"') == 2
    # The view's model is not in the page, so its output is the one line of text beside it.
    assert page.count("AttributionWidget: saliency of probability") == 2
