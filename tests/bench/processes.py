"""The driver's end of a worker: start it, ask it, end it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from types import TracebackType

from messages import Job, Loaded, Run

HERE = Path(__file__).resolve().parent
LOGS = HERE / ".logs"


class WorkerError(RuntimeError):
    """A worker ended before it answered; the message holds the end of its log."""

    def __init__(self, log: Path) -> None:
        lines = [line for line in log.read_text().splitlines() if line.strip()]
        self.reason = lines[-1].strip() if lines else "no message"
        super().__init__(f"{log.stem} ended (log: {log}):\n" + "\n".join(lines[-25:]))


def quiet_environment(threads: int, *, with_checkout: bool) -> dict[str, str]:
    """Return environment variables for a measured process.

    Parameters
    ----------
    threads : int
        For every thread pool that reads a variable.
    with_checkout : bool
        Put this checkout first on the import path, so that it is measured rather than an installed
        release; Inseq's environment gets no import path at all.
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
    side : str
        Which worker: it runs ``worker_{side}.py``.
    case : str
        Name of the case, for the log.
    job : Job
    """

    def __init__(self, python: Path, side: str, case: str, job: Job) -> None:
        LOGS.mkdir(exist_ok=True)
        self._log = LOGS / f"{case}-{side}-{job.dtype}.log"
        self._errors = self._log.open("w")
        self._process = subprocess.Popen(
            [python, HERE / f"worker_{side}.py", job.as_json()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=quiet_environment(job.threads, with_checkout=not side.startswith("inseq")),
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
        WorkerError
            If the worker ends instead, as in `run`.
        """
        return Loaded(**json.loads(self._next_line()))

    def run(self, scores: Path | None = None) -> Run:
        """Let the worker do the job once, and save its scores if told where."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(scores and str(scores)) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise WorkerError(self._log) from None
        return Run(**json.loads(self._next_line()))

    def _next_line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise WorkerError(self._log)
        return line
