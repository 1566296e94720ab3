"""Numbers have their place on a colour scale, whatever its ends."""

from __future__ import annotations

import math

import numpy as np
import pytest

from inseq_widget.render.numbers import power_of_ten, tenfold, three_digits
from inseq_widget.render.scale import Scale, make_scale


def test_a_signed_scale_clips_at_its_ends_and_stays_symmetric() -> None:
    scale = Scale(-0.2, 0.5, signed=True)
    values = np.array([-1.0, -0.2, -0.1, 0.0, 0.1, 0.5, 2.0, np.nan])
    np.testing.assert_allclose(
        scale.strengths(values), [-0.4, -0.4, -0.2, 0.0, 0.2, 1.0, 1.0, np.nan]
    )
    below, above = scale.places(np.array([-0.1, 0.1]))
    assert below + above == 255


def test_a_scale_without_sign_goes_by_magnitudes_from_its_low_end() -> None:
    scale = Scale(0.1, 0.5, signed=False)
    values = np.array([0.0, 0.1, -0.4, 0.4, 0.9, np.nan])
    np.testing.assert_allclose(scale.strengths(values), [0, 0, 0.75, 0.75, 1, np.nan])
    assert scale.places(values).tolist() == [0, 0, 191, 191, 255, -1]


@pytest.mark.parametrize(
    ("signed", "min_val", "max_val", "ends"),
    [
        (False, None, None, (0.0, 0.4)),
        (False, None, 0.2, (0.0, 0.2)),
        (False, 0.1, None, (0.1, 0.4)),
        (False, -1.0, 1.0, (0.0, 1.0)),
        (True, None, None, (-0.4, 0.4)),
        (True, None, 0.2, (-0.2, 0.2)),
        (True, -0.1, None, (-0.1, 0.4)),
        (True, None, -0.1, (-0.4, -0.1)),
    ],
)
def test_ends_that_are_not_given_follow_from_the_numbers(signed, min_val, max_val, ends) -> None:
    scale = make_scale(0.4, signed=signed, min_val=min_val, max_val=max_val)
    assert (scale.low, scale.high) == ends


@pytest.mark.parametrize(
    ("signed", "min_val", "max_val"),
    [
        (True, 0.5, 0.5),
        (True, 0.6, 0.5),
        (True, 0.5, None),
        (False, None, 0.0),
        (False, -2.0, -1.0),
        (True, math.nan, None),
        (False, None, math.inf),
    ],
)
def test_ends_with_nothing_between_them_are_refused(signed, min_val, max_val) -> None:
    with pytest.raises(ValueError, match=r"^(min_val|max_val|min_val, max_val): "):
        make_scale(0.4, signed=signed, min_val=min_val, max_val=max_val)


def test_a_scale_says_what_lies_beyond_it() -> None:
    values = np.array([-0.3, 0.1, np.nan])
    assert Scale(-0.2, 0.2, signed=True).is_beyond(values) == (True, False)
    assert Scale(-0.3, 0.05, signed=True).is_beyond(values) == (False, True)
    assert Scale(0.0, 0.2, signed=False).is_beyond(values) == (False, True)
    assert Scale(0.2, 0.3, signed=False).is_beyond(values) == (True, False)
    assert Scale(0.0, 1.0, signed=False).is_beyond(np.array([np.nan])) == (False, False)


@pytest.mark.parametrize("largest", [1e-9, 0.00994, 0.00996, 0.1, 1.0, 99.4, 99.6, 100.0, 12345.0])
def test_numbers_have_two_digits_in_their_power_of_ten(largest: float) -> None:
    units = round(largest / 10.0 ** tenfold(largest))
    assert 10 <= units <= 99


def test_numbers_and_powers_are_written_without_hyphens() -> None:
    assert [power_of_ten(exponent) for exponent in (-12, 0, 3)] == ["10⁻¹²", "10⁰", "10³"]
    assert three_digits(-0.012345) == "−0.0123"
    assert three_digits(math.nan) == three_digits(None) == "–"
    assert tenfold(0.0) == tenfold(math.nan) == 0
