"""Takes some inputs and steps out of a sequence."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias, get_args

import numpy as np
import regex
import torch

from inseq_widget.results.deriving import derived, derived_info, renumbered
from inseq_widget.results.labelling import relabelled
from inseq_widget.results.tokens import Side, Token

if TYPE_CHECKING:
    from inseq_widget.results.sequence import FeatureAttributionSequenceOutput

Inputs: TypeAlias = int | slice | Sequence[int] | re.Pattern[str] | regex.Pattern[str] | Side
Steps = int | slice | str


def selected(
    sequence: FeatureAttributionSequenceOutput,
    inputs: Inputs | None = None,
    steps: Steps | None = None,
) -> FeatureAttributionSequenceOutput:
    """Take some inputs and steps; :meth:`FeatureAttributionSequenceOutput.select` says how.

    Parameters
    ----------
    sequence : FeatureAttributionSequenceOutput
    inputs : int, slice, sequence of int, re.Pattern or {"source", "prompt", "target"}, optional
    steps : int, slice or str, optional

    Returns
    -------
    FeatureAttributionSequenceOutput
    """
    columns = _columns(sequence, steps)
    asked = range(len(sequence.inputs)) if inputs is None else _rows(sequence, inputs)
    rows = _without_later_ones(sequence, asked, columns)
    if not rows:
        raise ValueError(
            f"inputs: {inputs!r} selects no input that comes before the selected steps."
        )
    return _cut(sequence, rows, columns)


def _columns(sequence: FeatureAttributionSequenceOutput, steps: Steps | None) -> range:
    """Find the selected steps: neighbours, in their order."""
    count = len(sequence.steps)
    if steps is None:
        return range(count)
    if isinstance(steps, str):
        return _columns_of_text(sequence.steps, steps)
    if isinstance(steps, slice):
        chosen = range(count)[steps]
        if chosen.step != 1 and len(chosen) > 1:
            raise ValueError(f"steps: {steps} given; choose neighbours, a slice without a stride.")
        if not chosen:
            raise ValueError(f"steps: {steps} selects nothing of {count} steps.")
        return range(chosen[0], chosen[0] + len(chosen))
    index = step_index(steps, count, "steps")
    return range(index, index + 1)


def step_index(step: object, count: int, argument: str) -> int:
    """Check the number of a step, which may count from the end.

    Parameters
    ----------
    step : int
    count : int
        How many steps there are.
    argument : str
        What the error calls it.

    Returns
    -------
    int
        At least 0.

    Raises
    ------
    TypeError, ValueError
        For something else than an integer, or one that is outside.
    """
    if isinstance(step, bool) or not isinstance(step, int | np.integer):
        raise TypeError(f"{argument}: {step!r} given; an integer works.")
    if not -count <= step < count:
        raise ValueError(f"{argument}: {step} given; there are {count}, {-count} to {count - 1}.")
    return int(step) % count


def _columns_of_text(tokens: Sequence[Token], text: str) -> range:
    found = [
        range(number, number + 1)
        for number, token in enumerate(tokens)
        if text in (token.text, token.label, token.piece)
    ] or _runs(tokens, text)
    if len(found) == 1:
        return found[0]
    if found:
        places = ", ".join(str(run[0]) for run in found)
        raise ValueError(f"steps: {text!r} stands at the steps {places}; pass one of the numbers.")
    there = ", ".join(repr(token.label) for token in tokens)
    raise ValueError(f"steps: {text!r} is not among the steps {there}.")


def _runs(tokens: Sequence[Token], text: str) -> list[range]:
    """Find neighbours whose texts join to a text, blanks around it aside."""
    runs = []
    for start, first in enumerate(tokens):
        if first.text and not first.text.strip():
            continue
        joined = ""
        for end in range(start, len(tokens)):
            joined += tokens[end].text
            if joined.strip() == text.strip() and text.strip():
                runs.append(range(start, end + 1))
                break
            if len(joined.strip()) > len(text):
                break
    # The bytes before a character have no text: the longest run of the same end has them all.
    return [run for run in runs if not any(run[-1] == o[-1] and len(o) > len(run) for o in runs)]


def _rows(sequence: FeatureAttributionSequenceOutput, inputs: Inputs) -> Sequence[int]:
    tokens = sequence.inputs
    if isinstance(inputs, slice):
        return sorted(range(len(tokens))[inputs])
    if isinstance(inputs, re.Pattern | regex.Pattern):
        return _rows_of_pattern(sequence, inputs)
    if isinstance(inputs, str):
        if inputs not in get_args(Side):
            raise ValueError(
                f"inputs: {inputs!r} given; choose one of {', '.join(get_args(Side))}, or "
                f"re.compile(…) for what the text says."
            )
        rows = [row for row, token in enumerate(tokens) if token.side == inputs]
        if not rows:
            there = ", ".join(dict.fromkeys(token.side for token in tokens))
            raise ValueError(f"inputs: no input is of the side {inputs!r}; there is {there}.")
        return rows
    numbers = [inputs] if isinstance(inputs, int | np.integer) else list(inputs)
    return sorted({step_index(number, len(tokens), "inputs") for number in numbers})


def _rows_of_pattern(
    sequence: FeatureAttributionSequenceOutput, pattern: re.Pattern[str] | regex.Pattern[str]
) -> list[int]:
    # The package of aggregators imports the operations of a sequence, of which this is one.
    from inseq_widget.results.aggregation.token_groups import visible_offsets

    tokens = sequence.inputs
    n_source = sum(token.side == "source" for token in tokens)
    rows = []
    for group in (range(n_source), range(n_source, len(tokens))):
        members = [tokens[row] for row in group]
        text = "".join(token.text for token in members if not token.special)
        matches = [match.span() for match in pattern.finditer(text)]
        for row, token, start in zip(group, members, visible_offsets(members), strict=True):
            if start is None:
                continue
            end = start + max(len(token.text.lstrip() or token.text), 1)
            if any(first < end and start < last for first, last in matches):
                rows.append(row)
    if not rows:
        raise ValueError(f"inputs: {pattern.pattern!r} matches nothing in the text of the inputs.")
    return rows


def _without_later_ones(
    sequence: FeatureAttributionSequenceOutput, rows: Sequence[int], columns: range
) -> list[int]:
    """Leave out the decoder's last tokens where none of the selected steps sees them."""
    n_source = sum(token.side == "source" for token in sequence.inputs)
    last = n_source + sequence.attr_pos_start + columns[-1]
    array = next(iter(sequence.kept.values())).to_numpy()[:, columns.start : columns.stop]
    return [row for row in rows if row < last or not np.isnan(array[row]).all()]


def _cut(
    sequence: FeatureAttributionSequenceOutput, rows: Sequence[int], columns: range
) -> FeatureAttributionSequenceOutput:
    tokens = sequence.inputs
    n_source = sum(token.side == "source" for token in tokens)
    n_prefix = len(tokens) - n_source
    chosen = set(rows)
    start = sequence.attr_pos_start
    stays = set(range(start + columns.start, start + columns.stop))
    target = [
        index
        for index in range(len(sequence.target))
        if index in stays or index >= n_prefix or n_source + index in chosen
    ]
    if sequence.architecture == "encoder_decoder":
        source = [i for i in range(len(sequence.source)) if i >= n_source or i in chosen]
        of_source = [index for index in source if index < n_source]
    else:
        source, of_source = [index for index in target if index < len(sequence.source)], []
    # A step stays among the tokens even where it is no chosen input: its scores are then missing.
    last = max((row - n_source for row in rows), default=-1)
    new_rows = [*of_source, *(n_source + index for index in target if index <= last)]
    new_source = renumbered([sequence.source[index] for index in source])
    new_target = renumbered([sequence.target[index] for index in target])
    new_start = target.index(start + columns.start)
    inputs = [*new_source[: len(of_source)], *new_target[: len(new_rows) - len(of_source)]]
    steps = new_target[new_start : new_start + len(columns)]
    not_chosen = [number for number, row in enumerate(new_rows) if row not in chosen]
    kept = {}
    for name, array in sequence.kept.items():
        values = array.to_numpy()[new_rows, columns.start : columns.stop]
        values[not_chosen] = np.nan
        kept[name] = relabelled(array, values, inputs, steps)
    info = derived_info(
        sequence.info,
        f"{len(rows)} of {len(tokens)} inputs and {len(columns)} of {len(sequence.steps)} steps "
        "selected",
    )
    return replace(
        derived(sequence, info, kept, sequence.reduction),
        source=new_source,
        target=new_target,
        attr_pos_start=new_start,
        attr_pos_end=new_start + len(columns),
        foil_tokens=_foils(sequence, steps, columns),
        step_scores={
            name: values[columns.start : columns.stop].clone()
            for name, values in sequence.step_scores.items()
        },
        sequence_scores={
            name: _between(name, values, source, target)
            for name, values in sequence.sequence_scores.items()
        },
    )


def _foils(
    sequence: FeatureAttributionSequenceOutput, steps: Sequence[Token], columns: range
) -> list[Token] | None:
    """Cut the foils to those of the selected steps, which they stand beside."""
    if sequence.foil_tokens is None:
        return None
    foils = sequence.foil_tokens[columns.start : columns.stop]
    return [replace(foil, position=step.position) for foil, step in zip(foils, steps, strict=True)]


def _between(
    name: str, values: torch.Tensor, source: Sequence[int], target: Sequence[int]
) -> torch.Tensor:
    """Cut scores between tokens, (attended, attending, ...), to those that stay."""
    attended = target if name.startswith("decoder") else source
    attending = source if name.startswith("encoder") else target
    # The scores of the last target tokens may not exist: nothing is generated from them.
    attended = [index for index in attended if index < values.shape[0]]
    attending = [index for index in attending if index < values.shape[1]]
    return values[attended][:, attending]
