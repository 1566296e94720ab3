"""Aligns the words of two texts by what a sentence encoder makes of them.

Dou and Neubig, 2021, *Word Alignment by Fine-tuning Embeddings on Parallel Corpora*, section 2.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from inseq_widget.models.positions import position_limits
from inseq_widget.models.precision import at_least_single
from inseq_widget.models.state import left_untouched
from inseq_widget.results import Token
from inseq_widget.scores.alignment import paired

DEFAULT_LAYER = 8
EncoderInput = str | Path | tuple[PreTrainedModel, PreTrainedTokenizerBase]
Span = tuple[int, int]

# Both directions have to give a pair more than this share.
_LEAST_SHARE = 1e-3
_WORD = re.compile(r"\w+|[^\w\s]+")


@dataclass(frozen=True)
class AlignmentEncoder:
    """A sentence encoder that tells which words of two texts belong together.

    Attributes
    ----------
    model : PreTrainedModel
        An encoder; of an encoder-decoder model, that part.
    tokenizer : PreTrainedTokenizerBase
        One that gives the offsets of its tokens.
    layer : int
        The layer whose output is compared; 0 is what the embeddings give.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    layer: int = DEFAULT_LAYER

    def aligned(self, target: Sequence[Token], contrast: Sequence[Token]) -> list[int]:
        """Pair the tokens of two texts whose words belong together, and the others from the ends.

        Of several counterparts the first counts that no earlier token has.

        Parameters
        ----------
        target, contrast : sequence of Token

        Returns
        -------
        list of int, (target,)
            The contrastive position of each target position; negative where there is none.

        Raises
        ------
        ValueError
            For a text that is too long for the encoder.
        """
        sides = [_Side(target), _Side(contrast)]
        pairs = [
            (position, place)
            for first, second in sorted(self.word_pairs(sides[0].text, sides[1].text))
            for position in sides[0].tokens_in(first)
            for place in sides[1].tokens_in(second)
        ]
        special = [
            [n for n, token in enumerate(side) if token.special] for side in (target, contrast)
        ]
        if len(special[0]) == len(special[1]):
            pairs += zip(*special, strict=True)
        return paired(len(target), len(contrast), pairs)

    def word_pairs(self, first: str, second: str) -> list[tuple[Span, Span]]:
        """Find the words of two texts that belong together.

        Their tokens are compared by the dot product of hidden states; a pair counts where the
        softmax over either text gives it more than 0.001, and words where any of their tokens do.

        Parameters
        ----------
        first, second : str

        Returns
        -------
        list of tuple
            Where the words of each pair begin and end in their texts, in order.
        """
        (ours, our_words), (theirs, their_words) = (self._hidden(t) for t in (first, second))
        products = ours @ theirs.T
        both = (products.softmax(-1) > _LEAST_SHARE) & (products.softmax(-2) > _LEAST_SHARE)
        found = {(our_words[n], their_words[m]) for n, m in both.nonzero().tolist()}
        return sorted(found)

    def _hidden(self, text: str) -> tuple[Tensor, list[Span]]:
        """Give the hidden states of a text's tokens, (token, feature), and their words."""
        encoded = self.tokenizer(text, return_offsets_mapping=True, return_tensors="pt")
        offsets: list[Span] = [(int(a), int(b)) for a, b in encoded.pop("offset_mapping")[0]]
        n_tokens, limit = len(offsets), self._most_tokens
        if n_tokens > limit:
            raise ValueError(
                f"alignment_encoder: {_shortened(text)!r} has {n_tokens} of the encoder's tokens, "
                f"which reads {limit}; pass contrast_targets_alignments as pairs, or leave out "
                "the encoder."
            )
        word_at = {
            character: word.span()
            for word in _WORD.finditer(text)
            for character in range(*word.span())
        }
        # Marks of a beginning and an end have no characters, and belong to no word.
        words = [
            next((word_at[n] for n in range(*offset) if n in word_at), None) for offset in offsets
        ]
        rows = [n for n, word in enumerate(words) if word is not None]
        with left_untouched(self.model), torch.no_grad():
            ids, mask = (encoded[k].to(self.model.device) for k in ("input_ids", "attention_mask"))
            output = self.model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        states = at_least_single(output.hidden_states[self.layer][0, rows])
        return states.cpu(), [word for word in words if word is not None]

    @property
    def _most_tokens(self) -> int:
        limits = position_limits({"source": self.model})
        return min(
            limits.get("source", self.tokenizer.model_max_length), self.tokenizer.model_max_length
        )


class _Side:
    """A text made of tokens, with the place of each."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.text = ""
        self._spans: list[Span] = []
        for token in tokens:
            # What a special token separates stays apart.
            added = " " if token.special else token.text
            self._spans.append((len(self.text), len(self.text) + len(added)))
            self.text += added
        for n in range(len(tokens) - 2, -1, -1):
            if not tokens[n].text:  # part of a character that the next one completes
                self._spans[n] = self._spans[n + 1]
        self._special = [token.special for token in tokens]

    def tokens_in(self, word: Span) -> list[int]:
        """List the tokens that have characters of a word."""
        return [
            n
            for n, (start, end) in enumerate(self._spans)
            if start < word[1] and word[0] < end and not self._special[n]
        ]


def read_encoder(given: EncoderInput | None, layer: int | None) -> AlignmentEncoder | None:
    """Load a sentence encoder, or take one that is loaded; refuse what cannot align.

    Parameters
    ----------
    given : str, path, (PreTrainedModel, PreTrainedTokenizerBase) or None
    layer : int or None
        The layer to compare; 8 where None.

    Returns
    -------
    AlignmentEncoder or None

    Raises
    ------
    TypeError, ValueError
    """
    if given is None:
        if layer is not None:
            raise ValueError(
                f"alignment_layer: {layer!r} given, but no alignment_encoder that has layers."
            )
        return None
    model, tokenizer = _model_and_tokenizer(given)
    if model.config.is_encoder_decoder:
        model = model.get_encoder()
    if not tokenizer.is_fast:
        raise ValueError(
            f"alignment_encoder: {type(tokenizer).__name__} does not tell where its tokens stand "
            "in a text; pass a fast tokenizer."
        )
    chosen = DEFAULT_LAYER if layer is None else layer
    n_layers = int(model.config.num_hidden_layers)
    if isinstance(chosen, bool) or not isinstance(chosen, int) or not 0 <= chosen <= n_layers:
        raise ValueError(
            f"alignment_layer: {chosen!r} {'given' if layer is not None else 'is the default'}, "
            f"but the encoder has {n_layers} layers; choose 1 to {n_layers}, or 0 for its "
            "embeddings."
        )
    return AlignmentEncoder(model, tokenizer, chosen)


def _model_and_tokenizer(given: EncoderInput) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    if isinstance(given, str | Path):
        try:
            tokenizer = AutoTokenizer.from_pretrained(given)
            return AutoModel.from_pretrained(given).eval(), tokenizer
        except (OSError, ValueError) as error:
            raise ValueError(
                f"alignment_encoder: {str(given)!r} could not be loaded as an encoder with its "
                f"tokenizer: {error}"
            ) from error
    if isinstance(given, PreTrainedModel):
        raise TypeError(
            f"alignment_encoder: a {type(given).__name__} without its tokenizer given; pass "
            "both as (model, tokenizer)."
        )
    parts = given if isinstance(given, tuple) else ()
    if (
        len(parts) != 2
        or not isinstance(parts[0], PreTrainedModel)
        or not isinstance(parts[1], PreTrainedTokenizerBase)
    ):
        kinds = ", ".join(type(part).__name__ for part in parts)
        raise TypeError(
            f"alignment_encoder: {f'({kinds})' if kinds else repr(given)} given; pass a hub id, a "
            "folder, or a loaded encoder with its tokenizer as (model, tokenizer)."
        )
    return parts[0], parts[1]


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else text[:59] + "…"
