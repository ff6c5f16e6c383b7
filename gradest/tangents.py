"""K directions of one array, kept in the structure they have instead of as an array `(K, *shape)`.

Estimators make them (basis vectors, random directions) and combine them into gradients; the interpreters of
`gradest.autodiff` push them through a loss. The arrays inside belong to any framework; everything goes through
`Operations`. The tables say what directions t of each kind become under the operations of
`gradest.autodiff.linear_rules`: "=" means that the kind is kept. x, W and G are arrays that do not move, and s is
another block of K directions:

============  ==========  ==========  ===========  ============  ==========  ===========  ==============
kind          add same    x @ t       t @ W        elementwise   sum rows    sum columns  transpose
============  ==========  ==========  ===========  ============  ==========  ===========  ==============
`Zero`        =           =           =            =             =           =            =
`Dense`       =           =           =            =             =           =            =
`Rows`        `Columns`   `Columns`   `Dense`      `Columns`     `Columns`   `Dense`      `Dense`
`Columns`     =           =           `Outer`      =             =           `Dense`      `Dense`
`Outer`       `Dense`     `Dense`     `Dense`      `Dense`       `Dense`     `Dense`      `Dense`
`LowRank`     `Dense`     `Dense`     =            `Dense`       `Dense`     `Dense`      =
`Mirrored`    =           =           =            both sides    =           =            =
============  ==========  ==========  ===========  ============  ==========  ===========  ==============

============  ===========  =========  ==========  =======  ========  ================================================
kind          new axis -2  new last   broadcast   reshape  t @ s     inner products <t, G>
============  ===========  =========  ==========  =======  ========  ================================================
`Zero`        =            =          =           =        =         0
`Dense`       =            =          =           =        =         one product (K, S) @ (S, 1)
`Rows`        `Columns`    `Dense`    `Columns`   `Dense`  `Dense`   rows of G are picked and scaled
`Columns`     =            `Dense`    =           `Dense`  `Dense`   sums along the columns of G
`Outer`       `Dense`      `Dense`    `Dense`     `Dense`  `Dense`   as its columns, with G W^T, which all K share
`LowRank`     `Dense`      `Dense`    `Dense`     `Dense`  `Dense`   <left_k, G right_k>
`Mirrored`    =            =          =           `Dense`  `Dense`   of its 2 K directions made dense
============  ===========  =========  ==========  =======  ========  ================================================

Where it is kept, `Mirrored` does to its half what the half's own row says. To add a kind: its four methods here, its
row in the rules that keep it, and a line of both tables, which `tests/autodiff/test_tangents_table.py` holds against
the rules.
"""

import math
from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from gradest.operations import Array, Operations


# Not an ABC, though it has abstract members: `isinstance` of one takes three times as long where the answer is no, and
# interpreters ask it of every operand of every chunk.
class Tangent:
    """K directions of an array of some shape."""

    @property
    @abstractmethod
    def count(self) -> int:
        """K, the number of directions."""

    @abstractmethod
    def dense(self, ops: Operations) -> Array:
        """Return the directions as one array `(K, *shape)`."""

    @abstractmethod
    def combine(self, ops: Operations, weights: Array) -> Array:
        """Return `sum_k weights[k] * direction_k`, of the array's shape, for weights `(K,)`."""

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
        # A vector times a matrix (K, S): BLAS reads the directions once and makes no weighted copy of them.
        flat = ops.reshape(self.values, (self.count, -1))
        return ops.reshape(ops.matmul(ops.reshape(weights, (1, -1)), flat), shape)

    def scaled(self, factor: Array | float) -> Tangent:
        return Dense(self.values * factor)


@dataclass(frozen=True)
class Mirrored(Tangent):
    """Holds 2 K directions: `radius * t_k` for the K directions of `half`, and then their opposites.

    Linear operations on it cost half of what they cost on 2 K directions.
    """

    half: Tangent
    radius: float

    @property
    def count(self) -> int:
        return 2 * self.half.count

    def apart(self, ops: Operations) -> Tangent:
        """Return the same directions each by itself: of low rank where the half is."""
        half = self.half
        if not isinstance(half, LowRank):
            return Dense(_both_signs(ops, half.dense(ops), self.radius))
        # +-(l r^T) = (+-l) r^T: the sign goes to one factor, and the other is the same on both sides.
        right = ops.broadcast_to(half.right, (2, *(int(n) for n in half.right.shape)))
        right = ops.reshape(right, (self.count, *(int(n) for n in half.right.shape[1:])))
        return LowRank(_both_signs(ops, half.left, self.radius), right)

    def dense(self, ops: Operations) -> Array:
        return self.apart(ops).dense(ops)

    def combine(self, ops: Operations, weights: Array) -> Array:
        # sum_k (w_k r t_k - w_(K+k) r t_k): the two weights of a pair are subtracted first, then K are combined, not 2
        # K.
        halves = ops.reshape(weights, (2, -1))
        signs = ops.constant(np.array([[self.radius], [-self.radius]]), like=weights)
        return self.half.combine(ops, ops.sum(halves * signs, axis=0))

    def scaled(self, factor: Array | float) -> Tangent:
        return Mirrored(self.half.scaled(factor), self.radius)


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

    def columns(self, ops: Operations) -> "Columns":
        """Return the same directions as changes of one column each."""
        rows, width = (int(n) for n in self.scale.shape)
        if self.selector is None:
            return Columns(self.scale, (width,))
        height = int(self.selector.shape[1])
        values = ops.reshape(self.selector, (rows, height, 1)) * ops.reshape(self.scale, (rows, 1, width))
        return Columns(values, (height, width))

    def dense(self, ops: Operations) -> Array:
        return self.columns(ops).dense(ops)

    def combine(self, ops: Operations, weights: Array) -> Array:
        rows, columns = (int(n) for n in self.scale.shape)
        # Each weight goes to an entry of its own, w_ij s_ij e_d(i) e_j^T: they are put in place, and nothing is summed.
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
        # One product (m, K r) @ (K r, n): the K matrices are never there.
        weighted = ops.matrix_transpose(self.left * ops.reshape(weights, (-1, 1, 1)))
        # The sizes in full: of an array without entries a framework cannot tell what -1 stands for.
        terms, sizes = self.count * int(self.left.shape[2]), (int(self.left.shape[1]), int(self.right.shape[1]))
        left = ops.reshape(weighted, (terms, sizes[0]))
        right = ops.reshape(ops.matrix_transpose(self.right), (terms, sizes[1]))
        return ops.matmul(ops.matrix_transpose(left), right)

    def scaled(self, factor: Array | float) -> Tangent:
        return LowRank(self.left * factor, self.right)


@dataclass(frozen=True)
class Columns(Tangent):
    """Holds `I * n` directions of an array `(*B, n)`, each of which changes one column only.

    Direction `(i, j)`, in C order, is `values[i, ..., j]` in column j and 0 elsewhere: values `(I, *B, n)`, where
    axes of B may be 1 instead. A basis direction of a weight matrix moves one column of the pre-activations, and
    elementwise functions keep it there.
    """

    values: Array
    shape: tuple[int, ...]

    @property
    def count(self) -> int:
        return int(self.values.shape[0]) * self.shape[-1]

    def moved(self, ops: Operations) -> Array:
        """Return what each direction does in its column, as one array `(K, *B)`."""
        rows, width = int(self.values.shape[0]), self.shape[-1]
        # (I, B, n) -> (I, n, B) -> (I n, B): direction (i, j) in C order is row i n + j.
        full = ops.broadcast_to(self.values, (rows, *self.shape))
        flat = ops.reshape(full, (rows, math.prod(self.shape[:-1]), width))
        return ops.reshape(ops.matrix_transpose(flat), (rows * width, *self.shape[:-1]))

    def dense(self, ops: Operations) -> Array:
        rows, width = int(self.values.shape[0]), self.shape[-1]
        moved = ops.reshape(self.moved(ops), (rows, width, math.prod(self.shape[:-1]), 1))
        # Row j of the identity puts a column in place j and zeros elsewhere: `Operations` have no scatter.
        identity = ops.constant(np.eye(width).reshape(width, 1, width), like=self.values)
        return ops.reshape(moved * identity, (rows * width, *self.shape))

    def combine(self, ops: Operations, weights: Array) -> Array:
        rows, width = int(self.values.shape[0]), self.shape[-1]
        # Directions (i, j) of one j share column j and meet no other: a sum over I alone.
        spread = ops.reshape(weights, (rows, *(1 for _ in self.shape[:-1]), width))
        return ops.broadcast_to(ops.sum(self.values * spread, axis=0), self.shape)

    def scaled(self, factor: Array | float) -> Tangent:
        return Columns(self.values * factor, self.shape)


@dataclass(frozen=True)
class Outer(Tangent):
    """Holds the directions `columns @ weight`: direction `(i, j)` is `outer(values[i, :, j], weight[j, :])`.

    columns of an array `(N, n)`, weight `(n, C)`; it stands for an array `(N, C)`.
    """

    columns: Columns
    weight: Array

    @property
    def count(self) -> int:
        return self.columns.count

    def dense(self, ops: Operations) -> Array:
        width, outputs = (int(n) for n in self.weight.shape)
        samples = self.columns.shape[0]
        moved = ops.reshape(self.columns.moved(ops), (-1, width, samples, 1))
        return ops.reshape(moved * ops.reshape(self.weight, (width, 1, outputs)), (-1, samples, outputs))

    def combine(self, ops: Operations, weights: Array) -> Array:
        # Linear: sum_k w_k (c_k @ W) = (sum_k w_k c_k) @ W, one product and not K.
        return ops.matmul(self.columns.combine(ops, weights), self.weight)

    def scaled(self, factor: Array | float) -> Tangent:
        return Outer(self.columns, self.weight * factor)


def mirrored(tangent: Tangent, radius: float) -> Tangent:
    """Return the 2 K directions `radius * t_k` and then `-radius * t_k`, with the structure of the K."""
    return Zero(2 * tangent.count, tangent.like) if isinstance(tangent, Zero) else Mirrored(tangent, radius)


def _both_signs(ops: Operations, values: Array, radius: float) -> Array:
    """Return `(2 K, *shape)`: the values times the radius, and then times its opposite."""
    shape = tuple(int(n) for n in values.shape)
    signs = ops.constant(np.array([radius, -radius]).reshape(2, *(1,) * len(shape)), like=values)
    return ops.reshape(ops.expand_dims(values, axis=0) * signs, (2 * shape[0], *shape[1:]))
