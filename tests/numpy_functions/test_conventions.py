"""What is chosen at ties and kinks, where several slopes would do: stated in the tables, and held here."""

from functools import partial
from typing import Any

import numpy as np
import pytest

from gradest_numpy.differentiation import value_and_gradient, value_and_jvps


def gradient(function: Any, *arrays: Any) -> list[Any]:
    leaves = [np.asarray(x, dtype=np.float64) for x in arrays]
    _, reverse = value_and_gradient(lambda nodes, data: np.sum(function(*nodes)))(leaves, None)
    for k, g in enumerate(reverse):  # forward mode makes the same choice
        basis = [np.zeros((max(g.size, 1), *x.shape)) for x in leaves]
        basis[k] = np.eye(g.size).reshape(g.size, *g.shape)
        _, forward = value_and_jvps(lambda nodes, data: np.sum(function(*nodes)))(leaves, basis, None)
        np.testing.assert_allclose(forward, g.ravel(), rtol=1e-13)
    return [g.tolist() for g in reverse]


@pytest.mark.parametrize(
    ("function", "arrays", "wanted"),
    [
        (np.abs, [[0.0]], [[0.0]]),
        (np.maximum, [[1.0, 2.0], [1.0, 1.0]], [[0.5, 1.0], [0.5, 0.0]]),
        (np.minimum, [[1.0, 2.0], [1.0, 1.0]], [[0.5, 0.0], [0.5, 1.0]]),
        (lambda x: np.fmax(x, np.array([np.nan, 3.0])), [[1.0, 2.0]], [[1.0, 0.0]]),
        (np.max, [[1.0, 3.0, 3.0]], [[0.0, 0.5, 0.5]]),
        (lambda x: np.min(x, axis=0), [[[1.0, 2.0], [1.0, 3.0]]], [[[0.5, 1.0], [0.5, 0.0]]]),
        (lambda x: np.clip(x, -1.0, 1.0), [[-1.0, 1.0, -2.0, 2.0]], [[1.0, 1.0, 0.0, 0.0]]),
        (np.clip, [[3.0], [0.0], [1.0]], [[0.0], [0.0], [1.0]]),
        (np.linalg.norm, [[0.0, 0.0]], [[0.0, 0.0]]),
        (np.std, [[2.0, 2.0]], [[0.0, 0.0]]),
        (np.nanstd, [[2.0, 2.0]], [[0.0, 0.0]]),
        (lambda x: np.linalg.norm(x, 3), [[0.0, 0.0]], [[0.0, 0.0]]),
        (lambda x: np.linalg.norm(x, 3, axis=1), [[[0.0, 0.0], [0.0, 2.0]]], [[[0.0, 0.0], [0.0, 1.0]]]),
        (lambda x: np.linalg.norm(x, 2), [[[0.0, 0.0], [0.0, 0.0]]], [[[0.0, 0.0], [0.0, 0.0]]]),
        (lambda x: np.linalg.norm(x, "nuc"), [[[0.0, 0.0], [0.0, 0.0]]], [[[0.0, 0.0], [0.0, 0.0]]]),
        (np.hypot, [[0.0], [0.0]], [[0.0], [0.0]]),
        (np.arctan2, [[0.0], [0.0]], [[0.0], [0.0]]),
        (np.prod, [[0.0, 2.0, 3.0]], [[6.0, 0.0, 0.0]]),
        (np.prod, [[0.0, 0.0, 3.0]], [[0.0, 0.0, 0.0]]),
        (np.cumprod, [[2.0, 0.0, 3.0]], [[1.0, 8.0, 0.0]]),
        (lambda x: np.sort(x) @ np.array([1.0, 2.0, 4.0]), [[5.0, 5.0, 1.0]], [[2.0, 4.0, 1.0]]),
        (np.median, [[1.0, 2.0, 2.0, 7.0]], [[0.0, 0.5, 0.5, 0.0]]),
        (lambda x: np.quantile(x, 0.25), [[1.0, 2.0, 3.0]], [[0.5, 0.5, 0.0]]),
        (lambda x: x**2, [[0.0]], [[0.0]]),
        (lambda x: x**0, [[0.0]], [[0.0]]),
        (np.power, [[0.0], [2.0]], [[0.0], [0.0]]),
        (np.power, [[0.0], [0.0]], [[0.0], [0.0]]),
        (np.sinc, [[0.0]], [[0.0]]),
        (lambda x: np.where(x > 0, x, 0.1 * x), [[0.0, 1.0]], [[0.1, 1.0]]),
        (lambda x, f: np.interp(x, [1.0], f), [[0.5, 1.0, 2.0], [7.0]], [[0.0, 0.0, 0.0], [3.0]]),
        (lambda x, f: np.interp(x, [0.0, 1.0, 1.0], f), [[0.5, 1.0, 2.0], [1.0, 3.0, 4.0]],
         [[2.0, 0.0, 0.0], [0.5, 0.5, 2.0]]),
        (np.linalg.det, [[[1.0, 2.0], [2.0, 4.0]]], [[[4.0, -2.0], [-2.0, 1.0]]]),
        (np.linalg.cholesky, [[[4.0, 9.0], [0.0, 25.0]]], [[[0.25, 0.0], [0.5, 0.1]]]),
    ],
)  # fmt: skip
def test_slopes_at_ties_and_kinks(function: Any, arrays: list[Any], wanted: list[Any]) -> None:
    for got, want in zip(gradient(function, *arrays), wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)


def test_the_slope_of_sqrt_at_0_is_infinite_and_numpy_warns() -> None:
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        _, (g,) = value_and_gradient(lambda nodes, data: np.sum(np.sqrt(nodes[0])))((np.array([0.0, 4.0]),), None)
    assert g.tolist() == [np.inf, 0.25]


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")  # NumPy's, of the slopes that are infinite
@pytest.mark.parametrize(("function", "kink"), [(np.sqrt, 0.0), (np.cbrt, 0.0), (np.arcsin, 1.0), (np.arccos, -1.0),
                                                (np.arccosh, 1.0), (lambda x: x**0.5, 0.0),
                                                (lambda x: np.power(x, np.array([0.3, 0.7])), 0.0)])  # fmt: skip
def test_what_does_not_move_an_entry_is_not_moved_by_its_infinite_slope(function: Any, kink: float) -> None:
    """0 times infinity would be NaN, in the derivatives by all parameters that have nothing to do with the entry."""
    x, other = np.full(2, kink), np.array(3.0)
    _, forward = value_and_jvps(lambda nodes, data: np.sum(function(nodes[0])) + nodes[1] ** 2)(
        (x, other), (np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([0.0, 1.0])), None
    )
    assert np.isinf(forward[0])
    assert forward[1] == 6.0
    _, (chosen, _) = value_and_gradient(
        lambda nodes, data: np.sum(np.where([False, False], function(nodes[0]), nodes[0] * nodes[1]))
    )((x, other), None)
    np.testing.assert_array_equal(chosen, 3.0)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_slope_of_arctan_where_a_square_is_infinite(dtype: Any) -> None:
    x = np.array([2.0, 4.0], dtype) * np.sqrt(np.finfo(dtype).max)
    _, (g,) = value_and_gradient(lambda nodes, data: np.sum(np.arctan(nodes[0])))((x,), None)
    np.testing.assert_allclose(g.astype(float), 1 / x.astype(np.longdouble) ** 2, rtol=2e-2 if dtype == np.float16 else
                               1e-6, atol=float(np.finfo(dtype).smallest_subnormal))  # fmt: skip
    assert g[0] > 0


def weighted(function: Any, weights: np.ndarray, leaves: Any, data: Any) -> Any:
    return np.sum(weights * function(leaves[0]))


def test_matrices_of_which_one_triangle_is_read_have_their_slope_there() -> None:
    """`eigvalsh` and `cholesky` do not look at the other triangle: differences of its entries are 0."""
    a = np.array([[2.0, 0.3, 0.1], [0.3, 3.0, -0.4], [0.1, -0.4, 5.0]])
    for function in (np.linalg.eigvalsh, np.linalg.cholesky):
        weights = np.arange(1.0, 4.0) if function is np.linalg.eigvalsh else np.arange(9.0).reshape(3, 3)
        _, (g,) = value_and_gradient(partial(weighted, function, weights))((a,), None)
        for i in range(3):
            for j in range(3):
                step = np.zeros((3, 3))
                step[i, j] = 1e-5
                wanted = np.sum(weights * (function(a + step) - function(a - step))) / 2e-5
                assert g[i, j] == pytest.approx(wanted, abs=1e-8)


def test_the_upper_triangle_where_it_is_read() -> None:
    a = np.array([[2.0, 0.3, 0.1], [9.0, 3.0, -0.4], [9.0, 9.0, 5.0]])
    functions = [lambda x: np.linalg.eigvalsh(x, "U")]
    if np.lib.NumpyVersion(np.__version__) >= "2.0.0":
        functions.append(lambda x: np.linalg.cholesky(x, upper=True))
    for function in functions:
        weights = np.random.default_rng(0).uniform(0.5, 1.5, np.shape(function(a)))
        _, (g,) = value_and_gradient(partial(weighted, function, weights))((a,), None)
        for place in np.ndindex(3, 3):
            step = np.zeros((3, 3))
            step[place] = 1e-5
            wanted = np.sum(weights * (function(a + step) - function(a - step))) / 2e-5
            assert g[place] == pytest.approx(wanted, abs=1e-8)


def test_equal_eigenvalues_have_the_derivative_of_their_sum() -> None:
    _, (g,) = value_and_gradient(lambda n, data: np.sum(np.linalg.eigvalsh(n[0])))((2.0 * np.eye(3),), None)
    np.testing.assert_allclose(g, np.eye(3), atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("axis", [0, None])
def test_entries_of_a_partition_are_differentiated_where_they_stand(dtype: Any, axis: Any) -> None:
    """NumPy 2 partitions 300 values in another order than their indices, which only values tell."""
    x = (np.random.default_rng(0).permutation(600).reshape(300, 2) / 300).astype(dtype)
    partitioned = np.partition(x, 100, axis=axis)
    weights = np.arange(600).reshape(partitioned.shape) % 7

    def loss(leaves: Any, data: Any) -> Any:
        return np.sum(weights * np.partition(leaves[0], 100, axis=axis))

    _, (g,) = value_and_gradient(loss)((x,), None)
    wanted = np.zeros((300, 2))
    for place, value in np.ndenumerate(partitioned):
        column = x if axis is None else np.where(np.arange(2) == place[1], x, np.nan)
        wanted[column == value] = weights[place]  # no two are equal
    assert g.dtype == dtype
    np.testing.assert_array_equal(g, wanted)
    _, forward = value_and_jvps(loss)((x,), (wanted[None].astype(dtype),), None)
    np.testing.assert_allclose(forward, np.sum(wanted**2), rtol=1e-2 if dtype == np.float16 else 1e-6)


@pytest.mark.filterwarnings("ignore:All-NaN:RuntimeWarning")  # NumPy says so of the plain call
@pytest.mark.parametrize("function", [np.nanmax, np.nanmin])
@pytest.mark.parametrize("axis", [None, 1])
def test_an_extreme_of_no_numbers_is_nan_as_in_numpy(function: Any, axis: Any) -> None:
    holes = np.array([[np.nan, np.nan], [0.0, np.nan]])[: 1 if axis is None else 2]
    found, (slopes,) = value_and_gradient(lambda nodes, data: np.sum(function(nodes[0] + holes, axis=axis)))(
        [np.ones(holes.shape)], None
    )
    np.testing.assert_equal(found, np.sum(function(1 + holes, axis=axis)))
    assert np.isnan(found)
    np.testing.assert_array_equal(slopes, 0.0 if axis is None else [[0, 0], [1, 0]])
