"""Calls step functions that were written for Inseq, which see one position of a batch."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from torch import Tensor

from inseq_widget.scores.arguments import StepFunctionArgs, WrittenForInseqError
from inseq_widget.scores.registering import StepFunction

# What functions in Inseq see of the inputs of one step.
_OF_ONE_STEP = (
    "encoder_input_ids",
    "encoder_input_embeds",
    "encoder_attention_mask",
    "decoder_input_ids",
    "decoder_input_embeds",
    "decoder_attention_mask",
)


@dataclass(frozen=True)
class ForwardOutput:
    """What a model predicted, in the form of transformers.

    Attributes
    ----------
    logits : torch.Tensor, (row, 1, vocabulary)
    """

    logits: Tensor


@dataclass(frozen=True)
class InseqStepArgs:
    """What a step function sees in Inseq. Here its rows are all steps of all texts.

    Attributes
    ----------
    attribution_model : AttributionModel
    forward_output : ForwardOutput
        Of the position that predicts each row's step.
    target_ids : torch.Tensor of int, (row,)
    is_attributed_fn : bool
        Whether the function is explained, and not only reported.
    """

    attribution_model: object
    forward_output: ForwardOutput
    target_ids: Tensor
    is_attributed_fn: bool

    def __getattr__(self, name: str) -> Tensor:
        """Say why there are no inputs.

        Raises
        ------
        AttributeError
        """
        if name in _OF_ONE_STEP:
            raise AttributeError(
                f"{name}: a step function sees all steps at once, so there are no inputs of one "
                "step; compare with another text by contrast_targets and a contrastive function, "
                "such as 'contrast_prob_diff'."
            )
        raise AttributeError(
            f"{name}: there are attribution_model, forward_output.logits, target_ids and "
            "is_attributed_fn."
        )


def adapted(
    function: StepFunction, attribution_model: object, *, is_attributed_fn: bool
) -> StepFunction:
    """Let a step function read its arguments in either form.

    Parameters
    ----------
    function : callable
        Of :class:`StepFunctionArgs`, or one that reads ``args.forward_output`` or
        ``args.attribution_model``, as in Inseq.
    attribution_model : AttributionModel
    is_attributed_fn : bool

    Returns
    -------
    callable
        Of :class:`StepFunctionArgs`, with the function's own keywords.
    """

    @functools.wraps(function)
    def either(args: StepFunctionArgs, **keywords: object) -> Tensor:
        try:
            return function(args, **keywords)
        except WrittenForInseqError:
            pass
        n_rows = args.target_ids.numel()
        rows = InseqStepArgs(
            attribution_model,
            ForwardOutput(args.logits.reshape(n_rows, 1, args.logits.shape[-1])),
            args.target_ids.reshape(n_rows),
            is_attributed_fn,
        )
        values = function(rows, **keywords)
        if isinstance(values, Tensor) and values.shape == (n_rows,):
            return values.reshape(args.target_ids.shape)
        return values

    return either
