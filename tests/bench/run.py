"""Compare this project with Inseq and captum, case by case, and fail where a limit is missed.

`python tests/bench/run.py [CASE ...]` prints one table and writes it to a report file, anew after
every case. It exits with 1 when a limit is missed and with 2 when a case could not be measured.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cases import CASES, case_named
from comparison import Compared, Failed, Grown, Measured
from demo_model import NAME
from folders import model_folder
from machine import machine
from measure import HALF, Bench, measure, say
from processes import quiet_environment
from rate import Rate, matrix_rate
from report import Row, document, remarks, rows, table

from tests.peer.environment import peer_python

HERE = Path(__file__).resolve().parent


@dataclass
class Findings:
    """What a run has found so far, and the file that tells it."""

    bench: Bench
    environment: Mapping[str, str]
    ran_on: str
    file: Path
    measured: list[Measured] = field(default_factory=list)
    rates: dict[str, Rate] = field(default_factory=dict)

    def measure_rates(self) -> None:
        """Measure matrix products, and keep the best: a busy moment would flatter the methods."""
        for dtype in {self.bench.dtype, HALF}:
            rate = matrix_rate(self.bench.device, dtype, dict(self.environment))
            best = self.rates.get(dtype, rate)
            self.rates[dtype] = max(rate, best, key=lambda each: each.multiply_adds)

    @property
    def lines(self) -> list[Row]:
        """The lines of the table."""
        return [row for each in self.measured for row in rows(each, self.bench, self.rates)]

    def write(self) -> None:
        """Write the report."""
        grown = [each for each in self.measured if isinstance(each, Grown)]
        plot = self.file.with_suffix(".svg")
        if grown:
            from plot import save

            save(grown, plot)
        told = [remark for each in self.measured for remark in remarks(each)]
        text = document(self._notes(), self.lines, told, plot.name if grown else "")
        self.file.write_text(text)

    def _notes(self) -> list[str]:
        """Return what a reader needs to know of the run before its table."""
        bench = self.bench
        reached = ", ".join(
            f"{2 * rate.multiply_adds / 1e9:.0f} GFLOP/s in {dtype}"
            for dtype, rate in sorted(self.rates.items(), reverse=True)
        )
        cards = {rate.card for rate in self.rates.values() if rate.card}
        return [
            ", ".join([self.ran_on, *cards]),
            *_versions(self.measured),
            f"{bench.language_model.name} in {bench.dtype}, {bench.threads} threads, a process for "
            "each side, in turns; 32 + 34 tokens where nothing else is said; "
            f"translation: {bench.translation_model.name}",
            "times faster: median of the rounds' ratios, and their range",
            "numbers: the largest difference, as a fraction of the largest score; rank "
            "correlation: Spearman's, to our scores in float32, mean over the steps",
            "peak: the whole process, after its first call; above the model: what of it came on "
            "top of the loaded model",
            f"bound: the method's multiply-adds at the best rate of matrix products, {reached}",
        ]


def _versions(measured: list[Measured]) -> list[str]:
    """Return the packages of each side that took part."""
    found: dict[str, str] = {}
    for each in measured:
        if isinstance(each, Compared):
            for side, timed in ((each.against, each.peer), ("inseq_widget", each.own)):
                packages = timed.loaded.versions.items()
                found[side] = ", ".join(f"{name} {number}" for name, number in packages)
    return [f"environment of {side}: {packages}" for side, packages in found.items()]


def main() -> int:
    """Run the benchmark as the command line says; return the exit status."""
    names = ", ".join(case.name for case in CASES)
    parser = argparse.ArgumentParser(description="Compare this project with Inseq and captum.")
    parser.add_argument("cases", nargs="*", help=f"what to measure; all by default: {names}")
    parser.add_argument("--quick", action="store_true", help="one round for every case")
    parser.add_argument("--threads", type=int, default=2, help="threads of each side (2)")
    parser.add_argument("--device", default="cpu", help="of both sides, such as cuda (cpu)")
    parser.add_argument("--dtype", default="float32", help="of both sides (float32)")
    parser.add_argument("--report", type=Path, default=HERE / "report.md", help="file to write")
    parser.add_argument("--model", type=Path, help="folder of another Llama")
    parser.add_argument("--translation-model", type=Path, help="folder of another Marian")
    given = parser.parse_args()
    ran_on = machine()
    environment = quiet_environment(given.threads, with_checkout=True)
    try:
        cases = [case_named(name) for name in given.cases] or list(CASES)
        language = given.model or model_folder(NAME, "demo_model.py", environment)
        translation = given.translation_model or model_folder(
            "marian-60m-random", "translation_model.py", environment
        )
        bench = Bench(
            peer_python(),
            language.resolve(),
            translation.resolve(),
            given.threads,
            given.device,
            given.dtype,
            given.quick,
        )
        findings = Findings(bench, environment, ran_on, given.report)
        findings.measure_rates()
    except (RuntimeError, ValueError, subprocess.CalledProcessError) as error:
        say(f"could not measure: {error}")
        return 2
    for case in cases:
        findings.measured.append(measure(case, bench))
        findings.measure_rates()
        findings.write()
    return _tell(findings)


def _tell(findings: Findings) -> int:
    """Print the table and what is wrong with it; return the exit status."""
    lines = findings.lines
    print(table(lines))
    for row in lines:
        if row.missed:
            say(f"missed: {row.case}: {', '.join(row.missed)}")
    for each in findings.measured:
        if isinstance(each, Failed):
            say(f"not measured: {each.case.name}: {each.reason}")
    say(f"report: {findings.file}")
    if any(row.failed for row in lines):
        return 2
    return 1 if any(row.missed for row in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
