"""Gradient times activation at layers: every layer out of one trace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from inseq_widget.methods.base import BatchScores, Job, register
from inseq_widget.methods.layer_scores import LayerMethod, LayerScores, LayerTrace, put_rows
from inseq_widget.models import Trace


@register
@dataclass(frozen=True, kw_only=True)
class LayerGradientXActivation(LayerMethod):
    """Gradient times activation at layers (Shrikumar, Greenside and Kundaje, 2017, section 3.2).

    The score of feature *d* of position *i* at step *t* and layer *l* is ``h_lid · ∂f_t /
    ∂h_lid``, where *h* is what the layer gives: ``input_x_gradient`` with the layer in the place
    of the embeddings. All layers come out of the same backward rows.
    """

    name: ClassVar[str] = "layer_gradient_x_activation"
    multiplied_label: ClassVar[str] = "activation × gradient, sum over features"
    alone_label: ClassVar[str] = "gradient at the layer, sum over features"
    signed: ClassVar[bool] = True
    reduction: ClassVar[str] = "sum"
    needs_graph: ClassVar[bool] = True

    def attribute(self, job: Job) -> BatchScores:
        """See :meth:`AttributionMethod.attribute`."""
        trace = job.trace
        assert isinstance(trace, LayerTrace)
        columns = self.columns(trace.layers, job)
        scores = LayerScores(
            job,
            columns,
            trace.layers[0].n_features,
            several=self.gives_several,
            multiplied=self.multiply_by_inputs,
        )
        slots = [(n, stack) for n, column in enumerate(columns) for stack in column.places]
        places = [place for column in columns for place in column.places.values()]

        def inputs(reached: Trace) -> list[Tensor]:
            return [reached.activations[place] for place in places]

        put_rows(job, trace, slots, inputs, None, scores, 1.0)
        return scores.finished()
