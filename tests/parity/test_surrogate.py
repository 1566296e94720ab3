"""Surrogates equal a fit for every step to forward passes on its own prefix."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import scipy
import torch
from captum._utils.models.linear_model import (
    SkLearnLasso,
    SkLearnLinearModel,
    SkLearnRidge,
)
from sklearn.linear_model import Lasso
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

import inseq_widget as iw
from inseq_widget.methods.base import Job, make_method
from inseq_widget.methods.context_cite import log_odds
from inseq_widget.results import FeatureAttributionOutput, FeatureAttributionSequenceOutput
from inseq_widget.scores import StepFunctionArgs
from inseq_widget.scores.step_functions import probability
from tests.parity.coalition_game import (
    StepGame,
    captums,
    column_of,
    games,
    small,
    stacks_of,
    values_of,
)
from tests.parity.stepwise import TOLERANCE, largest

SHORT = {
    "opt": ("Two words", "Two words become three and"),
    "bart": ("Good morning", "Bom dia"),
    "t5": ("Good morning", "Bom dia"),
}
SENTENCES = "One is here. Two came. Three left!"
LONGER = {
    "opt": ("Good morning to all", "Good morning to all of you and"),
    "bart": ("Good morning to all of you", "Bom"),
}
CITED = {"opt": (SENTENCES, SENTENCES + " And two"), "bart": (SENTENCES, "Um dois")}
CASES = [("opt", False), ("bart", False), ("bart", True), ("t5", True)]
Loaded = Callable[[str], iw.AttributionModel]


@pytest.fixture(scope="module")
def model_of() -> Loaded:
    """Load tiny models in double precision, each once."""
    return functools.cache(small)


def explain(
    model: iw.AttributionModel, name: str, method: str, **keywords: object
) -> FeatureAttributionSequenceOutput:
    texts = {"context_cite": CITED, "kernel_shap": LONGER}.get(method, SHORT)[name]
    (sequence,) = model.attribute(*texts, method, show_progress=False, **keywords)
    return sequence


def kept_rows(n_samples: int, n_players: int, keep_prob: float, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n_samples, n_players, generator=generator) < keep_prob


def with_all(rows: Tensor) -> Tensor:
    return torch.cat([torch.ones_like(rows[:1]), rows])


def lime_weights(seen: np.ndarray, width: float = 0.25) -> np.ndarray:
    """Weigh rows by the exponential of their cosine distance to a row of ones."""
    ones = np.ones(seen.shape[1])
    norms = np.maximum(np.linalg.norm(seen, axis=1) * np.linalg.norm(ones), 1e-300)
    distance = 1 - seen @ ones / norms
    return np.exp(-(distance**2) / (2 * width**2))


@pytest.mark.parametrize(("name", "attribute_target"), CASES)
def test_lime_equals_a_ridge_regression_of_every_step(
    model_of: Loaded, name: str, attribute_target: bool
) -> None:
    model = model_of(name)
    sequence = explain(
        model, name, "lime", n_samples=20, seed=5, alpha=0.5, attribute_target=attribute_target
    )
    for game in games(model, sequence, stacks_of(sequence, attribute_target)):
        rows = with_all(kept_rows(20, len(game.numbers), 0.7, seed=5))
        values = values_of(game, rows)
        seen = game.seen(rows).double().numpy()
        weights = lime_weights(seen)
        # The penalised least squares with an intercept that no penalty falls on.
        design = np.c_[seen, np.ones(len(seen))]
        penalty = 0.5 * np.diag([*np.ones(seen.shape[1]), 0.0])
        gram = design.T @ (weights[:, None] * design)
        solution = np.linalg.solve(gram + penalty, design.T @ (weights * values))
        actual, others = column_of(sequence, game)
        assert np.abs(actual - solution[:-1]).max() <= TOLERANCE * largest(sequence)
        assert (np.isnan(others) | (others == 0)).all()
        residual = weights @ (values - design @ solution) ** 2
        spread = weights @ (values - np.average(values, weights=weights)) ** 2
        r2 = float(sequence.step_scores["surrogate_r2"][game.column])
        assert r2 == pytest.approx(1 - residual / spread, rel=1e-7)


@pytest.mark.parametrize(
    ("keywords", "captum_model"),
    [
        ({"alpha": 2.0, "kernel_width": 0.5}, SkLearnRidge(alpha=2.0)),
        (
            {"surrogate": "lasso", "alpha": 1e-6, "kernel_width": 0.5},
            SkLearnLasso(alpha=1e-2, tol=1e-6),
        ),
    ],
)
def test_lime_equals_captums_with_the_same_samples(
    model_of: Loaded, keywords: dict[str, object], captum_model: SkLearnLinearModel
) -> None:
    model = model_of("opt")
    sequence = explain(model, "opt", "lime", n_samples=30, mask_prob=0.4, **keywords)
    assert sequence.scores.to_numpy()[0, -1] != 0
    for game in games(model, sequence, ("target",)):
        rows = game.seen(with_all(kept_rows(30, len(game.numbers), 0.6))).double()

        def likeness(row: Tensor) -> float:
            return float(lime_weights(row.numpy(), 0.5)[0])

        # In units in which the solver is precise.
        expected = captums(game, rows, captum_model, likeness, 1e4) / 1e4
        actual, _ = column_of(sequence, game)
        # captum keeps the coefficients in single precision.
        assert np.abs(actual - expected).max() <= 1e-6 * largest(sequence)


def sentences_of(sequence: FeatureAttributionSequenceOutput) -> list[list[tuple[str, int]]]:
    """Group the given tokens by the sentences' last characters; special ones left out."""
    stack = "target" if sequence.architecture == "decoder_only" else "source"
    groups: list[list[tuple[str, int]]] = [[]]
    for token in sequence.source:
        if token.special:
            continue
        groups[-1].append((stack, token.position))
        if token.text[-1] in ".!":
            groups.append([])
    return groups[:-1]


def log_odds_of(game: StepGame, rows: Tensor) -> np.ndarray:
    return scipy.special.logit(values_of(game, rows))


def cited(rows: np.ndarray, values: np.ndarray, alpha: float) -> np.ndarray:
    """Fit a lasso to standardised features, and undo the standardisation."""
    fit = make_pipeline(StandardScaler(), Lasso(alpha=alpha, tol=1e-12, max_iter=100_000))
    fit.fit(rows, values)
    scale: np.ndarray = fit[0].scale_
    coefficients: np.ndarray = fit[1].coef_
    return coefficients / scale


@pytest.mark.parametrize(("name", "attribute_target"), [("opt", False), ("bart", True)])
def test_context_cite_equals_a_lasso_of_every_step(
    model_of: Loaded, name: str, attribute_target: bool
) -> None:
    model = model_of(name)
    sequence = explain(
        model, name, "context_cite", n_samples=24, seed=2, attribute_target=attribute_target
    )
    groups = sentences_of(sequence)
    assert len(groups) == 3
    rows = kept_rows(24, 3, 0.5, seed=2)
    scores = sequence.scores.to_numpy()
    inside = [place for group in groups for _, place in group]
    assert np.isnan(np.delete(scores, inside, axis=0)).all()
    stacks = stacks_of(sequence, attribute_target)
    for game in games(model, sequence, stacks, groups):
        expected = cited(rows.double().numpy(), log_odds_of(game, rows), 0.01)
        for group, value in zip(groups, expected, strict=True):
            places = [place for _, place in group]
            difference = np.abs(scores[places, game.column] - value).max()
            assert difference <= TOLERANCE * largest(sequence)


def test_context_cite_explains_a_whole_response_as_the_paper_does(model_of: Loaded) -> None:
    model = model_of("opt")
    sequence = explain(model, "opt", "context_cite", n_samples=24, whole_response=True)
    groups = sentences_of(sequence)
    rows = kept_rows(24, 3, 0.5)
    by_step = list(games(model, sequence, ("target",), groups))
    tokens = np.array([values_of(game, rows) for game in by_step])
    joint = tokens.prod(0)
    expected = cited(rows.double().numpy(), np.log(joint / (1 - joint)) / len(by_step), 0.01) * len(
        by_step
    )
    scores = sequence.scores.to_numpy()
    for group, value in zip(groups, expected, strict=True):
        for _, place in group:
            assert np.abs(scores[place] - value).max() <= TOLERANCE * largest(sequence)


@pytest.mark.parametrize(
    "given",
    [
        {"attributed_fn_args": {"logprob": False}},
        {"attributed_fn": functools.partial(probability, logprob=False)},
        {"attributed_fn": "probability", "logprob": False},
    ],
)
def test_the_probability_is_known_whatever_its_keywords_are_given_with(
    model_of: Loaded, given: dict[str, object]
) -> None:
    expected = explain(model_of("opt"), "opt", "context_cite", n_samples=12).scores
    actual = explain(model_of("opt"), "opt", "context_cite", n_samples=12, **given).scores
    np.testing.assert_array_equal(actual, expected)


def test_the_logarithm_of_the_probability_is_explained_as_it_is(model_of: Loaded) -> None:
    def log_probability(args: StepFunctionArgs) -> Tensor:
        return probability(args, logprob=True)

    own, other = (
        explain(model_of("opt"), "opt", "context_cite", n_samples=12, **keywords).scores
        for keywords in (
            {"attributed_fn_args": {"logprob": True}},
            {"attributed_fn": log_probability},
        )
    )
    np.testing.assert_array_equal(own, other)


def test_context_cite_takes_another_function_as_it_is(model_of: Loaded) -> None:
    model = model_of("opt")
    sequence = explain(model, "opt", "context_cite", n_samples=12, attributed_fn="logit")
    groups = sentences_of(sequence)
    rows = kept_rows(12, 3, 0.5)
    for game in games(model, sequence, ("target",), groups):
        target = game.step.model.target
        values = np.array([float(game.logits(game.of_row(row))[target]) for row in rows])
        expected = cited(rows.double().numpy(), values, 0.01)
        actual = sequence.scores.to_numpy()[[group[0][1] for group in groups], game.column]
        assert np.abs(actual - expected).max() <= TOLERANCE * largest(sequence)


def test_a_large_penalty_leaves_no_sentence(model_of: Loaded) -> None:
    sequence = explain(model_of("opt"), "opt", "context_cite", n_samples=12, alpha=1e3)
    inside = sequence.scores.to_numpy()[[place for g in sentences_of(sequence) for _, place in g]]
    np.testing.assert_array_equal(inside, 0.0)
    np.testing.assert_allclose(sequence.step_scores["surrogate_r2"], 0.0, atol=1e-12)


def test_log_odds_stay_exact_where_the_probability_is_one() -> None:
    logits = torch.tensor([[60.0, 0.0, 0.0], [0.5, -1.0, 2.0]], dtype=torch.float64)
    args = StepFunctionArgs(logits, torch.tensor([0, 1]))
    probability = logits[1].softmax(-1)[1]
    expected = torch.stack(
        [60 - torch.tensor(2.0, dtype=torch.float64).log(), torch.logit(probability)]
    )
    torch.testing.assert_close(log_odds(args), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("method", ["lime", "kernel_shap", "context_cite"])
def test_every_sample_takes_one_run_for_all_steps(model_of: Loaded, method: str) -> None:
    model = model_of("t5")
    rows: list[int] = []

    def count(_: object, __: object, kwargs: dict[str, Tensor]) -> None:
        rows.append(len(kwargs["decoder_input_ids"]))

    texts = (SENTENCES, "Um dois tres quatro cinco seis")
    hook = model.model.register_forward_pre_hook(count, with_kwargs=True)
    model.attribute(*texts, method, n_samples=20, show_progress=False)
    hook.remove()
    trace_clean_and_empty_runs = 4
    assert sum(rows) <= 20 + trace_clean_and_empty_runs


@pytest.mark.parametrize("method", ["lime", "kernel_shap", "context_cite"])
@pytest.mark.parametrize("name", ["opt", "bart"])
def test_a_batch_gives_each_text_what_it_gets_alone(
    model_of: Loaded, method: str, name: str
) -> None:
    model = model_of(name)
    text, target = CITED[name]
    texts, targets = [text, text], [target, target + " and more of it"]
    options = {"n_samples": 40, "attribute_target": True, "show_progress": False}
    together: FeatureAttributionOutput = model.attribute(texts, targets, method, **options)
    for one, forced, sequence in zip(texts, targets, together, strict=True):
        (alone,) = model.attribute(one, forced, method, **options)
        difference = np.nanmax(np.abs(sequence.scores.to_numpy() - alone.scores.to_numpy()))
        assert difference <= TOLERANCE * largest(alone)


@pytest.mark.parametrize("method", ["lime", "kernel_shap", "context_cite"])
def test_a_seed_fixes_the_samples_and_leaves_the_global_state_alone(
    model_of: Loaded, method: str
) -> None:
    model = model_of("opt")
    state = torch.get_rng_state()
    first, again, other = (
        explain(model, "opt", method, n_samples=20, seed=seed).scores for seed in (0, 0, 1)
    )
    assert torch.equal(state, torch.get_rng_state())
    np.testing.assert_array_equal(first, again)
    assert np.nanmax(np.abs(first - other)) > 1e-3 * np.nanmax(np.abs(first))


METHODS = ["lime", "kernel_shap", "context_cite", "shapley_value_sampling"]


@pytest.mark.parametrize("method", METHODS)
def test_progress_adds_up_to_the_whole_work(model_of: Loaded, method: str) -> None:
    traceable = model_of("opt")._traceable
    examples = traceable.examples([SENTENCES], [SENTENCES + " And two"], {}, (None, None), None)
    shares: list[float] = []
    function = probability
    job = Job(traceable, traceable.trace(examples), function, False, False, shares.append)
    make_method(method, {"n_samples": 20}).attribute(job)
    assert sum(shares) == pytest.approx(1.0)


@pytest.mark.parametrize("method", ["lime", "kernel_shap", "shapley_value_sampling"])
def test_a_token_that_is_its_own_baseline_scores_zero(model_of: Loaded, method: str) -> None:
    sequence = explain(model_of("bart"), "bart", method, n_samples=20, attribute_target=True)
    scores = sequence.scores.to_numpy()
    n_source = len(sequence.source)
    assert sequence.source[-1].id == 2  # end of sequence
    np.testing.assert_array_equal(scores[n_source - 1], 0.0)
    np.testing.assert_array_equal(scores[n_source], 0.0)  # the decoder's start token
    assert (scores[: n_source - 1] != 0).all()
    replaced = explain(
        model_of("bart"), "bart", method, n_samples=20, include_eos_baseline=True
    ).scores.to_numpy()
    assert (replaced[n_source - 1] != 0).all()


def test_texts_without_sentences_have_no_scores(model_of: Loaded) -> None:
    model = model_of("bart")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (sequence,) = model.attribute("</s>", "Bom dia", "context_cite", show_progress=False)
    assert np.isnan(sequence.scores).all()
    assert sequence.step_scores["surrogate_r2"].isnan().all()


@pytest.mark.parametrize(
    ("method", "keywords", "named"),
    [
        ("lime", {"n_samples": 0}, "n_samples"),
        ("lime", {"perturbations_per_eval": 0}, "perturbations_per_eval"),
        ("lime", {"mask_prob": 1}, "mask_prob"),
        ("lime", {"surrogate": "tree"}, "surrogate"),
        ("lime", {"alpha": -1.0}, "alpha"),
        ("lime", {"surrogate": "lasso", "alpha": 0}, "alpha"),
        ("lime", {"kernel_width": 0}, "kernel_width"),
        ("lime", {"spans": "letters"}, "spans"),
        ("lime", {"baseline": "no such token"}, "baseline"),
        ("kernel_shap", {"n_samples": 1.5}, "n_samples"),
        ("kernel_shap", {"seed": -1}, "seed"),
        ("context_cite", {"n_samples": 1}, "n_samples"),
        ("context_cite", {"keep_prob": 0.0}, "keep_prob"),
        ("context_cite", {"alpha": 0.0}, "alpha"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(
    model_of: Loaded, method: str, keywords: dict[str, object], named: str
) -> None:
    with pytest.raises(ValueError, match=f"^{named}"):
        explain(model_of("opt"), "opt", method, **keywords)
