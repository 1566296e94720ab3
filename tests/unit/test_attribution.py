"""What attribute promises beside the numbers: generation, chat, batches, interrupts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerBase

import inseq_widget as iw
from inseq_widget.methods import chunking
from inseq_widget.results import FeatureAttributionSequenceOutput
from tests.tiny import tiny_bart, tiny_falcon, tiny_gpt2, tiny_llama, tiny_t5

PROMPT, FULL = "The nurse said", "The nurse said hello to me"


def ids(sequence: FeatureAttributionSequenceOutput) -> list[int]:
    return [token.id for token in sequence.target]


def test_smollm2_knows_the_capital_of_france(smollm2: iw.AttributionModel) -> None:
    (sequence,) = smollm2.attribute(
        "The capital of France is", generation_args={"max_new_tokens": 2}, show_progress=False
    )
    assert [step.text for step in sequence.steps] == [" Paris", "."]
    assert float(sequence.step_scores["probability"][0]) > 0.5
    assert sequence.scores.dims == ("input", "step")
    assert list(sequence.scores.coords["step"].to_numpy()) == ["Paris", "."]


def test_generated_ids_are_explained_as_they_are(
    tiny: iw.AttributionModel, tokenizer: PreTrainedTokenizerBase
) -> None:
    letter = tokenizer.convert_tokens_to_ids("l")
    (sequence,) = tiny.attribute(
        PROMPT,
        generation_args={
            "max_new_tokens": 4,
            "prefix_allowed_tokens_fn": lambda batch, written: [letter],
        },
        show_progress=False,
    )
    assert ids(sequence) == [*tokenizer(PROMPT).input_ids, letter, letter, letter, letter]
    assert tokenizer(tokenizer.decode(ids(sequence))).input_ids != ids(sequence)
    assert "".join(token.text for token in sequence.target) == f"{PROMPT}llll"


@pytest.mark.parametrize("generation_args", [{}, {"num_beams": 3}])
def test_a_batch_generates_what_each_text_generates_alone(
    smollm2: iw.AttributionModel, generation_args: dict[str, object]
) -> None:
    texts = ["The capital of France is", "One, two, three, four, five, six,"]
    keywords = {"max_new_tokens": 4, **generation_args}
    together = smollm2.attribute(texts, generation_args=keywords, show_progress=False)
    for text, sequence in zip(texts, together, strict=True):
        (alone,) = smollm2.attribute(text, generation_args=keywords, show_progress=False)
        assert ids(sequence) == ids(alone)
        difference = np.nanmax(np.abs(sequence.scores.to_numpy() - alone.scores.to_numpy()))
        assert difference <= 3e-4 * np.nanmax(alone.scores)


@pytest.mark.parametrize("length", [{"max_length": 12}, {"min_length": 9, "max_new_tokens": 9}])
def test_lengths_count_from_each_prompt(tiny: iw.AttributionModel, length: dict[str, int]) -> None:
    texts = ["Hi", "One two three four five", "Hello"]
    together = tiny.attribute(texts, generation_args=length, batch_size=2, show_progress=False)
    for text, sequence in zip(texts, together, strict=True):
        (alone,) = tiny.attribute(text, generation_args=length, show_progress=False)
        assert ids(sequence) == ids(alone)


def test_batch_size_holds_for_generation_too(
    tiny: iw.AttributionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate, sizes = tiny.model.generate, []

    def counting(**keywords: object) -> torch.Tensor:
        sizes.append(len(keywords["input_ids"]))
        return generate(**keywords)

    monkeypatch.setattr(tiny.model, "generate", counting)
    tiny.generate(["One", "Two"], max_new_tokens=2)
    tiny.attribute(
        ["One", "Two", "Ten", "One two"],
        generation_args={"max_new_tokens": 2},
        batch_size=2,
        show_progress=False,
    )
    assert sizes == [2, 2, 1, 1]


def test_an_end_of_sequence_that_the_user_wrote_is_explained(tiny: iw.AttributionModel) -> None:
    (sequence,) = tiny.attribute("Hello", "Hello there<|im_end|>", show_progress=False)
    assert [step.piece for step in sequence.steps] == ["Ġthere", "<|im_end|>"]
    (end,) = tiny.attribute("Hello", "Hello<|im_end|>", show_progress=False)
    assert [step.piece for step in end.steps] == ["<|im_end|>"]


def test_half_precision_keeps_the_gradients_of_rare_tokens(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    exact = iw.load_model(tiny_llama().double(), "saliency", tokenizer=tokenizer)
    half = iw.load_model(tiny_llama().half(), "saliency", tokenizer=tokenizer)
    expected = exact.attribute(PROMPT, FULL, show_progress=False)[0].scores
    actual = half.attribute(PROMPT, FULL, show_progress=False)[0].scores
    # A random model gives each of 49,152 tokens a probability that is lost in float16.
    difference = np.nanmax(np.abs(actual - expected), axis=0) / np.nanmax(expected, axis=0)
    assert (difference < 0.02).all()


def test_wrappers_of_one_model_share_its_lock(tokenizer: PreTrainedTokenizerBase) -> None:
    model = tiny_llama()
    first = iw.load_model(model, "saliency", tokenizer=tokenizer)
    second = iw.load_model(model, "attention", tokenizer=tokenizer)
    assert first.lock is second.lock
    with ThreadPoolExecutor(4) as pool:
        jobs = [
            pool.submit(wrapper.attribute, PROMPT, FULL, show_progress=False)
            for wrapper in [first, second] * 8
        ]
    expected = first.attribute(PROMPT, FULL, show_progress=False)[0].scores
    for job in jobs[::2]:
        np.testing.assert_allclose(job.result()[0].scores, expected, rtol=1e-4)
    for job in jobs[1::2]:
        np.testing.assert_allclose(job.result()[0].scores.sum("input"), 1.0, rtol=1e-4)
    assert model.config._attn_implementation == "sdpa"


def test_attention_outside_of_the_interface_is_the_models_own_eager_one(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    model = tiny_falcon()
    assert not model._can_set_attn_implementation()
    output = iw.load_model(model, tokenizer=tokenizer).attribute(
        PROMPT, FULL, "attention", show_progress=False
    )
    eager = tiny_falcon(attn_implementation="eager")
    batch = torch.tensor([[token.id for token in output[0].target[:-1]]])
    with torch.no_grad():
        reported = torch.stack(eager(batch, output_attentions=True).attentions)
    raw = output[0].raw_scores.to_numpy()
    for column, row in enumerate(range(2, 5)):
        expected = reported[:, 0, :, row, : row + 1].permute(2, 0, 1)
        np.testing.assert_allclose(raw[: row + 1, column], expected, atol=1e-6)


def test_messages_are_read_through_the_chat_template(
    smollm2: iw.AttributionModel, tokenizer: PreTrainedTokenizerBase
) -> None:
    messages = [{"role": "user", "content": "Say yes."}]
    rendered = tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
    (sequence,) = smollm2.attribute(
        messages, generation_args={"max_new_tokens": 2}, show_progress=False
    )
    assert [token.id for token in sequence.source] == rendered
    assert next(t.piece for t in sequence.source if t.special) == "<|im_start|>"
    (forced,) = smollm2.attribute(messages, "Yes.", show_progress=False)
    assert "".join(step.text for step in forced.steps) == "Yes."
    batch = smollm2.attribute([messages, messages], ["Yes.", "No."], show_progress=False)
    assert len(batch) == 2


def test_a_forced_token_that_begins_in_the_prompt_counts_as_generated(
    tiny: iw.AttributionModel,
) -> None:
    (sequence,) = tiny.attribute("The nur", "The nurse said", show_progress=False)
    assert [step.text for step in sequence.steps] == [" nurse", " said"]


def test_step_scores_are_reported_beside_any_method(tiny: iw.AttributionModel) -> None:
    for method in ("saliency", "attention", "occlusion"):
        (sequence,) = tiny.attribute(
            PROMPT, FULL, method, step_scores=["probability", "logit"], show_progress=False
        )
        assert set(sequence.step_scores) == {"probability", "logit"}
        assert sequence.step_scores["logit"].shape == (3,)


def test_batch_size_changes_nothing_but_memory(tiny: iw.AttributionModel) -> None:
    texts = [PROMPT, "Hi", "One two three four five"]
    targets = [FULL, "Hi there", "One two three four five six seven"]
    whole = tiny.attribute(texts, targets, show_progress=False)
    for size in (1, 2):
        part = tiny.attribute(texts, targets, batch_size=size, show_progress=False)
        for expected, actual in zip(whole, part, strict=True):
            assert [t.id for t in actual.target] == [t.id for t in expected.target]
            np.testing.assert_allclose(actual.scores, expected.scores, rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize("build", [tiny_llama, tiny_gpt2, tiny_t5, tiny_bart])
def test_a_model_is_left_as_it_was_after_success_and_after_an_interrupt(
    build: object, tokenizer: PreTrainedTokenizerBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build().train()
    model.get_input_embeddings().weight.requires_grad_(False)
    attributing = iw.load_model(model, tokenizer=tokenizer)
    target = "hello to me" if model.config.is_encoder_decoder else FULL

    def state() -> tuple[object, ...]:
        return (
            [module.training for module in model.modules()],
            [parameter.requires_grad for parameter in model.parameters()],
            [parameter.grad is None for parameter in model.parameters()],
            model.config._attn_implementation,
            [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()],
            torch.get_rng_state().tolist(),
        )

    before = state()
    for method in ("saliency", "attention", "occlusion"):
        attributing.attribute(PROMPT, target, method, show_progress=False)
        assert state() == before
    norm = next(m for m in reversed(list(model.modules())) if "Norm" in type(m).__name__)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    for method in ("saliency", "attention", "occlusion"):
        hook = norm.register_forward_hook(interrupt)
        with pytest.raises(KeyboardInterrupt):
            attributing.attribute(PROMPT, target, method, show_progress=False)
        hook.remove()
        assert state() == before


def test_an_interrupt_keeps_the_texts_that_were_finished(
    tiny: iw.AttributionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace, runs = tiny._traceable.trace, []

    def interrupted(*arguments: object, **keywords: object) -> object:
        runs.append(arguments)
        if len(runs) == 2:
            raise KeyboardInterrupt
        return trace(*arguments, **keywords)

    monkeypatch.setattr(tiny._traceable, "trace", interrupted)
    with pytest.raises(iw.AttributionInterrupted) as caught:
        tiny.attribute([PROMPT, PROMPT], [FULL, FULL], batch_size=1, show_progress=False)
    assert caught.value.partial is not None
    assert len(caught.value.partial) == 1
    assert not tiny.lock._is_owned()


def test_running_out_of_memory_halves_the_chunk_and_changes_no_number(
    tiny: iw.AttributionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = tiny.attribute(PROMPT, FULL, show_progress=False)[0].scores
    grad, failures = torch.autograd.grad, []

    def failing(*arguments: object, **keywords: object) -> object:
        if keywords.get("is_grads_batched") and keywords["grad_outputs"].shape[0] > 1:
            failures.append(keywords["grad_outputs"].shape[0])
            raise torch.OutOfMemoryError("no memory for this many rows")
        return grad(*arguments, **keywords)

    monkeypatch.setattr(torch.autograd, "grad", failing)
    actual = tiny.attribute(PROMPT, FULL, show_progress=False)[0].scores
    np.testing.assert_allclose(actual, expected, rtol=1e-5)
    assert failures == [3]


def test_an_error_that_is_not_about_memory_is_not_swallowed(
    tiny: iw.AttributionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> object:
        raise RuntimeError("something else")

    monkeypatch.setattr(torch.autograd, "grad", failing)
    with pytest.raises(RuntimeError, match="something else"):
        tiny.attribute(PROMPT, FULL, show_progress=False)


def test_little_free_memory_makes_small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunking, "_free_bytes", lambda device: 1000)
    sizer = chunking.ChunkSizer(torch.device("cpu"), 12, at_most=100)
    monkeypatch.setattr(chunking, "_grown_since", lambda device, before: 4 * 200)
    assert sizer.run(lambda rows: rows) == (4, 4)
    assert sizer.rows == 2  # half of the free memory holds two rows of 200 bytes


def test_the_default_method_and_function_can_be_changed(tiny: iw.AttributionModel) -> None:
    tiny.attribution_method, tiny.attributed_fn = "input_x_gradient", "logit"
    try:
        output = tiny.attribute(PROMPT, FULL, show_progress=False)
    finally:
        tiny.attribution_method, tiny.attributed_fn = "saliency", "probability"
    assert output.info["attribution_method"] == "input_x_gradient"
    assert output.info["attributed_fn"] == "logit"


def test_a_method_keyword_of_load_model_is_the_default(tokenizer: PreTrainedTokenizerBase) -> None:
    signed = iw.load_model(tiny_llama(), "saliency", tokenizer=tokenizer, abs=False)
    raw = signed.attribute(PROMPT, FULL, granular=True, show_progress=False)[0].raw_scores
    assert float(raw.min()) < 0


def test_saving_and_loading_a_folder_gives_the_same_scores(
    tiny: iw.AttributionModel, tmp_path: object
) -> None:
    tiny.model.save_pretrained(tmp_path)
    tiny.tokenizer.save_pretrained(tmp_path)
    loaded = iw.load_model(tmp_path, "saliency")
    expected = tiny.attribute(PROMPT, FULL, show_progress=False)[0].scores
    np.testing.assert_array_equal(
        loaded.attribute(PROMPT, FULL, show_progress=False)[0].scores, expected
    )


def test_remote_code_is_not_run_unless_it_is_trusted(tmp_path: object) -> None:
    folder = tmp_path / "remote"
    folder.mkdir()
    (folder / "config.json").write_text(
        '{"model_type": "mine", "auto_map": {"AutoConfig": "mine.MineConfig"}}'
    )
    (folder / "mine.py").write_text("raise SystemExit('remote code ran')")
    with pytest.raises((ValueError, OSError), match=r"trust_remote_code|remote"):
        iw.load_model(str(folder))


@pytest.mark.parametrize("method", ["saliency", "occlusion"])
def test_scores_that_keep_their_sign_are_shown_with_it(
    method: str, tiny: iw.AttributionModel
) -> None:
    signs = [
        tiny.attribute(PROMPT, FULL, method, abs=given, show_progress=False).info["signed"]
        for given in (True, False)
    ]
    assert signs == [False, True]
