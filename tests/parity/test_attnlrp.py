"""AttnLRP gives what its rules hand back operation by operation, for each prefix on its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.activations import ACT2FN
from transformers.models.llama.modeling_llama import LlamaRMSNorm

import inseq_widget as iw
from inseq_widget.models import Trace
from inseq_widget.models.elementwise import kind_of_module, may_be_elementwise
from inseq_widget.models.lrp import lrp_rules
from inseq_widget.results import FeatureAttributionOutput, FeatureAttributionSequenceOutput
from tests.parity import naive_lrp
from tests.parity.naive_lrp import Node, Relevance
from tests.parity.tiny import tiny_bart, tiny_falcon, tiny_gpt2, tiny_llama, tiny_t5

TOLERANCE = 1e-9  # of the largest score, in double precision
TEXTS = ["The nurse said that", "Water"]
ENDS = [" she was tired of it", " boils at one hundred degrees"]
MAKERS: dict[str, Callable[[], PreTrainedModel]] = {
    "llama": tiny_llama,
    "gpt2": tiny_gpt2,
    "falcon": tiny_falcon,
    "t5": tiny_t5,
    "bart": tiny_bart,
}
ORACLES: dict[str, Callable[[nn.Module, Relevance, dict[str, Node]], Node]] = {
    "llama": naive_lrp.llama,
    "gpt2": naive_lrp.gpt2,
    "t5": naive_lrp.t5,
}


def exact_norm(self: LlamaRMSNorm, hidden_states: Tensor) -> Tensor:
    variance = hidden_states.pow(2).mean(-1, keepdim=True)
    return self.weight * (hidden_states * torch.rsqrt(variance + self.variance_epsilon))


@pytest.fixture(autouse=True, scope="module")
def _norms_in_double_precision() -> Iterator[None]:
    """Keep Llama's norms from rounding to single precision."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LlamaRMSNorm, "forward", exact_norm)
        yield


@pytest.fixture(scope="module")
def loaded(
    tokenizer: PreTrainedTokenizerBase,
) -> Callable[[str], iw.AttributionModel]:
    made: dict[str, iw.AttributionModel] = {}

    def load(name: str) -> iw.AttributionModel:
        if name not in made:
            model = scattered(MAKERS[name]().double())
            made[name] = iw.load_model(model, "attnlrp", tokenizer=tokenizer)
        return made[name]

    return load


def scattered(model: PreTrainedModel) -> PreTrainedModel:
    """Move biases and norm weights away from 0 and 1, which would hide what they do."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter += 0.3 * torch.randn_like(parameter)
    return model


def attributed(
    model: iw.AttributionModel, method: str = "attnlrp", texts: slice = slice(None)
) -> FeatureAttributionOutput:
    decoder_only = not model.model.config.is_encoder_decoder
    targets = [t + e if decoder_only else e for t, e in zip(TEXTS, ENDS, strict=True)]
    return model.attribute(
        TEXTS[texts],
        targets[texts],
        method,
        attributed_fn="logit",
        attribute_target=True,
        granular=True,
        step_scores=["logit"],
        show_progress=False,
    )


def embeddings(
    model: PreTrainedModel, sequence: FeatureAttributionSequenceOutput, position: int
) -> dict[str, Tensor]:
    prefix = torch.tensor([token.id for token in sequence.target[:position]])
    if not model.config.is_encoder_decoder:
        return {"target": model.get_input_embeddings()(prefix)}
    source = torch.tensor([token.id for token in sequence.source])
    return {
        "source": model.get_encoder().get_input_embeddings()(source),
        "target": model.get_decoder().get_input_embeddings()(prefix),
    }


@pytest.mark.parametrize("name", ORACLES)
def test_scores_equal_relevance_handed_back_for_each_step(
    loaded: Callable[[str], iw.AttributionModel], name: str
) -> None:
    model = loaded(name)
    for sequence in attributed(model):
        raw = sequence.raw_scores.to_numpy()
        largest = float(np.nanmax(np.abs(raw)))
        assert largest > 0
        for column, position in enumerate(range(sequence.attr_pos_start, sequence.attr_pos_end)):
            token = sequence.target[position].id
            given = embeddings(model.model, sequence, position)
            handed, logits, absorbed = naive_lrp.relevances(
                ORACLES[name], model.model, given, token
            )
            logit = float(sequence.step_scores["logit"][column])
            assert float(logits[token]) == pytest.approx(logit, rel=1e-9)
            expected = torch.cat([handed[stack] for stack in given]).numpy()
            actual = raw[:, column][~np.isnan(raw[:, column, 0])]
            assert actual.shape == expected.shape
            assert np.abs(actual - expected).max() <= TOLERANCE * largest
            if name == "llama":  # without biases, softmax alone takes relevance away
                assert actual.sum() + float(absorbed) == pytest.approx(logit, rel=1e-9)


def test_relevance_adds_up_to_the_logit_where_nothing_takes_it_away(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    network = scattered(tiny_llama().double())
    for layer in network.model.layers:  # attention that says nothing: no softmax on the way
        nn.init.zeros_(layer.self_attn.o_proj.weight)
    model = iw.load_model(network, "attnlrp", tokenizer=tokenizer)
    for sequence in attributed(model):
        totals = np.nansum(sequence.scores.to_numpy(), 0)
        np.testing.assert_allclose(totals, sequence.step_scores["logit"], rtol=1e-9)


@pytest.mark.parametrize("name", MAKERS)
def test_a_batch_gives_each_text_what_it_gets_alone(
    loaded: Callable[[str], iw.AttributionModel], name: str
) -> None:
    model = loaded(name)
    for number, sequence in enumerate(attributed(model)):
        (alone,) = attributed(model, texts=slice(number, number + 1))
        expected = alone.raw_scores.to_numpy()
        difference = np.nanmax(np.abs(sequence.raw_scores.to_numpy() - expected))
        assert difference <= TOLERANCE * np.nanmax(np.abs(expected))


def traced_again(trace: Trace, stop: int, _: int) -> Trace:
    return trace.again(stop)


@pytest.mark.parametrize(
    ("place", "instead"),
    [("gradients._cut_where_it_pays", traced_again), ("attnlrp.WHOLE_GRAPH_BYTES", 0)],
    ids=["for fewer steps", "layer by layer"],
)
def test_what_runs_again_follows_the_rules(
    loaded: Callable[[str], iw.AttributionModel],
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    instead: object,
) -> None:
    model = loaded("llama")
    whole = attributed(model)
    monkeypatch.setattr(f"inseq_widget.methods.{place}", instead)
    for sequence, expected in zip(attributed(model), whole, strict=True):
        difference = np.abs(sequence.raw_scores.to_numpy() - expected.raw_scores.to_numpy())
        assert np.nanmax(difference) <= TOLERANCE * np.nanmax(np.abs(expected.raw_scores))


@pytest.mark.parametrize("name", MAKERS)
def test_the_rules_change_no_logit(loaded: Callable[[str], iw.AttributionModel], name: str) -> None:
    model = loaded(name)
    plain = attributed(model, "input_x_gradient")
    for ruled, sequence in zip(attributed(model), plain, strict=True):
        expected = sequence.step_scores["logit"]
        # Falcon's fused kernel is taken apart, which rounds differently.
        tolerance = 1e-12 if name == "falcon" else 0
        torch.testing.assert_close(
            ruled.step_scores["logit"], expected, rtol=tolerance, atol=tolerance
        )


def test_an_interrupt_leaves_no_rule_behind(
    loaded: Callable[[str], iw.AttributionModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = loaded("llama")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(model.model.model.layers[1].mlp, "forward", interrupt)
        with pytest.raises(KeyboardInterrupt):
            attributed(model)
    assert not any(module._forward_hooks for module in model.model.modules())
    x = torch.tensor(2.0, requires_grad=True)
    assert float(torch.autograd.grad(x * x, x)[0]) == 4


# What each rule says of gradient times input: nothing but the rule is in the way.
@pytest.fixture
def x() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 3, 4, generator=generator, dtype=torch.float64).requires_grad_()


def relevance(function: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient times input of a function's sum under the rules, and the function's value."""
    with lrp_rules(nn.Module()):
        value = function(x)
    (gradient,) = torch.autograd.grad(value.sum(), x)
    return gradient * x.detach(), value.detach()


def test_a_non_linearity_hands_all_relevance_to_its_input(x: Tensor) -> None:
    for function in (functional.silu, torch.tanh, torch.relu, lambda t: t.clamp(-1, 0.5)):
        handed, value = relevance(function, x)
        torch.testing.assert_close(handed, value)
        torch.testing.assert_close(value, function(x).detach(), rtol=0, atol=0)


def test_a_gate_hands_all_relevance_to_what_it_gates(x: Tensor) -> None:
    for function in (lambda t: t * torch.sigmoid(1.7 * t), lambda t: t * functional.softplus(t)):
        handed, value = relevance(function, x)
        torch.testing.assert_close(handed, value)
    handed, value = relevance(functional.glu, x)
    torch.testing.assert_close(handed[..., :2], value)
    assert not handed[..., 2:].any()


def test_factors_of_a_product_get_equal_shares(x: Tensor) -> None:
    def written_in_place(t: Tensor) -> Tensor:
        product = t + 1.0
        product *= t
        return product - t

    for function in (
        lambda t: t * t,
        lambda t: torch.bmm(t, t.mT),
        lambda t: torch.einsum("bij,bkj->bik", t, t),
        lambda t: torch.baddbmm(torch.zeros(1, dtype=t.dtype), t, t.mT, alpha=0.5),
        lambda t: t @ t.mT,
    ):
        handed, value = relevance(function, x)
        torch.testing.assert_close(handed.sum(), value.sum())
        with torch.no_grad():
            torch.testing.assert_close(value, function(x), rtol=0, atol=0)
    handed, value = relevance(written_in_place, x)
    torch.testing.assert_close(value, (x * x).detach())
    torch.testing.assert_close(handed, (x * (0.5 * x + 0.5 * (x + 1)) - x).detach())


def test_a_denominator_is_a_constant(x: Tensor) -> None:
    weight = torch.arange(1.0, 5.0, dtype=torch.float64)
    for function in (
        lambda t: functional.rms_norm(t, (4,), weight, 1e-6),
        lambda t: weight * (t * torch.rsqrt(t.pow(2).mean(-1, keepdim=True) + 1e-6)),
        lambda t: t * torch.pow(t.pow(2).mean(-1, keepdim=True), -0.5),
        lambda t: t / t.sum(-1, keepdim=True),
        lambda t: functional.normalize(t, dim=-1),
    ):
        handed, value = relevance(function, x)
        torch.testing.assert_close(handed, value)


def test_a_layer_norm_written_by_hand_equals_torchs(x: Tensor) -> None:
    weight, bias = torch.arange(1.0, 9.0, dtype=torch.float64).split(4)

    def by_hand(t: Tensor) -> Tensor:
        centred = t - t.mean(-1, keepdim=True)
        return centred / (centred.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt() * weight + bias

    expected, value = relevance(by_hand, x)
    handed, same = relevance(lambda t: functional.layer_norm(t, (4,), weight, bias), x)
    torch.testing.assert_close(same, value)
    torch.testing.assert_close(handed, expected)


@pytest.mark.parametrize("is_causal", [True, False])
def test_fused_attention_follows_the_rules_of_its_steps(x: Tensor, is_causal: bool) -> None:
    mask = None if is_causal else torch.tensor([[True, False, True]] * 3)
    visible = torch.ones(3, 3, dtype=torch.bool).tril() if mask is None else mask

    def by_hand(t: Tensor) -> Tensor:
        scores = (t @ t.mT * 0.5).masked_fill(~visible, -torch.inf)
        return scores.softmax(-1) @ (2 * t)

    expected, value = relevance(by_hand, x)
    handed, same = relevance(
        lambda t: functional.scaled_dot_product_attention(
            t, t, 2 * t, attn_mask=mask, is_causal=is_causal
        ),
        x,
    )
    torch.testing.assert_close(same, value)
    torch.testing.assert_close(handed, expected)


def test_every_activation_of_transformers_is_told_by_what_it_does(x: Tensor) -> None:
    for name in ACT2FN:
        if name in ("prelu", "linear"):  # one has weights, the other changes nothing
            continue
        module = ACT2FN[name].eval()
        assert may_be_elementwise(module), name
        expected = "gate" if module(torch.zeros(1)).item() else "vanishing"
        assert kind_of_module(module, x.detach().float()) == expected, name


def test_what_mixes_features_is_no_non_linearity(x: Tensor) -> None:
    for module in (nn.Softmax(-1), nn.LayerNorm(4, elementwise_affine=False)):
        assert kind_of_module(module, x) == "other"
    assert not may_be_elementwise(nn.Linear(4, 4))
