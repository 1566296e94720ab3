"""Between ids, tokens and texts, with a model's tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeGuard

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from inseq_widget.models import TraceableModel
from inseq_widget.models.text import tokens_of_ids
from inseq_widget.results import Token

Ids = Tensor | Sequence[int] | Sequence[Sequence[int]]


class Conversions:
    """Gives a model the conversions of its tokenizer, under Inseq's names."""

    _traceable: TraceableModel

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The model's tokenizer."""
        return self._traceable.tokenizer

    @property
    def special_tokens(self) -> list[str]:
        """The tokenizer's special tokens."""
        return list(self.tokenizer.all_special_tokens)

    @property
    def special_tokens_ids(self) -> list[int]:
        """Their ids."""
        return list(self.tokenizer.all_special_ids)

    def convert_ids_to_tokens(
        self, ids: Ids, skip_special_tokens: bool = True, decode_tokens: bool = False
    ) -> list[str] | list[list[str]]:
        """Give the vocabulary entries of ids.

        Parameters
        ----------
        ids : torch.Tensor or sequence of int, (batch, token) or (token,)
        skip_special_tokens : bool, default True
        decode_tokens : bool, default False
            Give what each token adds to the text, in place of its entry.

        Returns
        -------
        list of str, (token,), or list of list of str, (batch, token)
        """
        rows = [self.pieces(row, skip_special_tokens, decode_tokens) for row in id_rows(ids)]
        return rows if _are_rows(ids) else rows[0]

    def pieces(
        self, ids: Sequence[int], skip_special_tokens: bool = True, decode_tokens: bool = False
    ) -> list[str]:
        """Give the vocabulary entries, or the texts, of the ids of one text, (token,)."""
        tokens = tokens_of_ids(self.tokenizer, ids, "target")
        return [
            token.text if decode_tokens else token.piece
            for token in tokens
            if not (skip_special_tokens and token.special)
        ]

    def convert_tokens_to_ids(self, tokens: Any) -> Any:
        """Give the ids of vocabulary entries.

        Parameters
        ----------
        tokens : str, sequence of str, (token,), or sequence of sequence of str, (batch, token)

        Returns
        -------
        int, list of int or list of list of int
            As deep as it was given.
        """
        if isinstance(tokens, str) or are_texts(tokens):
            known = tokens if isinstance(tokens, str) else list(tokens)
            return self.tokenizer.convert_tokens_to_ids(known)
        return [self.convert_tokens_to_ids(row) for row in tokens]

    def convert_tokens_to_string(
        self, tokens: Any, skip_special_tokens: bool = True, as_targets: bool = False
    ) -> Any:
        """Join vocabulary entries to a text.

        Parameters
        ----------
        tokens : sequence of str, (token,), or sequence of sequence of str, (batch, token)
        skip_special_tokens : bool, default True
        as_targets : bool, default False
            Without effect: current tokenizers read source and target alike.

        Returns
        -------
        str or list of str
        """
        if not len(tokens):
            return ""
        if are_texts(tokens):
            special = set(self.special_tokens) if skip_special_tokens else set()
            kept = [token for token in tokens if token not in special]
            return self.tokenizer.convert_tokens_to_string(kept)
        return [self.convert_tokens_to_string(row, skip_special_tokens) for row in tokens]

    def convert_string_to_tokens(
        self, text: Any, skip_special_tokens: bool = True, as_targets: bool = False
    ) -> Any:
        """Cut a text into vocabulary entries.

        Parameters
        ----------
        text : str, or sequence of str, (batch,)
        skip_special_tokens : bool, default True
            Add no special tokens, and leave out those of the text.
        as_targets : bool, default False
            Cut it as a target.

        Returns
        -------
        list of str, (token,), or list of list of str, (batch, token)
        """
        if not isinstance(text, str):
            return [
                self.convert_string_to_tokens(each, skip_special_tokens, as_targets)
                for each in text
            ]
        given = {"text_target" if as_targets else "text": text}
        ids = self.tokenizer(**given, add_special_tokens=not skip_special_tokens)["input_ids"]
        return self.pieces(ids, skip_special_tokens)

    def clean_tokens(
        self, tokens: Any, skip_special_tokens: bool = False, as_targets: bool = False
    ) -> Any:
        """Give tokens without the tokenizer's marks; what is nothing without them stays.

        Parameters
        ----------
        tokens : sequence of str or Token, (token,), or a sequence of those, (batch, token)
        skip_special_tokens : bool, default False
            Leave special tokens out.
        as_targets : bool, default False
            Without effect: current tokenizers read source and target alike.

        Returns
        -------
        list of str or Token, (token,), or list of those, (batch, token)
        """
        if not all(isinstance(token, str | Token) for token in tokens):
            return [self.clean_tokens(row, skip_special_tokens) for row in tokens]
        special = set(self.special_tokens)
        return [
            self._clean(token, special)
            for token in tokens
            if not (skip_special_tokens and _piece(token) in special)
        ]

    def _clean(self, token: str | Token, special: set[str]) -> str | Token:
        piece = _piece(token)
        text = piece if piece in special else self.tokenizer.convert_tokens_to_string([piece])
        clean = str(text) or piece
        return clean if isinstance(token, str) else replace(token, piece=clean)


def _piece(token: str | Token) -> str:
    return token if isinstance(token, str) else token.piece


def are_texts(given: object) -> TypeGuard[Sequence[str]]:
    """Say whether something is a list of strings."""
    return isinstance(given, list | tuple) and all(isinstance(each, str) for each in given)


def id_rows(ids: Ids) -> list[list[int]]:
    """Give ids, of one text or several, as a list for each text.

    Raises
    ------
    ValueError
        For a tensor of another number of dimensions.
    """
    rows: Any = ids.tolist() if isinstance(ids, Tensor) else list(ids)
    if isinstance(ids, Tensor) and ids.dim() not in (1, 2):
        raise ValueError(
            f"ids: a tensor of the shape {tuple(ids.shape)} given; pass (batch, token) or (token,)."
        )
    rows = [row.tolist() if isinstance(row, torch.Tensor) else row for row in rows]
    return [list(row) for row in rows] if _are_rows(ids) else [list(rows)]


def _are_rows(ids: Ids) -> bool:
    return ids.dim() > 1 if isinstance(ids, Tensor) else bool(ids) and not isinstance(ids[0], int)
