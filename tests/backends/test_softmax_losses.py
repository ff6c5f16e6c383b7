"""The softmax cross-entropy keeps its digits: closed classes, logits of 1e5, certain predictions; softmax too."""

import warnings
from collections.abc import Callable
from decimal import Decimal, localcontext
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from support.backend_cases import dtype_scope
from support.turns import is_in_turn

import gradest
from gradest.autodiff import perturbed_values, value_and_differences, value_and_gradient, value_and_jvps
from gradest.tangents import Dense

INF = np.inf
BACKENDS = [name for name in ("numpy", "jax", "torch", "mxnet") if find_spec(name) is not None]
CASES = [(b, k) for b in BACKENDS for k in gradest.get_backend(b).kernels]
every_kernel = pytest.mark.parametrize(("backend", "kernel"), CASES, ids=[f"{b}-{k}" for b, k in CASES])
near = np.arange(12.0).reshape(4, 3) / 8  # exact in float32 beside 1e5

LOSSES: dict[str, tuple[np.ndarray, np.ndarray]] = {
    "closed classes": (np.array([[1.0, 2, -INF], [0.3, -INF, -1], [-INF, 0, -INF]]), np.eye(3)[[0, 2, 1]]),
    "closed, soft targets": (np.array([[1.0, 2, -INF], [-3, -INF, 40]]), np.array([[0.9, 0.1, 0], [0.25, 0, 0.75]])),
    "all equal at -1e5": (np.full((2, 3), -1e5), np.eye(3)[[0, 2]]),
    "all near -1e5": (near - 1e5, np.eye(3)[[0, 1, 2, 2]]),
    "all near 1e5": (near + 1e5, np.eye(3)[[0, 1, 2, 2]]),
    "all near 1e5, soft targets": (near + 1e5, 0.75 * np.eye(3)[[0, 1, 2, 2]] + 0.25 * np.eye(3)[[1, 0, 0, 0]]),
    "near -1e5, closed": (np.where(np.eye(4, 3) > 0, -INF, near - 1e5), np.eye(3)[[1, 2, 0, 2]]),
    "1e5 and -1e5": (np.array([[1e5, -1e5, 0], [-1e5, -1e5, -1e5], [1e5, 1e5, -1e5]]), np.eye(3)[[0, 1, 1]]),
    "1e5 and -1e5, wrong": (np.array([[1e5, -1e5, 0], [-1e5, 1e5, -INF]]), np.eye(3)[[1, 0]]),
    "certain": (np.array([[40.0, 0, 0], [0, 60, -INF], [5, 0, -20]]), np.eye(3)[[0, 1, 0]]),
    "800": (np.array([[800.0, 0]]), np.eye(2)[[1]]),
    "ordinary": (np.random.default_rng(0).standard_normal((5, 4)), np.eye(4)[[3, 1, 0, 2, 2]]),
}
every_loss = pytest.mark.parametrize("name", LOSSES)
OF_LOSSES = [
    (name, backend, kernel)
    for number, name in enumerate(LOSSES)
    for backend, kernel in CASES
    if backend != "jax" or is_in_turn(number, kernel, gradest.get_backend("jax").kernels)
]
every_case = pytest.mark.parametrize(
    ("name", "backend", "kernel"), OF_LOSSES, ids=[f"{b}-{k}-{name}" for name, b, k in OF_LOSSES]
)


def exact(z: np.ndarray, targets: np.ndarray) -> tuple[float, np.ndarray]:
    """Return value and derivative by the logits, by 60 digits, with sums over what a target or softmax has alone."""
    with localcontext(prec=60):
        total, slopes = Decimal(0), np.empty(z.shape)
        for n, (row, wanted) in enumerate(zip(z, targets, strict=True)):
            weights = exponentials(row)
            shares = [Decimal(float(t)) for t in wanted]
            picked = sum((t * Decimal(float(x)) for t, x in zip(shares, row, strict=True) if t), Decimal(0))
            total += sum(weights).ln() * sum(shares) - picked
            slopes[n] = [float((w / sum(weights) - t) / len(z)) for w, t in zip(weights, shares, strict=True)]
        return float(total / len(z)), slopes


def exponentials(row: np.ndarray) -> list[Decimal]:
    return [Decimal(float(x)).exp() if x > -INF else Decimal(0) for x in row]


def given(name: str, backend: str, dtype: str) -> tuple[Any, Any, float, np.ndarray]:
    """Return logits and targets as arrays of the backend, and what is right for the rounded numbers."""
    z, targets = (x.astype(dtype) for x in LOSSES[name])
    framework = gradest.get_backend(backend)
    return framework.array(z, dtype=dtype), framework.array(targets, dtype=dtype), *exact(z, targets)


def tolerance(dtype: str, value: float) -> float:
    """Return a few roundings of the loss, or of the differences of logits of size 1 that it is made of."""
    return 4 * float(np.finfo(dtype).eps) * max(1.0, abs(value))


@every_case
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_value_and_derivative_are_right_to_rounding(dtype: str, name: str, backend: str, kernel: str) -> None:
    framework, ops = gradest.get_backend(backend), gradest.get_backend(backend).operations(kernel)
    with dtype_scope(framework, dtype):
        logits, targets, value, slopes = given(name, backend, dtype)
        plain = ops.softmax_cross_entropy(logits, targets)
        fused, derivative = ops.softmax_cross_entropy_and_gradient(logits, targets)
        for found in (plain, fused):
            assert abs(float(framework.numpy(found)) - value) <= tolerance(dtype, value)
            assert float(framework.numpy(found)) >= 0
        assert np.abs(framework.numpy(derivative) - slopes).max() <= tolerance(dtype, 1.0)


def cross_entropy(ops: Any, leaves: Any, data: Any) -> Any:
    return ops.softmax_cross_entropy(leaves[0], data[0])


@every_case
def test_interpreters_report_the_same_value_and_derivative(name: str, backend: str, kernel: str) -> None:
    framework, ops = gradest.get_backend(backend), gradest.get_backend(backend).operations(kernel)
    with dtype_scope(framework, "float32"):
        logits, targets, value, slopes = given(name, backend, "float32")
        size = logits.shape[0] * logits.shape[1]
        basis = framework.array(np.eye(size).reshape(size, *logits.shape), dtype="float32")
        reverse = value_and_gradient(cross_entropy, ops, (logits,), (targets,))
        forward = value_and_jvps(cross_entropy, ops, (logits,), [Dense(basis)], (targets,))
        values = [framework.numpy(x) for x in (reverse[0], forward[0])]
        found = [framework.numpy(x).ravel() for x in (reverse[1][0], forward[1])]
        still = perturbed_values(cross_entropy, ops, (logits,), [Dense(0 * basis)], (targets,))
    assert max(abs(float(v) - value) for v in (*values, *framework.numpy(still))) <= tolerance("float32", value)
    assert all(np.abs(g - slopes.ravel()).max() <= tolerance("float32", 1.0) for g in found)


@every_case
@pytest.mark.parametrize("step", [2.0**-20, 0.25, 8.0])
def test_exact_differences_keep_their_digits(step: float, name: str, backend: str, kernel: str) -> None:
    framework, ops = gradest.get_backend(backend), gradest.get_backend(backend).operations(kernel)
    with dtype_scope(framework, "float32"):
        logits, targets, *_ = given(name, backend, "float32")
        size = logits.shape[0] * logits.shape[1]
        moves = step * np.eye(size).reshape(size, *logits.shape)
        tangents = [Dense(framework.array(moves, dtype="float32"))]
        found = framework.numpy(value_and_differences(cross_entropy, ops, (logits,), tangents, (targets,))[1])
        z, wanted = framework.numpy(logits).astype(np.float64), framework.numpy(targets)
    right = np.array([difference(z, wanted, move) for move in moves])
    assert np.abs(found - right).max() <= 8 * np.finfo(np.float32).eps * step


def difference(z: np.ndarray, targets: np.ndarray, move: np.ndarray) -> float:
    """Return `f(z + move) - f(z)` by 60 digits, at arguments that are sums without rounding."""
    with localcontext(prec=60):
        total = Decimal(0)
        for row, wanted, d in zip(z, targets, move, strict=True):
            weights = exponentials(row)
            raised = [w * growth for w, growth in zip(weights, exponentials(d), strict=True)]
            total += (sum(raised) / sum(weights)).ln() - Decimal(float(np.sum(wanted.astype(np.float64) * d)))
        return float(total / len(z))


@every_kernel
def test_a_label_in_a_closed_class_is_an_infinite_loss(backend: str, kernel: str) -> None:
    framework, ops = gradest.get_backend(backend), gradest.get_backend(backend).operations(kernel)
    z = np.array([[1.0, 2.0, -INF], [0.5, -INF, 0.0], [0.5, 1.0, 0.0]])
    for targets in (np.eye(3)[[2, 0, 1]], np.eye(3)[[2, 1, 1]], np.array([[0.5, 0.25, 0.25], [0, 0, 1], [1, 0, 0]])):
        with dtype_scope(framework, "float64"):
            logits, wanted = (framework.array(x, dtype="float64") for x in (z, targets))
            value, derivative = ops.softmax_cross_entropy_and_gradient(logits, wanted)
            assert (
                float(framework.numpy(value))
                == float(framework.numpy(ops.softmax_cross_entropy(logits, wanted)))
                == INF
            )
            # The limit of the derivative as the logit falls: the class is pulled up with all its target.
            assert np.abs(framework.numpy(derivative) - exact(z, targets)[1]).max() <= 1e-15


@every_kernel
def test_a_population_of_logits_and_of_targets(backend: str, kernel: str) -> None:
    framework, ops = gradest.get_backend(backend), gradest.get_backend(backend).operations(kernel)
    z, targets = LOSSES["closed classes"]
    stack = np.stack([z, z - 1e3, 0.5 * z])
    shares = np.stack([targets, np.isfinite(z) / np.isfinite(z).sum(axis=-1, keepdims=True), targets])
    with dtype_scope(framework, "float64"):
        logits, wanted = framework.array(stack, dtype="float64"), framework.array(targets, dtype="float64")
        one = framework.numpy(ops.softmax_cross_entropy(logits, wanted))
        each = framework.numpy(ops.softmax_cross_entropy(logits, framework.array(shares, dtype="float64")))
    np.testing.assert_allclose(one, [exact(rows, targets)[0] for rows in stack], rtol=1e-14)
    np.testing.assert_allclose(each, [exact(r, t)[0] for r, t in zip(stack, shares, strict=True)], rtol=1e-14)


@every_kernel
def test_softmax_and_logsumexp_leave_masked_entries_out(backend: str, kernel: str) -> None:
    """As in attention: a score of -inf has weight 0 and changes nothing."""
    framework, ops = gradest.get_backend(backend), gradest.get_backend(backend).operations(kernel)
    scores = np.array([[0.5, -INF, 2.0, -1.0], [-INF, -INF, 3.0, -INF], [-1e5, -1e5, -INF, -1e5]])
    with dtype_scope(framework, "float64"):
        array = framework.array(scores, dtype="float64")
        weights, sums = framework.numpy(ops.softmax(array)), framework.numpy(ops.logsumexp(array))
    kept = [row[np.isfinite(row)] for row in scores]
    for row, found, total, rest in zip(scores, weights, sums, kept, strict=True):
        assert not found[np.isinf(row)].any()
        np.testing.assert_allclose(found[np.isfinite(row)], np.exp(rest - rest.max()) / np.exp(rest - rest.max()).sum())
        assert total == pytest.approx(rest.max() + np.log(np.exp(rest - rest.max()).sum()), rel=1e-15)


def attention(ops: Any, leaves: Any, data: Any) -> Any:
    """Return a loss of one masked head: softmax(q k^T + mask) v, and the logsumexp of the masked scores."""
    q, k, v = leaves
    scores = ops.matmul(q, ops.matrix_transpose(k)) + data[0]
    return ops.sum(data[1] * ops.matmul(ops.softmax(scores), v)) + ops.sum(ops.logsumexp(scores))


@every_kernel
@pytest.mark.parametrize("interpret", [value_and_jvps, value_and_differences, perturbed_values])
def test_masked_attention_under_the_interpreters(interpret: Callable[..., Any], backend: str, kernel: str) -> None:
    framework, ops = gradest.get_backend(backend), gradest.get_backend(backend).operations(kernel)
    generator = np.random.default_rng(3)
    leaves = tuple(generator.standard_normal((4, 3)) for _ in range(3))
    data = (np.where(np.tril(np.ones((4, 4))) > 0, 0.0, -INF), generator.standard_normal((4, 3)))
    low = (np.maximum(data[0], -1e4), data[1])  # the exponential is 0 all the same
    moves = [1e-3 * generator.standard_normal((5, 4, 3)) for _ in leaves]

    def arrays(values: Any) -> tuple[Any, ...]:
        return tuple(framework.array(x, dtype="float64") for x in values)

    with dtype_scope(framework, "float64"):
        tangents = [Dense(x) for x in arrays(moves)]
        found, right = (interpret(attention, ops, arrays(leaves), tangents, arrays(x)) for x in (data, low))
        pairs = zip(found, right, strict=True) if isinstance(found, tuple) else [(found, right)]
        for ours, theirs in pairs:
            np.testing.assert_allclose(framework.numpy(ours), framework.numpy(theirs), rtol=1e-12, atol=1e-14)
        ours, theirs = (value_and_gradient(attention, ops, arrays(leaves), arrays(x))[1] for x in (data, low))
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(framework.numpy(a), framework.numpy(b), rtol=1e-12, atol=1e-14)


@every_kernel
def test_a_row_that_is_masked_altogether_has_no_softmax(backend: str, kernel: str) -> None:
    framework, ops = gradest.get_backend(backend), gradest.get_backend(backend).operations(kernel)
    with dtype_scope(framework, "float64"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # NumPy says that it divides 0 by 0
        array = framework.array(np.array([[-INF, -INF], [0.0, -INF]]), dtype="float64")
        weights, sums = framework.numpy(ops.softmax(array)), framework.numpy(ops.logsumexp(array))
        loss = framework.numpy(ops.softmax_cross_entropy(array, framework.array(np.eye(2)[[0, 0]], dtype="float64")))
    assert np.isnan(weights[0]).all()
    assert weights[1].tolist() == [1.0, 0.0]
    assert sums.tolist() == [-INF, 0.0]
    assert np.isnan(loss)


@every_loss
def test_jax_agrees_on_the_log_of_softmax(name: str) -> None:
    jax = pytest.importorskip("jax", reason="JAX is not installed: pip install jax")
    z, targets = LOSSES[name]
    with dtype_scope(gradest.get_backend("jax"), "float64"):
        log_p = np.asarray(jax.nn.log_softmax(jax.numpy.asarray(z)))
    losses = [-np.sum(t[t > 0] * row[t > 0]) for row, t in zip(log_p, targets, strict=True)]
    found = np.asarray(gradest.get_backend("numpy").operations().softmax_cross_entropy(z, targets)).item()
    assert found == pytest.approx(np.mean(losses), rel=1e-14, abs=1e-15)
