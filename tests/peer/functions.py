"""Plain formulas of a step's logits as step functions of Inseq's, to be explained by its methods.

Where Inseq cannot explain a function of its own, or computes another formula, the definition is
given to it this way. What belongs to the contrastive side is a constant that the test computes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Lists = list[list[float]]


def _logits(args: Any) -> Tensor:
    return args.attribution_model.output2logits(args.forward_output)


def _target(args: Any, values: Tensor) -> Tensor:
    return values.gather(-1, args.target_ids.reshape(len(values), 1))[:, 0]


def _foil(args: Any, values: Tensor, foils: list[int]) -> Tensor:
    return values[:, foils[args.decoder_input_ids.shape[1]]]


def surprise(args: Any) -> Tensor:
    """Minus the logarithm of the target's probability."""
    return -_target(args, _logits(args).log_softmax(-1))


def exponential(args: Any) -> Tensor:
    """Perplexity with one base: exp of minus the logarithm."""
    return torch.exp(surprise(args))


def foil_logit(args: Any, foils: list[int]) -> Tensor:
    """Logit of the foil, which `foils` lists by position."""
    return _foil(args, _logits(args), foils)


def foil_probability(args: Any, foils: list[int]) -> Tensor:
    """Probability of the foil."""
    return _foil(args, _logits(args).softmax(-1), foils)


def logit_difference(args: Any, foils: list[int]) -> Tensor:
    """Logit of the target less the foil's."""
    return _target(args, _logits(args)) - foil_logit(args, foils)


def probability_difference(args: Any, foils: list[int]) -> Tensor:
    """Probability of the target less the foil's."""
    return _target(args, _logits(args).softmax(-1)) - foil_probability(args, foils)


def information(args: Any, foils: list[int]) -> Tensor:
    """Bits by which the target is more probable than the foil (Yin et al., 2021)."""
    return -evidence(args, foils) / math.log(2)


def evidence(args: Any, foils: list[int]) -> Tensor:
    """Nats by which the foil is more probable than the target (Lu et al., 2023)."""
    logarithms = _logits(args).log_softmax(-1)
    return _foil(args, logarithms, foils) - _target(args, logarithms)


def divergence(args: Any, others: Lists) -> Tensor:
    """KL divergence from the constant distributions whose logits `others` lists by position."""
    ours = _logits(args).log_softmax(-1)
    other = torch.tensor(others[args.decoder_input_ids.shape[1]], dtype=ours.dtype)
    return (ours.exp() * (ours - other.log_softmax(-1))).sum(-1)


FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "surprise": surprise,
    "exponential": exponential,
    "foil_logit": foil_logit,
    "foil_probability": foil_probability,
    "logit_difference": logit_difference,
    "probability_difference": probability_difference,
    "information": information,
    "evidence": evidence,
    "divergence": divergence,
}
