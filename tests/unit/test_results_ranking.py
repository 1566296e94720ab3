"""The inputs that matter most for a step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from inseq_widget.results import FeatureAttributionSequenceOutput
from inseq_widget.results.labelling import labelled
from tests.unit import outputs


def made(scores: list[float]) -> FeatureAttributionSequenceOutput:
    """Make a sequence whose last step has given scores, the earlier ones other scores."""
    words = [f" w{number}" for number in range(len(scores))]
    one = outputs.causal(words[:-1], [words[-1], " end"], signed=True)[0]
    values = one.scores.to_numpy().copy()
    values[:, -1] = scores
    return replace(one, kept={"sum": labelled(values, one.inputs, one.steps)})


def test_inputs_are_ranked_by_magnitude() -> None:
    table = made([1.0, -4.0, 0.0, 3.0]).rank_tokens(-1)
    assert table["token"].tolist() == [" w1", " w3", " w0", " w2"]
    assert table["position"].tolist() == [1, 3, 0, 2]
    assert table["side"].tolist() == ["prompt", "target", "prompt", "prompt"]
    assert table["score"].tolist() == [-4.0, 3.0, 1.0, 0.0]
    assert table["share"].tolist() == [-0.5, 0.375, 0.125, 0.0]
    assert table["rank"].tolist() == [1, 2, 3, 4]


def test_equal_magnitudes_keep_the_order_of_the_text() -> None:
    scores = [2.0, -1.0, 1.0, 2.0, -1.0] * 8
    table = made(scores).rank_tokens(-1)
    by_hand = sorted(range(len(scores)), key=lambda row: -abs(scores[row]))
    assert table["position"].tolist() == by_hand
    assert made(scores).rank_tokens(1, 3)["position"].tolist() == by_hand[:3]


def test_missing_scores_have_no_row() -> None:
    table = made([1.0, np.nan, 3.0]).rank_tokens(1, k=10)
    assert table["token"].tolist() == [" w2", " w0"]
    first = outputs.causal()[0].rank_tokens(0)
    assert len(first) == 3


def test_the_ranking_agrees_with_the_table_of_all_scores() -> None:
    for one in (outputs.causal(signed=True)[0], outputs.encoder_decoder()[0]):
        whole = one.to_dataframe()
        for step, token in enumerate(one.steps):
            of_step = whole[whole["step_position"] == token.position].sort_values("rank")
            table = one.rank_tokens(step)
            for column in ("score", "share", "rank"):
                np.testing.assert_allclose(table[column], of_step[column], rtol=1e-6)
            assert table["position"].tolist() == of_step["input_position"].tolist()
            assert table["side"].tolist() == of_step["input_side"].tolist()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((4,), ValueError, r"step: 4 given; there are 4, -4 to 3"),
        (("that",), TypeError, r"step: 'that' given; an integer works"),
        ((0, 0), ValueError, r"k: 0 given; choose 1 or more"),
        ((0, 2.5), TypeError, r"k: 2.5 given; an integer works"),
    ],
)
def test_bad_arguments_are_refused(
    arguments: tuple[object, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        outputs.causal()[0].rank_tokens(*arguments)  # type: ignore[arg-type]
