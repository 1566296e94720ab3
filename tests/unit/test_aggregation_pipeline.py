"""Aggregators chain, take the keywords that are theirs, and can be one's own."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

import inseq_widget as iw
from inseq_widget.results import FeatureAttributionOutput, FeatureAttributionSequenceOutput, Token
from inseq_widget.results.aggregation import AggregatorPipeline
from inseq_widget.results.aggregation.base import AGGREGATORS
from inseq_widget.results.aggregation.by_text import SubwordAggregator
from inseq_widget.results.aggregation.scores import ScoresAggregator
from inseq_widget.results.reductions import FUNCTIONS
from tests.unit.aggregable import causal, random_causal, random_translated, texts_of

ATTENTION = {"layer": 3, "head": 2}


def values(sequence: FeatureAttributionSequenceOutput) -> np.ndarray:
    assert list(sequence.kept) == ["raw"]
    return sequence.kept["raw"].to_numpy()


def words() -> FeatureAttributionSequenceOutput:
    draws = np.random.default_rng(5).normal(size=(4, 3, 3, 2))
    return causal(draws, [" un", "der"], ["stand", " it", "self"], list(ATTENTION))


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    entries = {registry: dict(registry._entries) for registry in (AGGREGATORS, FUNCTIONS)}
    yield
    for registry, before in entries.items():
        registry._entries.clear()
        registry._entries.update(before)


def test_all_aggregators_and_functions_are_listed() -> None:
    assert iw.list_aggregators() == [
        "pair",
        "regex",
        "scores",
        "sentences",
        "slices",
        "spans",
        "split",
        "subwords",
        "words",
    ]
    functions = ["absmax", "max", "mean", "min", "prod", "sum", "vnorm"]
    assert iw.list_aggregation_functions() == functions


@pytest.mark.parametrize(
    "given",
    [
        {"aggregator": ["mean", "mean", "subwords"]},
        {"aggregator": ("mean", "scores", "subwords")},
        {"aggregator": [ScoresAggregator, ScoresAggregator, SubwordAggregator]},
        {"aggregator": [("scores", "mean"), (ScoresAggregator, "mean"), ("subwords", None)]},
        {
            "aggregator": ["scores", "scores", "subwords"],
            "aggregate_fn": ["mean", "mean", "absmax"],
        },
        {"aggregator": AggregatorPipeline(["scores", "scores", "subwords"])},
        {"aggregator": [("scores", "mean"), ("scores", "mean"), ("subwords", "absmax")]},
    ],
)
def test_a_chain_is_its_steps_one_after_another(given: dict[str, object]) -> None:
    sequence = words()
    by_hand = sequence.aggregate("mean").aggregate("mean").aggregate("subwords")
    result = sequence.aggregate(**given)
    np.testing.assert_array_equal(values(result), values(by_hand))
    assert texts_of(result.target) == texts_of(by_hand.target) == [" understand", " itself"]


def test_the_order_of_a_chain_counts() -> None:
    sequence = words()
    first = sequence.aggregate(["subwords", "mean", "mean"])
    last = sequence.aggregate(["mean", "mean", "subwords"])
    assert texts_of(first.target) == texts_of(last.target)
    assert np.nanmax(np.abs(values(first) - values(last))) > 1e-3


def test_an_empty_chain_changes_nothing() -> None:
    sequence = words()
    result = sequence.aggregate([])
    np.testing.assert_array_equal(values(result), values(sequence))
    assert result is not sequence


def test_a_keyword_goes_to_every_step_that_takes_it() -> None:
    sequence = words()
    result = sequence.aggregate(
        ["mean", "vnorm", "subwords"], normalize=False, vnorm_ord=1, aggregate_source=False
    )
    heads = np.abs(values(sequence).mean(-1)).sum(-1)
    columns = np.stack([heads[:, 0], np.maximum(heads[:, 1], heads[:, 2])], 1)
    expected = [columns[:3].max(0), columns[3]]
    np.testing.assert_allclose(values(result), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"aggregator": "mean", "split_pattern": "a"}, TypeError, "scores does not take"),
        ({"nomalize": False}, TypeError, "'nomalize'; it takes select_idx, normalize, rescale"),
        ({"aggregator": "mean", "vnorm_ord": 1}, TypeError, "does not take 'vnorm_ord'"),
        ({"aggregator": "subword"}, ValueError, "did you mean 'subwords'"),
        ({"aggregator": "mena"}, ValueError, "did you mean 'mean'"),
        ({"aggregator": ["mean", "avg"]}, ValueError, "aggregator: 'avg' is not known"),
        ({"aggregator": 3}, TypeError, "aggregator: 3 given; pass a name"),
        ({"aggregator": [("mean", "a", "b")]}, TypeError, "pass a pair"),
        ({"aggregator": "mean", "aggregate_fn": "sum"}, ValueError, "'mean' is a function itself"),
        ({"aggregate_fn": "sum"}, ValueError, "given without the name of an aggregator"),
        ({"aggregator": "scores", "aggregate_fn": ["sum"]}, ValueError, "give one function"),
        ({"aggregator": ["scores"], "aggregate_fn": "sum"}, ValueError, "a list with one for each"),
        ({"aggregator": ["scores"], "aggregate_fn": ["a", "b"]}, ValueError, "for 1 aggregators"),
        (
            {"aggregator": [("scores", "sum")], "aggregate_fn": ["mean"]},
            ValueError,
            "aggregate_fn: 'mean' given, and another one",
        ),
        ({"aggregator": "slices", "aggregate_fn": "sum"}, ValueError, "'slices' joins nothing"),
    ],
)
def test_what_cannot_be_understood_is_refused(
    arguments: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        words().aggregate(**arguments)


def test_what_is_refused_is_refused_before_anything_runs() -> None:
    ran = []

    @iw.register_aggregator
    @dataclass(kw_only=True)
    class Counting(iw.Aggregator):
        aggregator_name: ClassVar[str] = "counting"

        def aggregate(
            self, sequence: FeatureAttributionSequenceOutput
        ) -> FeatureAttributionSequenceOutput:
            ran.append(sequence)
            return sequence

    with pytest.raises(ValueError, match="split_pattern"):
        words().aggregate(["counting", "split"])
    assert not ran
    words().aggregate(["counting"])
    assert len(ran) == 1


def test_inseqs_checks_are_taken() -> None:
    result = words().aggregate("mean", do_post_aggregation_checks=False)
    assert result.kept["raw"].dims == ("input", "step", "layer")
    assert values(words().aggregate("mean", do_pre_aggregation_checks=False)).shape == (4, 3, 3)


def test_a_result_of_one_number_takes_the_keywords_of_the_others() -> None:
    sequence = random_causal()
    np.testing.assert_array_equal(values(sequence.aggregate(normalize=False)), values(sequence))
    with pytest.raises(TypeError, match="scores does not take 'pattern'"):
        sequence.aggregate(pattern="a")


def test_an_aggregator_of_ones_own_joins_tokens() -> None:
    @iw.register_aggregator
    @dataclass(kw_only=True)
    class Pairs(iw.SpanAggregator):
        aggregator_name: ClassVar[str] = "pairs"

        size: int = 2

        def spans_of(self, tokens: Sequence[Token]) -> Sequence[tuple[int, int]]:
            return [
                (start, min(start + self.size, len(tokens)))
                for start in range(0, len(tokens), self.size)
            ]

    assert "pairs" in iw.list_aggregators()
    sequence = random_causal(4, 4)
    result = sequence.aggregate("pairs", "sum")
    assert texts_of(result.target) == [" w0 w1", " w2 w3", " w4 w5", " w6 w7"]
    np.testing.assert_allclose(values(result)[0, 0], values(sequence)[:2, :2].sum())
    assert len(sequence.aggregate(["mean", "pairs"], size=4).target) == 2
    assert len(sequence.aggregate(Pairs, size=3).target) == 3
    with pytest.raises(ValueError, match="aggregator: 'pairs' is registered already"):
        iw.register_aggregator(Pairs)
    iw.register_aggregator(overwrite=True)(Pairs)


def test_spans_of_ones_own_are_checked() -> None:
    @dataclass(kw_only=True)
    class Wrong(iw.SpanAggregator):
        aggregator_name: ClassVar[str] = "wrong"

        def spans_of(self, tokens: Sequence[Token]) -> Sequence[tuple[int, int]]:
            return [(0, len(tokens) + 1)]

    with pytest.raises(ValueError, match=r"spans_of: .* within the 8 tokens"):
        random_causal().aggregate(Wrong)


def test_an_aggregation_function_of_ones_own_has_keywords() -> None:
    def quantile(scores: np.ndarray, axis: int, q: float = 0.5) -> np.ndarray:
        return np.nanquantile(scores, q, axis=axis)

    iw.register_aggregation_function(quantile, "quantile")
    assert "quantile" in iw.list_aggregation_functions()
    sequence = random_causal(dims={"feature": 5})
    result = sequence.aggregate("quantile", q=0.25, normalize=False)
    np.testing.assert_allclose(
        values(result), np.quantile(values(sequence), 0.25, axis=-1), rtol=1e-12
    )
    joined = sequence.aggregate(["scores", "spans"], ["mean", "quantile"], target_spans=(0, 3))
    one = values(sequence.aggregate("mean"))[:3]
    np.testing.assert_allclose(values(joined)[0], np.median(one, axis=0), rtol=1e-12)
    np.testing.assert_allclose(
        sequence.reduce("quantile"), np.median(values(sequence), axis=-1), rtol=1e-12
    )


def test_a_linear_function_of_ones_own_joins_reduced_features() -> None:
    def first(scores: np.ndarray, axis: int) -> np.ndarray:
        return np.take(scores, 0, axis)

    iw.register_aggregation_function(first, "first", linear=True)
    reduced = random_causal()
    reduced.kept = {"sum": reduced.kept["raw"].assign_attrs(n_features=2)}
    result = reduced.aggregate("spans", "first", target_spans=(1, 4))
    np.testing.assert_array_equal(result.kept["sum"][1], reduced.kept["sum"][1])
    with pytest.raises(ValueError, match=r"joining tokens by '<lambda>' needs the scores"):
        reduced.aggregate("spans", lambda scores, axis: scores.sum(axis), target_spans=(1, 4))


@pytest.mark.parametrize(
    ("register", "error", "message"),
    [
        (lambda: iw.register_aggregator(int), TypeError, "pass a subclass of Aggregator"),
        (lambda: iw.register_aggregator(iw.SpanAggregator), TypeError, "has no aggregator_name"),
        (
            lambda: iw.register_aggregation_function(3, "three"),
            TypeError,
            "fn: 3 given; pass a function",
        ),
        (
            lambda: iw.register_aggregation_function(np.nanmean, ""),
            TypeError,
            "identifier: '' given",
        ),
        (
            lambda: iw.register_aggregation_function(np.nanmean, "words"),
            ValueError,
            "identifier: 'words' is taken",
        ),
        (
            lambda: iw.register_aggregation_function(np.nanmean, "mean"),
            ValueError,
            "'mean' is registered already",
        ),
    ],
)
def test_what_cannot_be_registered_is_refused(
    register: object, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        register()


def test_an_aggregator_may_not_be_called_like_a_function() -> None:
    @dataclass(kw_only=True)
    class Mean(SubwordAggregator):
        aggregator_name: ClassVar[str] = "mean"

    with pytest.raises(ValueError, match="'mean' is an aggregation function"):
        iw.register_aggregator(Mean)


def test_an_output_aggregates_every_text_and_shares_nothing() -> None:
    sequences = [random_causal(dims=ATTENTION, seed=seed) for seed in range(2)]
    about = sequences[0].info
    output = FeatureAttributionOutput(sequences, about, live_model=None)
    result = output.aggregate()
    for before, after in zip(sequences, result, strict=True):
        np.testing.assert_array_equal(values(after), values(before.aggregate()))
        assert after.info is result.info
    assert about["aggregation"] == []
    assert len(result.info["aggregation"]) == 2
    assert result.live_model is None
    assert len(FeatureAttributionOutput([], about).aggregate()) == 0


def test_scores_dicts_take_an_aggregator() -> None:
    sequence = words()
    output = FeatureAttributionOutput([sequence], sequence.info)
    (given,) = output.get_scores_dicts(["mean", "mean", "subwords"])
    assert given == sequence.get_scores_dicts(["mean", "mean", "subwords"])
    aggregated = sequence.aggregate(["mean", "mean", "subwords"])
    step = aggregated.steps[1]
    assert given["target_attributions"][1, step.piece] == {
        (place, token.piece): pytest.approx(values(aggregated)[place, 1])
        for place, token in enumerate(aggregated.inputs)
    }
    (plain,) = output.get_scores_dicts()
    cells = plain["target_attributions"][2, sequence.steps[0].piece]
    np.testing.assert_allclose(list(cells.values()), values(sequence.aggregate())[:, 0])
    (raw,) = output.get_scores_dicts(do_aggregation=False)
    cells = raw["target_attributions"][2, sequence.steps[0].piece]
    np.testing.assert_allclose(list(cells.values()), sequence.scores[:, 0])


def test_an_aggregated_result_still_makes_tables_and_is_indexed() -> None:
    sequence = random_translated(dims={"head": 2}, step_scores={"own": [1.0, 2.0, 3.0, 4.0]})
    result = sequence.aggregate(["mean", "spans"], source_spans=(0, 2), target_spans=(1, 3))
    frame = result.to_dataframe()
    present = ~np.isnan(values(result))
    assert len(frame) == present.sum()
    assert set(frame["own"]) == {2.0, 3.0, 4.0}
    assert texts_of(result[:1].source) == [" s0 s1"]


def test_a_large_matrix_takes_well_under_a_second() -> None:
    sequence = random_causal(1500, 500, {"head": 2})
    sequence.target = [replace(one, word=one.position // 2) for one in sequence.target]
    start = time.process_time()
    result = sequence.aggregate(["mean", "subwords"])
    assert time.process_time() - start < 1
    assert values(result).shape == (1000, 250)


def test_a_model_s_result_aggregates(tiny: iw.AttributionModel) -> None:
    out = tiny.attribute(
        "The unbelievable nurse", "The unbelievable nurse said hello", show_progress=False
    )
    result = out.aggregate(["scores", "subwords"])
    assert texts_of(result[0].target) == ["The", " unbelievable", " nurse", " said", " hello"]
    norms = out[0].reduce("norm").to_numpy()
    shares = norms / np.nansum(norms, 0)
    word = [number for number, token in enumerate(out[0].inputs) if token.word == 1]
    assert len(word) > 1
    np.testing.assert_allclose(values(result[0])[1], shares[word].max(0), rtol=1e-6)
    assert result[0].step_scores["probability"].shape == (2,)
