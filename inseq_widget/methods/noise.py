"""Gradients averaged over random samples near the inputs, or between them and a baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from inseq_widget.methods.base import AttributionMethod, BatchScores, Job, register
from inseq_widget.methods.baselines import WithBaseline
from inseq_widget.methods.forward_points import values_at
from inseq_widget.methods.keywords import check_choice, check_number, check_whole
from inseq_widget.methods.multiplied import Multiplied
from inseq_widget.methods.points import Keep, Points, Text, each_text, summed_over_points
from inseq_widget.models import Stack, TraceableModel

# What a score is of the gradient.
_SMOOTHINGS = {
    "smoothgrad": "gradient",
    "smoothgrad_sq": "squared gradient",
    "vargrad": "variance of the gradient",
}
_ROWS_OF_VOCABULARY = 8192


@register
@dataclass(frozen=True)
class GradientShap(Multiplied, WithBaseline, AttributionMethod):
    """Gradient SHAP (Lundberg and Lee, 2017; Erion et al., 2021, as expected gradients).

    The score of feature *d* of input *i* at step *t* is the mean over samples of ``(x_id − x'_id)
    · ∂f_t(x' + α(x − x'))/∂x_id``, with *α* drawn evenly between 0 and 1 and noise added to *x*.

    Parameters
    ----------
    n_samples : int, default 5
        How many.
    stdevs : float, default 0.0
        Standard deviation of the normal noise that each sample adds to the embeddings.
    multiply_by_inputs : bool, default True
        Multiply the gradient by the difference between input and baseline.
    return_convergence_delta : bool, default False
        Report, as the step score ``deltas``, by how much the scores of a step, those that are
        multiplied by the difference, miss the mean difference in output between the samples'
        inputs and the baseline.
    seed : int, default 0
        Of the random numbers of each text.
    """

    name: ClassVar[str] = "gradient_shap"
    multiplied_label: ClassVar[str] = "mean gradient × (input − baseline), sum over features"
    alone_label: ClassVar[str] = "mean gradient between baseline and input, sum over features"
    signed: ClassVar[bool] = True
    reduction: ClassVar[str] = "sum"
    takes_gradients: ClassVar[bool] = True

    n_samples: int = 5
    stdevs: float = 0.0
    multiply_by_inputs: bool = True
    return_convergence_delta: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse keywords that cannot be meant."""
        check_whole("n_samples", self.n_samples, 1)
        check_number("stdevs", self.stdevs)
        check_whole("seed", self.seed, 0)

    def attribute(self, job: Job) -> BatchScores:
        """See :meth:`AttributionMethod.attribute`."""
        return each_text(job, self._explain)

    def _explain(self, text: Text, keep: Keep) -> dict[str, Tensor]:
        baselines = text.baselines(self)
        generator = torch.Generator().manual_seed(self.seed)
        alphas = torch.rand(self.n_samples, generator=generator, dtype=torch.float64)
        deviations = dict.fromkeys(text.embeddings, self.stdevs)
        inputs = noisy_inputs(text, self.n_samples, deviations, generator)
        samples = Interpolated(inputs, baselines, alphas, multiplied=self.multiply_by_inputs)
        totals = torch.zeros(text.example.n_steps, dtype=text.dtype)
        for window, sums in summed_over_points(text, samples, text.steps):
            means = {stack: total / self.n_samples for stack, total in sums.items()}
            multiplied = {stack: mean[..., -1] for stack, mean in means.items()}
            keep(window, {stack: mean[..., 0] for stack, mean in means.items()})
            totals[list(window)] = sum(
                (mean.sum((1, 2)).cpu() for mean in multiplied.values()),
                totals.new_zeros(len(window)),
            )
        if not self.return_convergence_delta:
            return {}
        above = text.own_values()
        if self.stdevs:
            ends = Interpolated(inputs, baselines, torch.ones(self.n_samples), multiplied=True)
            above = values_at(text, ends).mean(0)
        start = {stack: own[:1] for stack, own in inputs.items()}
        beginning = Interpolated(start, baselines, torch.zeros(1), multiplied=True)
        return {"deltas": totals - (above - values_at(text, beginning)[0]).to(totals)}


@register
@dataclass(frozen=True)
class SmoothGrad(AttributionMethod):
    """SmoothGrad (Smilkov et al., 2017, section 3), its square, and VarGrad (Adebayo et al., 2018).

    The score of feature *d* of input *i* at step *t* is the mean over samples of ``|∂f_t(x +
    ε)/∂x_id|`` with normal noise *ε*; the mean of its square; or its variance.

    Parameters
    ----------
    n_samples : int, default 10
        How many.
    stdevs : float, default 0.15
        Standard deviation of the noise as a share of the range of the embeddings: the largest
        value of any feature of any token of the vocabulary minus the smallest. The paper
        recommends 0.1 to 0.2.
    nt_type : {"smoothgrad", "smoothgrad_sq", "vargrad"}, default "smoothgrad"
        Mean, mean square or variance.
    abs : bool, default True
        Take the magnitude of each sample's gradient first; the paper averages them with their
        signs.
    seed : int, default 0
        Of the random numbers of each text.
    """

    name: ClassVar[str] = "smooth_grad"
    signed: ClassVar[bool] = False
    reduction: ClassVar[str] = "norm"
    takes_gradients: ClassVar[bool] = True

    n_samples: int = 10
    stdevs: float = 0.15
    nt_type: str = "smoothgrad"
    abs: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse keywords that cannot be meant."""
        check_choice("nt_type", self.nt_type, _SMOOTHINGS)
        check_whole("n_samples", self.n_samples, 1)
        check_number("stdevs", self.stdevs)
        check_whole("seed", self.seed, 0)

    @property
    def score_label(self) -> str:
        """See :class:`AttributionMethod`."""
        return f"{_SMOOTHINGS[self.nt_type]} over noisy inputs, norm over features"

    @property
    def is_signed(self) -> bool:
        """See :attr:`AttributionMethod.is_signed`; a square and a variance have none."""
        return super().is_signed and self.nt_type == "smoothgrad"

    def attribute(self, job: Job) -> BatchScores:
        """See :meth:`AttributionMethod.attribute`."""
        deviations = {stack: self.stdevs * _range(job.model, stack) for stack in job.stacks}

        def explain(text: Text, keep: Keep) -> dict[str, Tensor]:
            generator = torch.Generator().manual_seed(self.seed)
            inputs = noisy_inputs(text, self.n_samples, deviations, generator)
            samples = NoisyInputs(inputs, magnitude=self.abs)
            for window, sums in summed_over_points(text, samples, text.steps):
                keep(window, {stack: self._smooth(total) for stack, total in sums.items()})
            return {}

        return each_text(job, explain)

    def _smooth(self, sums: Tensor) -> Tensor:
        """Make scores of the sums of gradients and of their squares, (..., 2)."""
        mean, mean_square = (sums / self.n_samples).unbind(-1)
        if self.nt_type == "smoothgrad":
            return mean
        if self.nt_type == "smoothgrad_sq":
            return mean_square
        # A variance of nearly zero is rounded below it at times.
        return (mean_square - mean.square()).clamp(min=0)


class Interpolated(Points):
    """Points between baselines and noisy inputs, each sample at its own place.

    Parameters
    ----------
    inputs : dict of str to torch.Tensor, each (sample, position, feature)
    baselines : dict of str to torch.Tensor, each (position, feature)
    alphas : torch.Tensor, (sample,)
        0 at the baseline, 1 at the input.
    multiplied : bool
        Whether gradients are wanted only multiplied by the difference between input and baseline.
    """

    def __init__(
        self,
        inputs: dict[Stack, Tensor],
        baselines: dict[Stack, Tensor],
        alphas: Tensor,
        *,
        multiplied: bool,
    ) -> None:
        self.n_points = len(alphas)
        self._baselines = baselines
        self._alphas = alphas
        self._multiplied = multiplied
        self._directions: dict[Stack, Tensor] = {
            stack: noisy - baselines[stack] for stack, noisy in inputs.items()
        }

    def at(self, points: slice) -> dict[Stack, Tensor]:
        """See :meth:`Points.at`."""
        return {
            stack: self._baselines[stack]
            + self._alphas[points, None, None].to(direction) * direction[points]
            for stack, direction in self._directions.items()
        }

    def combine(self, stack: Stack, points: slice, gradients: Tensor) -> Tensor:
        """See :meth:`Points.combine`; what has been multiplied is last in the last dimension."""
        directions = self._directions[stack][points, : gradients.shape[2]]
        multiplied = torch.einsum("pif,spif->sif", directions, gradients)
        kept = [multiplied] if self._multiplied else [gradients.sum(1), multiplied]
        return torch.stack(kept, dim=-1)


class NoisyInputs(Points):
    """Noisy inputs, whose gradients and their squares are summed.

    Parameters
    ----------
    inputs : dict of str to torch.Tensor, each (sample, position, feature)
    magnitude : bool
        Whether gradients lose their signs before.
    """

    def __init__(self, inputs: dict[Stack, Tensor], *, magnitude: bool) -> None:
        self.n_points = len(next(iter(inputs.values())))
        self._inputs = inputs
        self._magnitude = magnitude

    def at(self, points: slice) -> dict[Stack, Tensor]:
        """See :meth:`Points.at`."""
        return {stack: noisy[points] for stack, noisy in self._inputs.items()}

    def combine(self, stack: Stack, points: slice, gradients: Tensor) -> Tensor:
        """See :meth:`Points.combine`; the last dimension holds sum and sum of squares."""
        taken = gradients.abs() if self._magnitude else gradients
        return torch.stack([taken.sum(1), taken.square().sum(1)], dim=-1)


def noisy_inputs(
    text: Text, n_samples: int, deviations: dict[Stack, float], generator: torch.Generator
) -> dict[Stack, Tensor]:
    """Add normal noise to a text's embeddings.

    Numbers are drawn for all tokens of the text, so that a step gets the same ones whatever
    range of steps is explained, and in double precision, whatever that of the model.

    Parameters
    ----------
    text : Text
    n_samples : int
    deviations : dict of str to float
        Standard deviation of the noise of every stack; none is drawn for zero.
    generator : torch.Generator

    Returns
    -------
    dict of str to torch.Tensor, each (sample, position, feature)
    """
    inputs: dict[Stack, Tensor] = {}
    for stack, own in text.embeddings.items():
        inputs[stack] = own.expand(n_samples, -1, -1)
        if deviations[stack]:
            tokens = text.example.source if stack == "source" else text.example.target
            shape = (n_samples, len(tokens), own.shape[-1])
            noise = torch.randn(shape, generator=generator, dtype=torch.float64)
            inputs[stack] = inputs[stack] + deviations[stack] * noise[:, : len(own)].to(own)
    return inputs


def _range(model: TraceableModel, stack: Stack) -> float:
    """Give the largest minus the smallest number in the embeddings of a stack's vocabulary."""
    size = max(model.tokenizer.get_vocab().values()) + 1
    ends = []
    for first in range(0, size, _ROWS_OF_VOCABULARY):
        rows = torch.arange(first, min(first + _ROWS_OF_VOCABULARY, size))
        ends.append(torch.stack(model.embed(stack, rows).aminmax()))
    lowest, highest = torch.stack(ends).unbind(-1)
    return float(highest.max() - lowest.min())
