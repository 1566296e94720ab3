"""Keywords of methods are refused, or taken as other packages take them, before any work."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from captum.attr import Occlusion

import inseq_widget as iw
from inseq_widget.methods import list_methods, make_method
from inseq_widget.methods.base import METHODS
from tests.architectures.models import loaded, texts
from tests.architectures.outcomes import methods, quick
from tests.parity.stepwise import largest
from tests.unit.test_faults import DIFFERENTIATING

FLAGS = [
    (name, option.name)
    for name in list_methods()
    for option in dataclasses.fields(METHODS[name])
    if option.type == "bool"
]
MULTIPLYING = [name for name, flag in FLAGS if flag == "multiply_by_inputs"]


@pytest.mark.parametrize("given", [1, "yes", None])
@pytest.mark.parametrize(("method", "flag"), FLAGS)
def test_a_flag_is_true_or_false(method: str, flag: str, given: object) -> None:
    with pytest.raises(TypeError, match=rf"^{flag}: {given!r} given; choose True or False"):
        make_method(method, {flag: given})


def test_every_flag_that_users_know_is_among_those() -> None:
    known = {flag for _, flag in FLAGS}
    assert known >= {
        "abs",
        "attribute_to_layer_input",
        "include_eos_baseline",
        "invert_keep",
        "multiply_by_inputs",
        "return_convergence_delta",
    }


@pytest.mark.parametrize(
    ("keyword", "given"),
    [("replacing_ratio", "0.3"), ("replacing_ratio", 1), ("keep_ratio", "half"), ("keep_ratio", 0)],
)
def test_a_share_of_reagent_is_one(keyword: str, given: object) -> None:
    with pytest.raises(ValueError, match=rf"^{keyword}: {given!r} given; it must be above 0"):
        make_method("reagent", {"keep_top_n": 0, "keep_ratio": 0.5, keyword: given})


@pytest.mark.parametrize("method", ["lime", "context_cite"])
@pytest.mark.parametrize("given", [0, 1, 1.5, "0.5", True, float("nan")])
def test_a_share_of_a_surrogate_lies_between_none_and_all(method: str, given: object) -> None:
    keyword = {"lime": "mask_prob", "context_cite": "keep_prob"}[method]
    with pytest.raises(ValueError, match=rf"^{keyword}: {given!r} given; .* above 0 and below 1"):
        make_method(method, {keyword: given})


@pytest.mark.parametrize(
    ("method", "keyword", "advice"),
    [
        ("deeplift", "custom_attribution_func", "multiply_by_inputs=False and granular=True"),
        ("layer_deeplift", "custom_attribution_func", "multiply_by_inputs=False and granular=True"),
        ("discretized_integrated_gradients", "cache_dir", "nothing is written"),
        ("discretized_integrated_gradients", "n_jobs", "nothing is written"),
        ("lime", "interpretable_model", "surrogate='ridge' or 'lasso'"),
        ("lime", "similarity_func", "kernel_width"),
        ("lime", "perturb_func", "mask_prob"),
    ],
)
def test_what_inseq_takes_and_is_refused_here_comes_with_advice(
    method: str, keyword: str, advice: str
) -> None:
    with pytest.raises(TypeError, match=rf"^{keyword}: '{method}' does not take it; .*{advice}"):
        make_method(method, {keyword: None})


@pytest.mark.parametrize("method", MULTIPLYING)
def test_the_label_says_whether_gradients_are_multiplied(method: str) -> None:
    multiplied, alone = (
        make_method(method, {"multiply_by_inputs": flag}).score_label for flag in (True, False)
    )
    assert "×" in multiplied
    assert multiplied != alone
    if method != "discretized_integrated_gradients":  # whose steps are factors either way
        assert "×" not in alone
        assert "gradient" in alone or "multiplier" in alone


@pytest.mark.parametrize(
    ("nt_type", "word", "signed"),
    [
        ("smoothgrad", "gradient", True),
        ("smoothgrad_sq", "squared", False),
        ("vargrad", "variance", False),
    ],
)
def test_the_label_of_smooth_grad_says_what_is_smoothed(
    nt_type: str, word: str, signed: bool
) -> None:
    method = make_method("smooth_grad", {"nt_type": nt_type, "abs": False})
    assert word in method.score_label
    assert method.is_signed is signed


@pytest.fixture
def never_run(monkeypatch: pytest.MonkeyPatch) -> iw.AttributionModel:
    """Make a model that fails the test when it is run."""
    model = loaded("Llama", torch.float32)

    def run(*_: object, **__: object) -> None:
        pytest.fail("the model ran before the function was refused")

    monkeypatch.setattr(model.model, "forward", run)
    return model


@pytest.mark.parametrize("method", methods())
def test_a_function_without_a_gradient_is_refused_by_all_that_need_one(
    never_run: iw.AttributionModel, method: str
) -> None:
    assert METHODS[method].takes_gradients == (method in DIFFERENTIATING)
    if method in DIFFERENTIATING:
        with pytest.raises(ValueError, match=rf"'top_p_size' has no gradient, so '{method}' can"):
            never_run.attribute(
                *texts("Llama"), method, attributed_fn="top_p_size", show_progress=False
            )


@pytest.mark.parametrize(
    "method", [m for m in methods() if METHODS[m].explains_output and m not in DIFFERENTIATING]
)
def test_a_function_without_a_gradient_is_explained_by_all_that_need_none(method: str) -> None:
    (sequence,) = loaded("Llama").attribute(
        *texts("Llama"),
        method,
        attributed_fn="top_p_size",
        top_p=0.5,
        show_progress=False,
        **quick(method),
    )
    assert np.isfinite(sequence.scores.to_numpy()).any()


def occluded(**keywords: object) -> np.ndarray:
    (sequence,) = loaded("Llama").attribute(
        *texts("Llama"), "occlusion", show_progress=False, **keywords
    )
    return sequence.scores.to_numpy()


@pytest.mark.parametrize(
    ("shapes", "strides", "width", "stride"),
    [
        ((2, 16), 1, 2, 1),
        ((2,), (1,), 2, 1),
        (((2, 16),), None, 2, 1),
        ([3, 16], (2, 16), 3, 2),
        (3, ((2, 1),), 3, 2),
    ],
)
def test_a_window_is_described_by_numbers_or_as_captum_has_it(
    shapes: object, strides: object, width: int, stride: int
) -> None:
    given = occluded(sliding_window_shapes=shapes, strides=strides)
    np.testing.assert_array_equal(given, occluded(sliding_window_shapes=width, strides=stride))


def test_source_and_prefix_have_windows_of_their_own() -> None:
    model = loaded("BART")
    whole = {"attribute_target": True, "show_progress": False}
    (both,) = model.attribute(
        *texts("BART"),
        "occlusion",
        sliding_window_shapes=((2, 16), (1, 16)),
        strides=(2, 1),
        **whole,
    )
    alike = {
        width: model.attribute(
            *texts("BART"), "occlusion", sliding_window_shapes=width, strides=width, **whole
        )[0].scores.to_numpy()
        for width in (1, 2)
    }
    n_source = len(both.source)
    scores = both.scores.to_numpy()
    np.testing.assert_allclose(scores[:n_source], alike[2][:n_source], rtol=1e-12)
    np.testing.assert_allclose(scores[n_source:], alike[1][n_source:], rtol=1e-12)
    assert not np.allclose(alike[1][:n_source], alike[2][:n_source])


# Captum gives its scores in single precision.
def test_windows_equal_captums_with_the_same_arguments() -> None:
    model = loaded("Llama")
    (sequence,) = model.attribute(
        *texts("Llama"),
        "occlusion",
        attributed_fn="logit",
        sliding_window_shapes=(2, 16),
        strides=(2, 16),
        show_progress=False,
    )
    network, tokens = model.model, sequence.target
    ids = torch.tensor([[token.id for token in tokens]])
    embedding = network.get_input_embeddings()
    blank = embedding(torch.tensor([model.tokenizer.unk_token_id])).detach()
    for column, step in enumerate(sequence.steps):

        def logit(embedded: torch.Tensor, token_id: int = step.id) -> torch.Tensor:
            with torch.no_grad():
                return network(inputs_embeds=embedded).logits[:, -1, token_id]

        embedded = embedding(ids[:, : step.position]).detach()
        expected = Occlusion(logit).attribute(
            embedded,
            sliding_window_shapes=(2, 16),
            strides=(2, 16),
            baselines=blank.expand_as(embedded),
        )
        actual = sequence.scores.to_numpy()[: step.position, column]
        np.testing.assert_allclose(
            actual, expected[0, :, 0].abs().numpy(), rtol=0, atol=1e-6 * largest(sequence)
        )


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"sliding_window_shapes": (2, 4)}, r"^sliding_window_shapes: .* 16 features"),
        ({"sliding_window_shapes": ((2, 16),) * 3}, r"^sliding_window_shapes: .* given for"),
        ({"sliding_window_shapes": (2, 16, 1)}, r"^sliding_window_shapes: .* tokens and features"),
        ({"sliding_window_shapes": None}, r"^sliding_window_shapes: None given"),
        ({"sliding_window_shapes": "2"}, r"^sliding_window_shapes: '2' given"),
        ({"strides": (2, 16)}, r"^strides: 2 given, but the window is 1 wide"),
        ({"perturbations_per_eval": 0}, r"^perturbations_per_eval: 0 given"),
    ],
)
def test_windows_that_cannot_be_meant_are_refused(
    never_run: iw.AttributionModel, keywords: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        never_run.attribute(*texts("Llama"), "occlusion", show_progress=False, **keywords)


@pytest.mark.parametrize(
    "method",
    [
        "occlusion",
        "feature_ablation",
        "lime",
        "kernel_shap",
        "shapley_value_sampling",
        "context_cite",
    ],
)
def test_so_many_perturbed_texts_run_together_at_most(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = loaded("Llama")
    forward, rows = model.model.forward, []

    def counting(*arguments: object, **keywords: object) -> object:
        rows.append(len(keywords["input_ids"]))
        return forward(*arguments, **keywords)

    def explained(**keywords: object) -> np.ndarray:
        rows.clear()
        (sequence,) = model.attribute(
            *texts("Llama"), method, show_progress=False, **quick(method), **keywords
        )
        return sequence.scores.to_numpy()

    monkeypatch.setattr(model.model, "forward", counting)
    spans = {"spans": "tokens"} if method == "context_cite" else {}
    free = explained(**spans)
    assert max(rows) > 2
    bound = explained(perturbations_per_eval=2, **spans)
    assert max(rows) == 2
    np.testing.assert_allclose(bound, free, rtol=1e-9, atol=1e-12)


TWO = (
    ["the nurse said that", "water boils at"],
    ["the nurse said that she was", "water boils at one"],
)


def offsets(text: str, words: Sequence[str]) -> list[tuple[int, int]]:
    return [(text.index(word), text.index(word) + len(word)) for word in words]


@pytest.mark.parametrize("batch_size", [1, 2])
@pytest.mark.parametrize("method", ["feature_ablation", "kernel_shap", "lime", "context_cite"])
def test_several_texts_have_spans_of_their_own(method: str, batch_size: int) -> None:
    model = loaded("Llama")
    spans = [offsets(TWO[0][0], ["nurse said"]), offsets(TWO[0][1], ["boils", "water"])]
    together = model.attribute(
        *TWO, method, spans=spans, batch_size=batch_size, show_progress=False, **quick(method)
    )
    for text, target, own, sequence in zip(*TWO, spans, together, strict=True):
        (alone,) = model.attribute(
            text, target, method, spans=own, show_progress=False, **quick(method)
        )
        expected = alone.scores.to_numpy()
        np.testing.assert_allclose(sequence.scores.to_numpy(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ([[(0, 3)]], r"^spans: lists for 1 texts given for 2 input_texts"),
        ([[(0, 3)]] * 3, r"^spans: lists for 3 texts given for 2 input_texts"),
        ([[(0, 3)], []], r"^spans: text 1 has an empty list"),
        ([[(0, 3)], [(2, 4), (3, 5)]], r"^spans of text 1: \(2, 4\) and \(3, 5\) overlap"),
    ],
)
def test_spans_that_do_not_fit_the_texts_are_refused(
    never_run: iw.AttributionModel, spans: object, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        never_run.attribute(*TWO, "feature_ablation", spans=spans, show_progress=False)


@pytest.mark.parametrize(
    ("spans", "refine"),
    [("words", "sentences"), ("sentences", "documents"), ("lines", "lines"), ("tokens", "tokens")],
)
def test_spans_are_refined_by_smaller_ones(spans: str, refine: str) -> None:
    with pytest.raises(ValueError, match=rf"^refine: '{refine}' given, but spans='{spans}' are no"):
        make_method("feature_ablation", {"spans": spans, "refine": refine})
