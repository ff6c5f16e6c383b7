"""Exact differences: accurate to rounding at every step size, on both sides of kinks, without false overflow."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.autodiff_texts import direct_differences, network

from gradest.autodiff import difference_rules as differences
from gradest.autodiff import value_and_differences
from gradest.backend import get_backend
from gradest.tangents import Dense, Rows, Zero

NUMPY = get_backend("numpy").operations()
WIDE = float(np.finfo(np.longdouble).eps)
POINTS = {
    "exp": (-30.0, -1.0, 0.0, 2.5),
    "log": (1e-3, 0.7, 1.0, 40.0),
    "expm1": (-40.0, -1.0, 1e-9, 2.5),
    "log1p": (-0.9, 1e-9, 0.5, 30.0),
    "tanh": (-12.0, -0.7, 0.0, 0.3, 5.0),
    "sin": (-30.0, -0.7, 0.0, 1.2, 5.0),
    "cos": (-30.0, -0.7, 0.0, 1.2, 5.0),
    "sqrt": (1e-3, 1.0, 50.0),
    "abs": (-2.0, -1e-3, 0.0, 1e-3, 2.0),
    "square": (-3.0, 0.0, 1.0),
    "relu": (-2.0, -1e-3, 0.0, 1e-3, 2.0),
    "sigmoid": (-30.0, -1.0, 0.0, 3.0),
    "softplus": (-30.0, -1.0, 0.0, 3.0, 30.0),
}
STEPS = (1e-12, 1e-8, 1e-4, 0.03, 0.4, 1.5, 10.0)


def difference_of(
    text: Callable[..., Any], x: list[float] | np.ndarray, d: np.ndarray, dtype: type[Any] = np.float64
) -> np.ndarray:
    leaves, tangents = (np.asarray(x, dtype),), [Dense(np.asarray(d, dtype))]
    return value_and_differences(text, NUMPY, leaves, tangents, ())[1]


@pytest.mark.parametrize("name", POINTS)
def test_elementwise_differences_equal_extended_precision(name: str) -> None:
    assert set(POINTS) == set(differences.UNARY)

    def text(ops: Any, leaves: Any, data: tuple[()]) -> Any:
        return ops.sum(getattr(ops, name)(leaves[0]))

    for x in POINTS[name]:
        steps = np.array([sign * step for step in STEPS for sign in (-1.0, 1.0)])
        if name in ("log", "sqrt", "log1p"):
            steps = steps[x + steps + (name == "log1p") > 0.0]
        found = difference_of(text, [x], steps[:, None])
        wanted = direct_differences(text, NUMPY, (np.array([x]),), (steps[:, None],), ())
        value = abs(getattr(np, name, lambda t: 1.0)(x)) if name != "log" else abs(np.log(x))
        # a large step may cancel as much as the plain evaluation does; a small one may not
        far = np.abs(steps) > 0.3 * min(1.0, abs(x) if name == "log" else 1.0)
        allowed = 2e-15 * np.abs(wanted) + far * 4e-16 * (1.0 + value) + 4 * WIDE * (1.0 + value)
        assert (np.abs(found - wanted) <= allowed).all(), (x, steps, found, wanted)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu", "requ", "softplus"])
@pytest.mark.parametrize("size", [1e-12, 1e-6, 1e-3, 1.0, 10.0])
def test_networks_have_accurate_differences_at_every_step(activation: str, size: float) -> None:
    text, leaves, data, _ = network(activation, (6,))
    generator = np.random.default_rng(3)
    steps = [size * generator.standard_normal((4, *x.shape)) for x in leaves]
    wanted = direct_differences(text, NUMPY, leaves, steps, data)
    found = value_and_differences(text, NUMPY, leaves, [Dense(d) for d in steps], data)[1]
    assert np.abs(found - wanted).max() <= 1e-14 * np.abs(wanted).max() + 100 * WIDE


@pytest.mark.parametrize("leaf", range(4))
def test_structured_float32_differences_at_a_tiny_step(leaf: int) -> None:
    text, leaves, data, _ = network("tanh", (6,))
    step, shape = np.float32(1e-6), leaves[leaf].shape
    rows = None if len(shape) == 1 else np.eye(shape[0])[20:24] if shape[0] > 24 else np.eye(shape[0])
    scale = np.full((1 if rows is None else len(rows), shape[-1]), step, np.float32)
    block = Rows(None if rows is None else rows.astype(np.float32), scale)
    dense = block.dense(NUMPY)
    narrow = tuple(x.astype(np.float32) for x in leaves)
    given = {k: v.astype(np.float32) for k, v in data.items()}
    steps = [dense if k == leaf else np.zeros((block.count, *x.shape)) for k, x in enumerate(leaves)]
    wanted = direct_differences(text, NUMPY, narrow, steps, given)
    tangents = [block if k == leaf else Zero(block.count, x) for k, x in enumerate(narrow)]
    found = value_and_differences(text, NUMPY, narrow, tangents, given)[1]
    assert found.dtype == np.float32
    assert np.linalg.norm(found - wanted) <= 5e-7 * np.linalg.norm(wanted)

    # the control: plain subtraction in float32 has no correct digit here
    base = text(NUMPY, narrow, given)
    plain = [text(NUMPY, (*narrow[:leaf], narrow[leaf] + d, *narrow[leaf + 1 :]), given) - base for d in dense]
    assert np.linalg.norm(plain - wanted) > 1e-2 * np.linalg.norm(wanted)


def test_a_kink_is_crossed_exactly() -> None:
    def text(ops: Any, leaves: Any, data: tuple[()]) -> Any:
        x = leaves[0]
        chosen = ops.where(ops.greater(x, 0.25), 2.0 * x, x * x)
        return ops.sum(ops.relu(x) + ops.abs(x) + ops.maximum(x, -1.0) + chosen) + ops.max(x, axis=-1)

    x = np.array([-0.5, 0.0, 0.25, 0.75])
    steps = np.concatenate([h * np.eye(4) for h in (-1.5, -0.3, 0.3, 1.5)])
    wanted = direct_differences(text, NUMPY, (x,), (steps,), ())
    assert np.abs(difference_of(text, x, steps) - wanted).max() <= 1e-15


def test_large_steps_overflow_no_sooner_than_the_function() -> None:
    def text(ops: Any, leaves: Any, data: Any) -> Any:
        x = leaves[0]
        logits = ops.expand_dims(x, axis=0)
        losses = ops.softmax_cross_entropy(logits, ops.expand_dims(data[0], axis=0)) + ops.logsumexp(x)
        bounded = ops.tanh(x) + ops.sigmoid(x) + ops.softmax(x) + ops.exp(-x * x)
        return losses + ops.sum(bounded + ops.softplus(x))

    x, targets = np.array([-900.0, 30.0, 800.0]), (np.array([0.0, 0.0, 1.0]),)
    steps = np.array([[1800.0, 0.0, 0.0], [0.0, -60.0, -1700.0], [-900.0, 900.0, 0.0], [1e-9, -1e-9, 1e-9]])
    wanted = direct_differences(text, NUMPY, (x,), (steps,), targets)
    with np.errstate(all="raise", under="ignore"):
        found = value_and_differences(text, NUMPY, (x,), [Dense(steps)], targets)[1]
    assert np.isfinite(found).all()
    assert np.abs(found - wanted).max() <= 1e-13 * np.abs(wanted).max()


def test_a_cancelling_rule_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(differences.UNARY, "tanh", lambda ops, x, y, d, slope: ops.tanh(x + d) - y)

    def text(ops: Any, leaves: Any, data: tuple[()]) -> Any:
        return ops.sum(ops.tanh(leaves[0]))

    x, steps = np.array([0.7]), np.array([[1e-8]])
    wanted = direct_differences(text, NUMPY, (x,), (steps,), ())
    assert np.abs(difference_of(text, x, steps) - wanted).max() > 1e-10 * np.abs(wanted).max()
