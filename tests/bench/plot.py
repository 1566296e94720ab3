"""The plot of the report: what a generated token costs, over the length of the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from comparison import Grown


def save(grown: Sequence[Grown], file: Path) -> None:
    """Write the plot as an SVG, with a straight line of exponent 1 beside each curve."""
    import matplotlib

    matplotlib.use("Agg")
    # The same measurements give the same file.
    matplotlib.rcParams["svg.hashsalt"] = "bench"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 4.2), layout="constrained")
    for each in grown:
        lengths, seconds = each.lengths, each.seconds
        (line,) = axes.plot(
            lengths, seconds, "o-", label=f"{each.case.method}: length^{each.exponent():.2f}"
        )
        linear = [seconds[-1] * length / lengths[-1] for length in lengths]
        axes.plot(lengths, linear, ":", color=line.get_color(), alpha=0.6)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    ticks = grown[0].lengths
    axes.set_xticks(ticks, [str(length) for length in ticks])
    axes.set_xlabel("tokens of the prompt")
    axes.set_ylabel("seconds for a generated token")
    axes.set_title("Cost of a generated token (dotted: linear)")
    axes.grid(True, which="both", alpha=0.25)
    axes.legend()
    figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)
