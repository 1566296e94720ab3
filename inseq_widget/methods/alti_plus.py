"""ALTI+: how much of source and target prefix is in what an encoder-decoder model predicts."""

from __future__ import annotations

from torch import Tensor

from inseq_widget.methods.alti_contributions import attention_blocks
from inseq_widget.methods.base import Job
from inseq_widget.methods.zeroing import Observed
from inseq_widget.models import Example, Stack
from inseq_widget.models.recording import Recording


def input_relevances(job: Job, example: Example, recording: Recording) -> dict[Stack, Tensor]:
    """Follow the inputs of an encoder-decoder model through both of its stacks.

    Parameters
    ----------
    job : Job
    example : Example
    recording : Recording
        Of both stacks, with the parts of their layers.

    Returns
    -------
    dict of str to torch.Tensor, each (token, step)
        Of the source and of the target prefix; together they sum to 1 at every step.

    Raises
    ------
    NotImplementedError
        For a model whose layers cannot be taken apart.
    """
    share = 1 / (len(recording.encoder) + len(recording.layers))
    observed = Observed()
    encoded: Tensor | None = None
    prefix: Tensor | None = None
    source: Tensor | None = None
    with observed.on(job.model, recording):
        for layer in recording.encoder:
            (block,) = attention_blocks(layer, ["encoder"], observed)
            shares = block.shares_within()
            encoded = shares if encoded is None else shares @ encoded
            job.advance(share)
        assert encoded is not None, "an encoder has layers"
        for layer in recording.layers:
            own, cross = attention_blocks(layer, ["decoder", "cross"], observed)
            shares = own.shares_within()
            kept, taken = cross.shares_across()
            brought = taken.to(encoded.device) @ encoded
            prefix = kept * (shares if prefix is None else shares @ prefix)
            source = brought if source is None else brought + kept * (shares @ source)
            job.advance(share)
    assert prefix is not None, "a decoder has layers"
    assert source is not None
    steps = slice(example.start - 1, example.end - 1)
    return {
        "source": source[steps, : len(example.source)].T.cpu(),
        "target": prefix[steps, : example.end - 1].T.cpu(),
    }
