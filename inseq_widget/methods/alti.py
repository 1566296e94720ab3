"""ALTI-Logit: what attention moves into a token's logit, followed back to the inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from inseq_widget.methods.alti_contributions import HeldNorm, attention_blocks, cannot
from inseq_widget.methods.alti_plus import input_relevances
from inseq_widget.methods.base import Job, TextScores, register
from inseq_widget.methods.recorded import RecordedMethod
from inseq_widget.methods.zeroing import Observed
from inseq_widget.models import Example, TraceableModel
from inseq_widget.models.precision import at_least_single
from inseq_widget.models.recording import RecordedTrace, Recording, recorded


@register
@dataclass(frozen=True)
class AltiLogit(RecordedMethod):
    """ALTI-Logit (Ferrando, Gállego, Tsiamas and Costa-jussà, 2023, sections 3 and 4).

    The attention of a layer adds to position *i* one vector from each token *j*: its values,
    weighted and projected, and normed where a norm follows, whose scale is held fixed. The part
    of the target's logit that such a vector is, behind the final norm, belongs to what layer *l*
    gets at *j*; ALTI (Ferrando, Gállego and Costa-jussà, 2022) tells how much of each input that
    is. It measures how near each vector, *i*'s own with the residual, comes to what attention and
    residual make together, in the L1 norm, and multiplies these shares through the layers below
    *l*. A position to which no vector comes nearer than nothing does keeps its own. The score of
    an input is the sum over layers, and has a sign. What feed-forward blocks and biases add to
    the logit belongs to no input. Layers must add what their attention gives to what they got,
    without a norm of the sum.

    For an encoder-decoder model the method is ALTI+ (Ferrando, Gállego, Alastruey, Escolano and
    Costa-jussà, 2022, section 4), which has no sign: the shares alone, multiplied through the
    encoder's layers and the decoder's. Cross-attention divides between the encoder's output and
    the decoder's own stream. Where the sum of attention and residual is normed, all vectors are,
    the scale held fixed, and compared with what the norm gives, its bias included. Source and
    target prefix together (``attribute_target=True``) sum to 1 at every step; the source alone is
    not divided by its sum, which is how much the source matters.
    """

    name: ClassVar[str] = "alti_logit"
    score_label: ClassVar[str] = "relevance of the input through attention"
    signed: ClassVar[bool] = True
    reduction: ClassVar[str] = "sum"
    explains_output: ClassVar[bool] = False

    def recorded(self, model: TraceableModel, example: Example) -> RecordedTrace:
        """See :meth:`RecordedMethod.recorded`."""
        both = model.architecture == "encoder_decoder"
        return recorded(model, example, parts=True, encoder=both)

    def attribute_text(self, job: Job, example: Example) -> TextScores:
        """See :meth:`TextMethod.attribute_text`.

        Raises
        ------
        NotImplementedError
            For a model whose layers cannot be taken apart.
        """
        recording = self.recording(job, example)
        if job.model.architecture == "encoder_decoder":
            relevances = input_relevances(job, example, recording)
            return TextScores({stack: relevances[stack] for stack in job.stacks})
        return TextScores({"target": _logit_parts(job, example, recording)})


def _logit_parts(job: Job, example: Example, recording: Recording) -> Tensor:
    """Give what each token's way through attention adds to each step's logit, (token, step)."""
    observed = Observed()
    scores: Tensor | None = None
    reached: Tensor | None = None
    with observed.on(job.model, recording):
        last = recording.layers[-1].output
        if last.dim() != 3:
            raise cannot(recording.layers[-1], "gives several streams of hidden states")
        rows = torch.arange(example.start - 1, example.end - 1, device=last.device)
        ids = [token.id for token in example.target[example.start : example.end]]
        at_logit = _logit_directions(job.model, recording.final, last[0, rows], ids)
        for layer in recording.layers:
            (block,) = attention_blocks(layer, ["decoder"], observed)
            if block.renormalised:
                raise cannot(layer, "norms the sum of what attention gives and what it gets")
            on_directions = torch.einsum("hjd,td->htj", block.projected, at_logit)
            logits = (block.weights[:, rows] * on_directions).sum(0)
            below = logits if reached is None else logits @ reached
            scores = below if scores is None else scores + below
            shares = block.shares_within()
            reached = shares if reached is None else shares @ reached
            job.advance(1 / len(recording.layers))
    assert scores is not None, "a model has layers"
    return scores.T.cpu()[: example.end - 1]


def _logit_directions(
    model: TraceableModel, final: nn.Module | None, hidden: Tensor, ids: list[int]
) -> Tensor:
    """Give what each step's logit is to its last hidden state, (step, feature), as if linear."""
    head = model.model.get_output_embeddings()
    if head is None or not isinstance(head.weight, Tensor):
        raise NotImplementedError(
            f"method: {type(model.model).__name__} has no output head to take logits apart; "
            "gradient methods such as 'saliency' work."
        )
    if head.weight.shape[1] != hidden.shape[-1]:
        raise NotImplementedError(
            f"method: {type(model.model).__name__} projects its last hidden state before its "
            "output head; gradient methods such as 'saliency' work."
        )
    directions = at_least_single(head.weight[ids].to(hidden.device))
    if final is None:
        return directions
    norm = HeldNorm(final, hidden)
    if not norm.fits:
        raise NotImplementedError(
            f"method: the scale of {type(final).__name__} cannot be held fixed; "
            "gradient methods such as 'saliency' work."
        )
    return norm.against(directions)
