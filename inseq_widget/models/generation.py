"""Free generation: the ids that a model writes, kept as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList
from transformers.generation.utils import GenerateDecoderOnlyOutput
from transformers.utils.generic import ModelOutput

from inseq_widget.models.batching import equally_long
from inseq_widget.models.faults import broken_logits, forward_origin, not_numbers
from inseq_widget.models.state import left_untouched

if TYPE_CHECKING:
    from inseq_widget.models.traceable import TraceableModel

# Keywords that would change what comes back, and with it what is explained.
_RESERVED = (
    "input_ids",
    "inputs",
    "inputs_embeds",
    "attention_mask",
    "decoder_input_ids",
    "decoder_inputs_embeds",
    "encoder_outputs",
    "past_key_values",
    "streamer",
)


class _RefuseNaN(LogitsProcessor):
    """Ends a generation whose logits are not numbers, in place of writing whatever comes."""

    def __init__(self, traceable: TraceableModel) -> None:
        self._traceable = traceable
        self.source: Tensor | None = None

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        broken = broken_logits(scores)
        if broken.any():
            model = self._traceable.model
            row = int(broken.nonzero()[0])
            inputs = {"input_ids": input_ids[row : row + 1]}
            if self._traceable.architecture == "encoder_decoder":
                assert self.source is not None, "a source has been read"
                text = row // (len(scores) // len(self.source))  # a beam's text
                inputs = {
                    "input_ids": self.source[text : text + 1],
                    "decoder_input_ids": input_ids[row : row + 1],
                }
            origin = forward_origin(model, lambda: model(**inputs, use_cache=False))
            raise not_numbers("logits", "the next generated token", origin)
        return scores


def generated_ids(
    traceable: TraceableModel,
    rows: Sequence[Sequence[int]],
    generation_args: Mapping[str, object],
    batch_size: int | None = None,
    begun: Sequence[Sequence[int]] | None = None,
    outputs: list[ModelOutput] | None = None,
) -> list[list[int]]:
    """Let the model write.

    Only texts of equal length are generated together: nothing is padded, so that each gets what
    it gets alone, whatever the keywords say about lengths.

    Parameters
    ----------
    traceable : TraceableModel
    rows : sequence of sequence of int, (text, token)
        Prompts of a decoder-only model, or sources.
    generation_args : mapping
        Keywords of ``generate``, such as ``max_new_tokens`` or ``num_beams``.
    batch_size : int, optional
        How many texts may be generated together.
    begun : sequence of sequence of int, optional, (text, token)
        What the targets of an encoder-decoder model begin with, its start token included.
    outputs : list of ModelOutput, optional
        Is given what transformers gives for each batch.

    Returns
    -------
    list of list of int, (text, token)
        For a decoder-only model the new ids alone, else the decoder's ids from its start token
        on; up to and including the first end-of-sequence token.

    Raises
    ------
    ValueError
        For keywords that cannot be combined with attribution, an empty generation, or logits
        that are not numbers.
    """
    config = _check(generation_args) or traceable.model.generation_config
    end_ids, padding_id = _end_and_padding(traceable, generation_args, config)
    keywords = {**generation_args, "pad_token_id": padding_id}
    given = generation_args.get("logits_processor") or []
    assert isinstance(given, list), "logits_processor: a list of processors"
    if outputs is not None:
        keywords["return_dict_in_generate"] = True
    refusing = _RefuseNaN(traceable)
    keywords["logits_processor"] = LogitsProcessorList([*given, refusing])
    generate = cast(
        "Callable[..., Tensor | GenerateDecoderOnlyOutput]",
        traceable.model.generate,
    )
    traceable._check_prompts(rows)
    results: dict[int, list[int]] = {}
    with left_untouched(traceable.model), torch.no_grad():
        for batch in equally_long(rows, batch_size, begun):
            ids = torch.tensor([rows[number] for number in batch], device=traceable.device)
            refusing.source = ids
            n_before = ids.shape[1] if traceable.architecture == "decoder_only" else 1
            if begun is not None:
                targets = torch.tensor([begun[number] for number in batch], device=ids.device)
                keywords["decoder_input_ids"] = targets
                n_before = targets.shape[1]
            written = generate(input_ids=ids, attention_mask=torch.ones_like(ids), **keywords)
            sequences = written if isinstance(written, Tensor) else written.sequences
            if outputs is not None and not isinstance(written, Tensor):
                outputs.append(written)
            for number, sequence in zip(batch, sequences.tolist(), strict=True):
                new = _up_to_end(sequence[n_before:], end_ids, padding_id)
                _check_something(traceable, new, number, rows[number])
                start = [] if traceable.architecture == "decoder_only" else sequence[:n_before]
                results[number] = [*start, *new]
    return [results[number] for number in range(len(rows))]


def _end_and_padding(
    traceable: TraceableModel, generation_args: Mapping[str, object], config: GenerationConfig
) -> tuple[set[int], int]:
    tokenizer = traceable.tokenizer
    end_ids = _as_set(generation_args.get("eos_token_id", config.eos_token_id))
    if not end_ids:
        end_ids = _as_set(tokenizer.eos_token_id)
    choices = (
        generation_args.get("pad_token_id"),
        config.pad_token_id,
        tokenizer.pad_token_id,
        *sorted(end_ids),
    )
    return end_ids, next((choice for choice in choices if isinstance(choice, int)), 0)


def _check_something(
    traceable: TraceableModel, new: list[int], number: int, row: Sequence[int]
) -> None:
    special = set(traceable.tokenizer.all_special_ids)
    if all(token_id in special for token_id in new):
        raise ValueError(
            f"generation_args: the model generated nothing for text {number} "
            f"({traceable.tokenizer.decode(list(row))!r}); try min_new_tokens, a larger "
            "max_new_tokens, or give the target with generated_texts."
        )


def _check(generation_args: Mapping[str, object]) -> GenerationConfig | None:
    """Refuse what cannot be combined with attribution; give the user's configuration."""
    reserved = [name for name in _RESERVED if name in generation_args]
    if reserved:
        raise ValueError(
            f"generation_args: {', '.join(reserved)} cannot be set, the input texts make them."
        )
    config = generation_args.get("generation_config")
    if config is not None and not isinstance(config, GenerationConfig):
        raise TypeError(
            f"generation_args: generation_config is a {type(config).__name__}; "
            "pass a transformers.GenerationConfig."
        )
    returned = generation_args.get(
        "num_return_sequences", None if config is None else config.num_return_sequences
    )
    if returned not in (None, 1):
        raise ValueError(
            f"generation_args: num_return_sequences must be 1, {returned} given; to explain "
            "several continuations give them with generated_texts."
        )
    return config


def _as_set(value: object) -> set[int]:
    if value is None:
        return set()
    if isinstance(value, int):
        return {value}
    if isinstance(value, Tensor):
        return set(value.flatten().tolist())
    if isinstance(value, Iterable):
        return set(value)
    raise TypeError(f"generation_args: eos_token_id is {value!r}; pass an id or a list of ids.")


def _up_to_end(ids: list[int], end_ids: set[int], padding_id: int) -> list[int]:
    for position, token_id in enumerate(ids):
        if token_id in end_ids:
            return ids[: position + 1]
    # A text that was stopped before the others of its batch has been filled up.
    while ids and ids[-1] == padding_id:
        ids = ids[:-1]
    return ids
