"""What docs/differences.md says of Inseq is so, seen by running it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.inseq.comparing import assert_close
from tests.inseq.conftest import Both, Load
from tests.inseq.contrasts import CAUSAL_TARGETS, TRANSLATED_TARGETS, contrast_named
from tests.inseq.texts import FIRST_LAYER, FORCED, PROMPT, SOURCE, TARGET, job
from tests.inseq.tolerances import DOUBLE, tolerance
from tests.peer.job import Done, Failure
from tests.peer.process import Peer
from tests.peer.script import Script, ran

TWO_SOURCES = [SOURCE, "The bread rises slowly in the garden."]
TWO_TARGETS = [TARGET, "La mattina il mugnaio apre la porta."]
STEP_SCORES = {"scores": "[sequence.step_scores for sequence in out]"}


def only(done: Done) -> Any:
    """Return what the only view of a job came to."""
    (value,) = done.views.values()
    return value


def failed(done: Done) -> str:
    """Return the kind of error that a job came to."""
    value = only(done)
    assert isinstance(value, Failure), value
    return value.kind


# Methods


@pytest.mark.parametrize("method", ["layer_integrated_gradients", "layer_deeplift"])
@pytest.mark.parametrize("model", ["llama", "gpt2", "bart"])
def test_baselines_do_not_reach_the_layers_of_inseqs_models(
    model: str, method: str, both: Both
) -> None:
    own, peer = both(job(model, method, loading={"target_layer": FIRST_LAYER[model]}))
    for side in ("source_attributions", "target_attributions"):
        ours, theirs = getattr(only(own)[0], side), getattr(only(peer)[0], side)
        assert theirs is None or not np.nan_to_num(theirs).any()
        assert ours is None or np.nan_to_num(ours).any()


@pytest.mark.parametrize(
    ("model", "kind"), [("llama", "TypeError"), ("gpt2", "ValueError"), ("bart", "TypeError")]
)
def test_inseqs_value_zeroing_fails_on_layers_that_give_a_tensor(
    model: str, kind: str, both: Both
) -> None:
    own, peer = both(job(model, "value_zeroing"))
    assert failed(peer) == kind
    assert not isinstance(only(own), Failure)


def test_inseqs_distances_between_values_do_not_fit(both: Both) -> None:
    own, peer = both(job("t5", "value_zeroing", {"similarity_metric": "euclidean"}))
    assert failed(peer) == "RuntimeError"
    assert not isinstance(only(own), Failure)


def test_inseq_leaves_the_model_broken_behind_a_method_that_fails(
    inseq: Peer, folders: dict[str, str]
) -> None:
    source = (
        "import inseq\n"
        "model = inseq.load_model('llama', 'saliency')\n"
        "works = model.attribute('The nurse', 'The nurse said', show_progress=False)\n"
        "try:\n"
        "    model.attribute('The nurse', 'The nurse said', method='value_zeroing')\n"
        "except TypeError:\n"
        "    model.attribute('The nurse', 'The nurse said', method='saliency')\n"
    )
    ran = inseq.ask(Script(source, "inseq", Path(folders["llama"]).parent))
    assert ran.failed is not None
    assert ran.failed.kind == "TypeError"
    assert len(ran.attributed) == 1


@pytest.mark.parametrize(
    ("method", "kind"),
    [("sequential_integrated_gradients", "AssertionError"), ("lime", "NotImplementedError")],
)
def test_methods_that_cannot_explain_the_target_prefix_in_inseq(
    method: str, kind: str, both: Both
) -> None:
    own, peer = both(job("bart", method, {"attribute_target": True}))
    assert failed(peer) == kind
    assert not isinstance(only(own), Failure)


def test_inseqs_lime_scores_features_of_tokens_that_it_masks_as_a_whole(both: Both) -> None:
    own, peer = both(job("gpt2", "lime", {"n_samples": 20}))
    assert only(own)[0].target_attributions.ndim == 2
    theirs = only(peer)[0].target_attributions
    assert theirs.ndim == 3
    assert np.ptp(theirs[0], axis=-1).max() > 0


def test_inseqs_reagent_needs_what_it_does_not_declare(both: Both) -> None:
    own, peer = both(job("gpt2", "reagent", {}, own={"max_probe_steps": 2}))
    assert failed(peer) == "ImportError"
    assert not isinstance(only(own), Failure)


PROBES = {"max_probe_steps": 50, "num_probes": 8, "stopping_condition_top_k": 50}


def test_inseqs_reagent_cannot_do_without_the_target_prefix(both: Both) -> None:
    own, peer = both(job("bart", "reagent", loading=PROBES, repaired=True))
    assert failed(peer) == "RuntimeError"
    assert not isinstance(only(own), Failure)
    own, peer = both(
        job("bart", "reagent", {"attribute_target": True}, loading=PROBES, repaired=True)
    )
    ours, theirs = only(own)[0], only(peer)[0]
    # With it, every feature of a token has the token's score; shares of a step on both sides.
    assert np.ptp(theirs.source_attributions, axis=-1).max() == 0
    assert ours.source_attributions.shape == theirs.source_attributions.shape[:2]
    for scores in (ours, theirs):
        sides = (scores.source_attributions, scores.target_attributions)
        sums = sum(np.nansum(side.reshape(*side.shape[:2], -1)[..., 0], 0) for side in sides)
        assert np.allclose(sums, 1, atol=1e-6)


def test_inseqs_reagent_is_missing_where_no_probe_gets_there(both: Both) -> None:
    loading = {"max_probe_steps": 1, "num_probes": 2, "stopping_condition_top_k": 1}
    own, peer = both(job("llama", "reagent", loading=loading, repaired=True))
    theirs, ours = only(peer)[0].target_attributions, only(own)[0].target_attributions
    assert np.isnan(theirs[0]).any()
    assert not np.isnan(ours[0]).any()


def test_inseqs_number_of_neighbours_cannot_be_chosen(both: Both) -> None:
    keywords = {"n_steps": 4, "n_neighbors": 2}
    own, peer = both(job("gpt2", "discretized_integrated_gradients", keywords))
    default, inseq_default = both(job("gpt2", "discretized_integrated_gradients", {"n_steps": 4}))
    ours, theirs, before, inseq_before = (
        only(side)[0].target_attributions for side in (own, peer, default, inseq_default)
    )
    assert np.nanmax(np.abs(theirs - inseq_before)) == 0
    assert np.nanmax(np.abs(ours - before)) > 0


def test_a_special_token_walks_a_straight_line_to_another_baseline(both: Both) -> None:
    asked = job("llama", "discretized_integrated_gradients", {"n_steps": 5})
    own, peer = both(asked)
    apart = np.abs(only(own)[0].target_attributions - only(peer)[0].target_attributions)
    assert np.nanmax(apart) > 0.01 * np.nanmax(np.abs(only(peer)[0].target_attributions))
    # Without a point in between, both go from the baseline to the token at once.
    own, peer = both(replace(asked, keywords={"n_steps": 2}))
    limit = tolerance("llama", asked.method)
    ours, theirs = (only(side)[0].target_attributions for side in (own, peer))
    assert_close(ours, theirs, limit, "two points")


def test_inseq_scales_what_a_decoder_scales_itself(
    both: Both, models: Load, folders: dict[str, str]
) -> None:
    loaded = models(folders["marian"], "float64")
    source = loaded.tokenizer(SOURCE, return_tensors="pt")["input_ids"]
    target = [loaded.model.config.decoder_start_token_id, *loaded.tokenizer(TARGET)["input_ids"]]
    with torch.no_grad():
        logits = loaded.model(input_ids=source, decoder_input_ids=torch.tensor([target])).logits
    shares = logits[0, :-1].softmax(-1).gather(-1, torch.tensor(target[1:])[:, None])[:, 0].numpy()
    asked = job("marian", "dummy", {"step_scores": ["probability"]}, views=STEP_SCORES)
    own, peer = both(asked)
    assert_close(only(own)[0]["probability"], shares, DOUBLE, "of the model")
    apart = np.abs(only(peer)[0]["probability"] - shares)
    assert apart.max() > 0.01 * shares.max()


# Texts


def test_padding_shifts_the_positions_of_inseqs_texts(both: Both) -> None:
    keywords = {
        "step_scores": ["probability"],
        "generation_args": {"max_new_tokens": 3, "do_sample": False},
    }
    views = {"texts": "out.info['generated_texts']", "scores": STEP_SCORES["scores"]}
    prompts = ["The nurse said that", "The bread"]
    asked = replace(job("gpt2", "saliency", keywords, views=views), texts=prompts, targets=None)
    _, peer = both(asked)
    text = peer.views["texts"][1]
    forced = {"step_scores": ["probability"]}
    alone = replace(asked, keywords=forced, texts=prompts[1], targets=text)
    own, inseq_alone = both(alone)
    together = peer.views["scores"][1]["probability"]
    by_itself = inseq_alone.views["scores"][0]["probability"]
    n_steps = min(len(together), len(by_itself))
    apart = np.abs(together[-n_steps:] - by_itself[-n_steps:])
    assert apart.max() > 0.01 * by_itself.max()
    assert_close(own.views["scores"][0]["probability"], by_itself, DOUBLE, "alone")


def test_inseqs_target_prefix_stays_for_the_next_call(inseq: Peer, folders: dict[str, str]) -> None:
    source = (
        "import inseq\n"
        "model = inseq.load_model('bart', 'dummy')\n"
        "first = model.attribute('The nurse', show_progress=False)\n"
        "model.attribute('The nurse', 'La porta', generate_from_target_prefix=True,"
        " show_progress=False)\n"
        "again = model.attribute('The nurse', show_progress=False)\n"
    )
    folder = Path(folders["bart"]).parent
    for library, changed in (("inseq", True), ("inseq_widget", False)):
        script = source.replace("import inseq\n", f"import {library} as inseq\n")
        asked = Script(script, library, folder, ("first", "again"))
        found = inseq.ask(asked) if library == "inseq" else ran(asked)
        assert found.failed is None, found.failed
        targets = [found.results[name][0].target for name in asked.results]
        assert (targets[0] != targets[1]) == changed


# Step functions and contrast


@pytest.mark.parametrize("method", ["integrated_gradients", "gradient_shap", "deeplift"])
def test_inseqs_contrasts_fail_where_a_text_runs_several_times(method: str, both: Both) -> None:
    contrast = contrast_named("gpt2", "longer").keywords
    own, peer = both(job("gpt2", method, {"attributed_fn": "contrast_prob_diff", **contrast}))
    assert failed(peer) == "ValueError"
    assert not isinstance(only(own), Failure)


@pytest.mark.parametrize("name", ["contrast_prob_diff", "kl_divergence"])
def test_inseqs_contrasts_of_a_batch_fail(name: str, both: Both) -> None:
    targets = [TRANSLATED_TARGETS["longer"], "Non posso crederlo la mattina la porta apre."]
    asked = job("bart", "dummy", {"step_scores": [name], "contrast_targets": targets})
    asked = replace(asked, texts=TWO_SOURCES, targets=TWO_TARGETS, views=STEP_SCORES)
    own, peer = both(asked)
    for number in range(2):
        alone, inseq_alone = both(
            replace(
                asked,
                texts=TWO_SOURCES[number],
                targets=TWO_TARGETS[number],
                keywords={"step_scores": [name], "contrast_targets": targets[number]},
            )
        )
        limit = tolerance("bart", "", name)
        assert_close(only(own)[number][name], only(inseq_alone)[0][name], limit, "alone")
        assert_close(only(own)[number][name], only(alone)[0][name], DOUBLE, "alone")
    assert isinstance(only(peer), Failure)


def test_a_token_without_a_counterpart_is_refused(both: Both) -> None:
    # Inseq takes the last contrastive token for it.
    keywords = {"step_scores": ["contrast_prob"], "contrast_targets": "Because she"}
    own, peer = both(job("gpt2", "dummy", keywords, views=STEP_SCORES))
    assert failed(own) == "ValueError"
    assert not isinstance(only(peer), Failure)


def test_the_contrast_is_no_part_of_a_token(both: Both) -> None:
    keywords = {"step_scores": ["contrast_prob"], "contrast_targets": CAUSAL_TARGETS["longer"]}
    own, peer = both(job("gpt2", "saliency", keywords))
    ours, theirs = only(own)[0].target, only(peer)[0].target
    changed = [one for one, other in zip(theirs, ours, strict=True) if one != other]
    assert changed
    assert all("→" in piece and number == -1 for piece, number in changed)
    assert not any("→" in piece for piece, _ in ours)


def test_the_size_of_a_nucleus_belongs_to_its_text(both: Both) -> None:
    keywords = {"step_scores": ["top_p_size"], "top_p": 0.5}
    asked = job("bart", "dummy", keywords, views=STEP_SCORES)
    together = replace(asked, texts=[SOURCE, SOURCE], targets=[TARGET, TARGET])
    own, peer = both(together)
    _, alone = both(asked)
    one = only(alone)[0]["top_p_size"]
    for number in range(2):
        assert np.array_equal(only(own)[number]["top_p_size"], one)
    # One number for the whole batch, which is too few for two texts.
    assert isinstance(only(peer), Failure)


def test_keywords_that_nothing_takes_are_an_error(both: Both) -> None:
    own, peer = both(job("gpt2", "saliency", {"n_stepps": 3}))
    assert failed(own) == "TypeError"
    assert not isinstance(only(peer), Failure)


def test_a_method_of_a_call_takes_its_keywords(both: Both) -> None:
    keywords = {"method": "layer_gradient_x_activation", "target_layer": FIRST_LAYER["gpt2"]}
    own, peer = both(job("gpt2", "saliency", keywords))
    _, told = both(
        job("gpt2", "layer_gradient_x_activation", loading={"target_layer": FIRST_LAYER["gpt2"]})
    )
    right = only(told)[0].target_attributions
    assert_close(only(own)[0].target_attributions, right, DOUBLE, "of the layer")
    # Inseq takes the layer when a model is loaded, and here warns and explains the embeddings.
    assert np.nanmax(np.abs(only(peer)[0].target_attributions - right)) > 0


# Results


def test_a_difference_has_the_sign_that_it_is_written_with(both: Both) -> None:
    texts = [PROMPT, PROMPT]
    targets = [FORCED, "The nurse said that the was so tired."]
    views = {"difference": "out[0] - out[1]", "first": "out[0]", "second": "out[1]"}
    own, peer = both(replace(job("llama", "occlusion", views=views), texts=texts, targets=targets))
    for side, sign in ((own, 1), (peer, -1)):
        first, second, difference = (
            side.views[name][0].target_attributions for name in ("first", "second", "difference")
        )
        assert_close(difference, sign * (first - second), DOUBLE, "difference")


def test_inseqs_default_functions_depend_on_what_was_attributed_before(
    inseq: Peer, folders: dict[str, str]
) -> None:
    source = (
        "import inseq\n"
        "model = inseq.load_model('llama', 'attention')\n"
        "given = ('The nurse', 'The nurse said that')\n"
        "out = model.attribute(*given, show_progress=False)\n"
        "options = {'normalize': False, 'do_post_aggregation_checks': False}\n"
        "heads = out.aggregate('scores', **options)[0].target_attributions\n"
        "model.attribute(*given, method='saliency', show_progress=False)\n"
        "again = out.aggregate('scores', **options)[0].target_attributions\n"
        "raw = out[0].target_attributions\n"
    )
    folder = Path(folders["llama"]).parent
    theirs = inseq.ask(Script(source, "inseq", folder, ("heads", "again", "raw"))).results
    raw = theirs["raw"]
    assert_close(theirs["heads"], raw.mean(-1), 1e-6, "the mean at first")
    assert_close(theirs["again"], np.linalg.norm(raw, axis=-1), 1e-6, "then the norm")


def test_rescaling_is_enough(both: Both) -> None:
    views = {"rescaled": "out.aggregate('sum', rescale=True)"}
    own, peer = both(job("gpt2", "input_x_gradient", views=views))
    assert failed(peer) == "ValueError"
    assert np.nanmax(np.abs(only(own)[0].target_attributions)) == 1


@pytest.mark.parametrize("model", ["llama", "gpt2"])
def test_the_last_word_is_joined_like_the_others(model: str, both: Both) -> None:
    marks = ("▁",) if model == "llama" else ("Ġ", "Ċ")
    views = {"words": f"out.aggregate('subwords', special_chars={marks!r})"}
    forced = "The nurse said that the mugnaio so"
    own, peer = both(replace(job(model, "saliency", views=views), targets=forced))
    ours, theirs = ([piece for piece, _ in only(side)[0].target] for side in (own, peer))
    assert ours[-1] == theirs[-2] + theirs[-1]
    assert ours[:-1] == theirs[:-2]


def test_steps_of_tiny_scores_are_shared_out_too(both: Both) -> None:
    views = {"shares": "out.aggregate('prod')[0].target_attributions"}
    own, peer = both(job("gpt2", "input_x_gradient", views=views))
    assert np.allclose(np.nansum(np.abs(only(own)), 0), 1)
    # Inseq divides by 1e-12 at least.
    assert (np.nansum(np.abs(only(peer)), 0) < 0.5).any()
