"""What a model makes of texts: ids, tokens, embeddings, and texts that it writes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import inseq_widget as iw
from inseq_widget.methods import make_method
from inseq_widget.models import Stack
from tests.tiny import VOCABULARY

TEXTS = ["The nurse said hello", "Hi"]


@pytest.fixture(params=["tiny", "tiny_encoder_decoder"])
def model(request: pytest.FixtureRequest) -> iw.AttributionModel:
    return request.getfixturevalue(request.param)


def test_texts_are_encoded_as_attribute_reads_them(model: iw.AttributionModel) -> None:
    encoded = model.encode(TEXTS)
    assert len(encoded) == encoded.num_sequences == 2
    targets = [text + " me" for text in TEXTS] if not model.is_encoder_decoder else ["me", "me"]
    for row, sequence in zip(
        encoded.rows(), model.attribute(TEXTS, targets, show_progress=False), strict=True
    ):
        assert row == [token.id for token in sequence.source]
    padding = encoded.attention_mask == 0
    assert padding.any()
    assert (encoded.input_ids[padding] == model.pad_token_id).all()
    assert padding[1, 0 if not model.is_encoder_decoder else -1]
    for ids, tokens in zip(encoded.input_ids, encoded.input_tokens, strict=True):
        assert model.tokenizer.convert_tokens_to_ids(tokens) == ids.tolist()
    assert encoded.baseline_ids is None


def test_targets_begin_with_the_start_token(tiny_encoder_decoder: iw.AttributionModel) -> None:
    model = tiny_encoder_decoder
    encoded = model.encode("hello to me", as_targets=True, return_baseline=True)
    (sequence,) = model.attribute("The", "hello to me", show_progress=False)
    assert encoded.rows() == [[token.id for token in sequence.target]]
    assert int(encoded.baseline_ids[0, 0]) == model.bos_token_id
    plain = model.encode("hello to me", as_targets=True, return_baseline=True, add_bos_token=False)
    assert plain.rows() == [encoded.rows()[0][1:]]
    assert (plain.baseline_ids == model.tokenizer.unk_token_id).all()


def test_a_decoder_only_model_has_no_targets(tiny: iw.AttributionModel) -> None:
    for refused in (tiny.encode, tiny.embed):
        with pytest.raises(ValueError, match="as_targets: LlamaForCausalLM is decoder-only"):
            refused("Hello", as_targets=True)
    with pytest.raises(NotImplementedError, match="no encoder"):
        tiny.get_encoder()
    assert tiny.get_decoder() is tiny.model


@pytest.mark.parametrize("include", [False, True])
def test_baselines_are_those_of_the_methods(model: iw.AttributionModel, include: bool) -> None:
    text = f"The nurse{model.tokenizer.eos_token}"
    method = make_method("integrated_gradients", {"include_eos_baseline": include})
    target = f"{text} me" if not model.is_encoder_decoder else text
    traceable = model._traceable
    examples = traceable.examples([text], [target], {}, (None, None), None)
    stacks: list[Stack] = ["source", "target"] if model.is_encoder_decoder else ["target"]
    for stack in stacks:
        as_targets = model.is_encoder_decoder and stack == "target"
        encoded = model.encode(text, as_targets, True, include)
        width = encoded.input_ids.shape[1]
        expected = method.baselines(traceable, examples, stack, width)
        assert torch.equal(model.embed_ids(encoded.baseline_ids, as_targets), expected)
        ends = encoded.input_ids == model.eos_token_id
        ends[:, 0] = False
        assert ends.any()
        assert (encoded.baseline_ids == encoded.input_ids)[ends].all() != include


def test_embeddings_are_what_the_embedding_module_gives(model: iw.AttributionModel) -> None:
    encoded = model.encode(TEXTS[0])
    with torch.no_grad():
        expected = model.get_embedding_layer()(encoded.input_ids)
    for given in (TEXTS[0], TEXTS[:1], encoded.input_ids, encoded.input_ids.tolist()):
        assert torch.equal(model.embed(given), expected)
    assert model.vocabulary_embeddings.shape == (VOCABULARY, 32)


def test_ids_tokens_and_texts_convert(model: iw.AttributionModel) -> None:
    (ids,) = model.encode(TEXTS[0]).rows()
    tokens = model.convert_ids_to_tokens(ids)
    assert tokens == ["The", "Ġnurse", "Ġsaid", "Ġhello"]
    assert model.convert_ids_to_tokens(torch.tensor([ids, ids])) == [tokens, tokens]
    assert model.convert_ids_to_tokens(ids, decode_tokens=True) == [
        "The",
        " nurse",
        " said",
        " hello",
    ]
    assert model.convert_tokens_to_ids(tokens) == ids
    assert model.convert_tokens_to_ids([tokens, tokens[:1]]) == [ids, ids[:1]]
    assert model.convert_tokens_to_ids("The") == ids[0]
    assert model.convert_tokens_to_string(tokens) == TEXTS[0]
    assert model.convert_tokens_to_string([tokens, tokens[:1]]) == [TEXTS[0], "The"]
    assert model.convert_tokens_to_string([]) == ""
    assert model.convert_string_to_tokens(TEXTS[0]) == tokens
    assert model.convert_string_to_tokens([TEXTS[0]], as_targets=True) == [tokens]
    assert model.decode([ids, ids[:2]]) == [TEXTS[0], "The nurse"]
    assert model.decode(torch.tensor(ids)) == [TEXTS[0]]
    with pytest.raises(ValueError, match=r"ids: a tensor of the shape \(1, 1, 4\)"):
        model.decode(torch.tensor([[ids]]))


def test_special_tokens_are_left_out_where_asked(model: iw.AttributionModel) -> None:
    end = model.eos_token
    tokens = ["The", end]
    assert end in model.special_tokens
    assert model.eos_token_id in model.special_tokens_ids
    ids = model.convert_tokens_to_ids(tokens)
    assert model.convert_ids_to_tokens(ids) == ["The"]
    assert model.convert_ids_to_tokens(ids, skip_special_tokens=False) == tokens
    assert model.convert_tokens_to_string(tokens) == "The"
    assert model.convert_tokens_to_string(tokens, skip_special_tokens=False) == f"The{end}"
    assert model.decode(ids, skip_special_tokens=False) == [f"The{end}"]
    assert model.convert_string_to_tokens(f"The{end}") == ["The"]
    assert model.clean_tokens(["Ġnurse", end], skip_special_tokens=True) == [" nurse"]


def test_tokens_lose_the_marks_of_the_tokenizer(model: iw.AttributionModel) -> None:
    end = model.eos_token
    assert model.clean_tokens(["Ġnurse", end]) == [" nurse", end]
    target = "The nurse" if not model.is_encoder_decoder else " nurse"
    (sequence,) = model.attribute("The", target, show_progress=False)
    nurse = sequence.target[-1]
    assert nurse.piece == "Ġnurse"
    assert model.clean_tokens([[nurse]]) == [[replace(nurse, piece=" nurse")]]


def test_names_and_special_ids_are_the_models(model: iw.AttributionModel) -> None:
    assert model.bos_token_id == (2 if model.is_encoder_decoder else 1)
    assert model.bos_token == model.tokenizer.convert_ids_to_tokens(model.bos_token_id)
    assert model.pad_token == model.tokenizer.pad_token
    assert model.info["model_class"] == type(model.model).__name__
    assert model.info["model_name"] == model.model_name
    assert model.info["tokenizer_name"] == model.tokenizer_name
    assert model.device == "cpu"
    logits = torch.rand(2, 3, 5)
    output = type("Output", (), {"logits": logits})
    assert torch.equal(model.output2logits(output), logits[:, 2])


def test_generated_texts_begin_with_the_prompt_of_a_decoder_only_model(
    tiny: iw.AttributionModel,
) -> None:
    keywords = {"max_new_tokens": 3, "min_new_tokens": 3}
    expected = []
    for text in TEXTS:
        batch = tiny.tokenizer(text, return_tensors="pt")
        ids = tiny.model.generate(**batch, **keywords)[0].tolist()
        expected.append((ids, batch["input_ids"].shape[1]))
    written = tiny.generate(TEXTS, **keywords)
    assert written == [tiny.decode(ids)[0] for ids, _ in expected]
    assert tiny.generate(tiny.encode(TEXTS), batch_size=1, generation_args=keywords) == written
    only = tiny.generate(TEXTS, output_generated_only=True, **keywords)
    assert only == [tiny.decode(ids[start:])[0] for ids, start in expected]
    texts, outputs = tiny.generate(TEXTS, return_generation_output=True, **keywords)
    assert texts == written
    assert [output.sequences[0].tolist() for output in outputs] == [ids for ids, _ in expected]


def test_special_tokens_of_one_prompt_stay_as_in_inseq(tiny: iw.AttributionModel) -> None:
    prompt = f"The{tiny.eos_token} nurse"
    assert tiny.generate(prompt, max_new_tokens=1)[0].startswith(prompt)
    (plain,) = tiny.generate(prompt, skip_special_tokens=True, max_new_tokens=1)
    assert plain.startswith("The nurse")


def test_what_cannot_be_generated_is_refused(model: iw.AttributionModel) -> None:
    with pytest.raises(TypeError, match="return_generation_output"):
        model.generate("Hello", {"max_new_tokens": 2})
    with pytest.raises(TypeError, match="skip_special_tokens: 'yes' given"):
        model.generate("Hello", skip_special_tokens="yes")
    with pytest.raises(ValueError, match="batch_size: 0 given"):
        model.generate("Hello", batch_size=0)


def test_a_begin_of_sequence_that_is_there_already_is_not_doubled() -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    from tests.tiny import tiny_llama

    words = ["<unk>", "<s>", "</s>", "The", "nurse", "said"]
    inner = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, "<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 1)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    model = iw.load_model(tiny_llama(), "saliency", tokenizer=tokenizer)
    for start in ("", "<s>"):
        (sequence,) = model.attribute(
            f"{start}The nurse", f"{start}The nurse said", show_progress=False
        )
        assert [token.piece for token in sequence.target] == ["<s>", "The", "nurse", "said"]
        assert [token.piece for token in sequence.steps] == ["said"]
