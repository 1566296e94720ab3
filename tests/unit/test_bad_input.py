"""Bad input is refused before any expensive work, and the error says what would work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import BertLMHeadModel, PreTrainedTokenizerBase

import inseq_widget as iw
from inseq_widget.scores import StepFunctionArgs
from tests.tiny import VOCABULARY, tiny_bert, tiny_gpt2, tiny_llama

PROMPT, FULL = "The nurse said", "The nurse said hello to me"


@pytest.fixture
def never_run(tiny: iw.AttributionModel, monkeypatch: pytest.MonkeyPatch) -> iw.AttributionModel:
    """Make a model that fails the test when it is run."""

    def run(*_: object, **__: object) -> None:
        pytest.fail("the model ran before the input was refused")

    monkeypatch.setattr(tiny.model, "forward", run)
    return tiny


@pytest.mark.parametrize(
    ("arguments", "keywords", "message"),
    [
        ((" ",), {}, r"input_texts: text 0 is ' '"),
        ((["fine", "  \n"],), {}, r"input_texts: text 1 is '  \\n'"),
        (([],), {}, r"input_texts: an empty list"),
        ((PROMPT, "A different start"), {}, r"generated_texts: 'A different start' does not start"),
        ((PROMPT, PROMPT), {}, r"generated_texts: .* is the prompt alone"),
        ((PROMPT, " "), {}, r"generated_texts: text 0 is ' '"),
        ((PROMPT, [FULL, FULL]), {}, r"generated_texts: 2 given for 1 input_texts"),
        ((PROMPT, FULL, "salency"), {}, r"method: 'salency' is not known; did you mean 'saliency'"),
        ((PROMPT, FULL), {"attributed_fn": "logits"}, r"did you mean 'logit'"),
        ((PROMPT, FULL), {"step_scores": ["probabilty"]}, r"did you mean 'probability'"),
        ((PROMPT, FULL), {"attr_pos_start": 6}, r"attr_pos_start: 6 is outside .* 3 to 5"),
        ((PROMPT, FULL), {"attr_pos_start": -7}, r"attr_pos_start: -7 is outside .* 3 to 5"),
        ((PROMPT, FULL), {"attr_pos_end": 99}, r"attr_pos_end: 99 is outside .* can be 4 to 6"),
        (
            (PROMPT, FULL),
            {"attr_pos_start": 5, "attr_pos_end": 4},
            r"attr_pos_start, attr_pos_end: nothing lies between 5 and 4",
        ),
        ((PROMPT, FULL), {"batch_size": 0}, r"batch_size: 0 given; .* at least 1"),
        (
            (PROMPT,),
            {"generation_args": {"num_return_sequences": 2, "num_beams": 2}},
            r"num_return_sequences must be 1",
        ),
        ((PROMPT,), {"generation_args": {"input_ids": 1}}, r"input_ids cannot be set"),
        (([{"role": "user"}],), {}, r"message 0 has the keys \['role'\]"),
        (([{"role": "user", "content": None}],), {}, r"message 0 is .* must be texts"),
        (("a", "and so"), {}, r"generated_texts: the tokens of 'and so' leave nothing before"),
        ((PROMPT,), {"generation_args": {"decoder_input_ids": 1}}, r"decoder_input_ids cannot"),
    ],
)
def test_a_wrong_value_is_named(
    never_run: iw.AttributionModel,
    arguments: tuple[object, ...],
    keywords: dict[str, object],
    message: str,
) -> None:
    with pytest.raises(ValueError, match=message):
        never_run.attribute(*arguments, show_progress=False, **keywords)


@pytest.mark.parametrize(
    ("arguments", "keywords", "message"),
    [
        (([3],), {}, r"input_texts: text 0 is a int"),
        ((3,), {}, r"input_texts: a int given"),
        (({"role": "user", "content": "hi"},), {}, r"input_texts: a dict given"),
        ((PROMPT, 3), {}, r"generated_texts: a int given"),
        ((PROMPT, FULL), {"step_scores": None}, r"step_scores: None given"),
        ((PROMPT, FULL), {"attr_pos_start": "1"}, r"attr_pos_start: '1' given; .* an integer"),
        ((PROMPT, FULL), {"attr_pos_end": True}, r"attr_pos_end: True given; .* an integer"),
        ((PROMPT,), {"generation_args": [1]}, r"generation_args: a list given"),
        ((PROMPT,), {"generation_args": {"generation_config": 1}}, r"generation_config is a int"),
        ((PROMPT, [3]), {}, r"generated_texts: text 0 is a int"),
        ((PROMPT, FULL), {"n_steps": 3}, r"n_steps: not a keyword .* 'saliency' takes abs"),
        ((PROMPT, FULL), {"attributed_fn": 3}, r"neither a name .* nor callable"),
    ],
)
def test_a_wrong_type_or_keyword_is_named(
    never_run: iw.AttributionModel,
    arguments: tuple[object, ...],
    keywords: dict[str, object],
    message: str,
) -> None:
    with pytest.raises(TypeError, match=message):
        never_run.attribute(*arguments, show_progress=False, **keywords)


def test_a_model_that_only_encodes_is_refused(tokenizer: PreTrainedTokenizerBase) -> None:
    with pytest.raises(ValueError, match=r"BertForMaskedLM.* neither causal nor encoder-decoder"):
        iw.load_model(tiny_bert(), tokenizer=tokenizer)


def test_a_folder_with_an_encoder_is_refused_before_its_weights_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_bert()
    model.config.architectures = ["BertForMaskedLM"]
    model.config.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"neither causal nor encoder-decoder"):
        iw.load_model(str(tmp_path))


def test_a_model_that_looks_ahead_is_refused(tokenizer: PreTrainedTokenizerBase) -> None:
    config = tiny_bert().config
    assert not config.is_decoder
    with pytest.raises(ValueError, match=r"BertLMHeadModel is not causal"):
        iw.load_model(BertLMHeadModel(config).eval(), tokenizer=tokenizer)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"model_kwargs": {"nonsense": 3}}, r"\['nonsense'\] cannot be given for a demo model"),
        ({"tokenizer_kwargs": {"use_fast": 1}}, r"\['use_fast'\] cannot be given for a demo model"),
    ],
)
def test_keywords_that_a_demo_model_cannot_take_are_refused(
    keywords: dict[str, dict[str, object]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        iw.load_model("demo:bergamot-en-pt", **keywords)


def test_a_dtype_is_given_once_and_as_a_dtype(tmp_path: Path) -> None:
    tiny_gpt2().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"dtype: given twice, also as torch_dtype"):
        iw.load_model(tmp_path, dtype=torch.float64, model_kwargs={"torch_dtype": torch.float32})
    with pytest.raises(TypeError, match=r"dtype: 'float64' given"):
        iw.load_model(tmp_path, dtype="float64")


def test_a_tokenizer_with_more_ids_than_the_model_embeds_is_refused(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    model = tiny_gpt2()
    model.resize_token_embeddings(1000)
    with pytest.raises(ValueError, match=rf"ids up to {VOCABULARY - 1}.*embeds 1000 tokens"):
        iw.load_model(model, tokenizer=tokenizer)


def test_a_model_made_from_a_configuration_needs_a_tokenizer() -> None:
    with pytest.raises(ValueError, match=r"tokenizer: the model was made from a configuration"):
        iw.load_model(tiny_gpt2())


@pytest.mark.parametrize("given", [3, None, torch.nn.Linear(2, 2)])
def test_something_that_is_no_model_is_refused(given: object) -> None:
    with pytest.raises(TypeError, match=r"model: .* given; pass a hub id"):
        iw.load_model(given)


def test_an_unknown_method_is_refused_before_the_model_is_read() -> None:
    with pytest.raises(ValueError, match=r"'atention' is not known; did you mean 'attention'"):
        iw.load_model("no/such-model", "atention")


def test_a_keyword_of_no_method_is_refused_before_the_model_is_read() -> None:
    with pytest.raises(TypeError, match=r"tokeniser: not a keyword"):
        iw.load_model("no/such-model", "saliency", tokeniser="x")


def test_an_unknown_demo_model_gives_the_nearest_name() -> None:
    with pytest.raises(ValueError, match=r"did you mean 'demo:smollm2-135m-instruct'"):
        iw.load_model("demo:smollm2")


def test_a_missing_demo_package_gives_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inseq_widget.models.demo.registry.find_spec", lambda name: None)
    assert not any(model.installed for model in iw.demo_models())
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'inseq-widget\[demo\]'"):
        iw.load_model("demo:bergamot-en-pt")


def test_an_empty_generation_is_refused(tiny: iw.AttributionModel) -> None:
    with pytest.raises(ValueError, match=r"generated nothing for text 0 .* try min_new_tokens"):
        tiny.attribute(
            PROMPT,
            show_progress=False,
            generation_args={"max_new_tokens": 3, "suppress_tokens": list(range(3, VOCABULARY))},
        )


def test_logits_that_are_not_numbers_are_reported_with_their_token(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    model = tiny_llama()
    model.lm_head.weight.data[7] = float("nan")
    broken = iw.load_model(model, "saliency", tokenizer=tokenizer)
    with pytest.raises(ValueError, match=r"logits for 'hello' \(position 3\) are not numbers"):
        broken.attribute(PROMPT, FULL, show_progress=False)


@pytest.mark.parametrize("generation_args", [{}, {"do_sample": True}])
def test_logits_that_are_not_numbers_are_reported_while_generating(
    tokenizer: PreTrainedTokenizerBase, generation_args: dict[str, object]
) -> None:
    model = tiny_llama()
    broken = iw.load_model(model, "saliency", tokenizer=tokenizer)
    model.lm_head.weight.data[7] = float("nan")
    with pytest.raises(ValueError, match=r"logits for the next generated token are not numbers"):
        broken.attribute(PROMPT, generation_args=generation_args, show_progress=False)


def constant(args: StepFunctionArgs) -> torch.Tensor:
    return args.logits.detach().sum(-1)


def summed(args: StepFunctionArgs) -> torch.Tensor:
    return args.logits.sum()


@pytest.mark.parametrize(
    ("function", "message"),
    [(constant, r"does not depend differentiably"), (summed, r"gave the shape \(\)")],
)
def test_an_attributed_function_that_cannot_be_explained_is_named(
    tiny: iw.AttributionModel,
    function: Callable[[StepFunctionArgs], torch.Tensor],
    message: str,
) -> None:
    with pytest.raises(ValueError, match=message):
        tiny.attribute(PROMPT, FULL, attributed_fn=function, show_progress=False)


def test_messages_for_an_encoder_decoder_are_refused(
    tiny_encoder_decoder: iw.AttributionModel,
) -> None:
    with pytest.raises(ValueError, match=r"messages need a chat model"):
        tiny_encoder_decoder.attribute([{"role": "user", "content": "hi"}], show_progress=False)


def test_messages_without_a_chat_template_are_refused(tiny: iw.AttributionModel) -> None:
    template, tiny.tokenizer.chat_template = tiny.tokenizer.chat_template, None
    try:
        with pytest.raises(ValueError, match=r"no chat template"):
            tiny.attribute([{"role": "user", "content": "hi"}], show_progress=False)
    finally:
        tiny.tokenizer.chat_template = template


@pytest.mark.parametrize(("step", "k"), [(99, 3), (-99, 3), (0, 0)])
def test_alternatives_of_a_step_that_is_not_there_are_refused(
    tiny: iw.AttributionModel, step: int, k: int
) -> None:
    output = tiny.attribute(PROMPT, FULL, show_progress=False)
    with pytest.raises(ValueError, match=r"step: -?99 given|k: 0 given"):
        tiny.alternatives(output[0], step, k)


def test_granular_is_true_false_or_left_to_the_memory(tiny: iw.AttributionModel) -> None:
    with pytest.raises(TypeError, match=r"^granular: 1 given; pass True or False\.$"):
        tiny.attribute("The words", "The words are", granular=1, show_progress=False)
