"""A process that keeps one model loaded and runs one method on request, by lines of JSON.

Standard output is the conversation: one line when the model is loaded, then one answer to each
request. Whatever a library prints goes to standard error instead.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Protocol, TypeVar

import memory
import numpy as np
import torch
from cases import CONTINUATION, PROMPT, Case, case_named
from messages import Loaded, Memory, Run

Result = TypeVar("Result")

# At import, before any library that is measured can print.
_answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
os.dup2(sys.stderr.fileno(), sys.stdout.fileno())


class Subject(Protocol[Result]):
    """A library with a model loaded for one method: what the two sides have in common."""

    packages: tuple[str, ...]

    def token_ids(self, text: str) -> list[int]:
        """Return the ids that the model gets for a text."""

    def touch_weights(self) -> str:
        """Read every weight, so that none is paged in by the timed job; return their dtype."""

    def attribute(self, prompt: str, text: str) -> Result:
        """Attribute the forced text after the prompt, without a progress bar: the timed job."""

    def scores(self, result: Result) -> np.ndarray:
        """Return the scores of a result, `[input, step, ...]`."""


def all_weights_read(model: torch.nn.Module) -> str:
    """Read every weight of a model, so that none is paged in later; return their dtype."""
    parameters = list(model.parameters())
    for parameter in parameters:
        parameter.detach().sum()
    return str(parameters[0].dtype)


def serve(load: Callable[[Case, Path], Subject[Result]]) -> None:
    """Load a subject as the command line says and answer requests until the pipe closes.

    Parameters
    ----------
    load : callable
        Gets the case and the model's folder, and returns the subject with its model loaded.
    """
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--method", required=True)
    arguments.add_argument("--model", required=True, type=Path)
    arguments.add_argument("--threads", required=True, type=int)
    given = arguments.parse_args()

    torch.set_num_threads(given.threads)
    subject = load(case_named(given.method), given.model)
    dtype = subject.touch_weights()
    prompt_ids = subject.token_ids(PROMPT)
    all_ids = subject.token_ids(PROMPT + CONTINUATION)
    if all_ids[: len(prompt_ids)] != prompt_ids:
        raise ValueError("PROMPT: the tokenizer joins its end with CONTINUATION into other tokens")
    loaded = Loaded(
        prompt_ids=prompt_ids,
        target_ids=all_ids[len(prompt_ids) :],
        dtype=dtype,
        threads=torch.get_num_threads(),
        versions={name: version(name) for name in (*subject.packages, "torch", "transformers")},
    )
    gc.collect()
    loading_peak = memory.peak()
    held = memory.resident()
    memory.forget_peak()
    print(json.dumps(asdict(loaded)), file=_answers)

    for line in sys.stdin:
        request = json.loads(line)
        if request["command"] == "memory":
            running = memory.peak()
            peak = max(loading_peak, running)
            answer: Run | Memory = Memory(peak=peak, loaded=held, running=running)
        else:
            answer = _run(subject, request["scores"])
        print(json.dumps(asdict(answer)), file=_answers)


def _run(subject: Subject[Result], scores_file: str | None) -> Run:
    gc.collect()
    started = time.perf_counter()
    result = subject.attribute(PROMPT, PROMPT + CONTINUATION)
    seconds = time.perf_counter() - started
    if scores_file is not None:
        np.save(scores_file, subject.scores(result))
    return Run(seconds)
