"""Gradients of texts that are too long for their whole graph: backwards, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from inseq_widget.methods.chunking import ChunkSizer
from inseq_widget.models import Trace, TraceableModel
from inseq_widget.models.faults import check_gradients
from inseq_widget.models.layerwise import LayerChain, running_again

# Bytes of a graph from which layers are differentiated one by one. It costs one more forward pass
# in all, little beside a backward row for every step.
WHOLE_GRAPH_BYTES = 2**31
# Bytes that may pass between layers at once: one hidden state for each step.
_PASSED_BYTES = 2**29


def backward_by_layers(
    model: TraceableModel, trace: Trace, chain: LayerChain, starts: Tensor
) -> Iterator[tuple[slice, list[Tensor], Trace]]:
    """Differentiate every step by the embeddings, with the graph of one layer at a time.

    Every layer is run again once for a group of steps, and all rows of the group go back through
    it before the next one.

    Parameters
    ----------
    model : TraceableModel
    trace : Trace
    chain : LayerChain
        The layers of the trace.
    starts : torch.Tensor, (batch, step, feature)
        The gradient of each step's value at its last hidden state.

    Yields
    ------
    steps : slice
        The steps of this group.
    gradients : list of torch.Tensor, each (step, batch, position, feature)
        By the embeddings; there is one.
    trace : Trace
    """
    n_steps = starts.shape[1]
    end = chain.segments[-1].end
    group = max(1, min(n_steps, _PASSED_BYTES // (end.numel() * end.element_size())))
    for first in range(0, n_steps, group):
        steps = slice(first, min(n_steps, first + group))
        passed = _at_last_layer(trace, end, starts, steps)
        with running_again(model):
            for segment in reversed(chain.segments):
                hidden = segment.given.detach().requires_grad_()
                _go_back(segment.run(hidden), hidden, passed)
        (embedded,) = trace.embeddings.values()
        _go_back(chain.segments[0].given, embedded, passed)
        check_gradients([passed], trace, range(steps.start, steps.stop))
        yield steps, [passed], trace


def _at_last_layer(trace: Trace, end: Tensor, starts: Tensor, steps: slice) -> Tensor:
    """Differentiate some steps by what the last layer gave, (step, batch, position, feature)."""
    passed = end.new_zeros(steps.stop - steps.start, *end.shape)
    for row, step in enumerate(range(steps.start, steps.stop)):
        cotangent = torch.zeros_like(trace.cut)
        cotangent[:, step] = starts[:, step]
        (passed[row],) = torch.autograd.grad(trace.cut, end, cotangent, retain_graph=True)
    return passed


def _go_back(output: Tensor, given: Tensor, passed: Tensor) -> None:
    """Replace the gradients at a layer's output by those at its input, a chunk at a time."""
    n_rows = passed.shape[0]
    sizer = ChunkSizer(passed.device, n_rows, _ROW_STATES * given.numel() * given.element_size())
    done = 0
    while done < n_rows:

        def chunk(rows: int, done: int = done) -> Tensor:
            (gradient,) = torch.autograd.grad(
                output,
                given,
                passed[done : done + rows].to(output.device),  # layers may lie on several
                is_grads_batched=True,
                retain_graph=True,
            )
            return gradient

        gradient, rows = sizer.run(chunk)
        passed[done : done + rows] = gradient
        done += rows


# Hidden states that a backward row holds while it goes through a layer.
_ROW_STATES = 16
