"""Value zeroing: how much a layer's output changes without the values of one token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from inseq_widget.methods.base import Job, TextScores, register
from inseq_widget.methods.chunking import ChunkSizer
from inseq_widget.methods.recorded import RecordedMethod
from inseq_widget.methods.zeroing import LayerWithoutTokens, Observed
from inseq_widget.models import Example, TraceableModel
from inseq_widget.models.attention_call import Kind
from inseq_widget.models.precision import at_least_single
from inseq_widget.models.recording import RecordedLayer, RecordedTrace, Recording, recorded

Heads = int | tuple[int, int] | list[int] | None
HeadsByLayer = Heads | Mapping[int, Heads]

# Smaller distances are rounding, and would become scores where all others are small, too.
_NO_DISTANCE = 1e-5
# Numbers that a layer makes of a position, in units of a hidden state, on the large side.
_STATES_PER_LAYER = 40


@register
@dataclass(frozen=True)
class ValueZeroing(RecordedMethod):
    """Value zeroing (Mohebbi, Zuidema, Chrupała and Alishahi, 2023, section 3).

    In one layer at a time, which gets its clean input, the value vectors of input *j* are set to
    zero. The score is how far that moves the layer's output at the position which predicts step
    *t*, divided by the sum over all inputs. The last layer's output is read after the model's
    final norm. Distances below 1e-5 count as none. Tokens of a decoder-only model, and the target
    prefix, lose their values in self-attention, source tokens in cross-attention.

    For an encoder-decoder model ``sequence_scores`` have the same for its self-attention:
    ``"encoder_self_scores"``, (source, source, layer), and, unless the target prefix is
    attributed, ``"decoder_self_scores"``, (target, target, layer) without the last token, which
    is not read. The tokens without values come first; the scores of a token sum to 1 over them.

    Parameters
    ----------
    similarity_metric : {"cosine", "euclidean"}, default "cosine"
        The distance: one minus the cosine of the two outputs, or the norm of their difference.
    encoder_zeroed_units_indices, decoder_zeroed_units_indices : optional
    cross_zeroed_units_indices : optional
        The heads whose values are set to zero in the self-attention of encoder and decoder and in
        cross-attention: one, a range ``(start, end)`` without its end, a list of them, or a
        dictionary that gives them for each layer and leaves the layers alone that are not in it;
        all of them by default. Negative numbers count from the end. Where several query heads
        share a key-value head, the key-value heads are counted.
    output_decoder_self_scores, output_encoder_self_scores : bool, default True
        Whether to compute ``sequence_scores``.
    """

    name: ClassVar[str] = "value_zeroing"
    score_label: ClassVar[str] = "change of layer output without the values, mean over layers"
    signed: ClassVar[bool] = False
    reduction: ClassVar[str] = "mean"
    explains_output: ClassVar[bool] = False

    similarity_metric: str = "cosine"
    encoder_zeroed_units_indices: HeadsByLayer = None
    decoder_zeroed_units_indices: HeadsByLayer = None
    cross_zeroed_units_indices: HeadsByLayer = None
    output_decoder_self_scores: bool = True
    output_encoder_self_scores: bool = True

    def __post_init__(self) -> None:
        """Refuse a metric that there is not, and heads that are none."""
        if self.similarity_metric not in _DISTANCES:
            raise ValueError(
                f"similarity_metric: {self.similarity_metric!r} given; "
                f"choose one of {', '.join(_DISTANCES)}."
            )
        for keyword, heads in self._chosen.items():
            each = heads.values() if isinstance(heads, Mapping) else [heads]
            if not all(_are_heads(given) for given in each):
                raise ValueError(
                    f"{keyword}: {heads!r} given; pass a head, a range (start, end), a list of "
                    "heads, or a dictionary of those by layer."
                )

    @property
    def _chosen(self) -> dict[str, HeadsByLayer]:
        return {
            "encoder_zeroed_units_indices": self.encoder_zeroed_units_indices,
            "decoder_zeroed_units_indices": self.decoder_zeroed_units_indices,
            "cross_zeroed_units_indices": self.cross_zeroed_units_indices,
        }

    def check(self, model: TraceableModel) -> None:
        """See :meth:`AttributionMethod.check`."""
        for keyword, heads in self._chosen.items():
            other = not keyword.startswith("decoder")
            if other and model.architecture == "decoder_only" and heads is not None:
                kind = keyword.split("_")[0]
                raise ValueError(
                    f"{keyword}: a decoder-only model has no {_CALLED[kind]}; "
                    "use decoder_zeroed_units_indices."
                )

    def recorded(self, model: TraceableModel, example: Example) -> RecordedTrace:
        """See :meth:`RecordedMethod.recorded`."""
        encoder = model.architecture == "encoder_decoder" and self.output_encoder_self_scores
        return recorded(model, example, encoder=encoder)

    def attribute_text(self, job: Job, example: Example) -> TextScores:
        """See :meth:`TextMethod.attribute_text`.

        Raises
        ------
        NotImplementedError
            When the model has no attention to the tokens of a stack.
        """
        recording = self.recording(job, example)
        observed = Observed(example)
        kinds: list[Kind] = ["cross" if stack == "source" else "decoder" for stack in job.stacks]
        beside = self._beside(job, recording, kinds)
        share = 1 / (len(kinds) + len(beside))
        with observed.on(job.model, recording):

            def scores(kind: Kind, rows: range) -> Tensor:
                return _Zeroing(self, job, example, recording, observed, kind, rows, share).scores()

            steps = range(example.start - 1, example.end - 1)
            raw = {
                stack: scores(kind, steps) for stack, kind in zip(job.stacks, kinds, strict=True)
            }
            between: dict[str, Tensor] = {}
            for kind in beside:
                n_tokens = len(example.source) if kind == "encoder" else example.end - 1
                between[f"{kind}_self_scores"] = scores(kind, range(n_tokens))
        if "decoder" in beside:
            found = between["decoder_self_scores"]
            later = torch.ones(found.shape[:2], dtype=torch.bool).tril(-1)
            between["decoder_self_scores"] = found.masked_fill(later[..., None], torch.nan)
        return TextScores(raw, ("layer",), layers=_names(recording), sequence_scores=between)

    def _beside(self, job: Job, recording: Recording, attributed: list[Kind]) -> list[Kind]:
        """Name the self-attention that is scored beside what is attributed."""
        if job.model.architecture == "decoder_only":
            return []
        kinds: list[Kind] = ["decoder"] if self.output_decoder_self_scores else []
        kinds += ["encoder"] if self.output_encoder_self_scores else []
        return [
            kind
            for kind in kinds
            if kind not in attributed and any(each.of_kind(kind) for each in _of(recording, kind))
        ]


@dataclass(frozen=True)
class _Zeroing:
    """The scores of the tokens that one kind of attention reads, for some rows of one text."""

    method: ValueZeroing
    job: Job
    example: Example
    recording: Recording
    observed: Observed
    kind: Kind
    rows: range
    share: float

    def scores(self) -> Tensor:
        """Give the scores, (token, row, layer)."""
        layers = [layer for layer in _of(self.recording, self.kind) if layer.calls]
        columns = []
        for layer in layers:
            columns.append(self._of_layer(layer))
            self.job.advance(self.share / len(layers))
        return torch.stack(columns, 2).cpu()

    def _of_layer(self, layer: RecordedLayer) -> Tensor:
        """Give the scores in one layer, (token, row)."""
        stack = _of(self.recording, self.kind)
        number = stack.index(layer)
        calls = layer.of_kind(self.kind)
        if not calls:
            of = "source" if self.kind == "cross" else "target"
            raise NotImplementedError(
                f"attribute_target: {type(self.job.model.model).__name__} has no attention to its "
                f"{of} tokens; gradient methods such as 'saliency' attribute them."
            )
        value = calls[0].call.value
        rows = torch.tensor(self.rows, device=value.device)
        decoder = self.kind == "decoder"
        n_tokens = self.example.end - 1 if decoder else len(self.example.source)
        distances = at_least_single(value.new_zeros(len(rows), n_tokens))
        heads = self._heads(number, value.shape[1])
        if heads is not None and not len(heads):
            return distances.T
        final = self.recording.encoder_final if self.kind == "encoder" else self.recording.final
        without = LayerWithoutTokens(
            layer,
            self.kind,
            None if heads is None else heads.to(value.device),
            rows,
            final if number == len(stack) - 1 else None,
        )
        seen = without.matters[:, :n_tokens]
        if decoder:
            seen = seen & (torch.arange(n_tokens, device=rows.device) <= rows[:, None])
        pairs, tokens = seen.nonzero(as_tuple=True)
        distance = _DISTANCES[self.method.similarity_metric]
        found = [distances.new_zeros(0)]
        done = 0
        for output in without.changed(pairs, tokens, self._sizer(layer, len(pairs)), self.observed):
            clean = without.clean[pairs[done : done + len(output)]]
            found.append(distance(at_least_single(clean), at_least_single(output)))
            done += len(output)
        distances[pairs, tokens] = torch.cat(found)
        distances[distances < _NO_DISTANCE] = 0
        totals = distances.sum(1, keepdim=True)
        shares: Tensor = distances / torch.where(totals > 0, totals, 1)
        return shares.T

    def _sizer(self, layer: RecordedLayer, n_pairs: int) -> ChunkSizer:
        given = layer.given
        row_bytes = given.numel() * _STATES_PER_LAYER * given.element_size()
        return ChunkSizer(given.device, n_pairs // given.shape[1] + 1, row_bytes)

    def _heads(self, layer: int, n_heads: int) -> Tensor | None:
        """Resolve the heads of a layer, (head,); None for all."""
        keyword = f"{self.kind}_zeroed_units_indices"
        given = self.method._chosen[keyword]
        if isinstance(given, Mapping):
            n_layers = len(_of(self.recording, self.kind))
            strange = [key for key in given if key not in range(n_layers)]
            if strange:
                raise ValueError(
                    f"{keyword}: layer {strange[0]!r} given; layers go from 0 to {n_layers - 1}."
                )
            given = given.get(layer, [])
        if given is None:
            return None
        chosen = list(given) if isinstance(given, tuple | list) else [given]
        if isinstance(given, tuple):
            start, end = (bound + n_heads if bound < 0 else bound for bound in given)
            chosen = list(range(start, end))
        outside = [head for head in chosen if not -n_heads <= head < n_heads]
        if outside or (isinstance(given, tuple) and not chosen):
            raise ValueError(
                f"{keyword}: {given!r} given, but the values of layer {layer} have {n_heads} "
                f"heads, 0 to {n_heads - 1}."
            )
        return torch.tensor([head % n_heads for head in chosen], dtype=torch.long)


_CALLED = {"encoder": "encoder", "cross": "cross-attention"}


def _of(recording: Recording, kind: Kind) -> list[RecordedLayer]:
    """Give the layers that have a kind of attention."""
    return recording.encoder if kind == "encoder" else recording.layers


def _are_heads(given: object) -> bool:
    """Say whether something names heads."""
    if given is None:
        return True
    numbers = given if isinstance(given, tuple | list) else [given]
    whole = all(isinstance(n, int) and not isinstance(n, bool) for n in numbers)
    return whole and bool(numbers) and (not isinstance(given, tuple) or len(given) == 2)


def _names(recording: Recording) -> tuple[str, ...]:
    """Name the layers that have attention."""
    return tuple(str(number) for number, layer in enumerate(recording.layers) if layer.calls)


def _cosine_distance(clean: Tensor, changed: Tensor) -> Tensor:
    return 1 - torch.nn.functional.cosine_similarity(clean, changed, dim=-1)


def _euclidean_distance(clean: Tensor, changed: Tensor) -> Tensor:
    distance: Tensor = torch.linalg.vector_norm(clean - changed, dim=-1)
    return distance


_DISTANCES = {"cosine": _cosine_distance, "euclidean": _euclidean_distance}
