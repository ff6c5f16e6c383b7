"""The mean softmax cross-entropy's change when its logits change in K directions, with their structure.

For logits z and targets t, with `s = <t, d>` taken off the change d of one sample's logits,
`loss(z + d) - loss(z) = lse(z + d - s) - lse(z) = log1p(sum_c p_c expm1(d_c - s))`, `p = softmax(z)`:
the linear part never has to cancel. Directions that are outer products are laid out with the class index
outermost, so that sums over classes add whole arrays. This module knows no interpreter.
"""

import numpy as np

from gradest.autodiff.differences import FAR
from gradest.operations import Array, Operations
from gradest.tangents import Columns, Outer, Tangent


def softmax_loss_difference(
    ops: Operations, logits: Array, targets: Array, change: Tangent, *, exact: bool = True
) -> Array:
    """Return the K changes of the mean cross-entropy, `(K,)`.

    Parameters
    ----------
    logits, targets
        `(N, C)`, without directions.
    exact
        Whether small changes are accurate relative to themselves, or only to the loss (one evaluation saved).
    """
    if isinstance(change, Columns):
        change = Outer(change, ops.constant(np.eye(change.shape[-1]), like=logits))
    log_p = logits - ops.expand_dims(ops.logsumexp(logits), axis=-1)
    if isinstance(change, Outer):
        d = _outer_change(ops, targets, change)
        samples, classes = (int(n) for n in logits.shape)
        log_p = ops.reshape(ops.reshape(ops.matrix_transpose(log_p), (-1,)), (classes, 1, samples, 1))
        losses = _logsumexp_change(ops, log_p, d, axis=0, exact=exact)  # (I, N, n)
        return ops.reshape(ops.mean(losses, axis=-2), (-1,))
    d = change.dense(ops)
    d = d - ops.sum(d * targets, axis=-1, keepdims=True)
    return ops.mean(_logsumexp_change(ops, log_p, d, axis=-1, exact=exact), axis=-1)


def _outer_change(ops: Operations, targets: Array, change: Outer) -> Array:
    """Return `d - <t, d>` for each direction's change d of the logits, as `(C, I, N, n)`."""
    samples, classes = (int(n) for n in targets.shape)
    width = int(change.weight.shape[0])
    # flattened first: NumPy's results inherit the memory order of a transposed view, with classes innermost
    weight = ops.reshape(ops.reshape(ops.matrix_transpose(change.weight), (-1,)), (classes, width))
    shifted = ops.reshape(weight, (classes, 1, 1, width)) - ops.reshape(
        ops.matmul(targets, weight), (1, 1, samples, width)
    )
    return shifted * change.columns.values


def _logsumexp_change(ops: Operations, log_p: Array, d: Array, *, axis: int, exact: bool) -> Array:
    """Return `log(sum(exp(log_p + d)))` over the axis, where `exp(log_p)` sums to 1."""
    moved = log_p + d
    largest = ops.max(moved, axis=axis, keepdims=True)
    whole = ops.log(ops.sum(ops.exp(moved - largest), axis=axis)) + ops.max(largest, axis=axis)
    if not exact:
        return whole
    far = ops.greater(ops.max(ops.abs(d), axis=axis, keepdims=True), FAR)
    small = ops.log1p(ops.sum(ops.exp(log_p) * ops.expm1(ops.where(far, 0.0, d)), axis=axis))
    return ops.where(ops.greater(ops.max(ops.abs(d), axis=axis), FAR), whole, small)
