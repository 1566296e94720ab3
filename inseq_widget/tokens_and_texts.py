"""What a model makes of texts: ids, tokens, embeddings, and texts that it writes."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils.generic import ModelOutput

from inseq_widget.arguments import check_count, check_flags, check_generation_args, read_inputs
from inseq_widget.conversions import Conversions, Ids, are_texts, id_rows
from inseq_widget.methods.baselines import baseline_id, own_baseline
from inseq_widget.models import Stack, TextInput
from inseq_widget.models.encoding import BatchEncoding, padded_rows
from inseq_widget.models.generation import generated_ids
from inseq_widget.models.placing import Device, place
from inseq_widget.scores import StepFunction, find_step_function


class TokensAndTexts(Conversions):
    """Gives a model what scripts ask of it beside attributions, under Inseq's names."""

    lock: threading.RLock
    attributed_fn: str | StepFunction

    @property
    def model(self) -> PreTrainedModel:
        """The transformers model."""
        return self._traceable.model

    @property
    def device(self) -> str:
        """Where the model is; setting it moves the model."""
        return str(self._traceable.device)

    @device.setter
    def device(self, device: Device) -> None:
        with self.lock:
            place(self.model, device, asked=True)

    @property
    def is_encoder_decoder(self) -> bool:
        """Whether source and target have a stack of layers each."""
        return self._traceable.architecture == "encoder_decoder"

    @property
    def tokenizer_name(self) -> str:
        """Name of the tokenizer: its hub id or folder, else its class."""
        return str(self.tokenizer.name_or_path or type(self.tokenizer).__name__)

    @property
    def info(self) -> dict[str, str]:
        """Names and classes of model and tokenizer."""
        return {
            "model_name": str(self.model.config.name_or_path or type(self.model).__name__),
            "model_class": type(self.model).__name__,
            "tokenizer_name": self.tokenizer_name,
            "tokenizer_class": type(self.tokenizer).__name__,
        }

    @property
    def default_attributed_fn_id(self) -> str:
        """Name of the step function that is explained by default; it can be changed."""
        return find_step_function(self.attributed_fn)[0]

    @default_attributed_fn_id.setter
    def default_attributed_fn_id(self, name: str) -> None:
        self.attributed_fn = find_step_function(name)[0]

    def get_attributed_fn(self, attributed_fn: str | StepFunction | None = None) -> StepFunction:
        """Give a step function by its name; the default one otherwise."""
        return find_step_function(attributed_fn or self.attributed_fn)[1].function

    @property
    def bos_token_id(self) -> int | None:
        """Id of the token that the decoder starts with; None where there is none."""
        try:
            return self._traceable.start_id
        except ValueError:
            return None

    @property
    def eos_token_id(self) -> int | None:
        """Id of the token that ends a text, the first of several; None where there is none."""
        named = self.model.config.eos_token_id
        named = self.tokenizer.eos_token_id if named is None else named
        first: int | None = named[0] if isinstance(named, list) else named
        return first

    @property
    def pad_token_id(self) -> int | None:
        """Id that texts are filled up with; the end of a text where there is none."""
        choices = (self.tokenizer.pad_token_id, self.model.config.pad_token_id, self.eos_token_id)
        return next((choice for choice in choices if isinstance(choice, int)), None)

    @property
    def bos_token(self) -> str | None:
        """The token of :attr:`bos_token_id`."""
        return self._token(self.bos_token_id)

    @property
    def eos_token(self) -> str | None:
        """The token of :attr:`eos_token_id`."""
        return self._token(self.eos_token_id)

    @property
    def pad_token(self) -> str | None:
        """The token of :attr:`pad_token_id`."""
        return self._token(self.pad_token_id)

    def _token(self, token_id: int | None) -> str | None:
        return None if token_id is None else str(self.tokenizer.convert_ids_to_tokens(token_id))

    def get_embedding_layer(self) -> nn.Module:
        """Give the module that embeds the ids of the input."""
        return self.model.get_input_embeddings()

    @property
    def vocabulary_embeddings(self) -> Tensor:
        """The weights of the embedding module, (token, feature)."""
        weight = self.get_embedding_layer().weight
        assert isinstance(weight, Tensor), "an embedding has a matrix of weights"
        return weight

    def get_encoder(self) -> nn.Module:
        """Give the encoder.

        Raises
        ------
        NotImplementedError
            For a decoder-only model.
        """
        if not self.is_encoder_decoder:
            raise NotImplementedError(f"{type(self.model).__name__} is decoder-only: no encoder.")
        encoder: nn.Module = self.model.get_encoder()
        return encoder

    def get_decoder(self) -> nn.Module:
        """Give the decoder; a decoder-only model is one."""
        decoder: nn.Module = self.model.get_decoder() if self.is_encoder_decoder else self.model
        return decoder

    @staticmethod
    def output2logits(forward_output: Any) -> Tensor:
        """Take the logits of the last position, (batch, vocabulary), of what a model gave."""
        logits: Tensor = forward_output.logits[:, -1]
        return logits

    def encode(
        self,
        texts: str | Sequence[str],
        as_targets: bool = False,
        return_baseline: bool = False,
        include_eos_baseline: bool = False,
        add_bos_token: bool = True,
        add_special_tokens: bool = True,
    ) -> BatchEncoding:
        """Tokenise texts as :meth:`attribute` does, and pad them together.

        Parameters
        ----------
        texts : str or sequence of str
        as_targets : bool, default False
            Tokenise as targets of an encoder-decoder model.
        return_baseline : bool, default False
            Give what methods with a baseline compare with, too.
        include_eos_baseline : bool, default False
            Let the baseline replace end-of-sequence tokens.
        add_bos_token : bool, default True
            Begin targets with the decoder's start token.
        add_special_tokens : bool, default True
            Let the tokenizer add its special tokens.

        Returns
        -------
        BatchEncoding
            Padded on the left for a decoder-only model, so that it can go on, else on the right.

        Raises
        ------
        ValueError, TypeError
            For what is no text, or targets of a decoder-only model.
        """
        reader = self._traceable
        reader = reader if add_special_tokens else reader.without_special_tokens()
        stack = self._stack(as_targets)
        inputs = read_inputs(texts, may_be_empty=not self.is_encoder_decoder)
        if as_targets:
            rows = [reader.target_ids(str(text), "texts") for text in inputs]
            rows = rows if add_bos_token else [row[1:] for row in rows]
        else:
            rows = [reader.input_ids(text) for text in inputs]
        ids, mask = padded_rows(
            rows, self.pad_token_id or 0, "right" if self.is_encoder_decoder else "left"
        )
        baselines = None
        if return_baseline:
            own = own_baseline(
                reader, ids, stack, include_eos_baseline, started=as_targets and add_bos_token
            )
            token_id = baseline_id(reader, "unk")
            assert token_id is not None, "the unknown token is a token"
            baselines = torch.where(own, ids, token_id)
        tokens = [self.pieces(row, skip_special_tokens=False) for row in ids.tolist()]
        return BatchEncoding(ids, mask, tokens, baselines).to(self.device)

    def decode(self, ids: Ids, skip_special_tokens: bool = True) -> list[str]:
        """Give the texts of ids.

        Parameters
        ----------
        ids : torch.Tensor or sequence of int, (batch, token) or (token,)
        skip_special_tokens : bool, default True

        Returns
        -------
        list of str, (batch,)
        """
        return [self._text(row, skip_special_tokens) for row in id_rows(ids)]

    def _text(self, ids: Sequence[int], skip_special_tokens: bool) -> str:
        text = self.tokenizer.decode(
            list(ids),
            skip_special_tokens=skip_special_tokens,
            clean_up_tokenization_spaces=False,
        )
        return str(text)

    def embed(
        self,
        inputs: str | Sequence[str] | Ids,
        as_targets: bool = False,
        add_special_tokens: bool = True,
    ) -> Tensor:
        """Embed texts, or ids.

        Parameters
        ----------
        inputs : str, sequence of str, or ids, (batch, token) or (token,)
        as_targets, add_special_tokens : bool
            See :meth:`encode`.

        Returns
        -------
        torch.Tensor, (batch, position, feature)
            What the embedding module gives; what methods differentiate by.
        """
        if isinstance(inputs, str) or are_texts(inputs):
            texts: Any = inputs
            encoded = self.encode(texts, as_targets, add_special_tokens=add_special_tokens)
            return self.embed_ids(encoded.input_ids, as_targets)
        ids: Any = inputs
        return self.embed_ids(ids if isinstance(ids, Tensor) else torch.tensor(ids), as_targets)

    def embed_ids(self, ids: Tensor, as_targets: bool = False) -> Tensor:
        """Embed ids.

        Parameters
        ----------
        ids : torch.Tensor of int, (...)
        as_targets : bool, default False
            With the decoder of an encoder-decoder model.

        Returns
        -------
        torch.Tensor, (..., feature)
        """
        stack = self._stack(as_targets)
        with self.lock:
            return self._traceable.embed(stack, ids)

    def _stack(self, as_targets: bool) -> Stack:
        if as_targets and not self.is_encoder_decoder:
            raise ValueError(
                f"as_targets: {type(self.model).__name__} is decoder-only: its targets stand in "
                "one row with the prompt, and are tokenised and embedded as inputs."
            )
        return "target" if as_targets or not self.is_encoder_decoder else "source"

    def generate(
        self,
        inputs: TextInput | Sequence[TextInput] | BatchEncoding,
        return_generation_output: bool = False,
        skip_special_tokens: bool | None = None,
        output_generated_only: bool = False,
        batch_size: int | None = None,
        generation_args: Mapping[str, object] | None = None,
        **kwargs: object,
    ) -> list[str] | tuple[list[str], list[ModelOutput]]:
        """Let the model write, without explaining.

        Parameters
        ----------
        inputs : str, messages, a sequence of them, or BatchEncoding
        return_generation_output : bool, default False
            Give also what transformers gives; each text is then generated alone.
        skip_special_tokens : bool, optional
            Leave special tokens out of the texts, and let the tokenizer add none when it is True.
            By default they are left out, except for one text of a decoder-only model, as in Inseq.
        output_generated_only : bool, default False
            Leave the prompt out, which the texts of a decoder-only model begin with.
        batch_size : int, optional
            How many texts are generated together.
        generation_args : mapping, optional
            Keywords of ``generate``, such as ``max_new_tokens``.
        **kwargs
            The same, by name.

        Returns
        -------
        texts : list of str, (text,)
        outputs : list of transformers.utils.ModelOutput, (text,)
            Only with ``return_generation_output``.

        Raises
        ------
        ValueError, TypeError
            For input that cannot be read, or when nothing is generated.
        """
        check_flags(
            return_generation_output=return_generation_output,
            skip_special_tokens=False if skip_special_tokens is None else skip_special_tokens,
            output_generated_only=output_generated_only,
        )
        check_count("batch_size", batch_size)
        check_generation_args(generation_args)
        reader = self._traceable.without_special_tokens() if skip_special_tokens else None
        reader = reader or self._traceable
        if isinstance(inputs, BatchEncoding):
            rows = inputs.rows()
        else:
            causal = not self.is_encoder_decoder
            rows = [reader.input_ids(each) for each in read_inputs(inputs, may_be_empty=causal)]
        if skip_special_tokens is None:
            skip_special_tokens = len(rows) > 1 or self.is_encoder_decoder
        keywords = {**(generation_args or {}), **kwargs}
        outputs: list[ModelOutput] = []
        with self.lock:
            if return_generation_output:
                written = [
                    generated_ids(reader, [row], keywords, outputs=outputs)[0] for row in rows
                ]
            else:
                written = generated_ids(reader, rows, keywords, batch_size)
        if not self.is_encoder_decoder and not output_generated_only:
            written = [[*row, *new] for row, new in zip(rows, written, strict=True)]
        texts = [self._text(ids, skip_special_tokens) for ids in written]
        return (texts, outputs) if return_generation_output else texts
