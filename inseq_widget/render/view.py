"""What is drawn of a sequence: which rows and columns, which numbers, on which colour scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inseq_widget.explore.figure import Figure, colour_domain
from inseq_widget.explore.protocol import FigureSpec, SequenceSpec, TokenSpec
from inseq_widget.render.numbers import counted, percent, three_digits
from inseq_widget.render.scale import Scale, check_ends, make_scale


@dataclass(frozen=True)
class Look:
    """How a result is to be drawn.

    Attributes
    ----------
    min_val, max_val : float or None
        Ends of the colour scale, in the unit of what is drawn.
    max_show_size : int or None
        How many rows and how many columns a matrix may have.
    shares : bool
        Draw each score as its share of the step's total magnitude, rather than as it is.

    Raises
    ------
    TypeError, ValueError
        For ends that no scale can have, and for a size below 1.
    """

    min_val: float | None = None
    max_val: float | None = None
    max_show_size: int | None = None
    shares: bool = True

    def __post_init__(self) -> None:
        check_ends(self.min_val, self.max_val)
        size = self.max_show_size
        if size is not None and (isinstance(size, bool) or not isinstance(size, int | np.integer)):
            raise TypeError(f"max_show_size: {size!r} given; an integer works.")
        if size is not None and size < 1:
            raise ValueError(f"max_show_size: {size} given; choose 1 or more.")


PLAIN = Look()


@dataclass(frozen=True)
class View:
    """One sequence as it is drawn.

    Attributes
    ----------
    spec : FigureSpec
    sequence : SequenceSpec
    rows, columns : list of int
        The inputs and the steps that the matrix shows, in their order.
    values : numpy.ndarray, (row, column)
        What the cells say; NaN where a score is missing.
    means : numpy.ndarray, (input,)
        Mean of every input's numbers over the steps that have one.
    scale : Scale
    beyond : tuple of bool
        Whether there are numbers below the scale, and above it.
    shares : bool
        Whether the numbers are shares of a step's total.
    """

    spec: FigureSpec
    sequence: SequenceSpec
    rows: list[int]
    columns: list[int]
    values: npt.NDArray[np.float64]
    means: npt.NDArray[np.float64]
    scale: Scale
    beyond: tuple[bool, bool]
    shares: bool

    @property
    def row_tokens(self) -> list[TokenSpec]:
        """The inputs that the matrix shows."""
        return [self.sequence["tokens"][self.sequence["inputs"][row]] for row in self.rows]

    @property
    def column_tokens(self) -> list[TokenSpec]:
        """The generated tokens that the matrix shows."""
        steps = self.sequence["steps"]
        return [self.sequence["tokens"][steps[column]["token"]] for column in self.columns]

    @property
    def unit(self) -> str:
        """What the numbers are, in words."""
        return "share of the step’s total" if self.shares else "score"

    @property
    def has_missing(self) -> bool:
        """Whether the matrix has cells without a score."""
        return bool(np.isnan(self.values).any())

    def written(self, value: float) -> str:
        """Write one of the numbers."""
        return percent(value) if self.shares else three_digits(value)

    @property
    def ends(self) -> tuple[str, str]:
        """The ends of the colour scale, and whether there is more beyond them."""
        below, above = self.beyond
        low, high = self.written(self.scale.low), self.written(self.scale.high)
        return f"{'≤ ' if below else ''}{low}", f"{'≥ ' if above else ''}{high}"

    @property
    def left_out(self) -> str | None:
        """What the matrix leaves out, as a sentence; None where it shows everything."""
        inputs, steps = len(self.sequence["inputs"]), len(self.sequence["steps"])
        parts = []
        if len(self.rows) < inputs:
            hidden = counted(inputs - len(self.rows), "input")
            parts.append(f"{hidden} hidden, {len(self.rows)} with the largest numbers shown")
        if len(self.columns) < steps:
            hidden = counted(steps - len(self.columns), "step")
            parts.append(f"{hidden} hidden, the first {len(self.columns)} shown")
        return f"{'; '.join(parts)}." if parts else None


def view_of(figure: Figure, sequence: int, look: Look = PLAIN) -> View:
    """Choose what is drawn of a sequence.

    Parameters
    ----------
    figure : Figure
    sequence : int
    look : Look

    Returns
    -------
    View
        Where rows are too many, those with the largest total magnitudes, in their order; of the
        columns the first. The colour scale is that of the whole matrix.
    """
    spec = figure.spec["sequences"][sequence]
    signed = figure.spec["signed"]
    values = figure.shares(sequence)
    domain = spec["domain"]
    if not look.shares:
        values = figure.matrix(sequence).astype(np.float64)
        domain = colour_domain(values)
    scale = make_scale(domain, signed=signed, min_val=look.min_val, max_val=look.max_val)
    columns = list(range(values.shape[1]))[: look.max_show_size]
    rows = largest(np.nansum(np.abs(values[:, columns]), axis=1), look.max_show_size)
    shown = values[np.ix_(rows, columns)]
    return View(
        spec=figure.spec,
        sequence=spec,
        rows=rows,
        columns=columns,
        values=shown,
        means=_means(values),
        scale=scale,
        beyond=scale.is_beyond(shown),
        shares=look.shares,
    )


def views_of(figure: Figure, look: Look = PLAIN) -> list[View]:
    """Choose what is drawn of every sequence, (sequence,)."""
    return [view_of(figure, number, look) for number in range(len(figure.spec["sequences"]))]


def largest(totals: Sequence[float] | npt.NDArray[np.float64], most: int | None) -> list[int]:
    """Find the places of the largest numbers, in the order of the places.

    Parameters
    ----------
    totals : array of float
    most : int, optional
        How many; all by default. Among equal ones the first.
    """
    order = np.argsort(-np.asarray(totals), kind="stable")
    return sorted(int(place) for place in order[:most])


def _means(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    present = ~np.isnan(values)
    counts = present.sum(axis=1)
    sums = np.where(present, values, 0.0).sum(axis=1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
