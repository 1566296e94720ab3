"""What stands in for an input that is taken away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from inseq_widget.models import Example, Stack, Trace, TraceableModel

_NAMED = ("unk", "pad", "zero", "mean")


@dataclass(frozen=True, kw_only=True)
class WithBaseline:
    """Keywords of a method that compares with inputs that say nothing.

    Parameters
    ----------
    baseline : {"unk", "pad", "zero", "mean"}, str or int, default "unk"
        What an input is replaced by: the embedding of the tokenizer's unknown or padding token,
        zeros, the mean of all embeddings, or the embedding of a token given by its vocabulary
        entry or its id. A tokenizer without an unknown token uses its padding token, one without
        either its end-of-sequence token.
    include_eos_baseline : bool, default False
        Replace end-of-sequence tokens, too; otherwise they are their own baseline.
    """

    baseline: str | int = "unk"
    include_eos_baseline: bool = False

    def check(self, model: TraceableModel) -> None:
        """Refuse a baseline that the tokenizer does not know.

        Raises
        ------
        ValueError, TypeError
        """
        baseline_id(model, self.baseline)

    def baselines(
        self, model: TraceableModel, examples: Sequence[Example], stack: Stack, width: int
    ) -> Tensor:
        """Give the baseline of every position of a stack.

        The decoder's start token, and end-of-sequence tokens unless asked for, stay.

        Parameters
        ----------
        model : TraceableModel
        examples : sequence of Example, (batch,)
        stack : {"source", "target"}
        width : int
            Number of positions, padding included.

        Returns
        -------
        torch.Tensor, (batch, position, feature)
        """
        own = torch.zeros(len(examples), width, dtype=torch.long)
        padding = torch.ones(len(examples), width, dtype=torch.bool)
        for number, example in enumerate(examples):
            tokens = example.source if stack == "source" else example.target
            ids = torch.tensor([token.id for token in tokens[:width]])
            own[number, : len(ids)] = ids
            padding[number, : len(ids)] = False
        stays = padding | own_baseline(model, own, stack, self.include_eos_baseline)
        embedded = model.embed(stack, own)
        return torch.where(
            stays.to(embedded.device)[..., None], embedded, self._vector(model, stack, embedded)
        )

    def baselines_of(
        self, model: TraceableModel, trace: Trace, stacks: Sequence[Stack]
    ) -> dict[Stack, Tensor]:
        """Give the baseline of every position of some stacks of a trace.

        Parameters
        ----------
        model : TraceableModel
        trace : Trace
        stacks : sequence of str

        Returns
        -------
        dict of str to torch.Tensor, each (batch, position, feature)
        """
        widths = {stack: trace.embeddings[stack].shape[1] for stack in stacks}
        return {
            stack: self.baselines(model, trace.examples, stack, widths[stack]) for stack in stacks
        }

    def _vector(self, model: TraceableModel, stack: Stack, like: Tensor) -> Tensor:
        """Give the embedding that says nothing, (feature,)."""
        if self.baseline == "zero":
            return torch.zeros_like(like[0, 0])
        if self.baseline == "mean":
            return model.embedding_matrix(stack).mean(0)
        token_id = baseline_id(model, self.baseline)
        assert token_id is not None
        return model.embed(stack, torch.tensor([token_id]))[0]


def own_baseline(
    model: TraceableModel,
    ids: Tensor,
    stack: Stack,
    include_eos_baseline: bool,
    *,
    started: bool = True,
) -> Tensor:
    """Say which tokens are their own baseline: ends of sequence, and the decoder's start token.

    Parameters
    ----------
    model : TraceableModel
    ids : torch.Tensor of int, (batch, position)
    stack : {"source", "target"}
    include_eos_baseline : bool
        End-of-sequence tokens are not.
    started : bool, default True
        Whether targets of an encoder-decoder model begin with its start token.

    Returns
    -------
    torch.Tensor of bool, (batch, position)
    """
    own = torch.zeros_like(ids, dtype=torch.bool)
    if not include_eos_baseline and model.tokenizer.eos_token_id is not None:
        own = ids == model.tokenizer.eos_token_id
    if started and model.architecture == "encoder_decoder" and stack == "target":
        own[:, 0] = True
    return own


def baseline_id(model: TraceableModel, baseline: str | int) -> int | None:
    """Find the token that a baseline names.

    Parameters
    ----------
    model : TraceableModel
    baseline : str or int

    Returns
    -------
    int or None
        None for ``"zero"`` and ``"mean"``, which are no tokens.

    Raises
    ------
    ValueError, TypeError
        For a token that is not in the vocabulary, or something that is no token.
    """
    if isinstance(baseline, bool) or not isinstance(baseline, str | int):
        raise TypeError(
            f"baseline: {baseline!r} given; pass one of {', '.join(_NAMED)}, "
            "a vocabulary entry or a token id."
        )
    if baseline in ("zero", "mean"):
        return None
    tokenizer = model.tokenizer
    if baseline in ("unk", "pad"):
        in_turn = [tokenizer.pad_token_id, tokenizer.eos_token_id]
        if baseline == "unk":
            in_turn.insert(0, tokenizer.unk_token_id)
        for token_id in in_turn:
            if isinstance(token_id, int):
                return token_id
        raise ValueError(
            f"baseline: {baseline!r} given, but the tokenizer has no such special token; "
            "choose zero, mean, a vocabulary entry or a token id."
        )
    vocabulary = tokenizer.get_vocab()
    if isinstance(baseline, str):
        if baseline not in vocabulary:
            raise ValueError(
                f"baseline: {baseline!r} is not in the vocabulary; "
                f"choose one of {', '.join(_NAMED)}, one of its entries or a token id."
            )
        return int(vocabulary[baseline])
    if not 0 <= baseline <= max(vocabulary.values()):
        raise ValueError(
            f"baseline: {baseline} given; token ids go from 0 to {max(vocabulary.values())}."
        )
    return baseline
