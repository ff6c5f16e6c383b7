"""Which examples stand in which batch: a function of seed and epoch alone, the same everywhere.

A run that is resumed, or made again on another backend, finds the same batches. This module knows NumPy alone.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gradest.errors import InvalidInputError, InvalidTypeError

Rows = NDArray[np.intp]

_MOST_SEED = 2**64


def checked_rows(rows: object, count: int) -> Rows:
    """Return rows of `count` examples as an array of indices, refusing what is none.

    Raises
    ------
    InvalidInputError
        There are none, or they are no whole numbers in `[0, count)`.
    """
    found = np.asarray(rows)
    if found.ndim != 1 or not found.size or found.dtype.kind not in "iu":
        raise InvalidInputError(
            f"rows must be a sequence of whole numbers, at least one; found {found.dtype} of shape {found.shape}"
        )
    if int(found.min()) < 0 or int(found.max()) >= count:
        raise InvalidInputError(
            f"rows must be in 0 ... {count - 1}; found {int(found.min())} ... {int(found.max())}: there are {count} "
            "examples"
        )
    return found.astype(np.intp, copy=False)


def batches_per_epoch(count: int, size: int, *, replace: bool = False, drop_last: bool = False) -> int:
    """Return how many batches of a size an epoch of `count` examples has.

    Raises
    ------
    InvalidInputError
        The size is not between 1 and `count`.

    Examples
    --------
    >>> from gradest.example_order import batches_per_epoch
    >>> batches_per_epoch(150, 64), batches_per_epoch(150, 64, drop_last=True)
    (3, 2)
    """
    if isinstance(size, bool) or not isinstance(size, int | np.integer):
        raise InvalidTypeError(f"the size of a batch must be an integer; found {size!r} of type {type(size).__name__}")
    if not 1 <= size <= count:
        raise InvalidInputError(f"the size of a batch must be between 1 and the {count} examples; found {size}")
    # With replacement every batch is full, and none is dropped.
    return count // int(size) if drop_last and not replace else -(-count // int(size))


def epoch_of_batches(
    count: int, size: int, *, seed: int, epoch: int, replace: bool = False, drop_last: bool = False
) -> Iterator[Rows]:
    """Return the rows of each batch of an epoch, in order; what is wrong with the arguments is said at once.

    Examples
    --------
    >>> from gradest.example_order import epoch_of_batches
    >>> rows = [row for batch in epoch_of_batches(10, 4, seed=0, epoch=0) for row in batch.tolist()]
    >>> sorted(rows) == list(range(10))
    True
    """
    total = batches_per_epoch(count, size, replace=replace, drop_last=drop_last)
    if replace:
        return (_drawn(count, size, seed=seed, epoch=epoch, place=place) for place in range(total))
    order = epoch_order(count, seed=seed, epoch=epoch)
    return (order[place * size : (place + 1) * size] for place in range(total))


def epoch_order(count: int, *, seed: int, epoch: int) -> Rows:
    """Return the permutation of `count` examples that belongs to (seed, epoch).

    Raises
    ------
    InvalidInputError, InvalidTypeError
        `seed` or `epoch` is no whole number in `[0, 2^64)`.
    """
    # NEP 19 promises the raw stream of a bit generator for ever, `Generator.permutation` only per release. Sorting
    # words of 64 bits is a uniform shuffle but for ties, about count^2 / 2^65, which "stable" settles.
    return np.argsort(_words(count, seed=seed, epoch=epoch, place=0), kind="stable")


def _drawn(count: int, size: int, *, seed: int, epoch: int, place: int) -> Rows:
    """Return rows drawn with replacement."""
    # The upper bits of a word times count: uniform but for a bias of count / 2^64, which no run can show.
    words = _words(size, seed=seed, epoch=epoch, place=place + 1)
    return np.fromiter(((int(word) * count) >> 64 for word in words), dtype=np.intp, count=size)


def _words(number: int, *, seed: int, epoch: int, place: int) -> NDArray[np.uint64]:
    """Return words of Philox (Salmon et al. 2011, doi:10.1145/2063384.2063405) keyed by seed and epoch."""
    for name, value in (("seed", seed), ("epoch", epoch)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise InvalidTypeError(f"{name} must be an integer; found {value!r} of type {type(value).__name__}")
        if not 0 <= value < _MOST_SEED:
            raise InvalidInputError(f"{name} must be in [0, 2^64); found {value}")
    key = np.array([seed, epoch], dtype=np.uint64)
    return np.random.Philox(key=key, counter=place << 128).random_raw(number)
