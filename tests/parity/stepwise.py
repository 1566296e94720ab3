"""Each step as a model of its own, as captum wants it: embeddings in, one probability out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    BartConfig,
    OPTConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    T5Config,
)

import inseq_widget as iw
from inseq_widget.results import FeatureAttributionSequenceOutput
from tests.parity.tiny import VOCABULARY, tiny_llama

TOLERANCE = 1e-9  # of the largest score, in double precision

# One text is long enough for its last steps to be dropped while the first ones are explained.
CAUSAL = (
    ["Two words", "Water boils at"],
    [
        "Two words become three and four and five and six and seven and eight and nine",
        "Water boils at one hundred",
    ],
)
TRANSLATION = (
    ["The nurse said that she was tired.", "Good morning"],
    [
        "A enfermeira disse que estava cansada de tudo",
        "Bom dia",
    ],
)


def opt() -> PreTrainedModel:
    torch.manual_seed(0)
    config = OPTConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        word_embed_proj_dim=16,
        ffn_dim=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        max_position_embeddings=64,
        init_std=0.3,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    return AutoModelForCausalLM.from_config(config).double().eval()


def bart(decoder_layers: int = 2) -> PreTrainedModel:
    torch.manual_seed(0)
    config = BartConfig(
        vocab_size=VOCABULARY,
        d_model=16,
        activation_function="relu",
        encoder_layers=2,
        decoder_layers=decoder_layers,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_position_embeddings=64,
        init_std=0.3,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
        decoder_start_token_id=2,
        forced_eos_token_id=None,
    )
    return AutoModelForSeq2SeqLM.from_config(config).double().eval()


def t5() -> PreTrainedModel:
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=VOCABULARY,
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=2,
        num_heads=2,
        initializer_factor=1.0,
        decoder_start_token_id=2,
        eos_token_id=2,
        pad_token_id=2,
    )
    return AutoModelForSeq2SeqLM.from_config(config).double().eval()


def llama() -> PreTrainedModel:
    return tiny_llama().double()


MAKERS = {"opt": opt, "bart": bart, "t5": t5, "llama": llama}


def loaded(name: str, tokenizer: PreTrainedTokenizerBase) -> iw.AttributionModel:
    """Make a tiny model in double precision."""
    return iw.load_model(MAKERS[name](), "saliency", tokenizer=tokenizer)


def texts_of(name: str) -> tuple[list[str], list[str]]:
    return CAUSAL if name in ("opt", "llama") else TRANSLATION


class StepModel(nn.Module):
    """The probability of one target after its prefix, as a function of embeddings."""

    def __init__(self, model: PreTrainedModel, names: tuple[str, ...], target: int) -> None:
        super().__init__()
        self.model = model
        self.names = names
        self.target = target

    def forward(self, *embedded: Tensor) -> Tensor:
        given = dict(zip(self.names, embedded, strict=True))
        logits = self.model(**given, use_cache=False).logits
        return logits[:, -1].softmax(-1)[:, self.target]


@dataclass(frozen=True)
class Step:
    """A step to be explained alone.

    ``inputs`` and ``baselines`` are the attributed embeddings by stack, ``fixed`` what else the
    model is given.
    """

    column: int
    model: StepModel
    inputs: dict[str, Tensor]
    baselines: dict[str, Tensor]
    fixed: tuple[Tensor, ...]


def steps_of(
    model: iw.AttributionModel,
    sequence: FeatureAttributionSequenceOutput,
    stacks: tuple[str, ...],
    columns: range | None = None,
) -> Iterator[Step]:
    """Give each step with the baselines of the stacks that are attributed."""
    network, tokenizer = model.model, model.tokenizer
    encoder_decoder = sequence.architecture == "encoder_decoder"
    for column in columns or range(len(sequence.steps)):
        position = sequence.attr_pos_start + column
        tokens = {"target": sequence.target[:position]}
        embed = {"target": network.get_input_embeddings()}
        if encoder_decoder:
            tokens = {"source": sequence.source, **tokens}
            embed = {
                "source": network.get_encoder().get_input_embeddings(),
                "target": network.get_decoder().get_input_embeddings(),
            }
        inputs, baselines = {}, {}
        for stack, row in tokens.items():
            ids = torch.tensor([[token.id for token in row]])
            stays = ids == tokenizer.eos_token_id
            stays[0, 0] |= encoder_decoder and stack == "target"
            unknown = torch.where(stays, ids, tokenizer.unk_token_id)
            inputs[stack] = embed[stack](ids).detach()
            baselines[stack] = embed[stack](unknown).detach()
        keyword = {"source": "inputs_embeds", "target": "inputs_embeds"}
        if encoder_decoder:
            keyword["target"] = "decoder_inputs_embeds"
        chosen = [stack for stack in inputs if stack in stacks]
        others = [stack for stack in inputs if stack not in stacks]
        names = tuple(keyword[stack] for stack in [*chosen, *others])
        yield Step(
            column,
            StepModel(network, names, sequence.target[position].id),
            {stack: inputs[stack] for stack in chosen},
            {stack: baselines[stack] for stack in chosen},
            tuple(inputs[stack] for stack in others),
        )


SIDES = {"source": ("source",), "target": ("prompt", "target")}


def rows_of(
    sequence: FeatureAttributionSequenceOutput, column: int, stack: str, layer: str | None = None
) -> Tensor:
    """Take the raw scores of one step at the inputs of a stack that come before it."""
    raw = sequence.raw_scores if layer is None else sequence.raw_scores.sel(layer=layer)
    values = raw.to_numpy()[:, column]
    rows = np.isin(raw.input_side, SIDES[stack]) & ~np.isnan(values).any(-1)
    return torch.from_numpy(values[rows])


def largest(sequence: FeatureAttributionSequenceOutput) -> float:
    return float(np.nanmax(np.abs(sequence.raw_scores)))
