"""ALTI-Logit: what attention moves into a token's logit, followed back to the inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from inseq_widget.methods.base import Job, TextMethod, TextScores, register
from inseq_widget.methods.zeroing import Observed
from inseq_widget.models import Example, TraceableModel
from inseq_widget.models.attention import AttentionCall
from inseq_widget.models.precision import at_least_single
from inseq_widget.models.recording import RecordedLayer, close, recorded

_NUMBERS_AT_ONCE = 2**25  # of what rows get from tokens: 128 MB in single precision
_ROUNDED = 1e-5  # many norms compute in single precision, whatever the model's is


@register
@dataclass(frozen=True)
class AltiLogit(TextMethod):
    """ALTI-Logit (Ferrando, Gállego, Tsiamas and Costa-jussà, 2023, sections 3 and 4).

    The attention of a layer adds to position *i* one vector from each token *j*: its values,
    weighted and projected. The part of the target's logit that such a vector is, behind the final
    norm with its scale held fixed, belongs to what layer *l* gets at *j*; ALTI (Ferrando, Gállego
    and Costa-jussà, 2022) tells how much of each input that is. It measures how near each
    vector, *i*'s own with the residual, comes to what attention and residual make together, in the
    L1 norm, and multiplies these shares through the layers below *l*. The score of an input is the
    sum over layers, and has a sign. What feed-forward blocks and biases add to the logit belongs
    to no input.

    For decoder-only models whose layers add what their attention gives to what they got.
    """

    name: ClassVar[str] = "alti_logit"
    score_label: ClassVar[str] = "part of the target's logit that attention brings"
    signed: ClassVar[bool] = True
    reduction: ClassVar[str] = "sum"
    explains_output: ClassVar[bool] = False

    def check(self, model: TraceableModel) -> None:
        """See :meth:`AttributionMethod.check`."""
        if model.architecture != "decoder_only":
            raise NotImplementedError(
                "method: 'alti_logit' explains decoder-only models; 'attention_rollout' and "
                "gradient methods such as 'saliency' explain encoder-decoder models."
            )

    def attribute_text(self, job: Job, example: Example) -> TextScores:
        """See :meth:`TextMethod.attribute_text`.

        Raises
        ------
        NotImplementedError
            For a model whose layers cannot be taken apart.
        """
        recording = recorded(job.model, example, parts=True)
        observed = Observed()
        with observed.on(job.model, recording):
            last = recording.layers[-1].output
            rows = torch.arange(example.start - 1, example.end - 1, device=last.device)
            ids = [token.id for token in example.target[example.start : example.end]]
            at_logit = _logit_directions(job.model, recording.final, last[0, rows], ids)
            scores: Tensor | None = None
            reached: Tensor | None = None
            for layer in recording.layers:
                taken = _LayerParts(layer, observed)
                logits, shares = taken.followed(rows, at_logit)
                below = logits if reached is None else logits @ reached
                scores = below if scores is None else scores + below
                reached = shares if reached is None else shares @ reached
                job.advance(1 / len(recording.layers))
        assert scores is not None, "a model has layers"
        return TextScores({"target": scores.T.cpu()[: example.end - 1]})


class _LayerParts:
    """One layer's attention as one vector from each token to each position.

    Parameters
    ----------
    layer : RecordedLayer
    observed : Observed
    """

    def __init__(self, layer: RecordedLayer, observed: Observed) -> None:
        calls = layer.of_kind("decoder")
        if len(calls) != 1:
            raise _cannot(layer, f"attends {len(calls)} times")
        self._call = calls[0].call
        attending = [part for part in layer.parts if part.layer is self._call.module]
        if len(attending) != 1:
            raise _cannot(layer, "does not attend in a module of its own")
        self._weights = self._call.weights()[0]
        self._zero, self._projected = _projected(self._call, attending[0], observed)
        self._own = layer.given[0]
        self._sum = self._after_attention(layer, attending[0])

    def _after_attention(self, layer: RecordedLayer, attending: RecordedLayer) -> Tensor:
        """Find the sum of attention and residual, (position, feature), in what the layer did."""
        gave = self._zero + torch.einsum("hij,hjd->id", self._weights, self._projected)
        if not close(gave, attending.output[0]):
            raise _cannot(layer, "does more than project what attention gives")
        # Some attention modules add the residual themselves; what is left then is their bias,
        # which shows where there is more than one position.
        bias = self._zero - self._own
        within = len(bias) > 1 and close(bias, bias.mean(0).expand_as(bias))
        total = gave if within else gave + self._own
        rest = layer.output[0] - total
        for part in layer.parts:
            if part is not attending and (_is(part.given, total) or _is(part.output, rest)):
                return total
        raise _cannot(layer, "does not add what attention gives to what it gets")

    def followed(self, rows: Tensor, at_logit: Tensor) -> tuple[Tensor, Tensor]:
        """Give what the vectors are to the logits, and their shares in each position.

        Parameters
        ----------
        rows : torch.Tensor of int, (step,)
        at_logit : torch.Tensor, (step, feature)

        Returns
        -------
        logits : torch.Tensor, (step, token)
        shares : torch.Tensor, (position, token)
            Rows sum to 1.
        """
        n_positions = len(self._own)
        projected = at_least_single(self._projected)
        weights, own = at_least_single(self._weights), at_least_single(self._own)
        total = at_least_single(self._sum)
        on_directions = torch.einsum("hjd,td->htj", projected, at_logit)
        logits = (weights[:, rows] * on_directions).sum(0)
        at_once = max(1, _NUMBERS_AT_ONCE // projected[0].numel())
        shares = []
        for positions in torch.arange(n_positions, device=rows.device).split(at_once):
            vectors = torch.einsum("hij,hjd->ijd", weights[:, positions], projected)
            vectors[torch.arange(len(positions)), positions] += own[positions]
            away = (total[positions, None] - vectors).abs().sum(2)
            near = (total[positions].abs().sum(1, keepdim=True) - away).clamp(min=0)
            sums = near.sum(1, keepdim=True)
            shares.append(near / torch.where(sums > 0, sums, 1))
        return logits, torch.cat(shares)


def _is(hidden: Tensor, states: Tensor) -> bool:
    """Say whether hidden states, of whatever shape, are these, (position, feature)."""
    return hidden.numel() == states.numel() and close(hidden.reshape(states.shape), states)


def _projected(
    call: AttentionCall, attending: RecordedLayer, observed: Observed
) -> tuple[Tensor, Tensor]:
    """Run an attention module on one head's values at a time.

    Gives also what it makes of no values, (position, feature), beside (head, position, feature).
    """
    values = call.values[0]
    n_heads, n_positions, features = values.shape

    def module_of(head: int | None) -> Tensor:
        output = values.new_zeros(1, n_positions, n_heads, features)
        if head is not None:
            output[0, :, head] = values[head]
        with observed.by(lambda _: output, 1):
            return attending.run(attending.given)[0]

    zero = module_of(None)
    return zero, torch.stack([module_of(head) - zero for head in range(n_heads)])


def _logit_directions(
    model: TraceableModel, final: nn.Module | None, hidden: Tensor, ids: list[int]
) -> Tensor:
    """Give what each step's logit is to its last hidden state, (step, feature), as if linear.

    The final norm divides a state, with or without its mean, by a number that depends on it, and
    scales each feature. The number is held fixed, the scales are read off the norm's output.
    """
    head = model.model.get_output_embeddings()
    if head is None or not isinstance(head.weight, Tensor):
        raise NotImplementedError(
            f"method: {type(model.model).__name__} has no output head to take logits apart; "
            "gradient methods such as 'saliency' work."
        )
    directions = at_least_single(head.weight[ids].to(hidden.device))
    if final is None:
        return directions
    norm: Callable[[Tensor], Tensor] = final
    probe = torch.ones_like(hidden[:1])
    probe[:, ::2] = -1
    shift = norm(torch.zeros_like(probe))
    centred = close(norm(probe + 1), norm(probe), _ROUNDED)
    centre = _less_mean if centred else _as_it_is
    scales = (norm(probe) - shift) / centre(probe)
    normed, plain = norm(hidden) - shift, centre(hidden) * scales
    factor = (normed * plain).sum(1, keepdim=True) / (plain * plain).sum(1, keepdim=True)
    if not close(plain * factor, normed, _ROUNDED):
        raise NotImplementedError(
            f"method: the scale of {type(final).__name__} cannot be held fixed; "
            "gradient methods such as 'saliency' work."
        )
    return centre(directions * at_least_single(scales * factor))


def _less_mean(vectors: Tensor) -> Tensor:
    return vectors - vectors.mean(-1, keepdim=True)


def _as_it_is(vectors: Tensor) -> Tensor:
    return vectors


def _cannot(layer: RecordedLayer, why: str) -> NotImplementedError:
    return NotImplementedError(
        f"method: 'alti_logit' takes attention apart, but {type(layer.layer).__name__} {why}; "
        "'attention_rollout' and gradient methods such as 'saliency' work."
    )
