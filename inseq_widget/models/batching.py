"""Which texts go through a model together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from inseq_widget.models.example import Example

# Texts with up to this many tokens in all, padding included, go through the model together.
BATCH_TOKENS = 4096


def batches(examples: Sequence[Example], batch_size: int | None) -> Iterator[list[int]]:
    """Put texts of similar length together, as many as memory or the user allow."""
    lengths = [len(example.source) + example.end for example in examples]
    batch: list[int] = []
    for number in sorted(range(len(examples)), key=lambda n: lengths[n], reverse=True):
        # The first of a batch is its longest, which the others are padded to.
        full = (
            len(batch) == batch_size
            if batch_size is not None
            else batch and (len(batch) + 1) * lengths[batch[0]] > BATCH_TOKENS
        )
        if full:
            yield batch
            batch = []
        batch.append(number)
    yield batch


def equally_long(
    rows: Sequence[Sequence[int]],
    batch_size: int | None,
    begun: Sequence[Sequence[int]] | None = None,
) -> Iterator[list[int]]:
    """Put rows of equal length, and of equal beginning, together, as memory or the user allow."""
    by_length: dict[tuple[int, int], list[int]] = {}
    for number, row in enumerate(rows):
        lengths = len(row), len(begun[number]) if begun is not None else 0
        by_length.setdefault(lengths, []).append(number)
    for lengths, numbers in by_length.items():
        size = batch_size or max(1, BATCH_TOKENS // sum(lengths))
        for first in range(0, len(numbers), size):
            yield numbers[first : first + size]
