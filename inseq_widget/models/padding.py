"""Puts texts of different length into one tensor, and takes their rows out again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from inseq_widget.models.example import Example
from inseq_widget.results import Token


def filling_id(tokenizer: PreTrainedTokenizerBase, embed: Callable[[Tensor], Tensor]) -> int:
    """Choose an id to fill up with, whose embedding is not all zeros.

    That of a padding token often is, and models that divide by the size of hidden states then
    have no gradient there.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerBase
    embed : callable
        Gives the embeddings of ids.

    Returns
    -------
    int
        The padding token's if it will do, else that of another special token.
    """
    special = [tokenizer.pad_token_id, *sorted(tokenizer.all_special_ids)]
    ids = [token_id for token_id in special if isinstance(token_id, int)] or [0]
    embedded = embed(torch.tensor(ids))
    usable = embedded.flatten(1).any(1).tolist()
    return next((number for number, fits in zip(ids, usable, strict=True) if fits), ids[0])


def right_padded(
    rows: Sequence[Sequence[Token]], padding_id: int, width: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Make ids and attention mask of token rows.

    Parameters
    ----------
    rows : sequence of sequence of Token, (batch, token)
    padding_id : int
    width : int
        Number of positions, at least that of the longest row.
    device : torch.device

    Returns
    -------
    ids, mask : torch.Tensor, (batch, position)
        The mask is 1 at tokens and 0 at padding.
    """
    ids = torch.full((len(rows), width), padding_id, dtype=torch.long)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = torch.tensor([token.id for token in row])
        mask[number, : len(row)] = 1
    return ids.to(device), mask.to(device)


def step_ids(
    examples: Sequence[Example], n_steps: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Give the ids of the tokens that are explained.

    Parameters
    ----------
    examples : sequence of Example, (batch,)
    n_steps : int
        Only so many of each text.
    device : torch.device

    Returns
    -------
    ids : torch.Tensor of int, (batch, step)
    mask : torch.Tensor of bool, (batch, step)
        False where a shorter text has no such step.
    """
    ids = torch.zeros(len(examples), n_steps, dtype=torch.long)
    mask = torch.zeros(len(examples), n_steps, dtype=torch.bool)
    for number, example in enumerate(examples):
        steps = example.target[example.start : example.end][:n_steps]
        ids[number, : len(steps)] = torch.tensor([token.id for token in steps])
        mask[number, : len(steps)] = True
    return ids.to(device), mask.to(device)


def predicting_rows(examples: Sequence[Example], n_steps: int, device: torch.device) -> Tensor:
    """Give the decoder position that predicts each step, (batch, step).

    Parameters
    ----------
    examples : sequence of Example, (batch,)
    n_steps : int
        Only so many of each text.
    device : torch.device

    Returns
    -------
    torch.Tensor of int, (batch, step)
    """
    rows = torch.zeros(len(examples), n_steps, dtype=torch.long)
    for number, example in enumerate(examples):
        count = min(example.n_steps, n_steps)
        rows[number, :count] = torch.arange(example.start - 1, example.start - 1 + count)
    return rows.to(device)


def rows_of(hidden: Tensor, rows: Tensor) -> Tensor:
    """Take some positions of each text.

    Parameters
    ----------
    hidden : torch.Tensor, (batch, position, feature)
    rows : torch.Tensor of int, (batch, step)

    Returns
    -------
    torch.Tensor, (batch, step, feature)
    """
    index = rows.to(hidden.device)[:, :, None].expand(-1, -1, hidden.shape[-1])
    return hidden.gather(1, index)
