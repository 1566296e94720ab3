"""Step scores are what a run of each prefix gives, whatever the method and the batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

import inseq_widget as iw
from inseq_widget.results import FeatureAttributionSequenceOutput
from tests.parity.conftest import Case
from tests.parity.formulas import CONTRASTIVE, PLAIN, other_side, seen_at
from tests.parity.stepwise import bart, llama, opt, t5

TOLERANCE = 1e-9
EVERY = {**PLAIN, **CONTRASTIVE}
CAUSAL = Case(
    None,
    ["Two words", "Water boils at"],
    ["Two words become three and four and", "Water boils at one hundred"],
)
OTHER_CAUSAL = ["Many of the words become two and five and", "Ice melts at none again"]
TRANSLATION = Case(
    None, ["The nurse said that she was tired.", "Good morning"], ["A enfermeira disse", "Bom dia"]
)
OTHER_TARGETS, OTHER_SOURCES = ["O enfermeiro disse que", "Boa noite"], ["The doctor said.", "Hi"]
MAKERS = {"llama": llama, "opt": opt, "bart": bart, "t5": t5}


def case_of(name: str, tokenizer: PreTrainedTokenizerBase) -> Case:
    texts = CAUSAL if name in ("llama", "opt") else TRANSLATION
    model = iw.load_model(MAKERS[name](), "dummy", tokenizer=tokenizer)
    return Case(model, texts.texts, texts.targets)


@pytest.fixture(scope="module", params=["opt", "bart", "t5"])
def tiny_case(request: pytest.FixtureRequest, tokenizer: PreTrainedTokenizerBase) -> Case:
    return case_of(request.param, tokenizer)


@pytest.fixture(scope="module", params=["opt", "bart"])
def noisy_case(request: pytest.FixtureRequest, tokenizer: PreTrainedTokenizerBase) -> Case:
    """Give models whose configurations have dropout."""
    return case_of(request.param, tokenizer)


def contrast_of(case: Case, number: int | None = None) -> dict[str, object]:
    """Give the contrastive arguments of all texts, or of one."""
    seq2seq = case.model.model.config.is_encoder_decoder
    given = {"contrast_targets": OTHER_TARGETS if seq2seq else OTHER_CAUSAL}
    if seq2seq:
        given["contrast_sources"] = OTHER_SOURCES
    return given if number is None else {name: texts[number] for name, texts in given.items()}


def assert_close(actual: Tensor, expected: list[float], name: str) -> None:
    largest = max(map(abs, expected))
    assert actual.shape == (len(expected),), name
    difference = (actual - torch.tensor(expected, dtype=actual.dtype)).abs().max()
    assert float(difference) <= TOLERANCE * largest, name


def test_every_step_score_equals_a_run_of_each_prefix(tiny_case: Case) -> None:
    model = tiny_case.model
    output = tiny_case.attribute("dummy", step_scores=list(EVERY), **contrast_of(tiny_case))
    for number, sequence in enumerate(output):
        one = contrast_of(tiny_case, number)
        other = other_side(
            model.tokenizer, sequence, one["contrast_targets"], one.get("contrast_sources")
        )
        seen = [seen_at(model.model, sequence, n, other) for n in range(len(sequence.steps))]
        for name, formula in EVERY.items():
            expected = [float(formula(each)) for each in seen]
            assert len(set(expected)) > 1, name
            assert_close(sequence.step_scores[name], expected, name)


def test_another_source_alone_is_contrasted_at_the_same_targets(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    case = case_of("bart", tokenizer)
    output = case.attribute("dummy", step_scores=["kl_divergence"], contrast_sources=OTHER_SOURCES)
    for sequence, source, target in zip(output, OTHER_SOURCES, case.targets, strict=True):
        other = other_side(tokenizer, sequence, target, source)
        assert other.places == list(range(1, len(sequence.target)))
        expected = [
            float(CONTRASTIVE["kl_divergence"](seen_at(case.model.model, sequence, n, other)))
            for n in range(len(sequence.steps))
        ]
        assert_close(sequence.step_scores["kl_divergence"], expected, "kl_divergence")


def test_a_batch_gives_each_text_the_step_scores_that_it_gets_alone(tiny_case: Case) -> None:
    together = tiny_case.attribute("dummy", step_scores=list(EVERY), **contrast_of(tiny_case))
    for number, sequence in enumerate(together):
        (alone,) = tiny_case.model.attribute(
            tiny_case.texts[number],
            tiny_case.targets[number],
            step_scores=list(EVERY),
            show_progress=False,
            **contrast_of(tiny_case, number),
        )
        assert list(alone.step_scores) == list(sequence.step_scores)
        for name, values in alone.step_scores.items():
            assert_close(sequence.step_scores[name], values.tolist(), name)


@pytest.mark.parametrize("method", ["attention", "value_zeroing", "saliency", "occlusion"])
def test_the_method_does_not_matter_to_step_scores(
    method: str, tokenizer: PreTrainedTokenizerBase
) -> None:
    case = case_of("bart", tokenizer)
    contrast = contrast_of(case)
    expected = case.attribute("dummy", step_scores=list(EVERY), **contrast)
    actual = case.attribute(method, step_scores=list(EVERY), **contrast)
    for one, other in zip(actual, expected, strict=True):
        for name in EVERY:
            assert_close(one.step_scores[name], other.step_scores[name].tolist(), name)


def test_a_range_of_steps_has_those_step_scores_of_the_whole(tiny_case: Case) -> None:
    contrast = contrast_of(tiny_case, 0)
    arguments = (tiny_case.texts[0], tiny_case.targets[0], "dummy")
    keywords = {"step_scores": list(EVERY), "show_progress": False, **contrast}
    (whole,) = tiny_case.model.attribute(*arguments, **keywords)
    start = whole.attr_pos_start + 1
    (part,) = tiny_case.model.attribute(
        *arguments, attr_pos_start=start, attr_pos_end=-1, **keywords
    )
    for name in EVERY:
        assert_close(part.step_scores[name], whole.step_scores[name][1:-1].tolist(), name)


def noisy_probabilities(
    model: PreTrainedModel, sequence: FeatureAttributionSequenceOutput, n_runs: int
) -> Tensor:
    """Run a text in training mode again and again, (run, step)."""
    prefix = torch.tensor([[token.id for token in sequence.target[: sequence.attr_pos_end - 1]]])
    given = {"input_ids": prefix}
    if model.config.is_encoder_decoder:
        source = torch.tensor([[token.id for token in sequence.source]])
        given = {"input_ids": source, "decoder_input_ids": prefix}
    targets = [step.id for step in sequence.steps]
    runs = []
    with torch.random.fork_rng([]), torch.no_grad():
        torch.manual_seed(0)
        model.train()
        for _ in range(n_runs):
            logits = model(**given, use_cache=False).logits[0, sequence.attr_pos_start - 1 :]
            runs.append(logits.softmax(-1)[range(len(targets)), targets])
        model.eval()
    return torch.stack(runs)


@pytest.mark.parametrize(("n_runs", "logprob"), [(2, False), (5, False), (5, True)])
def test_dropout_scores_equal_a_loop_over_runs_in_training_mode(
    noisy_case: Case, n_runs: int, logprob: bool
) -> None:
    output = noisy_case.attribute(
        "dummy", step_scores=["mc_dropout_prob_avg"], n_mcd_steps=n_runs, logprob=logprob
    )
    for sequence in output:
        runs = noisy_probabilities(noisy_case.model.model, sequence, n_runs)
        clean = sequence.step_scores["probability"]
        if logprob:
            runs, clean = runs.log(), clean.log()
        assert (runs.std(0) > 0).all()
        expected = (clean - runs.mean(0)) / runs.std(0)
        assert_close(sequence.step_scores["mc_dropout_prob_avg"], expected.tolist(), "dropout")


def test_dropout_leaves_training_mode_and_random_state_alone(noisy_case: Case) -> None:
    network = noisy_case.model.model
    mixed = list(network.modules())[3]
    mixed.training = True
    before = [module.training for module in network.modules()], torch.get_rng_state().tolist()
    try:
        noisy_case.attribute("saliency", attributed_fn="mc_dropout_prob_avg")
        after = [module.training for module in network.modules()], torch.get_rng_state().tolist()
        assert after == before
    finally:
        mixed.training = False


def test_an_interrupt_in_a_dropout_run_leaves_the_model_alone(noisy_case: Case) -> None:
    network = noisy_case.model.model
    before = [module.training for module in network.modules()], torch.get_rng_state().tolist()

    def interrupt(module: torch.nn.Module, *_: object) -> None:
        if module.training:
            raise KeyboardInterrupt

    norm = next(m for m in network.modules() if isinstance(m, torch.nn.LayerNorm))
    hook = norm.register_forward_hook(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            noisy_case.attribute("dummy", step_scores=["mc_dropout_prob_avg"])
    finally:
        hook.remove()
    after = [module.training for module in network.modules()], torch.get_rng_state().tolist()
    assert after == before


@pytest.mark.parametrize("method", ["saliency", "occlusion"])
def test_dropout_scores_repeat_and_do_not_depend_on_the_batch(
    noisy_case: Case, method: str
) -> None:
    keywords = {
        "attributed_fn": "mc_dropout_prob_avg",
        "step_scores": ["mc_dropout_prob_avg"],
        "attribute_target": True,
    }
    together = noisy_case.attribute(method, **keywords)
    again = noisy_case.attribute(method, **keywords)
    for number, sequence in enumerate(together):
        np.testing.assert_array_equal(sequence.scores, again[number].scores)
        (alone,) = noisy_case.model.attribute(
            noisy_case.texts[number],
            noisy_case.targets[number],
            method,
            show_progress=False,
            **keywords,
        )
        largest = float(np.nanmax(np.abs(alone.scores)))
        assert largest > 0
        assert np.nanmax(np.abs(sequence.scores.to_numpy() - alone.scores)) <= TOLERANCE * largest
        name = "mc_dropout_prob_avg"
        assert_close(sequence.step_scores[name], alone.step_scores[name].tolist(), name)


def test_an_explained_dropout_score_is_the_probability_in_deviations(noisy_case: Case) -> None:
    (plain, _) = noisy_case.attribute("saliency", attributed_fn="probability")
    (noisy, _) = noisy_case.attribute("saliency", attributed_fn="mc_dropout_prob_avg")
    runs = noisy_probabilities(noisy_case.model.model, plain, 5)
    expected = plain.scores.to_numpy() / runs.std(0).numpy()
    largest = np.nanmax(expected)
    assert np.nanmax(np.abs(noisy.scores.to_numpy() - expected)) <= TOLERANCE * largest


def test_without_dropout_its_score_is_missing_and_no_gradient_explains_it(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    case = case_of("llama", tokenizer)
    for sequence in case.attribute("dummy", step_scores=["mc_dropout_prob_avg"]):
        assert sequence.step_scores["mc_dropout_prob_avg"].isnan().all()
    with pytest.raises(ValueError, match=r"attributed_fn: 'mc_dropout_prob_avg' .* no dropout"):
        case.attribute("saliency", attributed_fn="mc_dropout_prob_avg")
