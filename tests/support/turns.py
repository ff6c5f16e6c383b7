"""Which variant of a case is compiled in which environment: XLA compiles each anew, most of the time of JAX's tests.

Where a statement has variants whose path through gradest is one (two dtypes, two kernels), each case of JAX is tried
in one variant, its neighbour in the next, and all in the other one where NumPy's major version is another: `make test`
and `make test2` try all between them. So do they with what else takes long, and is the same with each version.
Where this machine has Python 3.13 too, which the Makefile says by `GRADEST_TURNS`, `make test3` has its turn as well.
"""

import os
import sys
from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np
import pytest

NUMPY_MAJOR = int(np.__version__.partition(".")[0])
TURNS = int(os.environ.get("GRADEST_TURNS", "2"))
"""How many environments have turns: those of NumPy 1, of NumPy 2, and the third of Python 3.13."""
if TURNS not in (2, 3):
    raise ValueError(f"GRADEST_TURNS says how many environments try cases in turn, 2 or 3; found {TURNS}; unset it")
ENVIRONMENT = TURNS if TURNS == 3 and sys.version_info >= (3, 13) else NUMPY_MAJOR

T = TypeVar("T")


def in_turn(number: int, variants: Sequence[T]) -> T:
    """Return the variant in which the case of a number is compiled here."""
    return variants[(number + NUMPY_MAJOR) % len(variants)]


def is_in_turn(number: int, variant: T, variants: Sequence[T]) -> bool:
    """Return whether a variant of the case of a number is compiled here; of two, a third environment has none at times.

    For files that all environments try: what is tried in two of them alone asks `in_turn`.
    """
    if len(variants) > TURNS:
        raise ValueError(
            f"{TURNS} environments have turns at most; found {len(variants)} variants; ask less of one case"
        )
    place = (number + ENVIRONMENT) % TURNS if len(variants) > 1 else 0
    return variants.index(variant) == place


def shared_out(cases: Iterable[T]) -> list[T]:
    """Return those of many cases that are tried here, each in one environment: for long ones in NumPy alone."""
    return [case for number, case in enumerate(cases) if number % TURNS == ENVIRONMENT % TURNS]


def shared_by_two(cases: Iterable[T]) -> list[T]:
    """Return those of many cases that are tried here by NumPy's major version: for files that two environments try."""
    return [case for number, case in enumerate(cases) if in_turn(number, (False, True))]


def with_numpy(major: int) -> pytest.MarkDecorator:
    """Mark what takes seconds and is the same with each version: one such test is for NumPy 1, its neighbour for 2."""
    command = {1: "make test", 2: "make test2"}[major]
    reason = f"takes long, and is the same with each version: tried with NumPy {major} (`{command}`)"
    return pytest.mark.skipif(major != ENVIRONMENT, reason=reason)


WITH_THE_NEWEST = pytest.mark.skipif(
    ENVIRONMENT != TURNS, reason="takes long, and is of JAX alone: tried with its newest (`make test3` or `test2`)"
)
"""For what JAX compiles for seconds, in files that all environments try."""
WITH_NUMPY_2 = pytest.mark.skipif(
    ENVIRONMENT != 2, reason="tried with NumPy 2 (`make test2`); a lesson is run with NumPy 1 by `make docs`"
)
"""For whole programs, long and made of what other tests try with every version."""
