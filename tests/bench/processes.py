"""The driver's end of a worker: start it, ask it, end it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from types import TracebackType

from messages import Loaded, Memory, Run

HERE = Path(__file__).resolve().parent
LOGS = HERE / ".logs"


def quiet_environment(threads: int, *, with_checkout: bool) -> dict[str, str]:
    """Return environment variables for a measured process.

    Parameters
    ----------
    threads : int
        For every thread pool that reads a variable.
    with_checkout : bool
        Put this checkout first on the import path, so that it is measured rather than an installed
        release; the peer gets no import path at all.
    """
    variables = dict(os.environ)
    variables.pop("PYTHONPATH", None)
    if with_checkout:
        variables["PYTHONPATH"] = str(HERE.parents[1])
    for pool in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        variables[pool] = str(threads)
    variables["TOKENIZERS_PARALLELISM"] = "false"
    variables["HF_HUB_OFFLINE"] = "1"
    return variables


class WorkerProcess:
    """A running worker; a context manager that ends it.

    Parameters
    ----------
    python : Path
        Interpreter of the environment that the worker belongs to.
    script : str
        File name of the worker in this folder.
    method : str
    model : Path
    threads : int
    variables : dict of str to str
        Environment variables.
    """

    def __init__(
        self,
        python: Path,
        script: str,
        method: str,
        model: Path,
        threads: int,
        variables: dict[str, str],
    ) -> None:
        LOGS.mkdir(exist_ok=True)
        self.log = LOGS / f"{Path(script).stem}-{method}.log"
        self._errors = self.log.open("w")
        options = ["--method", method, "--model", str(model), "--threads", str(threads)]
        self._process = subprocess.Popen(
            [python, HERE / script, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=variables,
            text=True,
        )

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def loaded(self) -> Loaded:
        """Wait until the worker has loaded its model; call it once, first.

        Raises
        ------
        RuntimeError
            If the worker ends instead, as in `run` and `memory`; the message holds the last lines
            of its log.
        """
        return Loaded(**json.loads(self._next_line()))

    def run(self, scores: Path | None = None) -> float:
        """Let the worker do the job once; return its seconds, and save its scores if told where."""
        request = {"command": "run", "scores": None if scores is None else str(scores)}
        return Run(**json.loads(self._ask(request))).seconds

    def memory(self) -> Memory:
        """Return the worker's memory so far."""
        return Memory(**json.loads(self._ask({"command": "memory"})))

    def _ask(self, request: dict[str, str | None]) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._next_line()

    def _next_line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            last = "\n".join(self.log.read_text().splitlines()[-25:])
            raise RuntimeError(f"{self.log.stem} ended (log: {self.log}):\n{last}")
        return line
