"""Joins the attributions of several runs into one."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from inseq_widget.results.deriving import copied
from inseq_widget.results.output import FeatureAttributionOutput
from inseq_widget.results.provenance import Info
from inseq_widget.results.steps import step_attributions_of

# Results that differ in one of these do not belong in one table.
_SAME = (
    "attribute_target",
    "attribution_method",
    "constrained_decoding",
    "include_eos_baseline",
    "model_class",
    "model_name",
    "step_scores",
    "tokenizer_class",
    "tokenizer_name",
)


def merge_attributions(
    attributions: Sequence[FeatureAttributionOutput],
) -> FeatureAttributionOutput:
    """Join outputs into one with the sequences of all.

    Parameters
    ----------
    attributions : sequence of FeatureAttributionOutput
        At least one. Model, tokenizer, method, step scores, and whether targets were forced and
        attributed must be the same in all.

    Returns
    -------
    FeatureAttributionOutput
        Copies of the sequences, in order. ``info`` joins the texts and adds up ``exec_time``;
        an argument that is not the same in all is left out of it. The live model stays when all
        have the same. ``out1 + out2`` does the same for two.

    Raises
    ------
    TypeError, ValueError
        For something else than outputs, an empty list, or outputs that do not belong together:
        the error names the field and both of its values.
    """
    outputs = list(attributions)
    for number, output in enumerate(outputs):
        if not isinstance(output, FeatureAttributionOutput):
            raise TypeError(
                f"attributions: number {number} is a {type(output).__name__}; pass a list of "
                "FeatureAttributionOutput."
            )
    if not outputs:
        raise ValueError("attributions: an empty list given; pass one output or more.")
    _check_comparable([output.info for output in outputs])
    first = outputs[0]
    shared = all(output.live_model is first.live_model for output in outputs)
    live_model = first.live_model if shared else None
    sequences = [copied(sequence) for output in outputs for sequence in output]
    with_steps = all(output.step_attributions is not None for output in outputs)
    for sequence in sequences:
        sequence.live_model = live_model
    return FeatureAttributionOutput(
        sequences,
        _merged_info([output.info for output in outputs]),
        live_model,
        [step for one in sequences for step in step_attributions_of(one)] if with_steps else None,
    )


def _check_comparable(infos: Sequence[Info]) -> None:
    first = dict(infos[0])
    for number, info in enumerate(infos):
        for field in _SAME:
            given, expected = dict(info).get(field), first.get(field)
            if given != expected:
                raise ValueError(
                    f"attributions: {field} is {expected!r} in number 0 and {given!r} in number "
                    f"{number}; only outputs of the same model, method and step scores merge."
                )


def _merged_info(infos: Sequence[Info]) -> Info:
    merged = copy.deepcopy(infos[0])
    merged["input_texts"] = [text for info in infos for text in info["input_texts"]]
    merged["generated_texts"] = [text for info in infos for text in info["generated_texts"]]
    merged["exec_time"] = sum(info["exec_time"] for info in infos)
    merged["signed"] = any(info["signed"] for info in infos)
    merged["score_label"] = ", ".join(dict.fromkeys(info["score_label"] for info in infos))
    functions = dict.fromkeys(info["attributed_fn"] for info in infos)
    merged["attributed_fn"] = ", ".join(str(name) for name in functions if name) or None
    if any(info["model_revision"] != merged["model_revision"] for info in infos):
        merged["model_revision"] = None
    merged["method_args"] = _common([info["method_args"] for info in infos])
    merged["generation_args"] = _common([info["generation_args"] for info in infos])
    merged["versions"] = _common([info["versions"] for info in infos])
    done = dict.fromkeys(sentence for info in infos for sentence in info["aggregation"])
    merged["aggregation"] = [*done, f"{len(infos)} outputs merged"]
    return merged


def _common(mappings: Sequence[dict[str, str]]) -> dict[str, str]:
    return {
        key: value
        for key, value in mappings[0].items()
        if all(mapping.get(key) == value for mapping in mappings)
    }
