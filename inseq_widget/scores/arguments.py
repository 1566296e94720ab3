"""What a step function sees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from torch import Tensor


class WrittenForInseqError(AttributeError):
    """A step function reads what Inseq gives it: it sees one position of a batch."""


@dataclass(frozen=True)
class StepFunctionArgs:
    """What a step function sees: all steps at once, of one text or of many.

    Attributes
    ----------
    logits : torch.Tensor, (..., vocabulary)
        What the model predicted at each step.
    target_ids : torch.Tensor of int, (...)
        The tokens that stand there.
    contrast_logits : torch.Tensor or None, (..., vocabulary)
        What the model predicted at the same place under the contrastive input. For an attributed
        function these are ``logits`` again, so that only the token differs, unless
        ``contrast_force_inputs`` is set.
    contrast_target_ids : torch.Tensor of int or None, (...)
        The contrastive tokens that could have stood there.
    dropout_logits : callable or None
        Gives ``logits`` of so many runs of the untouched text with dropout on,
        (run, ..., vocabulary), once where the rows are perturbed runs of one text.
    """

    logits: Tensor
    target_ids: Tensor
    contrast_logits: Tensor | None = None
    contrast_target_ids: Tensor | None = None
    dropout_logits: Callable[[int], Tensor] | None = None

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            """Tell a function that was written for Inseq by what it reads."""
            if name in ("forward_output", "attribution_model", "is_attributed_fn"):
                raise WrittenForInseqError(name)
            raise AttributeError(
                f"{name}: step functions see {', '.join(self.__dataclass_fields__)}."
            )

    def contrasted(self) -> StepFunctionArgs:
        """Give the contrastive side as arguments of its own.

        Returns
        -------
        StepFunctionArgs

        Raises
        ------
        ValueError
            When nothing was given to contrast with.
        """
        if self.contrast_logits is None or self.contrast_target_ids is None:
            raise ValueError(
                "contrast_targets: a contrastive step function compares with another text; pass "
                "contrast_targets, or contrast_sources for an encoder-decoder model."
            )
        return StepFunctionArgs(self.contrast_logits, self.contrast_target_ids)
