"""Numbers that are none, only once inputs were taken away, are reported; no error is hidden."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import inseq_widget as iw
from inseq_widget.methods.assembly import labelled_scores
from inseq_widget.methods.base import BatchScores
from inseq_widget.methods.zeroing import LayerWithoutTokens
from inseq_widget.models import Example
from inseq_widget.models.reruns import Reruns
from inseq_widget.results import Token
from inseq_widget.scores import StepFunctionArgs
from inseq_widget.scores.step_functions import probability
from tests.architectures.models import loaded, texts
from tests.architectures.outcomes import quick
from tests.architectures.untouched import left_as_it_was

OF_CACHE = "past_key_values"


class NoNumbers(nn.Module):
    """Gives what a module gives, but no numbers where it takes what is meant."""

    def __init__(self, module: nn.Module, meant: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.module, self.meant = module, meant

    def forward(self, hidden: Tensor) -> Tensor:
        return self.module(torch.where(self.meant(hidden)[..., None], torch.nan, hidden))


def attribute(
    model: iw.AttributionModel, name: str, method: str, **keywords: object
) -> iw.FeatureAttributionOutput:
    text, target = texts(name)
    keywords = {**quick(method), **keywords}
    return model.attribute(text, target, method, show_progress=False, **keywords)


def break_at(model: iw.AttributionModel, strange: list[Tensor]) -> str:
    """Break a Llama where one of these embeddings stands; give the path of what breaks."""

    def meant(hidden: Tensor) -> Tensor:
        return torch.stack([(hidden - each).abs().amax(-1) < 1e-12 for each in strange]).any(0)

    layer = model.model.model.layers[0]
    layer.input_layernorm = NoNumbers(layer.input_layernorm, meant)
    return r"model\.layers\.0\.input_layernorm"


REPLACED = r"logits of a text with tokens replaced for '\w+' \(position \d+\) are not numbers"


@pytest.mark.parametrize(
    "method", ["occlusion", "feature_ablation", "shapley_value_sampling", "kernel_shap", "lime"]
)
def test_logits_that_only_the_baseline_breaks_are_reported(method: str) -> None:
    model = loaded("Llama")
    path = break_at(model, [torch.zeros(())])
    assert np.isfinite(attribute(model, "Llama", "attention")[0].scores).any()
    with left_as_it_was(model.model), pytest.raises(ValueError, match=f"{REPLACED}.*from {path}"):
        attribute(model, "Llama", method, baseline="zero")


def test_logits_that_only_other_tokens_break_are_reported() -> None:
    model = loaded("Llama")
    embeddings = model.model.get_input_embeddings().weight.detach()
    read = model.tokenizer(texts("Llama")[1])["input_ids"]
    others = [row for number, row in enumerate(embeddings) if number not in read]
    path = break_at(model, others)
    with left_as_it_was(model.model), pytest.raises(ValueError, match=f"{REPLACED}.*from {path}"):
        attribute(model, "Llama", "reagent")


def test_an_encoder_that_the_baseline_breaks_is_reported() -> None:
    model = loaded("BART")
    encoder = model.model.get_encoder()
    encoder.embed_positions.weight.data.zero_()  # so that zeros get to the norm
    norm = NoNumbers(encoder.layernorm_embedding, lambda given: given.abs().amax(-1) == 0)
    encoder.layernorm_embedding = norm
    assert np.isfinite(attribute(model, "BART", "attention")[0].scores).any()
    with pytest.raises(ValueError, match=rf"{REPLACED}.*come from .*encoder\.layernorm_embedding"):
        attribute(model, "BART", "occlusion", baseline="zero")


def test_a_baseline_that_is_no_number_is_told_from_a_broken_model() -> None:
    model = loaded("Llama")
    weight = model.model.get_input_embeddings().weight
    never_read = model.tokenizer.get_vocab()["degrees"]
    weight.data[never_read] = torch.nan
    with pytest.raises(ValueError, match=rf"{REPLACED}.*embeddings that stand in for tokens"):
        attribute(model, "Llama", "occlusion", baseline="degrees")


@pytest.mark.parametrize("packed", [True, False])
def test_a_layer_that_breaks_without_a_tokens_values_is_named(
    packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = loaded("Llama")
    attention = model.model.model.layers[1].self_attn
    # The first position attends to itself alone: without its values nothing is left.
    attention.o_proj = NoNumbers(attention.o_proj, lambda given: given.abs().amax(-1) < 1e-12)
    if not packed:

        def unsuited(*_: object) -> Tensor:
            raise ValueError("pairs do not fill the places of these sequences")

        monkeypatch.setattr(LayerWithoutTokens, "_packed", unsuited)
    named = (
        r"hidden states without the values of 'the' for 'nurse' \(position 1\) are not numbers"
        r".* come from model\.layers\.1\.self_attn\.o_proj"
    )
    with left_as_it_was(model.model), pytest.raises(ValueError, match=named):
        model.attribute("the", "the nurse said", "value_zeroing", show_progress=False)


def distance_from_half(args: StepFunctionArgs) -> Tensor:
    return torch.sqrt(probability(args) - 0.5)


def surprise_of_nothing(args: StepFunctionArgs) -> Tensor:
    return -torch.log(probability(args) * 0)


@pytest.mark.parametrize("method", ["occlusion", "lime", "shapley_value_sampling"])
@pytest.mark.parametrize(
    ("function", "gave"), [(distance_from_half, "nan"), (surprise_of_nothing, "inf")]
)
def test_a_step_function_that_gives_no_numbers_is_named(
    method: str, function: Callable[[StepFunctionArgs], Tensor], gave: str
) -> None:
    model = loaded("Llama")
    named = rf"attributed_fn: {function.__name__} gave {gave} for 'she' \(position 4\)"
    with pytest.raises(ValueError, match=named):
        attribute(model, "Llama", method, attributed_fn=function)


def example() -> Example:
    target = tuple(
        Token(word, number, word, number, "target", False, number)
        for number, word in enumerate("abcd")
    )
    return Example((), target, 2, 2, 4)


def finished(scores: Tensor) -> BatchScores:
    return BatchScores({"raw": {"target": scores[None]}}, ("layer",) if scores.dim() > 2 else ())


@pytest.mark.parametrize("broken", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("shape", [(3, 2), (3, 2, 4)])
def test_a_finished_score_that_is_no_number_is_reported_once(
    broken: float, shape: tuple[int, ...]
) -> None:
    scores = torch.zeros(shape, dtype=torch.float64)
    scores[2, 0] = broken  # comes after that step
    assert labelled_scores(finished(scores), example(), 0)["raw"][2, 0].isnull().all()
    scores[1].view(2, -1)[1, -1] = broken
    named = r"attributed_fn, model: the score of 'b' \(position 1\) for 'd' \(position 3\)"
    with pytest.raises(ValueError, match=named):
        labelled_scores(finished(scores), example(), 0)


def test_what_has_no_score_at_any_step_has_none_on_purpose() -> None:
    scores = torch.zeros(3, 2, 4)
    scores[1], scores[:, :, 2] = torch.nan, torch.nan
    array = labelled_scores(finished(scores), example(), 0)["raw"]
    assert int(array[:2].isnull().sum()) == 2 * 4 + 2


class BrokenError(Exception):
    """A fault of whoever listens to the model."""


def reruns(model: iw.AttributionModel) -> Reruns:
    text, target = texts("Llama")
    (one,) = model._traceable.examples([text], [target], {}, (None, None), None)
    return Reruns(model._traceable, one)


def shared_length(keywords: dict[str, object]) -> int:
    cache = keywords.get(OF_CACHE)
    return 0 if cache is None or not cache.layers else cache.layers[0].get_seq_length()


def failing_with_cache(
    model: iw.AttributionModel, error: Exception, *, behind: bool
) -> Callable[..., object]:
    forward = model.model.forward

    def failing(*args: object, **keywords: object) -> object:
        if (shared_length(keywords) > 0) if behind else (keywords.get(OF_CACHE) is not None):
            raise error
        return forward(*args, **keywords)

    return failing


ERRORS = [
    BrokenError("a hook's"),
    ZeroDivisionError("a bug's"),
    torch.OutOfMemoryError("of a graphics card"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    MemoryError(),
]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize("behind", [False, True])
def test_an_error_that_is_no_refusal_of_a_cache_is_not_hidden(
    error: Exception, behind: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = loaded("Llama")
    monkeypatch.setattr(model.model, "forward", failing_with_cache(model, error, behind=behind))
    with pytest.raises(type(error)):
        assert reruns(model).shares_prefix is None


@pytest.mark.parametrize(
    "error", [TypeError("past_key_values"), NotImplementedError(), KeyError("x"), RuntimeError("x")]
)
@pytest.mark.parametrize("behind", [False, True])
def test_a_model_that_refuses_a_cache_runs_whole_with_the_same_scores(
    error: Exception, behind: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = loaded("Llama")
    expected = attribute(model, "Llama", "occlusion")[0].scores
    monkeypatch.setattr(model.model, "forward", failing_with_cache(model, error, behind=behind))
    assert not reruns(model).shares_prefix
    actual = attribute(model, "Llama", "occlusion")[0].scores
    np.testing.assert_allclose(actual, expected, rtol=1e-9)


@pytest.mark.parametrize(("at", "shared"), [(1, False), (5, False), (None, True)])
def test_a_prefix_is_shared_only_where_runs_agree_behind_short_and_long_ones(
    at: int | None, shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = loaded("Llama", torch.float32)
    forward = model.model.forward

    def imprecise(*args: object, **keywords: object) -> object:
        behind = shared_length(keywords)  # before the run adds to it
        output = forward(*args, **keywords)
        if behind == at:
            output.logits = output.logits + 1e-4 * output.logits.abs().max()
        return output

    monkeypatch.setattr(model.model, "forward", imprecise)
    assert reruns(model).shares_prefix is shared


def test_zeroing_that_runs_out_of_memory_does_not_change_its_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = loaded("Llama")
    tried: list[int] = []

    def full(_: LayerWithoutTokens, rows: Tensor, *__: object) -> Tensor:
        tried.append(len(rows))
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")

    monkeypatch.setattr(LayerWithoutTokens, "_packed", full)
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        attribute(model, "Llama", "value_zeroing")
    assert len(tried) == len(set(tried))  # smaller each time, and none tried again alone
