"""Tokens that could have stood at a step, named by text, by id, or by what the model predicts."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from enum import Enum

import torch
from torch import Tensor

from inseq_widget.models import Example, TraceableModel
from inseq_widget.models.text import tokens_of_ids
from inseq_widget.results import Token
from inseq_widget.results.alternatives import AlternativeToken


class Foil(Enum):
    """A foil that is found rather than named.

    Attributes
    ----------
    MOST_LIKELY
        The most probable token other than the one that stands at the step.
    """

    MOST_LIKELY = "most likely"


FoilToken = str | int | Token | AlternativeToken | Foil
"""What can stand at a step in place of its token: a text, an id, a token, or one to be found."""

# The frames from a warning up to the caller of attribute.
_TO_THE_CALLER = 5


def tokens_at_steps(
    model: TraceableModel, example: Example, number: int, given: Mapping[int, FoilToken] | Foil
) -> list[Token | Foil]:
    """Find the token that each step of a text is contrasted with.

    Parameters
    ----------
    model : TraceableModel
    example : Example
    number : int
        Its place among all texts.
    given : mapping of int to foil, or Foil
        By step, negative ones from the end; or for every step.

    Returns
    -------
    list of Token or Foil, (step,)
        The step's own token where none was given.

    Raises
    ------
    ValueError
        For a step that is not there, or a foil that is not one token of the vocabulary.
    """
    n_steps = example.n_steps
    if isinstance(given, Foil):
        return [given] * n_steps
    foils: dict[int, Token | Foil] = {}
    for step, foil in given.items():
        if not -n_steps <= step < n_steps:
            raise ValueError(
                f"contrast_targets: step {step} given; text {number} has the steps 0 to "
                f"{n_steps - 1}, or -{n_steps} to -1 from the end."
            )
        if step % n_steps in foils:
            raise ValueError(
                f"contrast_targets: step {step % n_steps} of text {number} is given twice, counted "
                "from the beginning and from the end; give it once."
            )
        foils[step % n_steps] = _token(model, example, step % n_steps, number, foil)
    own = example.target[example.start : example.end]
    for step, found in foils.items():
        if isinstance(found, Token) and found.id == own[step].id:
            # No error: who lets the model write cannot know beforehand what it will.
            warnings.warn(
                f"contrast_targets: {found.label!r} at step {step} of text {number} is the token "
                "that stands there, so it differs from its foil by nothing.",
                stacklevel=_TO_THE_CALLER,
            )
    return [foils.get(step, token) for step, token in enumerate(own)]


def most_likely_ids(logits: Tensor, target_ids: Tensor) -> Tensor:
    """Find the most probable tokens other than those that stand there.

    Parameters
    ----------
    logits : torch.Tensor, (..., vocabulary)
    target_ids : torch.Tensor of int, (...)

    Returns
    -------
    torch.Tensor of int, (...)
    """
    return logits.detach().scatter(-1, target_ids[..., None], -torch.inf).argmax(-1)


def token_at(model: TraceableModel, example: Example, step: int, token_id: int) -> Token:
    """Make the token that an id would be at a step of a text.

    Parameters
    ----------
    model : TraceableModel
    example : Example
    step : int
    token_id : int

    Returns
    -------
    Token
        In the step's position, with the text that it adds to what comes before.
    """
    position = example.start + step
    before = [token.id for token in example.target[:position]]
    (token,) = tokens_of_ids(
        model.tokenizer, [token_id], "target", first_position=position, context=before
    )
    return token


def _token(
    model: TraceableModel, example: Example, step: int, number: int, foil: FoilToken
) -> Token | Foil:
    if isinstance(foil, Foil):
        return foil
    if isinstance(foil, str):
        return _token_of_text(model, example, step, number, foil)
    if isinstance(foil, AlternativeToken):
        foil = foil.token
    token_id = foil.id if isinstance(foil, Token) else foil
    largest = _largest_id(model)
    if not 0 <= token_id <= largest or model.tokenizer.convert_ids_to_tokens(token_id) is None:
        raise ValueError(
            f"contrast_targets: id {token_id} at step {step} of text {number} is not in the "
            f"vocabulary, which has ids from 0 to {largest}."
        )
    return token_at(model, example, step, token_id)


def _largest_id(model: TraceableModel) -> int:
    """Find the largest id that both the tokenizer and the output head know."""
    largest = max(model.tokenizer.get_vocab().values())
    head = model.model.get_output_embeddings()
    weight = getattr(head, "weight", None)
    return min(largest, len(weight) - 1) if isinstance(weight, Tensor) else largest


def _token_of_text(
    model: TraceableModel, example: Example, step: int, number: int, text: str
) -> Token:
    """Find the one token that adds a text at a step, with a space before it or without."""
    written: list[list[int]] = []
    for spelling in _spellings(example, step, text):
        for ids in _written(model, example, step, spelling):
            if len(ids) == 1 and ids[0] <= _largest_id(model):
                token = token_at(model, example, step, ids[0])
                if token.text == spelling:
                    return token
            written.append(ids)
    parts = tokens_of_ids(model.tokenizer, written[0], "target")
    shown = ", ".join(f"{(part.text or part.piece)!r} (id {part.id})" for part in parts)
    raise ValueError(
        f"contrast_targets: {text!r} at step {step} of text {number} is not one token there but "
        f"{shown}; pass the id of the first of them, or a whole text to contrast with."
    )


def _spellings(example: Example, step: int, text: str) -> list[str]:
    """Say how a text may be meant at a step: with a space before it or without."""
    place = example.start + step
    before = "".join(token.text for token in example.target[:place] if not token.special)
    bare = text.lstrip()
    if not before or not bare:
        return [text, bare] if bare else [text]  # some tokenizers write no space at the beginning
    if bare != text:
        return [text]
    own = example.target[place]
    continues = own.text[:1].isalnum() and not own.special
    begins_word = bare[0].isalnum() and not continues and not before[-1].isspace()
    spaced = f" {bare}"
    return [spaced, bare] if begins_word else [bare, spaced]


def _written(model: TraceableModel, example: Example, step: int, text: str) -> list[list[int]]:
    """Tokenise a text as it would stand at a step: after its prefix, alone, as one entry."""
    prefix: Sequence[Token] = example.target[: example.start + step]
    last = max((n for n, token in enumerate(prefix, 1) if token.special), default=0)
    prefix = prefix[last:]
    ids = _ids(model, "".join(token.text for token in prefix) + text)
    before = [token.id for token in prefix]
    ways = [ids[len(before) :]] if ids[: len(before)] == before else []
    entry = model.tokenizer.convert_tokens_to_ids(text)
    alone = [_ids(model, text), [entry] if isinstance(entry, int) else []]
    return [way for way in [*ways, *alone] if way]


def _ids(model: TraceableModel, text: str) -> list[int]:
    """Tokenise a text of the side that the model writes, without adding special tokens."""
    tokenizer = model.tokenizer
    if model.architecture == "decoder_only":
        encoded = tokenizer(text, add_special_tokens=False)
    else:
        encoded = tokenizer(text_target=text, add_special_tokens=False)
    ids: list[int] = encoded["input_ids"]
    return ids
