"""Two libraries' numbers, one by one."""

from __future__ import annotations

import numpy as np

from tests.peer.job import Failure, Scores

Token = tuple[str, int]


def assert_same(own: object, peer: object, tolerance: float, *, fewer: bool = False) -> None:
    """Compare whatever two views came to: every token, position and number.

    Step scores and sequence scores that only this project reports are left aside.

    Parameters
    ----------
    own, peer : object
        What `tests.peer.job.seen` makes of a view.
    tolerance : float
        As a fraction of the largest score.
    fewer : bool
        Whether Inseq may miss scores that this project has.
    """
    for side, value in (("here", own), ("Inseq", peer)):
        assert not isinstance(value, Failure), f"{side}: {value}"
    if isinstance(peer, list) and peer and isinstance(peer[0], Scores):
        assert isinstance(own, list)
        assert len(own) == len(peer)
        for one, other in zip(own, peer, strict=True):
            assert_same_scores(one, other, tolerance, fewer)
    elif isinstance(peer, np.ndarray):
        assert_close(own, peer, tolerance, "values", fewer=fewer)
    elif isinstance(peer, (list, tuple)):
        assert isinstance(own, (list, tuple))
        assert len(own) == len(peer)
        for one, other in zip(own, peer, strict=True):
            assert_same(one, other, tolerance, fewer=fewer)
    elif isinstance(peer, dict):
        assert isinstance(own, dict)
        _assert_same_dicts(own, peer, tolerance)
    elif isinstance(peer, float):
        assert_close(np.asarray(own), np.asarray(peer), tolerance, "value")
    else:
        assert own == peer, f"{own}, Inseq {peer}"


def assert_same_scores(own: Scores, peer: Scores, tolerance: float, fewer: bool) -> None:
    """Compare one sequence."""
    _assert_same_tokens(own.target, peer.target, "target")
    if peer.source == peer.target[: len(peer.source)]:
        assert own.source == own.target[: len(own.source)]
    if peer.source_attributions is not None:
        _assert_same_tokens(own.source, peer.source, "source")
    assert (own.start, own.end) == (peer.start, peer.end), (
        f"positions: {own.start} to {own.end}, Inseq {peer.start} to {peer.end}"
    )
    largest = max(map(_largest, (peer.source_attributions, peer.target_attributions)))
    for side in ("source_attributions", "target_attributions"):
        one, other = getattr(own, side), getattr(peer, side)
        assert (one is None) == (other is None), f"{side}: {one is None}, Inseq {other is None}"
        if other is not None:
            assert_close(one, other, tolerance, side, largest, fewer=fewer)
    for kind in ("step_scores", "sequence_scores"):
        ours, theirs = getattr(own, kind), getattr(peer, kind)
        assert set(ours) >= set(theirs), f"{kind}: {set(theirs) - set(ours)} missing"
        for name, values in theirs.items():
            if name == "decoder_self_attentions" and values.shape == ours[name].shape:
                # What no token can see is 0 in Inseq's weights, and missing here.
                unseen = np.isnan(ours[name])
                assert (values[unseen] == 0).all()
                values = np.where(unseen, np.nan, values)
            # A delta is what is left of the scores, which may be next to nothing.
            scale = largest if name == "deltas" else None
            assert_close(ours[name], values, tolerance, f"{kind} {name}", scale)


def _assert_same_tokens(own: list[Token], peer: list[Token], what: str) -> None:
    """Compare pieces and ids; Inseq counts a token as new whenever a span holds it alone."""
    said = f"{what}: {own}, Inseq {peer}"
    assert [piece for piece, _ in own] == [piece for piece, _ in peer], said
    assert all(
        one[1] == other[1] or other[1] == -1 for one, other in zip(own, peer, strict=True)
    ), said


def assert_close(
    own: object,
    peer: np.ndarray,
    tolerance: float,
    what: str,
    largest: float | None = None,
    *,
    fewer: bool = False,
) -> None:
    """Compare arrays, missing values included, relative to the largest value."""
    assert isinstance(own, np.ndarray), f"{what}: {type(own)}"
    assert own.shape == peer.shape, f"{what}: {own.shape}, Inseq {peer.shape}"
    missing = np.isnan(peer)
    assert fewer or np.array_equal(np.isnan(own), missing), f"{what}: other values are missing"
    assert not np.isnan(own[~missing]).any(), f"{what}: values are missing"
    largest = _largest(peer) if largest is None else largest
    difference = np.abs(np.where(missing, 0, own) - np.where(missing, 0, peer))
    if difference.size:
        assert difference.max() <= tolerance * largest, (
            f"{what}: {difference.max() / (largest or 1):.1e} of the largest score"
        )


def _assert_same_dicts(own: dict, peer: dict, tolerance: float) -> None:
    assert set(own) >= set(peer), f"{set(peer) - set(own)} missing"
    numbers = {key: value for key, value in peer.items() if isinstance(value, float)}
    if numbers:
        ours = np.array([own[key] for key in numbers])
        assert_close(ours, np.array(list(numbers.values())), tolerance, "values")
    for key in set(peer) - set(numbers):
        assert_same(own[key], peer[key], tolerance)


def _largest(values: np.ndarray | None) -> float:
    if values is None or not np.isfinite(values).any():
        return 0.0
    return float(np.abs(values[np.isfinite(values)]).max())
