"""A Hugging Face model that can be traced: one teacher-forced run serves every step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from inseq_widget.models.attention import (
    IMPLEMENTATION,
    AttentionRows,
    can_intercept,
    collecting,
)
from inseq_widget.models.example import Example
from inseq_widget.models.faults import NOT_NUMBERS
from inseq_widget.models.state import configurations_of, left_untouched
from inseq_widget.results import Token

Stack = Literal["source", "target"]
Message = Mapping[str, str]
Messages = Sequence[Message]
TextInput = str | Messages


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
    """

    examples: list[Example]
    step_ids: Tensor
    step_mask: Tensor
    logits: Tensor
    cut: Tensor
    leaf: Tensor
    embeddings: dict[Stack, Tensor]
    attention: AttentionRows | None


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


class TraceableModel(ABC):
    """A model with its tokenizer, ready to be traced.

    Parameters
    ----------
    model : PreTrainedModel
    tokenizer : PreTrainedTokenizerBase
    """

    architecture: Literal["decoder_only", "encoder_decoder"]

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        self.model = model
        self.tokenizer = tokenizer

    @property
    def device(self) -> torch.device:
        """Where ids have to be for the model to read them."""
        weight = self._embedding_modules()[0][1].weight
        assert isinstance(weight, Tensor)
        return weight.device

    @abstractmethod
    def examples(
        self,
        inputs: Sequence[TextInput],
        generated_texts: Sequence[str] | None,
        generation_args: Mapping[str, object],
        window: tuple[int | None, int | None],
        batch_size: int | None,
    ) -> list[Example]:
        """Make one example of each input: generate, or read the forced target.

        Parameters
        ----------
        inputs : sequence of str or of messages, (text,)
        generated_texts : sequence of str, optional, (text,)
            Forced targets.
        generation_args : mapping
            Keywords of ``generate``.
        window : tuple of int or None
            ``attr_pos_start`` and ``attr_pos_end``.
        batch_size : int or None
            How many texts may be generated together.

        Returns
        -------
        list of Example, (text,)

        Raises
        ------
        ValueError
            For a target or range that does not fit its text, or an empty generation.
        """

    @abstractmethod
    def _embedding_modules(self) -> list[tuple[Stack, nn.Module]]:
        """Name the embedding module of every stack, in the order in which they are called."""

    @abstractmethod
    def _batch(self, examples: Sequence[Example], n_steps: int, *, distinct: bool) -> Batch:
        """Pad the examples, cut to what ``n_steps`` steps can see.

        ``distinct`` asks for different numbers of encoder and decoder positions.
        """

    def trace(
        self,
        examples: Sequence[Example],
        *,
        graph: bool = False,
        attention: bool = False,
        n_steps: int | None = None,
    ) -> Trace:
        """Run the model once over texts and targets.

        Parameters
        ----------
        examples : sequence of Example, (batch,)
        graph : bool, default False
            Keep the graph between embeddings and logits.
        attention : bool, default False
            Collect the attention weights of the steps.
        n_steps : int, optional
            Run only as far as the first ``n_steps`` steps can see; all of them by default.

        Returns
        -------
        Trace

        Raises
        ------
        ValueError
            When logits are not numbers.
        NotImplementedError
            When the architecture gives no attention weights.
        """
        examples = list(examples)
        longest = max(example.n_steps for example in examples)
        n_steps = longest if n_steps is None else n_steps
        batch = self._batch(examples, n_steps, distinct=attention)
        step_ids, step_mask = self._steps(examples, n_steps)
        rows = AttentionRows(batch.rows, batch.n_source, batch.n_target) if attention else None
        intercepted = can_intercept(self.model)
        with ExitStack() as stack:
            stack.enter_context(left_untouched(self.model))
            stack.enter_context(torch.set_grad_enabled(graph))
            if (graph or attention) and intercepted:
                self.model.set_attn_implementation(IMPLEMENTATION)
            stack.enter_context(collecting(rows))
            embeddings = stack.enter_context(self._embeddings_as_leaves(graph))
            ends = stack.enter_context(self._cut_before_head(batch.rows, graph))
            options = {"use_cache": False, "return_dict": True}
            if attention and not intercepted:
                options["output_attentions"] = True
                # Other implementations report weights that they did not mask.
                for config in configurations_of(self.model):
                    config._attn_implementation_internal = "eager"
            output = self.model(**batch.inputs, **options)
        logits = output.logits
        if not ends:  # no output head to be found: the logits themselves are cut
            cut = _rows_of(logits, batch.rows)
            logits = cut.detach().requires_grad_(graph)
            ends.extend([cut, logits])
        self._check_numbers(logits, step_mask, examples)
        if rows is not None and not intercepted:
            _add_reported(rows, output)
        if rows is not None and not (rows.own or rows.cross):
            raise NotImplementedError(
                f"method: {type(self.model).__name__} has no attention weights to show; "
                "gradient methods such as 'saliency' work."
            )
        return Trace(examples, step_ids, step_mask, logits, ends[0], ends[1], embeddings, rows)

    def _steps(self, examples: Sequence[Example], n_steps: int) -> tuple[Tensor, Tensor]:
        ids = torch.zeros(len(examples), n_steps, dtype=torch.long)
        mask = torch.zeros(len(examples), n_steps, dtype=torch.bool)
        for number, example in enumerate(examples):
            steps = example.target[example.start : example.end][:n_steps]
            ids[number, : len(steps)] = torch.tensor([token.id for token in steps])
            mask[number, : len(steps)] = True
        return ids.to(self.device), mask.to(self.device)

    def _rows(self, examples: Sequence[Example], n_steps: int) -> Tensor:
        """Give the decoder position that predicts each step, (batch, step)."""
        rows = torch.zeros(len(examples), n_steps, dtype=torch.long)
        for number, example in enumerate(examples):
            count = min(example.n_steps, n_steps)
            rows[number, :count] = torch.arange(example.start - 1, example.start - 1 + count)
        return rows.to(self.device)

    @property
    def _padding_id(self) -> int:
        """An id to fill up with; masked wherever it stands."""
        return self.tokenizer.pad_token_id or 0

    @contextmanager
    def _embeddings_as_leaves(self, graph: bool) -> Iterator[dict[Stack, Tensor]]:
        """Cut the graph behind the embedding modules, and keep what they gave."""
        leaves: dict[Stack, Tensor] = {}
        expected: dict[nn.Module, list[Stack]] = {}
        for name, module in self._embedding_modules():
            expected.setdefault(module, []).append(name)

        def keep(module: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> Tensor:
            if not expected[module]:
                return output
            leaf = output.detach().requires_grad_(graph)
            leaves[expected[module].pop(0)] = leaf
            # A copy, for models that go on in place.
            return leaf.clone() if graph else leaf

        with ExitStack() as hooks:
            for module in expected:
                hooks.callback(module.register_forward_hook(keep).remove)
            yield leaves

    @contextmanager
    def _cut_before_head(self, rows: Tensor, graph: bool) -> Iterator[list[Tensor]]:
        """Send only the wanted rows into the output head, detached from what made them."""
        ends: list[Tensor] = []
        head = self.model.get_output_embeddings()
        if head is None:
            yield ends
            return

        def cut(_: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            hidden = _rows_of(arguments[0], rows)
            leaf = hidden.detach().requires_grad_(graph)
            ends[:] = [hidden, leaf]
            return (leaf, *arguments[1:])

        hook = head.register_forward_pre_hook(cut)
        try:
            yield ends
        finally:
            hook.remove()

    def _check_numbers(self, logits: Tensor, mask: Tensor, examples: list[Example]) -> None:
        broken = torch.isnan(logits.detach()).any(-1) & mask
        if broken.any():
            number, step = (int(index) for index in broken.nonzero()[0])
            example = examples[number]
            token = example.target[example.start + step]
            where = f"{token.label!r} (position {token.position})"
            raise ValueError(NOT_NUMBERS.format(where=where))


def right_padded(
    rows: Sequence[Sequence[Token]], padding_id: int, width: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Make ids and attention mask of token rows.

    Parameters
    ----------
    rows : sequence of sequence of Token, (batch, token)
    padding_id : int
    width : int
        Number of positions, at least that of the longest row.
    device : torch.device

    Returns
    -------
    ids, mask : torch.Tensor, (batch, position)
        The mask is 1 at tokens and 0 at padding.
    """
    ids = torch.full((len(rows), width), padding_id, dtype=torch.long)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = torch.tensor([token.id for token in row])
        mask[number, : len(row)] = 1
    return ids.to(device), mask.to(device)


def _rows_of(hidden: Tensor, rows: Tensor) -> Tensor:
    """Take rows (batch, step) of a tensor (batch, position, feature)."""
    index = rows.to(hidden.device)[:, :, None].expand(-1, -1, hidden.shape[-1])
    return hidden.gather(1, index)


def _add_reported(rows: AttentionRows, output: Mapping[str, tuple[Tensor, ...] | None]) -> None:
    """Take the wanted rows of the attention weights that a model reports itself."""
    for name in ("attentions", "decoder_attentions", "cross_attentions"):
        for weights in output.get(name) or ():
            if weights is not None:
                rows.add(rows.select(weights))
