"""What cannot be followed is refused by name, with what to write instead: no derivative is lost in silence."""

import copy
import math
import pickle
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from gradest import InvalidInputError, UnsupportedError
from gradest_numpy.differentiation import value_and_gradient, value_and_jvps

X = np.array([0.5, 1.5, 2.5])


def differentiate(function: Any, x: np.ndarray = X) -> Any:
    return value_and_gradient(lambda leaves, data: function(leaves[0]))((x,), None)[1][0]


def assigned(x: Any) -> Any:
    a = np.zeros(3)
    a[0] = x[0]
    return np.sum(a)


def assigned_slice(x: Any) -> Any:
    a = np.zeros(3)
    a[:] = x
    return np.sum(a)


def added_in_place(x: Any) -> Any:
    a = np.zeros(3)
    a += x
    return np.sum(a)


def written_into(x: Any) -> Any:
    y = x * 2
    y[0] = 0.0
    return np.sum(y)


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (assigned, "np.stack"),
        (assigned_slice, "np.concatenate"),
        (added_in_place, r"a = a \+ x in place of a \+= x"),
        (written_into, "read-only"),
        (lambda x: np.add(x, x, out=np.zeros(3)).sum(), "out="),
        (lambda x: np.sum(x, out=np.zeros(())), "out="),
        (lambda x: np.array([x[0], x[1]]).sum(), "np.stack"),
        (lambda x: np.asarray(x).sum(), "np.asarray"),
        (lambda x: np.float64(np.sum(x)), "np.float64"),
        (lambda x: math.exp(x[0]), "np.exp for math.exp"),
        (lambda x: float(x[0]) ** 2, "float"),
        (lambda x: x[0].item(), "item"),
        (lambda x: np.sum(np.array([1.0, 2.0, 3.0], dtype=object) * x) + np.sum(x**2), "Python objects"),
        (lambda x: np.array([1.0, 2.0, 3.0], dtype=object) @ x + np.sum(x), r"matmul gave Python objects.*dtype=float"),
        (lambda x: np.sum(np.where([True, False, True], np.zeros(3, dtype=object), x)) + x[0], "Python objects"),
        (lambda x: np.sum(x.astype(object) ** 2) + np.sum(x), "Python objects"),
        (lambda x: np.sum(x, dtype=object) + np.sum(x), "Python objects"),
        (lambda x: np.sum(x * Fraction(1, 2)) + np.sum(x), "a fraction"),
        (lambda x: np.abs(np.fft.fft(x)).sum(), r"numpy\.fft"),
        (lambda x: np.abs(x * 1j).sum(), "complex"),
        (lambda x: np.linalg.lstsq(np.ones((3, 1)), x, rcond=None)[0].sum(), r"linalg\.pinv"),
        (lambda x: np.unique(x).sum(), r"numpy\.unique"),
        (lambda x: np.exp(x, where=np.array([True, False, True])).sum(), "where="),
        (lambda x: np.maximum.accumulate(x).sum(), r"maximum\.accumulate"),
        (lambda x: np.add.reduceat(x, [0, 1]).sum(), r"add\.reduceat"),
        (lambda x: np.linalg.qr(np.outer(x, x[:2]).T)[1].sum(), "as many rows"),
        (lambda x: np.linalg.svd(np.outer(x, x[:2]))[1].sum(), "full_matrices"),
        (lambda x: np.quantile(x, 0.3, method="lower"), "method"),
        (lambda x: np.pad(x, 1, mode="mean").sum(), "mode"),
        (lambda x: np.reshape(x, (3, 1), order="A").sum(), "order"),
        (lambda x: np.ravel(np.stack([x, x]).T, order="K") @ np.arange(6.0), "order"),
        (lambda x: np.take(np.arange(3.0), x).sum(), "as its indices|np.asarray"),
        (lambda x: np.take(x, x).sum(), "as its indices"),
        (lambda x: np.nan_to_num(x, nan=x[0]).sum(), "as its nan"),
        (lambda x: np.pad(x, 1, constant_values=x[0]).sum(), "constant_values"),
        (lambda x: np.var(x, ddof=x[0]), "derivative would be lost"),
        (lambda x: np.histogram(x)[1].sum(), r"numpy\.histogram"),
        (lambda x: np.histogram_bin_edges(x).sum(), "histogram_bin_edges"),
        (lambda x: np.sum(np.random.default_rng(0).exponential(x)), r"m \+ s \* rng\.standard_normal"),
        (lambda x: x.sort(), r"np\.sort"),
        (lambda x: np.copyto(np.zeros(3), x), r"numpy\.copyto"),
        (lambda x: np.floor(y := 2 * x, out=y).sum() + x[0], r"numpy\.floor .*out=.*y = f\(x\)"),
        (lambda x: np.sum((y := 2 * x) + np.round(y, 1, y)), r"numpy\.round .*out="),
        (lambda x: (y := 2 * x).round(out=y).sum() + x[0], r"numpy\.round .*out="),
        (lambda x: [np.sign.at(y := 2 * x, [0]), np.sum(y)][1], r"numpy\.sign\.at"),  # type: ignore[func-returns-value]  # which is None
    ],
)
def test_refused_by_name(function: Any, told: str) -> None:
    with pytest.raises(UnsupportedError, match=told):
        differentiate(function)
    with pytest.raises(UnsupportedError, match=told):
        value_and_jvps(lambda leaves, data: function(leaves[0]))((X,), (np.eye(3),), None)


def test_what_arrays_have_and_traced_ones_do_not_is_named() -> None:
    for kind in (AttributeError, UnsupportedError):
        with pytest.raises(kind, match=r"differentiated has no 'view'.*gradest\.primitive"):
            differentiate(lambda x: x.view().sum())
    with pytest.raises(AttributeError, match="object has no attribute 'nonsense'"):
        differentiate(lambda x: x.nonsense)


@pytest.mark.parametrize("function", [lambda x: 3.0, np.argmax, lambda x: np.sum(np.round(x)),
                                      lambda x: x.astype(int).sum(), lambda x: np.sum(x > 1.0)])  # fmt: skip
def test_a_value_that_depends_on_no_parameter_is_refused(function: Any) -> None:
    with pytest.raises(InvalidInputError, match="does not depend on the parameters"):
        differentiate(function)
    with pytest.raises(InvalidInputError, match="does not depend on the parameters"):
        value_and_jvps(lambda leaves, data: function(leaves[0]))((X,), (np.eye(3),), None)


def test_a_value_that_is_no_scalar_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"scalar.*\(3,\)"):
        differentiate(lambda x: x * x)


def test_a_parameter_that_is_not_used_has_gradient_0() -> None:
    _, gradient = value_and_gradient(lambda leaves, data: np.sum(leaves[0]))((X, np.ones((2, 2), np.float32)), None)
    np.testing.assert_array_equal(gradient[1], np.zeros((2, 2)))
    assert gradient[1].dtype == np.float32


def test_augmented_assignment_to_what_was_made_inside() -> None:
    def loss(x: Any) -> Any:
        y, total = x.copy(), 0.0
        y += 1.0
        y *= x
        y -= np.float32(0.25)
        for entry in y:
            total += entry
        z = x.flatten()
        z /= 2.0
        conjugate = z.conj()  # in memory of its own
        conjugate *= 0.0
        return total + np.sum(z) + np.sum(conjugate)

    x = X.copy()
    np.testing.assert_allclose(differentiate(loss, x), 2 * X + 1.5)
    np.testing.assert_array_equal(x, X)


def other_name(x: Any) -> Any:
    y = z = 2 * x
    y += x
    return np.sum(y * z)


def view_written(x: Any) -> Any:
    y = np.stack([x, x])
    row = y[0]
    row *= 3
    return np.sum(y)


def view_kept(x: Any) -> Any:
    y = 2 * x
    row = y[1:]
    y += x
    return np.sum(y) + (1.0 if row[0] > 3 else 0.0)


def compared(x: Any) -> Any:
    y = z = 2 * x
    y += x
    return np.sum(y) if z.any() else np.sum(x)


def floor_divided(x: Any) -> Any:
    y = z = 2 * x
    y //= 1
    return np.sum(z * x)


def not_copied(x: Any) -> Any:
    y = 2 * x
    z = y.astype(float, copy=False)
    z += x
    return np.sum(y * y)


def windows(x: Any) -> Any:
    y = 2 * x
    pairs = np.lib.stride_tricks.sliding_window_view(y, 2)
    y += x
    return np.sum(pairs * pairs)


def first_power(x: Any) -> Any:
    y = np.outer(x, x)
    z = np.linalg.matrix_power(y, 1)
    z += 1
    return np.sum(y * y)


ALIASES = [other_name, view_written, view_kept, compared, floor_divided, not_copied, windows, first_power]


@pytest.mark.parametrize("function", ALIASES)
def test_memory_under_two_names_is_refused_once_it_is_written_into(function: Any) -> None:
    """NumPy shows what was written under each name and in each view; a value bound anew would not."""
    with pytest.raises(UnsupportedError, match=r"\+=.*y = y \+ x"):
        differentiate(function)


@pytest.mark.parametrize(("other", "told"), [(np.ones((2, 3)), "non-broadcastable"), (None, "read-only")])
def test_augmented_assignment_that_numpy_refuses(other: Any, told: str) -> None:
    def loss(x: Any) -> Any:
        y = x if other is None else 2 * x
        y += 1.0 if other is None else other
        return np.sum(y)

    for call in (loss, differentiate):
        given = X.copy()
        given.flags.writeable = other is not None
        with pytest.raises(ValueError, match=told):
            call(given) if call is loss else differentiate(loss)


def test_augmented_assignment_keeps_the_dtype() -> None:
    def loss(x: Any) -> Any:
        y = 2 * x
        y += np.ones(3)
        assert y.dtype == np.float32
        return np.sum(y)

    assert differentiate(loss, X.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, np.copy, lambda x: x.copy()])
def test_copies_are_followed(copied: Any) -> None:
    np.testing.assert_allclose(differentiate(lambda x: np.sum(copied(x) * x)), 2 * X)


def test_what_a_loss_keeps_is_a_constant_afterwards() -> None:
    kept: list[Any] = []

    def loss(x: Any) -> Any:
        kept.append(np.sum(x * x))
        return kept[0] * np.sum(x)

    np.testing.assert_allclose(differentiate(loss), 2 * X * X.sum() + np.sum(X * X))
    assert float(kept[0]) == np.asarray(kept[0]) == kept[0].item() == np.sum(X * X)
    np.testing.assert_allclose(differentiate(loss), np.full(3, np.sum(X * X)))
    assert type(kept[0] + np.ones(2)) is np.ndarray


def test_a_refusal_that_is_caught_inside_stands() -> None:
    """What the function computes in its place is made of other values than those of a plain evaluation."""

    def loss(x: Any) -> Any:
        try:
            return float(x[0]) * np.sum(x)
        except Exception:  # noqa: BLE001  # as people write it
            return np.sum(x)

    with pytest.raises(UnsupportedError, match="float"):
        differentiate(loss)


def test_no_derivative_leaves_the_process() -> None:
    with pytest.raises(UnsupportedError, match="pickled"):
        differentiate(lambda x: pickle.loads(pickle.dumps(x)).sum())


def test_it_passes_for_an_array_where_python_asks() -> None:
    np.testing.assert_allclose(
        differentiate(lambda x: np.sum(x * x) if isinstance(x, np.ndarray) else np.sum(x)), 2 * X
    )


def test_parameters_cannot_be_written_to() -> None:
    def loss(x: Any) -> Any:
        x.primal[0] = 5.0
        return np.sum(x)

    with pytest.raises(ValueError, match="read-only"):
        differentiate(loss)


def test_control_flow_by_values() -> None:
    def loss(x: Any) -> Any:
        total = 0.0
        for entry in x:
            if entry > 1:
                total = total + entry**2
            elif entry == 0.5 and len(x) == 3 and 2.5 in x:
                total = total - entry
        while total < 100:
            total = total * 2
        return total * (1 if x.any() else 0) + x[int(x[0])] * 0 + x[np.argmin(x)]

    value, factor = sum(X[1:] ** 2) - 0.5, 1
    while value < 100:
        value, factor = value * 2, factor * 2
    np.testing.assert_allclose(differentiate(loss), factor * np.array([-1, 3.0, 5.0]) + [1, 0, 0])


def test_a_derivative_inside_a_function_that_is_differentiated() -> None:
    """d/dx of (d/dy of x y^2 at y = x) = d/dx of 2 x^2: the two are not confused."""

    def outer(x: Any) -> Any:
        _, (inner,) = value_and_gradient(lambda leaves, data: np.sum(x * leaves[0] ** 2))((x,), None)
        return np.sum(inner)

    np.testing.assert_allclose(differentiate(outer), 4 * X)
    _, jvps = value_and_jvps(lambda leaves, data: outer(leaves[0]))((X,), (np.eye(3),), None)
    np.testing.assert_allclose(jvps, 4 * X)
