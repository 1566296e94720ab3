"""The top attributions as a plain text table: what a result is where only text can be shown."""

from __future__ import annotations

import io
from itertools import islice

from rich.console import Console
from rich.table import Table
from rich.text import Text

from inseq_widget.explore.figure import Figure, make_figure
from inseq_widget.render.headline import headline, opening, provenance, size
from inseq_widget.render.numbers import counted, percent
from inseq_widget.render.top import top_steps
from inseq_widget.render.view import view_of
from inseq_widget.render.visible import shown, visible_label
from inseq_widget.results import FeatureAttributionOutput

_MOST_STEPS = 40
_LONGEST_LABEL = 16
# Wide enough for any such table: nothing is ever wrapped or cut.
_WIDTH = 10_000


def top_attributions_text(output: FeatureAttributionOutput, k: int = 4) -> str:
    """Give the top attributions of every step as a table in plain text.

    Parameters
    ----------
    output : FeatureAttributionOutput
    k : int, default 4
        How many inputs to name for each step.

    Returns
    -------
    str
        One line for each step, 40 in all; then how many were left out. No colours, no control
        characters but line breaks, no trailing space.
    """
    return top_attributions_of(make_figure(output), k)


def top_attributions_of(figure: Figure, k: int = 4) -> str:
    """Do the work of :func:`top_attributions_text` for a figure."""
    spec = figure.spec
    lines = [headline(spec), provenance(spec)]
    if not spec["sequences"]:
        return "\n".join([*lines, "No text was attributed."])
    lines.append(f"Largest shares of each step's total ({shown(spec['score_label'])}):")
    left = _MOST_STEPS
    for number, sequence in enumerate(spec["sequences"]):
        rest = spec["sequences"][number:]
        if left == 0:
            lines += ["", f"… {counted(len(rest), 'more text')}"]
            break
        lines.append("")
        if len(spec["sequences"]) > 1:
            of = f"Text {number + 1} of {len(spec['sequences'])}"
            lines.append(f"{of}, {size(sequence)}: {opening(sequence)}")
        drawn = min(left, len(sequence["steps"]))
        lines += _table(figure, number, k, drawn)
        left -= drawn
        if drawn < len(sequence["steps"]):
            lines.append(f"… {counted(len(sequence['steps']) - drawn, 'more step')}")
    return "\n".join(lines)


def _table(figure: Figure, number: int, k: int, most: int) -> list[str]:
    steps = list(islice(top_steps(view_of(figure, number), k), most))
    with_probability = any(step.probability is not None for step in steps)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="")
    table.add_column("step", justify="right", no_wrap=True)
    table.add_column("token", no_wrap=True)
    if with_probability:
        table.add_column("probability", justify="right", no_wrap=True)
    table.add_column("inputs", no_wrap=True)
    for _ in range(1, k):
        table.add_column("", no_wrap=True)
    for step in steps:
        cells = [str(step.step), visible_label(step.token, _LONGEST_LABEL)]
        if with_probability:
            cells.append(percent(step.probability))
        cells += [
            f"{percent(share):>7} {visible_label(token, _LONGEST_LABEL)}"
            for token, share in step.inputs
        ]
        table.add_row(*map(Text, cells))
    target = io.StringIO()
    Console(file=target, width=_WIDTH, color_system=None, force_jupyter=False).print(table)
    return [line.rstrip() for line in target.getvalue().splitlines()]
