"""The table of a run: what was measured, against which limits, and whether they were met."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from bound import multiply_adds
from cases import LARGEST_EXPONENT, Case
from comparison import Compared, Failed, Grown, Held, Measured, Painted, Timed, exponent
from measure import HALF, Bench
from rate import Rate

HEADINGS = (
    "case",
    "against",
    "theirs, s",
    "ours, s",
    "times faster",
    "numbers",
    "their peak, MB",
    "our peak, MB",
    "above the model, MB",
    "times the bound",
    "",
)

# Characters of what a failed case said; its log has the rest.
LONGEST_REASON = 100


@dataclass
class Row:
    """One line of the table, as text, and which limits it misses."""

    case: str
    against: str = ""
    theirs: str = ""
    ours: str = ""
    faster: str = ""
    numbers: str = ""
    their_peak: str = ""
    our_peak: str = ""
    above: str = ""
    bound: str = ""
    missed: list[str] = field(default_factory=list)
    limited: bool = True
    failed: bool = False

    def cells(self) -> tuple[str, ...]:
        """Return the line's cells in the order of the headings."""
        verdict = "met" if self.limited else ""
        if self.missed:
            verdict = f"**missed: {', '.join(self.missed)}**"
        if self.failed:
            verdict = "**not measured**"
        return (
            self.case,
            self.against,
            self.theirs,
            self.ours,
            self.faster,
            self.numbers,
            self.their_peak,
            self.our_peak,
            self.above,
            self.bound,
            verdict,
        )


def rows(measured: Measured, bench: Bench, rates: Mapping[str, Rate]) -> list[Row]:
    """Return the lines of the table for one case.

    Parameters
    ----------
    measured : Measured
    bench : Bench
    rates : mapping of str to Rate
        By precision.
    """
    if isinstance(measured, Failed):
        reason = measured.reason[:LONGEST_REASON].replace("|", "\\|")
        return [Row(measured.case.name, numbers=reason, failed=True)]
    if isinstance(measured, Grown):
        return [_grown(measured, bench)]
    if isinstance(measured, Held):
        return [_held(measured)]
    if isinstance(measured, Painted):
        return [_painted(measured)]
    lines = [_compared(measured, bench, rates)]
    if measured.half is not None:
        lines.append(_half(measured, measured.half, bench, rates))
    return lines


def _speed(
    measured: Compared, own: Timed, name: str, dtype: str, bench: Bench, rates: Mapping[str, Rate]
) -> Row:
    """Return a row with what the rows of both precisions have."""
    case, ratios = measured.case, measured.ratios(own)
    seconds = median(own.seconds)
    theirs = f"{median(measured.peer.seconds):.3f}"
    if case.peer_counts != 1:
        theirs += f" × {case.peer_counts}"
    return Row(
        name,
        measured.against + (" (float32)" if dtype != bench.dtype else ""),
        theirs,
        f"{seconds:.3f}",
        f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
        their_peak=f"{measured.peer.peak:.0f}",
        our_peak=f"{own.peak:.0f}",
        above=f"{own.above:.0f}, theirs {measured.peer.above:.0f}",
        bound=_times_bound(case, own, seconds, bench, rates.get(dtype)),
    )


def _limit(row: Row, faster: float, at_least: float | None) -> None:
    row.limited = at_least is not None
    if at_least is not None:
        row.faster += f", at least {at_least:g}"
        if faster < at_least:
            row.missed.append("speed")


def _compared(measured: Compared, bench: Bench, rates: Mapping[str, Rate]) -> Row:
    case = measured.case
    row = _speed(measured, measured.own, case.name, bench.dtype, bench, rates)
    _limit(row, median(measured.ratios(measured.own)), case.at_least)
    if measured.difference is None:
        row.numbers = "random, not compared"
    else:
        row.numbers = f"differ by {measured.difference:.1e}"
        # Two sides in half precision agree as far as it goes, which is no matter of the method.
        if case.numbers.largest is not None and bench.dtype == "float32":
            row.numbers += f", at most {case.numbers.largest:g}"
            if not measured.difference <= case.numbers.largest:
                row.missed.append("numbers")
    tolerance = case.own.get("tolerance")
    if tolerance is not None:
        off = measured.own.first.off
        within = sum(delta <= float(tolerance) for delta in off)
        row.numbers += f"; {within} of {len(off)} steps within the tolerance, all wanted"
        if within < len(off):
            row.missed.append("tolerance")
    if case.no_more_memory and bench.device == "cpu":
        row.our_peak += ", at most theirs"
        if measured.own.peak > measured.peer.peak:
            row.missed.append("memory")
    return row


def _half(measured: Compared, own: Timed, bench: Bench, rates: Mapping[str, Rate]) -> Row:
    case = measured.case
    row = _speed(measured, own, f"{case.name}, {HALF}", HALF, bench, rates)
    _limit(row, median(measured.ratios(own)), case.half_at_least)
    row.numbers = f"rank correlation {measured.rank:.4f}"
    return row


def _times_bound(case: Case, own: Timed, seconds: float, bench: Bench, rate: Rate | None) -> str:
    model = bench.model(case.text)
    counted = multiply_adds(case.method, model, case.text, case.own, own.first.points)
    if counted is None or rate is None:
        return ""
    times = f"{seconds * rate.multiply_adds / counted:.2f}"
    if rate.peak is None:
        return times
    return f"{times}; {counted / seconds / rate.peak:.1%} of the card's peak"


def _held(measured: Held) -> Row:
    case, own = measured.case, measured.own
    row = Row(
        f"{case.name}: {case.text.inputs} + {case.text.targets} tokens",
        ours=f"{own.first.seconds:.1f}",
        our_peak=f"{own.peak:.0f}",
        above=f"{own.above:.0f}, at most {case.at_most:.0f}",
    )
    if own.above > case.at_most:
        row.missed.append("memory")
    return row


def _painted(measured: Painted) -> Row:
    case, drawn = measured.case, measured.drawn
    cells = case.inputs * case.steps
    first, hovered = median(drawn.first), median(drawn.hovered)
    hovered_fitted = median(drawn.hovered_fitted)
    cells_alone = median(whole - text for whole, text in zip(drawn.first, drawn.text, strict=True))
    sent = drawn.bytes_of_scores / cells
    row = Row(
        f"{case.name}: {case.inputs} inputs × {case.steps} steps in Chromium",
        ours=f"{cells_alone:.3f} for the cells of the first frame, at most {case.drawn_at_most:g}; "
        f"{first:.3f} with the text; {median(drawn.fitted):.3f} to fit all in",
        numbers=f"{1000 * hovered:.1f} ms to answer a pointer, {1000 * hovered_fitted:.1f} with "
        f"all in view, at most {1000 * case.hover_at_most:g}; {sent:.2f} bytes of scores a cell, "
        f"at most {case.bytes_at_most:g}, and {drawn.bytes_of_tokens / 1000:.0f} kB of tokens",
    )
    if max(cells_alone, median(drawn.fitted)) > case.drawn_at_most:
        row.missed.append("speed")
    if max(hovered, hovered_fitted) > case.hover_at_most:
        row.missed.append("hover")
    if sent > case.bytes_at_most:
        row.missed.append("bytes")
    return row


def _grown(measured: Grown, bench: Bench) -> Row:
    case = measured.case
    found = measured.exponent()
    row = Row(
        f"{case.name}: {measured.lengths[0]} to {measured.lengths[-1]} tokens",
        ours=", ".join(f"{seconds:.3f}" for seconds in measured.seconds) + " for a token",
        numbers=f"cost ~ length^{found:.2f}, at most {LARGEST_EXPONENT:g}",
        our_peak=f"{max(timed.peak for timed in measured.own):.0f}",
        above=", ".join(f"{timed.above:.0f}" for timed in measured.own),
    )
    counts = [multiply_adds(case.method, bench.model(text), text, {}) or 0 for text in case.texts]
    if all(counts):
        row.bound = f"multiply-adds ~ length^{exponent(measured.lengths, counts):.2f}"
    if found > LARGEST_EXPONENT:
        row.missed.append("growth")
    return row


def table(lines: Sequence[Row]) -> str:
    """Return the rows as a Markdown table with aligned columns."""
    cells = [HEADINGS, *(row.cells() for row in lines)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEADINGS))]
    padded = [
        [cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in cells
    ]
    texts = ["| " + " | ".join(line) + " |" for line in padded]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([texts[0], rule, *texts[1:]])


def remarks(measured: Measured) -> list[str]:
    """Return what a reader has to know of a case: its note, and what it told of itself."""
    case = measured.case
    found = []
    if isinstance(case, Case) and case.note:
        found.append(f"{case.name}: {case.note}")
    if not isinstance(measured, Compared):
        return found
    for side, reason in measured.failed.items():
        found.append(f"{case.name}: {side} was tried and fails ({reason})")
    points, off = measured.own.first.points, measured.own.first.off
    if points:
        found.append(
            f"{case.name}: {min(points)} to {max(points)} points a step, {median(points):g} in "
            f"the middle; deltas of {min(off):.2%} to {max(off):.2%} of the difference, "
            f"{median(off):.2%} in the middle"
        )
    return found


def document(notes: Sequence[str], lines: Sequence[Row], told: Sequence[str], plot: str) -> str:
    """Return the whole report in Markdown: notes on the run, the table, remarks and the plot."""

    def listed(entries: Sequence[str]) -> str:
        return "\n".join(f"- {entry}" for entry in entries)

    parts = ["# Inseq, captum and inseq_widget, side by side", listed(notes), table(lines)]
    parts += [listed(told)] if told else []
    parts += [f"![Cost of a generated token over the length of the prompt]({plot})"] if plot else []
    return "\n\n".join(parts) + "\n"
