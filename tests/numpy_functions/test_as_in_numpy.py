"""What meets a value that is being differentiated meets what its value is: numbers, operators, dtypes, containers."""

import numbers
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import scipy.special

import gradest
from gradest import UnsupportedError
from gradest_numpy.differentiation import value_and_gradient, value_and_jvps

X = np.array([0.5, 1.5, 2.5])
M = np.array([[0.4, 1.1, 0.7, 1.6], [1.3, 0.9, 0.5, 1.5], [0.8, 1.2, 1.4, 0.6]])
CLOSED = np.array([[0.0], [np.inf], [0.0]])
trapezoid: Any = getattr(np, "trapezoid", None) or getattr(np, "trapz", None)


def differentiate(function: Any, x: np.ndarray = X) -> tuple[Any, Any]:
    value, (gradient,) = value_and_gradient(lambda leaves, data: function(leaves[0]))((x,), None)
    tangents = np.eye(x.size).reshape(x.size, *x.shape)
    _, forward = value_and_jvps(lambda leaves, data: function(leaves[0]))((x,), (tangents,), None)
    np.testing.assert_allclose(forward, gradient.ravel(), rtol=1e-12, atol=1e-14)
    return value, gradient


# -- numbers ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("asked", [lambda y: isinstance(y, float), np.isscalar, lambda y: isinstance(y, numbers.Real),
                                   lambda y: not isinstance(y, np.ndarray)])  # fmt: skip
def test_an_entry_passes_for_a_number(asked: Callable[[Any], bool]) -> None:
    """As in a plain evaluation: whoever asks would take another branch otherwise, and give its derivative."""

    def loss(x: Any) -> Any:
        return np.sum(x) ** 2 if asked(x[1]) and asked(np.sum(x)) and not asked(x) else 0.0 * np.sum(x)

    value, gradient = differentiate(loss)
    assert value == loss(X) == 4.5**2
    np.testing.assert_allclose(gradient, 9.0)
    np.testing.assert_allclose(gradest.hvp(loss, X, np.ones(3)).value, 6.0)


def test_a_gradient_by_an_entry_inside_a_gradient() -> None:
    """d/dx0 of d/dy x0 y^3 at y = x1 is 3 x1^2; numbers of an outer evaluation are no numbers of NumPy's."""
    gradient = gradest.grad(lambda x: gradest.grad(lambda y: x[0] * y**3)(x[1]))(X)
    np.testing.assert_allclose(gradient, [3 * 1.5**2, 6 * 0.5 * 1.5, 0.0])


def test_a_fraction_times_an_entry() -> None:
    np.testing.assert_allclose(differentiate(lambda x: Fraction(1, 2) * np.sum(x))[1], 0.5)


# -- operators -------------------------------------------------------------------------------------
class Answering:
    """Answers operators itself, by twice the other operand, and says so by NumPy's newer protocol."""

    __array_ufunc__ = None

    def __radd__(self, other: Any) -> Any:
        return 2 * other

    __rmul__ = __rmatmul__ = __rpow__ = __rsub__ = __radd__

    def __lt__(self, other: Any) -> Any:
        return True


class Prior:
    """Likewise, by the older protocol."""

    __array_priority__ = 5.0
    __radd__ = __rmul__ = __rmatmul__ = __rpow__ = __rsub__ = Answering.__radd__
    __lt__ = Answering.__lt__


class Values:
    """An array of another library: made into one of NumPy's; its own arithmetic knows no derivative."""

    dtype = np.dtype(float)
    __array_priority__ = 5.0

    def __array__(self, *args: Any, **options: Any) -> Any:
        return np.array([1.0, 2.0, 3.0])

    def __rmul__(self, other: Any) -> Any:
        raise AssertionError("the values were asked for")


@pytest.mark.parametrize("other", [Answering(), Prior()])
def test_an_operand_that_answers_operators_itself_is_asked(other: Any) -> None:
    for loss in (lambda x: np.sum(x * other), lambda x: np.sum(x + other), lambda x: np.sum(x @ other),
                 lambda x: np.sum(x - other), lambda x: np.sum(x**other),
                 lambda x: (2 if x > other else 1) * np.sum(x)):  # fmt: skip
        value, gradient = differentiate(loss)
        assert value == loss(X) == 9.0
        np.testing.assert_array_equal(gradient, 2.0)


def test_arrays_of_other_libraries_are_taken_for_their_values() -> None:
    np.testing.assert_allclose(differentiate(lambda x: np.sum(x**2 * Values()))[1], 2 * X * [1, 2, 3])
    np.testing.assert_allclose(differentiate(lambda x: np.sum(x ** Values()))[1], [1.0, 2 * 1.5, 3 * 2.5**2])


def test_a_sparse_matrix_is_refused_on_either_side() -> None:
    matrix = scipy.sparse.csr_matrix(np.eye(3))
    for loss in (lambda x: np.sum(x @ matrix), lambda x: np.sum(matrix @ x), lambda x: np.sum(x * matrix)):
        with pytest.raises(UnsupportedError, match="sparse matrices of SciPy"):
            differentiate(loss)


# -- values, dtypes, containers --------------------------------------------------------------------
FORMS: list[tuple[str, Callable[[Any], Any]]] = [
    ("dot with a number", lambda x: np.dot(x, 2.0)),
    ("inner with a number", lambda x: np.inner(3, x)),
    ("kron with a number", lambda x: np.kron(x, np.array(2.0))),
    ("nansum of a number", lambda x: np.nansum(x[0, 0])),
    ("nanmean, nanvar of a number", lambda x: np.nanmean(x[0, 0]) * np.nanvar(x[0, 0] * np.ones(1, np.float32))),
    ("modf of a number", lambda x: np.modf(x[0, 1])[0]),
    ("mean of chosen entries", lambda x: np.mean(x[0], where=np.array(True))),
    ("ediff1d with ends", lambda x: np.ediff1d(x, to_end=[1.0, 2.0], to_begin=x[0])),
    ("quantile, whole level", lambda x: np.quantile(x, 1)),
    ("quantile over an axis", lambda x: np.quantile(x, 0.3, axis=1)),
    ("quantiles at whole levels", lambda x: np.quantile(x, np.array([0, 1]), axis=0)),
    ("percentile over an axis", lambda x: np.percentile(x, 30.0, axis=1)),
    ("percentile, numbers of NumPy's", lambda x: np.percentile(x, np.float32(30.0), axis=0)),
    ("percentiles at whole levels", lambda x: np.percentile(x, [25, 50], axis=0)),
    ("cumprod of a number", lambda x: np.cumprod(x[0, 0], axis=0)),
    ("convolve by the number of a mode", lambda x: np.convolve(x[0], x[1][:2], 1)),
    ("correlate by the number of a mode", lambda x: np.correlate(x[0], x[1][:2], mode=0)),
    ("trapezoid of a list over points", lambda x: trapezoid([1.0, 2.0, 3.0, 5.0], np.cumsum(x[0]))),
    ("einsum by numbers of axes", lambda x: np.einsum(x, [30, 1], M.T[:, :2], [1, 2]) * M[:2, :3]),
    ("logical_and.reduce", lambda x: x * np.logical_and.reduce(x, axis=0, initial=True, where=x > 1)),
    ("less into an array", lambda x: x * np.less(x, 1.0, out=np.zeros(x.shape, bool))),
    ("mean in integers", lambda x: x * np.mean(3 * x, axis=0, dtype=int)),
    ("var in integers", lambda x: x * np.var(7.3 * x, axis=0, dtype=int)),
    ("sum and prod in truth values", lambda x: x * np.sum(x, axis=0, dtype=bool) * np.prod(x[0] > 1, dtype=bool)),
    ("extremes of nothing", lambda x: x * np.max(x[:, :0], axis=1, keepdims=1, initial=2) + np.min(x[:0], initial=2)),
    ("cov of the columns of a row", lambda x: np.cov(x, rowvar=False) + np.cov(x[:1], rowvar=False, ddof=0)),
    ("multi_dot of stacks", lambda x: np.linalg.multi_dot([x[:, :, None], np.ones((2, 1, 3)) * [[[2.0]], [[3.0]]]])),
    ("trapezoid of a row over rows of points", lambda x: [1, 2, 4] * trapezoid(x[0], np.cumsum(M, axis=1))),
    ("cross of a vector and rows", lambda x: np.cross(M[0, :3], x[:, :3])),
    ("einsum by a path", lambda x: np.einsum("ij,kj,k->", x, M, M[:, 0], optimize=np.einsum_path(
        "ij,kj,k->", x, M, M[:, 0])[0])),
    ("rank of a matrix", lambda x: x * np.linalg.matrix_rank(x)),
    ("logaddexp.reduce of closed classes", lambda x: np.exp(np.logaddexp.reduce(x - CLOSED, axis=1))),
    ("expn at a fraction", lambda x: scipy.special.expn(0.5, x)),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:floating point number truncated:RuntimeWarning")  # SciPy's, of expn at a fraction
@pytest.mark.parametrize(("name", "text"), FORMS, ids=[name for name, _ in FORMS])
def test_values_dtypes_and_shapes_are_numpys(name: str, text: Callable[[Any], Any]) -> None:
    for dtype in (np.float64, np.float32):
        found: list[Any] = []
        x = M.astype(dtype)

        def loss(leaves: Any, data: Any, found: Any = found) -> Any:
            found.append(text(leaves[0]))
            return np.sum(found[-1], dtype=np.float64)

        value, (gradient,) = value_and_gradient(loss)((x,), None)
        wanted = text(x)
        assert found[0].dtype == wanted.dtype
        assert found[0].shape == np.shape(wanted)
        if dtype == np.float64:
            assert value == np.sum(wanted)
            continue
        assert gradient.dtype == np.float32
    for place in ((0, 1), (1, 0), (0, 0)):
        step = np.zeros(M.shape)
        step[place] = 1e-5
        slope = (np.sum(text(M + step)) - np.sum(text(M - step))) / 2e-5
        assert gradient[place] == pytest.approx(slope, rel=2e-4, abs=1e-4)


@pytest.mark.parametrize("text", [
    lambda x: np.atleast_1d(x, x[0]), lambda x: np.atleast_2d(x, x[0]), lambda x: np.atleast_3d(x, x[0]),
    lambda x: np.broadcast_arrays(x, x[0]), lambda x: np.meshgrid(x[0], x[1]),
    lambda x: np.meshgrid(x[0], x[1], sparse=True), lambda x: np.meshgrid(x[0], x[1], sparse=True, copy=False),
])  # fmt: skip
def test_several_arrays_come_in_numpys_container(text: Callable[[Any], Any]) -> None:
    found: list[Any] = []

    def loss(leaves: Any, data: Any) -> Any:
        found.append(text(leaves[0]))
        return np.sum(found[0][0])

    value_and_gradient(loss)((M,), None)
    assert type(found[0]) is type(text(M))
    assert [x.shape for x in found[0]] == [x.shape for x in text(M)]


def test_grids_may_be_written_into() -> None:
    def loss(x: Any) -> Any:
        columns, rows = np.meshgrid(x, x)
        columns += 1.0
        return np.sum(columns * rows)

    value, gradient = differentiate(loss)
    assert value == loss(X)
    np.testing.assert_allclose(gradient, 2 * 4.5 + 3)


def test_what_writes_into_its_argument_is_refused() -> None:
    """The derivative of what stood there before would be that of another function."""

    def loss(x: Any) -> Any:
        y = 1.0 / (x - 0.5)
        np.nan_to_num(y, copy=False, posinf=7.0)
        return np.sum(y)

    with np.errstate(divide="ignore"), pytest.raises(UnsupportedError, match=r"nan_to_num .*copy=.*not written into"):
        value_and_gradient(lambda leaves, data: loss(leaves[0]))((X,), None)


REFUSED: list[Callable[[Any], Any]] = [
    lambda x: np.cov(np.stack([x, x])), lambda x: np.linalg.multi_dot([x, x.T, np.ones((2, 3, 3))]),
    lambda x: np.correlate(x[0], 2.0), lambda x: np.convolve(x, [1.0]), lambda x: np.convolve(x[0], []),
    lambda x: np.convolve(x[0], x[1], "all"), lambda x: np.linalg.norm(x[0], "fro"), lambda x: np.linalg.multi_dot([x]),
    lambda x: np.median(x, axis=2), lambda x: np.quantile(x, 0.5, axis=-3), lambda x: np.diff(x, axis=2),
    lambda x: np.take_along_axis(x, np.zeros((1, 4), int), axis=2),
    lambda x: np.linalg.norm(x, axis=(0, 3)), lambda x: np.ediff1d(x, to_end=1j),
]  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_what_numpy_refuses_is_refused_alike(text: Callable[[Any], Any]) -> None:
    with pytest.raises((ValueError, TypeError)) as plain:
        text(M)
    with pytest.raises(type(plain.value)):
        differentiate(lambda x: np.sum(text(x)), M)


def test_functions_of_emath_are_named_so() -> None:
    with pytest.raises(UnsupportedError, match=r"numpy\.emath\.sqrt"):
        differentiate(lambda x: np.sum(np.emath.sqrt(x)))
