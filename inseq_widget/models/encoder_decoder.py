"""Teacher forcing of an encoder-decoder model: source to the encoder, target to the decoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn
from transformers import PreTrainedModel

from inseq_widget.models.chat import is_messages
from inseq_widget.models.example import Example, explained_range, numbered
from inseq_widget.models.generation import generated_ids
from inseq_widget.models.padding import predicting_rows, right_padded
from inseq_widget.models.text import tokens_of_ids
from inseq_widget.models.trace import Batch, Stack
from inseq_widget.models.traceable import TextInput, TraceableModel


class EncoderDecoderModel(TraceableModel):
    """A sequence-to-sequence model: what it reads and what it writes have a stack each."""

    architecture = "encoder_decoder"

    def examples(
        self,
        inputs: Sequence[TextInput],
        generated_texts: Sequence[str] | None,
        generation_args: Mapping[str, object],
        window: tuple[int | None, int | None],
        batch_size: int | None,
        *,
        continued: bool = False,
    ) -> list[Example]:
        """See :meth:`TraceableModel.examples`."""
        texts = [self._text(given) for given in inputs]
        sources = [self.input_ids(given) for given in inputs]
        if generated_texts is None or continued:
            begun = [self._begun(text) for text in generated_texts or ()]
            written = generated_ids(self, sources, generation_args, batch_size, begun or None)
            targets = [self._wanted(ids) for ids in written]
        else:
            targets = [self.target_ids(text, "generated_texts") for text in generated_texts]
        examples = [
            self._example(source, target, window, text)
            for source, target, text in zip(sources, targets, texts, strict=True)
        ]
        self._check_lengths(examples)
        return numbered(examples)

    def contrast_example(
        self, example: Example, given: TextInput, source: str | None, target: str | None
    ) -> Example:
        """See :meth:`TraceableModel.contrast_example`."""
        source_tokens, target_tokens = example.source, example.target
        if source is not None:
            ids = self._source_ids(source)
            source_tokens = tuple(tokens_of_ids(self.tokenizer, ids, "source"))
        if target is not None:
            ids = self.target_ids(target, "contrast_targets")
            target_tokens = tuple(tokens_of_ids(self.tokenizer, ids, "target"))
        return Example(source_tokens, target_tokens, 1, 1, len(target_tokens))

    def input_ids(self, given: TextInput) -> list[int]:
        """See :meth:`TraceableModel.input_ids`."""
        return self._source_ids(self._text(given))

    def _source_ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=self.adds_special_tokens)[
            "input_ids"
        ]
        if not ids:
            raise ValueError(f"input_texts: the tokenizer makes no token of {text!r}.")
        return ids

    def _begun(self, text: str) -> list[int]:
        """Give the ids of a target that goes on, the start token first."""
        ids: list[int] = self.tokenizer(text_target=text, add_special_tokens=False)["input_ids"]
        start = self.start_id
        return ids if ids[:1] == [start] else [start, *ids]

    def target_ids(self, text: str, argument: str) -> list[int]:
        """See :meth:`TraceableModel.target_ids`."""
        ids: list[int] = self.tokenizer(
            text_target=text, add_special_tokens=self.adds_special_tokens
        )["input_ids"]
        if all(token_id in self.tokenizer.all_special_ids for token_id in ids):
            raise ValueError(f"{argument}: the tokenizer makes no token of {text!r} to explain.")
        start = self.start_id
        return ids if ids[:1] == [start] else [start, *ids]

    @property
    def start_id(self) -> int:
        """The id that every decoder input begins with: the one that ``generate`` begins with."""
        configurations = (
            self.model.generation_config,
            self.model.config,
            self.model.config.get_text_config(decoder=True),
        )
        for name in ("decoder_start_token_id", "bos_token_id"):
            for config in configurations:
                start = getattr(config, name, None)
                if isinstance(start, int):
                    return start
        raise ValueError(
            f"model: the configuration of {type(self.model).__name__} names no "
            "decoder_start_token_id and no bos_token_id; set one with "
            "model_kwargs={'decoder_start_token_id': ...}."
        )

    def _text(self, given: TextInput) -> str:
        if is_messages(given) or not isinstance(given, str):
            raise ValueError(
                "input_texts: messages need a chat model; "
                f"{type(self.model).__name__} is encoder-decoder, give its source as a text."
            )
        return given

    def _example(
        self,
        source: list[int],
        target: list[int],
        window: tuple[int | None, int | None],
        text: str,
    ) -> Example:
        source_tokens = tuple(tokens_of_ids(self.tokenizer, source, "source"))
        target_tokens = tuple(tokens_of_ids(self.tokenizer, target, "target"))
        start, end = explained_range(1, len(target), *window, text=text)
        return Example(source_tokens, target_tokens, 1, start, end)

    def _embedding_modules(self) -> list[tuple[Stack, nn.Module]]:
        return [
            ("source", _embedding_of(self.model.get_encoder())),
            ("target", _embedding_of(self.model.get_decoder())),
        ]

    def _batch(self, examples: Sequence[Example], n_steps: int, *, distinct: bool) -> Batch:
        visible = [min(e.end, e.start + n_steps) - 1 for e in examples]
        n_target = max(visible)
        n_source = max(len(example.source) for example in examples)
        # One masked position more changes no number and keeps the two lengths apart.
        n_source += distinct and n_source == n_target
        ids, mask = right_padded(
            [example.source for example in examples], self._padding_id, n_source, self.device
        )
        decoder_ids, _ = right_padded(
            [e.target[:n] for e, n in zip(examples, visible, strict=True)],
            self._padding_id,
            n_target,
            self.device,
        )
        return Batch(
            inputs={
                "input_ids": ids,
                "attention_mask": mask,
                "decoder_input_ids": decoder_ids,
            },
            rows=predicting_rows(examples, n_steps, self.device),
            n_source=n_source,
            n_target=n_target,
        )


def _embedding_of(stack: nn.Module) -> nn.Module:
    """Find the embedding module of an encoder or decoder, which some hold without an accessor."""
    if isinstance(stack, PreTrainedModel):
        return stack.get_input_embeddings()
    embedding = getattr(stack, "embed_tokens", None)
    if not isinstance(embedding, nn.Module):
        raise NotImplementedError(
            f"model: {type(stack).__name__} has no embedding of tokens that could be attributed."
        )
    return embedding
