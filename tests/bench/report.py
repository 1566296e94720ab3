"""The table of a run: what was measured, against which limit, and whether it was met."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from cases import LARGEST_DIFFERENCE
from comparison import Measurement

HEADINGS = ("method", "measured", "Inseq", "inseq_widget", "compared", "limit", "")


@dataclass(frozen=True)
class Row:
    """One line of the table, as text; `met` is None where nothing is demanded."""

    method: str
    measured: str
    peer: str = ""
    own: str = ""
    compared: str = ""
    limit: str = ""
    met: bool | None = None

    def cells(self) -> tuple[str, ...]:
        """Return the line's cells in the order of the headings."""
        verdict = {None: "", True: "met", False: "**missed**"}[self.met]
        return (
            self.method,
            self.measured,
            self.peer,
            self.own,
            self.compared,
            self.limit,
            verdict,
        )


def rows(measured: Measurement, least_seconds: float | None) -> list[Row]:
    """Return the lines of the table for one case.

    Parameters
    ----------
    measured : Measurement
    least_seconds : float or None
        The method's lower bound, where one is known.
    """
    case, seconds, memory = measured.case, measured.seconds, measured.memory
    ratios, faster = seconds.ratios(), seconds.times_faster()
    own_seconds = median(seconds.own)
    lines = [
        Row(
            case.method,
            f"seconds, {case.rounds} rounds",
            f"{median(seconds.peer):.3f}",
            f"{own_seconds:.3f}",
            f"{faster:.2f} times faster ({min(ratios):.2f} to {max(ratios):.2f})",
            f"at least {case.times_faster:g}",
            faster >= case.times_faster,
        ),
        Row(
            case.method,
            "largest difference",
            compared=f"{measured.difference:.1e} of the largest score",
            limit=f"at most {LARGEST_DIFFERENCE:.0e}",
            met=measured.difference <= LARGEST_DIFFERENCE,
        ),
        Row(
            case.method,
            "peak memory, MB",
            f"{memory.peer.peak:.0f}",
            f"{memory.own.peak:.0f}",
            f"{memory.own.peak / memory.peer.peak:.2f} of Inseq's",
            "at most 1",
            memory.own.peak <= memory.peer.peak,
        ),
        Row(
            case.method,
            "of it above the loaded model",
            f"{memory.peer.running - memory.peer.loaded:.0f}",
            f"{memory.own.running - memory.own.loaded:.0f}",
        ),
    ]
    if least_seconds is not None:
        times = f"{own_seconds / least_seconds:.2f} times the bound"
        lines.append(Row(case.method, "lower bound, seconds", "", f"{least_seconds:.3f}", times))
    return lines


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table with aligned columns."""
    lines = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    padded = [
        [cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines
    ]
    texts = ["| " + " | ".join(cells) + " |" for cells in padded]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([texts[0], rule, *texts[1:]])


def processor() -> str:
    """Return the processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def machine() -> str:
    """Return what the benchmark runs on, and how busy it is now: call it before measuring."""
    load = f"{os.getloadavg()[0]:.1f} processes at work before the run"
    return f"{processor()}, {os.cpu_count()} cores, {platform.system()}, {load}"


def document(rows: Sequence[Row], notes: Sequence[str]) -> str:
    """Return the whole report in Markdown: the notes and the table."""
    listed = "\n".join(f"- {note}" for note in notes)
    return f"# Inseq and inseq_widget, side by side\n\n{listed}\n\n{table(rows)}\n"
