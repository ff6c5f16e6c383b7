"""The mean softmax cross-entropy's change when its logits change in K directions, with their structure.

For logits z and targets t, with `s = <t, d>` taken off the change d of one sample's logits,
`loss(z + d) - loss(z) = lse(z + d - s) - lse(z) = log1p(sum_c p_c expm1(d_c - s))`, `p = softmax(z)`:
the linear part never has to cancel. This module knows no interpreter.
"""

import re
from collections.abc import Iterator

import numpy as np

from gradest.autodiff.difference_rules import logsumexp_difference
from gradest.autodiff.unperturbed import Shared
from gradest.dtypes import epsilon
from gradest.operations import Array, Operations
from gradest.tangents import Columns, Outer, Tangent

_NARROW = 16  # numbers of float32 in the widest vectors
SERIES_FAR = 0.25
"""The series of expm1 is used up to this argument."""
SERIES_ERROR = {6: 4.9e-8, 12: 9.6e-18, 14: 2.9e-21}
"""Degree of the series, and its error up to `SERIES_FAR` relative to its first term: `0.25^k / (k + 1)!`."""


def softmax_loss_difference(
    ops: Operations, logits: Array, targets: Array, change: Tangent, shared: Shared | None = None
) -> Array:
    """Return the K changes of the mean cross-entropy, `(K,)`, for logits and targets `(N, C)`.

    `shared` keeps what calls with the same logits and targets have in common.
    """
    shared = Shared() if shared is None else shared
    if isinstance(change, Columns):
        classes = change.shape[-1]
        identity = shared.compute(("identity", classes), (logits,), lambda: ops.constant(np.eye(classes), like=logits))
        change = Outer(change, identity)
    if isinstance(change, Outer):
        return ops.reshape(_outer_difference(ops, logits, targets, change, shared), (-1,))

    def mean_difference(d: Array) -> Array:
        d = d - ops.sum(d * targets, axis=-1, keepdims=True)
        return ops.mean(logsumexp_difference(ops, logits, d), axis=-1)

    return ops.blockwise(mean_difference, change.dense(ops))


def _outer_difference(ops: Operations, logits: Array, targets: Array, change: Outer, shared: Shared) -> Array:
    """Return the changes of the mean loss, `(I, n)`, for directions `v_inj w_jc`.

    `sum_c p_c expm1(v w_c)` is summed over the classes first: `sum_k v^k m_k`, `m_k = sum_c p_c w_c^k / k!`. One
    polynomial takes the place of C exponentials. Where `v w` is not small, the log-sum-exp is evaluated directly,
    with the class index outermost, so that sums over classes add whole arrays.
    """
    samples, width = int(logits.shape[0]), int(change.weight.shape[0])
    # A compiler makes vectors along the last axis, and there is nothing to make them of along ten classes.
    turned = ops.vectorises_last_axis and width < _NARROW <= samples
    # Of the logits alone, whatever they move by: one array for all parameters, where each may have another weight.
    log_p = shared.compute("log softmax", (logits,), lambda: _log_softmax(ops, logits))
    p = shared.compute("p by class", (log_p,), lambda: ops.exp(ops.matrix_transpose(log_p)))

    def coefficients() -> tuple[Array, tuple[Array, ...]]:
        weight = _relative_weight(ops, targets, change.weight, turned=turned)
        by_sample = ops.expand_dims(p, axis=1 if turned else 2)  # (C, 1, N) or (C, N, 1)
        return ops.max(ops.abs(weight), axis=0), _moments(ops, by_sample, weight, _degree(logits))

    operands = (logits, targets, change.weight)
    reach, moments = shared.compute(("softmax series", turned), operands, coefficients)

    def series(v: Array) -> Array:
        total = moments[-1] * v
        for moment in reversed(moments[:-1]):
            total += moment  # in place where arrays can be: nobody else holds it
            total *= v
        return ops.log1p(total)

    def direct(v: Array) -> Array:
        weight = _relative_weight(ops, targets, change.weight, turned=turned)
        by_class = ops.matrix_transpose(log_p)
        by_class = ops.reshape(by_class, (-1, 1, 1, samples) if turned else (-1, 1, samples, 1))
        moved = v * ops.expand_dims(weight, axis=1) + by_class  # (C, I, n, N) or (C, I, N, n)
        largest = ops.max(moved, axis=0, keepdims=True)
        return ops.log(ops.sum(ops.exp(moved - largest), axis=0)) + ops.max(largest, axis=0)

    values = change.columns.values
    values = ops.broadcast_to(values, (int(values.shape[0]), samples, width))
    values = ops.matrix_transpose(values) if turned else values

    def mean_difference(v: Array) -> Array:
        far = ops.greater(ops.abs(v) * reach, SERIES_FAR)
        return ops.mean(ops.piecewise(v, far, direct, series), axis=-1 if turned else -2)

    return ops.blockwise(mean_difference, values)


def _log_softmax(ops: Operations, logits: Array) -> Array:
    """Return log p `(N, C)`."""
    # Shifted first: the logsumexp of logits of 1e5 is as coarse as they are. Then it is a plain log of a sum, which a
    # compiler sees to be part of the loss itself.
    shifted = logits - ops.max(logits, axis=-1, keepdims=True)
    return shifted - ops.log(ops.sum(ops.exp(shifted), axis=-1, keepdims=True))


def _relative_weight(ops: Operations, targets: Array, weight: Array, *, turned: bool) -> Array:
    """Return the weights less the target's, `(C, N, n)`; `turned`, `(C, n, N)`."""
    (samples, classes), width = (int(n) for n in targets.shape), int(weight.shape[0])
    if turned:
        at_target = ops.reshape(ops.matmul(weight, ops.matrix_transpose(targets)), (1, width, samples))
        return ops.reshape(ops.matrix_transpose(weight), (classes, width, 1)) - at_target
    at_target = ops.reshape(ops.matmul(targets, ops.matrix_transpose(weight)), (1, samples, width))
    return ops.reshape(ops.matrix_transpose(weight), (classes, 1, width)) - at_target


def _moments(ops: Operations, p: Array, weight: Array, degree: int) -> tuple[Array, ...]:
    """Return `sum_c p_c w_c^k / k!` for k = 1 .. degree, each `(N, n)`, or as the weights are turned."""

    def terms() -> Iterator[Array]:
        power = p * weight
        yield power
        for k in range(2, degree + 1):
            power *= weight  # in place where arrays can be: nobody else holds it
            power *= 1.0 / k
            yield power

    return ops.sum_each(terms(), axis=0)


def _degree(x: Array) -> int:
    """Return the degree at which the series is exact to half the resolution of the array's dtype."""
    # Each framework writes the name of a dtype in a way of its own, and some write none: no digit is lost then.
    known = re.search(r"bfloat16|float16|float32|float64", str(x.dtype))
    resolution = 0.0 if known is None else epsilon(known.group())
    return next((k for k, error in SERIES_ERROR.items() if error <= 0.5 * resolution), max(SERIES_ERROR))
