"""Compares what several methods say about one text."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from inseq_widget.results.arithmetic import check_same_tokens
from inseq_widget.results.output import FeatureAttributionOutput
from inseq_widget.results.sequence import FeatureAttributionSequenceOutput
from inseq_widget.results.tables import check_k

Result = FeatureAttributionOutput | FeatureAttributionSequenceOutput

_MEASURES = ("spearman", "kendall", "jaccard", "overlap")


@dataclass(frozen=True)
class AttributionComparison:
    """How far methods agree on which inputs matter.

    Attributes
    ----------
    steps : pandas.DataFrame
        One row for each step of each pair of methods: ``first``, ``second``, ``sequence``,
        ``step``, ``token``, ``inputs`` (how many have a score from both) and a column for each
        measure: ``spearman``, ``kendall`` where it was asked for, ``jaccard`` and ``overlap``. A
        measure that says nothing about a step is missing (NaN) there.
    names : tuple of str
        Names of the methods.
    k : int
        How many of the first inputs ``jaccard`` and ``overlap`` compare.
    signed : bool
        Whether scores were compared with their signs; their magnitudes otherwise.
    """

    steps: pd.DataFrame
    names: tuple[str, ...]
    k: int
    signed: bool

    @property
    def measures(self) -> list[str]:
        """Names of the measures that were taken."""
        return [name for name in _MEASURES if name in self.steps]

    @property
    def pairs(self) -> pd.DataFrame:
        """One row for each pair of methods: the mean of each measure over steps that have it."""
        by_pair = self.steps.groupby(["first", "second"], sort=False)
        return by_pair[self.measures].mean().reset_index()

    def table(self, measure: str = "spearman") -> pd.DataFrame:
        """Give the means of one measure with the methods as rows and columns.

        Parameters
        ----------
        measure : {"spearman", "kendall", "jaccard", "overlap"}, default "spearman"

        Returns
        -------
        pandas.DataFrame, (method, method)
            Symmetric, with 1 for each method and itself.

        Raises
        ------
        ValueError
            For a measure that was not taken.
        """
        if measure not in self.measures:
            raise ValueError(
                f"measure: {measure!r} given; choose one of {', '.join(self.measures)}"
                f"{'' if 'kendall' in self.measures else ' (kendall=True adds kendall)'}."
            )
        means = pd.DataFrame(np.eye(len(self.names)), index=self.names, columns=self.names)
        for row in self.pairs.to_dict("records"):
            first, second = row["first"], row["second"]
            means.loc[first, second] = means.loc[second, first] = row[measure]
        return means

    def _repr_html_(self) -> str:
        return str(self.pairs.to_html(index=False, float_format="{:.3f}".format))

    def __str__(self) -> str:
        of_what = "scores with their signs" if self.signed else "magnitudes"
        table = self.pairs.to_string(index=False, float_format="{:.3f}".format)
        return f"Agreement on {of_what}, k={self.k}, mean over steps\n{table}"


def compare_attributions(
    outputs: Mapping[str, Result] | Sequence[Result],
    k: int = 10,
    *,
    signed: bool = False,
    kendall: bool = False,
) -> AttributionComparison:
    """Compare the attributions of the same texts by several methods, step by step.

    Parameters
    ----------
    outputs : mapping of str to output or sequence, or a sequence of them
        At least two results for the same tokens. Without names they are called by their methods.
    k : int, default 10
        How many of the first inputs to compare. A step with no more inputs than that has no
        overlap (NaN): it would always be complete.
    signed : bool, default False
        Compare scores with their signs, the largest first. By default their magnitudes are
        compared: methods such as ``saliency`` and ``attention`` have no sign.
    kendall : bool, default False
        Take Kendall's tau, too.

    Returns
    -------
    AttributionComparison
        Spearman's rank correlation and Kendall's tau-b are from -1 to 1. ``jaccard`` is the
        number of inputs among the first k of both methods, by the number of those among the
        first k of either; ``overlap`` is the former by k. Of equal scores, the first in the text
        comes first. Steps in which a method gives all inputs the same score have no measure, and
        inputs without a score (NaN) from one of the two do not count.

    Raises
    ------
    TypeError, ValueError
        For less than two results, results of other tokens (the error says where they differ), or
        ``signed=True`` with a method that has no sign.
    """
    named = _named(outputs)
    check_k(k)
    if k is None:
        raise TypeError("k: None given; an integer works.")
    sequences = {name: _sequences(name, result) for name, result in named.items()}
    _check_comparable(sequences, signed=signed)
    rows = []
    for first, second in combinations(named, 2):
        for number, (a, b) in enumerate(zip(sequences[first], sequences[second], strict=True)):
            values_a, values_b = _values(a, signed=signed), _values(b, signed=signed)
            for step, token in enumerate(a.steps):
                place = {"sequence": number, "step": step, "token": token.text}
                measured = _agreement(values_a[:, step], values_b[:, step], k, kendall=kendall)
                rows.append({"first": first, "second": second, **place, **measured})
    steps = pd.DataFrame(rows)
    if len(steps) and (steps["inputs"] <= k).all():
        warnings.warn(
            f"k: no step has more than {k} inputs, so nothing is said about the first {k}; "
            "choose a smaller k.",
            stacklevel=2,
        )
    return AttributionComparison(steps, tuple(named), int(k), signed)


def _agreement(a: np.ndarray, b: np.ndarray, k: int, *, kendall: bool) -> dict[str, float]:
    """Measure how far two scores of the same inputs agree, each (input,)."""
    both = pd.DataFrame({"a": a, "b": b}).dropna()
    measures = {"inputs": len(both), "spearman": np.nan}
    if kendall:
        measures["kendall"] = np.nan
    measures.update(jaccard=np.nan, overlap=np.nan)
    if both.empty or (both.nunique() == 1).any():
        return measures
    measures["spearman"] = float(both["a"].corr(both["b"], method="spearman"))
    if kendall:
        measures["kendall"] = float(both["a"].corr(both["b"], method="kendall"))
    if len(both) > k:
        first, second = (set(both[name].nlargest(k, keep="first").index) for name in both)
        shared = len(first & second)
        measures.update(jaccard=shared / len(first | second), overlap=shared / k)
    return measures


def _values(sequence: FeatureAttributionSequenceOutput, *, signed: bool) -> np.ndarray:
    values: np.ndarray = sequence.scores.to_numpy()
    return values if signed else np.abs(values)


def _named(outputs: Mapping[str, Result] | Sequence[Result]) -> dict[str, Result]:
    if isinstance(outputs, Mapping):
        named = dict(outputs)
    elif isinstance(outputs, Result):
        raise TypeError("outputs: one result given; pass a list or a dict of two or more.")
    else:
        named = {}
        for result in outputs:
            _sequences("outputs", result)
            name = result.info["attribution_method"]
            again = sum(other.info["attribution_method"] == name for other in named.values())
            named[f"{name} {again + 1}" if again else name] = result
    if len(named) < 2:
        raise ValueError(f"outputs: {len(named)} given; it takes two results to compare.")
    return named


def _sequences(name: str, result: Result) -> list[FeatureAttributionSequenceOutput]:
    if isinstance(result, FeatureAttributionSequenceOutput):
        return [result]
    if isinstance(result, FeatureAttributionOutput):
        return list(result)
    raise TypeError(
        f"outputs: {name!r} is a {type(result).__name__}; an output of attribute(…), or one "
        "sequence of it, works."
    )


def _check_comparable(
    sequences: Mapping[str, Sequence[FeatureAttributionSequenceOutput]], *, signed: bool
) -> None:
    first, *others = sequences
    if not sequences[first]:
        raise ValueError(f"outputs: {first!r} has no sequences; there is nothing to compare.")
    for other in others:
        ours, theirs = sequences[first], sequences[other]
        if len(ours) != len(theirs):
            raise ValueError(
                f"outputs: {first!r} has {len(ours)} sequences and {other!r} {len(theirs)}."
            )
        for number, pair in enumerate(zip(ours, theirs, strict=True)):
            among = f" (sequence {number})" if len(ours) > 1 else ""
            check_same_tokens(*pair, (f"{first!r}{among}", f"{other!r}{among}"))
    if not signed:
        return
    without = [name for name, of in sequences.items() if not all(s.info["signed"] for s in of)]
    if without:
        raise ValueError(
            f"signed: the scores of {', '.join(without)} have no sign; signed=False compares "
            "magnitudes."
        )
