"""Runs the workers of a case in turns and collects what they answer."""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cases import AnyCase, Case, Drawing, Growth, Numbers
from comparison import (
    Compared,
    Failed,
    Grown,
    Held,
    Measured,
    Painted,
    Timed,
    largest_difference,
    rank_correlation,
)
from drawing import measure_drawing
from messages import Job, Loaded
from processes import WorkerError, WorkerProcess, quiet_environment
from texts import Text

HALF = "bfloat16"


def say(text: str) -> None:
    """Report progress."""
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Bench:
    """What all cases share.

    Attributes
    ----------
    inseq : Path
        Interpreter of Inseq's environment.
    language_model, translation_model : Path
        Folders of the two models.
    threads : int
    device, dtype : str
    quick : bool
        One round for every case.
    """

    inseq: Path
    language_model: Path
    translation_model: Path
    threads: int
    device: str
    dtype: str
    quick: bool

    def model(self, text: Text) -> Path:
        """Return the folder of the model that a text is for."""
        return self.translation_model if text.kind == "translation" else self.language_model

    def rounds(self, case: Case | Growth) -> int:
        """Return how many rounds to time."""
        return 1 if self.quick else case.rounds

    def worker(self, side: str, case: AnyCase, job: Job) -> WorkerProcess:
        """Start a worker."""
        python = self.inseq if side.startswith("inseq") else Path(sys.executable)
        return WorkerProcess(python, side, case.name, job)

    def own_job(self, case: AnyCase, text: Text, dtype: str) -> Job:
        """Return what the own side has to do."""
        numbers = case.numbers if isinstance(case, Case) else Numbers()
        return Job(
            model=str(self.model(text)),
            method=case.method,
            keywords=dict(case.own) if isinstance(case, Case) else {},
            attributed_fn=case.attributed_fn if isinstance(case, Case) else "probability",
            text=text,
            features=numbers.features,
            layer=numbers.layer,
            device=self.device,
            dtype=dtype,
            threads=self.threads,
        )

    def peer_job(self, case: Case) -> Job:
        """Return what a peer has to do."""
        own = self.own_job(case, case.text, self.dtype)
        return Job(**{**vars(own), "keywords": dict(case.peer), "layer": None})


def measure(case: AnyCase, bench: Bench) -> Measured:
    """Measure a case; one that cannot be measured says why."""
    try:
        if isinstance(case, Case):
            return _compare(case, bench)
        if isinstance(case, Growth):
            timed = [_alone(case, text, bench, bench.rounds(case)) for text in case.texts]
            return Grown(case, timed)
        if isinstance(case, Drawing):
            say(f"{case.name}: {case.inputs} inputs, {case.steps} steps, in Chromium")
            environment = quiet_environment(bench.threads, with_checkout=True)
            rounds = 1 if bench.quick else case.rounds
            return Painted(case, measure_drawing(case.inputs, case.steps, rounds, environment))
        return Held(case, _alone(case, case.text, bench, 0))
    except (RuntimeError, ValueError) as error:
        say(f"{case.name}: {error}")
        reason = error.reason if isinstance(error, WorkerError) else str(error)
        return Failed(case, reason)


def _alone(case: AnyCase, text: Text, bench: Bench, rounds: int) -> Timed:
    """Run the own side alone."""
    say(f"{case.name}: {text.inputs} + {text.targets} tokens")
    with bench.worker("widget", case, bench.own_job(case, text, bench.dtype)) as worker:
        loaded = worker.loaded()
        _check_counts(loaded, text)
        timed = Timed(loaded, worker.run())
        timed.seconds += [worker.run().seconds for _ in range(rounds)]
    return timed


def _compare(case: Case, bench: Bench) -> Compared:
    """Measure one case in fresh processes that work in turns.

    The first run of each shows the memory that one call needs, gives the scores, and warms up for
    the timed rounds.
    """
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        against, peer_worker, peer, failed = _first_that_works(case, bench, stack, scratch)
        sides = {"own": bench.own_job(case, case.text, bench.dtype)}
        if case.half and bench.dtype != HALF:
            sides["half"] = bench.own_job(case, case.text, HALF)
        workers, timed = {"peer": peer_worker}, {"peer": peer}
        for side, job in sides.items():
            say(f"{case.name}: inseq_widget's first run, in {job.dtype}")
            worker = stack.enter_context(bench.worker("widget", case, job))
            loaded = worker.loaded()
            if side == "own":
                _check_same_job(peer.loaded, loaded, against)
                _check_counts(loaded, case.text)
            workers[side] = worker
            timed[side] = Timed(loaded, worker.run(scratch / f"{side}.npz"))
        for turn in range(bench.rounds(case)):
            for side, worker in workers.items():
                timed[side].seconds.append(worker.run().seconds)
            took = ", ".join(f"{side} {each.seconds[-1]:.3f} s" for side, each in timed.items())
            say(f"{case.name}: round {turn + 1} of {bench.rounds(case)}: {took}")
        scores = {side: dict(np.load(scratch / f"{side}.npz")) for side in workers}
    difference = rank = None
    if case.numbers.same:
        difference = largest_difference(
            scores["own"]["scores"], scores["peer"]["scores"], case.numbers
        )
    if "half" in scores:
        rank = rank_correlation(scores["half"]["shown"], scores["own"]["shown"])
    return Compared(case, against, failed, peer, timed["own"], timed.get("half"), difference, rank)


def _first_that_works(
    case: Case, bench: Bench, stack: ExitStack, scratch: Path
) -> tuple[str, WorkerProcess, Timed, dict[str, str]]:
    """Try the peers in turn; return the first that does the job, and what the others said."""
    failed: dict[str, str] = {}
    for side in case.peers:
        say(f"{case.name}: first run of {side}")
        worker = stack.enter_context(bench.worker(side, case, bench.peer_job(case)))
        try:
            return side, worker, Timed(worker.loaded(), worker.run(scratch / "peer.npz")), failed
        except WorkerError as error:
            if side == case.peers[-1]:
                raise
            say(f"{case.name}: {side} fails: {error.reason}")
            failed[side] = error.reason
    raise ValueError(f"{case.name}: it has no peer")


def _check_same_job(peer: Loaded, own: Loaded, against: str) -> None:
    """Refuse to compare sides that read other tokens, in another precision or on other threads."""
    for name in ("input_ids", "target_ids", "dtype", "threads"):
        theirs, ours = getattr(peer, name), getattr(own, name)
        if theirs != ours:
            raise ValueError(f"{name} differ: {against} has {theirs}, inseq_widget {ours}")


def _check_counts(loaded: Loaded, text: Text) -> None:
    counts = len(loaded.input_ids), len(loaded.target_ids)
    if counts != (text.inputs, text.targets):
        raise ValueError(
            f"the {text.kind} text has {counts[0]} input and {counts[1]} target tokens, where "
            f"{text.inputs} and {text.targets} are needed"
        )
