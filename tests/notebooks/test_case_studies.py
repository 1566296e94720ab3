"""The case studies run from top to bottom, and their numbers say what their prose says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


def run(name: str, asked: Mapping[str, str], folder: Path) -> dict[str, Any]:
    """Run a notebook, then evaluate expressions in its kernel."""
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    pairs = ", ".join(f"{key!r}: {expression}" for key, expression in asked.items())
    notebook.cells.append(nbformat.v4.new_code_cell(f"import json\nprint(json.dumps({{{pairs}}}))"))
    client = NotebookClient(notebook, timeout=280, resources={"metadata": {"path": str(folder)}})
    client.execute()
    (answer,) = notebook.cells[-1].outputs
    pictures = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    said = [
        output.text
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == "stream" and output.name == "stderr"
    ]
    return {**json.loads(answer.text), "pictures": len(pictures), "said": "".join(said)}


@pytest.mark.parametrize("name", ["gender_bias.ipynb", "factual_knowledge.ipynb"])
def test_a_notebook_is_committed_without_outputs(name: str) -> None:
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert all(not cell.outputs and cell.execution_count is None for cell in code)


def test_what_the_translator_makes_of_the_pronoun(tmp_path: Path) -> None:
    found = run(
        "gender_bias.ipynb",
        {
            "agreement": "agreement.to_dict()",
            "torn": "int(torn.sum())",
            "effects": "lean['effect'].tolist()",
            "nurse": "nurse_and_doctor[0].scores.isel(step=0).to_series().to_dict()",
            "doctor": "nurse_and_doctor[1].scores.isel(step=0).to_series().to_dict()",
            "doctor_leans": "lean.loc['doctor', 'she']",
            "ranks": "claimed.corrwith(lean['effect'], method='spearman').to_dict()",
            "ending": "str(column.coords['step'].values)",
        },
        tmp_path,
    )
    adjectives, articles = found["agreement"]["feminine adjective"], found["agreement"]
    assert adjectives["she"] == found["agreement"]["sentences"]["she"]
    assert adjectives["he"] == 0
    assert articles["feminine article"]["she"] < found["agreement"]["sentences"]["she"] / 2
    assert found["torn"] > found["agreement"]["sentences"]["she"] / 2
    assert min(found["effects"]) > 0
    nurse, doctor = found["nurse"], found["doctor"]
    assert max(nurse, key=lambda token: abs(nurse[token])) == "nurse"
    assert nurse["nurse"] > 0 > doctor["doctor"]
    assert doctor["she"] > 0 > found["doctor_leans"]
    ranks = found["ranks"]
    assert ranks["occlusion"] == max(ranks.values())
    assert min(ranks["integrated_gradients"], ranks["lime"]) > 0.85
    assert 0.4 < ranks["input_x_gradient"] < 0.8
    assert abs(ranks["attention"]) < 0.3
    assert found["ending"] == "ada"
    assert found["pictures"] == 2
    assert found["said"] == ""


def test_where_a_fact_changes_its_place(tmp_path: Path) -> None:
    subject, last = "measured['subject, last token']", "measured['last token']"
    found = run(
        "factual_knowledge.ipynb",
        {
            "facts": "len(facts)",
            "handover": "handover",
            "before": "profile.loc[str(handover - 1)].to_dict()",
            "after": "profile.loc[str(handover)].to_dict()",
            "subject_drops": f"int({subject}.diff().idxmin())",
            "last_rises": f"int({last}.diff().idxmax())",
            "subject_after": f"float({subject}[handover])",
            "last_before": f"float({last}[:20].abs().max())",
            "eiffel": "eiffel.isel(layer=10).to_series().to_dict()",
        },
        tmp_path,
    )
    assert found["facts"] >= 10
    assert found["handover"] == found["subject_drops"] == found["last_rises"]
    assert found["after"]["subject, last token"] < found["before"]["subject, last token"] / 3
    assert found["after"]["last token"] > found["before"]["last token"] * 1.5
    assert abs(found["subject_after"]) < 0.05
    assert found["last_before"] < 0.05
    assert found["eiffel"]["iffel"] > found["eiffel"]["is"]
    assert found["pictures"] == 3
    assert found["said"] == ""
