"""Contrastive step functions: what the model predicted, beside what it did or would elsewhere."""

from __future__ import annotations

import torch
from torch import Tensor

from inseq_widget.models.precision import at_least_single
from inseq_widget.scores.arguments import StepFunctionArgs
from inseq_widget.scores.registering import register
from inseq_widget.scores.step_functions import check_share, log_probabilities, logit, probability

_LN_2 = 0.6931471805599453


@register(contrastive=True, other_input_alone=True)
def contrast_logits(args: StepFunctionArgs) -> Tensor:
    """Logit of the contrastive target under the contrastive input.

    Parameters
    ----------
    args : StepFunctionArgs

    Returns
    -------
    torch.Tensor, (...)
    """
    return logit(args.contrasted())


@register(contrastive=True, other_input_alone=True, aggregate={"spans": "prod"})
def contrast_prob(args: StepFunctionArgs, logprob: bool = False) -> Tensor:
    """Probability of the contrastive target under the contrastive input.

    Parameters
    ----------
    args : StepFunctionArgs
    logprob : bool, default False
        Give its natural logarithm.

    Returns
    -------
    torch.Tensor, (...)
    """
    return probability(args.contrasted(), logprob)


@register(contrastive=True)
def contrast_logits_diff(args: StepFunctionArgs) -> Tensor:
    """Logit of the target less that of the contrastive target (Yin and Neubig, 2022).

    Parameters
    ----------
    args : StepFunctionArgs

    Returns
    -------
    torch.Tensor, (...)
    """
    return logit(args) - logit(args.contrasted())


@register(contrastive=True, aggregate={"spans": "prod"})
def contrast_prob_diff(args: StepFunctionArgs, logprob: bool = False) -> Tensor:
    """Probability of the target less that of the contrastive target.

    Parameters
    ----------
    args : StepFunctionArgs
    logprob : bool, default False
        Take the natural logarithm of both.

    Returns
    -------
    torch.Tensor, (...)
    """
    if args.contrast_logits is not args.logits or args.contrast_target_ids is None:
        return probability(args, logprob) - probability(args.contrasted(), logprob)
    # One distribution: a token less itself is then 0, and so is its gradient, to the last digit.
    target, contrast = log_probabilities(args.logits, args.target_ids, args.contrast_target_ids)
    return target - contrast if logprob else torch.exp(target) - torch.exp(contrast)


@register(contrastive=True, aggregate={"spans": "sum"})
def pcxmi(args: StepFunctionArgs) -> Tensor:
    """Pointwise contextual cross-mutual information (Yin et al., 2021, section 2.2).

    How much more probable the target is with a context than without it, where the regular input
    has the context and the contrastive one is without.

    Parameters
    ----------
    args : StepFunctionArgs

    Returns
    -------
    torch.Tensor, (...)
        In bits; positive where the context helps.
    """
    return contrast_prob_diff(args, logprob=True) / _LN_2


@register(contrastive=True)
def in_context_pvi(args: StepFunctionArgs) -> Tensor:
    """In-context pointwise V-usable information (Lu et al., 2023).

    How much more probable the target is with the input than without it, where the contrastive
    input has it and the regular one is without.

    Parameters
    ----------
    args : StepFunctionArgs

    Returns
    -------
    torch.Tensor, (...)
        In nats; positive where the input helps.
    """
    return -contrast_prob_diff(args, logprob=True)


@register(contrastive=True, needs_inputs=True, aggregate={"spans": "sum"})
def kl_divergence(
    args: StepFunctionArgs, top_k: int = 0, top_p: float = 1.0, min_tokens_to_keep: int = 1
) -> Tensor:
    """Divergence of the contrastive from the regular distribution (Kullback and Leibler, 1951).

    ``sum P (ln P - ln Q)``, where *P* is what the model predicts under the regular input and *Q*
    under the contrastive one. Filters keep the tokens that are probable by the product of both,
    and both are normalised over those.

    Parameters
    ----------
    args : StepFunctionArgs
    top_k : int, default 0
        Keep only so many tokens; 0 for all.
    top_p : float, default 1.0
        Keep only the most probable tokens that have this share; applied before ``top_k``.
    min_tokens_to_keep : int, default 1
        Keep at least so many.

    Returns
    -------
    torch.Tensor, (...)
        In nats, at least 0; infinite where the contrastive input rules out what is predicted.
    """
    check_share("top_p", top_p)
    for name, number, least in (
        ("top_k", top_k, 0),
        ("min_tokens_to_keep", min_tokens_to_keep, 1),
    ):
        if isinstance(number, bool) or not isinstance(number, int) or number < least:
            raise ValueError(
                f"{name}: {number!r} given; it must be an integer of at least {least}."
            )
    regular = at_least_single(args.logits)
    contrast = at_least_single(args.contrasted().logits)
    dropped = _unlikely(regular.detach() + contrast.detach(), top_k, top_p, min_tokens_to_keep)
    ours, theirs = (
        torch.log_softmax(logits.masked_fill(dropped, -torch.inf), -1)
        for logits in (regular, contrast)
    )
    # What is not predicted adds nothing, though its logarithm is minus infinity; filled before
    # the product, so that its gradient is nothing, too.
    nothing = ours.isneginf()
    differences = ours.masked_fill(nothing, 0.0) - theirs.masked_fill(nothing, 0.0)
    return (ours.exp() * differences).sum(-1)


def _unlikely(logits: Tensor, top_k: int, top_p: float, at_least: int) -> Tensor:
    """Say which tokens the filters drop, (..., vocabulary)."""
    at_least = min(at_least, logits.shape[-1])
    ordered, order = logits.sort(-1, descending=True)
    shares = torch.softmax(ordered, -1)
    dropped = (shares.cumsum(-1) - shares) >= top_p if top_p < 1 else torch.zeros_like(shares) > 0
    if top_k:
        dropped[..., max(top_k, at_least) :] = True
    dropped[..., :at_least] = False
    return torch.zeros_like(dropped).scatter(-1, order, dropped)
