"""Operations with what NumPy says they are, and a closed-form gradient: what a backend's tests compare with."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

import gradest
from gradest.backend import Backend, as_float64
from gradest.operations import Operations

GENERATOR = np.random.default_rng(20)
MATRIX = GENERATOR.standard_normal((3, 4))
TIED = np.array([[0.0, -0.0, 2.0, 2.0], [1.0, 1.0, -3.0, 1.0], [-5.0, 0.0, 40.0, -40.0]])
STACK = GENERATOR.standard_normal((2, 3, 4))
WEIGHT = GENERATOR.standard_normal((4, 5))
WEIGHTS = GENERATOR.standard_normal((2, 4, 5))
BIAS = GENERATOR.standard_normal(5)
BIASES = GENERATOR.standard_normal((2, 5))
ONE_HOT = np.eye(4)[[1, 3, 0]]
WILD = np.array([[1000.0, 0.0, -1000.0, 3.0], [-300.0, -300.0, -300.0, -300.0], [0.0, 88.0, 89.0, 20.5]])


def _logsumexp(x: Any) -> Any:
    shift = x.max(axis=-1, keepdims=True)
    return np.log(np.exp(x - shift).sum(axis=-1)) + shift[..., 0]


def _softmax(x: Any) -> Any:
    return np.exp(x - _logsumexp(x)[..., None])


def _cross_entropy(z: Any, t: Any) -> Any:
    return (_logsumexp(z) - (z * t).sum(axis=-1)).mean(axis=-1)


def _softplus(x: Any) -> Any:
    return np.logaddexp(x, 0)


def _sigmoid(x: Any) -> Any:
    return np.exp(-np.logaddexp(-x, 0))


@dataclass(frozen=True)
class OperationCase:
    """One operation on some inputs, and the NumPy function that it must equal (evaluated in longdouble)."""

    name: str
    call: Callable[..., Any]
    expected: Callable[..., Any]
    inputs: tuple[np.ndarray[Any, Any], ...]

    @property
    def absolute(self) -> float:
        """The size of what is added up on the way: 0 where results near 0 must keep their own digits."""
        return 0.0 if self.name.endswith("near 0") else 1.0

    def __str__(self) -> str:
        return self.name


def _case(name: str, call: Callable[..., Any], expected: Callable[..., Any], *inputs: Any) -> OperationCase:
    return OperationCase(name, call, expected, inputs)


POSITIVE = np.exp(MATRIX)
OPERATIONS = [
    _case("exp", lambda ops, x: ops.exp(x), np.exp, MATRIX),
    _case("log", lambda ops, x: ops.log(x), np.log, POSITIVE),
    _case("expm1 near 0", lambda ops, x: ops.expm1(x), np.expm1, 1e-9 * MATRIX),
    _case("log1p near 0", lambda ops, x: ops.log1p(x), np.log1p, 1e-9 * MATRIX),
    _case("tanh", lambda ops, x: ops.tanh(x), np.tanh, MATRIX),
    _case("tanh saturated", lambda ops, x: ops.tanh(x), np.tanh, WILD),
    _case("sin", lambda ops, x: ops.sin(x), np.sin, MATRIX),
    _case("cos", lambda ops, x: ops.cos(x), np.cos, MATRIX),
    _case("sqrt", lambda ops, x: ops.sqrt(x), np.sqrt, POSITIVE),
    _case("abs", lambda ops, x: ops.abs(x), np.abs, TIED),
    _case("maximum of arrays", lambda ops, x, y: ops.maximum(x, y), np.maximum, MATRIX, TIED),
    _case("maximum of a number", lambda ops, x: ops.maximum(x, 0.1), lambda x: np.maximum(x, x.dtype.type(0.1)), TIED),
    _case(
        "where",
        lambda ops, x, y: ops.where(ops.greater(x, y), x, -1.0),
        lambda x, y: np.where(x > y, x, -1),
        *(MATRIX, TIED),
    ),
    _case("sum", lambda ops, x: ops.sum(x), np.sum, MATRIX),
    _case("sum of axes", lambda ops, x: ops.sum(x, axis=(-2, -1)), lambda x: x.sum(axis=(-2, -1)), STACK),
    _case(
        "sum kept", lambda ops, x: ops.sum(x, axis=-1, keepdims=True), lambda x: x.sum(axis=-1, keepdims=True), STACK
    ),
    _case("mean", lambda ops, x: ops.mean(x), np.mean, MATRIX),
    _case("mean of an axis", lambda ops, x: ops.mean(x, axis=-2), lambda x: x.mean(axis=-2), STACK),
    _case("max", lambda ops, x: ops.max(x, axis=-1), lambda x: x.max(axis=-1), TIED),
    _case(
        "max kept", lambda ops, x: ops.max(x, axis=-2, keepdims=True), lambda x: x.max(axis=-2, keepdims=True), STACK
    ),
    _case("matmul", lambda ops, x, y: ops.matmul(x, y), np.matmul, MATRIX, WEIGHT),
    _case("matmul broadcast", lambda ops, x, y: ops.matmul(x, y), np.matmul, MATRIX, WEIGHTS),
    _case("transpose", lambda ops, x: ops.matrix_transpose(x), lambda x: x.swapaxes(-1, -2), STACK),
    _case("expand", lambda ops, x: ops.expand_dims(x, axis=-2), lambda x: x[..., None, :], STACK),
    _case("slice", lambda ops, x: ops.slice_axis(x, 1, 3, axis=-2), lambda x: x[..., 1:3, :], STACK),
    _case("concat", lambda ops, x: ops.concat(x, x, axis=-1), lambda x: np.concatenate([x, x], axis=-1), STACK),
    _case("stop", lambda ops, x: ops.stop_gradient(x), lambda x: x, MATRIX),
    _case("reshape", lambda ops, x: ops.reshape(x, (4, -1)), lambda x: x.reshape(4, -1), STACK),
    _case("broadcast", lambda ops, x: ops.broadcast_to(x, (2, 3, 4)), lambda x: np.broadcast_to(x, (2, 3, 4)), MATRIX),
    _case("zeros", lambda ops, x: ops.zeros_like(x), np.zeros_like, MATRIX),
    _case("square", lambda ops, x: ops.square(x), np.square, MATRIX),
    _case("relu", lambda ops, x: ops.relu(x), lambda x: np.maximum(x, 0), TIED),
    _case("sigmoid", lambda ops, x: ops.sigmoid(x), _sigmoid, MATRIX),
    _case("sigmoid saturated", lambda ops, x: ops.sigmoid(x), _sigmoid, WILD),
    _case("softplus", lambda ops, x: ops.softplus(x), _softplus, MATRIX),
    _case("softplus saturated", lambda ops, x: ops.softplus(x), _softplus, WILD),
    _case("affine", lambda ops, x, w, b: ops.affine(x, w, b), lambda x, w, b: x @ w + b, MATRIX, WEIGHT, BIAS),
    _case("affine without bias", lambda ops, x, w: ops.affine(x, w), np.matmul, MATRIX, WEIGHT),
    _case(
        "affine of a population",
        lambda ops, x, w, b: ops.affine(x, w, b),
        lambda x, w, b: x @ w + b[:, None, :],
        *(MATRIX, WEIGHTS, BIASES),
    ),
    _case(
        "affine of biases alone",
        lambda ops, x, w, b: ops.affine(x, w, b),
        lambda x, w, b: x @ w + b[:, None, :],
        *(GENERATOR.standard_normal((2, 4)), WEIGHT, BIASES),
    ),
    _case("logsumexp", lambda ops, x: ops.logsumexp(x), _logsumexp, WILD),
    _case("softmax", lambda ops, x: ops.softmax(x), _softmax, WILD),
    _case("cross-entropy", lambda ops, z, t: ops.softmax_cross_entropy(z, t), _cross_entropy, MATRIX, ONE_HOT),
    _case("cross-entropy wild", lambda ops, z, t: ops.softmax_cross_entropy(z, t), _cross_entropy, WILD, ONE_HOT),
    _case(
        "cross-entropy of a population",
        lambda ops, z, t: ops.softmax_cross_entropy(z, t),
        _cross_entropy,
        STACK,
        ONE_HOT,
    ),
    _case(
        "gradient of the cross-entropy",
        lambda ops, z, t: ops.softmax_cross_entropy_and_gradient(z, t)[1],
        lambda z, t: (_softmax(z) - t) / z.shape[-2],
        *(MATRIX, ONE_HOT),
    ),
]

KINKS: list[tuple[str, Callable[[Operations, Any], Any], float]] = [
    ("relu", lambda ops, x: ops.relu(x), 0.0),
    ("abs", lambda ops, x: ops.abs(x), 0.0),
    ("softplus", lambda ops, x: ops.softplus(x), 0.5),
    ("stop_gradient", lambda ops, x: x * ops.stop_gradient(ops.exp(x)), 1.0),
]
"""Functions with their derivatives at 0."""

SMOOTH: list[tuple[str, Callable[[Operations, Any], Any], Callable[[Any], Any]]] = [
    ("relu", lambda ops, x: ops.relu(x), lambda x: (x > 0).astype(x.dtype)),
    ("abs", lambda ops, x: ops.abs(x), np.sign),
    ("maximum", lambda ops, x: ops.maximum(x, 0.5), lambda x: (x > 0.5).astype(x.dtype)),
    ("sigmoid", lambda ops, x: ops.sigmoid(x), lambda x: _sigmoid(x) * _sigmoid(-x)),
    ("softplus", lambda ops, x: ops.softplus(x), _sigmoid),
    ("expm1", lambda ops, x: ops.expm1(x), np.exp),
    ("log1p", lambda ops, x: ops.log1p(ops.square(x)), lambda x: 2 * x / (1 + x * x)),
    ("sin", lambda ops, x: ops.sin(x), np.cos),
    ("cos", lambda ops, x: ops.cos(x), lambda x: -np.sin(x)),
    ("tanh", lambda ops, x: ops.tanh(x), lambda x: 1 - np.tanh(x) ** 2),
]
"""Elementwise functions with their derivatives."""


def dtype_scope(backend: Backend, dtype: str) -> AbstractContextManager[Any]:
    """Return the context in which a backend's arrays of the dtype can be used, also where it needs none."""
    return backend.scope(dtype) or nullcontext()


@cache
def evaluated(backend: Backend, kernel: str, dtype: str) -> dict[str, tuple[Any, Any, str]]:
    """Return name -> (found, expected in extended precision, dtype found), all operations compiled as one function.

    Both sides take the same inputs, rounded to the dtype.
    """
    rounded = [tuple(x.astype(dtype) for x in case.inputs) for case in OPERATIONS]
    arrays = [tuple(backend.array(x, dtype=dtype) for x in inputs) for inputs in rounded]
    ops = backend.operations(kernel)

    def all_of_them(given: Any) -> Any:
        return [case.call(ops, *inputs) for case, inputs in zip(OPERATIONS, given, strict=True)]

    with dtype_scope(backend, dtype):
        results = backend.compile(all_of_them)(arrays)
    for inputs, given in zip(arrays, rounded, strict=True):
        for array, x in zip(inputs, given, strict=True):
            assert np.array_equal(backend.numpy(array), x), "an operand was written to"
    with np.errstate(under="ignore"):
        expected = [
            case.expected(*(x.astype(np.longdouble) for x in xs)) for case, xs in zip(OPERATIONS, rounded, strict=True)
        ]
    return {
        case.name: (backend.numpy(result), right, backend.dtype(result))
        for case, result, right in zip(OPERATIONS, results, expected, strict=True)
    }


def assert_operation(backend: Backend, kernel: str, dtype: str, case: OperationCase) -> None:
    """Compare an operation with NumPy in extended precision: shape, dtype, and a few roundings."""
    found, expected, found_dtype = evaluated(backend, kernel, dtype)[case.name]
    assert found_dtype == dtype
    assert found.shape == expected.shape
    limit = 8 * np.finfo(dtype).eps * (np.abs(expected) + case.absolute)
    assert np.all(np.abs(found - expected) <= limit)


def slopes_at_zero(backend: Backend, kernel: str) -> dict[str, float]:
    """Return the derivatives of `KINKS` at 0 by the backend's own reverse mode."""
    ops = backend.operations(kernel)

    def loss(leaves: Any, data: Any) -> Any:
        total: Any = 0.0
        for (_, function, _), leaf in zip(KINKS, leaves, strict=True):
            total = total + ops.sum(function(ops, leaf))
        return total

    leaves = tuple(backend.array(np.zeros(2), dtype="float32") for _ in KINKS)
    gradient = backend.value_and_gradient(loss)(leaves, ())[1]
    return {name: float(backend.numpy(block)[0]) for (name, _, _), block in zip(KINKS, gradient, strict=True)}


COMPLEX_STEP = 1e-30
COMPLEX_POINTS = np.array([-30.0, -1.5, -0.2, 0.7, 2.0, 30.0])


def complex_steps(backend: Backend, kernel: str) -> dict[str, Any]:
    """Return the derivatives of `SMOOTH` at `COMPLEX_POINTS` by the complex step on the backend's operations."""
    z, ops = backend.array(COMPLEX_POINTS + 1j * COMPLEX_STEP, dtype="complex128"), backend.operations(kernel)
    with dtype_scope(backend, "complex128"):
        results = backend.compile(lambda z: [function(ops, z) for _, function, _ in SMOOTH])(z)
        return {
            name: backend.numpy(result).imag / COMPLEX_STEP
            for (name, _, _), result in zip(SMOOTH, results, strict=True)
        }


@cache
def network(activation: str) -> tuple[Any, dict[str, Any], Any]:
    """Return an MLP on digits, its closed-form gradient in extended precision, and the loss."""
    problem = gradest.get_problem("mlp", dataset="digits", widths=(16, 8), batch=32, activation=activation)
    estimate = gradest.get_estimator("analytic")(problem, backend="numpy", dtype="longdouble")
    return problem, estimate.gradient, estimate.value


def relative_error(backend: Backend, gradient: dict[str, Any], expected: dict[str, Any]) -> float:
    """Return the relative L2 error over all parameters."""
    assert tuple(gradient) == tuple(expected)
    wrong = sum(((as_float64(backend, gradient[k]) - expected[k]) ** 2).sum() for k in expected)
    return float(np.sqrt(wrong / sum((expected[k] ** 2).sum() for k in expected)))
