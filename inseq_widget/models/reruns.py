"""Runs one text again with other embeddings, and shares with its clean run what did not change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property

import torch
from torch import Tensor, nn
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer
from transformers.modeling_outputs import BaseModelOutput

from inseq_widget.models.example import Example
from inseq_widget.models.faults import broken_logits, forward_origin, named_step, not_numbers
from inseq_widget.models.interventions import cut_before_head
from inseq_widget.models.out_of_memory import is_out_of_memory
from inseq_widget.models.recording import close
from inseq_widget.models.state import left_untouched
from inseq_widget.models.trace import Stack
from inseq_widget.models.traceable import TraceableModel

# What a model raises that cannot begin behind a cache, or without its source.
_REFUSALS = (TypeError, ValueError, AttributeError, LookupError, RuntimeError)


class Reruns:
    """One text, to be run many times with some of its embeddings replaced.

    Rows whose first tokens are those of the clean text begin behind them, with the keys and
    values of the clean run; rows with a clean source take over what the encoder made of it. The
    first time that this would happen it is tried on the clean text, and left where the model
    gives other logits that way.

    Parameters
    ----------
    model : TraceableModel
    example : Example

    Attributes
    ----------
    embeddings : dict of str to torch.Tensor, each (position, feature)
        The clean embeddings of every position that a step sees.
    logits : torch.Tensor, (step, vocabulary)
        Those of the clean text.
    """

    def __init__(self, model: TraceableModel, example: Example) -> None:
        self._model = model
        self._example = example
        self._first_row = example.start - 1
        self._n_steps = example.n_steps
        tokens = {"target": example.target[: example.end - 1]}
        if model.architecture == "encoder_decoder":
            tokens["source"] = example.source
        self._ids = {
            stack: torch.tensor([[token.id for token in row]], device=model.device)
            for stack, row in tokens.items()
        }
        self.embeddings: dict[Stack, Tensor] = {
            stack: model.embed(stack, self._ids[stack])[0] for stack in self._stacks
        }
        self._layers: list[DynamicLayer] = []
        self._encoded: Tensor | None = None
        self.logits = self._clean_logits()

    @property
    def _stacks(self) -> list[Stack]:
        if self._model.architecture == "encoder_decoder":
            return ["source", "target"]
        return ["target"]

    def row_of(self, step: int) -> int:
        """Give the decoder position that predicts a step."""
        return self._first_row + step

    @property
    def bytes_of_a_row(self) -> int:
        """A guess, on the large side, of what one row takes while it runs."""
        total = 4 * self.logits.numel() * max(4, self.logits.element_size())
        for embedded in self.embeddings.values():
            width, features = embedded.shape
            # As many heads as there can be: with fewer features than 16 a head is of no use.
            numbers = width * (64 * features + features // 16 * width)
            total += numbers * embedded.element_size()
        return total

    @cached_property
    def shares_prefix(self) -> bool:
        """Whether a run may begin behind tokens that did not change."""
        last = self._ids["target"].shape[1] - 1
        # Where little is shared, and where all but one token is.
        return bool(self._layers) and last > 0 and all(map(self._agrees, sorted({1, last})))

    @cached_property
    def shares_source(self) -> bool:
        """Whether a run may take over what the encoder made of a source that did not change."""
        return self._encoded is not None and self._agrees(0)

    def run(self, rows: Mapping[Stack, Tensor], steps: Tensor, first: int = 0) -> Tensor:
        """Run the text with other embeddings, once for each row.

        Parameters
        ----------
        rows : mapping of str to torch.Tensor, each (row, position, feature)
            The embeddings of all positions, of the stacks that changed.
        steps : torch.Tensor of int, (row, step)
            The steps at which each row is read.
        first : int, default 0
            The target positions before it are clean in every row.

        Returns
        -------
        torch.Tensor, (row, step, vocabulary)

        Raises
        ------
        ValueError
            When logits are not numbers.
        """
        options: dict[str, object] = {"use_cache": False}
        n_rows = steps.shape[0]
        with_source = "source" in rows or ("source" in self._ids and not self.shares_source)
        if first and self.shares_prefix:
            options = self._behind(first, n_rows)
        else:
            first = 0
        logits, _ = self._run(rows, steps, first, options, with_source=with_source)
        self._check_numbers(logits, rows, steps)
        return logits

    def _clean_logits(self) -> Tensor:
        steps = torch.arange(self._n_steps)[None]
        if self._model.architecture == "decoder_only" and not self._model.model._is_stateful:
            cache = DynamicCache()
            try:
                logits, _ = self._run(
                    {}, steps, 0, {"use_cache": True, "past_key_values": cache}, with_source=False
                )
            except _REFUSALS as error:
                # Whatever a model has against this cache, it runs without one.
                if is_out_of_memory(error):
                    raise
            else:
                if not broken_logits(logits).any():
                    self._layers = self._whole_layers(cache)
                    return logits[0]
        logits, encoded = self._run({}, steps, 0, {"use_cache": False}, with_source=True)
        self._check_numbers(logits, {}, steps)
        self._encoded = encoded
        return logits[0]

    def _check_numbers(self, logits: Tensor, rows: Mapping[Stack, Tensor], steps: Tensor) -> None:
        """Report logits that are not numbers, (row, step, vocabulary), and where they come from."""
        broken = broken_logits(logits)
        if not broken.any():
            return
        row, place = (int(index) for index in broken.nonzero()[0])
        step = steps[row, place].reshape(1, 1)
        alone = {stack: embedded[row : row + 1] for stack, embedded in rows.items()}
        where = named_step(self._example, int(step))
        if not all(embedded.isfinite().all() for embedded in alone.values()):
            origin: str | None = "the embeddings that stand in for tokens"
        else:
            origin = forward_origin(
                self._model.model,
                lambda: self._run(alone, step, 0, {"use_cache": False}, with_source=True),
            )
        what = "logits of a text with tokens replaced" if rows else "logits"
        raise not_numbers(what, where, origin)

    def _whole_layers(self, cache: DynamicCache) -> list[DynamicLayer]:
        """Take the layers of a cache if they hold keys and values of all positions."""
        layers = [layer for layer in cache.layers if type(layer) is DynamicLayer]
        n_target = self._ids["target"].shape[1]
        whole = all(layer.get_seq_length() == n_target for layer in layers)
        return layers if whole and len(layers) == len(cache.layers) else []

    def _agrees(self, first: int) -> bool:
        """Say whether the clean text, run with what is shared, gives its clean logits."""
        seen = max(0, first - self._first_row)
        steps = torch.arange(seen, self._n_steps)[None]
        options = self._behind(first, 1) if first else {"use_cache": False}
        try:
            logits, _ = self._run({}, steps, first, options, with_source=False)
        except _REFUSALS as error:
            # Sharing is a saving that a model may refuse; without it, it has run.
            if is_out_of_memory(error):
                raise
            return False
        return close(logits[0], self.logits[seen:])

    def _behind(self, first: int, n_rows: int) -> dict[str, object]:
        """Give the keyword arguments that put a run behind the first clean positions."""
        cache = DynamicCache()
        cache.layers = [_PrefixLayer(layer, first, n_rows) for layer in self._layers]
        return {"use_cache": True, "past_key_values": cache}

    def _run(
        self,
        rows: Mapping[Stack, Tensor],
        steps: Tensor,
        first: int,
        options: Mapping[str, object],
        *,
        with_source: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """Run from position ``first`` on; give the logits and what the encoder made."""
        n_rows = steps.shape[0]
        stop = self.row_of(int(steps.max())) + 1
        inputs = self._inputs(n_rows, first, stop, with_source)
        given: dict[Stack, Tensor] = {}
        for stack in self._stacks:
            if stack == "target" or with_source:
                embedded = rows.get(stack, self.embeddings[stack].expand(n_rows, -1, -1))
                given[stack] = embedded[:, first:stop] if stack == "target" else embedded
        read = (steps + self._first_row - first).to(self._model.device)
        with ExitStack() as context:
            context.enter_context(left_untouched(self._model.model))
            context.enter_context(torch.no_grad())
            context.enter_context(_fed(self._model, given))
            ends = context.enter_context(cut_before_head(self._model.model, read, False))
            output = self._model.model(**inputs, **options, return_dict=True)
            logits: Tensor = output.logits
        if not ends:
            index = read.to(logits.device)[..., None].expand(-1, -1, logits.shape[-1])
            logits = logits.gather(1, index)
        return logits, getattr(output, "encoder_last_hidden_state", None)

    def _inputs(self, n_rows: int, first: int, stop: int, with_source: bool) -> dict[str, object]:
        ids = self._ids["target"][:, first:stop].expand(n_rows, -1)
        if self._model.architecture == "decoder_only":
            seen = torch.ones(n_rows, stop, dtype=torch.long, device=ids.device)
            return {"input_ids": ids, "attention_mask": seen}
        source = self._ids["source"].expand(n_rows, -1)
        inputs: dict[str, object] = {
            "attention_mask": torch.ones_like(source),
            "decoder_input_ids": ids,
        }
        if with_source:
            return {**inputs, "input_ids": source}
        assert self._encoded is not None, "the clean run keeps what the encoder made"
        encoded = self._encoded.expand(n_rows, -1, -1)
        return {**inputs, "encoder_outputs": BaseModelOutput(last_hidden_state=encoded)}


class _PrefixLayer(DynamicLayer):
    """Keys and values of a clean prefix, the same for all rows; a run adds to it nothing."""

    def __init__(self, clean: DynamicLayer, length: int, n_rows: int) -> None:
        DynamicLayer.__init__(self)
        assert clean.keys is not None, "the clean run filled it"
        assert clean.values is not None, "the clean run filled it"
        self.lazy_initialization(clean.keys, clean.values)
        self._before = [
            tensor[:, :, :length].expand(n_rows, -1, -1, -1)
            for tensor in (clean.keys, clean.values)
        ]
        self.keys, self.values = self._before

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Give the prefix with what follows it; only one layer's is in memory at a time."""
        keys, values = self._before
        return torch.cat([keys, key_states], dim=-2), torch.cat([values, value_states], dim=-2)


@contextmanager
def _fed(model: TraceableModel, given: Mapping[Stack, Tensor]) -> Iterator[None]:
    """Put embeddings in the place of what the embedding modules give."""
    expected: dict[nn.Module, list[Stack]] = {}
    for stack, module in model._embedding_modules():
        if stack in given:
            expected.setdefault(module, []).append(stack)

    def replace(module: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if not expected[module]:
            return output
        # A copy, for models that go on in place.
        return given[expected[module].pop(0)].to(output).clone()

    with ExitStack() as hooks:
        for module in expected:
            hooks.callback(module.register_forward_hook(replace).remove)
        yield
