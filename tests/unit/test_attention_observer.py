"""Every attention call of a model can be seen and replaced, however the model attends."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    BloomConfig,
    CodeGenConfig,
    DiffLlamaConfig,
    FSMTConfig,
    GPTJConfig,
    GPTNeoConfig,
    MambaConfig,
    MptConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    XGLMConfig,
)

import inseq_widget as iw
from inseq_widget.models.attention import AttentionCall, can_intercept, observing
from inseq_widget.models.attention_rows import AttentionRows
from tests import tiny

ENDS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "vocab_size": 99}
GPT = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
ON_THEIR_OWN = {
    "bloom": BloomConfig(hidden_size=32, n_layer=2, n_head=4, **ENDS),
    "codegen": CodeGenConfig(rotary_dim=4, **GPT, **ENDS),
    "gptj": GPTJConfig(rotary_dim=4, **GPT, **ENDS),
    "gpt_neo": GPTNeoConfig(
        hidden_size=32,
        num_layers=2,
        num_heads=4,
        max_position_embeddings=64,
        attention_types=[[["global", "local"], 1]],
        window_size=4,
        **ENDS,
    ),
    "mpt": MptConfig(d_model=32, n_heads=4, n_layers=2, max_seq_len=64, **ENDS),
    "xglm": XGLMConfig(
        d_model=32,
        ffn_dim=64,
        num_layers=2,
        attention_heads=4,
        max_position_embeddings=64,
        **ENDS,
    ),
}
FSMT = FSMTConfig(
    langs=["en", "de"],
    src_vocab_size=99,
    tgt_vocab_size=99,
    d_model=32,
    encoder_layers=2,
    decoder_layers=2,
    encoder_attention_heads=4,
    decoder_attention_heads=4,
    encoder_ffn_dim=64,
    decoder_ffn_dim=64,
    max_position_embeddings=64,
)
N_SOURCE, N_TARGET = 7, 9


def made(config: object) -> PreTrainedModel:
    torch.manual_seed(0)
    kind = AutoModelForSeq2SeqLM if config is FSMT else AutoModelForCausalLM
    return kind.from_config(config, attn_implementation="eager").eval()


def inputs(config: object) -> dict[str, Tensor]:
    """Make two texts; the second one is shorter."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(3, 99, (2, N_TARGET), generator=generator)
    if config is FSMT:
        source = torch.randint(3, 99, (2, N_SOURCE), generator=generator)
        return {"input_ids": source, "decoder_input_ids": ids}
    mask = torch.ones_like(ids)
    mask[1, 6:] = 0
    return {"input_ids": ids, "attention_mask": mask}


def run(
    model: PreTrainedModel,
    observer: Callable[[AttentionCall], Tensor | None],
    given: dict[str, Tensor],
) -> Tensor:
    n_source = N_SOURCE if "decoder_input_ids" in given else None
    with torch.no_grad(), observing(model, observer, n_source, N_TARGET, 2):
        logits: Tensor = model(**given, use_cache=False).logits
    return logits


ROWS = torch.tensor([[4, 5], [3, 4]])


def at_rows(weights: Tensor) -> Tensor:
    return torch.stack([weights[text, :, rows] for text, rows in enumerate(ROWS)])


@pytest.mark.parametrize("name", ON_THEIR_OWN)
def test_weights_of_models_that_attend_on_their_own_are_those_that_they_report(name: str) -> None:
    config = ON_THEIR_OWN[name]
    model = made(config)
    assert not can_intercept(model)
    rows = AttentionRows(ROWS)
    run(model, rows, inputs(config))
    with torch.no_grad():
        reported = model(**inputs(config), output_attentions=True, use_cache=False).attentions
    assert len(rows.own) == len(reported) == 2
    for actual, expected in zip(rows.own, reported, strict=True):
        assert torch.equal(actual, at_rows(expected))


def test_self_and_cross_attention_of_a_translation_model_that_attends_on_its_own() -> None:
    model = made(FSMT)
    assert not can_intercept(model)
    rows = AttentionRows(ROWS)
    run(model, rows, inputs(FSMT))
    with torch.no_grad():
        reported = model(**inputs(FSMT), output_attentions=True, use_cache=False)
    for kept, expected in (
        (rows.own, reported.decoder_attentions),
        (rows.cross, reported.cross_attentions),
    ):
        assert len(kept) == 2
        for actual, weights in zip(kept, expected, strict=True):
            assert torch.equal(actual, at_rows(weights))


@pytest.mark.parametrize("name", [*ON_THEIR_OWN, "llama", "gpt2"])
def test_an_observer_that_gives_back_weights_times_values_changes_nothing(name: str) -> None:
    model = made(ON_THEIR_OWN[name]) if name in ON_THEIR_OWN else getattr(tiny, f"tiny_{name}")()
    given = inputs(model.config)
    clean = run(model, lambda call: None, given)
    same = run(model, lambda call: call.output(call.weights()), given)
    torch.testing.assert_close(same[0], clean[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [*ON_THEIR_OWN, "llama", "gpt2"])
def test_an_observer_can_replace_what_a_head_gives(name: str) -> None:
    model = made(ON_THEIR_OWN[name]) if name in ON_THEIR_OWN else getattr(tiny, f"tiny_{name}")()
    given = inputs(model.config)
    seen: list[tuple[int, str, int]] = []

    def without_first_head(call: AttentionCall) -> Tensor:
        seen.append((call.layer, call.kind, call.n_heads))
        output = call.output(call.weights())
        assert output.shape == (2, N_TARGET, call.n_heads, call.values.shape[-1])
        output[:, :, 0] = 0
        return output

    changed = run(model, without_first_head, given)
    assert seen == [(0, "decoder", 4), (1, "decoder", 4)]
    assert (changed - run(model, lambda call: None, given)).abs().max() > 1e-6


def test_rows_on_their_own_equal_rows_of_all_weights() -> None:
    def compare(call: AttentionCall) -> None:
        torch.testing.assert_close(call.weights(ROWS), at_rows(call.weights()))

    for model in (tiny.tiny_llama(), made(ON_THEIR_OWN["gptj"])):
        run(model, compare, inputs(model.config))
    t5 = tiny.tiny_t5()
    run(t5, compare, inputs(FSMT))


def test_layers_that_attend_twice_count_once_and_show_their_heads_side_by_side() -> None:
    config = DiffLlamaConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        **ENDS,
    )
    model = made(config)
    rows = AttentionRows(ROWS)
    run(model, rows, inputs(config))
    with torch.no_grad():
        reported = model(**inputs(config), output_attentions=True, use_cache=False).attentions
    assert len(rows.own) == 2
    for actual, expected in zip(rows.own, reported, strict=True):
        assert actual.shape[1] == 8
        for call in (actual[:, :4], actual[:, 4:]):
            torch.testing.assert_close(call, at_rows(expected))


def test_encoder_and_decoder_layers_count_apart() -> None:
    seen: list[tuple[int, str]] = []
    run(tiny.tiny_bart(), lambda call: seen.append((call.layer, call.kind)), inputs(FSMT))
    assert seen == [
        (0, "encoder"),
        (1, "encoder"),
        (0, "decoder"),
        (0, "cross"),
        (1, "decoder"),
        (1, "cross"),
    ]


def test_a_failing_observer_leaves_the_model_as_it_was() -> None:
    def fail(call: AttentionCall) -> None:
        raise KeyboardInterrupt

    for model in (tiny.tiny_llama(), made(ON_THEIR_OWN["gptj"])):
        before = model.config._attn_implementation
        given = inputs(model.config)
        with pytest.raises(KeyboardInterrupt):
            run(model, fail, given)
        assert model.config._attn_implementation == before
        hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()]
        assert sum(hooks) == 0
        with torch.no_grad():  # nobody is asked any more
            assert model(**given, use_cache=False).logits.isfinite().all()


def test_a_state_space_model_says_that_it_has_no_attention(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    config = MambaConfig(
        vocab_size=tiny.VOCABULARY, hidden_size=32, num_hidden_layers=2, state_size=4
    )
    model = iw.load_model(
        AutoModelForCausalLM.from_config(config).eval(), "attention", tokenizer=tokenizer
    )
    for method in ("attention", "value_zeroing"):
        with pytest.raises(NotImplementedError, match="no attention weights"):
            model.attribute("Hello", "Hello there", method, show_progress=False)
