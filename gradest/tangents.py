"""Blocks of K directions of one parameter, with the structure they have.

A `Tangent` stands for an array `(K, *shape)` that need not be materialised: all zeros, a basis of some rows of a
matrix, a low-rank product. Estimators combine them, interpreters push them through operations. The arrays
inside belong to any framework; everything goes through `Operations`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from gradest.operations import Array, Operations


class Tangent(ABC):
    """K directions of a parameter of some shape."""

    @property
    @abstractmethod
    def count(self) -> int:
        """K, the number of directions."""

    @abstractmethod
    def dense(self, ops: Operations) -> Array:
        """Return the directions as one array `(K, *shape)`."""

    @abstractmethod
    def combine(self, ops: Operations, weights: Array) -> Array:
        """Return `sum_k weights[k] * direction_k`, of the parameter's shape, for weights `(K,)`."""

    @abstractmethod
    def scaled(self, factor: Array | float) -> "Tangent":
        """Return the directions times one scalar."""


@dataclass(frozen=True)
class Zero(Tangent):
    """States that all K directions of the parameter (given for its shape) are zero."""

    size: int
    like: Array

    @property
    def count(self) -> int:
        return self.size

    def dense(self, ops: Operations) -> Array:
        return ops.broadcast_to(ops.zeros_like(self.like), (self.size, *self.like.shape))

    def combine(self, ops: Operations, weights: Array) -> Array:
        return ops.zeros_like(self.like)

    def scaled(self, factor: Array | float) -> Tangent:
        return self


@dataclass(frozen=True)
class Dense(Tangent):
    """Holds K directions as an array `(K, *shape)`."""

    values: Array

    @property
    def count(self) -> int:
        return int(self.values.shape[0])

    def dense(self, ops: Operations) -> Array:
        return self.values

    def combine(self, ops: Operations, weights: Array) -> Array:
        shape = tuple(int(n) for n in self.values.shape[1:])
        flat = ops.reshape(self.values, (self.count, -1))
        return ops.reshape(ops.matmul(ops.reshape(weights, (1, -1)), flat), shape)

    def scaled(self, factor: Array | float) -> Tangent:
        return Dense(self.values * factor)


@dataclass(frozen=True)
class Rows(Tangent):
    """Holds the `I * n` basis directions of I rows of a matrix `(m, n)`, or of a vector `(n,)` as one row.

    Direction `(i, j)`, in C order, is `scale[i, j] * outer(selector[i], e_j)`: selector `(I, m)` with one-hot rows
    (None for a vector, where I = 1), scale `(I, n)`.
    """

    selector: Array | None
    scale: Array

    @property
    def count(self) -> int:
        return int(self.scale.shape[0]) * int(self.scale.shape[1])

    def dense(self, ops: Operations) -> Array:
        rows, columns = (int(n) for n in self.scale.shape)
        spread = ops.reshape(self.scale, (rows, columns, 1)) * ops.constant(np.eye(columns), like=self.scale)
        if self.selector is None:
            return ops.reshape(spread, (columns, columns))
        height = int(self.selector.shape[1])
        product = ops.reshape(self.selector, (rows, 1, height, 1)) * ops.reshape(spread, (rows, columns, 1, columns))
        return ops.reshape(product, (rows * columns, height, columns))

    def combine(self, ops: Operations, weights: Array) -> Array:
        rows, columns = (int(n) for n in self.scale.shape)
        values = ops.reshape(weights, (rows, columns)) * self.scale
        if self.selector is None:
            return ops.reshape(values, (columns,))
        return ops.matmul(ops.matrix_transpose(self.selector), values)

    def scaled(self, factor: Array | float) -> Tangent:
        return Rows(self.selector, self.scale * factor)


@dataclass(frozen=True)
class LowRank(Tangent):
    """Holds K directions `left_k @ right_k^T` of a matrix `(m, n)`: left `(K, m, r)`, right `(K, n, r)`."""

    left: Array
    right: Array

    @property
    def count(self) -> int:
        return int(self.left.shape[0])

    def dense(self, ops: Operations) -> Array:
        return ops.matmul(self.left, ops.matrix_transpose(self.right))

    def combine(self, ops: Operations, weights: Array) -> Array:
        weighted = self.left * ops.reshape(weights, (-1, 1, 1))
        return ops.sum(ops.matmul(weighted, ops.matrix_transpose(self.right)), axis=0)

    def scaled(self, factor: Array | float) -> Tangent:
        return LowRank(self.left * factor, self.right)
