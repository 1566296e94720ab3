"""Foils by step, found foils, and several at once equal plain loops, and each foil alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerBase

import inseq_widget as iw
from inseq_widget.results import FeatureAttributionSequenceOutput
from tests.parity.conftest import Case
from tests.parity.contrastive import ASKED, Side, compared, seen, sides_of
from tests.parity.formulas import CONTRASTIVE, logits_after, other_side
from tests.parity.stepwise import TOLERANCE, bart, opt

ATTENTION = ["attention", "value_zeroing"]
MAKERS = {"opt": opt, "bart": bart}
TEXTS = {
    "opt": (["The words", "The water is"], ["The words and three more", "The water is cold"]),
    "bart": (["She was tired.", "Hello"], ["Estava can", "Bom"]),
}
SOURCES = ["He was very happy.", "Good evening"]
# Steps and the id of the foil there, which is one of the given text alone: what the reference
# takes. The model that is asked gets them in every way that it understands.
OTHER_TEXTS = {
    "opt": ["One of the words or six more", "An ice was hot"],
    "bart": ["Estava to", "Ham"],
}
BY_STEP = {
    "opt": [{0: " six", -1: " less"}, {0: " hot"}],
    "bart": [{1: "are", -1: " less"}, {0: "H"}],
}


@pytest.fixture(scope="module", params=list(MAKERS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def tiny_case(name: str, tokenizer: PreTrainedTokenizerBase) -> Case:
    return Case(iw.load_model(MAKERS[name](), "saliency", tokenizer=tokenizer), *TEXTS[name])


def every_form(name: str) -> dict[str, object]:
    """Contrast each text with another one, with tokens at some steps, and with what is found."""
    foils = [
        [other, by_step, iw.Foil.MOST_LIKELY]
        for other, by_step in zip(OTHER_TEXTS[name], BY_STEP[name], strict=True)
    ]
    given: dict[str, object] = {"contrast_targets": foils}
    return given | {"contrast_sources": SOURCES} if name == "bart" else given


def reference_sides(
    case: Case, name: str, sequences: list[FeatureAttributionSequenceOutput]
) -> list[list[Side]]:
    """Work out what each step of each sequence is contrasted with, one after the other."""
    tokenizer, model = case.model.tokenizer, case.model.model
    sides = []
    for number, sequence in enumerate(sequences):
        text, form = divmod(number, 3)
        own = [token.id for token in sequence.target]
        source = tokenizer(SOURCES[text])["input_ids"] if name == "bart" else []
        regular = [token.id for token in sequence.source]
        positions = range(sequence.attr_pos_start, sequence.attr_pos_end)
        if form == 0:
            elsewhere = SOURCES[text] if name == "bart" else None
            other = other_side(tokenizer, sequence, OTHER_TEXTS[name][text], elsewhere)
            sides.append(sides_of(other))
            continue
        foils = [own[position] for position in positions]
        if form == 1:
            for step, foil in BY_STEP[name][text].items():
                (foils[step],) = tokenizer(foil)["input_ids"]
        else:
            for step, position in enumerate(positions):
                logits = logits_after(model, regular, own[:position])
                order = logits.argsort(descending=True).tolist()
                foils[step] = next(token for token in order if token != own[position])
        sides.append(
            [Side(source, own[:place], foil) for place, foil in zip(positions, foils, strict=True)]
        )
    return sides


@pytest.mark.parametrize(("function", "force"), ASKED)
@pytest.mark.parametrize("method", ["saliency", "occlusion"])
def test_every_form_of_foil_is_explained_as_step_by_step(
    tiny_case: Case, name: str, method: str, function: str, force: bool
) -> None:
    sequences = list(
        tiny_case.attribute(
            method,
            attributed_fn=function,
            attribute_target=name == "bart",
            contrast_force_inputs=force,
            granular=True,
            **every_form(name),
        )
    )
    assert len(sequences) == 6
    pairs = [
        compared(tiny_case.model, sequence, method, function, force, sides)
        for sequence, sides in zip(
            sequences, reference_sides(tiny_case, name, sequences), strict=True
        )
    ]
    largest = max(np.abs(naive).max() for _, naive in pairs)
    assert largest > 0
    for actual, naive in pairs:
        assert np.abs(actual - naive).max() <= TOLERANCE * largest


@pytest.mark.parametrize("method", [*ATTENTION, "saliency", "occlusion"])
def test_every_form_of_foil_is_reported_as_step_by_step(
    tiny_case: Case, name: str, method: str
) -> None:
    sequences = list(tiny_case.attribute(method, step_scores=list(CONTRASTIVE), **every_form(name)))
    largest = dict.fromkeys(CONTRASTIVE, 0.0)
    differences = dict.fromkeys(CONTRASTIVE, 0.0)
    for sequence, sides in zip(sequences, reference_sides(tiny_case, name, sequences), strict=True):
        for column, side in enumerate(sides):
            both = seen(tiny_case.model, sequence, column, side)
            for function, formula in CONTRASTIVE.items():
                expected = float(formula(both))
                actual = float(sequence.step_scores[function][column])
                largest[function] = max(largest[function], abs(expected))
                differences[function] = max(differences[function], abs(actual - expected))
    for function in CONTRASTIVE:
        assert largest[function] > 0
        assert differences[function] <= TOLERANCE * largest[function]


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("saliency", {}),
        ("occlusion", {}),
        ("attention", {}),
        ("integrated_gradients", {"n_steps": 3}),
        ("gradient_shap", {"n_samples": 2}),
        ("deeplift", {}),
        ("layer_gradient_x_activation", {}),
        ("kernel_shap", {"n_samples": 20}),
    ],
)
@pytest.mark.parametrize("force", [False, True])
def test_several_foils_give_each_what_it_gets_alone(
    tiny_case: Case, name: str, method: str, options: dict[str, object], force: bool
) -> None:
    given = every_form(name)
    # Not as many for the second text, so that not all go together.
    foils = [given["contrast_targets"][0], given["contrast_targets"][1][:2]]
    asked = {
        "attributed_fn": None if method == "attention" else "pcxmi",
        "step_scores": ["contrast_prob", "pcxmi"],
        "attribute_target": name == "bart",
        "contrast_force_inputs": force,
        **options,
    }
    together = tiny_case.attribute(method, **{**given, **asked, "contrast_targets": foils})
    alone = [
        tiny_case.model.attribute(
            tiny_case.texts[number],
            tiny_case.targets[number],
            method,
            show_progress=False,
            **asked,
            contrast_targets=foil,
            **({"contrast_sources": SOURCES[number]} if name == "bart" else {}),
        )[0]
        for number, each in enumerate(foils)
        for foil in each
    ]
    assert len(together) == len(alone) == 5
    for sequence, expected in zip(together, alone, strict=True):
        largest = float(np.nanmax(np.abs(expected.scores)))
        difference = np.abs(sequence.scores.to_numpy() - expected.scores.to_numpy())
        assert np.nanmax(difference) <= TOLERANCE * largest
        np.testing.assert_array_equal(np.isnan(sequence.scores), np.isnan(expected.scores))
        assert (sequence.foil, sequence.foil_tokens) == (expected.foil, expected.foil_tokens)
        for function in ("contrast_prob", "pcxmi"):
            values, alone_values = (s.step_scores[function] for s in (sequence, expected))
            assert float((values - alone_values).abs().max()) <= TOLERANCE * float(
                alone_values.abs().max()
            )


def runs_of(
    case: Case, monkeypatch: pytest.MonkeyPatch, method: str, **keywords: object
) -> list[int]:
    """Attribute the first text, and list how many texts went through the model in each run."""
    network, rows = case.model.model, []
    forward = network.forward

    def counting(**given: object) -> object:
        rows.append(len(given["input_ids"]))
        return forward(**given)

    with monkeypatch.context() as patch:
        patch.setattr(network, "forward", counting)
        case.model.attribute(
            case.texts[0], case.targets[0], method, show_progress=False, **keywords
        )
    return rows


@pytest.mark.parametrize("method", ["attention", "saliency"])
def test_foils_share_the_pass_over_their_text_and_go_together(
    tiny_case: Case, name: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, by_step = OTHER_TEXTS[name][0], BY_STEP[name][0]
    for foils, expected in (
        (iw.Foil.MOST_LIKELY, [1]),
        ([[iw.Foil.MOST_LIKELY, by_step, by_step]], [1]),
        ([[other, other, other]], [1, 3]),
        ([[other, by_step, other]], [1, 2]),
    ):
        rows = runs_of(tiny_case, monkeypatch, method, contrast_targets=foils)
        assert rows == expected


def test_memory_that_runs_out_splits_the_foils_of_a_text(
    tiny_case: Case, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = tiny_case.model.model
    forward = network.forward
    given = {**every_form(name), "step_scores": ["contrast_prob"]}
    whole = tiny_case.attribute("saliency", **given)

    def small(**keywords: object) -> object:
        if len(keywords["input_ids"]) > 1:
            raise torch.OutOfMemoryError("too many texts")
        return forward(**keywords)

    monkeypatch.setattr(network, "forward", small)
    split = tiny_case.attribute("saliency", **given)
    assert [sequence.foil for sequence in split] == [sequence.foil for sequence in whole]
    for sequence, expected in zip(split, whole, strict=True):
        values, others = (s.step_scores["contrast_prob"] for s in (sequence, expected))
        assert float((values - others).abs().max()) <= TOLERANCE * float(others.abs().max())
        largest = float(np.nanmax(np.abs(expected.scores)))
        assert float(np.nanmax(np.abs(sequence.scores - expected.scores))) <= TOLERANCE * largest


def test_a_foil_by_step_does_not_touch_the_other_steps(tiny_case: Case, name: str) -> None:
    (sequence, _) = tiny_case.attribute(
        "occlusion",
        attributed_fn="contrast_prob_diff",
        step_scores=["contrast_prob_diff", "kl_divergence"],
        contrast_targets=BY_STEP[name],
    )
    n_steps = len(sequence.steps)
    contrasted = {step % n_steps for step in BY_STEP[name][0]}
    magnitudes = np.nanmax(np.abs(sequence.scores.to_numpy()), axis=0)
    for step in range(n_steps):
        assert (magnitudes[step] > 0) == (step in contrasted)
        assert (float(sequence.step_scores["contrast_prob_diff"][step]) != 0) == (
            step in contrasted
        )
        assert float(sequence.step_scores["kl_divergence"][step]) == 0
