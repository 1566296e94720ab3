"""A real JupyterLab server of the tests' own: temporary folders, a free port, two kernels."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

HERE = Path(__file__).resolve().parent
IPYKERNEL6 = Path(sys.prefix) / "ipykernel6"
KERNELS = ("ipykernel6", "ipykernel7")

SETTINGS = {
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
    "@jupyterlab/apputils-extension:themes": {"theme": "JupyterLab Light", "adaptive-theme": False},
    "@jupyterlab/apputils-extension:notification": {
        "checkForUpdates": False,
        "doNotDisturbMode": True,
        "fetchNews": "false",
    },
}


@dataclass(frozen=True)
class Lab:
    """A running server.

    Attributes
    ----------
    url : str
        Its address, without a slash at the end.
    folder : Path
        Where its notebooks are.
    kernel_requests : Path
        A line for every host beyond this machine that a kernel asked for.
    """

    url: str
    folder: Path
    kernel_requests: Path


@contextmanager
def running_lab(home: Path) -> Iterator[Lab]:
    """Start a server with everything that it reads and writes under ``home``.

    Raises
    ------
    RuntimeError
        When it does not start; the message holds its log.
    """
    lab = Lab("", home / "notebooks", home / "kernel-requests.log")
    for folder in ("notebooks", "config/labconfig", "runtime"):
        (home / folder).mkdir(parents=True)
    overrides = home / "config" / "labconfig" / "default_setting_overrides.json"
    overrides.write_text(json.dumps(SETTINGS))
    for kernel in KERNELS:
        _write_kernel(home / "share" / "kernels" / kernel, kernel, lab.kernel_requests)
    environment = {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTER_PATH": str(home / "share"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "IPYTHONDIR": str(home / "ipython"),
    }
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
        *("--ip=127.0.0.1", "--port=0", f"--ServerApp.root_dir={lab.folder}"),
        *("--IdentityProvider.token=", "--PasswordIdentityProvider.hashed_password="),
        *("--ServerApp.disable_check_xsrf=True", "--LabApp.expose_app_in_browser=True"),
    ]
    log = home / "lab.log"
    with log.open("w") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        yield Lab(_address(process, home / "runtime", log), lab.folder, lab.kernel_requests)
    finally:
        process.terminate()  # the server shuts its kernels down
        process.wait(timeout=30)


def _write_kernel(folder: Path, kernel: str, requests: Path) -> None:
    path = [str(HERE / "offline")]
    if kernel == "ipykernel6":
        if not IPYKERNEL6.is_dir():
            raise RuntimeError(f"{IPYKERNEL6} is not there: run `make test`, which installs it.")
        path.append(str(IPYKERNEL6))
    specification = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": kernel,
        "language": "python",
        "env": {
            "PYTHONPATH": os.pathsep.join(path),
            "KERNEL_REQUESTS": str(requests),
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        },
    }
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps(specification))


def _address(process: subprocess.Popen[bytes], runtime: Path, log: Path) -> str:
    """Wait until the server has written its address and answers at it."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        for file in runtime.glob("jpserver-*.json"):
            try:
                url = json.loads(file.read_text())["url"].rstrip("/")
                with urlopen(f"{url}/api/status", timeout=5):
                    return str(url)
            except (URLError, ValueError):
                pass
        time.sleep(0.05)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()}")
