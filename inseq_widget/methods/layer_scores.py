"""What layer methods share: their keywords, traces with activations, and scores per layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, fields
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from inseq_widget.methods.base import AttributionMethod, BatchScores, Job
from inseq_widget.methods.gradients import backward_rows, head_gradients
from inseq_widget.methods.kept import FeatureScores
from inseq_widget.methods.multiplied import Multiplied
from inseq_widget.models import Example, Stack, Trace, TraceableModel
from inseq_widget.models.activations import LocatedLayer, Recorder, locate
from inseq_widget.models.layers import (
    ALL,
    TargetLayer,
    are_several,
    check_target_layer,
    find_layers,
)

Around = Callable[[], AbstractContextManager[object]]


class Watch(Protocol):
    """Makes the context in which a model runs, and tells what it saw there."""

    def __call__(self) -> AbstractContextManager[None]:
        """Make the context."""

    @property
    def activations(self) -> list[Tensor]:
        """What passed in the latest run, each (batch, position, feature)."""


@dataclass
class LayerTrace(Trace):
    """A trace with the activations of layers.

    Attributes
    ----------
    layers : list of LocatedLayer
        :attr:`activations` has those of the first layer for each of its stacks, then those of
        the next one.
    """

    layers: list[LocatedLayer] = field(kw_only=True)


@dataclass(frozen=True)
class Column:
    """A layer whose scores are wanted.

    Attributes
    ----------
    name : str
    places : mapping of str to int
        Where in the activations of a :class:`LayerTrace` those of each explained stack are.
    """

    name: str
    places: Mapping[Stack, int]


@dataclass(frozen=True, kw_only=True)
class LayerMethod(Multiplied, AttributionMethod):
    """A method that explains with the activations of layers.

    A layer whose activations have a position for each encoder token attributes the source; one
    with a position for each decoder token attributes the target prefix. A layer given by number,
    ``"all"`` and the default mean the layers of the attributed stacks: those of the encoder, and
    with ``attribute_target=True`` also those of the decoder, of the same number. A decoder
    module given by its path attributes the target prefix either way.

    Parameters
    ----------
    target_layer : str, int, torch.nn.Module, list of those, or None, default None
        None is the module that embeds the tokens, ``"all"`` every layer. A number counts the
        layers, from the end where it is negative; a path is that of a module, as in
        ``"model.layers.3.mlp"`` or ``"model.layers[3].mlp"``. ``"all"`` or a list gives the
        scores a dimension ``layer``.
    attribute_to_layer_input : bool, default False
        Explain with what the layers take, not with what they give.
    multiply_by_inputs : bool, default True
        Multiply gradients by activations, or by their difference from the baseline's.
    """

    takes_gradients: ClassVar[bool] = True

    target_layer: TargetLayer = None
    attribute_to_layer_input: bool = False
    multiply_by_inputs: bool = True

    def __post_init__(self) -> None:
        """Refuse keywords that cannot be meant."""
        check_target_layer(self.target_layer)

    def check(self, model: TraceableModel) -> None:
        """Refuse layers that the model does not have, or that cannot be attributed."""
        self.located(model)

    @property
    def gives_several(self) -> bool:
        """Whether scores have a dimension of layers."""
        return are_several(self.target_layer)

    def located(self, model: TraceableModel) -> list[LocatedLayer]:
        """Find the layers in the model."""
        layers = find_layers(model, self.target_layer)
        return locate(model, layers, self.attribute_to_layer_input)

    def recorder(self, layers: Sequence[LocatedLayer]) -> Recorder:
        """Make what keeps the activations of layers."""
        calls = [call for layer in layers for call in layer.calls.values()]
        return Recorder(calls, self.attribute_to_layer_input)

    def trace(self, model: TraceableModel, examples: Sequence[Example]) -> LayerTrace:
        """See :meth:`AttributionMethod.trace`; the activations of the layers are kept."""
        layers = self.located(model)
        recorder = self.recorder(layers)
        trace = model.trace(examples, graph=self.needs_graph, around=recorder)
        return with_layers(trace, layers, recorder)

    def columns(self, layers: Sequence[LocatedLayer], job: Job) -> list[Column]:
        """Choose the stacks that each layer explains; leave out layers that explain none."""
        columns = []
        place = 0
        for layer in layers:
            places = {stack: place + nth for nth, stack in enumerate(layer.calls)}
            place += len(places)
            attributed = {stack: nth for stack, nth in places.items() if stack in job.stacks}
            if attributed or self.target_layer != ALL:
                columns.append(Column(layer.name, attributed or places))
        return columns


def with_layers(trace: Trace, layers: list[LocatedLayer], watch: Watch) -> LayerTrace:
    """Add to a trace what was seen while the model ran.

    Parameters
    ----------
    trace : Trace
    layers : list of LocatedLayer
    watch : Watch
        It was around the run, and will be around those that repeat it.

    Returns
    -------
    LayerTrace
    """
    again = trace.again

    def repeated(n_steps: int) -> Trace:
        return with_layers(again(n_steps), layers, watch)

    kept = {entry.name: getattr(trace, entry.name) for entry in fields(Trace)}
    kept |= {"activations": watch.activations, "again": repeated, "layers": layers}
    return LayerTrace(**kept)


@contextmanager
def both(first: Around, second: Around) -> Iterator[None]:
    """Enter two contexts, the second one inside of the first."""
    with ExitStack() as contexts:
        contexts.enter_context(first())
        contexts.enter_context(second())
        yield


class LayerScores:
    """Scores of several layers, or of one, with the sum of each step's.

    Parameters
    ----------
    job : Job
    columns : sequence of Column
    n_features : int
    several : bool
        Give the scores a dimension of layers.
    multiplied : bool
        Keep gradients times differences, not gradients alone.
    """

    def __init__(
        self,
        job: Job,
        columns: Sequence[Column],
        n_features: int,
        *,
        several: bool,
        multiplied: bool,
    ) -> None:
        trace = job.trace
        n_batch, n_steps = trace.step_ids.shape
        stacks: list[Stack] = ["source", "target"]
        explained = [stack for stack in stacks if any(stack in c.places for c in columns)]
        widths = {stack: trace.embeddings[stack].shape[1] for stack in explained}
        self.dtype = torch.promote_types(trace.logits.dtype, torch.float32)
        self._several = several
        self._multiplied = multiplied
        self._names = tuple(column.name for column in columns)
        self._totals = torch.zeros(len(columns), n_batch, n_steps, dtype=self.dtype)
        self._kept = FeatureScores(
            widths,
            trace.examples,
            n_steps,
            n_features,
            self.dtype,
            feature_bytes=job.feature_bytes,
            layers=self._names if several else (),
        )
        for number, column in enumerate(columns):
            for stack in widths.keys() - column.places.keys():
                # A layer of one stack has nothing to say about the tokens of the other.
                missing = torch.full((1, 1, 1, 1), torch.nan, dtype=self.dtype)
                shape = (n_steps, n_batch, widths[stack], n_features)
                self._kept.put(stack, slice(None), missing.expand(shape), number)

    def put(
        self,
        column: int,
        stack: Stack,
        steps: slice,
        gradient: Tensor,
        difference: Tensor,
        texts: slice = slice(None),
    ) -> None:
        """Take the finished scores of some steps at a layer.

        Parameters
        ----------
        column : int
        stack : {"source", "target"}
        steps : slice
        gradient : torch.Tensor, (step, batch, position, feature)
        difference : torch.Tensor, (batch, position, feature)
            What it is multiplied by.
        texts : slice
            The texts of the batch that the scores are of; all of them by default.
        """
        product = gradient * difference
        self._totals[column, texts, steps] += product.sum((2, 3)).T.cpu()
        self._kept.put(
            stack,
            steps,
            product if self._multiplied else gradient,
            column if self._several else None,
            texts,
        )

    def finished(
        self, differences: Tensor | None = None, n_points: Tensor | None = None
    ) -> BatchScores:
        """Give all scores.

        Parameters
        ----------
        differences : torch.Tensor, (layer, batch, step), optional
            What the scores of each layer should sum to; where given, the steps report by how
            much they miss it.
        n_points : torch.Tensor of int, (layer, batch, step), optional
            How many points the scores of each layer are made of, to be reported.

        Returns
        -------
        BatchScores
        """
        reported = {}
        wanted = {"deltas": None if differences is None else self._totals - differences.cpu()}
        wanted["n_steps"] = n_points
        for name, values in wanted.items():
            for layer, own in zip(self._names, values if values is not None else (), strict=False):
                reported[f"{name}_{layer}" if self._several else name] = own
        return self._kept.finished(reported)


def put_rows(
    job: Job,
    trace: Trace,
    slots: Sequence[tuple[int, Stack]],
    inputs: Callable[[Trace], Sequence[Tensor]],
    compared_with: Sequence[Tensor] | None,
    scores: LayerScores,
    share: float,
) -> None:
    """Differentiate every step by some activations, and keep the scores of all of them.

    Parameters
    ----------
    job : Job
    trace : Trace
    slots : sequence of (int, str)
        The column and the stack of each activation.
    inputs : callable
        Gives the activations of a trace, in the order of the slots.
    compared_with : sequence of torch.Tensor, each (batch, position, feature), optional
        What the activations are compared with; zeros by default.
    scores : LayerScores
    share : float
        What share of the job's work this is.
    """
    starts, scale = head_gradients(trace, job)
    n_steps = starts.shape[1]
    for steps, gradients, reached in backward_rows(trace, starts, inputs):
        unscaled = scale[:, steps].movedim(1, 0)[..., None]
        for nth, ((column, stack), gradient, activation) in enumerate(
            zip(slots, gradients, inputs(reached), strict=True)
        ):
            difference = activation.detach()
            if compared_with is not None:
                difference = difference - compared_with[nth][:, : difference.shape[1]]
            scores.put(
                column,
                stack,
                steps,
                gradient.to(scores.dtype) * unscaled.to(gradient.device),
                difference.to(scores.dtype),
            )
        job.advance(share * (steps.stop - steps.start) / n_steps)
