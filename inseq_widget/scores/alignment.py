"""Which token of a contrastive text stands for which token of the target."""

from __future__ import annotations

from collections.abc import Sequence

from rapidfuzz.distance import Levenshtein

AUTO = "auto"
Pairs = Sequence[tuple[int, int]]


def right_aligned(n_target: int, n_contrast: int) -> list[int]:
    """Pair the tokens of two texts from their ends, one by one.

    Parameters
    ----------
    n_target, n_contrast : int
        Numbers of tokens.

    Returns
    -------
    list of int, (target,)
        The contrastive position of each target position; negative where there is none.
    """
    return [position - n_target + n_contrast for position in range(n_target)]


def edit_aligned(target: Sequence[int], contrast: Sequence[int]) -> list[int]:
    """Pair the tokens of two texts by the fewest edits that make one of the other.

    A token that was left out stands where it would have been: before the next one.

    Parameters
    ----------
    target, contrast : sequence of int
        Token ids.

    Returns
    -------
    list of int, (target,)
        The contrastive position of each target position.
    """
    places = [0] * len(target)
    for operation in Levenshtein.opcodes(list(target), list(contrast)):
        for offset, position in enumerate(range(operation.src_start, operation.src_end)):
            replaced = operation.tag in ("equal", "replace")
            places[position] = operation.dest_start + (offset if replaced else 0)
    return [min(place, len(contrast) - 1) for place in places]


def paired(n_target: int, n_contrast: int, pairs: Pairs) -> list[int]:
    """Pair tokens as a user says, and the others from the ends of both texts.

    Of several pairs of one target token the first counts whose contrastive token has no other.

    Parameters
    ----------
    n_target, n_contrast : int
        Numbers of tokens.
    pairs : sequence of tuple of int
        Positions in the target and in the contrastive text.

    Returns
    -------
    list of int, (target,)

    Raises
    ------
    ValueError
        For a position that is not there.
    """
    places = right_aligned(n_target, n_contrast)
    choices: dict[int, list[int]] = {}
    for position, place in pairs:
        if not (0 <= position < n_target and 0 <= place < n_contrast):
            raise ValueError(
                f"contrast_targets_alignments: ({position}, {place}) is outside the texts, which "
                f"have {n_target} target and {n_contrast} contrastive tokens, counted from 0."
            )
        choices.setdefault(position, []).append(place)
    taken: set[int] = set()
    for position, possible in choices.items():
        free = [place for place in possible if place not in taken]
        places[position] = (free or possible)[0]
        taken.add(places[position])
    return places
