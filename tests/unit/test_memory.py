"""Where memory runs out for a batch of texts, its halves are explained, with the same numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import inseq_widget as iw
from inseq_widget import explainer, explaining
from inseq_widget.methods import layer_integrated, make_method, points
from inseq_widget.methods.base import Job
from inseq_widget.methods.memory import in_halves
from inseq_widget.models.out_of_memory import is_out_of_memory
from inseq_widget.scores.step_functions import probability
from tests.architectures.models import loaded, texts
from tests.architectures.outcomes import quick
from tests.tiny import tiny_llama

TEXTS = ["The sun is", "Good morning", "Water boils at"]
TARGETS = ["The sun is hot", "Good morning to you", "Water boils at one hundred degrees"]


@pytest.mark.parametrize("method", ["saliency", "attention", "occlusion"])
def test_a_batch_that_does_not_fit_is_explained_in_halves(
    tiny: iw.AttributionModel, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = tiny.attribute(TEXTS, TARGETS, method, show_progress=False)
    trace, sizes = tiny._traceable.trace, []

    def failing(examples: list[object], **keywords: object) -> object:
        sizes.append(len(examples))
        if len(examples) > 1:
            raise torch.OutOfMemoryError("no memory for this many texts")
        return trace(examples, **keywords)

    monkeypatch.setattr(tiny._traceable, "trace", failing)
    output = tiny.attribute(TEXTS, TARGETS, method, show_progress=False)
    assert sizes[0] == 3
    assert sizes.count(1) >= 3
    for actual, wanted in zip(output, expected, strict=True):
        np.testing.assert_allclose(actual.scores, wanted.scores, rtol=1e-4, atol=1e-7)


def test_progress_adds_up_when_a_batch_had_to_be_halved(
    tiny: iw.AttributionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    amounts: list[float] = []

    class Bar:
        def __enter__(self) -> object:
            return amounts.append

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(explaining, "progress_bar", lambda *_, **__: Bar())
    own = explainer.labelled_scores
    calls: list[int] = []

    def failing(*arguments: object) -> object:
        calls.append(1)
        if len(calls) == 1:
            raise MemoryError
        return own(*arguments)

    monkeypatch.setattr(explainer, "labelled_scores", failing)
    tiny.attribute(TEXTS, TARGETS, "saliency")
    assert sum(amounts) == pytest.approx(len(TEXTS))
    assert min(amounts) < 0


def test_a_single_text_that_does_not_fit_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(numbers: object) -> object:
        raise torch.OutOfMemoryError("no memory")

    with pytest.raises(torch.OutOfMemoryError, match="no memory"):
        list(in_halves([0, 1, 2], run))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("can't allocate memory"), False),
    ],
)
def test_errors_about_memory_are_told_from_others(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize(
    "method",
    [
        "integrated_gradients",
        "sequential_integrated_gradients",
        "discretized_integrated_gradients",
        "gradient_shap",
        "smooth_grad",
        "layer_integrated_gradients",
    ],
)
def test_memory_that_runs_out_on_the_way_back_makes_fewer_points_go_together(
    method: str, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explained() -> np.ndarray:
        (sequence,) = model.attribute(text, target, method, show_progress=False, **quick(method))
        return sequence.scores.to_numpy()

    model = loaded("Llama")
    text, target = texts("Llama")
    monkeypatch.setattr(points, "_ROWS_AT_ONCE", {"cpu": 1})  # several times back
    monkeypatch.setattr(layer_integrated, "_ROWS_AT_ONCE", {"cpu": 1})
    expected, grad, back, refused = explained(), torch.autograd.grad, [], []

    def short_of_memory(*arguments: object, **keywords: object) -> object:
        if keywords.get("is_grads_batched"):
            n_points = keywords["grad_outputs"].shape[1]
            back.append(n_points)
            if n_points > 1 and len(back) >= at:
                refused.append(n_points)
                raise torch.OutOfMemoryError("no memory for the way back of this many points")
        return grad(*arguments, **keywords)

    monkeypatch.setattr(torch.autograd, "grad", short_of_memory)
    actual = explained()
    assert refused
    largest = np.nanmax(np.abs(expected))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-9 * largest)


@pytest.mark.parametrize(
    ("method", "keywords"),
    [
        ("integrated_gradients", {"n_steps": 6, "tolerance": 0.5}),
        ("sequential_integrated_gradients", {"n_steps": 3, "return_convergence_delta": True}),
        ("sequential_integrated_gradients", {"n_steps": 6, "tolerance": 0.5}),
        ("discretized_integrated_gradients", {"n_steps": 6, "tolerance": 0.5, "n_neighbors": 5}),
        ("gradient_shap", {"stdevs": 0.1, "return_convergence_delta": True}),
        ("layer_integrated_gradients", {"n_steps": 6, "tolerance": 0.5, "target_layer": 0}),
    ],
)
@pytest.mark.filterwarnings("ignore:tolerance:UserWarning")
def test_memory_that_runs_out_without_a_graph_makes_fewer_points_go_together(
    method: str, keywords: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def explained() -> tuple[np.ndarray, dict[str, torch.Tensor]]:
        (sequence,) = model.attribute(text, target, method, show_progress=False, **keywords)
        return sequence.scores.to_numpy(), sequence.step_scores

    model = loaded("Llama")
    text, target = texts("Llama")
    expected, reported = explained()
    forward, refused = model.model.forward, []

    def short_of_memory(*arguments: object, **options: object) -> object:
        n_points = len(options["input_ids"])
        layers_are_looked_for = options["input_ids"].shape[1] == 3  # in a text of their own
        if n_points > 1 and not torch.is_grad_enabled() and not layers_are_looked_for:
            refused.append(n_points)
            raise torch.OutOfMemoryError("no memory for this many points")
        return forward(*arguments, **options)

    monkeypatch.setattr(model.model, "forward", short_of_memory)
    actual, scores = explained()
    assert refused
    largest = np.nanmax(np.abs(expected))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-9 * largest)
    for name, values in reported.items():
        np.testing.assert_allclose(scores[name], values, rtol=1e-9, atol=1e-12)


def test_a_list_of_experts_is_no_list_of_layers() -> None:
    model = loaded("Llama")
    text, target = texts("Llama")
    method = make_method("integrated_gradients", {})
    traceable = model._traceable
    (example,) = traceable.examples([text], [target], {}, (None, None), None)
    trace = method.trace(traceable, [example])
    job = Job(traceable, trace, probability, False, 0, lambda _: None)
    expected = points.bytes_of_a_graph(points.Text(job, 0))
    model.model.model.layers[0].mlp.experts = nn.ModuleList(nn.Identity() for _ in range(50))
    assert points.bytes_of_a_graph(points.Text(job, 0)) == expected


def test_an_error_of_another_kind_is_not_tried_again(tokenizer: object) -> None:
    model = iw.load_model(tiny_llama(), "saliency", tokenizer=tokenizer)
    runs: list[int] = []

    def failing(*_: object) -> None:
        runs.append(1)
        raise RuntimeError("something else")

    model.model.model.register_forward_hook(failing)
    with pytest.raises(RuntimeError, match="something else"):
        model.attribute(TEXTS, TARGETS, show_progress=False)
    assert len(runs) == 1
