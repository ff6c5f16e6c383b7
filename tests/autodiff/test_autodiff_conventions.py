"""Conventions and limits of the interpreters: kinks, ties, constants, hard inputs, known values, traced arrays."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.autodiff_texts import network
from support.backend_cases import dtype_scope

from gradest.autodiff import perturbed_values, value_and_differences, value_and_gradient, value_and_jvps
from gradest.backend import get_backend
from gradest.errors import UnsupportedError
from gradest.tangents import Dense, Rows, Zero

NUMPY = get_backend("numpy").operations()


def gradient_both_ways(
    text: Callable[..., Any], leaves: tuple[np.ndarray, ...], data: tuple[()] = ()
) -> tuple[np.ndarray, ...]:
    """Return the gradient of leaves of one axis by the tape and by dual numbers, after comparing them."""
    _, reverse = value_and_gradient(text, NUMPY, leaves, data)
    forward = []
    for k, x in enumerate(leaves):
        tangents = [Dense(np.eye(x.size)) if j == k else Zero(x.size, y) for j, y in enumerate(leaves)]
        forward.append(value_and_jvps(text, NUMPY, leaves, tangents, data)[1])
    for r, f in zip(reverse, forward, strict=True):
        assert np.array_equal(r, f)
    return reverse


def test_known_gradients_of_scalar_graphs() -> None:
    def cubic(ops: Any, leaves: tuple[Any, Any], data: tuple[()]) -> Any:
        x, y = leaves
        return ops.sum(x * x * (x + y))

    def mixed(ops: Any, leaves: tuple[Any, Any], data: tuple[()]) -> Any:
        x, y = leaves
        return ops.sum(ops.log(x) + ops.square(x) * y + ops.square(y))

    x, y = np.array([2.0]), np.array([3.0])
    assert [g.item() for g in gradient_both_ways(cubic, (x, y))] == [24.0, 4.0]
    value, gradient = value_and_gradient(mixed, NUMPY, (x, y), ())
    assert value == pytest.approx(np.log(2.0) + 21.0, rel=1e-15)
    assert [g.item() for g in gradient] == [12.5, 10.0]
    step = [Dense(np.array([[0.5]])), Dense(np.array([[-1.0]]))]
    assert value_and_differences(cubic, NUMPY, (x, y), step, ())[1].item() == 2.5 * 2.5 * 4.5 - 20.0


@pytest.mark.parametrize(
    ("name", "function", "slopes"),
    [
        ("relu", lambda ops, x: ops.relu(x), [0.0, 0.0, 1.0]),
        ("maximum", lambda ops, x: ops.maximum(x, 0.0), [0.0, 0.0, 1.0]),
        ("abs", lambda ops, x: ops.abs(x), [-1.0, 0.0, 1.0]),
        ("max", lambda ops, x: ops.max(x * x, axis=-1), [-1.0, 0.0, 1.0]),
        ("stop_gradient", lambda ops, x: x * ops.stop_gradient(x), [-1.0, 0.0, 1.0]),
    ],
)
def test_kinks_ties_and_constants(name: str, function: Callable[..., Any], slopes: list[float]) -> None:
    def text(ops: Any, leaves: tuple[Any], data: tuple[()]) -> Any:
        return ops.sum(function(ops, leaves[0]))

    (gradient,) = gradient_both_ways(text, (np.array([-1.0, 0.0, 1.0]),))
    assert gradient.tolist() == slopes


def test_a_relu_network_at_zero_has_gradient_zero_in_its_hidden_layer() -> None:
    text, leaves, data, _ = network("relu", (6,))
    gradient = value_and_gradient(text, NUMPY, tuple(np.zeros_like(x) for x in leaves), data)[1]
    assert not gradient[0].any()
    assert not gradient[1].any()
    assert gradient[3].any()


def test_what_does_not_depend_on_the_leaves_has_derivative_zero() -> None:
    def text(ops: Any, leaves: tuple[Any], data: tuple[Any]) -> Any:
        return ops.sum(data[0])

    x, tangents = np.ones(3), [Dense(np.ones((2, 3)))]
    assert value_and_gradient(text, NUMPY, (x,), (x,))[1][0].tolist() == [0.0] * 3
    assert value_and_jvps(text, NUMPY, (x,), tangents, (x,))[1].tolist() == [0.0] * 2
    assert value_and_differences(text, NUMPY, (x,), tangents, (x,))[1].tolist() == [0.0] * 2
    assert perturbed_values(text, NUMPY, (x,), tangents, (x,)).tolist() == [3.0] * 2


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e6])
@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "softplus"])
def test_saturated_networks_stay_finite(activation: str, scale: float) -> None:
    text, leaves, data, _ = network(activation, (6,))
    hard = tuple(scale * x for x in leaves)
    rows = Rows(np.eye(64)[20:22], np.full((2, 6), scale))
    tangents = [rows if k == 0 else Zero(rows.count, x) for k, x in enumerate(hard)]
    with np.errstate(all="raise", under="ignore"):
        results = [
            *value_and_gradient(text, NUMPY, hard, data)[1],
            value_and_jvps(text, NUMPY, hard, tangents, data)[1],
            value_and_differences(text, NUMPY, hard, tangents, data)[1],
            perturbed_values(text, NUMPY, hard, tangents, data),
        ]
    assert all(np.isfinite(r).all() for r in results)


def test_a_logit_of_800_gives_loss_800_and_derivative_one() -> None:
    def text(ops: Any, leaves: tuple[Any], data: tuple[Any]) -> Any:
        return ops.softmax_cross_entropy(leaves[0], data[0])

    logits, targets = np.array([[800.0, 0.0]]), np.array([[0.0, 1.0]])
    value, (gradient,) = value_and_gradient(text, NUMPY, (logits,), (targets,))
    assert value == 800.0
    assert gradient.tolist() == [[1.0, -1.0]]


def test_the_tape_and_the_changes_do_not_write_to_their_inputs() -> None:
    text, leaves, data, _ = network("tanh", (6,))
    tangents = [Dense(np.ones((2, *x.shape))) for x in leaves]
    frozen = [*leaves, *data.values(), *(t.values for t in tangents)]
    for array in frozen:
        array.flags.writeable = False
    for _ in range(2):
        value_and_gradient(text, NUMPY, leaves, data)
        value_and_jvps(text, NUMPY, leaves, tangents, data)
        value_and_differences(text, NUMPY, leaves, tangents, data)
        perturbed_values(text, NUMPY, leaves, tangents, data)


@pytest.mark.parametrize("backend", ["jax", "torch", "mxnet"])
def test_other_frameworks_give_the_same_numbers(backend: str) -> None:
    other = get_backend(backend)
    text, leaves, data, _ = network("tanh", (6,))
    rows, scale = np.eye(64)[20:22], np.full((2, 6), 1e-3)

    def all_of(ops: Any, selector: Any, factors: Any, params: Any, given: dict[str, Any]) -> Any:
        block = Rows(selector, factors)
        tangents = [block if k == 0 else Zero(block.count, x) for k, x in enumerate(params)]
        return (
            *value_and_gradient(text, ops, params, given)[1],
            value_and_jvps(text, ops, params, tangents, given)[1],
            value_and_differences(text, ops, params, tangents, given)[1],
            perturbed_values(text, ops, params, tangents, given),
        )

    expected = all_of(NUMPY, rows, scale, leaves, data)

    def convert(x: np.ndarray) -> Any:
        return other.array(x, dtype="float64")

    def run() -> list[np.ndarray]:
        step = other.compile(lambda *arrays: all_of(other.operations(), *arrays))
        given = {k: convert(v) for k, v in data.items()}
        found = step(convert(rows), convert(scale), tuple(convert(x) for x in leaves), given)
        return [other.numpy(x) for x in found]

    with dtype_scope(other, "float64"):
        found = run()
    for ours, theirs in zip(expected, found, strict=True):
        assert theirs.dtype == np.float64
        assert np.abs(ours - theirs).max() <= 1e-14 * (1.0 + np.abs(ours).max())


OPERATORS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "**": (lambda x: x**2, r"ops\.square"),
    "** of a number": (lambda x: 2.0**x, r"ops\.exp"),
    "@": (lambda x: x @ np.ones(3), r"ops\.matmul"),
    "@ of an array": (lambda x: np.ones((2, 3)) @ x, r"ops\.matmul"),
    "abs": (abs, r"ops\.abs"),
    "[]": (lambda x: x[0], r"ops\.slice_axis"),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_that_only_some_backends_have_is_refused_with_its_operation(name: str) -> None:
    """NumPy's arrays take these, so that such a loss runs until an interpreter meets it."""
    function, told = OPERATORS[name]
    leaves, tangents = (np.arange(1.0, 4.0),), [Dense(np.eye(3))]

    def text(ops: Any, params: tuple[Any], data: tuple[()]) -> Any:
        return ops.sum(function(params[0]))

    for run in (
        lambda: value_and_gradient(text, NUMPY, leaves, ()),
        lambda: value_and_jvps(text, NUMPY, leaves, tangents, ()),
        lambda: value_and_differences(text, NUMPY, leaves, tangents, ()),
        lambda: perturbed_values(text, NUMPY, leaves, tangents, ()),
    ):
        with pytest.raises(UnsupportedError, match=told):
            run()
