"""ReAGent gives what its definition gives, one step and one probe at a time."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

import inseq_widget as iw
from inseq_widget.methods.reagent import ordinary_ids
from inseq_widget.results import FeatureAttributionOutput, FeatureAttributionSequenceOutput
from tests.tiny import tiny_bart, tiny_llama

PROMPT = "The nurse said that she"
CONTINUATION = " was tired of it."
N_PROBES, N_ROUNDS = 3, 3
# A random model ranks the target anywhere: with so many candidates about half the probes stop.
OFTEN = {
    "stopping_condition_top_k": 24_000,
    "num_probes": N_PROBES,
    "max_probe_steps": N_ROUNDS,
    "keep_top_n": 2,
}


@pytest.fixture(scope="module")
def tokenizer(smollm2: iw.AttributionModel) -> PreTrainedTokenizerBase:
    """Take whole words as tokens, of a large vocabulary."""
    return smollm2.tokenizer


@pytest.fixture(scope="module")
def decoder_only(tokenizer: PreTrainedTokenizerBase) -> iw.AttributionModel:
    return iw.load_model(lively(tiny_llama()), "reagent", tokenizer=tokenizer)


@pytest.fixture(scope="module")
def encoder_decoder(tokenizer: PreTrainedTokenizerBase) -> iw.AttributionModel:
    return iw.load_model(lively(tiny_bart()), "reagent", tokenizer=tokenizer)


@pytest.fixture(params=["decoder_only", "encoder_decoder"])
def model(request: pytest.FixtureRequest) -> iw.AttributionModel:
    return request.getfixturevalue(request.param)


def lively(model: PreTrainedModel) -> PreTrainedModel:
    """Widen the weights, so that replacing a token changes what is predicted."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.mul_(5)
    return model.double().eval()


def explain(
    model: iw.AttributionModel, *texts: str, **keywords: object
) -> FeatureAttributionOutput:
    texts = texts or (PROMPT,)
    decoder_only = not model.model.config.is_encoder_decoder
    targets = [text + CONTINUATION if decoder_only else CONTINUATION for text in texts]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "reagent: no probe converged")
        return model.attribute(
            list(texts),
            targets,
            "reagent",
            show_progress=False,
            **{"attribute_target": True, **OFTEN, **keywords},
        )


def naive_steps(
    model: iw.AttributionModel,
    sequence: FeatureAttributionSequenceOutput,
    attribute_target: bool,
    n_kept: int,
    invert: bool,
    seed: int,
) -> Iterator[tuple[dict[tuple[str, int], float], float]]:
    """Give each step's scores by place, and how many of its probes converged."""
    is_decoder_only = sequence.architecture == "decoder_only"
    source = [] if is_decoder_only else [token.id for token in sequence.source]
    target = [token.id for token in sequence.target]
    places = [("source", n) for n in range(len(source))]
    if is_decoder_only or attribute_target:
        places += [("target", n) for n in range(len(source) > 0, sequence.attr_pos_end - 1)]
    ordinary = ordinary_ids(model._traceable)
    generator = torch.Generator().manual_seed(seed)
    shape = (N_PROBES, len(places))

    def drawn() -> Tensor:
        return ordinary[torch.randint(len(ordinary), shape, generator=generator)]

    initial = torch.rand(shape, generator=generator).double()
    rounds = [
        (torch.rand(shape, generator=generator) < 0.3, drawn(), drawn()) for _ in range(N_ROUNDS)
    ]

    def logits(position: int, replacements: dict[tuple[str, int], int]) -> Tensor:
        rows = {"source": list(source), "target": target[:position]}
        for (stack, place), token_id in replacements.items():
            rows[stack][place] = token_id
        given = {"input_ids": torch.tensor([rows["target"]])}
        if source:
            given = {
                "input_ids": torch.tensor([rows["source"]]),
                "decoder_input_ids": given["input_ids"],
            }
        with torch.no_grad():
            return model.model(**given, use_cache=False).logits[0, -1]

    for position in range(sequence.attr_pos_start, sequence.attr_pos_end):
        seen = [n for n, (stack, p) in enumerate(places) if stack == "source" or p < position]
        clean = logits(position, {}).softmax(-1)[target[position]]
        shares, converged = [], []
        for probe in range(N_PROBES):
            importance = initial[probe, seen].clone()
            stopped = False
            for replaced, first, second in rounds:
                taken = {places[n]: int(first[probe, n]) for n in seen if replaced[probe, n]}
                loss = clean - logits(position, taken).softmax(-1)[target[position]]
                for number, n in enumerate(seen):
                    credit = loss if replaced[probe, n] else -loss
                    importance[number] += torch.logit((credit + 1) / 2)
                top = importance.argsort(descending=True)[:n_kept].tolist()
                taken = {
                    places[n]: int(second[probe, n])
                    for number, n in enumerate(seen)
                    if (number in top) == invert
                }
                best = logits(position, taken).topk(OFTEN["stopping_condition_top_k"]).indices
                if target[position] in best:
                    stopped = True
                    break
            shares.append(importance.softmax(0))
            converged.append(stopped)
        kept = [share for share, stop in zip(shares, converged, strict=True) if stop] or shares
        mean = torch.stack(kept).mean(0)
        scores = {places[n]: float(mean[number]) for number, n in enumerate(seen)}
        yield scores, sum(converged) / N_PROBES


@pytest.mark.parametrize("attribute_target", [True, False])
@pytest.mark.parametrize(("keywords", "n_kept", "invert"), [({}, 2, False), ({"seed": 3}, 2, True)])
def test_scores_equal_each_steps_own_probes(
    model: iw.AttributionModel,
    attribute_target: bool,
    keywords: dict[str, int],
    n_kept: int,
    invert: bool,
) -> None:
    (sequence,) = explain(model, attribute_target=attribute_target, invert_keep=invert, **keywords)
    scores = sequence.scores.to_numpy()
    stack_of = {"source": "source", "prompt": "target", "target": "target"}
    inputs = [
        (stack_of[str(side)], int(position))
        for side, position in zip(
            sequence.scores.input_side.values, input_positions(sequence), strict=True
        )
    ]
    seed = keywords.get("seed", 0)
    naive = naive_steps(model, sequence, attribute_target, n_kept, invert, seed)
    shares = []
    for column, (expected, share) in enumerate(naive):
        shares.append(share)
        for row, place in enumerate(inputs):
            score = scores[row, column]
            if place in expected:
                assert score == pytest.approx(expected[place], rel=1e-9)
            elif place == ("target", 0):
                assert score == 0  # the decoder's start token is never replaced
            else:
                assert np.isnan(score)
    np.testing.assert_allclose(sequence.step_scores["converged_probes"], shares)
    assert 0 < np.mean(shares) < 1  # some probes stop, some do not


def input_positions(sequence: FeatureAttributionSequenceOutput) -> list[int]:
    n_source = len(sequence.source) if sequence.architecture == "encoder_decoder" else 0
    n_inputs = sequence.scores.shape[0]
    return [*range(n_source), *range(n_inputs - n_source)]


def test_every_steps_scores_are_shares_of_one(model: iw.AttributionModel) -> None:
    for keywords in ({}, {"keep_top_n": 0, "keep_ratio": 0.5}):
        (sequence,) = explain(model, **keywords)
        totals = np.nansum(sequence.scores.to_numpy(), axis=0)
        np.testing.assert_allclose(totals, 1.0, rtol=1e-9)


def test_a_seed_repeats_and_leaves_the_global_random_state(model: iw.AttributionModel) -> None:
    before = torch.get_rng_state()
    first, again, other = (explain(model, seed=seed)[0].scores for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other, equal_nan=True)


def test_a_batch_gives_each_text_what_it_gets_alone(model: iw.AttributionModel) -> None:
    texts = [PROMPT, "Yesterday he said"]
    for text, sequence in zip(texts, explain(model, *texts), strict=True):
        (alone,) = explain(model, text)
        np.testing.assert_allclose(sequence.scores, alone.scores, rtol=1e-9)


def test_where_no_probe_converges_a_warning_says_so(decoder_only: iw.AttributionModel) -> None:
    with pytest.warns(UserWarning, match="no probe converged at .* steps"):
        decoder_only.attribute(
            PROMPT,
            PROMPT + CONTINUATION,
            "reagent",
            show_progress=False,
            num_probes=2,
            max_probe_steps=2,
        )


def test_a_converged_probe_is_not_run_again(decoder_only: iw.AttributionModel) -> None:
    rows: list[int] = []

    def count(_: object, __: object, kwargs: dict[str, Tensor]) -> None:
        rows.append(kwargs["input_ids"].shape[0])

    hook = decoder_only.model.register_forward_pre_hook(count, with_kwargs=True)
    whole = decoder_only.model.config.vocab_size
    (sequence,) = explain(decoder_only, stopping_condition_top_k=whole)
    hook.remove()
    # Everything converges in the first round: the trace, the clean run, one run of each probe,
    # and one test for each probe of each step.
    assert sum(rows) == 2 + N_PROBES + N_PROBES * len(sequence.steps)
    assert len(rows) < 6


def test_where_one_token_decides_it_has_the_highest_score(
    tokenizer: PreTrainedTokenizerBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    rigged = tiny_llama()
    model = iw.load_model(rigged, "reagent", tokenizer=tokenizer)
    ids = torch.tensor(tokenizer(PROMPT + CONTINUATION)["input_ids"])
    embedding = rigged.get_input_embeddings()
    decisive = 2

    def forward(input_ids: Tensor, **_: object) -> SimpleNamespace:
        embedded = embedding(input_ids)
        there = (embedded[:, decisive] == embedding.weight[ids[decisive]]).all(-1)
        # Certain of the next token while the decisive one is there; else of anything but it.
        logits = torch.zeros(*input_ids.shape, rigged.config.vocab_size)
        rows = torch.arange(input_ids.shape[1])
        logits[:, rows, ids[1 : len(rows) + 1]] = torch.where(there, 100.0, -100.0)[:, None]
        return SimpleNamespace(logits=logits)

    monkeypatch.setattr(rigged, "forward", forward)
    (sequence,) = model.attribute(
        PROMPT, PROMPT + CONTINUATION, "reagent", show_progress=False, max_probe_steps=200
    )
    assert (sequence.step_scores["converged_probes"] == 1).all()
    scores = sequence.scores.to_numpy()
    assert np.isfinite(scores[: len(sequence.source)]).all()
    assert (np.nanargmax(scores, axis=0) == decisive).all()


@pytest.mark.parametrize(
    ("keywords", "named"),
    [
        ({"keep_top_n": -1}, "keep_top_n"),
        ({"keep_top_n": 0}, "keep_top_n, keep_ratio"),
        ({"keep_top_n": 5, "keep_ratio": 0.5}, "keep_top_n, keep_ratio"),
        ({"keep_top_n": 0, "keep_ratio": 1.5}, "keep_ratio"),
        ({"replacing_ratio": 0.0}, "replacing_ratio"),
        ({"num_probes": 0}, "num_probes"),
        ({"seed": 1.5}, "seed"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(
    decoder_only: iw.AttributionModel, keywords: dict[str, float], named: str
) -> None:
    with pytest.raises(ValueError, match=f"^{named}:"):
        explain(decoder_only, **keywords)
