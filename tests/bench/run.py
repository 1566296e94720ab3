"""Compare this project with Inseq, method by method, and fail where a limit is missed.

`python tests/bench/run.py [METHOD ...]` prints one table and writes it to a report file. It exits
with 1 when a limit is missed and with 2 when it could not measure.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import bound
import numpy as np
from cases import CASES, PROMPT_TOKENS, TARGET_TOKENS, Case, case_named
from comparison import Measurement, PairedSeconds, Sides, largest_difference
from demo_model import model_folder
from environment import peer_python
from messages import Loaded
from processes import WorkerProcess, quiet_environment
from report import document, machine, rows

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Setup:
    """What all cases share."""

    peer_python: Path
    model: Path
    threads: int

    def worker(self, case: Case, *, own: bool) -> WorkerProcess:
        """Start the worker of one side for a case."""
        return WorkerProcess(
            Path(sys.executable) if own else self.peer_python,
            "worker_widget.py" if own else "worker_inseq.py",
            case.method,
            self.model,
            self.threads,
            quiet_environment(self.threads, with_checkout=own),
        )


def say(text: str) -> None:
    """Report progress."""
    print(text, file=sys.stderr, flush=True)


def check_same_job(loaded: Sides[Loaded]) -> None:
    """Refuse to compare sides that read other tokens, in another precision or on other threads.

    Raises
    ------
    RuntimeError
        If they do, or if the text does not have the number of tokens that the case is made for.
    """
    for name in ("prompt_ids", "target_ids", "dtype", "threads"):
        peer, own = getattr(loaded.peer, name), getattr(loaded.own, name)
        if peer != own:
            raise RuntimeError(f"{name} differ: Inseq has {peer}, inseq_widget {own}")
    counts = len(loaded.own.prompt_ids), len(loaded.own.target_ids)
    if counts != (PROMPT_TOKENS, TARGET_TOKENS):
        raise RuntimeError(
            f"the text of cases.py has {counts[0]} prompt tokens and {counts[1]} target tokens, "
            f"where {PROMPT_TOKENS} and {TARGET_TOKENS} are needed"
        )


def measure(case: Case, setup: Setup) -> Measurement:
    """Measure one case in two fresh processes that work in turns.

    The first run of each side shows the memory that one call needs, the second gives the scores;
    both warm it up for the timed rounds.
    """
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        say(f"{case.method}: loading the model on both sides")
        peer = stack.enter_context(setup.worker(case, own=False))
        own = stack.enter_context(setup.worker(case, own=True))
        loaded = Sides(peer.loaded(), own.loaded())
        check_same_job(loaded)
        say(f"{case.method}: first runs, for memory and scores")
        for worker in (peer, own):
            worker.run()
        memory = Sides(peer.memory(), own.memory())
        peer.run(scratch / "peer.npy")
        own.run(scratch / "own.npy")
        difference = largest_difference(
            np.load(scratch / "own.npy"),
            np.load(scratch / "peer.npy"),
            vector_valued=case.vector_valued,
        )
        seconds = PairedSeconds([], [])
        for turn in range(case.rounds):
            seconds.peer.append(peer.run())
            seconds.own.append(own.run())
            say(
                f"{case.method}: round {turn + 1} of {case.rounds}: "
                f"Inseq {seconds.peer[-1]:.3f} s, inseq_widget {seconds.own[-1]:.3f} s, "
                f"{seconds.ratios()[-1]:.2f} times"
            )
    return Measurement(case, seconds, difference, memory, loaded)


def notes(loaded: Sides[Loaded], setup: Setup, rate: float) -> list[str]:
    """Return what a reader needs to know of the run beside its table."""
    peer, own = (
        ", ".join(f"{name} {number}" for name, number in side.versions.items())
        for side in (loaded.peer, loaded.own)
    )
    return [
        f"Inseq's environment: {peer}; inseq_widget's: {own}",
        f"{setup.model.name} in {loaded.own.dtype}, {PROMPT_TOKENS} prompt tokens and "
        f"{TARGET_TOKENS} forced targets, {setup.threads} threads on both sides, run in turns",
        "times faster: median of the paired rounds, with their range",
        "memory: one call in a fresh process",
        f"lower bound: the method's multiply-adds at the {2 * rate / 1e9:.0f} GFLOP/s that matrix "
        "products reached",
    ]


def main() -> int:
    """Run the benchmark as the command line says; return the exit status."""
    parser = argparse.ArgumentParser(description="Compare this project with Inseq.")
    parser.add_argument("methods", nargs="*", help="methods to compare; all when none is named")
    parser.add_argument("--threads", type=int, default=2, help="threads of each side (2)")
    parser.add_argument("--report", type=Path, default=HERE / "report.md", help="file to write")
    given = parser.parse_args()
    ran_on = machine()
    own_environment = quiet_environment(given.threads, with_checkout=True)
    try:
        cases = [case_named(method) for method in given.methods] or list(CASES)
        setup = Setup(peer_python(), model_folder(own_environment), given.threads)
        # Before and after, and the better of the two: a busy moment would flatter the method.
        rate_before = bound.matrix_rate(own_environment)
        measured = [measure(case, setup) for case in cases]
        rate = max(rate_before, bound.matrix_rate(own_environment))
    except (RuntimeError, ValueError) as error:
        say(f"could not measure: {error}")
        return 2
    network = bound.Network.of(setup.model)
    lines = [
        row
        for each in measured
        for row in rows(each, bound.least_seconds(each.case.method, network, rate))
    ]
    text = document(lines, [ran_on, *notes(measured[0].loaded, setup, rate)])
    given.report.write_text(text)
    print(text)
    missed = [f"{row.method}: {row.measured}" for row in lines if row.met is False]
    if missed:
        say("missed: " + "; ".join(missed))
    say(f"report: {given.report}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
