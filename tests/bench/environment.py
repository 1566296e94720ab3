"""The peer's Python: a virtual environment of its own, made on the first run."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ENVIRONMENT = HERE / ".venv-inseq"
REQUIREMENTS = HERE / "requirements-inseq.txt"


def peer_python() -> Path:
    """Return the interpreter of the peer's environment, installing what it lacks first.

    A stamp with the digest of the requirements is written last, so an interrupted installation or
    changed pins start over. pip's own output shows the progress, on standard error.

    Raises
    ------
    RuntimeError
        If the installation fails; pip's message is above it.
    """
    folder = "Scripts" if sys.platform == "win32" else "bin"
    python = ENVIRONMENT / folder / "python"
    stamp = ENVIRONMENT / "requirements.sha256"
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text().strip() == digest:
        return python
    print(f"Making the peer's environment in {ENVIRONMENT} (a few minutes, once)", file=sys.stderr)
    symlinks = sys.platform != "win32"
    venv.create(ENVIRONMENT, clear=True, with_pip=True, symlinks=symlinks)
    install = [str(python), "-m", "pip", "install", "--requirement", str(REQUIREMENTS)]
    finished = subprocess.run(install, stdout=sys.stderr, check=False)
    if finished.returncode != 0:
        raise RuntimeError(
            f"could not install {REQUIREMENTS.name} for Python {sys.version.split()[0]}; "
            "the pinned transformers needs Python 3.11 or newer"
        )
    stamp.write_text(digest + "\n")
    return python
