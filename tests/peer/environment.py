"""The peer's Python: a small virtual environment that adds Inseq to the packages of this one."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ENVIRONMENT = HERE / ".venv"
REQUIREMENTS = HERE / "requirements.txt"


def peer_python() -> Path:
    """Return the interpreter of the peer's environment, which is made where it is missing.

    It has Inseq and what Inseq alone needs; torch, transformers and the rest are found in the
    environment that runs this, through a path file. A stamp is written last, so an interrupted
    installation, changed pins or another Python start over.

    Raises
    ------
    RuntimeError
        If the installation fails, with pip's message.
    """
    python = ENVIRONMENT / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    stamp = ENVIRONMENT / "made-of"
    wanted = _made_of()
    if stamp.is_file() and stamp.read_text() == wanted:
        return python
    print(f"Making the peer's environment in {ENVIRONMENT}", file=sys.stderr, flush=True)
    venv.create(ENVIRONMENT, clear=True, with_pip=False, symlinks=sys.platform != "win32")
    found = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    packages = Path(found.stdout.strip())
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--target", packages]
    finished = subprocess.run(
        [*install, "--requirement", REQUIREMENTS],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if finished.returncode != 0:
        raise RuntimeError(
            f"Inseq, which numbers are compared with, could not be installed into {ENVIRONMENT}; "
            f"pip says:\n{finished.stdout}"
        )
    (packages / "shared.pth").write_text("\n".join(_shared()) + "\n")
    stamp.write_text(wanted)
    return python


def _made_of() -> str:
    pins = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    return "\n".join([pins, sys.version, *_shared()])


def _shared() -> list[str]:
    """Return the folders of this environment's packages; some systems have two."""
    return sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})


if __name__ == "__main__":
    peer_python()
