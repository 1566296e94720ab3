"""What a layer's attention mixes: one matrix of weights over positions, with the residual."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from typing import Literal
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from inseq_widget.methods.keywords import check_choice, check_whole
from inseq_widget.models import TraceableModel
from inseq_widget.models.attention import AttentionCall, observing
from inseq_widget.models.layers import layers_of
from inseq_widget.models.precision import at_least_single
from inseq_widget.models.recording import close, hidden_states
from inseq_widget.models.structure import lists_of_layers

HeadFusion = Literal["mean", "max", "min"]
_FUSIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda weights: weights.mean(1),
    "max": lambda weights: weights.amax(1),
    "min": lambda weights: weights.amin(1),
}
_NUMBERS_AT_ONCE = 2**25  # of attention weights with their heads: 128 MB in single precision
# The layer of each model that mixes tokens without attention, by name; None where there is none.
_mixing_otherwise: WeakKeyDictionary[PreTrainedModel, str | None] = WeakKeyDictionary()


@dataclass(frozen=True)
class MixingKeywords:
    """Keywords of the methods that follow what layers mix.

    Parameters
    ----------
    head_fusion : {"mean", "max", "min"}, default "mean"
        How the weights of a layer's heads become one.
    start_layer : int, default 0
        The first layer that counts, in each stack; those below pass on what they get.
    add_residual : bool, default True
        Count half of what a position passes on as its own, for the residual connection.
    """

    head_fusion: HeadFusion = "mean"
    start_layer: int = 0
    add_residual: bool = True

    def __post_init__(self) -> None:
        check_choice("head_fusion", self.head_fusion, _FUSIONS)
        check_whole("start_layer", self.start_layer, 0)
        if not isinstance(self.add_residual, bool):
            raise TypeError(f"add_residual: {self.add_residual!r} given; pass True or False.")

    def check(self, model: TraceableModel) -> None:
        """Refuse a first layer that the model does not have, and layers that do more than attend.

        Parameters
        ----------
        model : TraceableModel

        Raises
        ------
        ValueError
        NotImplementedError
            When something other than attention takes tokens to others: states or convolutions
            that run along the text, or attention that is not seen.
        """
        if model.model not in _mixing_otherwise:
            _mixing_otherwise[model.model] = _layer_that_mixes_otherwise(model)
        otherwise = _mixing_otherwise[model.model]
        if otherwise is not None:
            raise NotImplementedError(
                f"method: attention alone does not tell what {otherwise} mixes, where tokens reach "
                "others without it; 'attention' and gradient methods such as 'saliency' work."
            )
        if self.start_layer == 0:
            return
        shortest = min(len(layers) for layers in layers_of(model).values())
        if self.start_layer >= shortest:
            raise ValueError(
                f"start_layer: {self.start_layer} given, but the model has {shortest} layers; "
                f"pass 0 to {shortest - 1}."
            )


class LayerMixing(ABC):
    """Observes a model's attention as mixtures of positions, one layer after the other.

    Parameters
    ----------
    keywords : MixingKeywords
    """

    def __init__(self, keywords: MixingKeywords) -> None:
        self._keywords = keywords

    @abstractmethod
    def within(self, kind: Literal["encoder", "decoder"], mixed: Tensor) -> None:
        """Take the self-attention of the next layer.

        Parameters
        ----------
        kind : {"encoder", "decoder"}
        mixed : torch.Tensor, (batch, position, position)
            How much of each position's state below goes into each; rows sum to 1.
        """

    @abstractmethod
    def across(self, kept: Tensor, taken: Tensor) -> None:
        """Take the cross-attention of the next layer.

        Parameters
        ----------
        kept : torch.Tensor, (batch, target, 1)
            How much each decoder position keeps of its own state.
        taken : torch.Tensor, (batch, target, source)
            How much it takes of the encoder's output; with ``kept``, rows sum to 1.
        """

    def __call__(self, call: AttentionCall) -> Tensor | None:
        """Observe an attention call."""
        if 0 <= call.layer < self._keywords.start_layer:
            return None
        fused, output = _fused(call, _FUSIONS[self._keywords.head_fusion])
        residual = float(self._keywords.add_residual)
        total = fused.sum(-1, keepdim=True) + residual
        # The least of the heads can be zero at every position.
        total = torch.where(total == 0, torch.ones_like(total), total)
        if call.kind == "cross":
            self.across(residual / total, fused / total)
        else:
            own = torch.eye(fused.shape[-1], dtype=fused.dtype, device=fused.device)
            self.within(call.kind, (fused + residual * own) / total)
        return output


def _fused(call: AttentionCall, fusion: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor | None]:
    """Make one of the heads' weights, some query rows at a time where all would take much room.

    Gives also the attention's output where the weights of all rows were there to make it of.
    """
    asking = call.query if call.computed is None else call.computed
    assert asking is not None, "a call without weights has a query"
    n_batch, n_heads, n_queries, _ = asking.shape
    at_once = _NUMBERS_AT_ONCE // (n_batch * n_heads * call.value.shape[2])
    if call.computed is not None or at_once >= n_queries:
        weights = call.weights()
        return fusion(at_least_single(weights)), call.output(weights) if call.is_plain else None
    rows = torch.arange(n_queries, device=asking.device).expand(n_batch, -1)
    parts = rows.split(max(1, at_once), 1)
    return torch.cat([fusion(at_least_single(call.weights(part))) for part in parts], 1), None


def _layer_that_mixes_otherwise(model: TraceableModel) -> str | None:
    """Name the class of the first layer that takes tokens to others without its attention.

    Where attention gives nothing, the last of a few tokens must stay what it is when the first
    becomes another one. A stack without any attention to itself is not looked at: nothing of its
    tokens is told.
    """
    special = set(model.tokenizer.all_special_ids)
    first, other, *_ = (i for i in range(len(special) + 2) if i not in special)
    silent = _SilentRuns(model)
    for (layer, own), (_, changed) in zip(
        silent.run(first, other), silent.run(other, other), strict=True
    ):
        # What is not a number is reported of the text where it comes up.
        numbers = own.isfinite().all() and changed.isfinite().all()
        if layer in silent.attending and numbers and not close(own, changed):
            return type(layer).__name__
    return None


class _SilentRuns:
    """Runs of a model on a few tokens, in which attention gives nothing.

    Attributes
    ----------
    attending : set of torch.nn.Module
        The layers of stacks that attend to themselves, and the model where its decoder does.
    """

    def __init__(self, model: TraceableModel) -> None:
        self._model = model
        self._lists = lists_of_layers(model.model)
        self._before: list[Tensor] = []
        self.attending: set[nn.Module] = set()

    def run(self, first: int, other: int) -> list[tuple[nn.Module, Tensor]]:
        """Give what layers, and the model, make of the last token when the first has an id.

        Each layer goes on with the state that it gave in the run before, so that roundings do not
        add up.
        """
        n_source, n_target = 4, 3  # not the same: the observer has to tell them apart
        inputs = {"input_ids": [first] + [other] * (n_target - 1)}
        encoded = None
        if self._model.architecture == "encoder_decoder":
            inputs["decoder_input_ids"] = inputs["input_ids"]
            inputs["input_ids"] = [first] + [other] * (n_source - 1)
            encoded = n_source
        states: list[tuple[nn.Module, Tensor]] = []
        before = iter(self._before)

        def keep(layer: nn.Module, _: object, output: object) -> None:
            hidden = hidden_states(output)
            last = hidden.reshape(-1, hidden.shape[-1])[-1]
            states.append((layer, last.clone()))
            last.copy_(next(before, last))

        model = self._model.model
        with ExitStack() as stack, torch.no_grad():
            stack.enter_context(observing(model, self._silence, encoded, n_target))
            for layer in chain(*self._lists):
                stack.callback(layer.register_forward_hook(keep).remove)
            given = {n: torch.tensor([i], device=self._model.device) for n, i in inputs.items()}
            logits = model(**given, use_cache=False, return_dict=True).logits
        self._before = [state for _, state in states]
        return [*states, (model, logits[0, -1])]

    def _silence(self, call: AttentionCall) -> Tensor:
        if call.kind == "decoder":
            self.attending.update([self._model.model, *chain(*self._lists[-1:])])
        elif call.kind == "encoder":
            self.attending.update(chain(*self._lists[:1]))
        asking = call.query if call.computed is None else call.computed
        assert asking is not None, "a call without weights has a query"
        n_batch, n_heads, n_queries, _ = asking.shape
        return call.value.new_zeros(n_batch, n_queries, n_heads, call.value.shape[-1])
