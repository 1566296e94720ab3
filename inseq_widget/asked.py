"""Which step functions a call is about, and which keywords belong to which of them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

from inseq_widget.methods import AttributionMethod
from inseq_widget.scores import (
    Entry,
    StepFunction,
    adapted,
    bound,
    find_step_function,
    keywords_of,
)
from inseq_widget.scores.contrast import ContrastRequest


@dataclass(frozen=True)
class StepFunctions:
    """The step functions of one call.

    Attributes
    ----------
    name : str
        What the explained function is called.
    explained : callable
        Of :class:`~inseq_widget.scores.StepFunctionArgs` alone, as are those reported.
    reported : dict of str to callable
        By name; the probability is always there.
    takes : set of str
        The keywords that any of them takes.
    gradient : bool
        Whether the explained function has one.
    aggregates : dict of str to mapping of str to str
        How those reported are joined where tokens are: by name, aggregator to function.
    """

    name: str
    explained: StepFunction
    reported: dict[str, StepFunction]
    takes: set[str]
    gradient: bool
    aggregates: dict[str, Mapping[str, str]]

    def check(self, method: AttributionMethod) -> None:
        """Refuse a method that needs a gradient where there is none.

        Raises
        ------
        ValueError
        """
        if method.takes_gradients and method.explains_output and not self.gradient:
            raise ValueError(
                f"attributed_fn: {self.name!r} has no gradient, so {method.name!r} cannot explain "
                "it; perturbation methods such as 'occlusion' can."
            )


def step_functions(
    attributed_fn: str | StepFunction,
    step_scores: list[str],
    attributed_fn_args: Mapping[str, object] | None,
    step_scores_args: Mapping[str, object] | None,
    keywords: Mapping[str, object],
    contrast: ContrastRequest | None,
    *,
    explains: bool,
    attribution_model: object,
) -> StepFunctions:
    """Find the step functions of a call, and give each the keywords that it takes.

    Parameters
    ----------
    attributed_fn : str or callable
    step_scores : list of str or callable
    attributed_fn_args, step_scores_args : mapping or None
        Keywords for the one or the others alone.
    keywords : mapping
        Keywords of the call, those of the method included.
    contrast : ContrastRequest or None
    explains : bool
        Whether the method explains a function of the output at all.
    attribution_model : AttributionModel
        For functions that were written for Inseq, and read it.

    Returns
    -------
    StepFunctions

    Raises
    ------
    ValueError, TypeError
        For an unknown function or keyword, or one that needs what was not given.
    """
    name, entry = find_step_function(attributed_fn)
    found: dict[str, Entry] = {}
    for each_name, each in map(find_step_function, ["probability", *step_scores]):
        if found.setdefault(each_name, each).function is not each.function:
            raise ValueError(
                f"step_scores: two functions are called {each_name!r}; name them differently."
            )
    takes = {key for each in [entry, *found.values()] for key in keywords_of(each.function)}
    own = _own("attributed_fn_args", attributed_fn_args, [entry])
    theirs = _own("step_scores_args", step_scores_args, list(found.values()))
    for each_name, each in [(name, entry)] * explains + list(found.items()):
        if each.contrastive and contrast is None:
            raise ValueError(
                f"contrast_targets: {each_name!r} compares with another text; pass "
                "contrast_targets, or contrast_sources for an encoder-decoder model."
            )
    used = [entry] * explains + list(found.values())
    if contrast is not None and not any(each.contrastive or _is_foreign(each) for each in used):
        warnings.warn(
            "contrast_targets, contrast_sources: nothing that is explained or reported compares "
            "with them; choose attributed_fn='contrast_prob_diff', or step_scores such as "
            "'contrast_prob'.",
            stacklevel=3,
        )
    if explains and entry.needs_inputs and contrast is not None and not contrast.force_inputs:
        raise ValueError(
            f"contrast_force_inputs: {name!r} compares what is predicted under two inputs, so as "
            "attributed_fn it needs contrast_force_inputs=True."
        )
    if explains and entry.other_input_alone and contrast is not None and contrast.force_inputs:
        raise ValueError(
            f"contrast_force_inputs: under the contrastive input {name!r} is the same whatever the "
            "regular input is, so there is nothing to explain; leave it out, or explain "
            "'contrast_logits_diff' or 'contrast_prob_diff'."
        )
    # The probability that is always there is what its name says, whatever is asked for beside it.
    wanted = {find_step_function(each)[0] for each in step_scores}

    def ready(each: Entry, given: Mapping[str, object], is_attributed_fn: bool) -> StepFunction:
        takes = keywords_of(each.function)
        either = adapted(each.function, attribution_model, is_attributed_fn=is_attributed_fn)
        return bound(either, {key: given[key] for key in given if key in takes})

    return StepFunctions(
        name,
        ready(entry, {**keywords, **own}, True),
        {
            each: ready(found[each], {**keywords, **theirs} if each in wanted else {}, False)
            for each in found
        },
        takes,
        entry.explained,
        {each: found[each].aggregate for each in found},
    )


def _is_foreign(entry: Entry) -> bool:
    """Say whether a function is a user's own, which may look at anything."""
    return not getattr(entry.function, "__module__", "").startswith("inseq_widget.")


def _own(
    argument: str, given: Mapping[str, object] | None, entries: list[Entry]
) -> Mapping[str, object]:
    """Refuse keywords that no function takes."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise TypeError(f"{argument}: {given!r} given; pass a dict of keywords.")
    takes = sorted({key for entry in entries for key in keywords_of(entry.function)})
    unknown = [key for key in given if key not in takes]
    if unknown:
        known = f"take {', '.join(takes)}" if takes else "take no keywords"
        raise TypeError(
            f"{argument}: {', '.join(map(str, unknown))} given; the functions asked for {known}."
        )
    return given
