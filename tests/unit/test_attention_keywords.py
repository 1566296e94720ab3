"""Methods on attention refuse what cannot be meant, and take the short way where there is one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from torch import Tensor
from transformers import PreTrainedTokenizerBase

import inseq_widget as iw
from inseq_widget.methods import zeroing
from inseq_widget.models.recording import RecordedLayer
from tests.tiny import tiny_llama

TEXT, TARGET = "The nurse said", "The nurse said she was tired."


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"similarity_metric": "manhattan"}, "similarity_metric: 'manhattan'.*cosine, euclidean"),
        ({"decoder_zeroed_units_indices": "all"}, "decoder_zeroed_units_indices: 'all'"),
        ({"decoder_zeroed_units_indices": []}, "decoder_zeroed_units_indices: \\[\\]"),
        ({"decoder_zeroed_units_indices": (0, 1, 2)}, r"a range \(start, end\)"),
        ({"decoder_zeroed_units_indices": 2}, "have 2 heads, 0 to 1"),
        ({"decoder_zeroed_units_indices": (1, 1)}, r"\(1, 1\) given"),
        ({"decoder_zeroed_units_indices": {7: 0}}, "layers go from 0 to 1"),
        ({"cross_zeroed_units_indices": 0}, "no cross-attention"),
    ],
)
def test_value_zeroing_names_what_is_wrong(
    keywords: dict[str, object], message: str, tiny: iw.AttributionModel
) -> None:
    with pytest.raises(ValueError, match=message):
        tiny.attribute(TEXT, TARGET, "value_zeroing", show_progress=False, **keywords)


def test_pairs_of_rows_and_tokens_run_together(
    monkeypatch: pytest.MonkeyPatch, tiny: iw.AttributionModel
) -> None:
    runs: list[int] = []
    run = RecordedLayer.run

    def counted(layer: RecordedLayer, hidden: Tensor) -> Tensor:
        runs.append(hidden.shape[0] * hidden.shape[1])
        return run(layer, hidden)

    monkeypatch.setattr(RecordedLayer, "run", counted)
    (sequence,) = tiny.attribute(TEXT, TARGET, "value_zeroing", show_progress=False)
    n_positions = sequence.attr_pos_end - 1
    n_pairs = int(np.isfinite(sequence.raw_scores[:, :, 0]).sum())
    # The pairs of each of the two layers, a few rows to try and what fills the last sequence.
    assert sum(runs) < 2 * (n_pairs + 4 + n_positions)
    assert len(runs) == 2


def test_a_layer_that_does_not_allow_it_runs_once_for_each_token_with_the_same_scores(
    monkeypatch: pytest.MonkeyPatch, tokenizer: PreTrainedTokenizerBase
) -> None:
    double = tiny_llama().double()
    for parameter in double.parameters():  # as they are made, layers hardly mix tokens
        parameter.data *= 4
    model = iw.load_model(double, "value_zeroing", tokenizer=tokenizer)
    (packed,) = model.attribute(TEXT, TARGET, show_progress=False)
    one_by_one: list[int] = []
    run = zeroing.LayerWithoutTokens._one_token_after_the_other

    def counted(
        layer: zeroing.LayerWithoutTokens, rows: Tensor, tokens: Tensor, observed: zeroing.Observed
    ) -> Iterator[Tensor]:
        one_by_one.append(len(tokens))
        return run(layer, rows, tokens, observed)

    monkeypatch.setattr(zeroing, "close", lambda actual, expected: False)
    monkeypatch.setattr(zeroing.LayerWithoutTokens, "_one_token_after_the_other", counted)
    (alone,) = model.attribute(TEXT, TARGET, show_progress=False)
    assert len(one_by_one) == 2
    np.testing.assert_allclose(alone.raw_scores, packed.raw_scores, atol=1e-9)


@pytest.mark.parametrize("method", ["value_zeroing", "alti_logit"])
def test_an_interrupt_leaves_the_model_as_it_was(
    method: str, monkeypatch: pytest.MonkeyPatch, tiny: iw.AttributionModel
) -> None:
    def interrupted(layer: RecordedLayer, hidden: Tensor) -> Tensor:
        raise KeyboardInterrupt

    model = tiny.model
    before = model.config._attn_implementation
    monkeypatch.setattr(RecordedLayer, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tiny.attribute(TEXT, TARGET, method, show_progress=False)
    assert model.config._attn_implementation == before
    for module in model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
        assert "forward" not in module.__dict__
