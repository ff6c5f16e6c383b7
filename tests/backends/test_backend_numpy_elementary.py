"""NumPy's own replacements of tanh and log1p agree with extended precision, NaN and infinity included."""

import numpy as np
import numpy.typing as npt
import pytest

from gradest.operations import Operations
from gradest_numpy.backend import NumpyBackend
from gradest_numpy.elementary import BLOCK_ENTRIES, LOG1P_SERIES, REACH, log1p, tanh_both_sides

NATIVE = NumpyBackend().operations("native")
ABSOLUTE = 3e-7
"""Three units in the last place of a number just below 1, and one more."""


def exact(x: npt.NDArray[np.float32], change: npt.NDArray[np.float32], radius: float) -> npt.NDArray[np.longdouble]:
    """Return both sides in extended precision."""
    step = change.astype(np.longdouble) * np.longdouble(radius)
    return np.tanh(np.concatenate([x + step, x - step]))


@pytest.mark.parametrize("reach", [1e-3, 0.3, 3.0, 15.0, 100.0])
@pytest.mark.parametrize("size", [1.0, 30.0])
def test_it_is_tanh(size: float, reach: float) -> None:
    generator = np.random.default_rng(0)
    x = (size * generator.standard_normal((200, 200))).astype(np.float32)  # more than one block
    change = generator.standard_normal((3, *x.shape)).astype(np.float32)
    assert x.size > BLOCK_ENTRIES
    before = x.copy(), change.copy()
    with np.errstate(all="raise", under="ignore"):
        found = tanh_both_sides(x, change, reach)
    expected = exact(x, change, reach)
    argument = np.abs(x) + np.abs(np.concatenate([change, change])) * reach  # float32 cannot hold it better than to eps
    allowed = ABSOLUTE + np.finfo(np.float32).eps * argument * (1 - expected**2)
    assert np.all(np.abs(found - expected) <= allowed)
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(change, before[1])


def test_far_points_and_what_is_not_finite_come_out_as_from_tanh() -> None:
    special = np.array([0.0, 2 * REACH, -2 * REACH, 1e30, np.inf, -np.inf, np.nan], np.float32)
    x, change = (np.ascontiguousarray(a) for a in np.meshgrid(special, special, indexing="ij"))
    with np.errstate(invalid="ignore"):
        found = tanh_both_sides(x, change[None], 1.0)
        expected = np.concatenate([np.tanh(x + change)[None], np.tanh(x - change)[None]])
    np.testing.assert_array_equal(found, expected)
    for place in range(len(special)):  # each alone, so that the others do not decide the path
        with np.errstate(invalid="ignore"):
            one = tanh_both_sides(np.zeros(1, np.float32), special[None, place : place + 1], 1.0)
            np.testing.assert_allclose(one, np.tanh([special[place : place + 1], -special[place : place + 1]]))


def test_native_operations_use_it_and_leave_other_functions_and_dtypes_alone() -> None:
    generator = np.random.default_rng(1)
    x, change = generator.standard_normal((4, 5)), generator.standard_normal((2, 4, 5))
    single = NATIVE.both_sides(NATIVE.tanh, x.astype(np.float32), change.astype(np.float32), 0.5)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, np.tanh(np.concatenate([x + 0.5 * change, x - 0.5 * change])), atol=ABSOLUTE)
    for function in (NATIVE.tanh, NATIVE.relu):
        plain = Operations.both_sides(NATIVE, function, x, change, 0.5)
        np.testing.assert_allclose(NATIVE.both_sides(function, x, change, 0.5), plain, rtol=1e-15, atol=1e-16)


@pytest.mark.parametrize("size", [1e-30, 1e-6, *(size for size, _ in LOG1P_SERIES)])
def test_log1p_is_right_relatively(size: float) -> None:
    """Up to the end of each series, whose last argument it is the furthest from right at, and just beyond it."""
    near = np.linspace(-size, size, 20001, dtype=np.float32)
    far = np.linspace(-0.99, 50, 20001, dtype=np.float32)
    for x in (near, 1.001 * near, far, near.reshape(3, -1)[:, ::2]):
        before = x.copy()
        exact = np.log1p(x.astype(np.longdouble))
        np.testing.assert_allclose(log1p(x), exact.astype(np.float64), rtol=3e-7)
        np.testing.assert_array_equal(x, before)
        assert log1p(x).dtype == np.float32


def test_log1p_of_what_is_not_near_or_not_single_is_numpys() -> None:
    special = np.array([0.0, -0.0, np.nan, np.inf, 1e30], np.float32)
    np.testing.assert_array_equal(log1p(special), np.log1p(special))
    np.testing.assert_array_equal(log1p(np.array([np.nan], np.float32)), [np.nan])
    assert np.signbit(log1p(np.array([-0.0], np.float32)))[0]
    for value in (0.25, np.float32(0.25), np.array(0.25), np.array([0.25j]), np.zeros(0, np.float32)):
        np.testing.assert_array_equal(log1p(value), np.log1p(value))
