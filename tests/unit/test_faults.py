"""Whatever goes wrong in the middle of a method is reported, and leaves nothing behind."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import inseq_widget as iw
from inseq_widget.methods import make_method
from inseq_widget.methods.chunking import ChunkSizer
from inseq_widget.models.precision import at_least_single
from inseq_widget.scores import StepFunctionArgs
from tests.architectures.models import in_training, loaded, texts
from tests.architectures.outcomes import methods, quick
from tests.architectures.refusals import refuses
from tests.architectures.untouched import left_as_it_was

# GPT-J attends on its own, not through transformers' attention interface.
NAMES = ("Llama", "BART", "GPT-J")
# The methods that differentiate; the others never do.
DIFFERENTIATING = {
    "attnlrp",
    "deeplift",
    "discretized_integrated_gradients",
    "gradient_shap",
    "input_x_gradient",
    "integrated_gradients",
    "layer_deeplift",
    "layer_gradient_x_activation",
    "layer_integrated_gradients",
    "saliency",
    "sequential_integrated_gradients",
    "smooth_grad",
}


@pytest.fixture(scope="module", autouse=True)
def _one_thread(_two_threads: None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=NAMES)
def made_once(request: pytest.FixtureRequest) -> tuple[str, iw.AttributionModel]:
    model = in_training(request.param)
    assert drops_out(model.model)
    assert len({parameter.requires_grad for parameter in model.model.parameters()}) == 2
    return request.param, model


@pytest.fixture
def tiny_model(
    made_once: tuple[str, iw.AttributionModel],
) -> Iterator[tuple[str, iw.AttributionModel]]:
    # What only the first run changes would be the same before and after a second one.
    with left_as_it_was(made_once[1].model):
        yield made_once


def drops_out(model: nn.Module) -> bool:
    ids = torch.arange(4, 12)[None]
    with torch.no_grad(), torch.random.fork_rng():
        once, again = (model(input_ids=ids).logits for _ in range(2))
    return not torch.equal(once, again)


def attribute(
    model: iw.AttributionModel, name: str, method: str, **keywords: object
) -> iw.FeatureAttributionOutput:
    text, target = texts(name)
    return model.attribute(
        text, target, method, show_progress=False, **{**quick(method), **keywords}
    )


class BrokenError(Exception):
    """Something that goes wrong."""


class Countdown:
    """Raises an error from the n-th time on that it is called, and counts."""

    def __init__(self, error: BaseException | None = None, at: int = 0) -> None:
        self.error, self.at, self.calls = error, at, 0

    def __call__(self, *_: object, **__: object) -> None:
        self.calls += 1
        if self.error is not None and self.calls >= self.at:
            raise self.error


def last_norm(model: nn.Module) -> nn.Module:
    return next(m for m in reversed(list(model.modules())) if "Norm" in type(m).__name__)


@pytest.mark.parametrize("error", [BrokenError, KeyboardInterrupt])
@pytest.mark.parametrize("method", methods())
def test_a_failure_inside_of_the_model_leaves_everything_as_it_was(
    tiny_model: tuple[str, iw.AttributionModel], method: str, error: type[BaseException]
) -> None:
    name, model = tiny_model
    assert not refuses(method, name)
    norm = last_norm(model.model)
    attribute(model, name, method)  # what is found out about a model once is known from here on
    counted = Countdown()
    hook = norm.register_forward_hook(counted)
    attribute(model, name, method)
    hook.remove()
    for at in sorted({1, counted.calls // 2 + 1, counted.calls}):
        with left_as_it_was(model.model):
            hook = norm.register_forward_hook(Countdown(error(), at))
            try:
                with pytest.raises(error):
                    attribute(model, name, method)
            finally:
                hook.remove()


@pytest.mark.parametrize("method", methods())
def test_a_failure_on_the_way_back_leaves_everything_as_it_was(
    tiny_model: tuple[str, iw.AttributionModel], method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, model = tiny_model
    own, counted = torch.autograd.grad, Countdown()

    def failing(*arguments: object, **keywords: object) -> tuple[Tensor, ...]:
        counted()
        return own(*arguments, **keywords)

    monkeypatch.setattr(torch.autograd, "grad", failing)
    attribute(model, name, method)
    assert bool(counted.calls) == (method in DIFFERENTIATING)
    places = sorted({1, counted.calls}) if counted.calls else []
    for error in (BrokenError, KeyboardInterrupt):
        for at in places:
            counted = Countdown(error(), at)
            with left_as_it_was(model.model), pytest.raises(error):
                attribute(model, name, method)


@pytest.mark.parametrize("method", methods())
def test_an_interrupt_between_pieces_of_work_keeps_the_texts_that_were_finished(
    tiny_model: tuple[str, iw.AttributionModel], method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, model = tiny_model
    assert not refuses(method, name)
    text, target = texts(name)
    kind = type(make_method(method, quick(method)))
    own, runs = kind.attribute, []

    def interrupted(self: object, job: object) -> object:
        runs.append(job)
        if len(runs) == 2:
            job = dataclasses.replace(job, advance=Countdown(KeyboardInterrupt(), 1))
        return own(self, job)

    expected = attribute(model, name, method)
    monkeypatch.setattr(kind, "attribute", interrupted)
    with left_as_it_was(model.model), pytest.raises(iw.AttributionInterrupted) as caught:
        model.attribute(
            [text, text],
            [target, target],
            method,
            batch_size=1,
            show_progress=False,
            **quick(method),
        )
    assert caught.value.partial is not None
    (finished,) = caught.value.partial
    np.testing.assert_allclose(finished.scores, expected[0].scores, rtol=1e-5)
    assert not model.lock._is_owned()


@pytest.mark.parametrize("method", methods())
def test_running_out_of_memory_halves_the_chunk_and_gives_the_same_scores(
    tiny_model: tuple[str, iw.AttributionModel], method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, model = tiny_model
    assert not refuses(method, name)
    expected = attribute(model, name, method)[0].scores
    run, rows_tried = ChunkSizer.run, []

    def failing(self: ChunkSizer, chunk: Callable[[int], object]) -> tuple[object, int]:
        def out_of_memory(rows: int) -> object:
            rows_tried.append(rows)
            if rows > 1:
                raise torch.OutOfMemoryError("no memory for this many rows")
            return chunk(rows)

        return run(self, out_of_memory)

    monkeypatch.setattr(ChunkSizer, "run", failing)
    with left_as_it_was(model.model):
        actual = attribute(model, name, method)[0].scores
    largest = float(np.nanmax(np.abs(expected)))
    np.testing.assert_allclose(actual, expected, atol=3e-4 * largest, rtol=0)
    if rows_tried:
        assert 1 in rows_tried


# Allows more and more memory until the method fits; then it has had to halve its chunks.
UNDER_A_LIMIT = """
import resource, sys
import numpy as np, psutil, torch
import inseq_widget as iw
from inseq_widget.methods.chunking import ChunkSizer
from tests.architectures.models import ARCHITECTURES, WORDS, made, tokenizer

torch.set_num_threads(1)
options = ARCHITECTURES["Llama"].options
options.update(hidden_size=64, intermediate_size=256, max_position_embeddings=512)
model = iw.load_model(made("Llama", torch.float32), tokenizer=tokenizer(False))
text = " ".join(WORDS * 10)
def attribute():
    return model.attribute(text, text + " the" * 16, sys.argv[1], show_progress=False)[0].scores
expected, tried, run = attribute(), [], ChunkSizer.run
ChunkSizer.run = lambda self, chunk: run(self, lambda rows: (tried.append(rows), chunk(rows))[1])
for number in range(60):
    tried.clear()
    taken = next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("VmData"))
    limit = taken * 1024 + int(2e6 * 1.15**number)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, resource.RLIM_INFINITY))
    try:
        actual = attribute()
        break
    except (RuntimeError, MemoryError):
        pass
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY,) * 2)
difference = float(np.nanmax(np.abs(actual - expected)) / np.nanmax(np.abs(expected)))
halved = any(later < earlier for earlier, later in zip(tried, tried[1:]))
print(difference < 3e-4, halved, tried, number)
"""


@pytest.mark.parametrize("method", ["saliency", "occlusion"])
def test_chunks_are_halved_under_a_real_limit_of_memory(method: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", UNDER_A_LIMIT, method], capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("True True"), done.stdout + done.stderr[-2000:]


def test_the_layer_where_logits_stop_being_numbers_is_named() -> None:
    model = loaded("Llama", torch.float32)
    model.model.model.layers[1].mlp.up_proj.weight.data[3, 2] = torch.nan
    with (
        left_as_it_was(model.model),
        pytest.raises(
            ValueError,
            match=r"logits for 'she' \(position 4\) .* come from model\.layers\.1\.mlp\.up_proj ",
        ),
    ):
        attribute(model, "Llama", "saliency")
    with pytest.raises(ValueError, match=r"next generated token .* model\.layers\.1\.mlp\.up_proj"):
        model.generate("the nurse", max_new_tokens=2)


def test_the_layer_where_logits_overflow_is_named() -> None:
    model = loaded("BART", torch.float16)
    decoder = model.model.get_decoder()
    decoder.layers[0].fc2.weight.data.fill_(60_000.0)
    with pytest.raises(ValueError, match=r"model\.decoder\.layers\.0\.fc2 \(Linear\)\. Half preci"):
        attribute(model, "BART", "occlusion")


class BreaksGradients(nn.Module):
    """Gives what it takes, with a gradient that is not a number."""

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden + torch.sqrt(hidden * 0)


@pytest.mark.parametrize("method", ["saliency", "integrated_gradients", "deeplift"])
def test_the_layer_where_gradients_stop_being_numbers_is_named(method: str) -> None:
    model = loaded("Llama", torch.float32)
    layer = model.model.model.layers[0].mlp
    layer.act_fn = nn.Sequential(layer.act_fn, BreaksGradients())
    assert np.isfinite(attribute(model, "Llama", "occlusion")[0].scores).any()
    innermost = r"gradients for '\w+' .* come from model\.layers\.0\.mlp\.act_fn\.1 \(BreaksG"
    with (
        left_as_it_was(model.model),
        pytest.raises(ValueError, match=innermost),
    ):
        attribute(model, "Llama", method)


def certainty(args: StepFunctionArgs) -> Tensor:
    logits = at_least_single(args.logits)
    return torch.sqrt(logits.amax(-1) - logits.amax(-1).detach())


def detached(args: StepFunctionArgs) -> Tensor:
    return args.logits.detach().amax(-1)


def summed(args: StepFunctionArgs) -> Tensor:
    return args.logits.sum()


@pytest.mark.parametrize("function", [certainty, detached, summed])
def test_a_step_function_that_breaks_gradients_is_named(
    function: Callable[[StepFunctionArgs], Tensor],
) -> None:
    model = loaded("Llama", torch.float32)
    with pytest.raises(ValueError, match=rf"attributed_fn: .*{function.__name__}"):
        attribute(model, "Llama", "saliency", attributed_fn=function)
