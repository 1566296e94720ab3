"""DeepLIFT at the inputs and at layers: two forward passes and the backward rows of the steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from inseq_widget.methods.base import AttributionMethod, BatchScores, Job, register
from inseq_widget.methods.baselines import WithBaseline
from inseq_widget.methods.layer_scores import (
    Column,
    LayerMethod,
    LayerScores,
    LayerTrace,
    both,
    put_rows,
    with_layers,
)
from inseq_widget.methods.multiplied import Multiplied
from inseq_widget.methods.rescale import Rescale, check_rescalable
from inseq_widget.models import Stack, Trace, TraceableModel

WITHOUT = {
    "custom_attribution_func": (
        "pass multiply_by_inputs=False and granular=True, and combine the multipliers of "
        "raw_scores with inputs and baselines yourself."
    )
}


@register
@dataclass(frozen=True, kw_only=True)
class DeepLift(Multiplied, WithBaseline, AttributionMethod):
    """DeepLIFT with the rescale rule (Shrikumar, Greenside and Kundaje, 2017, section 3.5.1).

    The score of feature *d* of input *i* at step *t* is ``(x_id − x'_id) · m_t(x_id)``, where
    the multiplier *m* is the gradient with the derivative of every activation function replaced
    by the quotient of the differences of its output and input between the text and its baseline
    *x'*. As in captum these are the modules ReLU, ELU, LeakyReLU, Sigmoid, Tanh and Softplus of
    torch. Elsewhere, in SiLU and GELU, attention and normalisation, the derivative stays: a model
    with none of those modules gets gradient × (input − baseline).

    Parameters
    ----------
    multiply_by_inputs : bool, default True
        Multiply the multipliers by the difference between input and baseline.
    return_convergence_delta : bool, default False
        Report, as the step score ``deltas``, by how much the scores of a step, those that are
        multiplied by the difference, miss the difference in output between the text and its
        baseline.
    """

    name: ClassVar[str] = "deeplift"
    multiplied_label: ClassVar[str] = "multiplier × (input − baseline), sum over features"
    alone_label: ClassVar[str] = "multiplier, sum over features"
    signed: ClassVar[bool] = True
    reduction: ClassVar[str] = "sum"
    takes_gradients: ClassVar[bool] = True
    without: ClassVar[Mapping[str, str]] = WITHOUT

    multiply_by_inputs: bool = True
    return_convergence_delta: bool = False

    def check(self, model: TraceableModel) -> None:
        """See :meth:`AttributionMethod.check`."""
        WithBaseline.check(self, model)
        check_rescalable(model)

    def attribute(self, job: Job) -> BatchScores:
        """See :meth:`AttributionMethod.attribute`."""
        model, examples, stacks = job.model, job.trace.examples, job.stacks
        column = Column("", {stack: place for place, stack in enumerate(stacks)})
        scores = LayerScores(
            job,
            [column],
            job.trace.embeddings["target"].shape[-1],
            several=False,
            multiplied=self.multiply_by_inputs,
        )
        rescale = Rescale(model, len(examples))
        baselines = self.baselines_of(job.model, job.trace, stacks)
        baseline = model.trace(examples, embeddings=baselines, around=rescale.recording)
        trace = model.trace(examples, graph=True, around=rescale.applied)

        def inputs(reached: Trace) -> list[Tensor]:
            return [reached.embeddings[stack] for stack in stacks]

        slots = [(0, stack) for stack in stacks]
        put_rows(job, trace, slots, inputs, inputs(baseline), scores, 1.0)
        if not self.return_convergence_delta:
            return scores.finished()
        return scores.finished(difference_to(baseline, job)[None])


@register
@dataclass(frozen=True, kw_only=True)
class LayerDeepLift(WithBaseline, LayerMethod):
    """DeepLIFT at layers (Shrikumar, Greenside and Kundaje, 2017, section 3.5.1).

    As ``deeplift``, with the activations of a layer in the place of the embeddings: ``(h_lid −
    h'_lid) · m_t(h_lid)``, where *h'* are the activations where the tokens that the layer
    explains are replaced by their baseline. All layers come out of the same backward rows.

    Parameters
    ----------
    return_convergence_delta : bool, default False
        Report, as the step score ``deltas``, by how much the scores of a step, those that are
        multiplied by the difference, miss the difference in output between the text and its
        baseline. With several layers there is one
        for each, ``deltas_`` and the layer's name.
    """

    name: ClassVar[str] = "layer_deeplift"
    multiplied_label: ClassVar[str] = "multiplier × (activation − baseline), sum over features"
    alone_label: ClassVar[str] = "multiplier at the layer, sum over features"
    signed: ClassVar[bool] = True
    reduction: ClassVar[str] = "sum"
    without: ClassVar[Mapping[str, str]] = WITHOUT

    return_convergence_delta: bool = False

    def check(self, model: TraceableModel) -> None:
        """See :meth:`AttributionMethod.check`."""
        WithBaseline.check(self, model)
        LayerMethod.check(self, model)
        check_rescalable(model)

    def attribute(self, job: Job) -> BatchScores:
        """See :meth:`AttributionMethod.attribute`."""
        assert isinstance(job.trace, LayerTrace)
        columns = self.columns(job.trace.layers, job)
        scores = LayerScores(
            job,
            columns,
            job.trace.layers[0].n_features,
            several=self.gives_several,
            multiplied=self.multiply_by_inputs,
        )
        differences: dict[int, Tensor] = {}
        for stacks, numbers in by_stacks(columns).items():
            chosen = {number: columns[number] for number in numbers}
            difference = self._explain(job, stacks, chosen, scores, len(chosen) / len(columns))
            differences.update(dict.fromkeys(numbers, difference))
        if not self.return_convergence_delta:
            return scores.finished()
        every = [differences[number] for number in range(len(columns))]
        return scores.finished(torch.stack(every))

    def _explain(
        self,
        job: Job,
        stacks: Sequence[Stack],
        columns: dict[int, Column],
        scores: LayerScores,
        share: float,
    ) -> Tensor:
        """Keep the scores of layers that explain the same stacks; give what they should sum to."""
        assert isinstance(job.trace, LayerTrace)
        model, examples, layers = job.model, job.trace.examples, job.trace.layers
        slots = [(number, stack) for number, column in columns.items() for stack in column.places]
        places = [place for column in columns.values() for place in column.places.values()]

        def inputs(reached: Trace) -> list[Tensor]:
            return [reached.activations[place] for place in places]

        rescale = Rescale(model, len(examples))
        recorder = self.recorder(layers)
        baseline = model.trace(
            examples,
            embeddings=self.baselines_of(job.model, job.trace, stacks),
            around=partial(both, recorder, rescale.recording),
        )
        baseline = with_layers(baseline, layers, recorder)
        recorder = self.recorder(layers)
        trace = model.trace(examples, graph=True, around=partial(both, recorder, rescale.applied))
        trace = with_layers(trace, layers, recorder)
        put_rows(job, trace, slots, inputs, inputs(baseline), scores, share)
        return difference_to(baseline, job)


def by_stacks(columns: Sequence[Column]) -> dict[tuple[Stack, ...], list[int]]:
    """Group layers by the stacks that they explain: those share a baseline.

    Parameters
    ----------
    columns : sequence of Column

    Returns
    -------
    dict of tuple of str to list of int
        The numbers of the columns.
    """
    groups: dict[tuple[Stack, ...], list[int]] = {}
    for number, column in enumerate(columns):
        groups.setdefault(tuple(column.places), []).append(number)
    return groups


def difference_to(baseline: Trace, job: Job) -> Tensor:
    """Give by how much the attributed function differs from its value at a baseline.

    Parameters
    ----------
    baseline : Trace
    job : Job

    Returns
    -------
    torch.Tensor, (batch, step)
    """
    own, other = (
        job.values(trace.logits.detach(), trace.step_ids) for trace in (job.trace, baseline)
    )
    return own.detach() - other.detach()
