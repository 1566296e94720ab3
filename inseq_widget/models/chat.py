"""Messages of a conversation as the text that a chat model reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from transformers import PreTrainedTokenizerBase


def is_messages(given: object) -> bool:
    """Say whether an input is a conversation: a list of ``{"role": …, "content": …}``."""
    return (
        isinstance(given, Sequence)
        and not isinstance(given, str)
        and len(given) > 0
        and all(isinstance(message, Mapping) for message in given)
    )


def as_text(tokenizer: PreTrainedTokenizerBase, given: str | Sequence[Mapping[str, str]]) -> str:
    """Give the text that the model reads.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerBase
    given : str or messages
        Messages go through the tokenizer's chat template, up to where the reply begins.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        For messages without role or content, or a tokenizer without chat template.
    """
    if isinstance(given, str):
        return given
    for number, message in enumerate(given):
        if not {"role", "content"} <= set(message):
            raise ValueError(
                f"input_texts: message {number} has the keys {sorted(message)}; "
                "each message needs 'role' and 'content'."
            )
        if not all(isinstance(message[key], str) for key in ("role", "content")):
            raise ValueError(
                f"input_texts: message {number} is {dict(message)!r}; "
                "'role' and 'content' must be texts."
            )
    if not tokenizer.chat_template:
        raise ValueError(
            f"input_texts: {type(tokenizer).__name__} has no chat template for messages; "
            "give the prompt as a text, or set tokenizer.chat_template."
        )
    messages = [dict(message) for message in given]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return str(text)
