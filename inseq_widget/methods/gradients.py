"""Gradient methods: one trace, and a batch of backward rows in place of a pass per step."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from inseq_widget.methods.base import (
    AttributionMethod,
    BatchScores,
    Job,
    register,
)
from inseq_widget.methods.chunking import ChunkSizer
from inseq_widget.methods.kept import FeatureScores
from inseq_widget.methods.long_texts import WHOLE_GRAPH_BYTES, backward_by_layers
from inseq_widget.models import Example, Trace, TraceableModel
from inseq_widget.models.faults import check_gradients
from inseq_widget.models.layerwise import graph_bytes, traced_by_layers
from inseq_widget.models.precision import at_least_single


class GradientMethod(AttributionMethod):
    """A method whose score is made of the gradient at the input embeddings."""

    needs_graph = True
    takes_gradients = True

    @abstractmethod
    def score(self, gradient: Tensor, embedding: Tensor) -> Tensor:
        """Make scores of gradients, element by element.

        Parameters
        ----------
        gradient : torch.Tensor, (step, batch, position, feature)
        embedding : torch.Tensor, (batch, position, feature)

        Returns
        -------
        torch.Tensor, (step, batch, position, feature)
        """

    def trace(self, model: TraceableModel, examples: Sequence[Example]) -> Trace:
        """See :meth:`AttributionMethod.trace`; long texts are traced layer by layer."""
        by_layers = None
        if graph_bytes(model, examples) > WHOLE_GRAPH_BYTES:
            by_layers = traced_by_layers(model, examples)
        return by_layers or super().trace(model, examples)

    def attribute(self, job: Job) -> BatchScores:
        """See :meth:`AttributionMethod.attribute`."""
        trace = job.trace
        starts, scale = head_gradients(trace, job)
        n_steps = trace.step_ids.shape[1]
        dtype = scale.dtype
        kept = FeatureScores(
            {stack: trace.embeddings[stack].shape[1] for stack in job.stacks},
            trace.examples,
            n_steps,
            trace.embeddings["target"].shape[-1],
            dtype,
            feature_bytes=job.feature_bytes,
        )

        def inputs(reached: Trace) -> list[Tensor]:
            return [reached.embeddings[stack] for stack in job.stacks]

        rows = (
            backward_rows(trace, starts, inputs)
            if trace.chain is None
            else backward_by_layers(job.model, trace, trace.chain, starts)
        )
        for steps, gradients, reached in rows:
            for stack, gradient in zip(job.stacks, gradients, strict=True):
                wide = gradient.to(dtype) * scale[:, steps].movedim(1, 0)[..., None]
                kept.put(
                    stack, steps, self.score(wide, reached.embeddings[stack].detach().to(dtype))
                )
            job.advance((steps.stop - steps.start) / n_steps)
        return kept.finished()


@register
@dataclass(frozen=True)
class Saliency(GradientMethod):
    """Magnitude of the gradient (Simonyan, Vedaldi and Zisserman, 2014, section 3).

    The score of feature *d* of input *i* at step *t* is ``|∂f_t / ∂x_id|``, where *x* is what the
    embedding module gives and *f* the attributed function.

    Parameters
    ----------
    abs : bool, default True
        Take the magnitude, as the paper does; the gradient itself otherwise.
    """

    name: ClassVar[str] = "saliency"
    score_label: ClassVar[str] = "gradient, norm over features"
    signed: ClassVar[bool] = False
    reduction: ClassVar[str] = "norm"

    abs: bool = True

    def score(self, gradient: Tensor, embedding: Tensor) -> Tensor:
        """See :meth:`GradientMethod.score`."""
        return gradient.abs() if self.abs else gradient


@register
@dataclass(frozen=True)
class InputXGradient(GradientMethod):
    """Gradient times input (Shrikumar, Greenside and Kundaje, 2017, section 3.2).

    The score of feature *d* of input *i* at step *t* is ``x_id · ∂f_t / ∂x_id``. Its sum over
    features, shown by default, is the first-order change of the output when the embedding goes
    to zero, and has a sign.
    """

    name: ClassVar[str] = "input_x_gradient"
    score_label: ClassVar[str] = "input × gradient, sum over features"
    signed: ClassVar[bool] = True
    reduction: ClassVar[str] = "sum"

    def score(self, gradient: Tensor, embedding: Tensor) -> Tensor:
        """See :meth:`GradientMethod.score`."""
        return gradient * embedding


def head_gradients(trace: Trace, job: Job) -> tuple[Tensor, Tensor]:
    """Differentiate the attributed function of every step by its own last hidden state.

    A step's function depends on its own row alone, so one backward pass over their sum gives
    each its gradient.

    Parameters
    ----------
    trace : Trace
    job : Job

    Returns
    -------
    starts : torch.Tensor, (batch, step, feature)
        The gradients divided by ``scale``.
    scale : torch.Tensor, (batch, step, 1)
        1, but for a model in half precision.

    Raises
    ------
    ValueError
        When the attributed function does not give one number a step, or breaks the graph.
    """
    _, at_logits = value_gradients(trace, job)
    if trace.logits.dtype == at_logits.dtype:
        scale = at_logits.new_ones(*at_logits.shape[:-1], 1)
    else:
        # The gradient of a rare token is too small for half precision on its way back.
        scale = at_logits.abs().amax(-1, keepdim=True)
        scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    scaled = (at_logits / scale).to(trace.logits.dtype)
    if trace.logits is trace.leaf:
        return scaled, scale
    # Several foils of a text share its trace.
    (starts,) = torch.autograd.grad(trace.logits, trace.leaf, scaled, retain_graph=True)
    return starts, scale


def value_gradients(trace: Trace, job: Job) -> tuple[Tensor, Tensor]:
    """Compute the attributed function of every step, and differentiate it by its own logits.

    Parameters
    ----------
    trace : Trace
    job : Job

    Returns
    -------
    values : torch.Tensor, (batch, step)
    gradients : torch.Tensor, (batch, step, vocabulary)
        Zero where a shorter text has no such step.

    Raises
    ------
    ValueError
        When the attributed function does not give one number a step, or breaks the graph.
    """
    logits = at_least_single(trace.logits.detach()).requires_grad_()
    with torch.enable_grad():
        values = job.values(logits, trace.step_ids)
        if not values.requires_grad:
            raise ValueError(
                f"attributed_fn: the value of {job.function_name} does not depend differentiably "
                "on the logits; use torch operations, without detach, item or argmax."
            )
        total = torch.where(trace.step_mask, values, torch.zeros_like(values)).sum()
    (gradients,) = torch.autograd.grad(total, logits)
    if not gradients.isfinite().all():
        raise ValueError(
            f"attributed_fn: the gradient of {job.function_name} by the logits is not finite, "
            "though the logits are; look for a division by zero or a root or logarithm of zero."
        )
    return values.detach(), gradients


def backward_rows(
    trace: Trace,
    starts: Tensor,
    inputs: Callable[[Trace], Sequence[Tensor]],
    rows_at_once: int | None = None,
) -> Iterator[tuple[slice, list[Tensor], Trace]]:
    """Differentiate every step by some tensors, several steps in one batched backward pass.

    Parameters
    ----------
    trace : Trace
        It keeps its graph.
    starts : torch.Tensor, (batch, step, feature)
        The gradient of each step's value at its last hidden state.
    inputs : callable
        Names the tensors of a trace to differentiate by, each (batch, position, feature). They
        are asked for again where the trace is made again, cut to what the steps see.
    rows_at_once : int, optional
        How many steps go back together at most; by default as many as run fast.

    Yields
    ------
    steps : slice
        The steps of this chunk.
    gradients : list of torch.Tensor, each (step, batch, position, feature)
    trace : Trace
        The trace that was differentiated; it may be cut to the positions that the steps see.
    """
    every = range(starts.shape[1])
    for steps, gradients, reached in backward_chosen(trace, starts, inputs, every, rows_at_once):
        yield slice(steps[0], steps[-1] + 1), gradients, reached


def backward_chosen(
    trace: Trace,
    starts: Tensor,
    inputs: Callable[[Trace], Sequence[Tensor]],
    steps: Sequence[int],
    rows_at_once: int | None = None,
) -> Iterator[tuple[Sequence[int], list[Tensor], Trace]]:
    """Differentiate some steps as :func:`backward_rows` does all of them.

    Parameters
    ----------
    trace, starts, inputs, rows_at_once
        As :func:`backward_rows` takes them.
    steps : sequence of int
        In ascending order.

    Yields
    ------
    steps : sequence of int
        The steps of this chunk, in ascending order.
    gradients : list of torch.Tensor, each (step, batch, position, feature)
    trace : Trace
        As :func:`backward_rows` yields it.
    """
    sizer = ChunkSizer(starts.device, rows_at_once or len(steps), bytes_of_a_row(trace))
    # Backwards: the longest chunk uses the trace that is there, and frees it for a shorter one.
    left = len(steps)
    while left > 0:
        trace = _cut_where_it_pays(trace, steps[left - 1] + 1, min(left, 2 * sizer.rows))

        def chunk(rows: int, trace: Trace = trace, left: int = left) -> list[Tensor]:
            chosen = steps[max(0, left - rows) : left]
            cotangents = starts.new_zeros(len(chosen), *trace.cut.shape)
            for row, step in enumerate(chosen):
                cotangents[row, :, step] = starts[:, step]
            return list(
                torch.autograd.grad(
                    trace.cut,
                    list(inputs(trace)),
                    grad_outputs=cotangents,
                    is_grads_batched=True,
                    retain_graph=True,
                )
            )

        gradients, rows = sizer.run(chunk)
        first = max(0, left - rows)
        check_gradients(gradients, trace, steps[first:left])
        yield steps[first:left], gradients, trace
        left = first


def bytes_of_a_row(trace: Trace) -> int:
    """Guess, on the large side, what one backward row takes while it runs through a layer."""
    total = 0
    for embedded in trace.embeddings.values():
        n_batch, width, features = embedded.shape
        # As many heads as there can be: with fewer features than 16 a head is of no use.
        numbers = n_batch * width * (64 * features + features // 2 * width)
        total += numbers * embedded.element_size()
    return total


def _cut_where_it_pays(trace: Trace, stop: int, later_rows: int) -> Trace:
    """Trace again without the positions that come after step ``stop``, if that saves work.

    A forward pass costs about what one backward row does, both in proportion to the positions;
    later positions are worth leaving out when the rows still to come save more than that.
    """
    present = trace.embeddings["target"].shape[1]
    visible = max(min(example.end, example.start + stop) - 1 for example in trace.examples)
    source = trace.embeddings["source"].shape[1] if "source" in trace.embeddings else 0
    if later_rows * (present - visible) <= visible + source:
        return trace
    return trace.again(stop)
