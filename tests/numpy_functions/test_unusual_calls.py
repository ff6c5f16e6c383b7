"""Calls that few write, at points that few meet: values and refusals are NumPy's own, slopes those of differences."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from gradest_numpy.differentiation import value_and_gradient, value_and_jvps

NUMPY_2 = np.lib.NumpyVersion(np.__version__) >= "2.0.0"
trapezoid: Any = getattr(np, "trapezoid", None) or getattr(np, "trapz", None)

X = np.array([[0.4, 1.1, 0.7, 1.6], [1.3, 0.9, 0.5, 1.5], [0.8, 1.2, 1.4, 0.6]])
V = X[0]
PLANE = np.arange(1.0, 9.0).reshape(4, 2)
xp: Any = np
linalg: Any = np.linalg  # what NumPy 1 has not


def weighted(text: Callable[..., Any], *arrays: Any) -> Any:
    value = text(*arrays)
    return np.sum(np.random.default_rng(3).uniform(0.5, 1.5, np.shape(value)) * value)


def reverse(text: Callable[..., Any], *arrays: np.ndarray) -> tuple[Any, Any]:
    return value_and_gradient(lambda leaves, data: weighted(text, *leaves))(arrays, None)


def differences(function: Callable[..., Any], arrays: tuple[np.ndarray, ...], h: float = 1e-3) -> list[np.ndarray]:
    """Return the gradient by central differences of fourth order."""
    found = [np.zeros(x.shape) for x in arrays]
    for k, x in enumerate(arrays):
        for place in np.ndindex(x.shape):

            def at(step: float, k: int = k, place: Any = place) -> Any:
                moved = [a.copy() for a in arrays]
                moved[k][place] += step
                return function(*moved)

            slopes = [(at(s) - at(-s)) / (2 * s) for s in (h, h / 2)]
            found[k][place] = (4 * slopes[1] - slopes[0]) / 3
    return found


ONE: list[tuple[str, Callable[..., Any]]] = [
    ("transpose by an array of axes", lambda x: np.transpose(x, np.array([1, 0]))),
    ("the method compress", lambda x: x.compress([True, False, True], axis=0)),
    ("no difference and an edge", lambda x: np.diff(x, n=0, prepend=2.0)),
    ("an array of steps", lambda x: trapezoid(x[:, :3], dx=np.array([0.1, 0.2, 0.4]), axis=0)),
    ("convolve with a number", lambda x: np.convolve(x[0], 2.0)),
    ("einsum along an axis of length 1", lambda x: np.einsum("ij,ij->i", x, V[:3, None])),
    ("einsum, an inner axis of length 1", lambda x: np.einsum("ij,jk", x, V[None, :2])),
    ("einsum, of length 1 itself", lambda x: np.einsum("ij,jk", x[:, :1], X)),
    ("inf beyond the ends", lambda x: np.interp([np.inf, 0.5, -np.inf], [0.0, 1.0, 2.0, 3.0], x[0])),
    ("pinv of one triangle", lambda x: np.linalg.pinv(x[:, :3] + 3 * np.eye(3), hermitian=True)),
    ("reductions over no axis", lambda x: np.prod(x, axis=()) + np.max(x, axis=()) + np.var(x, axis=())),
    ("weights of one axis", lambda x: np.average(x, axis=0, weights=[1.0, 3.0, 2.0])),
    *([("weights of several axes", lambda x: np.average(np.stack([x, x * x]), axis=(2, 0), weights=PLANE)),
       ("vecdot along the axis of each", lambda x: linalg.vecdot(x[:, :3], x[:, 0], axis=0))] if NUMPY_2 else []),
    ("spacings", lambda x: np.linspace(x[0, 0], x[0, 1], 1, endpoint=False, retstep=True)[1]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text"), ONE, ids=[name for name, _ in ONE])
def test_values_and_slopes(name: str, text: Callable[..., Any]) -> None:
    value, (gradient,) = reverse(text, X)
    np.testing.assert_allclose(value, weighted(text, X), rtol=1e-13)
    assert gradient.shape == X.shape
    np.testing.assert_allclose(gradient, differences(partial(weighted, text), (X,))[0], rtol=1e-8, atol=1e-9)
    tangents = np.random.default_rng(1).standard_normal((2, 3, 4))
    _, jvps = value_and_jvps(lambda leaves, data: weighted(text, *leaves))((X,), (tangents,), None)
    np.testing.assert_allclose(jvps, np.sum(tangents * gradient, axis=(1, 2)), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("function", [np.median, lambda x, axis: np.quantile(x, 0.3, axis=axis),
                                      lambda x, axis: np.percentile(x, [0.0, 40.0, 100.0], axis=axis)])  # fmt: skip
def test_statistics_of_sorted_entries_are_nan_where_an_entry_is(function: Any) -> None:
    """NaN is sorted to the end, where a median would not see it: the loss would be another function."""
    holes = np.zeros((3, 4))
    holes[1, 2] = np.nan
    for axis in (None, 0, 1):
        found: list[Any] = []

        def loss(leaves: Any, data: Any, axis: Any = axis, found: Any = found) -> Any:
            value = function(leaves[0] + holes, axis=axis)
            found.append(np.array(getattr(value, "primal", value)))
            return np.sum(np.where(np.isnan(value), 0.0, value)) + leaves[0][0, 0]

        _, (gradient,) = value_and_gradient(loss)((X,), None)
        np.testing.assert_allclose(found[0], function(X + holes, axis=axis), rtol=1e-14)
        assert np.isfinite(gradient).all()


REFUSED: list[tuple[str, Callable[..., Any]]] = [
    ("a quantile below 0", lambda x: np.quantile(x, -0.1)),
    ("a percentile above 100", lambda x: np.percentile(x, [50, 101])),
    ("differences of a negative order", lambda x: np.diff(x, -1)),
    ("axes of other lengths", lambda x: np.tensordot(x, np.ones((4, 3)), 2)),
    ("a condition with two axes", lambda x: np.compress(np.ones((3, 4), bool), x)),
    ("powers of a matrix", np.vander),
    ("a slope of one point", lambda x: np.gradient(x[0, :1])),
    ("fewer points than none", lambda x: np.linspace(0.0, x[0, 0], -1)),
    ("rows of a vector", lambda x: np.vsplit(x[0], [1])[0]),
    ("weights of another length", lambda x: np.average(x, axis=0, weights=[1.0, 2.0])),
    *([("running sums without an axis", lambda x: xp.cumulative_sum(x)),  # noqa: PLW0108  # NumPy 1 has none
       ("vectors of other lengths", lambda x: linalg.vecdot(x, x[:, :1])),
       ("an outer product of matrices", lambda x: linalg.outer(x, x))] if NUMPY_2 else []),
    ("weights that add up to 0", lambda x: np.average(x[0], weights=[1.0, -1.0, 0.0, 0.0])),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text"), REFUSED, ids=[name for name, _ in REFUSED])
def test_what_numpy_refuses_is_refused(name: str, text: Callable[..., Any]) -> None:
    with pytest.raises((ValueError, ZeroDivisionError)) as plain:
        text(X)
    with pytest.raises(type(plain.value)):
        reverse(text, X)


@pytest.mark.parametrize("name", ["prod", "sum", "var", "std", "mean", "median", "nanprod"])
def test_a_reduction_over_the_other_axis_of_an_empty_array(name: str) -> None:
    """The results are none either, and what is differentiated beside them has its slope."""
    if name == "median" and not NUMPY_2:
        pytest.skip("NumPy 1 cannot reshape what its own median makes of it")
    empty = np.zeros((0, 3))
    _, (gradient, beside) = value_and_gradient(
        lambda leaves, data: np.sum(getattr(np, name)(leaves[0], axis=1)) + leaves[1] ** 2
    )((empty, np.array(3.0)), None)
    assert gradient.shape == (0, 3)
    assert beside == 6.0


TYPED: list[Callable[[Any], Any]] = [
    lambda x: np.sum(x, initial=0.1), lambda x: np.prod(x, initial=0.1), lambda x: np.max(x, initial=0.1),
    lambda x: np.min(x, initial=0.7, where=x > 1), lambda x: np.linspace(0, x, 3), lambda x: np.linspace(x, 2.5, 3),
    lambda x: np.polyval([1.0, 2.0, 3.0], x), lambda x: np.quantile(x, np.array(0.3)), lambda x: np.quantile(x, 0.3),
    lambda x: np.percentile(x, 30), lambda x: np.percentile(x, np.float64(30)), lambda x: np.percentile(x, [30.0]),
    lambda x: np.average(x, returned=True)[1] * x, lambda x: np.average(x, weights=[1, 2, 3, 4], returned=True)[1] * x,
]  # fmt: skip


@pytest.mark.parametrize("text", TYPED)
def test_dtypes_are_numpys_own(text: Callable[[Any], Any]) -> None:
    """A number that a reduction starts from, or the end of a line, does not make float32 float64; a level may."""
    x, found = V.astype(np.float32), []

    def loss(leaves: Any, data: Any) -> Any:
        found.append(text(leaves[0]))
        return np.sum(found[0])

    value, _ = value_and_gradient(loss)((x,), None)
    assert found[0].dtype == text(x).dtype
    assert value == pytest.approx(np.sum(text(x)), rel=1e-6)


@pytest.mark.parametrize("function", [np.std, np.mean, np.var])
def test_counts_that_float16_does_not_hold(function: Any) -> None:
    """There 150,000 is infinite, and a slope divided by it 0."""
    x = ((np.arange(150_000) % 2 - 0.5) * (1 + np.arange(150_000) % 3 / 8)).reshape(1, -1).astype(np.float16)

    def loss(leaves: Any, data: Any) -> Any:
        return np.sum(function(leaves[0], axis=1))

    _, (gradient,) = value_and_gradient(loss)((x,), None)
    _, (wanted,) = value_and_gradient(loss)((x.astype(np.float64),), None)
    np.testing.assert_allclose(gradient.astype(float), wanted, rtol=2e-2, atol=2e-7)


@pytest.mark.filterwarnings("ignore:Degrees of freedom:RuntimeWarning", "ignore:divide by zero:RuntimeWarning",
                            "ignore:invalid value:RuntimeWarning")  # fmt: skip  # of which NumPy warns
@pytest.mark.parametrize("function", [np.var, np.nanvar, np.cov])
def test_degrees_of_freedom_below_0_are_none(function: Any) -> None:
    value, _ = value_and_gradient(lambda leaves, data: np.sum(function(leaves[0], ddof=6)))((V,), None)
    np.testing.assert_equal(value, np.sum(function(V, ddof=6)))


def second(function: Callable[[Any], Any], x: np.ndarray, v: np.ndarray) -> Any:
    """Return the gradient of the gradient's product with v: the Hessian times v."""

    def along(leaves: Any, data: Any) -> Any:
        _, (g,) = value_and_gradient(lambda inner, data: function(inner[0]))((leaves[0],), None)
        return np.sum(g * v)

    return value_and_gradient(along)((x,), None)[1][0]


SECOND: list[tuple[str, Callable[[Any], Any], Any]] = [
    ("transpose", lambda x: np.sum(np.transpose(x, (1, 0)) ** 3), X),
    ("tensordot", lambda x: np.sum(np.tensordot(x, x, axes=([0], [0])) ** 2), X),
    ("det of rank 1", np.linalg.det, np.array([[1.0, 2.0], [2.0, 4.0]])),
    ("det of zeros", np.linalg.det, np.zeros((2, 2))),
    ("det of rank 2", np.linalg.det, np.diag([1.0, 1.0, 0.0])),
    ("det of rank 1 of 3", np.linalg.det, np.outer([1.0, 2.0, 3.0], [0.5, -1.0, 2.0])),
    ("det beside rank 2", np.linalg.det, np.arange(1.0, 10.0).reshape(3, 3)),
    ("det of a stack", lambda x: np.sum(np.linalg.det(x)), np.stack([np.eye(3), np.diag([1.0, 2.0, 0.0])])),
]


@pytest.mark.parametrize(("name", "function", "x"), SECOND, ids=[name for name, _, _ in SECOND])
def test_second_derivatives(name: str, function: Callable[[Any], Any], x: np.ndarray) -> None:
    v = np.random.default_rng(2).standard_normal(x.shape)

    def slope(at: np.ndarray) -> Any:
        return np.sum(value_and_gradient(lambda leaves, data: function(leaves[0]))((at,), None)[1][0] * v)

    found = second(function, x, v)
    np.testing.assert_allclose(found, differences(slope, (x,), h=1e-2)[0], rtol=1e-7, atol=1e-8)
    other = np.random.default_rng(4).standard_normal(x.shape)
    assert np.sum(second(function, x, other) * v) == pytest.approx(np.sum(found * other), rel=1e-9)


def test_a_tangent_of_an_array_of_shape_0_is_one_too() -> None:
    """NumPy 1 inserts into a number otherwise than into such an array."""
    leaves, tangents = (np.array(0.7), np.array(0.4)), (np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    _, jvps = value_and_jvps(lambda at, data: np.sum(np.insert(at[0], 1, at[1]) * [2.0, 3.0]))(leaves, tangents, None)
    np.testing.assert_array_equal(jvps, [2.0, 3.0])
