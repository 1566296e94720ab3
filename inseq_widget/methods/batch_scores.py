"""What a method finds, as padded arrays of a batch or as those of one text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from inseq_widget.models import Stack


@dataclass
class BatchScores:
    """The scores of one batch on the CPU, padding and later positions included.

    Attributes
    ----------
    kept : dict
        ``kept[name][stack]`` is a torch.Tensor, (batch, position, step, ...). The name is a
        reduction over features, or ``"raw"`` for scores with all their dimensions.
    extra_dims : tuple of str
        Names of the dimensions of ``"raw"`` after ``step``. A reduction has all of them but
        ``feature``.
    n_features : int or None
        How many features were reduced.
    layers : tuple of str
        Names of the layers, where ``extra_dims`` has ``layer``.
    step_scores : dict of str to torch.Tensor, each (batch, step)
        What the method reports of each step, such as its convergence delta.
    features : list of torch.Tensor or None, (batch,)
        What is under ``"raw"`` in the scores of a text alone, (input, step, ..., feature), where
        its features were kept: without padding, source before target.
    too_many : list of int, (batch,)
        How many bytes they would have taken where that was too much; 0 elsewhere.
    sequence_scores : list of dict of str to torch.Tensor, (batch,)
        Scores between tokens of a text none of which is a step, such as its attention to itself.
    """

    kept: dict[str, dict[Stack, Tensor]] = field(default_factory=dict)
    extra_dims: tuple[str, ...] = ()
    n_features: int | None = None
    layers: tuple[str, ...] = ()
    step_scores: dict[str, Tensor] = field(default_factory=dict)
    features: list[Tensor | None] = field(default_factory=list)
    too_many: list[int] = field(default_factory=list)
    sequence_scores: list[dict[str, Tensor]] = field(default_factory=list)


@dataclass
class TextScores:
    """The scores of one text on the CPU, later positions included.

    Attributes
    ----------
    raw : dict of str to torch.Tensor, each (position, step, ...)
        By stack.
    extra_dims : tuple of str
        Names of the dimensions after ``step``.
    layers : tuple of str
        Names of the layers, where ``extra_dims`` has ``layer``.
    step_scores : dict of str to torch.Tensor, each (step,)
    sequence_scores : dict of str to torch.Tensor
        See :class:`BatchScores`.
    """

    raw: dict[Stack, Tensor]
    extra_dims: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    step_scores: dict[str, Tensor] = field(default_factory=dict)
    sequence_scores: dict[str, Tensor] = field(default_factory=dict)


def padded(tensors: Sequence[Tensor]) -> Tensor:
    """Stack tensors of different size, each filled up with zeros at its ends."""
    shape = [max(tensor.shape[dim] for tensor in tensors) for dim in range(tensors[0].dim())]
    stacked = tensors[0].new_zeros(len(tensors), *shape)
    for number, tensor in enumerate(tensors):
        place = stacked[number]
        for dim, size in enumerate(tensor.shape):
            place = place.narrow(dim, 0, size)
        place.copy_(tensor)
    return stacked
