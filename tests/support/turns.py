"""Which variant of a case is compiled in which environment: XLA compiles each anew, most of the time of JAX's tests.

Where a statement has variants whose path through gradest is one (two dtypes, two kernels), each case of JAX is tried
in one variant, its neighbour in the next, and all in the other one where NumPy's major version is another: `make test`
and `make test2` try all between them. So do they with what else takes long, and is the same with each version.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import pytest

NUMPY_MAJOR = int(np.__version__.partition(".")[0])

T = TypeVar("T")


def in_turn(number: int, variants: Sequence[T]) -> T:
    """Return the variant in which the case of a number is compiled here."""
    return variants[(number + NUMPY_MAJOR) % len(variants)]


WITH_NUMPY_2 = pytest.mark.skipif(
    NUMPY_MAJOR == 1, reason="tried with NumPy 2 (`make test2`); a lesson is run with NumPy 1 by `make docs`"
)
"""For whole programs, long and made of what other tests try with every version."""
