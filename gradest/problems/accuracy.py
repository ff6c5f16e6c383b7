"""What scores of classes say beside their cross-entropy: accuracy, in operations. Knows no framework and no model."""

from gradest.operations import Array, Operations


def accuracy(ops: Operations, scores: Array, targets: Array) -> Array:
    """Return the mean of `right_answers` over rows: scores `(..., N, C)`, one-hot targets `(N, C)` -> `(...)`."""
    return ops.mean(right_answers(ops, scores, targets), axis=-1)


def right_answers(ops: Operations, scores: Array, targets: Array) -> Array:
    """Return 1 for each row whose highest score is the target's, else 0: `(..., N, C)`, `(N, C)` -> `(..., N)`.

    Classes that tie for the highest score count as their share, which is what breaking ties by chance gives on
    average: equal scores for ten classes are right in one case of ten, not in all or none. NaN gives NaN.
    """
    top = ops.max(scores, axis=-1, keepdims=True)
    none = ops.zeros_like(scores)
    best = ops.where(ops.greater(top, scores), none, none + 1.0)
    share = ops.sum(best * targets, axis=-1) / ops.sum(best, axis=-1)
    # A comparison with NaN is false, and would count every class as best; NaN less NaN is NaN, a number less itself 0.
    return share + ops.sum(scores - scores, axis=-1)
