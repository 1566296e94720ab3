"""Reads and checks what users give to contrast with, before any work is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from inseq_widget.results import Token
from inseq_widget.results.alternatives import AlternativeToken
from inseq_widget.scores.alignment import AUTO, Pairs
from inseq_widget.scores.contrast import ContrastRequest, Target
from inseq_widget.scores.embedding_alignment import EncoderInput, read_encoder
from inseq_widget.scores.foils import Foil, FoilToken

FoilsByStep = Mapping[int, FoilToken | Sequence[FoilToken]]
"""Foils by step; a list of them is several foils, one after the other."""
ContrastTarget = str | FoilsByStep | Foil
ContrastTargets = ContrastTarget | Sequence[ContrastTarget | Sequence[ContrastTarget]]

_FORMS = (
    "a text, foils by step such as {3: ' he'}, or Foil.MOST_LIKELY; for several inputs a list with "
    "one of them for each, and a list in its place for several foils of one input"
)


def read_contrast(
    n_texts: int,
    sources: str | Sequence[str] | None,
    targets: ContrastTargets | None,
    alignments: str | Sequence[Pairs] | Pairs | None,
    force_inputs: bool,
    encoder: EncoderInput | None = None,
    layer: int | None = None,
) -> ContrastRequest | None:
    """Give what to contrast with, text by text and foil by foil; None where there is nothing.

    Parameters
    ----------
    n_texts : int
    sources, targets, alignments, force_inputs
        What ``attribute`` takes under ``contrast_sources``, ``contrast_targets``,
        ``contrast_targets_alignments`` and ``contrast_force_inputs``.
    encoder, layer
        Its ``alignment_encoder`` and ``alignment_layer``.

    Returns
    -------
    ContrastRequest or None

    Raises
    ------
    ValueError, TypeError
        The message names the argument.
    """
    if not isinstance(force_inputs, bool):
        raise TypeError(f"contrast_force_inputs: {force_inputs!r} given; pass True or False.")
    texts = _sources(sources, n_texts)
    foils = None if targets is None else _targets(targets, n_texts)
    if texts is None and foils is None:
        for argument, given in (
            ("contrast_targets_alignments", alignments),
            ("contrast_force_inputs", force_inputs or None),
            ("alignment_encoder", encoder),
            ("alignment_layer", layer),
        ):
            if given is not None:
                raise ValueError(
                    f"{argument}: {given!r} given, but nothing to contrast with; "
                    "pass contrast_targets or contrast_sources, too."
                )
        return None
    _check_alignable(foils, alignments, encoder)
    n_foils = n_texts if foils is None else sum(map(len, foils))
    pairs = _alignments(alignments, n_texts, n_foils)
    return ContrastRequest(texts, foils, pairs, force_inputs, read_encoder(encoder, layer))


def _sources(given: str | Sequence[str] | None, count: int) -> list[str] | None:
    """Give one text for each input; refuse what is no text."""
    if given is None:
        return None
    texts = [given] if isinstance(given, str) else list(given) if _is_list(given) else []
    if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise TypeError(
            f"contrast_sources: {given!r} given; pass a text for each of the {count} input_texts."
        )
    if len(texts) != count:
        raise ValueError(
            f"contrast_sources: {len(texts)} given for {count} input_texts; each input needs its "
            "own."
        )
    return texts


def _targets(given: ContrastTargets, count: int) -> list[list[Target]]:
    """Give the foils of each input."""
    if isinstance(given, Foil):
        return [[given]] * count
    if isinstance(given, str | Mapping):
        every: list[Any] = [given]
    elif _is_list(given) and given:
        every = list(given)
    else:
        raise TypeError(f"contrast_targets: {given!r} given; pass {_FORMS}.")
    texts = [
        [foil for entry in (each if _is_list(each) else [each]) for foil in _foils(entry)]
        if each
        else []
        for each in every
    ]
    if not all(texts):
        raise TypeError(f"contrast_targets: {given!r} given; pass {_FORMS}.")
    if len(texts) != count:
        hint = "; several foils of one input are a list inside of the list" if count == 1 else ""
        raise ValueError(
            f"contrast_targets: {len(texts)} given for {count} input_texts; each input needs its "
            f"own{hint}."
        )
    return texts


def _foils(given: object) -> list[Target]:
    """Give what an entry stands for: itself, or foils by step one after the other."""
    if isinstance(given, Foil) or (isinstance(given, str) and given.strip()):
        return [given]
    if not isinstance(given, Mapping) or not given:
        raise TypeError(f"contrast_targets: {given!r} given; pass {_FORMS}.")
    lengths: dict[int, int] = {}
    for step, foil in given.items():
        if not _is_whole(step):
            raise TypeError(
                f"contrast_targets: {step!r} given as a step; pass its index among the explained "
                "steps, from 0 on or negative from the end."
            )
        several = list(foil) if _is_list(foil) else [foil]
        if not several or not all(map(_is_token, several)):
            raise TypeError(
                f"contrast_targets: {foil!r} given at step {step}; pass the text or the id of a "
                "token, a token, one of the alternatives at the step, Foil.MOST_LIKELY, or a list "
                "of them."
            )
        if _is_list(foil):
            lengths[step] = len(several)
    if len(set(lengths.values())) > 1:
        raise ValueError(
            "contrast_targets: lists of foils of different length given, "
            f"{', '.join(f'{n} at step {step}' for step, n in lengths.items())}; the first of each "
            "make one foil, the second another, so give as many at each step."
        )
    count = next(iter(lengths.values()), 1)
    return [
        {step: foil[nth] if _is_list(foil) else foil for step, foil in given.items()}
        for nth in range(count)
    ]


def _check_alignable(foils: list[list[Target]] | None, alignments: object, encoder: object) -> None:
    """Refuse an alignment where there is nothing to align, or an encoder that has none to do."""
    by_step = any(not isinstance(foil, str) for each in foils or [] for foil in each)
    argument, given = "contrast_targets_alignments", alignments
    if given is None:
        argument, given = "alignment_encoder", encoder
    if given is not None and by_step:
        raise ValueError(
            f"{argument}: {given!r} given, but foils by step stand at their own step, so there is "
            "nothing to align; leave it out."
        )
    if encoder is not None and not (isinstance(alignments, str) and alignments == AUTO):
        raise ValueError(
            f"alignment_encoder: given with contrast_targets_alignments={alignments!r}; it finds "
            'the alignment, so pass contrast_targets_alignments="auto".'
        )


def _alignments(
    given: str | Sequence[Pairs] | Pairs | None, n_texts: int, n_foils: int
) -> str | list[Pairs] | None:
    """Give the pairs of each foil, those of all texts counted through."""
    if given is None:
        return None
    if isinstance(given, str) and given == AUTO:
        return AUTO
    each = f"{n_texts} input_texts" if n_foils == n_texts else f"{n_foils} foils"
    wrong = (
        f'contrast_targets_alignments: {given!r} given; pass "auto", or pairs (target position, '
        f"contrastive position), a list of them for each of the {each}."
    )
    if isinstance(given, str) or not _is_list(given) or not given:
        raise TypeError(wrong)
    every: list[Any] = [given] if all(_is_pair(pair) for pair in given) else list(given)
    for pairs in every:
        if not _is_list(pairs) or not all(_is_pair(pair) for pair in pairs):
            raise TypeError(wrong)
    if len(every) != n_foils:
        raise ValueError(
            f"contrast_targets_alignments: pairs for {len(every)} texts given for {each}; each "
            "needs its own list."
        )
    return [[(int(first), int(second)) for first, second in pairs] for pairs in every]


def _is_list(given: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(given, Sequence) and not isinstance(given, str | bytes)


def _is_whole(given: object) -> bool:
    return isinstance(given, int) and not isinstance(given, bool)


def _is_token(given: object) -> bool:
    if isinstance(given, str):
        return bool(given)
    return isinstance(given, Token | AlternativeToken | Foil) or _is_whole(given)


def _is_pair(given: object) -> bool:
    return _is_list(given) and len(given) == 2 and all(map(_is_whole, given))
