"""What a script written for Inseq calls is here, with its arguments in their order."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerBase as Tokenizer

import inseq_widget as inseq
from inseq_widget.methods import kept
from inseq_widget.models import placing
from tests.tiny import tiny_bart, tiny_llama

PROMPT, FULL = "The nurse said", "The nurse said hello to me"

# As Inseq 0.7.1 documents them. Where it has an empty list or dictionary as default, there is
# an empty one or None here: nothing in either.
EMPTY: object = object()
OWN: object = object()  # a default that differs on purpose
NO_DEFAULT = inspect.Parameter.empty
PUBLIC = (
    "AttributionModel",
    "FeatureAttributionOutput",
    "explain",
    "list_aggregation_functions",
    "list_aggregators",
    "list_feature_attribution_methods",
    "list_step_functions",
    "list_supported_frameworks",
    "load_model",
    "merge_attributions",
    "register_model_config",
    "register_step_function",
    "show_attributions",
    "show_granular_attributions",
    "show_token_attributions",
)
METHODS = (
    "attention",
    "deeplift",
    "discretized_integrated_gradients",
    "dummy",
    "gradient_shap",
    "input_x_gradient",
    "integrated_gradients",
    "layer_deeplift",
    "layer_gradient_x_activation",
    "layer_integrated_gradients",
    "lime",
    "occlusion",
    "reagent",
    "saliency",
    "sequential_integrated_gradients",
    "value_zeroing",
)
RESULTS = ("FeatureAttributionOutput", "FeatureAttributionSequenceOutput")
SIGNATURES: dict[str, dict[str, object]] = {
    "load_model": {
        "model": NO_DEFAULT,
        "attribution_method": None,
        "framework": "hf_transformers",
    },
    "AttributionModel.attribute": {
        "input_texts": NO_DEFAULT,
        "generated_texts": None,
        "method": None,
        "override_default_attribution": False,
        "attr_pos_start": None,
        "attr_pos_end": None,
        "show_progress": True,
        "pretty_progress": True,
        "output_step_attributions": False,
        "attribute_target": False,
        "step_scores": EMPTY,
        "include_eos_baseline": False,
        "attributed_fn": None,
        "device": None,
        "batch_size": None,
        "generate_from_target_prefix": False,
        "skip_special_tokens": False,
        "clean_special_chars": False,
        "generation_args": EMPTY,
    },
    "AttributionModel.generate": {
        "inputs": NO_DEFAULT,
        "return_generation_output": False,
        "skip_special_tokens": None,
        "output_generated_only": False,
        "batch_size": None,
    },
    "AttributionModel.encode": {
        "texts": NO_DEFAULT,
        "as_targets": False,
        "return_baseline": False,
        "include_eos_baseline": False,
        "add_bos_token": True,
        "add_special_tokens": True,
    },
    "AttributionModel.decode": {"ids": NO_DEFAULT, "skip_special_tokens": True},
    "AttributionModel.embed": {
        "inputs": NO_DEFAULT,
        "as_targets": False,
        "add_special_tokens": True,
    },
    "AttributionModel.embed_ids": {"ids": NO_DEFAULT, "as_targets": False},
    "AttributionModel.convert_ids_to_tokens": {
        "ids": NO_DEFAULT,
        "skip_special_tokens": True,
        "decode_tokens": False,
    },
    "AttributionModel.convert_tokens_to_ids": {"tokens": NO_DEFAULT},
    "AttributionModel.convert_tokens_to_string": {
        "tokens": NO_DEFAULT,
        "skip_special_tokens": True,
        "as_targets": False,
    },
    "AttributionModel.convert_string_to_tokens": {
        "text": NO_DEFAULT,
        "skip_special_tokens": True,
        "as_targets": False,
    },
    "AttributionModel.clean_tokens": {
        "tokens": NO_DEFAULT,
        "skip_special_tokens": False,
        "as_targets": False,
    },
    "AttributionModel.get_attribution_method": {
        "method": None,
        "override_default_attribution": False,
    },
    "AttributionModel.get_attributed_fn": {"attributed_fn": None},
    "explain": {"id": NO_DEFAULT},
    "merge_attributions": {"attributions": NO_DEFAULT},
    "register_step_function": {
        "fn": NO_DEFAULT,
        "identifier": NO_DEFAULT,
        "aggregate_map": None,
        "overwrite": False,
    },
    "register_model_config": {
        "model_type": NO_DEFAULT,
        "config": NO_DEFAULT,
        "overwrite": False,
        "allow_partial": False,
    },
    "show_attributions": {
        "attributions": NO_DEFAULT,
        "min_val": None,
        "max_val": None,
        "display": True,
        "return_html": False,
    },
    "show_granular_attributions": {
        "attributions": NO_DEFAULT,
        "max_show_size": OWN,
        "min_val": None,
        "max_val": None,
        "show_dim": None,
        "slice_dims": None,
        "display": True,
        "return_html": False,
        "return_figure": False,
    },
    "show_token_attributions": {
        "attributions": NO_DEFAULT,
        "min_val": None,
        "max_val": None,
        "display": True,
        "return_html": False,
        "return_figure": False,
        "replace_char": None,
        "wrap_after": None,
        "step_score_highlight": None,
    },
    "FeatureAttributionOutput.aggregate": {"aggregator": None},
    "FeatureAttributionSequenceOutput.aggregate": {
        "aggregator": None,
        "aggregate_fn": None,
        "do_pre_aggregation_checks": True,
        "do_post_aggregation_checks": True,
    },
    "FeatureAttributionOutput.get_scores_dicts": {"aggregator": None, "do_aggregation": True},
    "FeatureAttributionSequenceOutput.get_scores_dicts": {
        "aggregator": None,
        "do_aggregation": True,
    },
    "FeatureAttributionOutput.save": {
        "path": NO_DEFAULT,
        "overwrite": False,
        "compress": False,
        "ndarray_compact": True,
        "use_primitives": False,
        "split_sequences": False,
        "scores_precision": OWN,
    },
    "FeatureAttributionOutput.load": {"path": NO_DEFAULT, "decompress": False},
    "FeatureAttributionSequenceOutput.weight_attributions": {"step_fn_id": NO_DEFAULT},
    **{
        f"{kind}.show": {
            "min_val": None,
            "max_val": None,
            "max_show_size": None,
            "show_dim": None,
            "slice_dims": None,
            "display": True,
            "return_html": False,
            "return_figure": False,
            "aggregator": None,
            "do_aggregation": True,
        }
        for kind in RESULTS
    },
    **{
        f"{kind}.show_granular": {
            "min_val": None,
            "max_val": None,
            "max_show_size": None,
            "show_dim": None,
            "slice_dims": None,
            "display": True,
            "return_html": False,
            "return_figure": False,
        }
        for kind in RESULTS
    },
    **{
        f"{kind}.show_tokens": {
            "min_val": None,
            "max_val": None,
            "display": True,
            "return_html": False,
            "return_figure": False,
            "replace_char": None,
            "wrap_after": None,
            "step_score_highlight": None,
            "aggregator": None,
            "do_aggregation": True,
        }
        for kind in RESULTS
    },
}


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_here(name: str) -> None:
    assert callable(getattr(inseq, name))
    assert name in inseq.__all__


def test_every_method_is_here() -> None:
    assert set(METHODS) <= set(inseq.list_feature_attribution_methods())


@pytest.mark.parametrize("name", SIGNATURES)
def test_arguments_have_their_place_and_their_default(name: str) -> None:
    function: object = inseq
    for part in name.split("."):
        function = getattr(function, part)
    assert callable(function)
    given = inspect.signature(function).parameters.values()
    parameters = [each for each in given if each.name != "self"]
    expected = SIGNATURES[name]
    assert [each.name for each in parameters][: len(expected)] == list(expected)
    for each in parameters[: len(expected)]:
        assert each.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        default = expected[each.name]
        if default is OWN:
            assert each.default is not NO_DEFAULT
        else:
            assert not each.default if default is EMPTY else each.default == default


def test_the_page_for_those_who_come_from_inseq_names_everything() -> None:
    page = (Path(__file__).parents[2] / "docs" / "coming-from-inseq.md").read_text(encoding="utf-8")
    page = re.sub(r"```.*?```", "", page, flags=re.DOTALL)
    named = set(re.findall(r"`([^`\n]+)`", page))
    for name in PUBLIC:
        assert name in named
    for name in SIGNATURES:
        assert {name, name.split(".")[-1]} & named
    for name in ("load_model", "AttributionModel.attribute", "AttributionModel.generate"):
        assert set(SIGNATURES[name]) <= named
    members = set(re.findall(r"^\| `(.+?)` \| (?!not there)", page, flags=re.MULTILINE))
    parts = {part for row in members for part in row.replace("`", "").split(", ")}
    owners = [
        inseq,
        inseq.AttributionModel,
        inseq.FeatureAttributionOutput,
        inseq.FeatureAttributionSequenceOutput,
    ]
    arguments = {
        argument
        for owner in (inseq.load_model, inseq.AttributionModel.attribute)
        for argument in inspect.signature(owner).parameters
    }
    fields = {"sequence_attributions", "info", "attributed_fn", *_fields()}
    for part in parts:
        if part.isidentifier():
            known = part in arguments | fields or any(hasattr(each, part) for each in owners)
            assert known, f"{part} is on the page, and nowhere else"


def _fields() -> set[str]:
    return {each.name for each in dataclasses.fields(inseq.FeatureAttributionSequenceOutput)}


@pytest.fixture
def model(tokenizer: Tokenizer) -> inseq.AttributionModel:
    return inseq.load_model(tiny_llama(), "saliency", "hf_transformers", tokenizer=tokenizer)


@pytest.fixture
def translating(tokenizer: Tokenizer) -> inseq.AttributionModel:
    return inseq.load_model(tiny_bart(), "saliency", tokenizer=tokenizer)


def test_a_script_runs_from_end_to_end(
    model: inseq.AttributionModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = model.attribute(
        [PROMPT, "Hello"],
        generation_args={"max_new_tokens": 4, "min_new_tokens": 4},
        step_scores=["entropy"],
        show_progress=False,
    )
    first = out[0]
    rows = first.attr_pos_end
    assert first.target_attributions.shape == (rows, 4, 32)
    assert first.source_attributions is None
    assert first.step_scores["entropy"].shape == (4,)
    # What Inseq does by default: the norm, then the share of each step.
    norms = first.target_attributions.norm(dim=-1)
    shares = norms / norms.nansum(0)
    aggregated = first.aggregate().target_attributions
    assert aggregated.shape == (rows, 4)
    np.testing.assert_allclose(aggregated, shares, rtol=1e-5)
    scores = first.get_scores_dicts()["target_attributions"]
    token = first.target[first.attr_pos_start]
    row = scores[first.attr_pos_start, token.token]
    np.testing.assert_allclose(list(row.values()), shares[: first.attr_pos_start, 0], rtol=1e-5)
    path = tmp_path / "out"
    out.save(path)
    (loaded, _) = type(out).load(path)
    np.testing.assert_array_equal(loaded.target_attributions, first.target_attributions)
    inseq.show_attributions(out)
    assert "The nurse said" in capsys.readouterr().out
    merged = inseq.merge_attributions([out, out])
    assert len(merged) == 4


def test_every_argument_can_be_given_by_its_place(model: inseq.AttributionModel) -> None:
    out = model.attribute(
        PROMPT,
        FULL,
        "input_x_gradient",
        False,  # override_default_attribution
        4,
        6,
        False,  # show_progress
        False,  # pretty_progress
        True,  # output_step_attributions
        False,  # attribute_target
        ["entropy"],
        False,  # include_eos_baseline
        "logit",
        "cpu",
        1,
        False,  # generate_from_target_prefix
        False,  # skip_special_tokens
        True,  # clean_special_chars
        {},
    )
    assert out.info["attribution_method"] == "input_x_gradient"
    assert out.info["attributed_fn"] == "logit"
    assert (out[0].attr_pos_start, out[0].attr_pos_end) == (4, 6)
    assert "entropy" in out[0].step_scores
    assert len(out.step_attributions) == 2
    assert [token.piece for token in out[0].target] == [token.text for token in out[0].target]


def test_a_method_for_one_call_becomes_the_default_only_where_asked(
    model: inseq.AttributionModel,
) -> None:
    def raw(**keywords: object) -> torch.Tensor:
        return model.attribute(PROMPT, FULL, show_progress=False, **keywords)[0].raw_scores

    signed = raw(method="saliency", abs=False)
    assert model.attribution_method == "saliency"
    assert float(raw().min()) >= 0
    np.testing.assert_array_equal(
        raw(method="saliency", override_default_attribution=True, abs=False), signed
    )
    np.testing.assert_array_equal(raw(), signed)
    assert float(raw(method="input_x_gradient", override_default_attribution=True).min()) < 0
    assert model.attribution_method == "input_x_gradient"


def test_a_default_method_can_be_set_and_has_to_exist(model: inseq.AttributionModel) -> None:
    model.attribution_method = "attention"
    assert model.get_attribution_method().name == "attention"
    chosen = model.get_attribution_method("saliency", override_default_attribution=True, abs=False)
    assert chosen == model.get_attribution_method()
    assert model.attribution_method == "saliency"
    with pytest.raises(ValueError, match="method: 'salency' is not known; did you mean 'saliency'"):
        model.attribution_method = "salency"
    model.default_attributed_fn_id = "logit"
    assert model.attributed_fn == model.default_attributed_fn_id == "logit"
    assert model.get_attributed_fn().__name__ == "logit"
    with pytest.raises(ValueError, match="did you mean 'logit'"):
        model.default_attributed_fn_id = "logits"


def test_a_start_before_the_generated_tokens_is_moved_there(
    model: inseq.AttributionModel, translating: inseq.AttributionModel
) -> None:
    for each, target, first in ((model, FULL, 3), (translating, "hello to me", 1)):
        with pytest.warns(UserWarning, match=f"attr_pos_start: 0 lies before .* so {first} is"):
            out = each.attribute(PROMPT, target, attr_pos_start=0, show_progress=False)
        assert out[0].attr_pos_start == first


def test_what_changes_nothing_says_so(model: inseq.AttributionModel) -> None:
    expected = model.attribute(PROMPT, FULL, show_progress=False)[0].raw_scores
    for keywords in (
        {"attribute_target": True},
        {"generate_from_target_prefix": True},
        {"include_eos_baseline": True},
        {"generation_args": {"max_new_tokens": 3}},
    ):
        (argument,) = keywords
        with pytest.warns(UserWarning, match=f"{argument}: .* (changes nothing|no effect)"):
            out = model.attribute(PROMPT, FULL, show_progress=False, **keywords)
        np.testing.assert_array_equal(out[0].raw_scores, expected)
        assert not out.info["attribute_target"]
        assert out.info["generation_args"] == {}


def test_the_end_of_a_text_has_a_baseline_where_asked(
    translating: inseq.AttributionModel, tokenizer: Tokenizer
) -> None:
    end = tokenizer.eos_token

    def scores(**keywords: object) -> np.ndarray:
        (sequence,) = translating.attribute(
            f"The nurse{end}",
            "hello",
            "integrated_gradients",
            n_steps=4,
            show_progress=False,
            **keywords,
        )
        assert sequence.source[-1].piece == end
        return np.abs(sequence.raw_scores.to_numpy()[len(sequence.source) - 1]).max(-1)

    assert (scores() == 0).all()
    assert (scores(include_eos_baseline=True) > 0).all()
    np.testing.assert_array_equal(
        scores(include_eos_baseline=True),
        scores(attribution_args={"include_eos_baseline": True}),
    )


def test_a_model_moves_for_one_call_and_back_even_after_an_error(
    model: inseq.AttributionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    moves: list[str] = []
    monkeypatch.setattr(placing, "_device", torch.device)  # any device is there
    monkeypatch.setattr(placing.nn.Module, "to", lambda _, device: moves.append(str(device)))
    model.attribute(PROMPT, FULL, device="cuda:1", show_progress=False)
    assert moves == ["cuda:1", "cpu"]
    with pytest.raises(ValueError, match="attr_pos_end"):
        model.attribute(PROMPT, FULL, device="cuda:1", attr_pos_end=99, show_progress=False)
    assert moves == ["cuda:1", "cpu"] * 2
    model.device = "cuda:1"
    assert moves[-1] == "cuda:1"
    assert model.device == "cpu"  # where its weights are


def test_a_device_that_is_not_there_is_named(model: inseq.AttributionModel) -> None:
    with pytest.raises(ValueError, match="device: 'gpu' given; pass a device such as 'cpu'"):
        model.attribute(PROMPT, FULL, device="gpu", show_progress=False)
    with pytest.raises(ValueError, match="device: 'xpu' given, but this machine has none"):
        model.attribute(PROMPT, FULL, device="xpu", show_progress=False)


def test_targets_go_on_from_their_beginning(translating: inseq.AttributionModel) -> None:
    texts, begun = [PROMPT, "Hello there"], ["hello to", "me"]
    keywords = {"max_new_tokens": 3, "min_new_tokens": 3}
    out = translating.attribute(
        texts,
        begun,
        generate_from_target_prefix=True,
        generation_args=keywords,
        show_progress=False,
    )
    for text, beginning, sequence in zip(texts, begun, out, strict=True):
        batch = translating.tokenizer(text, return_tensors="pt")
        start = translating.encode(beginning, as_targets=True, add_special_tokens=False).input_ids
        expected = translating.model.generate(**batch, decoder_input_ids=start, **keywords)
        assert [token.id for token in sequence.target] == expected[0].tolist()
        assert sequence.attr_pos_start == 1
    with pytest.raises(ValueError, match="generate_from_target_prefix: True given without"):
        translating.attribute(PROMPT, generate_from_target_prefix=True, show_progress=False)


def test_special_tokens_are_taken_out_of_the_texts(
    model: inseq.AttributionModel, translating: inseq.AttributionModel
) -> None:
    end = model.tokenizer.eos_token
    for each, target in ((model, FULL), (translating, "hello to me")):
        marked = target.replace("hello", f"{end}hello")
        plain = each.attribute(PROMPT, target, show_progress=False)[0]
        stripped = each.attribute(
            f"{PROMPT}{end}" if each is translating else PROMPT,
            marked,
            skip_special_tokens=True,
            show_progress=False,
        )[0]
        assert stripped.source == plain.source
        assert stripped.target == plain.target
        np.testing.assert_array_equal(stripped.raw_scores, plain.raw_scores)
    with pytest.raises(ValueError, match="skip_special_tokens: text 0 is messages"):
        model.attribute(
            [{"role": "user", "content": "Hi"}], skip_special_tokens=True, show_progress=False
        )
    with pytest.raises(ValueError, match=r"skip_special_tokens: text 0 is .* special tokens alone"):
        model.attribute(end, skip_special_tokens=True, show_progress=False)


def test_an_empty_prompt_is_the_begin_of_sequence_token(model: inseq.AttributionModel) -> None:
    (forced,) = model.attribute("", "hello there", show_progress=False)
    assert [token.id for token in forced.source] == [model.bos_token_id]
    assert "".join(step.text for step in forced.steps) == " hello there"
    (written,) = model.attribute("", generation_args={"max_new_tokens": 2}, show_progress=False)
    assert [token.id for token in written.source] == [model.bos_token_id]


@pytest.mark.parametrize(
    "argument",
    [
        name
        for name, default in SIGNATURES["AttributionModel.attribute"].items()
        if isinstance(default, bool)
    ],
)
def test_a_flag_is_true_or_false(model: inseq.AttributionModel, argument: str) -> None:
    with pytest.raises(TypeError, match=rf"{argument}: 'yes' given; pass True or False\."):
        model.attribute(PROMPT, FULL, **{argument: "yes"})


def test_there_is_one_framework(tokenizer: Tokenizer) -> None:
    assert inseq.list_supported_frameworks() == ["hf_transformers"]
    with pytest.raises(ValueError, match="framework: 'jax' given; there is 'hf_transformers'"):
        inseq.load_model(tiny_llama(), "saliency", "jax", tokenizer=tokenizer)


def test_a_model_configuration_is_checked_and_changes_nothing() -> None:
    config = {
        "self_attention_module": "attn",
        "value_vector": "value",
        "cross_attention_module": "cross",
    }
    with pytest.warns(UserWarning, match="register_model_config: the attention of Mine is found"):
        inseq.register_model_config("Mine", config)
    with pytest.warns(UserWarning, match="changes nothing"):
        inseq.register_model_config("Mine", {"value_vector": "value"}, allow_partial=True)
    with pytest.raises(ValueError, match="config: value_vector, cross_attention_module missing"):
        inseq.register_model_config("Mine", {"self_attention_module": "attn"})
    with pytest.raises(ValueError, match=r"config: \['values'\] given; the fields are"):
        inseq.register_model_config("Mine", {"values": "value"})
    with pytest.raises(TypeError, match="model_type: 3 given"):
        inseq.register_model_config(3, config)
    with pytest.raises(TypeError, match="config: 'attn' given"):
        inseq.register_model_config("Mine", "attn")


@pytest.mark.parametrize("listed", ["methods", "step functions", "aggregators", "functions"])
def test_every_name_is_explained(listed: str, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Callable[[], list[str]]] = {
        "methods": inseq.list_feature_attribution_methods,
        "step functions": inseq.list_step_functions,
        "aggregators": inseq.list_aggregators,
        "functions": inseq.list_aggregation_functions,
    }
    for name in names[listed]():
        inseq.explain(name)
        printed = capsys.readouterr().out
        assert printed.startswith(f"{name} (")
        assert len(printed.splitlines()) > 2
        assert "Nothing is written" not in printed


def test_a_name_that_is_not_known_gives_the_nearest() -> None:
    with pytest.raises(ValueError, match="id: 'probabilty' is not known; did you mean 'probabil"):
        inseq.explain("probabilty")


def test_features_are_kept_as_far_as_memory_allows(
    model: inseq.AttributionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts, targets = [PROMPT, "Hello"], [FULL, "Hello there"]
    whole = model.attribute(texts, targets, show_progress=False)
    shapes = [sequence.target_attributions.shape for sequence in whole]
    assert shapes == [(6, 3, 32), (2, 1, 32)]
    # Of the two texts, the second one's features fit.
    monkeypatch.setattr(kept, "KEPT_BYTES", 5 * 3 * 32 * 4 - 1)
    some = model.attribute(texts, targets, show_progress=False)
    np.testing.assert_array_equal(some[1].target_attributions, whole[1].target_attributions)
    message = r"target_attributions: with every feature they take .* granular=True.* \.scores"
    with pytest.raises(ValueError, match=message):
        _ = some[0].target_attributions
    np.testing.assert_array_equal(some[0].scores, whole[0].scores)
    np.testing.assert_array_equal(some[0].reduce("sum"), whole[0].reduce("sum"))
    asked = model.attribute(texts, targets, granular=True, show_progress=False)
    np.testing.assert_array_equal(asked[0].target_attributions, whole[0].target_attributions)
    reduced = model.attribute(texts, targets, granular=False, show_progress=False)
    np.testing.assert_array_equal(reduced[0].target_attributions[:-1], whole[0].scores)
    with pytest.raises(TypeError, match="granular: 1 given"):
        model.attribute(texts, targets, granular=1, show_progress=False)


def test_many_texts_share_the_memory_for_features() -> None:
    assert kept.bytes_for_features(None, 1) == kept.KEPT_BYTES
    assert kept.bytes_for_features(None, 1000) * 1000 <= kept.KEPT_BYTES_IN_ALL
    assert kept.bytes_for_features(False, 1) == 0
    assert kept.bytes_for_features(True, 1000) == float("inf")
    assert kept.bytes_for_features(None, 1000, every=True) == float("inf")
    assert kept.bytes_for_features(False, 1000, every=True) == 0


def test_pictures_do_not_hold_the_features(model: inseq.AttributionModel) -> None:
    pages, states = [], []
    for granular in (None, False):
        out = model.attribute(PROMPT, FULL, granular=granular, show_progress=False)
        assert ("raw" in out[0].kept) == (granular is None)
        pages.append(len(out.to_html()))
        states.append(len(str(out.widget().get_state())))
    assert abs(pages[0] - pages[1]) < 100
    assert abs(states[0] - states[1]) < 100
