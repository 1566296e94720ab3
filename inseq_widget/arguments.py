"""Reads and checks what users give to attribute, before any work is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard, cast

from inseq_widget.models import TextInput
from inseq_widget.models.chat import is_messages
from inseq_widget.scores import list_step_functions
from inseq_widget.scores.alignment import AUTO, Pairs
from inseq_widget.scores.contrast import ContrastRequest


def read_inputs(given: TextInput | Sequence[TextInput]) -> list[TextInput]:
    """Give the inputs as a list; refuse what is no text and no messages."""
    if isinstance(given, str) or is_messages(given):
        inputs = [cast("TextInput", given)]
    elif isinstance(given, Sequence) and not isinstance(given, bytes):
        inputs = [cast("TextInput", text) for text in given]
    else:
        raise TypeError(
            f"input_texts: a {type(given).__name__} given; pass a str, a list of str, "
            "or messages as a list of {'role': ..., 'content': ...}."
        )
    if not inputs:
        raise ValueError("input_texts: an empty list was given; pass at least one text.")
    for number, text in enumerate(inputs):
        if isinstance(text, str):
            if not text.strip():
                raise ValueError(
                    f"input_texts: text {number} is {text!r}; there must be something to read."
                )
        elif not is_messages(text):
            raise TypeError(
                f"input_texts: text {number} is a {type(text).__name__}; "
                "pass a str, or messages as a list of {'role': ..., 'content': ...}."
            )
    return inputs


def read_targets(
    given: str | Sequence[str] | None, inputs: Sequence[TextInput]
) -> list[str] | None:
    """Give the forced targets as a list, one for each input; refuse what is no text."""
    if given is None:
        return None
    if not isinstance(given, Sequence):
        raise TypeError(
            f"generated_texts: a {type(given).__name__} given; pass a str or a list of str."
        )
    targets = [given] if isinstance(given, str) else list(given)
    if len(targets) != len(inputs):
        raise ValueError(
            f"generated_texts: {len(targets)} given for {len(inputs)} input_texts; "
            "each input needs its own target."
        )
    for number, text in enumerate(targets):
        if not isinstance(text, str):
            raise TypeError(
                f"generated_texts: text {number} is a {type(text).__name__}; pass a str."
            )
        if not text.strip():
            raise ValueError(
                f"generated_texts: text {number} is {text!r}; there must be a token to explain."
            )
    return targets


def read_step_scores(given: str | Sequence[str]) -> list[str]:
    """Give the step functions to report as a list; refuse what is no list of them."""
    if not isinstance(given, Sequence):
        raise TypeError(
            f"step_scores: {given!r} given; pass a name or a list of names: "
            f"{', '.join(list_step_functions())}."
        )
    return [given] if isinstance(given, str) else list(given)


def read_contrast(
    n_texts: int,
    sources: str | Sequence[str] | None,
    targets: str | Sequence[str] | None,
    alignments: str | Sequence[Pairs] | Pairs | None,
    force_inputs: bool,
) -> ContrastRequest | None:
    """Give what to contrast with, text by text; None where there is nothing."""
    if not isinstance(force_inputs, bool):
        raise TypeError(f"contrast_force_inputs: {force_inputs!r} given; pass True or False.")
    both = [
        _texts("contrast_sources", sources, n_texts),
        _texts("contrast_targets", targets, n_texts),
    ]
    pairs = _alignments(alignments, n_texts)
    if both == [None, None]:
        for argument, given in (
            ("contrast_targets_alignments", alignments),
            ("contrast_force_inputs", force_inputs or None),
        ):
            if given is not None:
                raise ValueError(
                    f"{argument}: {given!r} given, but nothing to contrast with; "
                    "pass contrast_targets or contrast_sources, too."
                )
        return None
    return ContrastRequest(both[0], both[1], pairs, force_inputs)


def _texts(argument: str, given: str | Sequence[str] | None, count: int) -> list[str] | None:
    """Give one text for each input; refuse what is no text."""
    if given is None:
        return None
    texts = [given] if isinstance(given, str) else list(given) if _is_list(given) else []
    if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise TypeError(
            f"{argument}: {given!r} given; pass a text for each of the {count} input_texts."
        )
    if len(texts) != count:
        raise ValueError(
            f"{argument}: {len(texts)} given for {count} input_texts; each input needs its own."
        )
    return texts


def _alignments(
    given: str | Sequence[Pairs] | Pairs | None, count: int
) -> str | list[Pairs] | None:
    """Give the pairs of each text."""
    if given is None or given == AUTO:
        return given if given is None else AUTO
    wrong = (
        f'contrast_targets_alignments: {given!r} given; pass "auto", or pairs (target position, '
        f"contrastive position), a list of them for each of the {count} input_texts."
    )
    if isinstance(given, str) or not _is_list(given) or not given:
        raise TypeError(wrong)
    every: list[Any] = [given] if all(_is_pair(pair) for pair in given) else list(given)
    for pairs in every:
        if not _is_list(pairs) or not all(_is_pair(pair) for pair in pairs):
            raise TypeError(wrong)
    if len(every) != count:
        raise ValueError(
            f"contrast_targets_alignments: pairs for {len(every)} texts given for {count} "
            "input_texts; each input needs its own list."
        )
    return [[(int(first), int(second)) for first, second in pairs] for pairs in every]


def _is_list(given: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(given, Sequence) and not isinstance(given, bytes)


def _is_pair(given: object) -> bool:
    return (
        _is_list(given)
        and not isinstance(given, str)
        and len(given) == 2
        and all(isinstance(n, int) and not isinstance(n, bool) for n in given)
    )


def check_generation_args(given: Mapping[str, object] | None, *, forced: bool) -> None:
    """Refuse generation keywords that are no mapping, or have nothing to generate."""
    if given is not None and not isinstance(given, Mapping):
        raise TypeError(
            f"generation_args: a {type(given).__name__} given; "
            "pass a dict such as {'max_new_tokens': 20}."
        )
    if forced and given:
        raise ValueError(
            f"generation_args: {sorted(given)} have no effect on forced targets; "
            "leave out generated_texts or generation_args."
        )


def check_count(argument: str, value: int | None) -> None:
    """Refuse what is not an integer of at least 1."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ValueError(f"{argument}: {value!r} given; it must be an integer of at least 1.")


def check_position(argument: str, value: int | None) -> None:
    """Refuse what is not an integer."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise TypeError(f"{argument}: {value!r} given; it must be an integer.")
