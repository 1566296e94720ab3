"""Who pastes the examples of a page one after the other has every name that they use."""

from __future__ import annotations

import ast
import builtins
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def unknown_names(code: str) -> set[str]:
    known, used = set(dir(builtins)), set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else known).add(node.id)
        elif isinstance(node, ast.arg):
            known.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            known.add(node.name)
        elif isinstance(node, ast.alias):
            known.add((node.asname or node.name).split(".")[0])
    return used - known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_name_of_an_example_comes_from_an_example_before(page: Path) -> None:
    earlier = ""
    for example in re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
        earlier += example + "\n"
        assert unknown_names(earlier) == set()
