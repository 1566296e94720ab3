"""Reads and checks what users give to attribute, before any work is done."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import cast

from inseq_widget.models import TextInput
from inseq_widget.models.chat import is_messages
from inseq_widget.scores import list_step_functions


def read_inputs(
    given: TextInput | Sequence[TextInput], *, may_be_empty: bool = False
) -> list[TextInput]:
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
            if not text.strip() and not (may_be_empty and not text):
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


def continues(asked: bool, targets: Sequence[str] | None, causal: bool) -> bool:
    """Say whether the targets are to be continued; refuse where there are none."""
    if asked and causal:
        warnings.warn(
            "generate_from_target_prefix: a decoder-only model goes on from its prompt, so this "
            "changes nothing; put the beginning into input_texts.",
            stacklevel=3,
        )
    elif asked and targets is None:
        raise ValueError(
            "generate_from_target_prefix: True given without generated_texts; pass how each "
            "target begins."
        )
    return asked and not causal


def without_strings(
    strings: Sequence[str], inputs: Sequence[TextInput], targets: Sequence[str] | None
) -> tuple[list[TextInput], list[str] | None]:
    """Take special tokens out of the texts; refuse messages, which are written with them."""

    def plain(text: str) -> str:
        for string in strings:
            text = text.replace(string, "")
        return text

    for number, text in enumerate(inputs):
        if not isinstance(text, str):
            raise ValueError(
                f"skip_special_tokens: text {number} is messages, which the chat template writes "
                "with special tokens; leave it out, or give a text."
            )
        if text and not plain(text).strip():
            raise ValueError(
                f"skip_special_tokens: text {number} is {text!r}, special tokens alone; "
                "there must be something to read."
            )
    return (
        [plain(text) for text in inputs if isinstance(text, str)],
        None if targets is None else [plain(text) for text in targets],
    )


def check_flags(**flags: object) -> None:
    """Refuse what is neither True nor False."""
    for argument, value in flags.items():
        if not isinstance(value, bool):
            raise TypeError(f"{argument}: {value!r} given; pass True or False.")


def check_generation_args(given: Mapping[str, object] | None) -> None:
    """Refuse generation keywords that are no mapping."""
    if given is not None and not isinstance(given, Mapping):
        raise TypeError(
            f"generation_args: a {type(given).__name__} given; "
            "pass a dict such as {'max_new_tokens': 20}."
        )


def forced_without_generating(given: Mapping[str, object], forced: bool) -> Mapping[str, object]:
    """Give the generation keywords that have an effect; warn of others beside forced targets."""
    if forced and given:
        warnings.warn(
            f"generation_args: {sorted(given)} have no effect on forced targets; "
            "leave out generated_texts or generation_args.",
            stacklevel=3,
        )
        return {}
    return given


def check_count(argument: str, value: int | None) -> None:
    """Refuse what is not an integer of at least 1."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ValueError(f"{argument}: {value!r} given; it must be an integer of at least 1.")


def check_position(argument: str, value: int | None) -> None:
    """Refuse what is not an integer."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise TypeError(f"{argument}: {value!r} given; it must be an integer.")
