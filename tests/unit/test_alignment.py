"""Alignments say which contrastive token stands for which token of the target."""

from __future__ import annotations

import random
from functools import cache

import pytest

from inseq_widget.scores.alignment import edit_aligned, paired, right_aligned


def distance(first: tuple[int, ...], second: tuple[int, ...]) -> int:
    """Count the fewest edits by their recursive definition."""

    @cache
    def of(n: int, m: int) -> int:
        if n == 0 or m == 0:
            return n + m
        other = first[n - 1] != second[m - 1]
        return min(of(n - 1, m) + 1, of(n, m - 1) + 1, of(n - 1, m - 1) + other)

    return of(len(first), len(second))


def test_texts_of_equal_length_are_paired_one_by_one() -> None:
    assert right_aligned(4, 4) == [0, 1, 2, 3]


def test_texts_of_unequal_length_are_paired_from_their_ends() -> None:
    assert right_aligned(3, 5) == [2, 3, 4]
    assert right_aligned(5, 3) == [-2, -1, 0, 1, 2]


@pytest.mark.parametrize(
    ("target", "contrast", "expected"),
    [
        ("abcd", "abcd", [0, 1, 2, 3]),
        ("abcd", "abxd", [0, 1, 2, 3]),  # replaced: the one that stands there
        ("abcd", "abxyzcd", [0, 1, 5, 6]),  # inserted: the others move on
        ("abcd", "xyabcd", [2, 3, 4, 5]),
        ("abcd", "abcdxy", [0, 1, 2, 3]),
        ("abcd", "abd", [0, 1, 2, 2]),  # left out: the next one
        ("abcd", "cd", [0, 0, 0, 1]),
        ("abcd", "ab", [0, 1, 1, 1]),  # left out at the end: the last one
        ("abcdef", "xbcyef", [0, 1, 2, 3, 4, 5]),
        ("abcdef", "acdxef", [0, 1, 1, 2, 4, 5]),
    ],
)
def test_edit_distance_finds_the_counterpart(
    target: str, contrast: str, expected: list[int]
) -> None:
    assert edit_aligned(list(map(ord, target)), list(map(ord, contrast))) == expected


def test_edit_distance_leaves_as_many_equal_tokens_paired_as_the_fewest_edits_do() -> None:
    draw = random.Random(0)
    for _ in range(200):
        first = tuple(draw.choices(range(4), k=draw.randint(1, 9)))
        second = tuple(draw.choices(range(4), k=draw.randint(1, 9)))
        places = edit_aligned(first, second)
        assert len(places) == len(first)
        assert all(0 <= place < len(second) for place in places)
        assert places == sorted(places)
        equal = sum(first[n] == second[place] for n, place in enumerate(places))
        # Each token of the longer text that is paired with no equal one is an edit.
        assert equal >= max(len(first), len(second)) - distance(first, second)


def test_pairs_override_and_the_rest_is_paired_from_the_ends() -> None:
    assert paired(4, 6, [(1, 0), (2, 5)]) == [2, 0, 5, 5]
    assert paired(3, 3, []) == [0, 1, 2]


def test_of_several_pairs_of_a_token_the_first_with_a_free_counterpart_counts() -> None:
    assert paired(3, 3, [(0, 2), (1, 2), (1, 1), (1, 0)]) == [2, 1, 2]


def test_a_token_whose_counterparts_are_all_taken_keeps_its_first() -> None:
    assert paired(3, 3, [(0, 1), (1, 1)]) == [1, 1, 2]


@pytest.mark.parametrize("pair", [(3, 0), (0, 4), (-1, 0), (0, -1)])
def test_a_pair_outside_the_texts_is_refused(pair: tuple[int, int]) -> None:
    with pytest.raises(
        ValueError,
        match=rf"contrast_targets_alignments: \({pair[0]}, {pair[1]}\) .* 3 target and 4 contr",
    ):
        paired(3, 4, [pair])
