"""Free generation: the ids that a model writes, kept as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor
from transformers.generation.utils import GenerateDecoderOnlyOutput

from inseq_widget.models.state import left_untouched

if TYPE_CHECKING:
    from inseq_widget.models.traceable import TraceableModel

# Keywords that would change what comes back, and with it what is explained.
_RESERVED = ("input_ids", "inputs", "inputs_embeds", "attention_mask", "streamer")


def generated_ids(
    traceable: TraceableModel,
    rows: Sequence[Sequence[int]],
    generation_args: Mapping[str, object],
) -> list[list[int]]:
    """Let the model write.

    Parameters
    ----------
    traceable : TraceableModel
    rows : sequence of sequence of int, (text, token)
        Prompts of a decoder-only model, padded on the left, where the text goes on at the right;
        or sources, padded on the right, where their positions begin at the left.
    generation_args : mapping
        Keywords of ``generate``, such as ``max_new_tokens`` or ``num_beams``.

    Returns
    -------
    list of list of int, (text, token)
        For a decoder-only model the new ids alone, else the decoder's ids from its start token
        on; up to and including the first end-of-sequence token.

    Raises
    ------
    ValueError
        For keywords that cannot be combined with attribution, or an empty generation.
    """
    _check(generation_args)
    model, tokenizer = traceable.model, traceable.tokenizer
    generation_config = model.generation_config
    end_ids = _as_list(generation_args.get("eos_token_id", generation_config.eos_token_id))
    if not end_ids and tokenizer.eos_token_id is not None:
        end_ids = [tokenizer.eos_token_id]
    padding_id = generation_config.pad_token_id
    if padding_id is None:
        padding_id = tokenizer.pad_token_id
    if padding_id is None:
        padding_id = end_ids[0] if end_ids else 0
    decoder_only = traceable.architecture == "decoder_only"
    width = max(len(row) for row in rows)
    ids = torch.full((len(rows), width), padding_id, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for number, row in enumerate(rows):
        place = slice(width - len(row), None) if decoder_only else slice(0, len(row))
        ids[number, place] = torch.tensor(row)
        mask[number, place] = 1
    generate = cast("Callable[..., Tensor | GenerateDecoderOnlyOutput]", model.generate)
    keywords: dict[str, object] = {"pad_token_id": padding_id, **generation_args}
    with left_untouched(model), torch.no_grad():
        written = generate(
            input_ids=ids.to(traceable.device), attention_mask=mask.to(traceable.device), **keywords
        )
    sequences = written if isinstance(written, Tensor) else written.sequences
    n_before = width if decoder_only else 1
    special = set(tokenizer.all_special_ids)
    results = []
    for number, sequence in enumerate(sequences.tolist()):
        new = _up_to_end(sequence[n_before:], set(end_ids))
        if all(token_id in special for token_id in new):
            raise ValueError(
                f"generation_args: the model generated nothing for text {number} "
                f"({tokenizer.decode(list(rows[number]))!r}); try min_new_tokens, a larger "
                "max_new_tokens, or give the target with generated_texts."
            )
        results.append(new if decoder_only else [sequence[0], *new])
    return results


def _check(generation_args: Mapping[str, object]) -> None:
    reserved = [name for name in _RESERVED if name in generation_args]
    if reserved:
        raise ValueError(
            f"generation_args: {', '.join(reserved)} cannot be set, the input texts make them."
        )
    if generation_args.get("num_return_sequences", 1) != 1:
        raise ValueError(
            "generation_args: num_return_sequences must be 1; to explain several continuations "
            "give them with generated_texts."
        )


def _as_list(value: object) -> list[int]:
    if value is None:
        return []
    if isinstance(value, int):
        return [value]
    assert isinstance(value, list), f"eos_token_id: {value!r} is neither int nor list"
    return value


def _up_to_end(ids: list[int], end_ids: set[int]) -> list[int]:
    for position, token_id in enumerate(ids):
        if token_id in end_ids:
            return ids[: position + 1]
    return ids
