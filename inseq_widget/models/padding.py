"""Puts texts of different length into one tensor, and takes their rows out again."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from inseq_widget.results import Token


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
