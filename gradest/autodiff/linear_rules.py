"""Pushes K directions of an array (a `Tangent`) through linear operations, keeping their structure where it can be.

A linear operation L maps a direction t to L(t), whether t is a derivative (forward mode) or a difference: both use
these rules, and this module knows neither. The gain is structure: a basis direction of a weight matrix moves one column
of the pre-activations, so K of them need one column each and not K whole arrays. Where an operation breaks the
structure, the directions are made dense. None stands for K zero directions. `gradest.tangents` has the table of what is
kept.
"""

import math
from collections.abc import Callable, Sequence

from gradest.autodiff.interpreter import axes_from_end
from gradest.operations import Array, Axis, Operations
from gradest.tangents import Columns, Dense, LowRank, Mirrored, Outer, Rows, Tangent, Zero

Shape = tuple[int, ...]
Change = Tangent | None


def start_change(tangent: Tangent) -> Change:
    """Return a parameter's tangent as the interpreters take it."""
    return None if isinstance(tangent, Zero) else tangent


def align(ops: Operations, values: Array, rank: int) -> Array:
    """Return values `(K, *shape)` with axes of length 1 behind the first, until they have `1 + rank` axes."""
    missing = rank + 1 - len(values.shape)
    if missing <= 0:
        return values
    return ops.reshape(values, (int(values.shape[0]), *(1,) * missing, *(int(n) for n in values.shape[1:])))


def frame(
    ops: Operations, changes: Sequence[Change], shape: Shape
) -> tuple[list[Array | None], Callable[[Array], Tangent]]:
    """Return the directions of several operands as arrays that an elementwise rule can be applied to as they are.

    An elementwise rule such as `dx * y + dy * x` is written for plain arrays. This finds the smallest arrays that stand
    for all operands' directions alike ("the frame"), and how to read the rule's result as directions again.

    Parameters
    ----------
    changes
        Of the operands of an elementwise operation; at least one is not None.
    shape
        Of the operation's result.

    Returns
    -------
    The arrays (None for None), and the function that makes an array so computed a change of the result.
    """
    # Directions that each move one column stay so under elementwise operations: (I, *B, n) numbers stand for I n
    # arrays.
    columns = _as_columns(ops, changes, shape)
    if columns is not None:
        arrays = [None if c is None else align(ops, c.values, len(shape)) for c in columns]
        return arrays, lambda values: Columns(values, shape)
    # Otherwise all K arrays are made. A rule may leave axes of length 1 that the result does not have: they are filled.
    arrays = [None if c is None else align(ops, c.dense(ops), len(shape)) for c in changes]
    full = (next(c for c in changes if c is not None).count, *shape)
    return arrays, lambda values: Dense(values if tuple(values.shape) == full else ops.broadcast_to(values, full))


def _as_columns(ops: Operations, changes: Sequence[Change], shape: Shape) -> list[Columns | None] | None:
    """Return the changes as columns where they all are, of the same directions and of the result's columns."""
    if not all(isinstance(c, Columns | Rows) for c in changes if c is not None):
        return None
    columns = [c.columns(ops) if isinstance(c, Rows) else c for c in changes]
    # Direction (i, j) must be the same one in every operand: as many rows I, and columns j of the same axis.
    patterns = {(int(c.values.shape[0]), *c.shape[-1:]) for c in columns if isinstance(c, Columns)}
    if len(patterns) == 1 and next(iter(patterns))[1:] == shape[-1:]:
        return columns  # type: ignore[return-value]  # Columns or None, as tested above
    return None


def add_changes(ops: Operations, x: Change, y: Change, shape: Shape) -> Change:
    """Return the change of a sum whose result has the shape."""
    if x is None or y is None:
        return None if x is None and y is None else broadcast_change(ops, x or y, shape)
    if isinstance(x, Mirrored) and isinstance(y, Mirrored) and x.radius == y.radius:
        return _mirror(x, add_changes(ops, x.half, y.half, shape))
    (dx, dy), wrap = frame(ops, (x, y), shape)
    return wrap(dx + dy)  # type: ignore[operator]  # neither is None, as tested above


def accumulate_change(ops: Operations, total: Change, x: Change, shape: Shape) -> Change:
    """Return `add_changes` for a total of the shape that nobody else holds: its array may be overwritten."""
    if isinstance(total, Mirrored) and isinstance(x, Mirrored) and total.radius == x.radius:
        return _mirror(total, accumulate_change(ops, total.half, x.half, shape))
    if isinstance(total, Dense) and isinstance(x, Dense):
        return Dense(ops.accumulate(total.values, align(ops, x.values, len(shape))))
    return add_changes(ops, total, x, shape)


def broadcast_change(ops: Operations, x: Change, shape: Shape) -> Change:
    """Return a change of an array broadcast to the shape."""
    if x is None or _shape(ops, x) == shape:
        return x
    if isinstance(x, Mirrored):
        return _mirror(x, broadcast_change(ops, x.half, shape))
    (dx,), wrap = frame(ops, (x,), shape)
    return wrap(dx)  # type: ignore[arg-type]  # an array for x, which is not None


def sum_change(ops: Operations, x: Change, *, axis: Axis, keepdims: bool) -> Change:
    """Return the change of a sum over axes."""
    if x is None:
        return None
    if isinstance(x, Mirrored):
        return _mirror(x, sum_change(ops, x.half, axis=axis, keepdims=keepdims))
    if isinstance(x, Rows):
        x = x.columns(ops)
    shape = _shape(ops, x)
    axes = axes_from_end(axis, len(shape))
    if isinstance(x, Columns):
        inner = tuple(a for a in axes if a != -1)
        if inner:
            full = ops.broadcast_to(x.values, (int(x.values.shape[0]), *shape))
            left = tuple(n if k - len(shape) not in inner else 1 for k, n in enumerate(shape))
            left = left if keepdims else tuple(n for k, n in enumerate(shape) if k - len(shape) not in inner)
            x = Columns(ops.sum(full, axis=inner, keepdims=keepdims), left)
        if -1 not in axes:
            return x
        moved = x.moved(ops)
        return Dense(ops.expand_dims(moved, axis=-1) if keepdims else moved)
    return Dense(ops.sum(x.dense(ops), axis=axes, keepdims=keepdims))


def matmul_left(ops: Operations, x: Array, change: Tangent) -> Tangent:
    """Return `x @ change` for an array x `(..., N, D)` that does not move."""
    if isinstance(change, Mirrored):
        return Mirrored(matmul_left(ops, x, change.half), change.radius)
    if len(x.shape) == 2:
        if isinstance(change, Rows) and change.selector is not None:
            # A one-hot row e_d s e_j^T of the weight: x times it is column d of x, put into column j. No product at
            # all.
            rows, width = (int(n) for n in change.scale.shape)
            picked = ops.matmul(change.selector, ops.matrix_transpose(x))  # (I, N)
            values = ops.expand_dims(picked, axis=-1) * ops.reshape(change.scale, (rows, 1, width))
            return Columns(values, (int(x.shape[0]), width))
        if isinstance(change, Columns) and len(change.shape) == 2:
            full = ops.broadcast_to(change.values, (int(change.values.shape[0]), *change.shape))
            return Columns(ops.matmul(x, full), (int(x.shape[0]), change.shape[1]))
        if isinstance(change, LowRank):  # x (l r^T) = (x l) r^T: two thin products in place of a whole one
            return Dense(_low_rank_product(ops, x, change))
    values = change.dense(ops)
    return Dense(ops.matmul(x, align(ops, values, max(len(x.shape), len(values.shape) - 1))))


def _low_rank_product(ops: Operations, x: Array, change: LowRank) -> Array:
    """Return `(x @ left_k) @ right_k^T`, `(K, N, n)`: one product for all left factors, and for rank 1 no other."""
    count, height, rank = (int(n) for n in change.left.shape)
    # All K left factors meet x at once, as one matrix (K r, m): one large product runs at the speed of BLAS, K small
    # ones do not. For rank 1 the second product is an outer one, which broadcasting does without a loop over K.
    left = ops.reshape(ops.matrix_transpose(change.left), (count * rank, height))
    picked = ops.reshape(ops.matmul(left, ops.matrix_transpose(x)), (count, rank, int(x.shape[0])))
    right = ops.matrix_transpose(change.right)  # (K, r, n)
    picked = ops.matrix_transpose(picked)
    return picked * right if rank == 1 else ops.matmul(picked, right)


def matmul_right(ops: Operations, change: Tangent, y: Array) -> Tangent:
    """Return `change @ y` for an array y `(..., D, H)` that does not move."""
    if isinstance(change, Mirrored):
        return Mirrored(matmul_right(ops, change.half, y), change.radius)
    if isinstance(change, Columns) and len(change.shape) == 2 and len(y.shape) == 2:
        return Outer(change, y)
    if isinstance(change, LowRank) and len(y.shape) == 2:
        return LowRank(change.left, ops.matmul(ops.matrix_transpose(y), change.right))
    return Dense(matmul_population(ops, change.dense(ops), y))


def matmul_population(ops: Operations, x: Array, y: Array) -> Array:
    """Return `x @ y` for x `(K, ..., N, D)`, and y `(..., D, H)` that all K share: one product where it can be."""
    # (K N, D) @ (D, H) is one call of BLAS; a batched product of K would be K calls, several times slower.
    shape = tuple(int(n) for n in x.shape)
    if len(y.shape) != 2:
        return ops.matmul(align(ops, x, len(y.shape)), y)
    flat = ops.reshape(x, (math.prod(shape[:-1]), shape[-1]))
    return ops.reshape(ops.matmul(flat, y), (*shape[:-1], int(y.shape[1])))


def matmul_both(ops: Operations, x: Tangent, y: Tangent) -> Tangent:
    """Return the products `x_k @ y_k` of two blocks of directions."""
    left = x.dense(ops)
    if isinstance(y, LowRank) and len(left.shape) == 3:
        return Dense(ops.matmul(ops.matmul(left, y.left), ops.matrix_transpose(y.right)))
    right = y.dense(ops)
    rank = max(len(left.shape), len(right.shape)) - 1
    return Dense(ops.matmul(align(ops, left, rank), align(ops, right, rank)))


def transpose_change(ops: Operations, x: Change) -> Change:
    """Return the change of a transposed matrix."""
    if isinstance(x, Mirrored):
        return _mirror(x, transpose_change(ops, x.half))
    if isinstance(x, LowRank):
        return LowRank(x.right, x.left)
    return None if x is None else Dense(ops.matrix_transpose(x.dense(ops)))


def expand_change(ops: Operations, x: Change, *, axis: int) -> Change:
    """Return the change of an array with a new axis of length 1, counted from the end."""
    if x is None:
        return None
    if isinstance(x, Rows):
        x = x.columns(ops)
    if isinstance(x, Columns) and axis <= -2:
        place = len(x.shape) + 1 + axis
        return Columns(ops.expand_dims(x.values, axis=axis), (*x.shape[:place], 1, *x.shape[place:]))
    if isinstance(x, Mirrored):
        return _mirror(x, expand_change(ops, x.half, axis=axis))
    return Dense(ops.expand_dims(x.dense(ops), axis=axis))


def reshape_change(ops: Operations, x: Change, shape: Shape) -> Change:
    """Return the change of a reshaped array."""
    return None if x is None else Dense(ops.reshape(x.dense(ops), (x.count, *shape)))


def mapped_change(ops: Operations, x: Change, function: Callable[[Array], Array]) -> Change:
    """Return the change of a linear function that treats axes counted from the end, as it treats the array itself."""
    return None if x is None else Dense(function(x.dense(ops)))


def concat_changes(ops: Operations, parts: Sequence[tuple[Array, Change]], *, axis: int) -> Change:
    """Return the change of arrays one behind the other, from the arrays and their changes."""
    count = next((change.count for _, change in parts if change is not None), None)
    if count is None:
        return None
    still = [
        ops.broadcast_to(ops.zeros_like(x), (count, *(int(n) for n in x.shape)))
        if change is None
        else change.dense(ops)
        for x, change in parts
    ]
    return Dense(ops.concat(*still, axis=axis))


def contract(ops: Operations, x: Tangent, cotangent: Array) -> Array:
    """Return the K inner products of the directions with an array of their shape, `(K,)`.

    The products are taken in the order that is cheapest for the structure.
    """
    # <columns @ W, G> = <columns, G W^T>: G W^T is one product for all K, and `columns @ W` would be K of them.
    if isinstance(x, Outer):
        return contract(ops, x.columns, ops.matmul(cotangent, ops.matrix_transpose(x.weight)))
    if isinstance(x, Columns):
        products = x.values * cotangent
        rows = int(products.shape[0])
        return ops.reshape(ops.sum(ops.reshape(products, (rows, -1, x.shape[-1])), axis=1), (-1,))
    if isinstance(x, Rows) and x.selector is not None:  # basis directions pick entries out of G
        return ops.reshape(ops.matmul(x.selector, cotangent) * x.scale, (-1,))
    if isinstance(x, LowRank):  # <l r^T, G> = <l, G r>
        return ops.sum(ops.matmul(cotangent, x.right) * x.left, axis=(-2, -1))
    flat = ops.reshape(x.dense(ops), (x.count, -1))
    return ops.reshape(ops.matmul(flat, ops.reshape(cotangent, (-1, 1))), (-1,))


def _mirror(x: Mirrored, half: Change) -> Change:
    """Return directions on both sides where x has them, from those on one."""
    return None if half is None else Mirrored(half, x.radius)


def _shape(ops: Operations, x: Tangent) -> Shape:
    """Return the shape of the array that a change belongs to."""
    if isinstance(x, Mirrored):
        return _shape(ops, x.half)
    if isinstance(x, Columns):
        return x.shape
    if isinstance(x, Outer):
        return (x.columns.shape[0], int(x.weight.shape[1]))
    if isinstance(x, LowRank):
        return (int(x.left.shape[1]), int(x.right.shape[1]))
    if isinstance(x, Rows):
        width = int(x.scale.shape[1])
        return (width,) if x.selector is None else (int(x.selector.shape[1]), width)
    return tuple(int(n) for n in x.dense(ops).shape[1:])
