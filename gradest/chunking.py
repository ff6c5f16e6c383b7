"""From a memory budget to how many directions or coordinates are evaluated together.

Chunks depend on sizes and on what was asked alone, never on timing or on the number of workers, so that sums over
chunks come out the same everywhere. Sizes are Python integers, which do not wrap. This module knows no estimator.
"""

from gradest.errors import MemoryBudgetError
from gradest.whole_numbers import whole_number

DEFAULT_MEMORY_BUDGET_BYTES = 1 << 28
"""What an estimator may hold, of what grows with the size of a chunk: 256 MiB."""

CACHE_BYTES = 1 << 24
"""About what chunks should fit in: larger ones leave the caches and are slower (16 MiB)."""


def choose_chunk_size(
    num_items: int,
    *,
    bytes_per_item: int,
    chunk_size: int | None = None,
    memory_budget_bytes: int = DEFAULT_MEMORY_BUDGET_BYTES,
) -> int:
    """Return how many of `num_items` items are held together.

    By default as many as fit the cache, at least one, and such that all chunks are about equally large; a given
    `chunk_size` is kept where it fits the budget. The budget bounds what grows with the chunk: one item is always
    held, however large, since nothing could be computed with less.

    Raises
    ------
    MemoryBudgetError
        The chunk asked for is of several items, and does not fit the budget.
    """
    whole_number("memory_budget_bytes", memory_budget_bytes)
    largest = max(1, memory_budget_bytes // max(1, bytes_per_item))
    if chunk_size is not None:
        whole_number("chunk_size", chunk_size)
    # One always fits, by decree: less than one direction cannot be held.
    asked = 1 if chunk_size is None else min(int(chunk_size), num_items)
    if asked > largest:
        raise MemoryBudgetError(
            f"{asked} at once were asked for, at {bytes_per_item} bytes each; the memory budget is "
            f"{memory_budget_bytes} bytes, enough for {largest}; try "
            f"chunk_size={largest}, or memory_budget_bytes={asked * bytes_per_item}"
        )
    if chunk_size is not None:
        return asked
    most = min(largest, max(1, CACHE_BYTES // max(1, bytes_per_item)), num_items)
    # Equal chunks, not full ones and a rest: a compiled step is compiled for each size that occurs.
    return -(-num_items // -(-num_items // most))


def chunks(num_items: int, chunk_size: int) -> tuple[tuple[int, int], ...]:
    """Return `(start, stop)` of consecutive chunks that cover `num_items` items; the last may be smaller."""
    return tuple((start, min(start + chunk_size, num_items)) for start in range(0, num_items, chunk_size))
