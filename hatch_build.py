"""Build hook: no wheel and no sdist without the front end's bundle, built where that is needed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

STATIC = Path("inseq_widget", "widget", "static")
BUNDLES = (STATIC / "widget.js", STATIC / "standalone.js")


class BundleHook(BuildHookInterface):  # type: ignore[type-arg]
    """Builds the bundle from a clone; in an sdist it is there already and Node is not needed."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make sure that the bundle is there.

        Parameters
        ----------
        version : str
            Which build of the target: ``"standard"`` or ``"editable"``.
        build_data : dict
            What the hook could change of the build.

        Raises
        ------
        RuntimeError
            When there is no bundle, with what to do about it.
        """
        root = Path(self.root)
        # Unpacking an sdist may leave any times on its files, so only a clone compares them.
        from_sdist = (root / "PKG-INFO").is_file()
        if not from_sdist and _out_of_date(root):
            self.app.display_info("building the front end")
            _build(root)
        absent = [str(bundle) for bundle in BUNDLES if not (root / bundle).is_file()]
        if absent:
            advice = (
                "this source package is incomplete; take another"
                if from_sdist
                else "`npm run build` did not write it"
            )
            raise RuntimeError(f"the front end's bundle is absent ({', '.join(absent)}): {advice}.")


def _out_of_date(root: Path) -> bool:
    bundles = [root / bundle for bundle in BUNDLES]
    if not all(bundle.is_file() for bundle in bundles):
        return True
    built = min(bundle.stat().st_mtime for bundle in bundles)
    return any(source.stat().st_mtime > built for source in _sources(root))


def _sources(root: Path) -> Iterator[Path]:
    yield root / "package.json"
    yield root / "package-lock.json"
    for folder in ("src", "scripts"):
        yield from (path for path in (root / "js" / folder).rglob("*") if path.is_file())


def _build(root: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeError(
            "the front end's bundle has to be built and npm is not found: install Node 20 or "
            "newer, or install a released wheel, which needs no Node."
        )
    lock, installed = root / "package-lock.json", root / "node_modules" / ".package-lock.json"
    if not installed.is_file() or installed.stat().st_mtime < lock.stat().st_mtime:
        subprocess.run([npm, "ci", "--no-audit", "--no-fund"], cwd=root, check=True)
    subprocess.run([npm, "run", "build"], cwd=root, check=True)
