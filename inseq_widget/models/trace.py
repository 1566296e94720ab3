"""What one teacher-forced run of a model takes and leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from torch import Tensor

from inseq_widget.models.attention_rows import AttentionRows
from inseq_widget.models.example import Example

if TYPE_CHECKING:
    from inseq_widget.models.layerwise import LayerChain

Stack = Literal["source", "target"]


@dataclass
class Trace:
    """One teacher-forced run of the model over a batch, and what was kept of it.

    The run is cut in two before the output head: ``cut`` belongs to the graph that reaches the
    embeddings, ``leaf`` has the same values and begins the graph that ends in the logits. A
    step's backward pass through the head so touches one row, not the whole text.

    Attributes
    ----------
    examples : list of Example
    step_ids : torch.Tensor, (batch, step)
        Ids of the tokens that are explained.
    step_mask : torch.Tensor of bool, (batch, step)
        False where a shorter text has no such step.
    logits : torch.Tensor, (batch, step, vocabulary)
        What the model predicted in the place of each of them.
    cut, leaf : torch.Tensor, (batch, step, feature)
        The last hidden state at the steps: end of one graph, beginning of the other.
    embeddings : dict of str to torch.Tensor, (batch, position, feature)
        Outputs of the embedding module of each stack, as leaves of the graph.
    attention : AttentionRows or None
        The attention weights of the steps, where they were wanted.
    activations : list of torch.Tensor, each (batch, position, feature)
        What layers gave, where a method keeps it.
    tangent : torch.Tensor or None, (batch, step, vocabulary)
        How the logits change along the direction in which the embeddings were moved.
    again : callable
        Runs the same, only as far as a number of steps can see.
    gradient_fault : callable
        Makes the error for gradients of a text's step that are not finite, of this trace and the
        numbers of both.
    chain : LayerChain or None
        The layers, where their insides were not kept: they have to be differentiated one by one.
    """

    examples: list[Example]
    step_ids: Tensor
    step_mask: Tensor
    logits: Tensor
    cut: Tensor
    leaf: Tensor
    embeddings: dict[Stack, Tensor]
    attention: AttentionRows | None
    tangent: Tensor | None
    again: Callable[[int], Trace]
    gradient_fault: Callable[[Trace, int, int], ValueError]
    chain: LayerChain | None = None
    activations: list[Tensor] = field(default_factory=list)


@dataclass
class Batch:
    """The tensors of one teacher-forced run, padded on the right.

    Attributes
    ----------
    inputs : dict of str to torch.Tensor
        Keyword arguments of the model.
    rows : torch.Tensor, (batch, step)
        The decoder position whose output predicts each step.
    n_source, n_target : int
        Number of encoder and decoder positions, padding included.
    """

    inputs: dict[str, Tensor]
    rows: Tensor
    n_source: int | None
    n_target: int
