"""What produced an attribution: model, method, arguments, time."""

from __future__ import annotations

from typing import Protocol, TypedDict


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
