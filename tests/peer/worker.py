"""Inseq's side: a process that does jobs, one after the other, and sends back their numbers.

`python -m tests.peer.worker`, with the peer's interpreter. Jobs come on standard input and answers
go to what was standard output, both pickled; whatever a library prints goes to standard error.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import sys
import warnings

# Before any library can print.
_answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

import inseq  # noqa: E402
import torch  # noqa: E402

from tests.peer.functions import FUNCTIONS  # noqa: E402
from tests.peer.job import Done, Job, Loaded, done, loaded  # noqa: E402
from tests.peer.repair import (  # noqa: E402
    Beginning,
    keep_double_precision,
    repaired,
    same_numbers,
)
from tests.peer.script import Script, ran  # noqa: E402


class Worker:
    """Models by folder and precision, each loaded once, and again after a failure."""

    def __init__(self) -> None:
        self._beginning = Beginning()
        self._models: dict[tuple[str, str], Loaded] = {}

    def answer(self, asked: Job | Script) -> object:
        """Do what was asked, as in a process of its own."""
        self._beginning.restore()
        return ran(asked) if isinstance(asked, Script) else self._done(asked)

    def _done(self, job: Job) -> Done:
        key = job.model, job.dtype
        model = self._models.get(key) or loaded(*key)
        with contextlib.ExitStack() as stack:
            if job.repaired:
                stack.enter_context(repaired())
            if job.uniform:
                stack.enter_context(same_numbers(job.uniform))
            result = done(job, inseq, model, job.peer)
        # A method that fails may leave the model patched.
        self._models.pop(key, None)
        if not result.failed:
            self._models[key] = model
        return result


def serve() -> None:
    """Answer until the pipe closes."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    keep_double_precision()
    for name, function in FUNCTIONS.items():
        inseq.register_step_function(function, name)
    worker = Worker()
    while True:
        try:
            asked = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        pickle.dump(worker.answer(asked), _answers)
        _answers.flush()


if __name__ == "__main__":
    serve()
