"""Step functions equal their definitions, have the right gradients, and are open to users."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, kl_divergence

import inseq_widget as iw
from inseq_widget.scores import StepFunctionArgs, find_step_function
from inseq_widget.scores.registering import STEP_FUNCTIONS

SHAPE = (3, 4, 9)  # batch, step, vocabulary
PROMPT, FULL = "The nurse said", "The nurse said hello to me"
OTHER = "The doctor said goodbye to you"
NAMES = [
    "contrast_logits",
    "contrast_logits_diff",
    "contrast_prob",
    "contrast_prob_diff",
    "crossentropy",
    "entropy",
    "in_context_pvi",
    "kl_divergence",
    "logit",
    "mc_dropout_prob_avg",
    "pcxmi",
    "perplexity",
    "probability",
    "top_p_size",
]


def call(name: str, args: StepFunctionArgs, **keywords: object) -> Tensor:
    return find_step_function(name)[1].function(args, **keywords)


@pytest.fixture
def args() -> StepFunctionArgs:
    generator = torch.Generator().manual_seed(0)

    def logits(*runs: int) -> Tensor:
        return 2 * torch.randn(*runs, *SHAPE, generator=generator, dtype=torch.float64)

    def ids() -> Tensor:
        return torch.randint(SHAPE[-1], SHAPE[:-1], generator=generator)

    noisy = logits(7)
    return StepFunctionArgs(logits(), ids(), logits(), ids(), lambda n_runs: noisy[:n_runs])


def taken(logits: Tensor, ids: Tensor) -> Tensor:
    """Take each step's logit of its token in a plain loop."""
    rows = zip(logits.flatten(0, 1), ids.flatten(), strict=True)
    return torch.stack([row[int(token)] for row, token in rows]).unflatten(0, ids.shape)


def regular(args: StepFunctionArgs) -> Categorical:
    return Categorical(logits=args.logits)


def other(args: StepFunctionArgs) -> Categorical:
    return Categorical(logits=args.contrast_logits)


DEFINITIONS: dict[str, Callable[[StepFunctionArgs], Tensor]] = {
    "logit": lambda a: taken(a.logits, a.target_ids),
    "probability": lambda a: regular(a).log_prob(a.target_ids).exp(),
    "entropy": lambda a: regular(a).entropy(),
    "crossentropy": lambda a: -regular(a).log_prob(a.target_ids),
    "perplexity": lambda a: 1 / regular(a).log_prob(a.target_ids).exp(),
    "contrast_logits": lambda a: taken(a.contrast_logits, a.contrast_target_ids),
    "contrast_prob": lambda a: other(a).log_prob(a.contrast_target_ids).exp(),
    "contrast_logits_diff": lambda a: (
        taken(a.logits, a.target_ids) - taken(a.contrast_logits, a.contrast_target_ids)
    ),
    "contrast_prob_diff": lambda a: (
        regular(a).log_prob(a.target_ids).exp() - other(a).log_prob(a.contrast_target_ids).exp()
    ),
    "pcxmi": lambda a: torch.log2(
        regular(a).log_prob(a.target_ids).exp() / other(a).log_prob(a.contrast_target_ids).exp()
    ),
    "in_context_pvi": lambda a: (
        other(a).log_prob(a.contrast_target_ids) - regular(a).log_prob(a.target_ids)
    ),
    "kl_divergence": lambda a: kl_divergence(regular(a), other(a)),
}


def test_the_documented_functions_are_there() -> None:
    assert iw.list_step_functions() == NAMES


@pytest.mark.parametrize("name", DEFINITIONS)
def test_values_equal_the_definition(name: str, args: StepFunctionArgs) -> None:
    torch.testing.assert_close(call(name, args), DEFINITIONS[name](args), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["probability", "contrast_prob"])
def test_logarithms_of_probabilities_are_natural(name: str, args: StepFunctionArgs) -> None:
    expected = DEFINITIONS[name](args).log()
    torch.testing.assert_close(call(name, args, logprob=True), expected)


def test_the_difference_of_logarithms_is_the_logarithm_of_the_ratio(args: StepFunctionArgs) -> None:
    ratio = DEFINITIONS["probability"](args) / DEFINITIONS["contrast_prob"](args)
    torch.testing.assert_close(call("contrast_prob_diff", args, logprob=True), ratio.log())


def test_closed_forms_of_a_uniform_distribution() -> None:
    args = StepFunctionArgs(torch.zeros(8), torch.tensor(3))
    assert float(call("probability", args)) == pytest.approx(1 / 8)
    assert float(call("entropy", args)) == pytest.approx(math.log(8))
    assert float(call("crossentropy", args)) == pytest.approx(math.log(8))
    assert float(call("perplexity", args)) == pytest.approx(8)
    assert float(call("top_p_size", args, top_p=0.5)) == 4
    assert float(call("top_p_size", args, top_p=1.0)) == 8


def test_context_that_doubles_a_probability_is_one_bit() -> None:
    with_context, without = torch.tensor([0.5, 0.5]).log(), torch.tensor([0.25, 0.75]).log()
    token = torch.tensor(0)
    args = StepFunctionArgs(with_context, token, without, token)
    assert float(call("pcxmi", args)) == pytest.approx(1)
    assert float(call("in_context_pvi", args)) == pytest.approx(-math.log(2))


def nucleus(shares: Tensor, top_p: float) -> int:
    total, count = 0.0, 0
    for share in sorted(shares.tolist(), reverse=True):
        if total >= top_p:
            break
        total, count = total + share, count + 1
    return count


@pytest.mark.parametrize("top_p", [0.1, 0.5, 0.9, 0.999])
def test_the_nucleus_of_each_step_is_counted_alone(top_p: float, args: StepFunctionArgs) -> None:
    sizes = call("top_p_size", args, top_p=top_p)
    for row, size in zip(args.logits.flatten(0, 1), sizes.flatten(), strict=True):
        assert int(size) == nucleus(row.softmax(-1), top_p)


def filtered(first: Tensor, second: Tensor, top_k: int, top_p: float, at_least: int) -> float:
    """Filter one step's distributions by their product, token after token, and compare them."""
    product = ((first + second).exp() / (first + second).exp().sum()).tolist()
    order = sorted(range(len(product)), key=lambda token: -product[token])
    kept, total = [], 0.0
    for place, token in enumerate(order):
        allowed = total < top_p and (not top_k or place < top_k)
        if allowed or place < at_least:
            kept.append(token)
        total += product[token]
    ours, theirs = (row[kept].exp() / row[kept].exp().sum() for row in (first, second))
    return float((ours * (ours / theirs).log()).sum())


@pytest.mark.parametrize(
    ("top_k", "top_p", "at_least"),
    [(0, 1.0, 1), (3, 1.0, 1), (0, 0.6, 1), (2, 0.95, 1), (1, 0.01, 4), (50, 1.0, 1), (0, 0.1, 50)],
)
def test_a_filtered_divergence_equals_a_loop_over_steps(
    top_k: int, top_p: float, at_least: int, args: StepFunctionArgs
) -> None:
    values = call(
        "kl_divergence", args, top_k=top_k, top_p=top_p, min_tokens_to_keep=at_least
    ).flatten()
    rows = zip(args.logits.flatten(0, 1), args.contrast_logits.flatten(0, 1), strict=True)
    expected = [filtered(*row, top_k, top_p, at_least) for row in rows]
    torch.testing.assert_close(values, torch.tensor(expected, dtype=torch.float64))


def test_the_divergence_from_itself_is_zero(args: StepFunctionArgs) -> None:
    same = StepFunctionArgs(args.logits, args.target_ids, args.logits, args.target_ids)
    for keywords in ({}, {"top_k": 3}, {"top_p": 0.5}):
        assert float(call("kl_divergence", same, **keywords).abs().max()) == 0


@pytest.mark.parametrize("logprob", [False, True])
def test_dropout_scores_are_deviations_of_the_runs(logprob: bool, args: StepFunctionArgs) -> None:
    shares = torch.stack(
        [Categorical(logits=run).log_prob(args.target_ids) for run in args.dropout_logits(4)]
    )
    clean = regular(args).log_prob(args.target_ids)
    if not logprob:
        shares, clean = shares.exp(), clean.exp()
    mean = shares.sum(0) / 4
    deviation = (((shares - mean) ** 2).sum(0) / 3).sqrt()
    actual = call("mc_dropout_prob_avg", args, n_mcd_steps=4, logprob=logprob)
    torch.testing.assert_close(actual, (clean - mean) / deviation)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "top_p_size"])
def test_gradients_equal_finite_differences(name: str, args: StepFunctionArgs) -> None:
    def value(logits: Tensor) -> Tensor:
        given = StepFunctionArgs(
            logits, args.target_ids, logits.flip(-1), args.contrast_target_ids, args.dropout_logits
        )
        return call(name, given)

    assert torch.autograd.gradcheck(value, args.logits.clone().requires_grad_())


@pytest.mark.parametrize("keywords", [{"top_k": 4}, {"top_p": 0.9}])
def test_gradients_of_filtered_divergences_equal_finite_differences(
    keywords: dict[str, object], args: StepFunctionArgs
) -> None:
    def value(logits: Tensor) -> Tensor:
        given = StepFunctionArgs(
            logits, args.target_ids, args.contrast_logits, args.contrast_target_ids
        )
        return call("kl_divergence", given, **keywords)

    assert torch.autograd.gradcheck(value, args.logits.clone().requires_grad_())


ALONE_ON_LOGITS = [name for name in NAMES if name != "mc_dropout_prob_avg"]


@pytest.mark.parametrize("name", ALONE_ON_LOGITS)
def test_tokens_that_cannot_be_predicted_change_nothing(name: str, args: StepFunctionArgs) -> None:
    nothing = torch.full((*SHAPE[:-1], 2), -torch.inf, dtype=torch.float64)
    keywords = {"top_p": 1.0} if name == "top_p_size" else {}

    def widened(logits: Tensor) -> Tensor:
        return torch.cat([logits, nothing], -1)

    leaf, other_leaf = args.logits.clone().requires_grad_(), args.contrast_logits.clone()
    wide = StepFunctionArgs(
        widened(leaf), args.target_ids, widened(other_leaf), args.contrast_target_ids
    )
    values = call(name, wide, **keywords)
    torch.testing.assert_close(values, call(name, args, **keywords))
    if values.requires_grad:
        narrow = args.logits.clone().requires_grad_()
        expected = call(
            name,
            StepFunctionArgs(narrow, args.target_ids, other_leaf, args.contrast_target_ids),
        )
        (gradient,) = torch.autograd.grad(values.sum(), leaf)
        torch.testing.assert_close(gradient, torch.autograd.grad(expected.sum(), narrow)[0])


def test_a_divergence_is_infinite_where_the_other_input_rules_a_token_out() -> None:
    first, second = torch.tensor([0.0, 0.0]), torch.tensor([0.0, -torch.inf])
    token = torch.tensor(0)
    assert call("kl_divergence", StepFunctionArgs(first, token, second, token)).isposinf()
    assert float(call("kl_divergence", StepFunctionArgs(second, token, first, token))) == (
        pytest.approx(math.log(2))
    )


def test_half_precision_is_summed_in_single_precision() -> None:
    logits = torch.zeros(3, 49_152, dtype=torch.float16)
    args = StepFunctionArgs(logits, torch.zeros(3, dtype=torch.long))
    for name, expected in (("probability", 1 / 49_152), ("entropy", math.log(49_152))):
        values = call(name, args)
        assert values.dtype == torch.float32
        torch.testing.assert_close(values, torch.full((3,), expected), rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    ("name", "keywords", "message"),
    [
        ("top_p_size", {"top_p": 0}, r"top_p: 0 given; .* above 0 and at most 1"),
        ("top_p_size", {"top_p": 1.5}, r"top_p: 1.5 given"),
        ("top_p_size", {"top_p": "half"}, r"top_p: 'half' given"),
        ("kl_divergence", {"top_p": -1.0}, r"top_p: -1.0 given"),
        ("kl_divergence", {"top_k": -1}, r"top_k: -1 given; .* at least 0"),
        ("kl_divergence", {"top_k": 2.0}, r"top_k: 2.0 given"),
        ("kl_divergence", {"min_tokens_to_keep": 0}, r"min_tokens_to_keep: 0 given; .* least 1"),
        ("mc_dropout_prob_avg", {"n_mcd_steps": 1}, r"n_mcd_steps: 1 given; .* at least 2 runs"),
        ("mc_dropout_prob_avg", {"n_mcd_steps": True}, r"n_mcd_steps: True given"),
    ],
)
def test_a_wrong_keyword_is_named(
    name: str, keywords: dict[str, object], message: str, args: StepFunctionArgs
) -> None:
    with pytest.raises(ValueError, match=message):
        call(name, args, **keywords)


def test_a_contrastive_function_without_contrast_says_what_is_missing() -> None:
    with pytest.raises(ValueError, match=r"contrast_targets: .* compares with another text"):
        call("pcxmi", StepFunctionArgs(torch.zeros(3), torch.tensor(0)))


@pytest.fixture
def own_functions() -> Iterator[None]:
    """Take back what a test registers."""
    entries = STEP_FUNCTIONS._entries
    before = dict(entries)
    yield
    entries.clear()
    entries.update(before)


def tempered(args: StepFunctionArgs, temperature: float = 1.0, shift: float = 0.0) -> Tensor:
    """Scale the logits before the softmax; as users would write it."""
    shares = (args.logits / temperature).softmax(-1)
    return shares.gather(-1, args.target_ids[..., None])[..., 0] + shift


def attribute(
    tiny: iw.AttributionModel, method: str = "saliency", **keywords: object
) -> iw.FeatureAttributionSequenceOutput:
    return tiny.attribute(PROMPT, FULL, method, show_progress=False, **keywords)[0]


def same(first: Tensor, second: Tensor) -> bool:
    return torch.equal(first, second)


@pytest.mark.usefixtures("own_functions")
def test_a_registered_function_is_reported_and_explained_by_name(tiny: iw.AttributionModel) -> None:
    iw.register_step_function(tempered, "tempered")
    assert "tempered" in iw.list_step_functions()
    named = attribute(tiny, attributed_fn="tempered", step_scores=["tempered"])
    given = attribute(tiny, attributed_fn=tempered)
    plain = attribute(tiny, attributed_fn="probability")
    assert named.info["attributed_fn"] == "tempered"
    assert given.info["attributed_fn"] == "tempered"
    assert abs(named.step_scores["tempered"] - named.step_scores["probability"]).max() < 1e-9
    for sequence in (named, given):
        assert float(abs(sequence.scores - plain.scores).max()) <= 1e-5 * float(plain.scores.max())


@pytest.mark.usefixtures("own_functions")
def test_keywords_go_to_every_function_that_takes_them(tiny: iw.AttributionModel) -> None:
    iw.register_step_function(tempered, "tempered")
    scores = {"attributed_fn": "tempered", "step_scores": ["tempered", "logit"]}
    both = attribute(tiny, temperature=2.0, **scores)
    explained = attribute(tiny, attributed_fn_args={"temperature": 2.0}, **scores)
    reported = attribute(tiny, step_scores_args={"temperature": 2.0}, **scores)
    neither = attribute(tiny, **scores)
    assert both.scores.equals(explained.scores)
    assert not both.scores.equals(neither.scores)
    assert reported.scores.equals(neither.scores)
    assert same(both.step_scores["tempered"], reported.step_scores["tempered"])
    assert same(explained.step_scores["tempered"], neither.step_scores["tempered"])
    assert not same(both.step_scores["tempered"], neither.step_scores["tempered"])
    # What is given to one of them alone counts more.
    own = attribute(tiny, temperature=3.0, attributed_fn_args={"temperature": 2.0}, **scores)
    assert own.scores.equals(both.scores)


def test_a_keyword_reaches_several_built_in_functions(tiny: iw.AttributionModel) -> None:
    both = ["probability", "contrast_prob"]
    sequence = attribute(tiny, "dummy", step_scores=both, logprob=True, contrast_targets=OTHER)
    plain = attribute(tiny, "dummy", step_scores=both, contrast_targets=OTHER)
    for name in both:
        torch.testing.assert_close(sequence.step_scores[name], plain.step_scores[name].log())


def test_the_probability_that_is_always_there_stays_one(tiny: iw.AttributionModel) -> None:
    asked, plain = (
        attribute(tiny, "dummy", step_scores=["crossentropy"], attributed_fn_args=keywords)
        for keywords in ({"logprob": True}, {})
    )
    routed = attribute(
        tiny, "dummy", step_scores=["contrast_prob"], logprob=True, contrast_targets=OTHER
    )
    for sequence in (asked, routed):
        torch.testing.assert_close(
            sequence.step_scores["probability"], plain.step_scores["probability"]
        )


def test_a_keyword_that_a_method_and_a_function_share_can_be_given_to_each(
    tiny: iw.AttributionModel,
) -> None:
    def blended(args: StepFunctionArgs, method: str = "softmax") -> Tensor:
        shares = args.logits.sigmoid() if method == "sigmoid" else args.logits.softmax(-1)
        return shares.gather(-1, args.target_ids[..., None])[..., 0]

    def integrated(**keywords: object) -> iw.FeatureAttributionSequenceOutput:
        (sequence,) = tiny.attribute(
            PROMPT,
            FULL,
            "integrated_gradients",
            attributed_fn=blended,
            n_steps=3,
            show_progress=False,
            **keywords,
        )
        return sequence

    left = integrated(attribution_args={"method": "riemann_left"})
    assert left.info["method_args"]["method"] == "'riemann_left'"
    assert not left.scores.equals(integrated().scores)
    other = integrated(
        attribution_args={"method": "riemann_left"}, attributed_fn_args={"method": "sigmoid"}
    )
    assert other.info["method_args"]["method"] == "'riemann_left'"
    assert not other.scores.equals(left.scores)


def test_keywords_of_the_method_alone_are_refused_by_it(tiny: iw.AttributionModel) -> None:
    with pytest.raises(TypeError, match=r"n_steps: not a keyword .* 'saliency' takes abs"):
        attribute(tiny, attribution_args={"n_steps": 3})


@pytest.mark.usefixtures("own_functions")
def test_a_name_is_taken_until_it_is_overwritten(tiny: iw.AttributionModel) -> None:
    def half(args: StepFunctionArgs) -> Tensor:
        return tempered(args) / 2

    iw.register_step_function(tempered, "own")
    with pytest.raises(ValueError, match=r"'own' is registered already"):
        iw.register_step_function(half, "own")
    assert find_step_function("own")[1].function is tempered
    iw.register_step_function(half, "own", {"spans": "sum"}, overwrite=True)
    assert find_step_function("own")[1].aggregate == {"spans": "sum"}
    sequence = attribute(tiny, "dummy", step_scores=["own"])
    torch.testing.assert_close(sequence.step_scores["own"], sequence.step_scores["probability"] / 2)


@pytest.mark.usefixtures("own_functions")
def test_a_function_of_ones_own_can_be_contrastive(tiny: iw.AttributionModel) -> None:
    def ratio(args: StepFunctionArgs) -> Tensor:
        return tempered(args) / tempered(args.contrasted())

    iw.register_step_function(ratio, "ratio")
    sequence = attribute(
        tiny, attributed_fn="ratio", step_scores=["ratio", "contrast_prob"], contrast_targets=OTHER
    )
    scores = sequence.step_scores
    torch.testing.assert_close(scores["ratio"], scores["probability"] / scores["contrast_prob"])
    with pytest.raises(ValueError, match=r"contrast_targets: .* compares with another text"):
        attribute(tiny, step_scores=["ratio"])


@pytest.mark.parametrize(
    ("fn", "identifier", "message"),
    [
        ("tempered", "own", r"fn: 'tempered' given"),
        (tempered, "", r"identifier: '' given"),
        (tempered, 3, r"identifier: 3 given"),
    ],
)
def test_what_is_no_function_or_no_name_is_refused(
    fn: object, identifier: object, message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        iw.register_step_function(fn, identifier)


def test_two_functions_of_one_name_are_not_mixed_up(tiny: iw.AttributionModel) -> None:
    with pytest.raises(ValueError, match=r"step_scores: two functions are called '<lambda>'"):
        attribute(
            tiny, step_scores=[lambda args: args.logits[..., 0], lambda args: args.logits[..., 1]]
        )


def test_a_count_is_explained_by_methods_that_need_no_gradient(tiny: iw.AttributionModel) -> None:
    sequence = attribute(tiny, "occlusion", attributed_fn="top_p_size", abs=False)
    assert float(abs(sequence.scores).max()) >= 1
    assert (sequence.scores.fillna(0) % 1 == 0).all()


def test_a_reported_function_has_to_give_a_number_for_each_step(tiny: iw.AttributionModel) -> None:
    with pytest.raises(ValueError, match=r"step_scores: whole gave the shape \(\) for \(1, 3\)"):
        attribute(tiny, step_scores=[whole])


def whole(args: StepFunctionArgs) -> Tensor:
    return args.logits.sum()


@pytest.mark.parametrize("logprob", [False, True])
def test_a_token_contrasted_with_itself_has_no_gradient_at_all(logprob: bool) -> None:
    # Rounding noise in its place would be a whole column of shares.
    logits = (
        torch.randn(2, 3, 50, generator=torch.Generator().manual_seed(0)) * 4
    ).requires_grad_()
    ids = torch.randint(50, (2, 3), generator=torch.Generator().manual_seed(1))
    other = ids.clone()
    other[0, 0] = (ids[0, 0] + 1) % 50
    args = StepFunctionArgs(logits, ids, contrast_logits=logits, contrast_target_ids=other)
    values = STEP_FUNCTIONS["contrast_prob_diff"].function(args, logprob=logprob)
    (gradient,) = torch.autograd.grad(values.sum(), logits)
    assert values[0, 0] != 0
    assert gradient[0, 0].abs().max() > 0
    assert not values.detach().flatten()[1:].any()
    assert not gradient.flatten(0, 1)[1:].any()
