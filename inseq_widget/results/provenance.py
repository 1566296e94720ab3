"""What produced an attribution: model, method, arguments, time."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypedDict

if TYPE_CHECKING:
    from typing_extensions import Self


class Info(TypedDict):
    """What produced an attribution.

    ``attributed_fn`` is None for a method that explains no output, such as attention.
    ``score_label`` says in words what a score is, ``signed`` whether it has a sign,
    ``exec_time`` is in seconds. ``method_args`` and ``generation_args`` are given in words.
    ``model_revision`` is the commit that the model was loaded from, None where it has none;
    ``versions`` are those of Python and of the packages that made the numbers. ``aggregation``
    lists in words what was aggregated since, the first first.
    """

    model_name: str
    model_revision: str | None
    model_class: str
    tokenizer_name: str
    tokenizer_class: str
    attribution_method: str
    method_args: dict[str, str]
    attributed_fn: str | None
    reduction: str
    score_label: str
    signed: bool
    step_scores: list[str]
    attribute_target: bool
    constrained_decoding: bool
    generation_args: dict[str, str]
    input_texts: list[str]
    generated_texts: list[str]
    exec_time: float
    versions: dict[str, str]
    aggregation: list[str]


class LiveModel(Protocol):
    """The model behind an output, as far as an output knows it: something to ask again."""

    @property
    def model_name(self) -> str:
        """Name of the model."""


class AsksModel:
    """Gives what has a live model copies that ask the same one, and pickles without it."""

    live_model: LiveModel | None

    def __copy__(self) -> Self:
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__)
        return new

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        new = object.__new__(type(self))
        memo[id(self)] = new
        memo[id(self.live_model)] = self.live_model
        new.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return new

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "live_model": None}


def info_of_texts(info: Info, numbers: Sequence[int], count: int) -> Info:
    """Take the part of some texts of an info, where it lists one text for each sequence.

    Parameters
    ----------
    info : Info
    numbers : sequence of int
        Of the sequences.
    count : int
        How many sequences there are.

    Returns
    -------
    Info
        Shares nothing with ``info``.
    """
    own = copy.deepcopy(info)
    if len(info["input_texts"]) == count:
        own["input_texts"] = [info["input_texts"][number] for number in numbers]
    if len(info["generated_texts"]) == count:
        own["generated_texts"] = [info["generated_texts"][number] for number in numbers]
    return own
