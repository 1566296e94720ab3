"""Step functions of what the model predicted: a number for each step, of all steps at once."""

from __future__ import annotations

import torch
from torch import Tensor

from inseq_widget.models.precision import at_least_single
from inseq_widget.scores.arguments import StepFunctionArgs
from inseq_widget.scores.registering import register


@register
def logit(args: StepFunctionArgs) -> Tensor:
    """Logit of the target.

    Parameters
    ----------
    args : StepFunctionArgs

    Returns
    -------
    torch.Tensor, (...)
    """
    return args.logits.gather(-1, args.target_ids[..., None])[..., 0]


@register(aggregate={"spans": "prod"})
def probability(args: StepFunctionArgs, logprob: bool = False) -> Tensor:
    """Probability of the target, the softmax of the logits.

    Parameters
    ----------
    args : StepFunctionArgs
    logprob : bool, default False
        Give its natural logarithm.

    Returns
    -------
    torch.Tensor, (...)
        Between 0 and 1, or at most 0.
    """
    (logarithm,) = log_probabilities(args.logits, args.target_ids)
    return logarithm if logprob else torch.exp(logarithm)


def log_probabilities(logits: Tensor, *ids: Tensor) -> list[Tensor]:
    """Give the logarithms of the probabilities of tokens, of one distribution normalised once.

    Parameters
    ----------
    logits : torch.Tensor, (..., vocabulary)
    *ids : torch.Tensor of int, (...)

    Returns
    -------
    list of torch.Tensor, each (...)
    """
    logits = at_least_single(logits)
    normaliser = torch.logsumexp(logits, dim=-1)
    return [logits.gather(-1, each[..., None])[..., 0] - normaliser for each in ids]


@register(aggregate={"spans": "sum"})
def entropy(args: StepFunctionArgs) -> Tensor:
    """Entropy of what the model predicted, whatever the target is.

    Parameters
    ----------
    args : StepFunctionArgs

    Returns
    -------
    torch.Tensor, (...)
        In nats.
    """
    logarithms = torch.log_softmax(at_least_single(args.logits), -1)
    # What cannot be predicted adds nothing, though its logarithm is minus infinity; filled before
    # the product, so that its gradient is nothing, too.
    finite = logarithms.masked_fill(logarithms.isneginf(), 0.0)
    return -(logarithms.exp() * finite).sum(-1)


@register(aggregate={"spans": "sum"})
def crossentropy(args: StepFunctionArgs) -> Tensor:
    """Cross-entropy: minus the natural logarithm of the target's probability.

    Parameters
    ----------
    args : StepFunctionArgs

    Returns
    -------
    torch.Tensor, (...)
        In nats.
    """
    return -probability(args, logprob=True)


@register(aggregate={"spans": "prod"})
def perplexity(args: StepFunctionArgs) -> Tensor:
    """Perplexity of the target: the exponential of its cross-entropy.

    Parameters
    ----------
    args : StepFunctionArgs

    Returns
    -------
    torch.Tensor, (...)
        At least 1.
    """
    return torch.exp(crossentropy(args))


@register(explained=False)
def top_p_size(args: StepFunctionArgs, top_p: float = 0.9) -> Tensor:
    """Size of the nucleus: how many of the most probable tokens have ``top_p`` in all.

    Holtzman, Buys, Du, Forbes and Choi, 2020, section 3.1. It is a count, and has no gradient.

    Parameters
    ----------
    args : StepFunctionArgs
    top_p : float, default 0.9
        Above 0, at most 1.

    Returns
    -------
    torch.Tensor, (...)
    """
    check_share("top_p", top_p)
    shares = torch.softmax(at_least_single(args.logits), -1).sort(-1, descending=True).values
    counted = shares > 0
    if top_p < 1:  # the sum of all of them is 1 up to rounding only
        # A token counts as long as those before it fall short.
        counted &= shares.cumsum(-1) - shares < top_p
    return counted.sum(-1).to(shares.dtype)


@register(aggregate={"spans": "prod"})
def mc_dropout_prob_avg(
    args: StepFunctionArgs, n_mcd_steps: int = 5, logprob: bool = False
) -> Tensor:
    """How far the probability of the target stands from those under dropout, in deviations.

    Monte Carlo dropout, Gal and Ghahramani, 2016: ``(p - mean) / standard deviation`` over runs
    of the untouched text with dropout on. As the attributed function, mean and deviation are
    constants. Without dropout there is no deviation, and the score is missing (NaN).

    Parameters
    ----------
    args : StepFunctionArgs
    n_mcd_steps : int, default 5
        How many runs, at least 2.
    logprob : bool, default False
        Take the logarithm of probabilities.

    Returns
    -------
    torch.Tensor, (...)

    Raises
    ------
    ValueError
        For fewer runs than two, or when it is to be differentiated and there is no deviation.
    """
    if isinstance(n_mcd_steps, bool) or not isinstance(n_mcd_steps, int) or n_mcd_steps < 2:
        raise ValueError(f"n_mcd_steps: {n_mcd_steps!r} given; a deviation takes at least 2 runs.")
    assert args.dropout_logits is not None, "attribute gives the means to run with dropout"
    noisy = args.dropout_logits(n_mcd_steps)
    # Rows that are runs of one text have its tokens, and its dropout runs stand for all of them.
    ids = args.target_ids[: noisy.shape[1]].expand(noisy.shape[:-1])
    values = probability(StepFunctionArgs(noisy, ids), logprob).detach()
    deviation = values.std(0)
    missing = deviation == 0
    clean = probability(args, logprob)
    if clean.requires_grad and missing.all():
        raise ValueError(
            "attributed_fn: 'mc_dropout_prob_avg' compares runs with dropout, and the model "
            "predicts the same in all of them; its configuration has no dropout."
        )
    scores = (clean - values.mean(0)) / deviation.masked_fill(missing, 1.0)
    return scores.masked_fill(missing, torch.nan)


def check_share(argument: str, value: object, *, whole: bool = True) -> None:
    """Refuse what is no share: a number above 0 and at most 1.

    Parameters
    ----------
    argument : str
    value : object
    whole : bool, default True
        Whether 1 is a share, too.

    Raises
    ------
    ValueError
    """
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 < value <= 1
        or (value == 1 and not whole)
    ):
        raise ValueError(
            f"{argument}: {value!r} given; it must be above 0 and "
            f"{'at most' if whole else 'below'} 1."
        )
