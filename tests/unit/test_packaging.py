"""The packages carry the front end's bundle, and none is built without it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
STATIC = "inseq_widget/widget/static"
BUNDLES = {f"{STATIC}/widget.js", f"{STATIC}/standalone.js"}
# The only folder of the path: this Python's own, where there is no npm.
WITHOUT_NODE = {"PATH": str(Path(sys.executable).parent)}


def clone(target: Path) -> Path:
    """Copy what a clone holds, and nothing that was built or installed in it."""
    shutil.copytree(
        ROOT,
        target,
        ignore=shutil.ignore_patterns(
            ".git", ".venv*", "node_modules", "static", "build", "dist", "bench", ".*_cache"
        ),
    )
    return target


def build(
    source: Path, target: Path, *kinds: str, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "build", "--no-isolation", *kinds, "--outdir", str(target)]
    return subprocess.run(
        [*command, str(source)],
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build an sdist from a fresh clone, and the wheel from that sdist."""
    folder = tmp_path_factory.mktemp("packages")
    source = clone(folder / "clone")
    (source / "node_modules").symlink_to(ROOT / "node_modules", target_is_directory=True)
    built = build(source, folder / "dist")
    assert built.returncode == 0, built.stdout + built.stderr
    return folder / "dist"


@pytest.fixture(scope="module")
def wheel(packages: Path) -> Path:
    return next(packages.glob("*.whl"))


@pytest.fixture
def unpacked_sdist(packages: Path, tmp_path: Path) -> Path:
    with tarfile.open(next(packages.glob("*.tar.gz"))) as archive:
        archive.extractall(tmp_path, filter="data")
    return next(tmp_path.iterdir())


def test_the_wheel_holds_the_bundle_and_the_package_alone(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert names >= BUNDLES | {"inseq_widget/py.typed", "inseq_widget/__init__.py"}
    assert any(name.endswith("licenses/LICENSE") for name in names)
    tops = {name.split("/")[0] for name in names}
    assert len(tops) == 2
    assert "inseq_widget" in tops


def test_the_sdist_holds_the_bundle_and_its_sources(unpacked_sdist: Path) -> None:
    paths = (path for path in unpacked_sdist.rglob("*") if path.is_file())
    files = {path.relative_to(unpacked_sdist).as_posix() for path in paths}
    assert files >= BUNDLES | {"package.json", "package-lock.json", "js/src/widget.ts", "LICENSE"}
    assert not any(part in name for name in files for part in ("node_modules", ".venv", ".model"))


def test_an_sdist_becomes_a_wheel_without_node(unpacked_sdist: Path, tmp_path: Path) -> None:
    built = build(unpacked_sdist, tmp_path / "dist", "--wheel", env=WITHOUT_NODE)
    assert built.returncode == 0, built.stdout + built.stderr


def test_an_sdist_that_lost_its_bundle_is_refused(unpacked_sdist: Path, tmp_path: Path) -> None:
    (unpacked_sdist / STATIC / "widget.js").unlink()
    built = build(unpacked_sdist, tmp_path / "dist", "--wheel")
    assert built.returncode != 0
    assert "bundle is absent (inseq_widget/widget/static/widget.js)" in built.stdout + built.stderr


@pytest.mark.parametrize("kind", ["--wheel", "--sdist"])
def test_a_clone_without_a_bundle_and_without_node_is_refused(kind: str, tmp_path: Path) -> None:
    built = build(clone(tmp_path / "clone"), tmp_path / "dist", kind, env=WITHOUT_NODE)
    assert built.returncode != 0
    assert "npm is not found" in built.stdout + built.stderr


def test_the_installed_wheel_finds_its_bundle(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip = (sys.executable, "-m", "pip", f"--python={python}")
    subprocess.run(
        [*pip, "install", "--no-index", "--no-deps", wheel],
        check=True,
        capture_output=True,
    )
    found = subprocess.run(
        [python, "-c", "import importlib.util as u; print(u.find_spec('inseq_widget').origin)"],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    package = Path(found.stdout.strip()).parent
    assert package.is_relative_to(environment)
    for bundle in BUNDLES:
        assert (package.parent / bundle).stat().st_size > 1000
