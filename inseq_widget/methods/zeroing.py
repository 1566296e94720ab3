"""Runs one layer again for many pairs of a row and a token whose values that row does not get."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from inseq_widget.methods.chunking import ChunkSizer
from inseq_widget.models import Example, TraceableModel
from inseq_widget.models.attention import AttentionCall, observing
from inseq_widget.models.attention_call import Kind, Observation, Observer
from inseq_widget.models.faults import forward_origin, named_step, not_numbers
from inseq_widget.models.out_of_memory import is_out_of_memory
from inseq_widget.models.recording import RecordedLayer, Recording, close, giving

# Rows that run with their own attention, to see that places and what surrounds a row are no matter.
_N_TRIED = 4


class LayerWithoutTokens:
    """One recorded layer, to run again without what some rows get from some tokens.

    A row's attention output is a sum over tokens, so the clean one less a token's term is what
    the row gets without that token's values, and no attention has to be computed. Pairs of a row
    and a token fill the places of sequences as long as the recorded one, in any order, because
    everything but attention treats positions apart from each other. What ran before the
    attention is taken from the recording.

    Parameters
    ----------
    layer : RecordedLayer
    kind : {"encoder", "decoder", "cross"}
        The attention whose values become zero.
    heads : torch.Tensor of int or None, (head,)
        The heads of the value vectors whose values become zero; all where None.
    rows : torch.Tensor of int, (row,)
        The positions that are explained.
    final : torch.nn.Module or None
        A norm that the layer's output goes through.

    Attributes
    ----------
    clean : torch.Tensor, (row, feature)
        What the layer gives when nothing is missing.
    """

    def __init__(
        self,
        layer: RecordedLayer,
        kind: Kind,
        heads: Tensor | None,
        rows: Tensor,
        final: nn.Module | None,
    ) -> None:
        self._layer = layer
        self._kind = kind
        self._rows = rows
        self._heads = heads
        self._finish: Callable[[Tensor], Tensor] = final if final is not None else _as_it_is
        self.clean = self._finish(self._at_rows(layer.output))
        calls = [recorded.call for recorded in layer.of_kind(kind)]
        weights = [call.weights(rows[None]) for call in calls]
        self._attended = [
            call.output(weight)[0] for call, weight in zip(calls, weights, strict=True)
        ]
        self._values = [call.value[0].transpose(0, 1) for call in calls]
        # (row, token, key-value head, query head that shares it)
        self._weights = [
            self._chosen(weight[0].permute(1, 2, 0).unflatten(2, (call.value.shape[1], -1)))
            for call, weight in zip(calls, weights, strict=True)
        ]

    def _chosen(self, weights: Tensor) -> Tensor:
        """Leave the weights of the chosen heads."""
        if self._heads is None:
            return weights
        chosen = torch.zeros_like(weights)
        chosen[:, :, self._heads] = weights[:, :, self._heads]
        return chosen

    @property
    def matters(self) -> Tensor:
        """Whether a row gets anything from a token, (row, token), bool."""
        return torch.stack([weights.flatten(2).ne(0).any(2) for weights in self._weights]).any(0)

    def changed(
        self, rows: Tensor, tokens: Tensor, sizer: ChunkSizer, observed: Observed
    ) -> Iterator[Tensor]:
        """Run the layer for pairs of a row and a token.

        Parameters
        ----------
        rows, tokens : torch.Tensor of int, (pair,)
            Numbers of rows among those that are explained, and token positions.
        sizer : ChunkSizer
            Chooses how many sequences of pairs run at once.
        observed : Observed
            Watches the model.

        Yields
        ------
        torch.Tensor, (pair, feature)
            The outputs, pair after pair, some at a time.

        Raises
        ------
        ValueError
            When outputs are not numbers.
        """
        width = self._layer.given.shape[1]
        tried = torch.arange(min(len(self._rows), _N_TRIED), device=rows.device)
        # Tokens of number -1 are no tokens: those rows keep all that they get.
        rows = torch.cat([tried.flip(0), rows])
        tokens = torch.cat([torch.full_like(tried, -1), tokens])
        done = 0
        while done < len(rows):

            def chunk(sequences: int, done: int = done) -> Tensor:
                part = slice(done, done + sequences * width)
                return self._packed(rows[part], tokens[part], observed)

            try:
                outputs = chunk(1) if observed.alone else sizer.run(chunk)[0]
                fits = done > 0 or close(outputs[: len(tried)], self.clean[rows[: len(tried)]])
            except (RuntimeError, ValueError, TypeError, IndexError) as error:
                if done > 0 or is_out_of_memory(error):
                    raise
                fits = False
            if not fits and not observed.alone:
                observed.alone = True  # some architectures build tensors for one text
                continue
            if not fits:
                first = len(tried)
                for output in self._one_token_after_the_other(rows, tokens, observed):
                    self._check_numbers(output, rows[first:], tokens[first:], observed)
                    yield output
                    first += 1
                return
            self._check_numbers(outputs, rows[done:], tokens[done:], observed)
            yield outputs if done else outputs[len(tried) :]
            done += len(outputs)

    def _check_numbers(
        self, outputs: Tensor, rows: Tensor, tokens: Tensor, observed: Observed
    ) -> None:
        """Report outputs (pair, feature) that are not finite, and where they come from."""
        finite = outputs.isfinite().all(-1)
        if finite.all():
            return
        pair = int((~finite).nonzero()[0])
        token, position = int(tokens[pair]), int(self._rows[rows[pair]])

        def run() -> None:
            with observed.by(self._zeroing(token), 1):
                self._finish(self._layer.run(self._layer.given))

        raise observed.fault(run, self._layer.layer, self._kind, token, position)

    def _packed(self, rows: Tensor, tokens: Tensor, observed: Observed) -> Tensor:
        """Run pairs in the places of sequences, as many as they fill."""
        given = self._layer.given
        width = given.shape[1]
        if given.dim() != 3 or given.shape[0] != 1:
            raise ValueError("a layer's positions are its second dimension")
        n_pairs = len(rows)
        n_sequences = -(-n_pairs // width)
        rest = n_sequences * width - n_pairs
        rows = torch.cat([rows, rows[-1:].expand(rest)]).view(n_sequences, width)
        tokens = torch.cat([tokens, tokens[-1:].expand(rest)]).view(n_sequences, width)
        positions = self._rows[rows]
        attention = self._attention(rows, tokens, positions)
        with observed.by(attention, n_sequences), giving(self._known(positions)):
            output = self._layer.run(given[0, positions])
        return self._finish(output).flatten(0, 1)[:n_pairs]

    def _known(self, positions: Tensor) -> dict[nn.Module, Tensor]:
        """Give what the parts of the layer give that do not notice the missing token."""
        n_sequences, width = positions.shape
        known: dict[nn.Module, Tensor] = {}
        for recorded in self._layer.calls:
            for part, gave in recorded.before.items():
                if gave.dim() > 2 and gave.shape[0] == 1 and gave.shape[1] != width:
                    known[part] = gave.expand(n_sequences, *gave.shape[1:])
        for part, gave in self._layer.of_kind(self._kind)[0].before.items():
            if gave.dim() > 2 and gave.shape[:2] == (1, width):
                known[part] = gave[0, positions]
        return known

    def _attention(self, rows: Tensor, tokens: Tensor, positions: Tensor) -> Observer:
        """Make what gives the attention outputs of packed pairs, call after call."""
        pending = list(self._layer.calls)
        outputs = iter(self._without(number, rows, tokens) for number in range(len(self._attended)))

        def attend(call: AttentionCall) -> Tensor | None:
            recorded = pending.pop(0).call
            if recorded.kind == self._kind:
                return next(outputs)
            if self._kind == "cross":  # self-attention comes first, and is clean
                return recorded.output(recorded.weights(self._rows[None]))[0][rows]
            if call.query is None:
                return None
            asked = recorded.asked_by(call.query, positions)
            return asked.output(asked.weights())

        return attend

    def _without(self, number: int, rows: Tensor, tokens: Tensor) -> Tensor:
        """Give attention outputs less a token's term, (sequence, place, head, feature)."""
        weights = self._weights[number][rows, tokens] * (tokens >= 0)[..., None, None]
        values = self._values[number][tokens]
        terms = weights[..., None] * values[:, :, :, None]
        return self._attended[number][rows] - terms.flatten(2, 3)

    def _one_token_after_the_other(
        self, rows: Tensor, tokens: Tensor, observed: Observed
    ) -> Iterator[Tensor]:
        """Run the layer as a whole once for each token, and take the rows that were asked for."""
        outputs: dict[int, Tensor] = {}
        for token in tokens[tokens >= 0].unique().tolist():
            with observed.by(self._zeroing(token), 1):
                output = self._layer.run(self._layer.given)
            outputs[token] = self._finish(self._at_rows(output))
        for row, token in zip(rows.tolist(), tokens.tolist(), strict=True):
            if token >= 0:
                yield outputs[token][row][None]

    def _zeroing(self, token: int) -> Observer:
        """Make what attends with a token's values at zero."""

        def attend(call: AttentionCall) -> Tensor | None:
            if call.kind != self._kind:
                return None
            value = call.value.clone()
            if self._heads is None:
                value[:, :, token] = 0
            else:
                value[:, self._heads, token] = 0
            zeroed = replace(call, value=value)
            return zeroed.output(zeroed.weights())

        return attend

    def _at_rows(self, hidden: Tensor) -> Tensor:
        """Take the rows of a layer's output, whichever of its dimensions counts positions."""
        if hidden.dim() == 3 and hidden.shape[0] == 1:
            return hidden[0, self._rows]
        if hidden.dim() == 3 and hidden.shape[1] == 1:
            return hidden[self._rows, 0]
        raise NotImplementedError(
            f"method: {type(self._layer.layer).__name__} gives hidden states of the shape "
            f"{tuple(hidden.shape)}; gradient methods such as 'saliency' work."
        )


class Observed:
    """A model whose attention is watched, by one observer after the other.

    Parameters
    ----------
    example : Example, optional
        What it runs on, to name its tokens in an error.

    Attributes
    ----------
    alone : bool
        Whether its layers run on one sequence at a time only.
    """

    def __init__(self, example: Example | None = None) -> None:
        self.alone = False
        self._example = example
        self._model: nn.Module | None = None
        self._observer: Observer | None = None
        self._observation: Observation | None = None

    def __call__(self, call: AttentionCall) -> Tensor | None:
        """Hand a call to the observer of the moment."""
        return None if self._observer is None else self._observer(call)

    @contextmanager
    def on(self, model: TraceableModel, recording: Recording) -> Iterator[None]:
        """Watch the model inside the block."""
        self._model = model.model
        sizes = (recording.n_source, recording.n_target)
        with torch.no_grad(), observing(model.model, self, *sizes) as self._observation:
            yield

    @contextmanager
    def by(self, observer: Observer, n_sequences: int) -> Iterator[None]:
        """Have somebody observe what runs inside the block, so many sequences at once."""
        assert self._observation is not None, "the model is watched"
        self._observation.n_batch = n_sequences
        self._observer = observer
        try:
            yield
        finally:
            self._observer = None

    def fault(
        self, run: Callable[[], None], layer: nn.Module, kind: Kind, token: int, position: int
    ) -> ValueError:
        """Make the error for outputs of a layer that are not numbers without a token's values.

        Parameters
        ----------
        run : callable
            Runs the layer again.
        layer : torch.nn.Module
        kind : {"encoder", "decoder", "cross"}
            The attention that lacks the values.
        token : int
            Whose they are.
        position : int
            Where the outputs are not numbers.

        Returns
        -------
        ValueError
        """
        assert self._model is not None, "the model is watched"
        paths = {module: path for path, module in self._model.named_modules()}
        origin = forward_origin(self._model, run) or paths[layer]
        missing, where = f"position {token}", f"position {position}"
        if self._example is not None:
            read = self._example.target if kind == "decoder" else self._example.source
            missing = repr(read[token].label)
            step = position + 1 - self._example.start
            if kind != "encoder" and step >= 0:
                where = named_step(self._example, step)
        return not_numbers(f"hidden states without the values of {missing}", where, origin)


def _as_it_is(hidden: Tensor) -> Tensor:
    return hidden
