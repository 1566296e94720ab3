"""Texts as ids, padded together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class BatchEncoding:
    """Texts as ids, padded together.

    Attributes
    ----------
    input_ids : torch.Tensor of int, (batch, position)
    attention_mask : torch.Tensor of int, (batch, position)
        1 at tokens and 0 at padding.
    input_tokens : list of list of str, (batch, position)
        The vocabulary entries.
    baseline_ids : torch.Tensor of int or None, (batch, position)
        What methods with a baseline compare with, where it was asked for.
    """

    input_ids: Tensor
    attention_mask: Tensor
    input_tokens: list[list[str]]
    baseline_ids: Tensor | None = None

    def __len__(self) -> int:
        return len(self.input_ids)

    @property
    def num_sequences(self) -> int:
        """Number of texts."""
        return len(self)

    def to(self, device: str | torch.device) -> BatchEncoding:
        """Give the same on a device."""
        baselines = None if self.baseline_ids is None else self.baseline_ids.to(device)
        return replace(
            self,
            input_ids=self.input_ids.to(device),
            attention_mask=self.attention_mask.to(device),
            baseline_ids=baselines,
        )

    def rows(self) -> list[list[int]]:
        """Give the ids of each text without padding, (text, token)."""
        return [
            ids[mask.bool()].tolist()
            for ids, mask in zip(self.input_ids, self.attention_mask, strict=True)
        ]


def padded_rows(
    rows: Sequence[Sequence[int]], padding_id: int, side: Literal["left", "right"]
) -> tuple[Tensor, Tensor]:
    """Make ids and attention mask of rows of different length.

    Parameters
    ----------
    rows : sequence of sequence of int, (batch, token)
    padding_id : int
    side : {"left", "right"}
        Where it is padded.

    Returns
    -------
    ids, mask : torch.Tensor of int, (batch, position)
    """
    width = max(map(len, rows))
    ids = torch.full((len(rows), width), padding_id, dtype=torch.long)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for number, row in enumerate(rows):
        place = slice(width - len(row), width) if side == "left" else slice(len(row))
        ids[number, place] = torch.tensor(row)
        mask[number, place] = 1
    return ids, mask
