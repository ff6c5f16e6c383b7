"""Rules of scipy.special's ufuncs, against derivatives by complex steps or differences in the function itself."""

from functools import partial
from typing import Any

import numpy as np
import pytest

from gradest import UnsupportedError
from gradest_numpy.differentiation import value_and_gradient, value_and_jvps
from gradest_numpy.differentiation.special import ONE_ARRAY, TWO_ARRAYS

scipy_special = pytest.importorskip("scipy.special", reason="SciPy's functions are what is differentiated")

WIDE = np.array([-1.9, -0.83, -0.21, 0.37, 0.9, 2.2])
POSITIVE = np.array([0.31, 0.6, 1.3, 2.4, 4.7])
UNIT = np.array([0.08, 0.31, 0.55, 0.93])
POINTS = {
    **dict.fromkeys(ONE_ARRAY, POSITIVE),
    **dict.fromkeys(("expit", "log_expit", "erf", "erfc", "erfcx", "erfi", "dawsn", "ndtr", "log_ndtr", "exp2", "exp10",
                     "expm1", "cosm1", "i0", "i0e", "i1", "i1e", "j0", "j1", "cbrt"), WIDE),
    **dict.fromkeys(("logit", "erfinv", "ndtri", "erfcinv"), UNIT),
}  # fmt: skip


COMPLEX = ["erf", "erfc", "erfcx", "erfi", "dawsn", "expm1", "log1p", "gamma", "rgamma", "digamma", "exp1", "iv",
           "kv", "spence", "ndtr"]  # fmt: skip
"""Functions that SciPy computes of complex numbers too, analytically at the points."""


def sixth_order(function: Any, x: np.ndarray, h: float = 4e-3) -> np.ndarray:
    def central(step: float) -> np.ndarray:
        return (function(x + step) - function(x - step)) / (2 * step)

    coarse, middle, fine = central(h), central(h / 2), central(h / 4)
    return (16 * (4 * fine - middle) / 3 - (4 * middle - coarse) / 3) / 15


@pytest.mark.parametrize("name", sorted(ONE_ARRAY))
def test_of_one_array(name: str) -> None:
    function, x = getattr(scipy_special, name), POINTS[name]
    value, (gradient,) = value_and_gradient(lambda leaves, data: np.sum(function(leaves[0])))((x,), None)
    assert value == pytest.approx(np.sum(function(x)), rel=1e-14)
    _, jvps = value_and_jvps(lambda leaves, data: np.sum(function(leaves[0])))((x,), (np.eye(len(x)),), None)
    np.testing.assert_allclose(gradient, sixth_order(function, x), rtol=3e-9, atol=1e-10)
    np.testing.assert_allclose(jvps, gradient, rtol=1e-15)


@pytest.mark.parametrize("name", COMPLEX)
def test_to_rounding_by_complex_steps(name: str) -> None:
    """Those that SciPy computes of complex numbers too: a step of 1e-30 has no error but rounding."""
    function = getattr(scipy_special, name)
    x = POSITIVE
    call = (lambda z: function(1.5, z)) if name in TWO_ARRAYS else function
    wanted = np.imag(call(x + 1e-30j)) / 1e-30
    _, (gradient,) = value_and_gradient(lambda leaves, data: np.sum(call(leaves[0])))((x,), None)
    np.testing.assert_allclose(gradient, wanted, rtol=2e-11)


@pytest.mark.parametrize("name", sorted(TWO_ARRAYS))
@pytest.mark.parametrize("position", [0, 1])
def test_of_two_arrays(name: str, position: int) -> None:
    function = getattr(scipy_special, name)
    given = [np.array([0.7, 1.3, 2.0]), np.array([[0.35], [1.9]])]
    if name in ("jv", "yv", "iv", "kv", "expn"):
        given[0] = np.array([1.0, 2.0, 3.0])

    def loss(leaves: Any, data: Any) -> Any:
        arrays = list(given)
        arrays[position] = leaves[0]
        return np.sum(function(*arrays))

    if TWO_ARRAYS[name][position] is None:
        with pytest.raises(UnsupportedError, match=f"scipy.special.{name} has no rule by its argument {position}"):
            value_and_gradient(loss)((given[position],), None)
        return

    def column(x: np.ndarray) -> np.ndarray:
        arrays = list(given)
        arrays[position] = x
        return function(*arrays).sum(axis=1 - (position == 0))

    _, (gradient,) = value_and_gradient(loss)((given[position],), None)
    wanted = sixth_order(lambda x: function(*[*given[:position], x, *given[position + 1 :]]), given[position])
    np.testing.assert_allclose(gradient, wanted.sum(axis=0 if position == 0 else 1, keepdims=position == 1), rtol=1e-8)


def summed(function: Any, leaves: Any, data: Any) -> Any:
    return np.sum(function(leaves[0], 1))


def test_what_scipy_computes_in_python_is_refused_with_what_to_write() -> None:
    for name in ("softmax", "log_softmax", "multigammaln"):
        function = getattr(scipy_special, name)
        with pytest.raises((UnsupportedError, TypeError), match="differentiated"):
            value_and_gradient(partial(summed, function))((POSITIVE,), None)


def test_a_ufunc_of_the_same_name_is_not_taken_for_scipys() -> None:
    ufunc = np.frompyfunc(lambda x: x * x, 1, 1)
    with pytest.raises(UnsupportedError, match="has no rule"):
        value_and_gradient(lambda leaves, data: np.sum(ufunc(leaves[0])))((POSITIVE,), None)


def test_logsumexp_by_a_reduction() -> None:
    x = np.array([[-900.0, -np.inf, -901.0], [0.1, 0.2, 0.3]])[:, [0, 2]]
    value, (gradient,) = value_and_gradient(
        lambda leaves, data: np.sum(np.logaddexp.reduce(leaves[0], axis=1) * np.array([1.0, 2.0]))
    )((x,), None)
    assert value == pytest.approx(np.sum(scipy_special.logsumexp(x, axis=1) * np.array([1.0, 2.0])), rel=1e-14)
    np.testing.assert_allclose(gradient, scipy_special.softmax(x, axis=1) * np.array([[1.0], [2.0]]), rtol=1e-13)


def sole_slope(function: Any, x: float) -> float:
    with np.errstate(divide="ignore"):  # of a slope that is infinite NumPy says so
        _, (g,) = value_and_gradient(lambda leaves, data: function(leaves[0]))((np.array(x),), None)
    return float(g)


@pytest.mark.parametrize(
    ("text", "x", "wanted"),
    [
        (lambda sp, y: sp.rel_entr(0.0, y), 0.0, 0.0),  # what has no weight, against what has none
        (lambda sp, y: sp.kl_div(0.0, y), 0.0, 1.0),
        (lambda sp, y: sp.xlogy(0.0, y), 0.0, 0.0),
        (lambda sp, y: sp.xlogy(2.0, y), 0.0, np.inf),
        (lambda sp, y: sp.xlog1py(2.0, y), -1.0, np.inf),
        (lambda sp, x: sp.gammainc(1.0, x), 0.0, 1.0),  # 1 - exp(-x)
        (lambda sp, x: sp.gammaincc(1.0, x), 0.0, -1.0),
        (lambda sp, x: sp.gammainc(2.0, x), 0.0, 0.0),
        (lambda sp, x: sp.rgamma(x), 0.0, 1.0),  # 1 / gamma(x) = x + ...
        (lambda sp, x: sp.rgamma(x), -1.0, -1.0),
        (lambda sp, x: sp.rgamma(x), -4.0, 24.0),
        (lambda sp, x: sp.expn(0, x), 0.7, -np.exp(-0.7) * (1 / 0.7 + 1 / 0.49)),  # exp(-x) / x
        (lambda sp, x: sp.erfcx(x), 1e8, -1e-16 / np.sqrt(np.pi)),  # of 1 / (x sqrt(pi)), to the first order in 1 / x^2
        (lambda sp, x: sp.dawsn(x), 1e8, -0.5e-16),  # of 1 / (2 x)
        (lambda sp, x: sp.dawsn(x), -1e8, -0.5e-16),
    ],
)
def test_where_the_plain_formula_is_0_over_0_or_cancels(text: Any, x: float, wanted: float) -> None:
    assert sole_slope(partial(text, scipy_special), x) == pytest.approx(wanted, rel=1e-14, abs=0)


@pytest.mark.parametrize("name", ["erfcx", "dawsn"])
def test_slopes_far_out_meet_those_near_by(name: str) -> None:
    """Where the series takes over, at 50, both hold: (f(x + h) - f(x - h)) / 2h of the smooth slope has no step."""
    slopes = [sole_slope(getattr(scipy_special, name), x) * x * x for x in (49.9, 49.999, 50.001, 50.1)]
    np.testing.assert_allclose(np.diff(slopes), 0.0, atol=1e-5 * abs(slopes[0]))
    assert slopes[1] == pytest.approx(slopes[2], rel=2e-7)
