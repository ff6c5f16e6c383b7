"""Blocks of directions: each structure's dense form, weighted sum, scaling and inner products, by definition."""

import numpy as np
import pytest

from gradest.autodiff import linear_rules as linear
from gradest.backend import get_backend
from gradest.tangents import Columns, Dense, LowRank, Mirrored, Outer, Rows, Zero

NUMPY = get_backend("numpy").operations()
GENERATOR = np.random.default_rng(0)
SCALE = GENERATOR.standard_normal((2, 3))
VALUES = GENERATOR.standard_normal((2, 4, 3))
WEIGHT = GENERATOR.standard_normal((3, 5))
LEFT, RIGHT = GENERATOR.standard_normal((6, 4, 2)), GENERATOR.standard_normal((6, 3, 2))
DENSE = GENERATOR.standard_normal((6, 4, 3))
SELECTOR = np.eye(4)[[2, 0]]

ROWS = np.array([[SCALE[i, j] * np.outer(SELECTOR[i], np.eye(3)[j]) for j in range(3)] for i in range(2)])
COLUMNS = np.array([[np.outer(VALUES[i, :, j], np.eye(3)[j]) for j in range(3)] for i in range(2)])
BLOCKS = {
    "zero": (Zero(6, DENSE[0]), np.zeros((6, 4, 3))),
    "dense": (Dense(DENSE), DENSE),
    "rows": (Rows(SELECTOR, SCALE), ROWS.reshape(6, 4, 3)),
    "vector": (Rows(None, SCALE[:1]), np.diag(SCALE[0])),
    "low rank": (LowRank(LEFT, RIGHT), np.einsum("kmr,knr->kmn", LEFT, RIGHT)),
    "mirrored": (Mirrored(Dense(DENSE[:3]), 0.5), np.concatenate([0.5 * DENSE[:3], -0.5 * DENSE[:3]])),
    "mirrored low rank": (
        Mirrored(LowRank(LEFT[:3], RIGHT[:3]), 0.5),
        np.concatenate([sign * np.einsum("kmr,knr->kmn", LEFT[:3], RIGHT[:3]) for sign in (0.5, -0.5)]),
    ),
    "columns": (Columns(VALUES, (4, 3)), COLUMNS.reshape(6, 4, 3)),
    "outer": (Outer(Columns(VALUES, (4, 3)), WEIGHT), (COLUMNS @ WEIGHT).reshape(6, 4, 5)),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_dense_form(name: str) -> None:
    block, expected = BLOCKS[name]
    assert block.count == len(expected)
    assert np.allclose(block.dense(NUMPY), expected, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("name", BLOCKS)
def test_weighted_sum_and_scaling(name: str) -> None:
    block, expected = BLOCKS[name]
    weights = np.random.default_rng(1).standard_normal(len(expected))
    wanted = np.tensordot(weights, expected, axes=1)
    assert np.allclose(block.combine(NUMPY, weights), wanted, rtol=1e-13, atol=1e-14)
    assert np.allclose(block.scaled(-2.0).dense(NUMPY), -2.0 * expected, rtol=1e-14, atol=0.0)


@pytest.mark.parametrize("name", [name for name in BLOCKS if name != "zero"])
def test_inner_products(name: str) -> None:
    block, expected = BLOCKS[name]
    cotangent = np.random.default_rng(2).standard_normal(expected.shape[1:])
    wanted = (expected * cotangent).reshape(len(expected), -1).sum(axis=1)
    assert np.allclose(linear.contract(NUMPY, block, cotangent), wanted, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("axis", [None, 0, 1, -1, -2, (0, 1)])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("name", ["dense", "rows", "low rank", "mirrored", "mirrored low rank", "columns", "outer"])
def test_sums(name: str, keepdims: bool, axis: int | tuple[int, int] | None) -> None:
    block, expected = BLOCKS[name]
    axes = (0, 1) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    wanted = expected.sum(axis=tuple(a if a < 0 else a + 1 for a in axes), keepdims=keepdims)
    found = linear.sum_change(NUMPY, block, axis=axis, keepdims=keepdims)
    assert np.allclose(found.dense(NUMPY), wanted, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("name", ["dense", "rows", "low rank", "mirrored", "mirrored low rank", "columns", "outer"])
def test_products_with_a_constant_on_either_side(name: str) -> None:
    block, expected = BLOCKS[name]
    before = np.random.default_rng(3).standard_normal((7, 4))
    after = np.random.default_rng(4).standard_normal((expected.shape[-1], 2))
    assert np.allclose(linear.matmul_left(NUMPY, before, block).dense(NUMPY), before @ expected, rtol=1e-12, atol=1e-13)
    assert np.allclose(linear.matmul_right(NUMPY, block, after).dense(NUMPY), expected @ after, rtol=1e-12, atol=1e-13)


def test_columns_that_broadcast_over_samples_are_counted_for_each() -> None:
    block = linear.expand_change(NUMPY, Rows(None, SCALE[:1]), axis=-2)
    spread = linear.broadcast_change(NUMPY, block, (4, 3))
    total = linear.sum_change(NUMPY, spread, axis=-2, keepdims=False)
    assert isinstance(spread, Columns)
    assert np.allclose(total.dense(NUMPY), 4.0 * np.diag(SCALE[0]), rtol=1e-15, atol=0.0)
