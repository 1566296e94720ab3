"""Every step function reports Inseq's numbers, or, where those are wrong, the definition's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import inseq_widget as iw
from tests.inseq.comparing import assert_close
from tests.inseq.conftest import Both
from tests.inseq.contrasts import contrast_named, contrasts
from tests.inseq.texts import ALL, SOURCE, TARGET, TRANSLATING, job
from tests.inseq.tolerances import DOUBLE, tolerance

# mc_dropout_prob_avg draws random numbers: tests/parity/test_step_functions.py has its definition.
PLAIN = ["logit", "probability", "entropy", "top_p_size"]
CONTRASTIVE = [
    "contrast_logits",
    "contrast_prob",
    "contrast_logits_diff",
    "contrast_prob_diff",
    "kl_divergence",
    "in_context_pvi",
]
STEP_SCORES = {"scores": "out[0].step_scores"}
Compare = Callable[..., None]

CONTRASTS = [(model, contrast.name) for model in ALL for contrast in contrasts(model)]


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("model", ALL)
def test_a_function_of_one_input(model: str, name: str, assert_equal: Compare) -> None:
    keywords = {"step_scores": [name], **({"top_p": 0.7} if name == "top_p_size" else {})}
    assert_equal(job(model, "dummy", keywords, views=STEP_SCORES), tolerance(model, "", name))


@pytest.mark.parametrize("model", ALL)
def test_probabilities_can_be_logarithms(model: str, assert_equal: Compare) -> None:
    keywords = {"step_scores": ["probability"], "logprob": True}
    assert_equal(job(model, "dummy", keywords, views=STEP_SCORES), tolerance(model, ""))


@pytest.mark.parametrize("name", CONTRASTIVE)
@pytest.mark.parametrize(("model", "contrast"), CONTRASTS)
def test_a_function_of_two_inputs(
    model: str, contrast: str, name: str, assert_equal: Compare
) -> None:
    keywords = {"step_scores": [name], **contrast_named(model, contrast).keywords}
    assert_equal(job(model, "dummy", keywords, views=STEP_SCORES), tolerance(model, "", name))


@pytest.mark.parametrize("name", ["contrast_prob", "contrast_prob_diff"])
@pytest.mark.parametrize("model", ALL)
def test_a_contrast_of_logarithms(model: str, name: str, assert_equal: Compare) -> None:
    contrast = contrast_named(model, "longer").keywords
    keywords = {"step_scores": [name], "logprob": True, **contrast}
    assert_equal(job(model, "dummy", keywords, views=STEP_SCORES), tolerance(model, ""))


@pytest.mark.parametrize("model", ALL)
def test_reported_beside_a_method(model: str, assert_equal: Compare) -> None:
    contrast = contrast_named(model, "longer").keywords
    keywords = {"step_scores": ["entropy", "contrast_prob_diff"], **contrast}
    views = {"scores": "out[0].step_scores", "method": "out[0].target_attributions"}
    assert_equal(job(model, "saliency", keywords, views=views), tolerance(model, "", "entropy"))


@pytest.mark.parametrize("model", ALL)
def test_the_cross_entropy_and_its_exponential(model: str, both: Both) -> None:
    keywords = {"step_scores": ["crossentropy", "perplexity"]}
    own, peer = both(job(model, "dummy", keywords, views=STEP_SCORES))
    # Inseq's functions of a single text get a target that has lost its dimension, and fail.
    assert peer.views["scores"].kind == "ValueError"
    _, peer = both(job(model, "dummy", {"step_scores": ["probability"]}, views=STEP_SCORES))
    probability = peer.views["scores"]["probability"]
    limit = tolerance(model, "")
    assert_close(own.views["scores"]["crossentropy"], -np.log(probability), limit, "in nats")
    assert_close(own.views["scores"]["perplexity"], 1 / probability, limit, "its exponential")


@pytest.mark.parametrize("model", TRANSLATING)
def test_perplexity_has_one_base(model: str, both: Both) -> None:
    keywords = {"step_scores": ["crossentropy", "perplexity"]}
    asked = job(model, "dummy", keywords, views=STEP_SCORES)
    own, peer = both(replace(asked, texts=[SOURCE] * 2, targets=[TARGET] * 2))
    ours, theirs = own.views["scores"], peer.views["scores"]
    limit = tolerance(model, "")
    assert_close(ours["crossentropy"], theirs["crossentropy"], limit, "in nats")
    assert_close(theirs["perplexity"], 2 ** theirs["crossentropy"], limit, "Inseq's")
    assert_close(ours["perplexity"], np.exp(theirs["crossentropy"]), limit, "the definition")


@pytest.mark.parametrize(("model", "contrast"), CONTRASTS)
def test_information_from_context_is_positive_where_it_helps(
    model: str, contrast: str, both: Both
) -> None:
    names = ["pcxmi", "probability", "contrast_prob"]
    keywords = {"step_scores": names, **contrast_named(model, contrast).keywords}
    own, peer = both(job(model, "dummy", keywords, views=STEP_SCORES))
    ours, theirs = own.views["scores"], peer.views["scores"]
    helped = theirs["probability"] > theirs["contrast_prob"]
    assert np.array_equal(ours["pcxmi"] > 0, helped)
    assert np.array_equal(theirs["pcxmi"] < 0, helped)
    limit = tolerance(model, "")
    defined = np.log2(theirs["probability"] / theirs["contrast_prob"])
    assert_close(ours["pcxmi"], defined, limit, "the definition")
    assert_close(ours["pcxmi"], -theirs["pcxmi"], limit, "but for the sign")


@pytest.mark.parametrize("kept", [{"top_k": 3}, {"top_p": 0.6}, {"top_p": 0.6, "top_k": 5}])
def test_a_divergence_between_some_tokens_has_a_value(kept: dict[str, float], both: Both) -> None:
    contrast = contrast_named("gpt2", "longer").keywords
    keywords = {"step_scores": ["kl_divergence"], **kept, **contrast}
    own, peer = both(job("gpt2", "dummy", keywords, views=STEP_SCORES))
    assert np.isnan(peer.views["scores"]["kl_divergence"]).all()
    assert (own.views["scores"]["kl_divergence"] >= 0).all()


@pytest.mark.parametrize("method", ["attention", "value_zeroing"])
def test_methods_of_one_run_have_step_scores_too(method: str, both: Both) -> None:
    keywords = {"step_scores": ["probability", "entropy"]}
    own, peer = both(job("t5", method, keywords, views=STEP_SCORES))
    assert peer.views["scores"].kind == "ValueError"
    reported, _ = both(job("t5", "dummy", keywords, views=STEP_SCORES))
    for name in keywords["step_scores"]:
        assert_close(own.views["scores"][name], reported.views["scores"][name], DOUBLE, name)


def test_dropout_is_off_again_afterwards(both: Both) -> None:
    keywords = {"step_scores": ["mc_dropout_prob_avg"], "n_mcd_steps": 3}
    own, peer = both(job("bart", "dummy", keywords, views=STEP_SCORES))
    assert peer.training
    assert not own.training
    again, _ = both(job("bart", "dummy", keywords, views=STEP_SCORES))
    name = "mc_dropout_prob_avg"
    assert np.array_equal(own.views["scores"][name], again.views["scores"][name])
    _, random = both(job("bart", "dummy", keywords, views=STEP_SCORES))
    assert not np.array_equal(peer.views["scores"][name], random.views["scores"][name])


def test_both_have_the_same_step_functions() -> None:
    # Those of Inseq 0.7.1, as its documentation lists them.
    assert set(iw.list_step_functions()) >= {
        *PLAIN,
        *CONTRASTIVE,
        "crossentropy",
        "perplexity",
        "pcxmi",
        "mc_dropout_prob_avg",
    }
