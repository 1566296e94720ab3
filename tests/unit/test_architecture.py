"""The rooms of the package import each other in one order only, from the top of the house down."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import inseq_widget

PACKAGE = Path(inseq_widget.__file__).parent
NAME = PACKAGE.name

# From the top down. A room may import itself and every room of a lower floor.
FLOORS = (
    {"cli"},
    {"runs", "context"},
    {"widget"},
    {"render"},
    {"explore", "faithfulness"},
    {"attribution"},
    {"explaining", "tokens_and_texts", "alternatives", "documentation"},
    {"explainer", "chosen_method", "conversions"},
    {"asked"},
    {"arguments", "contrast_arguments"},
    {"methods"},
    {"scores"},
    {"models"},
)
# Everyone may import these; they import each other and nothing else of the package.
FOUNDATIONS = {"results", "registry", "progress"}
# The one module that reaches up: a result's pictures are imported when they are asked for.
DOOR = Path("results", "display.py")


def modules() -> list[Path]:
    return sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def room_of(module: Path) -> str:
    return module.parts[0].removesuffix(".py")


def imported_rooms(source: str, module: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and the room of every import from the package, in functions too."""
    package = (NAME, *module.parent.parts)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) + 1 - node.level]) if node.level else []
            base += node.module.split(".") if node.module else []
            names = [[*base, alias.name] for alias in node.names]
        else:
            continue
        for parts in names:
            if parts[0] == NAME:
                yield node.lineno, parts[1] if len(parts) > 1 else NAME


def floor_of(room: str) -> int:
    return next((number for number, rooms in enumerate(FLOORS) if room in rooms), -1)


def may_import(module: Path, room: str) -> bool:
    own = room_of(module)
    if own == room or room in FOUNDATIONS or own == "__init__":
        return True
    if own in FOUNDATIONS or room == NAME:
        return module == DOOR
    return floor_of(own) < floor_of(room)


@pytest.mark.parametrize("module", modules(), ids=str)
def test_a_module_imports_only_from_floors_below_its_own(module: Path) -> None:
    source = (PACKAGE / module).read_text(encoding="utf-8")
    against = [
        f"line {line}: {room}"
        for line, room in imported_rooms(source, module)
        if not may_import(module, room)
    ]
    assert not against


def test_every_room_of_the_package_has_its_floor() -> None:
    known = FOUNDATIONS.union({"__init__"}, *FLOORS)
    assert {room_of(module) for module in modules()} <= known


def test_the_door_opens_only_inside_functions_and_for_types() -> None:
    tree = ast.parse((PACKAGE / DOOR).read_text(encoding="utf-8"))
    at_import_time = [
        ast.unparse(node)
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom) and NAME in ast.unparse(node)
    ]
    assert at_import_time == []


@pytest.mark.parametrize(
    ("module", "statement"),
    [
        ("models/text.py", "from inseq_widget.methods import make_method"),
        ("models/text.py", "from ..methods.base import Job"),
        ("results/output.py", "def show():\n    from inseq_widget import widget"),
        ("render/html.py", "import inseq_widget.widget.model"),
        ("scores/alignment.py", "import inseq_widget as iw"),
    ],
)
def test_an_import_against_the_order_is_found(module: str, statement: str) -> None:
    path = Path(module)
    assert [room for _, room in imported_rooms(statement, path) if not may_import(path, room)]


@pytest.mark.parametrize(
    ("module", "statement"),
    [
        ("widget/model.py", "from inseq_widget.render.html import static"),
        ("methods/gradients.py", "from .base import Job"),
        ("results/display.py", "from inseq_widget.widget import AttributionWidget"),
        ("explore/jobs.py", "from inseq_widget.attribution import AttributionModel"),
    ],
)
def test_an_import_down_the_house_is_allowed(module: str, statement: str) -> None:
    path = Path(module)
    assert all(may_import(path, room) for _, room in imported_rooms(statement, path))
