"""Indices, broadcasting, axes, memory layouts and dtypes: properties that hold of any of them (by hypothesis)."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gradest_numpy.differentiation import value_and_gradient, value_and_jvps


def weights(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(5).uniform(0.5, 1.5, shape)


def numbers(shape: tuple[int, ...], seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.5, 1.5, shape)


def reverse(function: Any, *leaves: np.ndarray) -> Any:
    return value_and_gradient(lambda nodes, data: function(*nodes))(leaves, None)


def check_linear(function: Any, *arrays: np.ndarray) -> None:
    """Hold a linear function's two modes to its matrix, which is the function of the unit vectors."""

    def loss(leaves: Any, data: Any) -> Any:
        y = function(*leaves)
        return np.sum(weights(y.shape) * y)

    _, gradient = value_and_gradient(loss)(arrays, None)
    for k, (g, x) in enumerate(zip(gradient, arrays, strict=True)):
        wanted = np.zeros(x.shape)
        for place in np.ndindex(x.shape):
            unit = [np.zeros_like(a) for a in arrays]
            unit[k][place] = 1.0
            y = function(*unit)
            wanted[place] = np.sum(weights(y.shape) * y)
        np.testing.assert_allclose(g, wanted, rtol=1e-12, atol=1e-14)
    tangents = [np.stack([numbers(x.shape, s) for s in (8, 9)]) for x in arrays]
    _, jvps = value_and_jvps(loss)(arrays, tangents, None)
    along = [sum(np.sum(t[i] * g) for t, g in zip(tangents, gradient, strict=True)) for i in range(2)]
    np.testing.assert_allclose(jvps, along, rtol=1e-11, atol=1e-13)


@given(st.data())
def test_basic_indices(data: Any) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=4))
    key = data.draw(hnp.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True))
    check_linear(lambda x: np.asarray(x[key]) if type(x) is np.ndarray else x[key], numbers(shape))


@given(st.data())
def test_integer_indices_add_what_is_taken_twice(data: Any) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=4))
    key = data.draw(hnp.integer_array_indices(shape))
    check_linear(lambda x: x[key], numbers(shape))


@given(hnp.arrays(bool, (3, 4)))
def test_boolean_indices(mask: np.ndarray) -> None:
    check_linear(lambda x: x[mask], numbers((3, 4)))
    check_linear(lambda x: x[mask.any(axis=1)], numbers((3, 4)))


@pytest.mark.parametrize("key", [
    (slice(None), [2, 0, 2]), ([0, 2], slice(1, 3)), ([0, 1], 1, [2, 2]), (np.array([True, False, True]), [1, 3]),
    ([[0], [2]], [1, 3]), (Ellipsis, [0, 0]), (None, [1, 1]), ([1, 1], slice(None), [0, 2]),
])  # fmt: skip
def test_mixed_indices(key: Any) -> None:
    shape = (3, 4, 3)[: 3 if isinstance(key, tuple) and len(key) > 2 else 2]
    check_linear(lambda x: x[key], numbers(shape))


@given(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3, min_side=0))
def test_broadcasting_is_summed_back(shapes: Any) -> None:
    a, b = (numbers(s) for s in shapes.input_shapes)
    for function in (np.multiply, np.subtract, np.arctan2):

        def loss(leaves: Any, data: Any, function: Any = function) -> Any:
            return np.sum(weights(shapes.result_shape) * function(*leaves))

        _, gradient = value_and_gradient(loss)((a, b), None)
        whole = [np.broadcast_to(x, shapes.result_shape) for x in (a, b)]
        _, separate = value_and_gradient(loss)([x.copy() for x in whole], None)
        for g, x, s in zip(gradient, (a, b), separate, strict=True):
            assert g.shape == x.shape
            _, (summed,) = reverse(lambda n, s=s: np.sum(s * np.broadcast_to(n, s.shape)), x)
            np.testing.assert_allclose(g, summed, rtol=1e-12, atol=1e-13)
        tangents = [numbers((2, *x.shape), 6) for x in (a, b)]
        _, jvps = value_and_jvps(loss)((a, b), tangents, None)
        wanted = [sum(np.sum(t[i] * g) for t, g in zip(tangents, gradient, strict=True)) for i in range(2)]
        np.testing.assert_allclose(jvps, wanted, rtol=1e-11, atol=1e-13)


@given(st.data())
def test_reductions_over_any_axes(data: Any) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=3))
    axes = data.draw(
        st.none() | hnp.valid_tuple_axes(len(shape), min_size=1) | st.integers(-len(shape), len(shape) - 1)
    )
    keepdims = data.draw(st.booleans())
    for name in ("sum", "mean"):

        def reduce(x: Any, name: str = name) -> Any:
            return np.asarray(getattr(np, name)(x, axis=axes, keepdims=keepdims)) if type(x) is np.ndarray else (
                getattr(x, name)(axis=axes, keepdims=keepdims))  # fmt: skip

        check_linear(reduce, numbers(shape))


@pytest.mark.parametrize("layout", [
    np.asfortranarray, lambda x: x[::-1, ::-1], lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    lambda x: np.broadcast_to(x[:1], x.shape), lambda x: x.T.copy().T,
])  # fmt: skip
def test_views_and_layouts_give_the_gradient_of_their_values(layout: Any) -> None:
    x = layout(numbers((4, 4)))
    texts = (
        lambda x: np.sum(np.tanh(x.ravel()) * np.arange(16.0)), lambda x: np.sum((x @ x.T) ** 2 * x),
        lambda x: np.sum(x.reshape(2, 8)[:, ::3] ** 3), lambda x: np.linalg.slogdet(x @ x.T + np.eye(4))[1],
        lambda x: np.sum(np.cumsum(x.flatten(order="F")) ** 2),
    )  # fmt: skip
    for text in texts:
        value, (got,) = reverse(text, x)
        plain_value, (want,) = reverse(text, x.copy(order="C"))
        assert value == pytest.approx(plain_value, rel=1e-13)
        np.testing.assert_allclose(got, want, rtol=1e-11, atol=1e-12)
        assert got.flags.c_contiguous
        assert got.flags.owndata


def test_gradients_own_their_memory() -> None:
    """Both leaves get the cotangent of one sum: what a caller writes into one gradient must not reach another."""
    x, y = numbers((3,)), numbers((3,))
    _, (gx, gy) = value_and_gradient(lambda leaves, data: np.sum(leaves[0] + leaves[1]))((x, y), None)
    gx[0] = 100.0
    assert gy.tolist() == [1.0, 1.0, 1.0]


def test_empty_and_0_dimensional_arrays() -> None:
    empty, scalar = np.zeros((0, 3)), np.array(0.7)
    text = lambda leaves, data: np.sum(leaves[0] @ np.ones(3)) + np.sin(leaves[1]) ** 2  # noqa: E731
    _, gradient = value_and_gradient(text)((empty, scalar), None)
    assert gradient[0].shape == (0, 3)
    assert gradient[1].shape == ()
    assert float(gradient[1]) == pytest.approx(np.sin(1.4))
    _, jvps = value_and_jvps(text)((empty, scalar), (np.zeros((2, 0, 3)), np.array([1.0, 2.0])), None)
    np.testing.assert_allclose(jvps, np.sin(1.4) * np.array([1.0, 2.0]))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
def test_the_gradient_has_the_dtype_of_its_parameter(dtype: Any) -> None:
    x = numbers((4,)).astype(dtype)
    mixed = np.arange(4.0)  # float64 data do not make a float32 gradient float64
    for text in (lambda x: np.sum(np.exp(x) * mixed), lambda x: np.sum(x[1:] ** 2), lambda x: np.mean(np.stack([x, x])),
                 lambda x: np.sum(x.astype(np.float64) ** 3)):  # fmt: skip
        _, (g,) = reverse(text, x)
        assert g.dtype == dtype


def test_extended_precision_is_kept() -> None:
    x = np.linspace(np.longdouble(0.1), np.longdouble(0.9), 7)
    for text, slope in (
        (np.exp2, lambda x: np.exp2(x) * np.log(np.longdouble(2))),
        (np.log10, lambda x: 1 / (x * np.log(np.longdouble(10)))),
        (lambda x: np.repeat(x, 2) / np.longdouble(3), lambda x: 2 / np.longdouble(3) + 0 * x),
        (np.tanh, lambda x: 1 / np.cosh(x) ** 2),
    ):  # fmt: skip
        _, (g,) = reverse(lambda x, t=text: np.sum(t(x)), x)
        np.testing.assert_allclose(g, slope(x), rtol=8 * np.finfo(np.longdouble).eps)


def test_arrays_given_by_name_are_followed() -> None:
    x, a = numbers((3,)), numbers((3, 3)) + 3 * np.eye(3)
    for by_name, by_place in (
        (lambda x, a: np.sum(a=x, axis=0), lambda x, a: np.sum(x)),
        (lambda x, a: np.sum(np.linalg.solve(b=x, a=a)), lambda x, a: np.sum(np.linalg.solve(a, x))),
        (lambda x, a: np.sum(np.clip(a, a_min=x, a_max=4.0)), lambda x, a: np.sum(np.clip(a, x, 4.0))),
        (lambda x, a: np.sum(np.cumsum(axis=1, a=a) * x), lambda x, a: np.sum(np.cumsum(a, 1) * x)),
        (lambda x, a: np.max(a=a) + x[0], lambda x, a: np.max(a) + x[0]),
    ):  # fmt: skip
        for got, want in zip(reverse(by_name, x, a)[1], reverse(by_place, x, a)[1], strict=True):
            np.testing.assert_array_equal(got, want)


def test_lists_of_numbers_stand_for_arrays() -> None:
    x = numbers((3,))
    text = lambda x: np.sum(x * [1.0, 2.0, 3.0] + [2, 3, 4] ** x + np.maximum(x, [1, 1, 1]) + x ** (2, 1, 0))  # noqa: E731
    _, (g,) = reverse(text, x)
    wanted = np.array([1.0, 2, 3]) + np.array([2.0, 3, 4]) ** x * np.log([2, 3, 4]) + (x > 1) + [2 * x[0], 1, 0]
    np.testing.assert_allclose(g, wanted, rtol=1e-14)


def test_a_value_used_many_times_gets_the_sum_of_its_uses() -> None:
    def loss(leaves: Any, data: Any) -> Any:
        (x,) = leaves
        y = x * x
        rows = [y[k] * (k + 1) for k in range(3)] + [y, y[::-1], np.sum(y) * np.ones(3)]
        return sum((np.sum(row) for row in rows), 0.0) + np.sum(y[[0, 0, 2]])

    x = numbers((3,))
    _, (g,) = value_and_gradient(loss)((x,), None)
    np.testing.assert_allclose(g, 2 * x * (np.array([1, 2, 3]) + 1 + 1 + 3 + np.array([2, 0, 1])), rtol=1e-14)


def test_methods_and_operators_are_those_of_arrays() -> None:
    def text(x: Any) -> Any:
        parts = [
            x.sum(0), x.mean(axis=1), x.max(), x.min(axis=0), x.std(), x.var(ddof=1), x.prod(axis=1), x.cumsum(0),
            x.cumprod(axis=1), x.reshape(4, -1), x.T, x.transpose(1, 0), x.ravel(), x.flatten(), x.squeeze(),
            x.swapaxes(0, 1), x.take([0, 1], axis=1), x.repeat(2, axis=0), x.diagonal(), x.trace(), x.dot(x.T),
            x.clip(0.6, 1.2), x.copy(), x.astype(np.float64), x.conj(), x.real, x.round(1) * x, -x, +x, abs(x), x**2,
            2.0**x, x / 2, 2 / x, x % 0.7, x // 0.7 * x, 3 - x, x @ x.T, np.ones(3) @ x, np.float64(2) * x,
            np.ones(4) - x, divmod(x, 0.6)[1], x.flat[5], x.flat[2:4], sum(x.flat),
            x[..., None], x.shape[0] * x, x.size * x, x.ndim * x,
        ]  # fmt: skip
        return sum(np.sum(weights(np.shape(p)) * p) for p in parts)

    x = numbers((3, 4))
    value, (g,) = value_and_gradient(lambda leaves, data: text(leaves[0]))((x,), None)
    assert value == pytest.approx(text(x), rel=1e-13)
    direction, h = numbers((3, 4), 1), 1e-5
    wanted = (text(x + h * direction) - text(x - h * direction)) / (2 * h)
    assert np.sum(g * direction) == pytest.approx(wanted, rel=1e-8)


def test_widths_of_padding_by_axis() -> None:
    widths: Any = {1: (2, 0), -2: 1}
    x, both = numbers((3, 4)), ((1, 1), (2, 0))
    for mode in ("constant", "wrap"):
        found, wanted = (
            value_and_gradient(lambda leaves, data, w=w, m=mode: np.sum(np.pad(leaves[0], w, mode=m) ** 2))((x,), None)  # type: ignore[misc]
            for w in (widths, both)
        )
        assert found[0] == wanted[0]
        np.testing.assert_array_equal(found[1][0], wanted[1][0])
    assert wanted[0] != np.sum(x**2)  # by another axis the sums would differ
