"""The meaning of each operation, in NumPy and extended precision, and the numbers it is tried on. Knows no backend.

The meanings are written out here, not taken from `Operations`, so that a wrong portable form shows.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradest.operations import NumpyArray

Values = NumpyArray


@dataclass(frozen=True, eq=False)
class Trial:
    """One operation on given operands: `name(*operands, *shape, **options)` should be `meaning(*operands)`.

    `floor` is the size below which an entry's error is not judged by the entry itself; None judges all entries by the
    largest, as sums and products round.
    """

    name: str
    operands: tuple[Values, ...]
    meaning: Callable[..., Values]
    options: tuple[tuple[str, Any], ...] = ()
    shape: tuple[tuple[int, ...] | int, ...] = ()
    floor: float | None = None

    def __str__(self) -> str:
        shapes = ", ".join(str(x.shape) for x in self.operands)
        return f"{self.name}({shapes}{''.join(f', {k}={v}' for k, v in self.options)})"


def _logsumexp(x: Values) -> Values:
    top = x.max(axis=-1, keepdims=True)
    return np.asarray(np.log(np.exp(x - top).sum(axis=-1)) + top[..., 0])


def _softmax(x: Values) -> Values:
    weights = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def _cross_entropy(x: Values, y: Values) -> Values:
    shifted = x - x.max(axis=-1, keepdims=True)
    picked = (y * np.where(y > 0, shifted, 0)).sum(axis=-1)  # 0 * -inf counts as 0
    return np.asarray((_logsumexp(shifted) - picked).mean(axis=-1))


ELEMENTWISE: dict[str, Callable[[Values], Values]] = {
    "exp": np.exp,
    "expm1": np.expm1,
    "tanh": np.tanh,
    "sin": np.sin,
    "cos": np.cos,
    "abs": np.abs,
    "square": np.square,
    "relu": lambda x: np.where(x > 0, x, 0),
    "sigmoid": lambda x: np.exp(-np.logaddexp(0, -x)),
    "softplus": lambda x: np.logaddexp(0, x),
}
"""Operations of any number."""

POSITIVE: dict[str, Callable[[Values], Values]] = {"log": np.log, "log1p": np.log1p, "sqrt": np.sqrt}
"""Operations of positive numbers."""

_HARD = (0.0, -0.0, 1e-30, -1e-12, 1e-6, -1e-3, 0.5, -1.0, 19.0, -37.0, 60.0, -80.0)


def trials(dtype: str) -> Iterator[Trial]:
    """Yield every operation on random and on hard operands of the dtype."""
    generator = np.random.default_rng(20_260_401)

    def normal(*shape: int) -> Values:
        return generator.standard_normal(shape).astype(dtype)

    hard = np.array(_HARD, dtype=dtype).reshape(4, 3)  # the shape of the others: frameworks compile for each shape
    for name, meaning in ELEMENTWISE.items():
        floor = 1.0 if name in ("sigmoid", "softplus") else 0.0  # their portable forms round once at size one
        yield Trial(name, (hard,), meaning, floor=floor)
        yield Trial(name, (normal(4, 3),), meaning, floor=floor)
    for name, meaning in POSITIVE.items():
        yield Trial(name, (np.abs(hard) + np.array(1e-20, dtype=dtype),), meaning, floor=0.0)
        yield Trial(name, (np.abs(normal(4, 3)) + np.array(0.1, dtype=dtype),), meaning, floor=0.0)
    yield Trial("maximum", (normal(4, 3), normal(4, 3)), np.maximum)
    for axis, keep in ((None, False), (-1, True), ((-1, -2), False)):
        options = (("axis", axis), ("keepdims", keep))
        yield Trial("sum", (normal(2, 4, 3),), lambda x, a=axis, k=keep: x.sum(axis=a, keepdims=k), options)
        yield Trial("mean", (normal(2, 4, 3),), lambda x, a=axis, k=keep: x.mean(axis=a, keepdims=k), options)
    yield Trial("max", (normal(2, 4, 3),), lambda x: x.max(axis=-1), (("axis", -1),))
    yield Trial("matmul", (normal(4, 3), normal(3, 2)), np.matmul)
    yield Trial("matmul", (normal(4, 3), normal(5, 3, 2)), np.matmul)
    yield Trial("matrix_transpose", (normal(2, 4, 3),), lambda x: np.swapaxes(x, -1, -2))
    part, last = (("axis", -2),), (("axis", -1),)
    yield Trial("expand_dims", (normal(4, 3),), lambda x: np.expand_dims(x, -2), part)
    yield Trial("expand_dims", (normal(4, 3),), lambda x: np.expand_dims(x, -1), last)
    yield Trial("slice_axis", (normal(2, 4, 3),), lambda x: x[:, 1:3], part, shape=(1, 3))
    yield Trial("slice_axis", (normal(2, 4, 3),), lambda x: x[..., 1:3], last, shape=(1, 3))
    # Of three axes: of two, the last but one is the first, along which a concatenation goes that forgot its axis.
    yield Trial("concat", (normal(2, 4, 3), normal(2, 2, 3)), lambda x, y: np.concatenate([x, y], axis=-2), part)
    yield Trial("concat", (normal(2, 4, 3), normal(2, 4, 1)), lambda x, y: np.concatenate([x, y], axis=-1), last)
    yield Trial("reshape", (normal(4, 3),), lambda x: x.reshape(2, 6), shape=((2, 6),))
    yield Trial("broadcast_to", (normal(4, 1),), lambda x: np.broadcast_to(x, (2, 4, 3)), shape=((2, 4, 3),))
    yield Trial("zeros_like", (normal(4, 3),), np.zeros_like)
    yield Trial("stop_gradient", (normal(4, 3),), lambda x: x)
    yield Trial("affine", (normal(4, 3), normal(3, 2), normal(2)), lambda x, w, b: x @ w + b)
    yield Trial("affine", (normal(4, 3), normal(5, 3, 2), normal(5, 2)), lambda x, w, b: x @ w + b[:, None, :])
    yield from _softmax_trials(dtype, normal)


def _softmax_trials(dtype: str, normal: Callable[..., Values]) -> Iterator[Trial]:
    """Yield the operations of classes, on logits far apart and on closed ones."""
    logits = np.concatenate([normal(3, 4), np.array([[80, -80, 0, 1], [-1e4, -1e4, -1e4, -1e4]], dtype=dtype)])
    targets = np.eye(4, dtype=dtype)[[0, 1, 2, 1, 3]]
    closed = np.concatenate([normal(2, 4), normal(3, 4) - np.array(1e5, dtype=dtype)])
    closed[[0, 1, 4], [1, 3, 2]] = -np.inf  # masked: no target asks for these
    for rows in (logits, closed):
        yield Trial("logsumexp", (rows,), _logsumexp)
        yield Trial("softmax", (rows,), _softmax)
        yield Trial("softmax_cross_entropy", (rows, targets), _cross_entropy)
    yield Trial("softmax_cross_entropy", (normal(2, 5, 4), targets), _cross_entropy)
