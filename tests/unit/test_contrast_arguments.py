"""Wrong contrastive arguments are refused before the model runs, by the argument's name."""

from __future__ import annotations

import pytest
from transformers import PreTrainedTokenizerBase

import inseq_widget as iw
from tests.tiny import tiny_gpt2

PROMPT, FULL = "The nurse said", "The nurse said hello to me"
OTHER = "The doctor said goodbye to you"
SCORES = {"step_scores": ["contrast_prob"]}
WITH_OTHER = {"contrast_targets": OTHER}


def forbid_runs(model: iw.AttributionModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object, **__: object) -> None:
        pytest.fail("the model ran before the input was refused")

    monkeypatch.setattr(model.model, "forward", run)


@pytest.fixture
def never_run(tiny: iw.AttributionModel, monkeypatch: pytest.MonkeyPatch) -> iw.AttributionModel:
    forbid_runs(tiny, monkeypatch)
    return tiny


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        (SCORES, r"contrast_targets: 'contrast_prob' compares with another text"),
        ({"attributed_fn": "pcxmi"}, r"contrast_targets: 'pcxmi' compares with another text"),
        ({"contrast_force_inputs": True}, r"contrast_force_inputs: True .* nothing to contrast"),
        (
            {"contrast_targets_alignments": "auto"},
            r"contrast_targets_alignments: 'auto' .* nothing to contrast",
        ),
        (
            {"contrast_targets": [OTHER, OTHER]},
            r"contrast_targets: 2 given for 1 input_texts.*; several foils of one input are a list",
        ),
        (
            {"contrast_targets": {3: " he"}, **SCORES},
            r"contrast_targets: step 3 given; text 0 has the steps 0 to 2, or -3 to -1 from",
        ),
        ({"contrast_targets": {-4: " he"}, **SCORES}, r"contrast_targets: step -4 given"),
        (
            {"contrast_targets": {2: " he", -1: " she"}, **SCORES},
            r"contrast_targets: step 2 of text 0 is given twice",
        ),
        (
            {"contrast_targets": {0: [" he", " she"], 1: [" a"] * 3}},
            r"contrast_targets: lists .* different length given, 2 at step 0, 3 at step 1",
        ),
        (
            {"contrast_targets": {1: " absquatulated"}, **SCORES},
            r"contrast_targets: ' absquatulated' at step 1 of text 0 is not one token there but "
            r"' abs' \(id \d+\), .*; pass the id of the first of them, or a whole text",
        ),
        (
            {"contrast_targets": {1: 49_152}, **SCORES},
            r"contrast_targets: id 49152 at step 1 of text 0 .* has ids from 0 to 49151",
        ),
        ({"contrast_targets": {1: -1}, **SCORES}, r"contrast_targets: id -1 at step 1 of text 0"),
        (
            {"contrast_targets": {1: " he"}, "contrast_targets_alignments": "auto"},
            r"contrast_targets_alignments: 'auto' given, but foils by step .* nothing to align",
        ),
        (
            {
                "contrast_targets": [[OTHER, iw.Foil.MOST_LIKELY]],
                "contrast_targets_alignments": [[(3, 3)], [(3, 3)]],
            },
            r"contrast_targets_alignments: .* given, but foils by step .* nothing to align",
        ),
        (
            {"contrast_targets": {1: " he"}, "alignment_encoder": "somewhere"},
            r"alignment_encoder: 'somewhere' given, but foils by step",
        ),
        (
            {**WITH_OTHER, "alignment_encoder": "somewhere"},
            r"alignment_encoder: given with contrast_targets_alignments=None; .*=\"auto\"",
        ),
        ({"alignment_encoder": "somewhere"}, r"alignment_encoder: 'somewhere' .* nothing to contr"),
        (
            {**WITH_OTHER, "contrast_targets_alignments": "auto", "alignment_layer": 2},
            r"alignment_layer: 2 given, but no alignment_encoder",
        ),
        (
            {
                "contrast_targets": [[OTHER, OTHER]],
                "contrast_targets_alignments": [[(3, 3)], [(3, 3)], []],
            },
            r"contrast_targets_alignments: pairs for 3 texts given for 2 foils",
        ),
        ({"contrast_sources": ["a", "b", "c"]}, r"contrast_sources: 3 given for 1 input_texts"),
        (
            {**WITH_OTHER, "contrast_targets_alignments": [[(1, 1)], [(1, 1)]]},
            r"contrast_targets_alignments: pairs for 2 texts given for 1 input_texts",
        ),
        (
            {**WITH_OTHER, "contrast_targets_alignments": [(9, 1)]},
            r"contrast_targets_alignments: \(9, 1\) is outside the texts",
        ),
        (
            {**WITH_OTHER, "contrast_targets_alignments": [(3, 0)]},
            r"contrast_targets: .* \(position 3\) of text 0 has no counterpart",
        ),
        ({"contrast_targets": "you"}, r"contrast_targets: .* of text 0 has no counterpart .* 1 "),
        ({"contrast_sources": "Another"}, r"contrast_sources: LlamaForCausalLM is decoder-only"),
        (
            {**WITH_OTHER, "attributed_fn": "kl_divergence"},
            r"contrast_force_inputs: 'kl_divergence' compares .* needs contrast_force_inputs=True",
        ),
        (
            {**WITH_OTHER, "attributed_fn": "contrast_prob", "contrast_force_inputs": True},
            r"contrast_force_inputs: under the contrastive input 'contrast_prob' is the same",
        ),
        (
            {**WITH_OTHER, "attributed_fn": "contrast_logits", "contrast_force_inputs": True},
            r"contrast_force_inputs: under the contrastive input 'contrast_logits' is the same",
        ),
        ({"attributed_fn": "top_p_size"}, r"attributed_fn: 'top_p_size' has no gradient"),
    ],
)
def test_a_wrong_value_is_named(
    never_run: iw.AttributionModel, keywords: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        never_run.attribute(PROMPT, FULL, show_progress=False, **keywords)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"contrast_targets": 3}, r"contrast_targets: 3 given; pass a text, foils by step"),
        ({"contrast_targets": [3]}, r"contrast_targets: 3 given; pass a text, foils by step"),
        ({"contrast_targets": " "}, r"contrast_targets: ' ' given; pass a text"),
        ({"contrast_targets": []}, r"contrast_targets: \[\] given; pass a text"),
        ({"contrast_targets": [[]]}, r"contrast_targets: \[\[\]\] given; pass a text"),
        ({"contrast_targets": {}}, r"contrast_targets: \{\} given; pass a text"),
        ({"contrast_targets": b"bytes"}, r"contrast_targets: b'bytes' given; pass a text"),
        ({"contrast_targets": [["a", 3]]}, r"contrast_targets: 3 given; pass a text"),
        ({"contrast_targets": {"1": " he"}}, r"contrast_targets: '1' given as a step; pass its"),
        ({"contrast_targets": {True: " he"}}, r"contrast_targets: True given as a step"),
        ({"contrast_targets": {0: None}}, r"contrast_targets: None given at step 0; pass the text"),
        ({"contrast_targets": {0: ""}}, r"contrast_targets: '' given at step 0; pass the text"),
        ({"contrast_targets": {0: []}}, r"contrast_targets: \[\] given at step 0; pass the text"),
        ({"contrast_targets": {0: 1.5}}, r"contrast_targets: 1.5 given at step 0; pass the text"),
        (
            {**WITH_OTHER, "contrast_targets_alignments": "auto", "alignment_encoder": 3},
            r"alignment_encoder: 3 given; pass a hub id, a folder, or a loaded encoder",
        ),
        ({"contrast_sources": {"a": 1}}, r"contrast_sources: \{'a': 1\} given; pass a text"),
        (
            {**WITH_OTHER, "contrast_force_inputs": 1},
            r"contrast_force_inputs: 1 given; pass True or False",
        ),
        (
            {**WITH_OTHER, "contrast_targets_alignments": "nearest"},
            r"contrast_targets_alignments: 'nearest' given; pass \"auto\", or pairs",
        ),
        (
            {**WITH_OTHER, "contrast_targets_alignments": 3},
            r"contrast_targets_alignments: 3 given; pass",
        ),
        (
            {**WITH_OTHER, "contrast_targets_alignments": []},
            r"contrast_targets_alignments: \[\] given; pass",
        ),
        (
            {**WITH_OTHER, "contrast_targets_alignments": [(1, 2, 3)]},
            r"contrast_targets_alignments: \[\(1, 2, 3\)\] given; pass",
        ),
        (
            {**WITH_OTHER, "contrast_targets_alignments": [("1", 2)]},
            r"contrast_targets_alignments: \[\('1', 2\)\] given; pass",
        ),
        (
            {**WITH_OTHER, "contrast_targets_alignments": [[(1, 2), "34"]]},
            r"contrast_targets_alignments: .* given; pass",
        ),
        ({"attributed_fn_args": 3}, r"attributed_fn_args: 3 given; pass a dict"),
        ({"step_scores_args": [1]}, r"step_scores_args: \[1\] given; pass a dict"),
        (
            {"attributed_fn_args": {"top_p": 0.5}},
            r"attributed_fn_args: top_p given; the functions asked for take logprob",
        ),
        (
            {"attributed_fn": "logit", "attributed_fn_args": {"logprob": True}},
            r"attributed_fn_args: logprob given; the functions asked for take no keywords",
        ),
        (
            {"step_scores": "entropy", "step_scores_args": {"top_k": 3}},
            r"step_scores_args: top_k given; the functions asked for take logprob",
        ),
        ({"top_k": 3}, r"top_k: not a keyword of attribute"),
    ],
)
def test_a_wrong_type_or_keyword_is_named(
    never_run: iw.AttributionModel, keywords: dict[str, object], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        never_run.attribute(PROMPT, FULL, show_progress=False, **keywords)


def test_an_encoder_decoder_target_without_tokens_is_named(
    tiny_encoder_decoder: iw.AttributionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid_runs(tiny_encoder_decoder, monkeypatch)
    with pytest.raises(ValueError, match=r"contrast_targets: the tokenizer makes no token"):
        tiny_encoder_decoder.attribute(
            PROMPT, "hello to me", contrast_targets="<|im_end|>", show_progress=False, **SCORES
        )


def test_a_shorter_text_can_be_contrasted_where_it_has_counterparts(
    tiny: iw.AttributionModel,
) -> None:
    keywords = {"contrast_targets": "said to you", "show_progress": False, **SCORES}
    with pytest.raises(ValueError, match=r"contrast_targets: 'hello' .* attr_pos_start"):
        tiny.attribute(PROMPT, FULL, **keywords)
    (sequence,) = tiny.attribute(PROMPT, FULL, attr_pos_start=-2, **keywords)
    assert len(sequence.step_scores["contrast_prob"]) == 2


def test_one_list_of_pairs_serves_one_text_and_a_list_of_lists_several(
    tiny: iw.AttributionModel,
) -> None:
    keywords = {**SCORES, "show_progress": False}
    pairs = [(3, 5), (5, 3)]
    (alone,) = tiny.attribute(
        PROMPT, FULL, contrast_targets=OTHER, contrast_targets_alignments=pairs, **keywords
    )
    both = tiny.attribute(
        [PROMPT, PROMPT],
        [FULL, FULL],
        contrast_targets=[OTHER, OTHER],
        contrast_targets_alignments=[[list(pair) for pair in pairs], []],
        **keywords,
    )
    first, second = (sequence.step_scores["contrast_prob"] for sequence in both)
    expected = alone.step_scores["contrast_prob"]
    assert float((first - expected).abs().max()) < 1e-6 * float(expected.max())
    assert float((second - expected.flip(0)).abs().max()) < 1e-6 * float(expected.max())


def test_messages_are_contrasted_with_another_reply(smollm2: iw.AttributionModel) -> None:
    messages = [{"role": "user", "content": "Is it cold?"}]
    (sequence,) = smollm2.attribute(
        messages,
        "Yes.",
        "attention",
        contrast_targets="No.",
        step_scores=["contrast_prob"],
        show_progress=False,
    )
    (other,) = smollm2.attribute(messages, "No.", "attention", show_progress=False)
    actual = sequence.step_scores["contrast_prob"][0]
    assert float(actual) == float(other.step_scores["probability"][0])


def test_a_contrastive_text_longer_than_the_model_reads_is_named(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    model = iw.load_model(tiny_gpt2(), "dummy", tokenizer=tokenizer)
    with pytest.raises(ValueError, match=r"contrast_targets: text 0 .* 256 positions"):
        model.attribute(
            PROMPT, FULL, contrast_targets="so " * 300 + OTHER, show_progress=False, **SCORES
        )


def test_a_foil_that_nothing_compares_with_is_warned_about(tiny: iw.AttributionModel) -> None:
    with pytest.warns(UserWarning, match=r"contrast_targets, .*: nothing .* compares with them"):
        tiny.attribute(PROMPT, FULL, "dummy", contrast_targets=OTHER, show_progress=False)
