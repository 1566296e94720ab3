"""Sequences and outputs are added, subtracted and scaled, score by score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

import inseq_widget as iw
from inseq_widget.results.labelling import labelled
from tests.unit import outputs

Sequence = iw.FeatureAttributionSequenceOutput


def with_features(seed: int, reduction: str = "sum", n_layers: int = 0) -> Sequence:
    """Make a sequence with every feature (and layer) of its scores, and what methods reduce."""
    one = outputs.causal(signed=reduction == "sum")[0]
    sizes = (*one.scores.shape, *([n_layers] if n_layers else []), 5)
    values = np.random.default_rng(seed).normal(size=sizes)
    values[np.isnan(one.scores.to_numpy())] = np.nan
    layers = ["layer"] if n_layers else []
    arrays = {
        "raw": labelled(values, one.inputs, one.steps, [*layers, "feature"]),
        "norm": labelled(np.linalg.norm(values, axis=-1), one.inputs, one.steps, layers),
        "sum": labelled(values.sum(-1), one.inputs, one.steps, layers),
    }
    if n_layers:
        names = [f"block {number}" for number in range(n_layers)]
        arrays = {name: a.assign_coords(layer=("layer", names)) for name, a in arrays.items()}
    for array in arrays.values():
        array.attrs["n_features"] = 5
    return replace(one, kept=arrays, reduction=reduction)


def without(sequence: Sequence, *names: str) -> Sequence:
    kept = {name: array for name, array in sequence.kept.items() if name not in names}
    return replace(sequence, kept=kept)


def raw(sequence: Sequence) -> np.ndarray:
    return sequence.raw_scores.to_numpy()


@pytest.mark.parametrize("n_layers", [0, 3])
def test_a_difference_is_the_first_minus_the_second(n_layers: int) -> None:
    a, b = with_features(1, n_layers=n_layers), with_features(2, n_layers=n_layers)
    difference = a - b
    np.testing.assert_allclose(raw(difference), raw(a) - raw(b), rtol=1e-12)
    features = raw(a) - raw(b)
    by_reduction = {
        "sum": features.sum(-1),
        "norm": np.sqrt((features**2).sum(-1)),
        "mean": features.mean(-1),
    }
    for reduction, expected in by_reduction.items():
        expected = expected.mean(-1) if n_layers else expected
        np.testing.assert_allclose(difference.reduce(reduction), expected, rtol=1e-12)
    assert difference.raw_scores.dims == a.raw_scores.dims
    if n_layers:
        names = difference.raw_scores.layer.to_numpy().tolist()
        assert names == ["block 0", "block 1", "block 2"]


@pytest.mark.parametrize("n_layers", [0, 3])
def test_sums_over_features_subtract_without_the_features(n_layers: int) -> None:
    a, b = with_features(1, n_layers=n_layers), with_features(2, n_layers=n_layers)
    expected = (a - b).reduce("sum")
    for first, second in [
        (without(a, "raw"), without(b, "raw")),
        (a, without(b, "raw")),
        (without(a, "raw"), without(b, "norm", "sum")),
    ]:
        difference = first - second
        assert set(difference.kept) == {"sum"}
        np.testing.assert_allclose(difference.scores, expected, rtol=1e-9)
        np.testing.assert_allclose(difference.reduce("mean"), expected / 5, rtol=1e-9)


def test_norms_do_not_subtract() -> None:
    a, b = (without(with_features(seed, "norm"), "raw") for seed in (1, 2))
    a.info["score_label"] = b.info["score_label"] = "gradient, norm over features"
    difference = a - b
    assert difference.reduction == difference.info["reduction"] == "sum"
    assert difference.info["score_label"] == "difference of gradient, sum over features"
    assert difference.info["signed"]
    np.testing.assert_allclose(difference.scores, a.reduce("sum") - b.reduce("sum"), rtol=1e-12)
    with pytest.raises(ValueError, match=r"only norms over features.*granular=True.*aggregate\(\)"):
        _ = without(a, "sum") - b


def test_the_norm_of_a_difference_has_no_sign() -> None:
    difference = with_features(1, "norm") - with_features(2, "norm")
    assert difference.reduction == "norm"
    assert not difference.info["signed"]
    assert (with_features(1) - with_features(2)).info["signed"]


def test_tokens_that_differ_read_as_a_pair() -> None:
    first = outputs.causal(("The", " nurse", " said"), (" she", " left"), signed=True)[0]
    second = outputs.causal(("The", " doctor", " said"), (" he", " left"), signed=True, seed=3)[0]
    for sequence in (first, second):
        for tokens in (sequence.source, sequence.target):
            tokens[:] = [replace(token, id=len(token.text)) for token in tokens]
    difference = first - second
    target = [(token.text, token.piece, token.id) for token in difference.target]
    assert target == [
        ("The", "The", 3),
        (" nurse → doctor", " nurse →  doctor", -1),
        (" said", " said", 5),
        (" she → he", " she →  he", -1),
        (" left", " left", 5),
    ]
    assert difference.source == difference.target[:3]
    assert [token.position for token in difference.target] == [0, 1, 2, 3, 4]
    assert difference.scores.coords["input"].to_numpy().tolist()[1] == "nurse → doctor"
    assert difference.scores.coords["step"].to_numpy().tolist() == ["she → he", "left"]
    assert difference.scores.coords["step_id"].to_numpy().tolist() == [-1, 5]
    np.testing.assert_allclose(
        difference.scores, first.scores.to_numpy() - second.scores.to_numpy()
    )
    with pytest.raises(ValueError, match=r"inputs: .* differ at number 1: 'nurse' \(id 6\) and"):
        _ = first + second


def test_step_scores_subtract_where_both_have_them() -> None:
    a, b = (outputs.causal(signed=True)[0] for _ in range(2))
    b.step_scores = {"probability": torch.full((4,), 0.25), "entropy": torch.ones(4)}
    a.sequence_scores = {"encoder_self": torch.ones(2, 2), "decoder_self": torch.ones(3, 3)}
    b.sequence_scores = {"encoder_self": torch.full((2, 2), 0.75)}
    difference = a - b
    expected = np.linspace(0.9, 0.1, 4) - 0.25
    assert set(difference.step_scores) == {"probability"}
    np.testing.assert_allclose(difference.step_scores["probability"], expected, atol=1e-6)
    assert set(difference.sequence_scores) == {"encoder_self"}
    np.testing.assert_allclose(difference.sequence_scores["encoder_self"], 0.25)


def test_sums_keep_the_step_scores_that_agree() -> None:
    a, b = with_features(1), with_features(2)
    b.step_scores = {**b.step_scores, "deltas": torch.zeros(4)}
    a.step_scores = {**a.step_scores, "deltas": torch.ones(4)}
    total = a + b
    np.testing.assert_allclose(raw(total), raw(a) + raw(b), rtol=1e-12)
    assert set(total.step_scores) == {"probability"}
    np.testing.assert_array_equal(total.step_scores["probability"], a.step_scores["probability"])
    mean = (a + b) / 2
    np.testing.assert_allclose(raw(mean), np.mean([raw(a), raw(b)], axis=0), rtol=1e-12)


def test_scaling_scales_every_reduction() -> None:
    a = with_features(1)
    for scaled, factor in [(a * 3, 3), (3 * a, 3), (a / 4, 0.25), (-a, -1), (a * np.float32(2), 2)]:
        for sequence in (scaled, without(scaled, "raw"), without(scaled, "norm", "sum")):
            features = raw(a) * factor
            np.testing.assert_allclose(sequence.reduce("sum"), features.sum(-1), rtol=1e-9)
            norms = np.sqrt((features**2).sum(-1))
            np.testing.assert_allclose(sequence.reduce("norm"), norms, rtol=1e-9)
            np.testing.assert_allclose(sequence.reduce("mean"), features.mean(-1), rtol=1e-9)
        np.testing.assert_array_equal(
            scaled.step_scores["probability"], a.step_scores["probability"]
        )


def test_magnitudes_are_those_of_the_scores_that_are_shown() -> None:
    for a in (with_features(1), without(with_features(1), "raw"), with_features(1, n_layers=2)):
        magnitudes = abs(a)
        np.testing.assert_allclose(magnitudes.scores, np.abs(a.scores.to_numpy()))
        assert not magnitudes.is_reduced
        assert not magnitudes.info["signed"]
    for name, total in with_features(1).get_scores_dicts(do_aggregation=False).items():
        assert set(total) == set(abs(with_features(1)).get_scores_dicts()[name])


@pytest.mark.parametrize(
    ("operation", "label", "signed"),
    [
        (lambda a: a - a, "difference of gradient norm", True),
        (lambda a: a + a, "sum of gradient norm", False),
        (lambda a: 2 * a, "2 × gradient norm", False),
        (lambda a: a / 2, "0.5 × gradient norm", False),
        (lambda a: -a, "-1 × gradient norm", True),
        (lambda a: abs(-a), "magnitude of -1 × gradient norm", False),
    ],
)
def test_the_label_and_the_sign_follow(
    operation: Callable[[Sequence], Sequence], label: str, signed: bool
) -> None:
    one = outputs.causal()[0]
    one = replace(one, kept={"raw": one.scores})  # one number each, as after aggregation
    result = operation(one)
    assert result.info["score_label"] == label
    assert result.info["signed"] is signed
    assert result.info["aggregation"]
    assert one.info["aggregation"] == []


def test_results_share_nothing_with_what_they_were_made_of() -> None:
    a, b = with_features(1), with_features(2)
    before = raw(a).copy()
    for result in (a - b, a + b, 2 * a, abs(a)):
        for array in result.kept.values():
            array[:] = 0
        result.step_scores["probability"][:] = 7
        result.target.clear()
        result.info["input_texts"].append("more")
    np.testing.assert_array_equal(raw(a), before)
    np.testing.assert_array_equal(without(a, "raw").reduce("sum"), before.sum(-1))
    assert float(a.step_scores["probability"][0]) == pytest.approx(0.9)
    assert len(a.target) == 7
    assert a.info["input_texts"] == []


def test_sequences_of_different_shape_are_refused() -> None:
    a = with_features(1)
    shorter = outputs.causal(("The", " nurse"))[0]
    with pytest.raises(ValueError, match=r"source: 3 tokens in the first and 2 tokens in"):
        _ = a - shorter
    window = a.select(steps=slice(0, 3))
    later = a.select(steps=slice(1, 4))
    with pytest.raises(ValueError, match=r"inputs: 5 tokens in the first and 6 tokens"):
        _ = window - later
    with pytest.raises(ValueError, match=r"one number for each .* aggregate\(\) both or none"):
        _ = without(a, "raw") - abs(a)
    with pytest.raises(ValueError, match=r"scores: dimensions \{'feature': 5\} .* and \{\}"):
        _ = a - abs(a)
    with pytest.raises(ValueError, match=r"factor: inf given; a finite number"):
        _ = a * float("inf")
    with pytest.raises(ZeroDivisionError):
        _ = a / 0
    for operation in (lambda: a - 1, lambda: a + "1", lambda: a * a, lambda: a / None):
        with pytest.raises(TypeError, match="unsupported operand"):
            operation()


def test_outputs_subtract_and_scale_sequence_by_sequence() -> None:
    first = outputs.batch(outputs.causal(signed=True), outputs.causal(signed=True, seed=1))
    second = outputs.batch(outputs.causal(signed=True, seed=2), outputs.causal(signed=True, seed=3))
    second.info.update(attribution_method="occlusion", exec_time=2.0)
    difference = first - second
    assert difference.live_model is None
    assert difference.info["attribution_method"] == "input_x_gradient − occlusion"
    assert difference.info["exec_time"] == 2.5
    assert difference.info["aggregation"] == difference[0].info["aggregation"]
    for d, a, b in zip(difference, first, second, strict=True):
        np.testing.assert_allclose(d.scores, a.scores.to_numpy() - b.scores.to_numpy())
    for result, factor in [(2 * first, 2), (first * 2, 2), (first / 2, 0.5), (-first, -1)]:
        for d, a in zip(result, first, strict=True):
            np.testing.assert_allclose(d.scores, a.scores.to_numpy() * factor)
    for d, a in zip(abs(first), first, strict=True):
        np.testing.assert_allclose(d.scores, np.abs(a.scores.to_numpy()))
    assert not abs(first).info["signed"]
    with pytest.raises(ValueError, match=r"sequence_attributions: 2 in the first and 1"):
        _ = first - first[:1]
    with pytest.raises(TypeError, match="unsupported operand"):
        _ = first - 1


def test_methods_that_differ_are_both_named() -> None:
    a, b = with_features(1), with_features(2)
    b.info["attribution_method"] = "occlusion"
    b.info["score_label"] = "change of the output"
    difference = a - b
    assert difference.info["attribution_method"] == "input_x_gradient − occlusion"
    assert difference.info["score_label"] == "(gradient norm) − (change of the output)"
    assert difference.info["aggregation"] == ["occlusion of another result subtracted"]


def test_attributions_of_a_model_subtract(tiny: iw.AttributionModel) -> None:
    texts = ["The nurse said", "The doctor said"]
    full = [f"{text} she slept" for text in texts]
    out = tiny.attribute(texts, full, "input_x_gradient", granular=True, show_progress=False)
    difference = out[0] - out[1]
    expected = raw(out[0]) - raw(out[1])
    np.testing.assert_allclose(difference.scores, expected.sum(-1), rtol=1e-4, atol=1e-9)
    assert difference.inputs[1].text == " nurse → doctor"
    attended = tiny.attribute(texts, full, "attention", show_progress=False)
    by_head = attended[0] - attended[1]
    assert by_head.raw_scores.dims == ("input", "step", "layer", "head")
    np.testing.assert_allclose(
        by_head.scores, (raw(attended[0]) - raw(attended[1])).mean((2, 3)), atol=1e-7
    )
