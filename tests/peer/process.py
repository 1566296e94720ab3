"""The end of the worker on this side: start it in the peer's environment, ask it, end it."""

from __future__ import annotations

import os
import pickle
import subprocess
from pathlib import Path
from types import TracebackType
from typing import overload

from tests.peer.environment import peer_python
from tests.peer.job import Done, Job
from tests.peer.script import Ran, Script

ROOT = Path(__file__).resolve().parents[2]


class Peer:
    """Inseq in a process of its own; a context manager that ends it.

    Parameters
    ----------
    scratch : Path
        Folder for its caches and for what its libraries print.
    """

    def __init__(self, scratch: Path) -> None:
        self._log = scratch / "inseq.log"
        self._errors = self._log.open("w")
        variables = {
            **os.environ,
            "HF_HUB_OFFLINE": "1",
            "TOKENIZERS_PARALLELISM": "false",
            # Inseq keeps tables of a vocabulary there, by the model's name.
            "INSEQ_HOME": str(scratch),
        }
        variables.pop("PYTHONPATH", None)
        self._process = subprocess.Popen(
            [peer_python(), "-m", "tests.peer.worker"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=variables,
        )

    def __enter__(self) -> Peer:
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

    @overload
    def ask(self, what: Job) -> Done: ...
    @overload
    def ask(self, what: Script) -> Ran: ...
    def ask(self, what: Job | Script) -> Done | Ran:
        """Let Inseq do something.

        Raises
        ------
        RuntimeError
            When the process ends instead, with the end of what it printed.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            pickle.dump(what, self._process.stdin)
            self._process.stdin.flush()
            answer: Done | Ran = pickle.load(self._process.stdout)
        except (BrokenPipeError, EOFError):
            log = self._log.read_text().splitlines()
            raise RuntimeError("Inseq's process ended:\n" + "\n".join(log[-25:])) from None
        return answer
