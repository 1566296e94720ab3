"""Attention flow: how much of each input could reach a step through the layers' attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from inseq_widget.methods.base import AttributionMethod, BatchScores, Job, register
from inseq_widget.methods.mixing import LayerMixing, MixingKeywords
from inseq_widget.methods.rollout import no_attention
from inseq_widget.models import Example, Stack, Trace, TraceableModel

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Matrix = npt.NDArray[np.float64]
# Capacities are whole numbers to the solver. All that a position takes is 1, which so stays
# within 32 bits, with every rounding of the capacities on it.
_WHOLE = 2**30


class KeptMixing(LayerMixing):
    """Keeps what every layer mixes.

    Attributes
    ----------
    encoder : list of torch.Tensor, each (batch, source, source)
        Layer by layer.
    decoder : list of tuple of torch.Tensor
        In the order of computation: ``(mixed,)`` of self-attention, ``(kept, taken)`` of
        cross-attention.
    """

    def __init__(self, keywords: MixingKeywords) -> None:
        super().__init__(keywords)
        self.encoder: list[Tensor] = []
        self.decoder: list[tuple[Tensor, ...]] = []

    def within(self, kind: Literal["encoder", "decoder"], mixed: Tensor) -> None:
        """See :meth:`LayerMixing.within`."""
        if kind == "encoder":
            self.encoder.append(mixed.cpu())
        else:
            self.decoder.append((mixed.cpu(),))

    def across(self, kept: Tensor, taken: Tensor) -> None:
        """See :meth:`LayerMixing.across`."""
        self.decoder.append((kept.cpu(), taken.cpu()))


@dataclass(kw_only=True)
class FlowTrace(Trace):
    """A trace with what the layers mixed.

    Attributes
    ----------
    mixing : KeptMixing
    """

    mixing: KeptMixing


class FlowNetwork:
    """The positions of one text in all layers, and what may flow between them.

    Level 0 of a stack holds its inputs, and every attention adds a level.

    Parameters
    ----------
    mixing : KeptMixing
    number : int
        Place of the text in the batch.
    n_source, n_target : int
        Number of the text's encoder and decoder positions.
    """

    def __init__(self, mixing: KeptMixing, number: int, n_source: int, n_target: int) -> None:
        self._n = {"source": n_source, "target": n_target}
        # The encoder's levels come first, then the decoder's.
        self._decoder = n_source * (len(mixing.encoder) + 1)
        self._levels = len(mixing.decoder)
        self._edges: list[tuple[npt.NDArray[np.int64], ...]] = []
        for level, mixed in enumerate(mixing.encoder):
            below, above = (n_source * at for at in (level, level + 1))
            self._connect(above, below, _array(mixed[number, :n_source, :n_source]))
        encoded = n_source * len(mixing.encoder)
        for level, (mixed, *taken) in enumerate(mixing.decoder):
            below, above = (self._decoder + n_target * at for at in (level, level + 1))
            if taken:
                self._connect(above, below, np.diag(_array(mixed[number, :n_target, 0])))
                self._connect(above, encoded, _array(taken[0][number, :n_target, :n_source]))
            else:
                self._connect(above, below, _array(mixed[number, :n_target, :n_target]))

    def _connect(self, above: int, below: int, capacities: Matrix) -> None:
        """Let something flow from the nodes after ``above`` to those after ``below``."""
        whole = np.rint(capacities * _WHOLE).astype(np.int64)
        rows, columns = whole.nonzero()
        self._edges.append((rows + above, columns + below, whole[rows, columns]))

    def seen_from(self, position: int) -> tuple[csr_array, int]:
        """Give the network without decoder positions after one, and the node of its last state.

        Parameters
        ----------
        position : int

        Returns
        -------
        capacities : scipy.sparse.csr_array of int32, (node, node)
        top : int
        """
        from scipy.sparse import coo_array  # megabytes that no other method needs

        n_target = self._n["target"]
        heads, tails, capacities = (np.concatenate(part) for part in zip(*self._edges, strict=True))
        decoder = heads - self._decoder
        visible = (decoder < 0) | (decoder % n_target <= position)
        size = self._decoder + n_target * (self._levels + 1)
        network = coo_array(
            (
                capacities[visible].astype(np.int32),
                (heads[visible].astype(np.int32), tails[visible].astype(np.int32)),
            ),
            shape=(size, size),
        )
        return network.tocsr(), self._decoder + n_target * self._levels + position

    def inputs(self, stack: Stack, position: int) -> range:
        """Name the nodes of a stack's inputs that a position sees."""
        if stack == "source":
            return range(self._n["source"])
        return range(self._decoder, self._decoder + position + 1)


@register
@dataclass(frozen=True)
class AttentionFlow(MixingKeywords, AttributionMethod):
    """Attention flow (Abnar and Zuidema, 2020, section 3).

    The layers' attention is a network of pipes: from each position to those below it, as wide as
    ``0.5 A + 0.5 I`` says, where *A* is the attention over all heads and *I* stands for the
    residual connection. The score of input *i* at step *t* is the maximum flow from the position
    that predicts *t* in the last layer to *i* below the first, at most 1. In an encoder-decoder
    model cross-attention leads from the decoder's layers to the encoder's last one, half as wide
    as its weights, beside a pipe of one half to the position's own state.

    A maximum flow is computed for every pair of step and input, which is slow: seconds for tens
    of tokens, and not for long texts. Widths are rounded to multiples of ``2**-30``, which
    changes a score by less than ``2**-31`` for each pipe of the narrowest cut.

    Parameters
    ----------
    head_fusion : {"mean", "max", "min"}, default "mean"
        How the weights of a layer's heads become one; the paper takes the mean.
    start_layer : int, default 0
        The first layer that counts, in each stack; those below pass on what they get.
    add_residual : bool, default True
        Count the residual connection; otherwise pipes are as wide as *A* alone.
    """

    name: ClassVar[str] = "attention_flow"
    score_label: ClassVar[str] = "maximum flow through attention"
    signed: ClassVar[bool] = False
    reduction: ClassVar[str] = "sum"
    explains_output: ClassVar[bool] = False

    def trace(self, model: TraceableModel, examples: Sequence[Example]) -> Trace:
        """See :meth:`AttributionMethod.trace`."""
        mixing = KeptMixing(self)
        return FlowTrace(**vars(model.trace(examples, observer=mixing)), mixing=mixing)

    def attribute(self, job: Job) -> BatchScores:
        """See :meth:`AttributionMethod.attribute`.

        Raises
        ------
        NotImplementedError
            When the target prefix is asked for and the decoder has no self-attention.
        """
        trace = job.trace
        assert isinstance(trace, FlowTrace)
        if "target" in job.stacks and all(len(mixed) == 2 for mixed in trace.mixing.decoder):
            raise no_attention(job.model, "target")
        n_batch, n_steps = trace.step_ids.shape
        kept: dict[Stack, Tensor] = {
            stack: torch.zeros(n_batch, trace.embeddings[stack].shape[1], n_steps).double()
            for stack in job.stacks
        }
        share = 1 / sum(example.n_steps for example in trace.examples)
        for number, example in enumerate(trace.examples):
            # The last token is explained, and nothing is seen from it.
            network = FlowNetwork(trace.mixing, number, len(example.source), example.end - 1)
            for step in range(example.n_steps):
                position = example.start + step - 1
                for stack, flows in _flows(network, position, job.stacks).items():
                    kept[stack][number, : len(flows), step] = torch.tensor(flows).double()
                job.advance(share)
        return BatchScores({"raw": kept})


def _flows(
    network: FlowNetwork, position: int, stacks: Sequence[Stack]
) -> dict[Stack, list[float]]:
    """Compute the maximum flow from a position's last state to every input that it sees."""
    from scipy.sparse.csgraph import maximum_flow

    capacities, top = network.seen_from(position)
    return {
        stack: [
            maximum_flow(capacities, top, node).flow_value / _WHOLE
            for node in network.inputs(stack, position)
        ]
        for stack in stacks
    }


def _array(tensor: Tensor) -> Matrix:
    return np.asarray(tensor.double().numpy())
