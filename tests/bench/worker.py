"""A process that keeps one model loaded and does one job on request, by lines of JSON.

Standard output is the conversation: one line when the model is loaded, then one answer to each
request. Whatever a library prints goes to standard error instead.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from typing import Protocol, TypeVar

import memory
import numpy as np
import torch
from messages import Job, Loaded, Run
from texts import written
from transformers import PreTrainedTokenizerBase

Result = TypeVar("Result")

# At import, before any library that is measured can print.
_answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
os.dup2(sys.stderr.fileno(), sys.stdout.fileno())


class Subject(Protocol[Result]):
    """A library with a model loaded for one job: what all sides have in common."""

    packages: tuple[str, ...]

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer that the library uses."""

    @property
    def weights(self) -> torch.nn.Module:
        """The model itself."""

    def attribute(self, given: str, forced: str) -> Result:
        """Attribute the forced text to the input, without a progress bar: the timed job."""

    def scores(self, result: Result) -> dict[str, np.ndarray]:
        """Return ``"scores"``, `[input, step, ...]`, to be compared with the other side's.

        The own side adds ``"shown"``, `[input, step]`: what a user sees by default.
        """

    def points(self, result: Result) -> tuple[list[int], list[float]]:
        """Return ``points`` and ``off`` of :class:`messages.Run`."""


def reduced(scores: np.ndarray, features: str | None) -> np.ndarray:
    """Reduce the last dimension of vector-valued scores as a job says."""
    if features == "norm":
        return np.asarray(np.linalg.norm(scores, axis=-1))
    return np.asarray(scores.sum(-1)) if features == "sum" else scores


def serve(load: Callable[[Job], Subject[Result]]) -> None:
    """Load a subject for the job on the command line and answer requests until the pipe closes.

    Parameters
    ----------
    load : callable
        Gets the job and returns the subject with its model loaded.
    """
    job = Job.from_json(sys.argv[1])
    torch.set_num_threads(job.threads)
    subject = load(job)
    dtype = _read_weights(subject.weights)
    given, forced, input_ids, target_ids = _texts(subject, job)
    gc.collect()
    loaded = Loaded(
        input_ids=input_ids,
        target_ids=target_ids,
        dtype=dtype,
        threads=torch.get_num_threads(),
        versions={name: version(name) for name in (*subject.packages, "torch", "transformers")},
        peak=memory.peak(job.device),
        held=memory.resident(job.device),
    )
    memory.forget_peak(job.device)
    print(json.dumps(asdict(loaded)), file=_answers)
    for line in sys.stdin:
        run = _run(subject, job, given, forced, json.loads(line))
        print(json.dumps(asdict(run)), file=_answers)


def _read_weights(model: torch.nn.Module) -> str:
    """Read every weight, so that none is paged in by the timed job; return their dtype."""
    parameters = list(model.parameters())
    for parameter in parameters:
        parameter.detach().sum()
    return str(parameters[0].dtype)


def _texts(subject: Subject[Result], job: Job) -> tuple[str, str, list[int], list[int]]:
    """Return input and forced text with their ids."""
    tokenizer = subject.tokenizer

    def encode(text: str) -> list[int]:
        return list(tokenizer(text)["input_ids"])

    def decode(ids: list[int]) -> str:
        return str(tokenizer.decode(ids))

    given, forced = written(job.text, encode, decode)
    input_ids, all_ids = encode(given), encode(forced)
    if job.text.kind == "translation":
        return given, forced, input_ids, all_ids
    if all_ids[: len(input_ids)] != input_ids:
        raise ValueError("text: the tokenizer joins the prompt's end with the target's beginning")
    return given, forced, input_ids, all_ids[len(input_ids) :]


def _run(
    subject: Subject[Result], job: Job, given: str, forced: str, scores_file: str | None
) -> Run:
    gc.collect()
    _finish(job.device)
    started = time.perf_counter()
    result = subject.attribute(given, forced)
    _finish(job.device)
    seconds = time.perf_counter() - started
    peak = memory.peak(job.device)
    points, off = subject.points(result)
    if scores_file is not None:
        np.savez(scores_file, **subject.scores(result))  # type: ignore[arg-type]
    return Run(seconds, peak, points, off)


def _finish(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()
