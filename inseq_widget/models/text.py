"""The one place where token ids become text: pieces, surfaces, special marks and words."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from inseq_widget.results import Side, Token
from inseq_widget.results.words import with_words

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# Decoding starts this many tokens early, so that a piece is decoded beside its neighbours.
_CONTEXT = 4


def tokens_of_ids(
    tokenizer: PreTrainedTokenizerBase,
    ids: Sequence[int],
    side: Side,
    *,
    first_position: int = 0,
    context: Sequence[int] = (),
) -> list[Token]:
    """Make tokens of ids, each with what it adds to the decoded text.

    The ids are never tokenised again: a token's text is what decoding gives with it and not
    without it. Where several tokens make one character, the last of them has the character and
    the others an empty text.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerBase
    ids : sequence of int, (token,)
    side : {"source", "prompt", "target"}
    first_position : int, default 0
        Position of the first token among the tokens of its stack.
    context : sequence of int
        Ids that stand before ``ids``: the first token's text depends on them.

    Returns
    -------
    list of Token, (token,)
    """
    special_ids = set(tokenizer.all_special_ids) | _added_special_ids(tokenizer)
    pieces = tokenizer.convert_ids_to_tokens(list(ids))
    tokens = [
        Token(
            piece=str(piece),
            id=int(token_id),
            text=str(piece) if token_id in special_ids else text,
            position=first_position + number,
            side=side,
            special=token_id in special_ids,
            word=0,
        )
        for number, (piece, token_id, text) in enumerate(
            zip(pieces, ids, _surfaces(tokenizer, context, ids, special_ids), strict=True)
        )
    ]
    return with_words(tokens)


def _added_special_ids(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    added = tokenizer.added_tokens_decoder
    return {token_id for token_id, token in added.items() if token.special}


def _surfaces(
    tokenizer: PreTrainedTokenizerBase,
    context: Sequence[int],
    ids: Sequence[int],
    special_ids: set[int],
) -> list[str]:
    """Decode incrementally over a short window, so that the cost is linear in the length."""
    everything = [*context[-_CONTEXT:], *ids]
    offset = len(everything) - len(ids)
    surfaces = [""] * len(everything)
    window_start, shown = 0, 0  # tokens from window_start to shown are already in the text
    for position, token_id in enumerate(everything):
        if token_id in special_ids:
            window_start = shown = position + 1
            continue
        before = _decode(tokenizer, everything[window_start:shown])
        after = _decode(tokenizer, everything[window_start : position + 1])
        if after.endswith(_REPLACEMENT) and position + 1 < len(everything):
            continue  # a character that later tokens complete
        surfaces[position] = after[len(before) :]
        shown = position + 1
        window_start = max(window_start, _safe_start(shown, surfaces))
    return surfaces[offset:]


def _safe_start(shown: int, surfaces: list[str]) -> int:
    """Choose where decoding starts next: early enough, and not inside a character."""
    start = max(0, shown - _CONTEXT)
    while start > 0 and not surfaces[start - 1]:
        start -= 1
    return start


def _decode(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    if not ids:
        return ""
    decoded = tokenizer.decode(
        list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
    )
    return str(decoded)
