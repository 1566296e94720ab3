"""Rollout and flow equal their definitions on the attention that the model itself reports."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import networkx as nx
import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

import inseq_widget as iw
from inseq_widget.results import FeatureAttributionOutput, FeatureAttributionSequenceOutput
from tests.parity.tiny import tiny_bart, tiny_falcon, tiny_llama, tiny_t5

Matrix = npt.NDArray[np.float64]
TEXTS = ["The nurse said that", "Water"]
ENDS = [" she was tired", " boils at one hundred"]
MAKERS: dict[str, Callable[[], PreTrainedModel]] = {
    "llama": tiny_llama,
    # Its fused kernel would have the oracle report weights that were not masked.
    "falcon": lambda: tiny_falcon(attn_implementation="eager"),
    "t5": tiny_t5,
    "bart": tiny_bart,
}
FUSIONS: dict[str, Callable[[Matrix], Matrix]] = {
    "mean": lambda weights: weights.mean(0),
    "max": lambda weights: weights.max(0),
    "min": lambda weights: weights.min(0),
}


@contextmanager
def softmax_in_double_precision() -> Iterator[None]:
    """Keep the models' own attention from rounding its weights to single precision."""
    softmax = torch.nn.functional.softmax

    def exact(products: Tensor, dim: int, dtype: torch.dtype | None = None) -> Tensor:
        return softmax(products, dim=dim)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.functional, "softmax", exact)
        yield


@pytest.fixture(scope="module")
def loaded(tokenizer: PreTrainedTokenizerBase) -> Callable[[str], iw.AttributionModel]:
    made: dict[str, iw.AttributionModel] = {}

    def load(name: str) -> iw.AttributionModel:
        if name not in made:
            model = sharpened(MAKERS[name]().double())
            made[name] = iw.load_model(model, tokenizer=tokenizer)
        return made[name]

    return load


def sharpened(model: PreTrainedModel) -> PreTrainedModel:
    """Make the attention of a random model differ from a plain mean."""
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if any(part in name for part in ("attn", "attention", "Attention")):
                parameter += 0.5 * torch.randn_like(parameter)
    return model


def attributed(
    model: iw.AttributionModel, method: str, texts: slice = slice(None), **keywords: object
) -> FeatureAttributionOutput:
    decoder_only = not model.model.config.is_encoder_decoder
    targets = [t + e if decoder_only else e for t, e in zip(TEXTS, ENDS, strict=True)]
    keywords.setdefault("attribute_target", True)
    return model.attribute(TEXTS[texts], targets[texts], method, show_progress=False, **keywords)


@dataclass(frozen=True)
class Layers:
    """What each layer mixes when the model reads one prefix, by the definition."""

    encoder: list[Matrix]  # (source, source)
    own: list[Matrix]  # (target, target)
    cross: list[Matrix]  # (target, target + source)


def layers_of_prefix(
    model: PreTrainedModel,
    sequence: FeatureAttributionSequenceOutput,
    position: int,
    head_fusion: str = "mean",
    start_layer: int = 0,
    add_residual: bool = True,
) -> Layers:
    prefix = torch.tensor([[token.id for token in sequence.target[:position]]])
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        with torch.no_grad(), softmax_in_double_precision():
            if not model.config.is_encoder_decoder:
                output = model(input_ids=prefix, output_attentions=True)
                reported = ((), output.attentions, ())
            else:
                source = torch.tensor([[token.id for token in sequence.source]])
                output = model(input_ids=source, decoder_input_ids=prefix, output_attentions=True)
                reported = (
                    output.encoder_attentions,
                    output.decoder_attentions,
                    output.cross_attentions,
                )
    finally:
        model.set_attn_implementation(before)

    def mixed(weights: Tensor, own: Matrix | None) -> Matrix:
        fused = FUSIONS[head_fusion](weights[0].double().numpy())
        eye = np.eye(len(fused)) * add_residual
        matrix = fused + eye if own is None else np.concatenate([eye, fused], 1)
        return matrix / matrix.sum(1, keepdims=True)

    encoder, decoder, cross = (layers[start_layer:] for layers in reported)
    return Layers(
        [mixed(weights, None) for weights in encoder],
        [mixed(weights, None) for weights in decoder],
        [mixed(weights, np.eye(position)) for weights in cross],
    )


def rolled_out(layers: Layers) -> Matrix:
    """Give the last position's shares of source and prefix, (input,)."""
    n_target = len(layers.own[0])
    n_source = len(layers.encoder[0]) if layers.encoder else 0
    encoded = np.eye(n_source)
    for matrix in layers.encoder:
        encoded = matrix @ encoded
    below = np.concatenate([np.eye(n_target), np.zeros((n_target, n_source))], 1)
    for number, own in enumerate(layers.own):
        below = own @ below
        if layers.cross:
            brought = np.concatenate([np.zeros((n_source, n_target)), encoded], 1)
            below = layers.cross[number] @ np.concatenate([below, brought])
    last = below[-1]
    return np.concatenate([last[n_target:], last[:n_target]])


def steps_of(
    sequence: FeatureAttributionSequenceOutput,
) -> Iterator[tuple[int, Matrix]]:
    """Each step's position, and its scores of what comes before it."""
    scores = sequence.scores.to_numpy()
    for column, position in enumerate(range(sequence.attr_pos_start, sequence.attr_pos_end)):
        given = scores[:, column]
        yield position, given[~np.isnan(given)]


OPTIONS: list[dict[str, object]] = [
    {},
    {"head_fusion": "max"},
    {"head_fusion": "min", "start_layer": 1},
    {"add_residual": False},
]


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_rollout_equals_the_product_of_the_layers_of_each_prefix(
    loaded: Callable[[str], iw.AttributionModel], name: str, options: dict[str, object]
) -> None:
    model = loaded(name)
    for sequence in attributed(model, "attention_rollout", **options):
        for position, actual in steps_of(sequence):
            expected = rolled_out(layers_of_prefix(model.model, sequence, position, **options))
            assert actual.shape == expected.shape
            assert np.abs(actual - expected).max() <= 1e-9


@pytest.mark.parametrize("name", MAKERS)
def test_the_rollout_of_a_step_sums_to_one(
    loaded: Callable[[str], iw.AttributionModel], name: str
) -> None:
    model = loaded(name)
    for options in OPTIONS:
        for sequence in attributed(model, "attention_rollout", **options):
            totals = np.nansum(sequence.scores.to_numpy(), 0)
            np.testing.assert_allclose(totals, 1, atol=1e-12)


@pytest.mark.parametrize("method", ["attention_rollout", "attention_flow"])
@pytest.mark.parametrize("name", MAKERS)
def test_a_batch_gives_each_text_what_it_gets_alone(
    loaded: Callable[[str], iw.AttributionModel], name: str, method: str
) -> None:
    model = loaded(name)
    for number, sequence in enumerate(attributed(model, method)):
        (alone,) = attributed(model, method, texts=slice(number, number + 1))
        difference = np.abs(sequence.scores.to_numpy() - alone.scores.to_numpy())
        assert np.nanmax(difference) <= 1e-8


@pytest.mark.parametrize("method", ["attention_rollout", "attention_flow"])
def test_the_source_alone_gets_the_same_as_beside_the_prefix(
    loaded: Callable[[str], iw.AttributionModel], method: str
) -> None:
    model = loaded("bart")
    both = attributed(model, method)
    for alone, sequence in zip(
        attributed(model, method, attribute_target=False), both, strict=True
    ):
        expected = sequence.scores.to_numpy()[: len(sequence.source)]
        np.testing.assert_array_equal(alone.scores.to_numpy(), expected)


def test_many_rows_make_no_difference_to_the_fusion_of_heads(
    loaded: Callable[[str], iw.AttributionModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = loaded("llama")
    together = attributed(model, "attention_rollout")
    # Room for the weights of three query rows of the two texts.
    monkeypatch.setattr("inseq_widget.methods.mixing._NUMBERS_AT_ONCE", 2 * 4 * 8 * 3)
    for sequence, expected in zip(attributed(model, "attention_rollout"), together, strict=True):
        difference = np.abs(sequence.scores.to_numpy() - expected.scores.to_numpy())
        assert np.nanmax(difference) <= 1e-12


def network(layers: Layers) -> nx.DiGraph:
    """Connect the layers' positions, named by stack, level and place."""
    graph = nx.DiGraph()

    def connect(above: tuple[str, int], below: tuple[str, int], matrix: Matrix) -> None:
        for row, column in zip(*matrix.nonzero(), strict=True):
            graph.add_edge((*above, row), (*below, column), capacity=matrix[row, column])

    for level, matrix in enumerate(layers.encoder):
        connect(("source", level + 1), ("source", level), matrix)
    level = 0
    for number, own in enumerate(layers.own):
        connect(("target", level + 1), ("target", level), own)
        level += 1
        if layers.cross:
            residual, taken = np.split(layers.cross[number], [len(own)], 1)
            connect(("target", level + 1), ("target", level), residual)
            connect(("target", level + 1), ("source", len(layers.encoder)), taken)
            level += 1
    graph.graph["top"] = ("target", level, len(layers.own[0]) - 1)
    return graph


@pytest.mark.parametrize("name", ["llama", "bart"])
@pytest.mark.parametrize("options", OPTIONS[:2], ids=str)
def test_flow_equals_the_maximum_flow_through_the_layers_of_each_prefix(
    loaded: Callable[[str], iw.AttributionModel], name: str, options: dict[str, object]
) -> None:
    model = loaded(name)
    for sequence in attributed(model, "attention_flow", **options):
        for position, actual in steps_of(sequence):
            layers = layers_of_prefix(model.model, sequence, position, **options)
            graph = network(layers)
            n_source = len(layers.encoder[0]) if layers.encoder else 0
            inputs = [("source", 0, i) for i in range(n_source)]
            inputs += [("target", 0, i) for i in range(position)]
            expected = [nx.maximum_flow_value(graph, graph.graph["top"], node) for node in inputs]
            assert len(actual) == len(expected)
            # Half a rounded unit for each pipe that can be in a cut.
            tolerance = graph.number_of_edges() * 2.0**-31
            assert np.abs(actual - expected).max() <= tolerance


@pytest.mark.parametrize("method", ["attention_rollout", "attention_flow"])
@pytest.mark.parametrize(
    ("keywords", "error", "says"),
    [
        ({"head_fusion": "median"}, ValueError, "head_fusion"),
        ({"start_layer": -1}, ValueError, "start_layer"),
        ({"start_layer": 2}, ValueError, "start_layer: 2 given, but the model has 2 layers"),
        ({"add_residual": "yes"}, TypeError, "add_residual"),
    ],
)
def test_keywords_that_cannot_be_meant_are_refused(
    loaded: Callable[[str], iw.AttributionModel],
    method: str,
    keywords: dict[str, object],
    error: type[Exception],
    says: str,
) -> None:
    with pytest.raises(error, match=says):
        attributed(loaded("llama"), method, **keywords)


@pytest.mark.parametrize("method", ["attention_rollout", "attention_flow"])
def test_a_decoder_without_self_attention_says_so(
    bergamot: iw.AttributionModel, method: str
) -> None:
    with pytest.raises(NotImplementedError, match="no attention to its target tokens"):
        bergamot.attribute("Hello.", "Olá.", method, attribute_target=True, show_progress=False)
    (explained,) = bergamot.attribute("Hello.", "Olá.", method, show_progress=False)
    assert (explained.scores.to_numpy() > 0).any()
