"""Occlusion and ablation give what a forward pass for each input and step gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np
import pytest
import torch
from captum.attr import FeatureAblation, Occlusion
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    BloomConfig,
    MambaConfig,
    MarianConfig,
    MarianMTModel,
    MistralConfig,
    OPTConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

import inseq_widget as iw
from inseq_widget.methods.base import Job
from inseq_widget.methods.features import features_of
from inseq_widget.methods.perturbed import PerturbedRuns, WithRuns
from inseq_widget.models.example import Example
from inseq_widget.models.reruns import Reruns
from inseq_widget.results import FeatureAttributionSequenceOutput
from inseq_widget.scores.step_functions import probability
from tests.tiny import VOCABULARY, tiny_bart, tiny_falcon, tiny_gpt2, tiny_llama, tiny_t5

# Of the largest score; the state-space model gives its logits in single precision.
TOLERANCE = {np.dtype(np.float64): 1e-9, np.dtype(np.float32): 1e-6}
PROMPT = "The nurse said. That she"
CONTINUATION = " was tired of it."
IDS = {"vocab_size": VOCABULARY, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}


def tiny_mistral() -> PreTrainedModel:
    """Make a model whose layers see four tokens back, with two key-value heads."""
    config = MistralConfig(**IDS, **SIZES, num_key_value_heads=2, sliding_window=4)
    return AutoModelForCausalLM.from_config(config)


def tiny_opt() -> PreTrainedModel:
    config = OPTConfig(
        **IDS, hidden_size=32, ffn_dim=64, num_hidden_layers=2, num_attention_heads=4
    )
    return AutoModelForCausalLM.from_config(config)


def tiny_bloom() -> PreTrainedModel:
    return AutoModelForCausalLM.from_config(BloomConfig(**IDS, hidden_size=32, n_layer=2, n_head=4))


def tiny_mamba() -> PreTrainedModel:
    config = MambaConfig(**IDS, hidden_size=32, state_size=4, num_hidden_layers=2)
    return AutoModelForCausalLM.from_config(config)


def tiny_marian() -> PreTrainedModel:
    config = MarianConfig(
        **IDS,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        decoder_start_token_id=2,
        forced_eos_token_id=None,
        scale_embedding=True,
        tie_word_embeddings=True,
    )
    return AutoModelForSeq2SeqLM.from_config(config)


DECODERS = [tiny_llama, tiny_mistral, tiny_gpt2, tiny_opt, tiny_bloom, tiny_falcon, tiny_mamba]
ENCODER_DECODERS = [tiny_t5, tiny_bart, tiny_marian]
Loaded = Callable[[Callable[[], PreTrainedModel]], iw.AttributionModel]


@pytest.fixture(scope="module")
def tokenizer(smollm2: iw.AttributionModel) -> PreTrainedTokenizerBase:
    """Take whole words as tokens, of a large vocabulary."""
    return smollm2.tokenizer


@pytest.fixture(scope="module")
def loaded(tokenizer: PreTrainedTokenizerBase) -> Loaded:
    """Load tiny models in double precision, each once."""
    models: dict[Callable[[], PreTrainedModel], iw.AttributionModel] = {}

    def load(make: Callable[[], PreTrainedModel]) -> iw.AttributionModel:
        if make not in models:
            torch.manual_seed(0)
            model = make().double().eval()
            # Wide enough weights that every token matters to every later one.
            with torch.no_grad():
                for parameter in model.parameters():
                    if parameter.dim() == 2 and parameter.shape[0] < VOCABULARY:
                        parameter.mul_(5)
            models[make] = iw.load_model(model, "occlusion", tokenizer=tokenizer)
        return models[make]

    return load


def explain(
    model: iw.AttributionModel, method: str, **keywords: object
) -> FeatureAttributionSequenceOutput:
    whole = "" if model.model.config.is_encoder_decoder else PROMPT
    (sequence,) = model.attribute(
        PROMPT,
        whole + CONTINUATION,
        method,
        attribute_target=bool(model.model.config.is_encoder_decoder),
        attributed_fn=keywords.pop("attributed_fn", "logit"),
        show_progress=False,
        **keywords,
    )
    return sequence


class NaiveStep:
    """One step, run on its own prefix alone, with some embeddings replaced."""

    def __init__(
        self, model: iw.AttributionModel, sequence: FeatureAttributionSequenceOutput, position: int
    ) -> None:
        self.model = model
        self.target = sequence.target[position].id
        rows = {"target": sequence.target[:position]}
        stacks = {"target": model.model.get_input_embeddings()}
        if sequence.architecture == "encoder_decoder":
            rows = {"source": sequence.source, **rows}
            stacks = {
                "source": model.model.get_encoder().get_input_embeddings(),
                "target": model.model.get_decoder().get_input_embeddings(),
            }
        self.ids = {name: torch.tensor([[t.id for t in row]]) for name, row in rows.items()}
        eos, unknown = model.tokenizer.eos_token_id, model.tokenizer.unk_token_id
        blank = {
            name: torch.where(ids == eos, ids, torch.full_like(ids, unknown))
            for name, ids in self.ids.items()
        }
        if "source" in blank:
            blank["target"][0, 0] = self.ids["target"][0, 0]
        with torch.no_grad():
            self.embedded = {name: stacks[name](ids) for name, ids in self.ids.items()}
            self.blank = {name: stacks[name](ids) for name, ids in blank.items()}
        if isinstance(model.model, MarianMTModel):
            # Its encoder scales embeddings only when it makes them of ids itself.
            for embedded in (self.embedded, self.blank):
                embedded["source"] = embedded["source"] * model.model.config.d_model**0.5

    def logit(self, *embedded: Tensor) -> Tensor:
        names = (
            ["inputs_embeds"] if len(self.ids) == 1 else ["inputs_embeds", "decoder_inputs_embeds"]
        )
        given = dict(zip(names, embedded, strict=True))
        with torch.no_grad():
            return self.model.model(**given, use_cache=False).logits[:, -1, self.target]

    def without(self, places: Sequence[tuple[str, int]]) -> float:
        changed = {name: x.clone() for name, x in self.embedded.items()}
        for name, place in places:
            changed[name][:, place] = self.blank[name][:, place]
        return float(self.logit(*changed.values()))

    def places(self) -> list[tuple[str, int]]:
        return [(name, n) for name, ids in self.ids.items() for n in range(ids.shape[1])]


def columns(
    model: iw.AttributionModel, sequence: FeatureAttributionSequenceOutput
) -> Iterator[tuple[NaiveStep, np.ndarray]]:
    """Give every step with its scores at the inputs that come before it."""
    scores = sequence.scores.to_numpy()
    n_source = len(sequence.source) if sequence.architecture == "encoder_decoder" else 0
    for column, position in enumerate(range(sequence.attr_pos_start, sequence.attr_pos_end)):
        assert np.isnan(scores[n_source + position :, column]).all()
        yield NaiveStep(model, sequence, position), scores[: n_source + position, column]


@pytest.mark.parametrize("make", [*DECODERS, *ENCODER_DECODERS])
def test_occlusion_equals_a_forward_pass_for_each_input_and_step(
    loaded: Loaded, make: Callable[[], PreTrainedModel]
) -> None:
    model = loaded(make)
    signed = explain(model, "occlusion", abs=False)
    magnitude = explain(model, "occlusion")
    np.testing.assert_array_equal(magnitude.scores, np.abs(signed.scores))
    largest = float(np.nanmax(np.abs(signed.scores)))
    assert largest > 1e-5
    for step, scores in columns(model, signed):
        clean = step.without([])
        expected = np.array([clean - step.without([place]) for place in step.places()])
        assert np.abs(scores - expected).max() <= TOLERANCE[scores.dtype] * largest


@pytest.mark.parametrize("make", [tiny_llama, tiny_t5])
@pytest.mark.parametrize(("window", "stride"), [(3, 1), (3, 2), (2, 2)])
def test_occlusion_with_a_sliding_window_equals_captums(
    loaded: Loaded, make: Callable[[], PreTrainedModel], window: int, stride: int
) -> None:
    model = loaded(make)
    signed = explain(model, "occlusion", abs=False, sliding_window_shapes=window, strides=stride)
    largest = float(np.nanmax(np.abs(signed.scores)))
    for step, scores in columns(model, signed):
        if step.ids["target"].shape[1] < window:
            continue  # captum refuses a window that is wider than the text
        embedded = tuple(step.embedded.values())
        features = embedded[0].shape[-1]
        explained = Occlusion(step.logit).attribute(
            embedded,
            sliding_window_shapes=tuple((window, features) for _ in embedded),
            strides=tuple((stride, 1) for _ in embedded),
            baselines=tuple(step.blank.values()),
        )
        expected = torch.cat([part[0, :, 0] for part in explained]).numpy()
        # captum averages its windows in single precision.
        assert np.abs(scores - expected).max() <= TOLERANCE[expected.dtype] * largest


@pytest.mark.parametrize("make", [tiny_llama, tiny_bart])
@pytest.mark.parametrize("spans", ["words", "sentences"])
def test_feature_ablation_equals_captums_with_a_feature_mask(
    loaded: Loaded, make: Callable[[], PreTrainedModel], spans: str
) -> None:
    model = loaded(make)
    sequence = explain(model, "feature_ablation", spans=spans)
    largest = float(np.nanmax(np.abs(sequence.scores)))
    decoder_only = sequence.architecture == "decoder_only"
    inputs = list(sequence.target) if decoder_only else [*sequence.source, *sequence.target]
    # Each side has its own words; the first sentence of the prompt ends at the full stop.
    groups: dict[tuple[str, int], int] = {}
    mask: list[int] = []
    for token in inputs:
        second = token.side in ("prompt", "source") and token.position > 3
        number = token.word if spans == "words" else int(second)
        if token.special:
            number = 1000 + token.position
        mask.append(groups.setdefault((token.side, number), len(groups)))
    assert inputs[3].text == "."
    for step, scores in columns(model, sequence):
        embedded = tuple(step.embedded.values())
        lengths = [x.shape[1] for x in embedded]
        masks = torch.tensor(mask[: sum(lengths)]).split(lengths)
        explained = FeatureAblation(step.logit).attribute(
            embedded,
            baselines=tuple(step.blank.values()),
            feature_mask=tuple(part[None, :, None] for part in masks),
        )
        expected = torch.cat([part[0, :, 0] for part in explained]).numpy()
        assert np.abs(scores - expected).max() <= TOLERANCE[scores.dtype] * largest


def test_refining_divides_a_span_by_what_its_tokens_do_alone(loaded: Loaded) -> None:
    model = loaded(tiny_llama)
    plain = explain(model, "feature_ablation")
    tokens = plain.scores.to_numpy()
    whole = explain(model, "feature_ablation", spans="sentences").scores.to_numpy()
    refined = explain(
        model, "feature_ablation", spans="sentences", refine="tokens", n_refined=1
    ).scores.to_numpy()
    # The prompt's two sentences, and what is written.
    ends = [0, 4, plain.attr_pos_start, len(tokens)]
    strength = [np.nanmax(np.abs(whole[a:b])) for a, b in pairwise(ends)]
    for number, (start, end) in enumerate(pairwise(ends)):
        for column in range(whole.shape[1]):
            seen = [n for n in range(start, end) if not np.isnan(whole[n, column])]
            if not seen:
                continue
            span = whole[seen[0], column]
            alone = tokens[seen, column] if number == int(np.argmax(strength)) else 0 * seen[0]
            rest = (span - np.sum(alone)) / len(seen)
            expected = np.broadcast_to(alone + rest, len(seen))
            np.testing.assert_allclose(refined[seen, column], expected, rtol=1e-8, atol=1e-14)
    np.testing.assert_array_equal(np.isnan(refined), np.isnan(whole))


@pytest.mark.parametrize("refine", ["tokens", "words"])
@pytest.mark.parametrize("make", [tiny_llama, tiny_bart])
def test_what_a_refined_text_shows_sums_to_its_spans(
    loaded: Loaded, make: Callable[[], PreTrainedModel], refine: str
) -> None:
    model = loaded(make)
    whole, refined = (
        explain(model, "feature_ablation", spans="sentences", **keywords)
        for keywords in ({}, {"refine": refine})
    )
    encoded = model.model.config.is_encoder_decoder
    source, target = tuple(whole.source) * encoded, tuple(whole.target)
    example = Example(source, target, 1, 1, len(target))
    stacks = ["source", "target"] if encoded else ["target"]
    for group in features_of(example, stacks, "sentences").groups:
        rows = [position + len(source) * (stack == "target") for stack, position in group]
        spans, parts = (sequence.scores.to_numpy()[rows] for sequence in (whole, refined))
        for column in range(spans.shape[1]):
            seen = ~np.isnan(spans[:, column])
            if seen.any():
                expected = spans[seen, column][0]
                assert parts[seen, column].sum() == pytest.approx(expected, rel=1e-8, abs=1e-14)
    assert "part" in refined.info["score_label"]


def test_tokens_outside_given_spans_stay_and_have_no_score(loaded: Loaded) -> None:
    model = loaded(tiny_llama)
    given = [(0, 9), (16, 20)]
    sequence = explain(model, "feature_ablation", spans=given)
    inside = [
        [n for n, token in enumerate(sequence.source) if token.text.strip() in words]
        for words in (("The", "nurse"), ("That",))
    ]
    assert [len(places) for places in inside] == [2, 1]
    for step, scores in columns(model, sequence):
        expected = np.full(len(scores), np.nan)
        for places in inside:
            without = step.without([("target", place) for place in places])
            expected[places] = step.without([]) - without
        np.testing.assert_allclose(scores, expected, rtol=1e-8)


@pytest.mark.parametrize("method", ["occlusion", "feature_ablation"])
@pytest.mark.parametrize("make", [tiny_llama, tiny_bart])
def test_a_batch_gives_each_text_what_it_gets_alone(
    loaded: Loaded, make: Callable[[], PreTrainedModel], method: str
) -> None:
    model = loaded(make)
    whole = "" if model.model.config.is_encoder_decoder else PROMPT
    texts, targets = [PROMPT, PROMPT], [whole + CONTINUATION, whole + " was. Not."]
    together = model.attribute(texts, targets, method, show_progress=False)
    for text, target, sequence in zip(texts, targets, together, strict=True):
        (alone,) = model.attribute(text, target, method, show_progress=False)
        difference = np.nanmax(np.abs(sequence.scores.to_numpy() - alone.scores.to_numpy()))
        assert difference <= 1e-9 * np.nanmax(np.abs(alone.scores))


def engine(model: iw.AttributionModel) -> PerturbedRuns:
    traceable = model._traceable
    whole = "" if model.model.config.is_encoder_decoder else PROMPT
    (example,) = traceable.examples([PROMPT], [whole + CONTINUATION], {}, (None, None), None)
    function = probability
    trace = traceable.trace([example])
    job = Job(traceable, trace, function, True, False, lambda _: None)
    return PerturbedRuns(job, example, features_of(example, job.stacks), WithRuns())


@pytest.mark.parametrize("make", [tiny_llama, tiny_mistral, tiny_gpt2, tiny_opt, tiny_bloom])
def test_runs_behind_a_clean_prefix_give_what_whole_runs_give(
    loaded: Loaded, make: Callable[[], PreTrainedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = engine(loaded(make))
    assert runs._reruns.shares_prefix
    keep = torch.rand(40, runs.n_features, generator=torch.Generator().manual_seed(0)) > 0.2
    keep[:20, :8] = True
    behind = runs.values(keep)
    monkeypatch.setattr(Reruns, "shares_prefix", False)
    whole = runs.values(keep)
    assert (whole - runs.clean).abs().max() > 0
    assert (behind - whole).abs().max() <= 1e-9 * (whole - runs.clean).abs().max()


def test_a_state_space_model_is_run_whole(loaded: Loaded) -> None:
    assert not engine(loaded(tiny_mamba))._reruns.shares_prefix


@pytest.mark.parametrize("make", ENCODER_DECODERS)
def test_a_clean_source_is_encoded_once(
    loaded: Loaded, make: Callable[[], PreTrainedModel]
) -> None:
    model = loaded(make)
    runs = engine(model)
    count = runs.visible.shape[1] - 1
    keep = torch.ones(count, runs.n_features, dtype=torch.bool)
    keep[range(count), range(-count, 0)] = False  # target tokens behind the start token
    assert runs._reruns.shares_source
    calls: list[int] = []
    encoder = model.model.get_encoder()
    hook = encoder.register_forward_hook(lambda *_: calls.append(1))
    values = runs.values(keep)
    hook.remove()
    assert calls == []
    assert (values != runs.clean).any(1).all()


def test_a_model_that_errs_behind_a_prefix_is_run_whole(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = loaded(tiny_llama)
    expected = explain(model, "occlusion").scores
    forward = model.model.forward

    def forgetful(*args: object, **kwargs: object) -> object:
        width = kwargs["input_ids"].shape[1]
        return forward(*args, **kwargs, position_ids=torch.arange(width)[None])

    monkeypatch.setattr(model.model, "forward", forgetful)
    assert not engine(model)._reruns.shares_prefix
    np.testing.assert_allclose(explain(model, "occlusion").scores, expected, rtol=1e-9)


def test_occlusion_computes_about_half_of_all_tokens(loaded: Loaded) -> None:
    model = loaded(tiny_llama)
    computed: list[int] = []

    def count(_: object, __: object, kwargs: dict[str, Tensor]) -> None:
        computed.append(kwargs["input_ids"].numel())

    text = " ".join(["one two three four"] * 16)
    hook = model.model.register_forward_pre_hook(count, with_kwargs=True)
    (sequence,) = model.attribute("one two", text, "occlusion", show_progress=False)
    hook.remove()
    n_inputs = len(sequence.target) - 1
    whole = n_inputs * n_inputs
    assert len(computed) < n_inputs / 4
    assert sum(computed) < 0.66 * whole


def test_running_out_of_memory_halves_the_rows_and_goes_on(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = loaded(tiny_llama)
    expected = explain(model, "occlusion").scores
    forward = model.model.forward
    rows: list[int] = []

    def limited(*args: object, **kwargs: object) -> object:
        rows.append(kwargs["input_ids"].shape[0])
        if rows[-1] > 2:
            raise torch.OutOfMemoryError("injected")
        return forward(*args, **kwargs)

    monkeypatch.setattr(model.model, "forward", limited)
    np.testing.assert_allclose(explain(model, "occlusion").scores, expected, rtol=1e-9)
    assert max(rows) > 2


def test_features_are_visible_from_the_step_after_their_first_position(loaded: Loaded) -> None:
    runs = engine(loaded(tiny_llama))
    position, step = np.indices(runs.visible.shape)
    first_row = runs.n_features - runs.visible.shape[1]
    np.testing.assert_array_equal(runs.visible, position <= first_row + step)
    runs = engine(loaded(tiny_bart))
    n_source = runs.n_features - runs.visible.shape[1]
    assert runs.visible[:n_source].all()
    assert torch.equal(runs.visible[n_source:], torch.ones_like(runs.visible[n_source:]).triu())


@pytest.mark.parametrize(
    ("method", "keywords", "named"),
    [
        ("occlusion", {"sliding_window_shapes": 0}, "sliding_window_shapes"),
        ("occlusion", {"strides": 2}, "strides"),
        ("occlusion", {"baseline": "no such token"}, "baseline"),
        ("feature_ablation", {"spans": "letters"}, "spans"),
        ("feature_ablation", {"spans": [(0, 3), (2, 5)]}, "spans"),
        ("feature_ablation", {"spans": [(1000, 1001)]}, "spans"),
        ("feature_ablation", {"refine": "letters"}, "refine"),
        ("feature_ablation", {"n_refined": 0}, "n_refined"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(
    loaded: Loaded, method: str, keywords: dict[str, object], named: str
) -> None:
    with pytest.raises(ValueError, match=f"^{named}"):
        explain(loaded(tiny_llama), method, **keywords)
