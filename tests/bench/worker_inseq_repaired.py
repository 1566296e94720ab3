"""Inseq with its value zeroing repaired, which fails on layers that give a tensor, not a tuple."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from messages import Job
from torch import Tensor, nn
from worker import serve
from worker_inseq import InseqSubject

Hook = Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]


class Zeroing(Protocol):
    """What the repair needs of Inseq's method."""

    clean_block_output_states: dict[int, Tensor]
    corrupted_block_output_states: dict[int, Tensor]


class RepairedSubject(InseqSubject):
    """Inseq, with the hook that reads and patches a layer's output written for tensors."""

    def __init__(self, job: Job) -> None:
        from inseq.attr.feat.ops.value_zeroing import (  # type: ignore[import-not-found]
            ValueZeroing,
        )

        ValueZeroing.get_states_extract_and_patch_hook = _patching
        super().__init__(job)


def _patching(zeroing: Zeroing, block_idx: int, hidden_state_idx: int = 0) -> Hook:
    def hook(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        zeroing.corrupted_block_output_states[block_idx] = output.float().detach().cpu()
        return zeroing.clean_block_output_states[block_idx].to(output.device)

    return hook


if __name__ == "__main__":
    serve(RepairedSubject)
