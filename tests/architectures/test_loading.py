"""Models are taken as users have them: from folders, spread by accelerate, narrow or quantised."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, PreTrainedModel

import inseq_widget as iw
from tests.architectures import stepwise
from tests.architectures.double import in_double
from tests.architectures.models import loaded, made, texts, tokenizer
from tests.architectures.outcomes import methods, outcome, quick
from tests.architectures.untouched import left_as_it_was


def saved(model: PreTrainedModel, folder: Path) -> Path:
    model.save_pretrained(folder)
    tokenizer(bool(model.config.is_encoder_decoder)).save_pretrained(folder)
    return folder


def scores_of(model: iw.AttributionModel, name: str, method: str) -> np.ndarray:
    output = model.attribute(*texts(name), method, show_progress=False, **quick(method))
    return output[0].scores.to_numpy()


def test_a_checkpoint_without_an_output_head_is_refused(tmp_path: Path) -> None:
    full = made("Llama", torch.float32)
    folder = saved(full.base_model, tmp_path)
    full.config.save_pretrained(folder)
    with pytest.raises(ValueError, match=r"no weights for lm_head\.weight of LlamaForCausalLM"):
        iw.load_model(folder)


@pytest.mark.parametrize("name", ["Llama", "Llama (tied)", "BART", "T5", "Marian", "GPT-2", "MPT"])
def test_a_saved_model_has_all_its_weights(name: str, tmp_path: Path) -> None:
    model = made(name, torch.float32)
    back = iw.load_model(saved(model, tmp_path))
    expected = scores_of(outcome_model(name), name, "saliency")
    np.testing.assert_allclose(scores_of(back, name, "saliency"), expected, rtol=1e-5)


def outcome_model(name: str) -> iw.AttributionModel:
    return loaded(name, torch.float32)


def test_a_revision_holds_for_the_tokenizer_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, asked = saved(made("Llama", torch.float32), tmp_path), []
    own = AutoTokenizer.from_pretrained

    def recording(*arguments: object, **keywords: object) -> object:
        asked.append(keywords.get("revision"))
        return own(*arguments, **keywords)

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", recording)
    iw.load_model(folder, model_kwargs={"revision": "v2"})
    iw.load_model(folder, model_kwargs={"revision": "v2"}, tokenizer_kwargs={"revision": "other"})
    iw.load_model(folder, tokenizer=folder, model_kwargs={"revision": "v2"})
    assert asked == ["v2", "other", None]


@pytest.mark.parametrize("name", ["Llama", "BART"])
def test_a_model_spread_by_accelerate_is_explained_where_it_is(name: str, tmp_path: Path) -> None:
    folder = saved(made(name, torch.float32), tmp_path)
    spread = iw.load_model(folder, model_kwargs={"device_map": "auto"})
    with left_as_it_was(spread.model):
        actual = scores_of(spread, name, "saliency")
    expected = scores_of(outcome_model(name), name, "saliency")
    np.testing.assert_allclose(actual, expected, rtol=1e-4)


@pytest.mark.parametrize("method", ["saliency", "occlusion", "attention"])
def test_a_model_whose_weights_are_offloaded_is_explained(method: str, tmp_path: Path) -> None:
    from accelerate import cpu_offload

    network = made("Llama", torch.float32)
    cpu_offload(network, execution_device=torch.device("cpu"))
    model = iw.load_model(network, tokenizer=tokenizer(False))
    assert model._traceable.device == torch.device("cpu")
    actual = scores_of(model, "Llama", method)
    expected = scores_of(outcome_model("Llama"), "Llama", method)
    np.testing.assert_allclose(actual, expected, rtol=1e-4)


def test_a_quantised_model_is_not_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    network = made("Llama", torch.float32)
    network.is_quantized = True

    def moved(*_: object, **__: object) -> None:
        pytest.fail("a quantised model cannot be moved")

    monkeypatch.setattr(torch.nn.Module, "to", moved)
    model = iw.load_model(network, tokenizer=tokenizer(False), device="cpu")
    assert np.isfinite(scores_of(model, "Llama", "saliency")[:4]).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("method", methods())
@pytest.mark.parametrize("name", ["Llama", "T5"])
def test_half_precision_gives_much_the_same_scores(
    name: str, method: str, dtype: torch.dtype
) -> None:
    wide = outcome(name, method).sequence
    if wide is None:
        with pytest.raises(NotImplementedError):
            scores_of(loaded(name, dtype), name, method)
        return
    model = loaded(name, dtype)
    with left_as_it_was(model.model):
        narrow = model.attribute(
            *texts(name), method, attribute_target=True, show_progress=False, **quick(method)
        )[0].scores.to_numpy()
    expected = wide.scores.to_numpy()
    assert (np.isfinite(narrow) == np.isfinite(expected)).all()
    present = np.isfinite(expected)
    assert np.corrcoef(narrow[present], expected[present])[0, 1] > 0.95


@pytest.mark.parametrize("name", ["mBART", "BART", "M2M-100"])
def test_a_forced_first_token_is_generated_and_explained(name: str) -> None:
    with in_double():
        model = loaded(name)
        source, _ = texts(name)
        forced = model.tokenizer.convert_tokens_to_ids("bom")
        output = model.attribute(
            source,
            method="saliency",
            attribute_target=True,
            granular=True,
            show_progress=False,
            generation_args={"forced_bos_token_id": forced, "max_new_tokens": 4},
        )
        (sequence,) = output
        assert [token.id for token in sequence.target[:2]] == [2, forced]
        assert sequence.attr_pos_start == 1
        own = stepwise.logits(model.model, sequence).softmax(-1)
        probabilities = sequence.step_scores["probability"]
        for column, token in enumerate(sequence.target[1:]):
            assert abs(float(probabilities[column]) - float(own[column, token.id])) < 1e-9


@pytest.mark.parametrize("model_type", ["prophetnet", "xlnet", "whisper"])
def test_a_class_that_does_not_write_from_left_to_right_is_refused_clearly(
    model_type: str,
) -> None:
    from transformers import (
        ProphetNetConfig,
        ProphetNetForConditionalGeneration,
        WhisperConfig,
        WhisperForConditionalGeneration,
        XLNetConfig,
        XLNetLMHeadModel,
    )

    made_of = {
        "prophetnet": lambda: ProphetNetForConditionalGeneration(
            ProphetNetConfig(
                vocab_size=64,
                hidden_size=16,
                num_encoder_layers=1,
                num_decoder_layers=1,
                num_encoder_attention_heads=4,
                num_decoder_attention_heads=4,
                encoder_ffn_dim=24,
                decoder_ffn_dim=24,
            )
        ),
        "xlnet": lambda: XLNetLMHeadModel(
            XLNetConfig(vocab_size=64, d_model=16, n_layer=1, n_head=4, d_inner=24)
        ),
        "whisper": lambda: WhisperForConditionalGeneration(
            WhisperConfig(
                vocab_size=64,
                d_model=16,
                encoder_layers=1,
                decoder_layers=1,
                encoder_attention_heads=4,
                decoder_attention_heads=4,
                encoder_ffn_dim=24,
                decoder_ffn_dim=24,
                pad_token_id=0,
                bos_token_id=1,
                eos_token_id=2,
                decoder_start_token_id=1,
            )
        ),
    }
    network = made_of[model_type]().eval()
    words = tokenizer(model_type != "xlnet")
    with pytest.raises(
        (ValueError, NotImplementedError), match=rf"^model: {type(network).__name__}"
    ):
        iw.load_model(network, tokenizer=words)
