"""Teacher forcing of a decoder-only model: prompt and target in one row of tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import nn

from inseq_widget.models.chat import as_text, is_messages
from inseq_widget.models.example import Example, explained_range, numbered
from inseq_widget.models.generation import generated_ids
from inseq_widget.models.padding import predicting_rows, right_padded
from inseq_widget.models.text import tokens_of_ids
from inseq_widget.models.trace import Batch, Stack
from inseq_widget.models.traceable import TextInput, TraceableModel


class DecoderOnlyModel(TraceableModel):
    """A causal model: what it reads and what it writes stand in one row."""

    architecture = "decoder_only"

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
        """See :meth:`TraceableModel.examples`; a forced target begins with its prompt.

        For messages, the forced target is the assistant's reply alone. An empty prompt is the
        begin-of-sequence token.
        """
        assert not continued, "a forced target of a decoder-only model is continued as a prompt"
        texts = [as_text(self.tokenizer, given) for given in inputs]
        prompts = [text or self._start_token for text in texts]
        # A chat template writes its own special tokens.
        ready = [is_messages(given) for given in inputs]
        if generated_texts is None:
            rows = [self.input_ids(given) for given in inputs]
            written = generated_ids(self, rows, generation_args, batch_size)
            written = [self._wanted(ids) for ids in written]
            pairs = [(len(row), [*row, *more]) for row, more in zip(rows, written, strict=True)]
        else:
            wholes = [
                target if text or target.startswith(prompt) else f"{prompt} {target}"
                for text, prompt, target in zip(texts, prompts, generated_texts, strict=True)
            ]
            pairs = [
                self._forced(prompt, prompt + text if done else text, done)
                for prompt, text, done in zip(prompts, wholes, ready, strict=True)
            ]
        examples = [
            self._example(ids, n_prompt, window, prompt)
            for prompt, (n_prompt, ids) in zip(prompts, pairs, strict=True)
        ]
        self._check_lengths(examples)
        return numbered(examples)

    def contrast_example(
        self, example: Example, given: TextInput, source: str | None, target: str | None
    ) -> Example:
        """See :meth:`TraceableModel.contrast_example`."""
        if source is not None:
            raise ValueError(
                f"contrast_sources: {type(self.model).__name__} is decoder-only and has no source; "
                "put another prompt into contrast_targets."
            )
        assert target is not None, "something is contrasted with"
        ready = is_messages(given)
        ids = self._ids(as_text(self.tokenizer, given) + target if ready else target, ready)
        return Example((), tuple(tokens_of_ids(self.tokenizer, ids, "target")), 1, 1, len(ids))

    def _example(
        self, ids: list[int], n_prompt: int, window: tuple[int | None, int | None], prompt: str
    ) -> Example:
        tokens = tuple(
            replace(token, side="prompt") if token.position < n_prompt else token
            for token in tokens_of_ids(self.tokenizer, ids, "target")
        )
        start, end = explained_range(n_prompt, len(tokens), *window, text=prompt)
        return Example((), tokens, n_prompt, start, end)

    @property
    def start_id(self) -> int:
        """See :attr:`TraceableModel.start_id`."""
        named = (self.model.config.bos_token_id, self.tokenizer.bos_token_id)
        for start in named:
            if isinstance(start, int):
                return start
        raise ValueError(
            f"input_texts: {type(self.model).__name__} and its tokenizer name no begin-of-sequence "
            "token that could stand for an empty prompt; give a text."
        )

    @property
    def _start_token(self) -> str:
        return str(self.tokenizer.convert_ids_to_tokens(self.start_id))

    def input_ids(self, given: TextInput) -> list[int]:
        """See :meth:`TraceableModel.input_ids`."""
        text = as_text(self.tokenizer, given) or self._start_token
        return self._ids(text, is_messages(given))

    def target_ids(self, text: str, argument: str) -> list[int]:
        """See :meth:`TraceableModel.target_ids`; there are none."""
        raise ValueError(
            f"as_targets: {type(self.model).__name__} is decoder-only: its targets stand in one "
            "row with the prompt, and are tokenised as inputs."
        )

    def _doubled(self, ids: list[int]) -> bool:
        """Say whether a text that has its begin-of-sequence token already got another."""
        return len(ids) > 1 and ids[0] == ids[1] == self.tokenizer.bos_token_id

    def _ids(self, text: str, ready: bool) -> list[int]:
        ready = ready or not self.adds_special_tokens
        ids: list[int] = self.tokenizer(text, add_special_tokens=not ready)["input_ids"]
        if self._doubled(ids):
            ids = ids[1:]
        if not ids:
            raise ValueError(f"input_texts: the tokenizer makes no token of {text!r}.")
        eos = self.tokenizer.eos_token_id
        if not ready and len(ids) > 1 and ids[-1] == eos:
            plain: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
            # Some tokenizers end every text; what the user has not ended goes on.
            return ids if plain[-1:] == [eos] else ids[:-1]
        return ids

    def _forced(self, prompt: str, text: str, ready: bool) -> tuple[int, list[int]]:
        if not text.startswith(prompt):
            raise ValueError(
                f"generated_texts: {text!r} does not start with its prompt {prompt!r}; "
                "for a decoder-only model a forced target is the prompt and its continuation."
            )
        if len(text) == len(prompt):
            raise ValueError(
                f"generated_texts: {text!r} is the prompt alone; add the continuation to explain."
            )
        ids = self._ids(text, ready)
        n_prompt = self._n_prompt(prompt, text, ids, ready)
        if not 0 < n_prompt < len(ids):
            raise ValueError(
                f"generated_texts: the tokens of {text!r} leave "
                f"{'nothing before' if n_prompt == 0 else 'nothing after'} the prompt {prompt!r}; "
                "a token needs another one before it to be explained."
            )
        return n_prompt, ids

    def _n_prompt(self, prompt: str, text: str, ids: list[int], ready: bool) -> int:
        """Count the tokens of ``text`` that end within its prompt."""
        if not self.tokenizer.is_fast:
            return min(len(self._ids(prompt, ready)), len(ids) - 1)
        encoded = self.tokenizer(
            text,
            add_special_tokens=self.adds_special_tokens and not ready,
            return_offsets_mapping=True,
        )
        first = int(self._doubled(encoded["input_ids"]))
        spans = encoded["offset_mapping"][first:][: len(ids)]
        # The first token that reaches beyond the prompt is the first generated one.
        return next((n for n, (_, end) in enumerate(spans) if end > len(prompt)), len(ids))

    def _embedding_modules(self) -> list[tuple[Stack, nn.Module]]:
        return [("target", self.model.get_input_embeddings())]

    def _batch(self, examples: Sequence[Example], n_steps: int, *, distinct: bool) -> Batch:
        visible = [min(e.end, e.start + n_steps) - 1 for e in examples]
        ids, mask = right_padded(
            [e.target[:n] for e, n in zip(examples, visible, strict=True)],
            self._padding_id,
            max(visible),
            self.device,
        )
        return Batch(
            inputs={"input_ids": ids, "attention_mask": mask},
            rows=predicting_rows(examples, n_steps, self.device),
            n_source=None,
            n_target=max(visible),
        )
