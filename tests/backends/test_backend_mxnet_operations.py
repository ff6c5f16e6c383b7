"""MXNet's operations equal NumPy's, and their gradients the derivatives written down by hand, eager and traced.

The gradients are tested apart from the values: many `mx.np` functions are NumPy's own underneath and have none.
"""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from scipy import special
from support.backend_cases import dtype_scope

import gradest

if find_spec("mxnet") is None:
    pytest.skip("MXNet is not installed (it needs NumPy 1)", allow_module_level=True)

BACKEND = gradest.get_backend("mxnet")

from gradest_mxnet import operations  # noqa: E402  # MXNet is imported by the backend, or not at all
from gradest_mxnet.operations import LARGE_LAYER  # noqa: E402

EPS = {"float32": 6e-8, "float64": 1.2e-16}
X = np.array([[0.3, 1.7, 0.9, 2.4], [1.1, 0.2, 3.1, 0.6], [0.8, 1.3, 0.4, 1.9]])
SIGNED = np.array([[-1.5, 0.7, 2.0], [0.4, -0.3, -2.5]])
SPREAD = np.array([[-30.0, 0.0, 30.0], [1.0, 2.0, -5.0]])
WEIGHT = np.linspace(-1.0, 1.3, 20).reshape(4, 5)
STACK = np.linspace(-0.9, 1.1, 40).reshape(2, 4, 5)
BIAS = np.array([0.3, -0.2, 0.5, 0.1, -0.4])
TARGETS = np.eye(5)[[1, 4, 0]]
LOGITS = X @ WEIGHT

# name, the operation, its inputs, NumPy's value, the gradient of sum(weights * value) by the first input
Row = tuple[str, Callable[..., Any], tuple[np.ndarray, ...], Callable[..., Any], Callable[..., Any]]
ROWS: list[Row] = [
    ("exp", lambda o, x: o.exp(x), (X,), np.exp, lambda g, x: g * np.exp(x)),
    ("log", lambda o, x: o.log(x), (X,), np.log, lambda g, x: g / x),
    ("expm1", lambda o, x: o.expm1(x), (X * 1e-3,), np.expm1, lambda g, x: g * np.exp(x)),
    ("log1p", lambda o, x: o.log1p(x), (X * 1e-3,), np.log1p, lambda g, x: g / (1 + x)),
    ("tanh", lambda o, x: o.tanh(x), (SIGNED,), np.tanh, lambda g, x: g / np.cosh(x) ** 2),
    ("sin", lambda o, x: o.sin(x), (SIGNED,), np.sin, lambda g, x: g * np.cos(x)),
    ("cos", lambda o, x: o.cos(x), (SIGNED,), np.cos, lambda g, x: -g * np.sin(x)),
    ("sqrt", lambda o, x: o.sqrt(x), (X,), np.sqrt, lambda g, x: g / (2 * np.sqrt(x))),
    ("abs", lambda o, x: o.abs(x), (SIGNED,), np.abs, lambda g, x: g * np.sign(x)),
    ("maximum", lambda o, x: o.maximum(x, 0.5), (SIGNED,), lambda x: np.maximum(x, 0.5), lambda g, x: g * (x > 0.5)),
    (
        "maximum of two",
        lambda o, x, y: o.maximum(x, y),
        (SIGNED, SIGNED[::-1]),
        np.maximum,
        lambda g, x, y: g * (x > y),
    ),
    (
        "where",
        lambda o, x: o.where(o.greater(x, 0.0), x * x, -1.0),
        (SIGNED,),
        lambda x: np.where(x > 0, x * x, -1.0),
        lambda g, x: g * np.where(x > 0, 2 * x, 0.0),
    ),
    (
        "where, number first",
        lambda o, x: o.where(o.greater(x, 0.0), 2.0, x * x),
        (SIGNED,),
        lambda x: np.where(x > 0, 2.0, x * x),
        lambda g, x: g * np.where(x > 0, 0.0, 2 * x),
    ),
    (
        "where, one for all rows",
        lambda o, x, y: o.where(o.greater(y, 0.0), x, y),
        (SIGNED[:1], SIGNED),
        lambda x, y: np.where(y > 0, x, y),
        lambda g, x, y: (g * (y > 0)).sum(0, keepdims=True),
    ),
    ("sum", lambda o, x: o.sum(x), (X,), np.sum, lambda g, x: g * np.ones_like(x)),
    (
        "sum of axes",
        lambda o, x: o.sum(x, axis=(-2, -1), keepdims=True),
        (STACK,),
        lambda x: x.sum(axis=(-2, -1), keepdims=True),
        lambda g, x: g * np.ones_like(x),
    ),
    ("mean", lambda o, x: o.mean(x, axis=-1), (X,), lambda x: x.mean(-1), lambda g, x: g[:, None] / 4 + 0 * x),
    (
        "max",
        lambda o, x: o.max(x, axis=-1, keepdims=True),
        (X,),
        lambda x: x.max(-1, keepdims=True),
        lambda g, x: g * (x == x.max(-1, keepdims=True)),
    ),
    ("matmul", lambda o, x, y: o.matmul(x, y), (X, WEIGHT), np.matmul, lambda g, x, y: g @ y.T),
    (
        "matmul by a stack",
        lambda o, x, y: o.matmul(x, y),
        (X, STACK),
        np.matmul,
        lambda g, x, y: (g @ y.swapaxes(-1, -2)).sum(0),
    ),
    (
        "matmul of a stack",
        lambda o, x, y: o.matmul(x, y),
        (STACK.swapaxes(-1, -2).copy(), WEIGHT),
        np.matmul,
        lambda g, x, y: g @ y.T,
    ),
    (
        "matrix_transpose",
        lambda o, x: o.matrix_transpose(x),
        (STACK,),
        lambda x: x.swapaxes(-1, -2),
        lambda g, x: g.swapaxes(-1, -2),
    ),
    (
        "expand_dims",
        lambda o, x: o.expand_dims(x, axis=-2),
        (X,),
        lambda x: x[:, None, :],
        lambda g, x: g[:, 0, :],
    ),
    ("stop_gradient", lambda o, x: o.stop_gradient(x) * x, (X,), np.square, lambda g, x: g * x),
    ("reshape", lambda o, x: o.reshape(x, (2, -1)), (X,), lambda x: x.reshape(2, -1), lambda g, x: g.reshape(x.shape)),
    (
        "broadcast_to",
        lambda o, x: o.broadcast_to(x, (2, 3, 4)),
        (X,),
        lambda x: np.broadcast_to(x, (2, 3, 4)),
        lambda g, x: g.sum(0),
    ),
    ("zeros_like", lambda o, x: o.zeros_like(x) + x, (X,), lambda x: x, lambda g, x: g),
    (
        "arithmetic",
        lambda o, x: (1.5 - x) / x * 0.1 + -x,
        (X,),
        lambda x: (1.5 - x) / x * 0.1 - x,
        lambda g, x: g * (-0.15 / x**2 - 1),
    ),
    ("relu", lambda o, x: o.relu(x), (SPREAD,), lambda x: np.maximum(x, 0), lambda g, x: g * (x > 0)),
    (
        "sigmoid",
        lambda o, x: o.sigmoid(x),
        (SIGNED,),
        special.expit,
        lambda g, x: g * special.expit(x) * special.expit(-x),
    ),
    (
        "softplus",
        lambda o, x: o.softplus(x),
        (SIGNED,),
        lambda x: np.logaddexp(0, x),
        lambda g, x: g * special.expit(x),
    ),
    (
        "affine",
        lambda o, x, w, b: o.affine(x, w, b),
        (X, WEIGHT, BIAS),
        lambda x, w, b: x @ w + b,
        lambda g, x, w, b: g @ w.T,
    ),
    (
        "affine, stack of weights",
        lambda o, x, w, b: o.affine(x, w, b),
        (X, STACK, np.stack([BIAS, -BIAS])),
        lambda x, w, b: x @ w + b[:, None, :],
        lambda g, x, w, b: (g @ w.swapaxes(-1, -2)).sum(0),
    ),
    (
        "logsumexp",
        lambda o, x: o.logsumexp(x),
        (LOGITS,),
        lambda x: special.logsumexp(x, axis=-1),
        lambda g, x: g[:, None] * special.softmax(x, axis=-1),
    ),
    (
        "softmax",
        lambda o, x: o.softmax(x),
        (LOGITS,),
        lambda x: special.softmax(x, axis=-1),
        lambda g, x: (p := special.softmax(x, axis=-1)) * (g - (g * p).sum(-1, keepdims=True)),
    ),
    (
        "softmax_cross_entropy",
        lambda o, z, t: o.softmax_cross_entropy(z, t),
        (LOGITS, TARGETS),
        lambda z, t: -np.mean(np.sum(special.log_softmax(z, axis=-1) * t, axis=-1)),
        lambda g, z, t: g * (special.softmax(z, axis=-1) - t) / 3,
    ),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kernel", ["portable", "native"])
@pytest.mark.parametrize("traced", [False, True], ids=["eager", "traced"])
@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_value_and_gradient_of_operation(row: Row, traced: bool, kernel: str, dtype: str) -> None:
    _, operation, inputs, expected, derivative = row
    ops = BACKEND.operations(kernel)
    given = [np.asarray(values, dtype=dtype).astype(np.float64) for values in inputs]  # as the dtype holds them
    value = np.asarray(expected(*given))
    weights = np.asarray(np.cos(np.arange(value.size)).reshape(value.shape), dtype=dtype).astype(np.float64)

    def loss(leaves: Any, data: Any) -> Any:
        return ops.sum(operation(ops, *leaves) * data[0])

    arrays = tuple(BACKEND.array(values, dtype=dtype) for values in inputs)
    with dtype_scope(BACKEND, dtype):
        found = BACKEND.numpy(operation(ops, *arrays))
        function = BACKEND.compile_loss(loss) if traced else loss
        data = (BACKEND.array(weights, dtype=dtype),)
        total, (gradient, *_) = BACKEND.value_and_gradient(function)(arrays, data)
    tolerance = 16 * EPS[dtype]
    assert found.dtype == dtype
    assert found.shape == value.shape
    assert np.linalg.norm(found - value) <= tolerance * np.linalg.norm(value)
    assert abs(float(BACKEND.numpy(total)) - np.sum(value * weights)) <= tolerance * np.sum(np.abs(value * weights))
    reference = derivative(weights, *given)
    assert np.linalg.norm(BACKEND.numpy(gradient) - reference) <= tolerance * np.linalg.norm(reference)
    for array, values in zip(arrays, inputs, strict=True):
        np.testing.assert_array_equal(BACKEND.numpy(array), np.asarray(values, dtype=dtype))


@pytest.mark.parametrize("kernel", ["portable", "native"])
@pytest.mark.parametrize("traced", [False, True], ids=["eager", "traced"])
def test_derivative_of_relu_at_zero_is_zero(traced: bool, kernel: str) -> None:
    ops = BACKEND.operations(kernel)

    def loss(leaves: Any, data: Any) -> Any:
        return ops.sum(ops.relu(leaves[0]))

    with dtype_scope(BACKEND, "float64"):
        point = (BACKEND.array(np.array([-1.0, 0.0, -0.0, 2.0]), dtype="float64"),)
        _, (gradient,) = BACKEND.value_and_gradient(BACKEND.compile_loss(loss) if traced else loss)(point, ())
    np.testing.assert_array_equal(BACKEND.numpy(gradient), [0.0, 0.0, 0.0, 1.0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("slow", [False, True])
def test_layer_large_enough_for_another_kernel_is_the_same_layer(
    slow: bool, traced: bool, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "blas_is_slow", lambda: slow)
    ops, generator = BACKEND.operations("native"), np.random.default_rng(3)
    x, weight, bias, slope = (generator.standard_normal(s) for s in ((90, 90), (90, 130), (130,), (90, 130)))
    assert len(x) * weight.size >= LARGE_LAYER

    def loss(leaves: Any, data: Any) -> Any:
        return ops.sum(ops.affine(*leaves) * data[0])

    with dtype_scope(BACKEND, dtype):
        leaves = tuple(BACKEND.array(values, dtype=dtype) for values in (x, weight, bias))
        data = (BACKEND.array(slope, dtype=dtype),)
        pull = BACKEND.value_and_gradient(BACKEND.compile_loss(loss) if traced else loss)
        value, gradient = pull(leaves, data)
    exact = (np.sum((x @ weight + bias) * slope), slope @ weight.T, x.T @ slope, slope.sum(axis=0))
    tolerance = 1e-5 if dtype == "float32" else 1e-13
    for found, expected in zip((value, *gradient), exact, strict=True):
        scale = float(np.abs(expected).max())
        np.testing.assert_allclose(BACKEND.numpy(found), expected, rtol=0, atol=tolerance * max(scale, 1.0) * 3)


def test_bias_of_a_large_layer_has_its_gradient_beside_a_weight_that_is_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """oneDNN fills the bias's gradient on its way to the weight's, and there is none."""
    monkeypatch.setattr(operations, "blas_is_slow", lambda: True)
    ops, generator = BACKEND.operations("native"), np.random.default_rng(4)
    x, weight, bias, slope = (generator.standard_normal(s) for s in ((90, 90), (90, 130), (130,), (90, 130)))
    assert len(x) * weight.size >= LARGE_LAYER

    def loss(leaves: Any, data: Any) -> Any:
        return ops.sum(ops.affine(data[0], data[1], leaves[0]) * data[2])

    with dtype_scope(BACKEND, "float32"):
        data = tuple(BACKEND.array(values, dtype="float32") for values in (x, weight, slope))
        leaves = (BACKEND.array(bias, dtype="float32"),)
        for function in (loss, BACKEND.compile_loss(loss)):
            _, (gradient,) = BACKEND.value_and_gradient(function)(leaves, data)
            np.testing.assert_allclose(BACKEND.numpy(gradient), slope.sum(axis=0), rtol=0, atol=1e-4)


def test_loss_cut_from_its_parameters_is_refused() -> None:
    """A gradient of zeros would look like a stationary point."""
    from gradest_mxnet.framework import mx

    def cut(leaves: Any, data: Any) -> Any:
        return mx.np.array(leaves[0].asnumpy(), dtype="float64").sum()

    with dtype_scope(BACKEND, "float64"), pytest.raises(gradest.InvalidInputError, match="not connected"):
        BACKEND.value_and_gradient(cut)((BACKEND.array(X, dtype="float64"),), ())


def test_leaf_that_the_loss_does_not_use_has_gradient_zero() -> None:
    ops = BACKEND.operations()

    def loss(leaves: Any, data: Any) -> Any:
        return ops.sum(ops.stop_gradient(leaves[0])) + ops.sum(leaves[1] * leaves[1])

    with dtype_scope(BACKEND, "float64"):
        leaves = tuple(BACKEND.array(np.full(1000, value), dtype="float64") for value in (2.0, 3.0, 4.0))
        pulls = [BACKEND.value_and_gradient(f) for f in (loss, BACKEND.compile_loss(loss))]
        gradients = [pull(leaves, ())[1] for pull in pulls for _ in range(2)]  # the first call learns of it
    for gradient in gradients:
        for array, expected in zip(gradient, (0.0, 6.0, 0.0), strict=True):
            np.testing.assert_array_equal(BACKEND.numpy(array), np.full(1000, expected))


def test_results_of_a_traced_loss_are_not_overwritten_by_the_next_call() -> None:
    ops = BACKEND.operations()
    with dtype_scope(BACKEND, "float64"):
        pull = BACKEND.value_and_gradient(BACKEND.compile_loss(lambda leaves, data: ops.sum(leaves[0] * leaves[0])))
        results = [pull((BACKEND.array(np.array([k, 2.0 * k]), dtype="float64"),), ()) for k in (1.0, 3.0, 5.0)]
    assert [float(BACKEND.numpy(value)) for value, _ in results] == [5.0, 45.0, 125.0]
    assert [BACKEND.numpy(gradient).tolist() for _, (gradient,) in results] == [[2.0, 4.0], [6.0, 12.0], [10.0, 20.0]]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "values",
    [np.float64(0.1), np.zeros((0, 3)), X.T, X[:, ::-2], np.broadcast_to(X[:, :1], (3, 4))],
    ids=lambda v: str(np.shape(v)),
)
def test_arrays_cross_bit_for_bit_and_share_no_memory(values: np.ndarray, dtype: str) -> None:
    before = np.array(values, dtype=dtype)
    array = BACKEND.array(values, dtype=dtype)
    back = BACKEND.numpy(array)
    np.testing.assert_array_equal(back, before)
    assert (back.dtype, BACKEND.dtype(array), back.shape) == (np.dtype(dtype), dtype, before.shape)
    back[...] = 7.0
    np.testing.assert_array_equal(BACKEND.numpy(array), before)


def test_a_copy_is_unlinked_from_its_source() -> None:
    source = np.array([1.0, 2.0], dtype=np.float32)
    array = BACKEND.array(source, dtype="float32")
    source[0] = 5.0
    np.testing.assert_array_equal(BACKEND.numpy(array), [1.0, 2.0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_shared_memory_stays_writable_and_outlives_either_side(dtype: str) -> None:
    source = np.array([1.0, 2.0], dtype=dtype)
    array = BACKEND.array(source, dtype=dtype, copy=False)
    source[0] = 5.0  # MXNet makes what it is given read-only
    np.testing.assert_array_equal(BACKEND.numpy(array), [5.0, 2.0])
    del source
    view = BACKEND.host(array)
    del array
    np.testing.assert_array_equal(view, [5.0, 2.0])
    assert not view.flags.writeable


def test_constant_cannot_be_traced() -> None:
    ops = BACKEND.operations()

    def loss(leaves: Any, data: Any) -> Any:
        return ops.sum(leaves[0] * ops.constant(np.ones(2), like=leaves[0]))

    with dtype_scope(BACKEND, "float64"), pytest.raises(gradest.UnsupportedError, match="data of the problem"):
        BACKEND.compile_loss(loss)((BACKEND.array(np.ones(2), dtype="float64"),), ())


@pytest.mark.parametrize(
    ("loss", "error", "message"),
    [
        (lambda leaves, data: leaves[0].sum() / leaves[0].shape[0], gradest.UnsupportedError, "no attribute 'shape'"),
        (lambda leaves, data: 1.0, gradest.InvalidInputError, "found float"),
        (lambda leaves, data: leaves[0] * 2.0, gradest.InvalidInputError, "one number"),
    ],
    ids=["needs a shape", "constant", "not a scalar"],
)
def test_loss_that_cannot_be_traced_says_why(loss: Any, error: type[Exception], message: str) -> None:
    with dtype_scope(BACKEND, "float64"), pytest.raises(error, match=message):
        BACKEND.compile_loss(loss)((BACKEND.array(np.ones(2), dtype="float64"),), ())


def test_unknown_device_is_refused() -> None:
    with pytest.raises(gradest.UnsupportedError, match="'tpu:0'"):
        BACKEND.array(X, dtype="float64", device="tpu:0")


def test_a_constant_of_no_axes_has_none() -> None:
    """With one axis more, gradients by gradest's own reverse mode had one too."""
    like = BACKEND.array(np.ones(3), dtype="float64")
    assert BACKEND.operations().constant(np.ones(()), like=like).shape == ()
    objective = gradest.bind(gradest.get_problem("logsumexp"), backend="mxnet")
    gradient, _ = objective.prepare_gradient(engine="gradest")
    assert [g.shape for g in gradient(objective.start)[1]] == list(objective.layout.shapes)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_native_reverse_mode_of_a_network_has_the_error_of_the_portable_one(activation: str) -> None:
    """With MXNet's own log_softmax, of oneDNN, the error was 24 to 29 times as large."""
    problem = gradest.get_problem("mlp", widths=[16], batch=32, activation=activation)
    exact = gradest.get_estimator("analytic")(gradest.bind(problem, backend="numpy", dtype="float64")).gradient
    norm = np.sqrt(sum(np.sum(block**2) for block in exact.values()))
    for kernel in ("portable", "native"):
        found = gradest.get_estimator("reverse")(
            gradest.bind(problem, backend="mxnet", dtype="float32", kernel=kernel)
        ).gradient
        off = sum(np.sum((BACKEND.numpy(found[name]) - block) ** 2) for name, block in exact.items())
        assert np.sqrt(off) <= 8 * EPS["float32"] * norm, kernel
