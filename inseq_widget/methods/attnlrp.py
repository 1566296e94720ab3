"""AttnLRP: relevance that layer-wise rules hand back, one backward row per step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

from torch import Tensor

from inseq_widget.methods.base import register
from inseq_widget.methods.gradients import GradientMethod
from inseq_widget.methods.long_texts import WHOLE_GRAPH_BYTES
from inseq_widget.models import Example, Trace, TraceableModel
from inseq_widget.models.layerwise import LayerChain, graph_bytes, traced_by_layers
from inseq_widget.models.lrp import lrp_rules


@register
@dataclass(frozen=True)
class AttnLRP(GradientMethod):
    """Attention-aware layer-wise relevance propagation (Achtibat et al., 2024, section 3).

    The score of feature *d* of input *i* at step *t* is the relevance that the rules of
    :func:`~inseq_widget.models.lrp.lrp_rules` hand back from the attributed function to the
    input's embedding. Each rule is written as a derivative (the paper's gradient × input
    formulation), so that the score is ``x_id · ∂f_t / ∂x_id`` with those derivatives.

    The paper explains the logit (``attributed_fn="logit"``). Relevance is kept on its way through
    normalisation, non-linearities, sums and products; biases take their part of it, and softmax,
    which keeps its derivative, takes or adds the difference to its linear approximation.
    """

    name: ClassVar[str] = "attnlrp"
    score_label: ClassVar[str] = "relevance, sum over features"
    signed: ClassVar[bool] = True
    reduction: ClassVar[str] = "sum"

    def trace(self, model: TraceableModel, examples: Sequence[Example]) -> Trace:
        """See :meth:`AttributionMethod.trace`; the rules hold while the model runs."""
        rules = partial(lrp_rules, model.model)
        if graph_bytes(model, examples) > WHOLE_GRAPH_BYTES:
            with rules():
                by_layers = traced_by_layers(model, examples)
            if by_layers is not None and by_layers.chain is not None:
                return replace(by_layers, chain=_following(rules, by_layers.chain))
        return model.trace(examples, graph=True, around=rules)

    def score(self, gradient: Tensor, embedding: Tensor) -> Tensor:
        """See :meth:`GradientMethod.score`."""
        return gradient * embedding


def _following(rules: Callable[[], AbstractContextManager[None]], chain: LayerChain) -> LayerChain:
    """Let the rules hold where layers run again."""

    def ruled(run: Callable[[Tensor], Tensor], hidden: Tensor) -> Tensor:
        with rules():
            return run(hidden)

    return LayerChain(
        [replace(segment, run=partial(ruled, segment.run)) for segment in chain.segments]
    )
