"""Reads and checks what users give to attribute, before any work is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from inseq_widget.models import TextInput
from inseq_widget.models.chat import is_messages
from inseq_widget.scores import StepFunction, list_step_functions, resolve_step_function


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


def read_step_functions(given: str | Sequence[str]) -> dict[str, StepFunction]:
    """Find the step functions to report by their names; the probability is always there."""
    if not isinstance(given, Sequence):
        raise TypeError(
            f"step_scores: {given!r} given; pass a name or a list of names: "
            f"{', '.join(list_step_functions())}."
        )
    names = [given] if isinstance(given, str) else list(given)
    return dict(resolve_step_function(name) for name in ["probability", *names])


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
