"""A contrastive function is explained as a loop over steps explains it, under every method."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from transformers import PreTrainedTokenizerBase

import inseq_widget as iw
from inseq_widget.results import FeatureAttributionSequenceOutput
from tests.parity.conftest import Case
from tests.parity.contrastive import ASKED, PATH_POINTS, compared, sides_of
from tests.parity.formulas import CONTRASTIVE, Other, Seen, logits_after, other_side
from tests.parity.stepwise import TOLERANCE, bart, opt

# Methods that take many runs: one function of tokens alone, and those of two inputs.
FEW = [("contrast_prob_diff", False), ("pcxmi", True), ("kl_divergence", True)]
TEXTS = {
    "opt": Case(
        None, ["The words", "The water is"], ["The words and three more", "The water is cold"]
    ),
    "bart": Case(None, ["She was tired.", "Hello"], ["Estava cansada", "Bom dia"]),
}
OTHERS = {
    "opt": {"contrast_targets": ["One of the words or six more", "An ice was hot"]},
    "bart": {
        "contrast_targets": ["Estava muito feliz", "Boa noite"],
        "contrast_sources": ["He was very happy.", "Good evening"],
    },
}
MAKERS = {"opt": opt, "bart": bart}


@pytest.fixture(scope="module", params=list(MAKERS))
def tiny_case(request: pytest.FixtureRequest, tokenizer: PreTrainedTokenizerBase) -> Case:
    name = request.param
    model = iw.load_model(MAKERS[name](), "saliency", tokenizer=tokenizer)
    return Case(model, TEXTS[name].texts, TEXTS[name].targets)


def others_of(case: Case, number: int | None = None) -> dict[str, object]:
    given = OTHERS["bart" if case.model.model.config.is_encoder_decoder else "opt"]
    return given if number is None else {name: texts[number] for name, texts in given.items()}


def explained(
    case: Case, method: str, name: str, force: bool, **keywords: object
) -> list[FeatureAttributionSequenceOutput]:
    return list(
        case.attribute(
            method,
            attributed_fn=name,
            attribute_target=case.model.model.config.is_encoder_decoder,
            contrast_force_inputs=force,
            **others_of(case),
            **keywords,
        )
    )


def others(case: Case, sequences: Sequence[FeatureAttributionSequenceOutput]) -> list[Other]:
    """Tokenise the contrastive side of each text."""
    sides = []
    for number, sequence in enumerate(sequences):
        given = others_of(case, number)
        target, source = given["contrast_targets"], given.get("contrast_sources")
        sides.append(other_side(case.model.tokenizer, sequence, target, source))
    return sides


def assert_explained_as_step_by_step(case: Case, method: str, name: str, force: bool) -> None:
    options = {"n_steps": PATH_POINTS} if method == "integrated_gradients" else {}
    sequences = explained(case, method, name, force, granular=True, **options)
    for sequence, other in zip(sequences, others(case, sequences), strict=True):
        actual, naive = compared(case.model, sequence, method, name, force, sides_of(other))
        largest = np.abs(naive).max()
        assert largest > 0
        assert np.abs(actual - naive).max() <= TOLERANCE * largest


@pytest.mark.parametrize(("name", "force"), ASKED)
@pytest.mark.parametrize("method", ["saliency", "input_x_gradient"])
def test_gradients_of_contrastive_functions_equal_a_loop_over_steps(
    tiny_case: Case, method: str, name: str, force: bool
) -> None:
    assert_explained_as_step_by_step(tiny_case, method, name, force)


@pytest.mark.parametrize(("name", "force"), FEW)
@pytest.mark.parametrize("method", ["occlusion", "integrated_gradients"])
def test_methods_of_many_runs_equal_a_loop_over_steps(
    tiny_case: Case, method: str, name: str, force: bool
) -> None:
    assert_explained_as_step_by_step(tiny_case, method, name, force)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("saliency", {}),
        ("occlusion", {}),
        ("integrated_gradients", {"n_steps": PATH_POINTS}),
        ("gradient_shap", {"n_samples": 2}),
        ("deeplift", {}),
        ("layer_gradient_x_activation", {}),
        ("kernel_shap", {"n_samples": 20}),
    ],
)
def test_a_batch_gives_each_text_what_it_gets_alone(
    tiny_case: Case, method: str, options: dict[str, object]
) -> None:
    together = explained(tiny_case, method, "pcxmi", True, **options)
    for number, sequence in enumerate(together):
        (alone,) = tiny_case.model.attribute(
            tiny_case.texts[number],
            tiny_case.targets[number],
            method,
            attributed_fn="pcxmi",
            attribute_target=tiny_case.model.model.config.is_encoder_decoder,
            contrast_force_inputs=True,
            show_progress=False,
            **others_of(tiny_case, number),
            **options,
        )
        largest = float(np.nanmax(np.abs(alone.scores)))
        assert largest > 0
        difference = np.abs(sequence.scores.to_numpy() - alone.scores.to_numpy())
        assert np.nanmax(difference) <= TOLERANCE * largest


def test_attention_reports_contrastive_scores_whatever_is_explained(tiny_case: Case) -> None:
    plain = list(tiny_case.attribute("attention"))
    for force in (False, True):
        beside = tiny_case.attribute(
            "attention",
            step_scores=["pcxmi", "kl_divergence"],
            contrast_force_inputs=force,
            **others_of(tiny_case),
        )
        sides = others(tiny_case, plain)
        for sequence, before, other in zip(beside, plain, sides, strict=True):
            np.testing.assert_array_equal(sequence.scores, before.scores)
            own = [token.id for token in sequence.target]
            source = [token.id for token in sequence.source]
            for column, place in enumerate(other.places):
                position = sequence.attr_pos_start + column
                seen = Seen(
                    logits_after(tiny_case.model.model, source, own[:position]),
                    own[position],
                    logits_after(tiny_case.model.model, other.source, other.target[:place]),
                    other.target[place],
                )
                for name in ("pcxmi", "kl_divergence"):
                    expected = float(CONTRASTIVE[name](seen))
                    assert float(sequence.step_scores[name][column]) == pytest.approx(
                        expected, rel=1e-8
                    )


def test_a_contrast_with_the_text_itself_is_nothing(tiny_case: Case) -> None:
    output = tiny_case.attribute(
        "dummy",
        step_scores=["contrast_prob_diff", "pcxmi", "kl_divergence"],
        contrast_targets=tiny_case.targets,
    )
    for sequence in output:
        for name in ("contrast_prob_diff", "pcxmi", "kl_divergence"):
            assert float(sequence.step_scores[name].abs().max()) < 1e-12


@pytest.mark.parametrize("n_texts", [1, 2])
def test_a_contrast_costs_one_run_more_and_not_one_for_each_step(
    tiny_case: Case, n_texts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, runs = tiny_case.model.model, []
    forward = network.forward

    def counting(**keywords: object) -> object:
        runs.append(keywords)
        return forward(**keywords)

    monkeypatch.setattr(network, "forward", counting)
    given = {name: texts[:n_texts] for name, texts in others_of(tiny_case).items()}
    for contrast, expected in (({}, 1), (given, 2)):
        runs.clear()
        tiny_case.model.attribute(
            tiny_case.texts[:n_texts],
            tiny_case.targets[:n_texts],
            "attention",
            step_scores=list(CONTRASTIVE) if contrast else [],
            show_progress=False,
            **contrast,
        )
        assert len(runs) == expected


def test_edit_distance_contrasts_each_token_with_its_counterpart(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    model = iw.load_model(opt(), "dummy", tokenizer=tokenizer)
    target, other = "The words and three more of them", "The other words and many more"
    (sequence,) = model.attribute(
        "The",
        target,
        step_scores=["contrast_logits"],
        contrast_targets=other,
        contrast_targets_alignments="auto",
        show_progress=False,
    )
    # words, and, many for three, more; "of" and "them" stand beyond the end: its last token.
    ids = tokenizer(other)["input_ids"]
    assert [tokenizer.decode([n]) for n in ids] == [
        "The",
        " other",
        " words",
        " and",
        " many",
        " more",
    ]
    for column, place in enumerate([2, 3, 4, 5, 5, 5]):
        expected = logits_after(model.model, [], ids[:place])[ids[place]]
        assert float(sequence.step_scores["contrast_logits"][column]) == pytest.approx(
            float(expected), rel=1e-9
        )


def test_pairs_decide_and_the_rest_is_counted_from_the_end(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    model = iw.load_model(opt(), "dummy", tokenizer=tokenizer)
    other = "The other words and many more"
    (sequence,) = model.attribute(
        "The",
        "The words and three more",
        step_scores=["contrast_logits"],
        contrast_targets=other,
        contrast_targets_alignments=[(1, 4), (3, 1)],
        show_progress=False,
    )
    ids = tokenizer(other)["input_ids"]
    for column, place in enumerate([4, 3, 1, 5]):
        expected = logits_after(model.model, [], ids[:place])[ids[place]]
        assert float(sequence.step_scores["contrast_logits"][column]) == pytest.approx(
            float(expected), rel=1e-9
        )
