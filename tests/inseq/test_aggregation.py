"""Every aggregator makes of every kind of result what Inseq's makes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.inseq.models import KINDS
from tests.inseq.texts import ALL, job
from tests.inseq.tolerances import tolerance
from tests.peer.job import Job

Compare = Callable[..., None]

# Texts that end in a token that begins a word: Inseq never joins the last token of a text, which
# is the end of sequence of a translation, but a piece of the last word of other texts.
CAUSAL_TEXTS = (
    ["The nurse said that", "The nurse said the"],
    ["The nurse said that she was so tired the", "The nurse said the she was so that the"],
)
TRANSLATIONS = (
    ["The nurse was furiously tired.", "The nurse the furiously tired."],
    ["Non posso crederci.", "Non Non crederci."],
)

GRADIENTS = ["saliency", "input_x_gradient"]
WEIGHTS = ["attention", "value_zeroing"]
METHODS = [*GRADIENTS, *WEIGHTS, "occlusion"]


def aggregated(model: str, method: str, views: dict[str, str], **keywords: Any) -> Job:
    """Ask for views of the two texts' results, with two step scores."""
    texts, targets = CAUSAL_TEXTS if KINDS[model].causal else TRANSLATIONS
    if not KINDS[model].causal:
        keywords["attribute_target"] = True
    if method not in WEIGHTS:
        keywords["step_scores"] = ["probability", "entropy"]
    asked = job(model, method, keywords, views=views, repaired=method == "value_zeroing")
    return replace(asked, texts=texts, targets=targets)


def marks(model: str) -> str:
    """Return the marks of a tokenizer's words, which Inseq has to be told unless it is "▁"."""
    return ", special_chars=('Ġ', 'Ċ')" if model == "gpt2" else ", special_chars='▁'"


DEFAULTS = {
    "default": "out.aggregate()",
    "default of a sequence": "out[1].aggregate()",
    "dictionaries": "present(out.get_scores_dicts())",
}
SCORES = {
    **{
        name: f"out.aggregate({name!r})"
        for name in ("mean", "sum", "min", "max", "absmax", "vnorm")
    },
    "norm of order 1": "out.aggregate('vnorm', vnorm_ord=1)",
    "not normalised": "out.aggregate('vnorm', normalize=False)",
    "product": "out.aggregate('prod', normalize=False)",
    "rescaled": "out.aggregate('sum', normalize=False, rescale=True)",
    "one feature": "out.aggregate('scores', select_idx=3)",
    "last feature": "out.aggregate('scores', select_idx=-1, normalize=False)",
    "range of features": "out.aggregate('mean', select_idx=(2, 6))",
    "some features": "out.aggregate('mean', select_idx=[0, 5, -2])",
    "function beside": "out.aggregate('scores', aggregate_fn='absmax')",
}
LAYERS = {
    "layers and heads": "out.aggregate(['mean', 'max'])",
    "one layer": "out.aggregate(['mean', 'scores'], select_idx=1)",
    "not normalised": "out.aggregate(['mean', 'mean'], normalize=False)",
    "heads alone": "out.aggregate('mean', do_post_aggregation_checks=False)",
    "sum of heads": "out.aggregate('sum', normalize=False, do_post_aggregation_checks=False)",
}
SPANS = {
    "target": "out.aggregate('spans', target_spans=[(1, 3), (5, 8)])",
    "one span": "out.aggregate('spans', target_spans=(0, 2))",
    "then the default": "out.aggregate('spans', target_spans=[(0, 2), (5, 7)]).aggregate()",
}
TRANSLATED_SPANS = {
    name: text.replace("(5, 8)", "(3, 5)").replace("(5, 7)", "(3, 5)")
    for name, text in SPANS.items()
}
SOURCE_SPANS = {
    "source": "out.aggregate('spans', source_spans=[(0, 2), (4, 7)])",
    "both": "out.aggregate('spans', source_spans=(1, 3), target_spans=[(1, 3)])",
}
# Inseq joins a score with one that is missing to one that is missing, unless by "absmax". It also
# joins the step scores by the function that is given; here each keeps its own.
BY_FUNCTIONS = {
    f"{name} of the {side}": f"out.aggregate('spans', aggregate_fn={name!r}, "
    f"target_spans=[(1, 3), (3, 5)])[0].{side}_attributions"
    for name in ("mean", "sum", "min", "max", "prod", "vnorm")
    for side in ("source", "target")
}
# A slice of the source alone drops the start token of Inseq's target.
SLICES = {
    "target": "out.aggregate('slices', target_spans=[(0, 1), (2, 4)])",
    "index": "out[0][1:3]",
    "then the default": "out[0][1:3].aggregate()",
}
SOURCE_SLICES = {
    "one of both": "out.aggregate('slices', source_spans=(1, 4), target_spans=(0, 1))",
    # Inseq's scores between tokens of the source are not sliced in both directions by several.
    "several": "out.aggregate('slices', source_spans=[(0, 2), (4, 6)])[0].source_attributions",
    "source": "out.aggregate('slices', source_spans=(1, 4))[0].source_attributions",
    "index": "out[0][2:5].source_attributions",
}
PAIRS = {"pair": "out[0].aggregate('pair', paired_attr=out[1], do_post_aggregation_checks=False)"}
WEIGHTED = {"weighted": "out[0].weight_attributions('probability') or out[0]"}


def texts_of(model: str) -> dict[str, str]:
    """Return what joins tokens by their text."""
    mark = marks(model)
    return {
        "subwords": f"out.aggregate('subwords'{mark})",
        "source alone": f"out.aggregate('subwords', aggregate_target=False{mark})",
        "target alone": f"out.aggregate('subwords', aggregate_source=False{mark})",
        **{
            f"split {mode}": f"out.aggregate('split', split_pattern='o', split_mode={mode!r})"
            for mode in ("single", "start", "end")
        },
    }


def chains(model: str, method: str) -> dict[str, str]:
    """Return chains that end with one number for each input and step."""
    mark = marks(model)
    reduced = {"attention": ["mean", "mean"], "value_zeroing": ["mean"], "occlusion": []}
    first = reduced.get(method, ["vnorm"])
    functions = ["absmax", *[None] * len(first)]
    return {
        "scores first": f"out.aggregate({[*first, 'subwords']}{mark})",
        "subwords first": f"out.aggregate({['subwords', *first]}{mark})",
        "functions": f"out.aggregate({['subwords', *first]}, aggregate_fn={functions}{mark})[0]"
        ".target_attributions",
        "pairs": f"out.aggregate([('subwords', 'absmax'), ('split', 'absmax')], "
        f"split_pattern='o'{mark})[0].target_attributions",
        "one after the other": f"out.aggregate({first or None}).aggregate('subwords'{mark})",
        "default then subwords": f"out.aggregate().aggregate('subwords'{mark})",
    }


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", ALL)
def test_the_default(model: str, method: str, assert_equal: Compare) -> None:
    assert_equal(aggregated(model, method, DEFAULTS), tolerance(model, method, "entropy"))


@pytest.mark.parametrize("method", GRADIENTS)
@pytest.mark.parametrize("model", ALL)
def test_reductions_of_features(model: str, method: str, assert_equal: Compare) -> None:
    # Rounding adds up over the features, and the smallest are a small part of the largest.
    limit = 30 * tolerance(model, method, "entropy")
    assert_equal(aggregated(model, method, SCORES), limit)


@pytest.mark.parametrize("model", ALL)
def test_reductions_of_layers_and_heads(model: str, assert_equal: Compare) -> None:
    assert_equal(aggregated(model, "attention", LAYERS), tolerance(model, "attention"))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", ALL)
def test_given_spans(model: str, method: str, assert_equal: Compare) -> None:
    views = SPANS if KINDS[model].causal else {**TRANSLATED_SPANS, **SOURCE_SPANS}
    assert_equal(aggregated(model, method, views), tolerance(model, method, "entropy"))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", ALL)
def test_spans_joined_by_every_function(model: str, method: str, assert_equal: Compare) -> None:
    limit = tolerance(model, method, "entropy")
    assert_equal(aggregated(model, method, BY_FUNCTIONS), limit, fewer=True)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", ALL)
def test_tokens_joined_by_their_text(model: str, method: str, assert_equal: Compare) -> None:
    assert_equal(aggregated(model, method, texts_of(model)), tolerance(model, method, "entropy"))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", ALL)
def test_chains(model: str, method: str, assert_equal: Compare) -> None:
    views = chains(model, method)
    assert_equal(aggregated(model, method, views), tolerance(model, method, "entropy"))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", ALL)
def test_slices(model: str, method: str, assert_equal: Compare) -> None:
    views = SLICES if KINDS[model].causal else SOURCE_SLICES
    assert_equal(aggregated(model, method, views), tolerance(model, method, "entropy"))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", ALL)
def test_pairs(model: str, method: str, assert_equal: Compare) -> None:
    assert_equal(aggregated(model, method, PAIRS), tolerance(model, method, "entropy"))


@pytest.mark.parametrize("method", [*GRADIENTS, "occlusion"])
@pytest.mark.parametrize("model", ALL)
def test_scores_weighted_by_steps(model: str, method: str, assert_equal: Compare) -> None:
    assert_equal(aggregated(model, method, WEIGHTED), tolerance(model, method, "entropy"))
