"""A Hugging Face model that can be traced: one teacher-forced run serves every step."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import cached_property, partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from inseq_widget.models.attention import (
    IMPLEMENTATION,
    Observer,
    can_intercept,
    observing,
)
from inseq_widget.models.attention_rows import AttentionRows
from inseq_widget.models.example import Example
from inseq_widget.models.faults import (
    backward_origin,
    broken_logits,
    forward_origin,
    named_step,
    not_numbers,
)
from inseq_widget.models.interventions import Given, cut_before_head
from inseq_widget.models.padding import filling_id, rows_of, step_ids
from inseq_widget.models.positions import check_length, position_limits
from inseq_widget.models.state import left_untouched
from inseq_widget.models.structure import stacks_of
from inseq_widget.models.trace import Batch, Stack, Trace

Message = Mapping[str, str]
Messages = Sequence[Message]
TextInput = str | Messages


class TraceableModel(ABC):
    """A model with its tokenizer, ready to be traced.

    Parameters
    ----------
    model : PreTrainedModel
    tokenizer : PreTrainedTokenizerBase
    """

    architecture: Literal["decoder_only", "encoder_decoder"]
    # Whether the tokenizer adds the special tokens that it always adds.
    adds_special_tokens = True

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        self.model = model
        self.tokenizer = tokenizer

    def without_special_tokens(self) -> TraceableModel:
        """Give the same model, reading texts without adding special tokens to them."""
        plain = copy.copy(self)
        plain.adds_special_tokens = False
        return plain

    @abstractmethod
    def input_ids(self, given: TextInput) -> list[int]:
        """Give the ids that the model reads of an input."""

    @abstractmethod
    def target_ids(self, text: str, argument: str) -> list[int]:
        """Give the ids of a target of an encoder-decoder model, the start token first."""

    @property
    @abstractmethod
    def start_id(self) -> int:
        """The id that stands before a text: where the decoder starts, or begin-of-sequence.

        Raises
        ------
        ValueError
            When the model names none.
        """

    @property
    def device(self) -> torch.device:
        """Where ids have to be for the model to read them."""
        module = self._embedding_modules()[0][1]
        weight = module.weight
        assert isinstance(weight, Tensor)
        if weight.is_meta:  # accelerate brings it where it is used
            return torch.device(vars(module)["_hf_hook"].execution_device)
        return weight.device

    def embed(self, stack: Stack, ids: Tensor) -> Tensor:
        """Give what a stack's embedding module makes of ids.

        Parameters
        ----------
        stack : {"source", "target"}
        ids : torch.Tensor of int, (...)

        Returns
        -------
        torch.Tensor, (..., feature)
        """
        module = dict(self._embedding_modules())[stack]
        with left_untouched(self.model), torch.no_grad():
            embedded: Tensor = module(ids.to(self.device))
        return embedded

    def embedding_matrix(self, stack: Stack) -> Tensor:
        """Give the embeddings of the whole vocabulary, (token, feature), of one stack."""
        return self.embed(stack, torch.arange(max(self.tokenizer.get_vocab().values()) + 1))

    @abstractmethod
    def examples(
        self,
        inputs: Sequence[TextInput],
        generated_texts: Sequence[str] | None,
        generation_args: Mapping[str, object],
        window: tuple[int | None, int | None],
        batch_size: int | None,
        *,
        continued: bool = False,
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
        continued : bool, default False
            The generated texts of an encoder-decoder model are only how its targets begin.

        Returns
        -------
        list of Example, (text,)

        Raises
        ------
        ValueError
            For a target or range that does not fit its text, or an empty generation.
        """

    def _wanted(self, written: list[int]) -> list[int]:
        """Leave out the special tokens that a generated text ends with, where they are skipped."""
        if self.adds_special_tokens:
            return written
        special = set(self.tokenizer.all_special_ids)
        last = max(n for n, token_id in enumerate(written) if token_id not in special)
        return written[: last + 1]

    @abstractmethod
    def contrast_example(
        self, example: Example, given: TextInput, source: str | None, target: str | None
    ) -> Example:
        """Tokenise what a text is contrasted with.

        Parameters
        ----------
        example : Example
            The regular text.
        given : str or messages
            Its input.
        source, target : str or None
            Contrastive texts; what the regular text has where None. The target of a decoder-only
            model holds its own prompt, except after messages.

        Returns
        -------
        Example
            Its steps are all that can be predicted.

        Raises
        ------
        ValueError
            For a source that the model cannot take, or a text without tokens.
        """

    @cached_property
    def _position_limits(self) -> dict[Stack, int]:
        """How many positions each stack has, where it is a fixed number."""
        return position_limits(stacks_of(self.model))

    def _check_lengths(self, examples: Sequence[Example]) -> None:
        """Refuse texts that are longer than the model has positions."""
        for number, example in enumerate(examples):
            self.check_length(example, number)

    def check_length(self, example: Example, number: int, argument: str = "input_texts") -> None:
        """Refuse a text that is longer than the model has positions.

        Parameters
        ----------
        example : Example
        number : int
            Its place among all.
        argument : str
            Where it was given, as the error calls it.

        Raises
        ------
        ValueError
        """
        # The last token is explained, not read.
        lengths: dict[Stack, int] = {"source": len(example.source), "target": example.end - 1}
        text = [token.text for token in example.source or example.target if not token.special]
        check_length(self._position_limits, lengths, number, text, argument)

    def _check_prompts(self, rows: Sequence[Sequence[int]]) -> None:
        """Refuse inputs that leave no position to generate at, or have none themselves."""
        first, limits = self._embedding_modules()[0][0], self._position_limits
        for number, row in enumerate(rows):
            text: str = self.tokenizer.decode(list(row))  # type: ignore[assignment]
            check_length(limits, {first: len(row)}, number, [text])

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
        observer: Observer | None = None,
        n_steps: int | None = None,
        embeddings: Mapping[Stack, Tensor] | None = None,
        tangents: Mapping[Stack, Tensor] | None = None,
        around: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> Trace:
        """Run the model once over texts and targets.

        Parameters
        ----------
        examples : sequence of Example, (batch,)
        graph : bool, default False
            Keep the graph between embeddings and logits.
        attention : bool, default False
            Collect the attention weights of the steps.
        observer : callable, optional
            Sees every attention call, and may give another output to use; not beside ``attention``.
        n_steps : int, optional
            Run only as far as the first ``n_steps`` steps can see; all of them by default.
        embeddings : mapping of str to torch.Tensor, each (batch, position, feature), optional
            Taken in place of what the embedding modules give; of the stacks that are named.
        tangents : mapping of str to torch.Tensor, each (batch, position, feature), optional
            Directions in which the embeddings move: the trace tells how the logits follow, by
            forward-mode differentiation, which needs no graph.
        around : callable
            Makes a context in which the model runs.

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
        assert not (attention and observer), "an observer can collect rows itself"
        batch = self._batch(examples, n_steps, distinct=attention or observer is not None)
        ids, step_mask = step_ids(examples, n_steps, self.device)
        rows = AttentionRows(batch.rows) if attention else None
        watching = rows if attention else observer
        with ExitStack() as stack:
            stack.enter_context(left_untouched(self.model))
            stack.enter_context(torch.set_grad_enabled(graph))
            if tangents is not None:
                stack.enter_context(forward_ad.dual_level())
            if (graph or tangents is not None) and can_intercept(self.model):
                self.model.set_attn_implementation(IMPLEMENTATION)
            seen = None
            if watching is not None:
                sizes = (batch.n_source, batch.n_target, len(examples))
                seen = stack.enter_context(observing(self.model, watching, *sizes))
            given = Given(embeddings or {}, tangents or {})
            leaves = stack.enter_context(self._embeddings_as_leaves(graph, given))
            ends = stack.enter_context(cut_before_head(self.model, batch.rows, graph))
            stack.enter_context(around())
            output = self.model(**batch.inputs, use_cache=False, return_dict=True)
            logits, tangent = output.logits, None
            if not ends:  # no output head to be found: the logits themselves are cut
                cut = rows_of(logits, batch.rows)
                logits = cut if tangents is not None else cut.detach().requires_grad_(graph)
                ends.extend([cut, logits])
            if tangents is not None:
                logits, tangent = forward_ad.unpack_dual(logits)
                ends = [forward_ad.unpack_dual(end).primal for end in ends]
        self._check_numbers(logits, step_mask, examples, batch)
        if seen is not None and not seen.n_calls:
            raise NotImplementedError(
                f"method: {type(self.model).__name__} has no attention weights to show; "
                "gradient methods such as 'saliency' work."
            )

        def again(n_steps: int) -> Trace:
            return self.trace(
                examples,
                graph=graph,
                attention=attention,
                observer=observer,
                n_steps=n_steps,
                embeddings=embeddings,
                tangents=tangents,
                around=around,
            )

        return Trace(
            examples=examples,
            step_ids=ids,
            step_mask=step_mask,
            logits=logits,
            cut=ends[0],
            leaf=ends[1],
            embeddings=leaves,
            attention=rows,
            tangent=tangent,
            again=again,
            gradient_fault=self.gradient_fault,
        )

    @cached_property
    def _padding_id(self) -> int:
        """An id to fill up with; masked wherever it stands."""
        return filling_id(self.tokenizer, partial(self.embed, self._embedding_modules()[0][0]))

    @contextmanager
    def _embeddings_as_leaves(self, graph: bool, given: Given) -> Iterator[dict[Stack, Tensor]]:
        """Cut the graph behind the embedding modules, and keep what they gave."""
        leaves: dict[Stack, Tensor] = {}
        expected: dict[nn.Module, list[Stack]] = {}
        for name, module in self._embedding_modules():
            expected.setdefault(module, []).append(name)

        def keep(module: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> Tensor:
            if not expected[module]:
                return output
            name = expected[module].pop(0)
            leaf = given.embedding(name, output).detach().requires_grad_(graph)
            leaves[name] = leaf
            if given.tangents:
                moving: Tensor = forward_ad.make_dual(leaf, given.tangent(name, leaf))
                return moving
            # A copy, for models that go on in place.
            return leaf.clone() if graph else leaf

        with ExitStack() as hooks:
            for module in expected:
                hooks.callback(module.register_forward_hook(keep).remove)
            yield leaves

    def _check_numbers(
        self, logits: Tensor, mask: Tensor, examples: list[Example], batch: Batch
    ) -> None:
        broken = broken_logits(logits.detach()) & mask
        if broken.any():
            number, step = (int(index) for index in broken.nonzero()[0])

            def run() -> None:
                with left_untouched(self.model):
                    self.model(**batch.inputs, use_cache=False)

            origin = forward_origin(self.model, run)
            raise not_numbers("logits", named_step(examples[number], step), origin)

    def gradient_fault(self, trace: Trace, number: int, step: int) -> ValueError:
        """Make the error for gradients of a text's step that are not numbers, though logits are.

        It names the token, and the module where the gradients stop to be finite.
        """
        origin = backward_origin(self.model, lambda: self.trace(trace.examples, graph=True).cut)
        return not_numbers("gradients", named_step(trace.examples[number], step), origin)
