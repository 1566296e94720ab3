"""Shapley values from random orders equal a loop over steps, orders and players."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from captum.attr import ShapleyValueSampling
from torch import Tensor

import inseq_widget as iw
from inseq_widget.results import FeatureAttributionOutput, FeatureAttributionSequenceOutput
from tests.parity.coalition_game import column_of, games, small, stacks_of
from tests.parity.stepwise import TOLERANCE, largest

SHORT = {
    "opt": ("Two words", "Two words become three and"),
    "bart": ("Good morning", "Bom dia"),
    "t5": ("Good morning", "Bom dia"),
}
Loaded = Callable[[str], iw.AttributionModel]


@pytest.fixture(scope="module")
def model_of() -> Loaded:
    """Load tiny models in double precision, each once."""
    return functools.cache(small)


def explain(
    model: iw.AttributionModel, name: str, **keywords: object
) -> FeatureAttributionSequenceOutput:
    (sequence,) = model.attribute(
        *SHORT[name], "shapley_value_sampling", show_progress=False, **keywords
    )
    return sequence


def orders_of(n_players: int, n_samples: int, seed: int = 0) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randperm(n_players, generator=generator).tolist() for _ in range(n_samples)]


@pytest.mark.parametrize(
    ("name", "attribute_target"),
    [("opt", False), ("bart", False), ("bart", True), ("t5", True)],
)
def test_scores_equal_what_players_add_in_the_same_orders_step_by_step(
    model_of: Loaded, name: str, attribute_target: bool
) -> None:
    model = model_of(name)
    sequence = explain(model, name, n_samples=6, seed=3, attribute_target=attribute_target)
    stacks = stacks_of(sequence, attribute_target)
    for game in games(model, sequence, stacks):
        expected = dict.fromkeys(game.players, 0.0)
        for order in orders_of(len(game.numbers), 6, seed=3):
            inside: frozenset[int] = frozenset()
            for player in (game.numbers[place] for place in order):
                if player in expected:
                    added = game.value(inside | {player}) - game.value(inside)
                    expected[player] += added / 6
                    inside |= {player}
        actual, others = column_of(sequence, game)
        assert np.abs(actual - list(expected.values())).max() <= TOLERANCE * largest(sequence)
        assert np.isin(others, [0.0]).sum() + np.isnan(others).sum() == len(others)


def test_scores_equal_captums_in_the_same_orders(model_of: Loaded) -> None:
    model = model_of("opt")
    sequence = explain(model, "opt", n_samples=5)
    for game in games(model, sequence, ("target",)):
        embedded = game.step.inputs["target"]
        seen = [
            [place for place in order if place < embedded.shape[1]]
            for order in orders_of(len(game.numbers), 5)
        ]

        def same_orders(_: int, __: int, seen: list[list[int]] = seen) -> list[list[int]]:
            return seen

        captum = ShapleyValueSampling(game.step.model)
        captum.permutation_generator = same_orders
        mask = torch.arange(embedded.shape[1])[None, :, None]
        explained: Tensor = captum.attribute(
            embedded,
            baselines=game.step.baselines["target"],
            feature_mask=mask,
            n_samples=5,
        )
        actual, _ = column_of(sequence, game)
        expected = explained[0, :, 0].detach().numpy()
        # captum adds up in single precision.
        assert np.abs(actual - expected).max() <= 1e-6 * largest(sequence)


@pytest.mark.parametrize(("name", "attribute_target"), [("opt", False), ("bart", True)])
def test_scores_sum_to_the_difference_from_the_baseline(
    model_of: Loaded, name: str, attribute_target: bool
) -> None:
    model = model_of(name)
    sequence = explain(model, name, n_samples=1, attribute_target=attribute_target)
    for game in games(model, sequence, stacks_of(sequence, attribute_target)):
        actual, _ = column_of(sequence, game)
        expected = game.value(frozenset(game.players)) - game.value(frozenset())
        assert abs(actual.sum() - expected) <= TOLERANCE * largest(sequence)


def test_many_orders_come_near_the_shapley_values_of_every_step(model_of: Loaded) -> None:
    model = model_of("opt")
    few, many = (explain(model, "opt", n_samples=count) for count in (10, 4000))
    distances: list[list[float]] = []
    for game in games(model, many, ("target",)):
        exact = np.array(list(game.shapley_values().values()))
        distances.append(
            [float(np.abs(column_of(seq, game)[0] - exact).max()) for seq in (few, many)]
        )
    worst = np.max(distances, axis=0) / largest(many)
    assert worst[1] < 0.03
    assert worst[1] < worst[0] / 3


def test_spans_come_in_together(model_of: Loaded) -> None:
    model = model_of("opt")
    (sequence,) = model.attribute(
        "Two antelopes",
        "Two antelopes and all",
        "shapley_value_sampling",
        spans="words",
        n_samples=4,
        show_progress=False,
    )
    inputs = sequence.target[: sequence.attr_pos_end - 1]
    words: dict[tuple[str, int | None], list[tuple[str, int]]] = {}
    for token in inputs:
        words.setdefault((token.side, token.word), []).append(("target", token.position))
    groups = list(words.values())
    assert len(groups) < len(inputs)
    scores = sequence.scores.to_numpy()
    for game in games(model, sequence, ("target",), groups):
        expected = dict.fromkeys(game.players, 0.0)
        for order in orders_of(len(groups), 4):
            inside: frozenset[int] = frozenset()
            for player in order:
                if player in expected:
                    added = game.value(inside | {player}) - game.value(inside)
                    expected[player] += added / 4
                    inside |= {player}
        for player, value in expected.items():
            for _, place in groups[player]:
                if place < game.step.inputs["target"].shape[1]:
                    difference = abs(scores[place, game.column] - value)
                    assert difference <= TOLERANCE * largest(sequence)


def test_one_chain_of_runs_serves_all_steps(model_of: Loaded) -> None:
    model = model_of("t5")
    rows: list[int] = []

    def count(_: object, __: object, kwargs: dict[str, Tensor]) -> None:
        rows.append(len(kwargs["decoder_input_ids"]))

    hook = model.model.register_forward_pre_hook(count, with_kwargs=True)
    sequence = explain(model, "t5", n_samples=7)
    hook.remove()
    n_players = sum(token.id != model.tokenizer.eos_token_id for token in sequence.source)
    trace_and_clean_runs = 3
    assert sum(rows) <= 7 * n_players + trace_and_clean_runs


@pytest.mark.parametrize("name", ["opt", "bart"])
def test_a_batch_gives_each_text_what_it_gets_alone(model_of: Loaded, name: str) -> None:
    model = model_of(name)
    text, target = SHORT[name]
    texts = [text, text]
    targets = [target, target + " and more of it"]
    options = {"n_samples": 3, "attribute_target": True, "show_progress": False}
    together: FeatureAttributionOutput = model.attribute(
        texts, targets, "shapley_value_sampling", **options
    )
    for one, forced, sequence in zip(texts, targets, together, strict=True):
        (alone,) = model.attribute(one, forced, "shapley_value_sampling", **options)
        difference = np.nanmax(np.abs(sequence.scores.to_numpy() - alone.scores.to_numpy()))
        assert difference <= TOLERANCE * largest(alone)


def test_a_seed_fixes_the_orders_and_leaves_the_global_state_alone(model_of: Loaded) -> None:
    model = model_of("opt")
    state = torch.get_rng_state()
    first, again, other = (explain(model, "opt", n_samples=2, seed=s).scores for s in (0, 0, 1))
    assert torch.equal(state, torch.get_rng_state())
    np.testing.assert_array_equal(first, again)
    assert np.nanmax(np.abs(first - other)) > 1e-3 * np.nanmax(np.abs(first))


@pytest.mark.parametrize(
    ("keywords", "named"),
    [
        ({"n_samples": 0}, "n_samples"),
        ({"seed": -1}, "seed"),
        ({"spans": "letters"}, "spans"),
        ({"baseline": "no such token"}, "baseline"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(
    model_of: Loaded, keywords: dict[str, object], named: str
) -> None:
    with pytest.raises(ValueError, match=f"^{named}"):
        explain(model_of("opt"), "opt", **keywords)
