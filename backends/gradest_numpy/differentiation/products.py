"""Products: `matmul`, and `einsum`, in which the others of this kind are written."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gradest.errors import UnsupportedError
from gradest_numpy.differentiation.rules import Rule, add, unbroadcast


def T(x: Any) -> Any:  # noqa: N802  # as in the formulas
    """Return the transpose of the last two axes."""
    return np.swapaxes(x, -1, -2)


def _by_left(g: Any, z: Any, x: Any, y: Any) -> Any:
    """Z = X Y: dL/dX = G Y^T; a vector is a row on the left and a column on the right."""
    if np.ndim(y) == 1:
        part = np.expand_dims(g, -1) * y if np.ndim(x) > 1 else g * y
    elif np.ndim(x) == 1:
        part = np.matmul(y, np.expand_dims(g, -1))[..., 0]
    else:
        part = np.matmul(g, T(y))
    return unbroadcast(part, np.shape(x))


def _by_right(g: Any, z: Any, x: Any, y: Any) -> Any:
    """Z = X Y: dL/dY = X^T G."""
    if np.ndim(x) == 1:
        part = np.expand_dims(x, -1) * np.expand_dims(g, -2) if np.ndim(y) > 1 else g * x
    elif np.ndim(y) == 1:
        part = np.matmul(T(x), np.expand_dims(g, -1))[..., 0]
    else:
        part = np.matmul(T(x), g)
    return unbroadcast(part, np.shape(y))


def _left_directions(t: Any, z: Any, x: Any, y: Any) -> Any:
    return np.matmul(t, y) if np.ndim(x) > 1 and np.ndim(y) <= 2 else NotImplemented


def _right_directions(t: Any, z: Any, x: Any, y: Any) -> Any:
    return np.matmul(x, t) if np.ndim(y) == 2 and 1 <= np.ndim(x) <= 2 else NotImplemented


add(
    np.matmul,
    Rule(
        "numpy.matmul",
        np.matmul,
        (_by_left, _by_right),
        (lambda t, z, x, y: np.matmul(t, y), lambda t, z, x, y: np.matmul(x, t)),
        directions=(_left_directions, _right_directions),
    ),
)


# -- einsum ----------------------------------------------------------------------------------------
def parsed(subscripts: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """Return the letters of each operand's axes and of the result's, with the ellipses written out."""
    subscripts = subscripts.replace(" ", "")
    left, arrow, right = subscripts.partition("->")
    operands = left.split(",")
    spare = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" if c not in subscripts]
    widths = [rank - len(s.replace("...", "")) for s, rank in zip(operands, ranks, strict=True) if "..." in s]
    hidden = "".join(spare[: max(widths, default=0)])
    letters = [
        s.replace("...", hidden[len(hidden) - (rank - len(s.replace("...", ""))) :] if "..." in s else "")
        for s, rank in zip(operands, ranks, strict=True)
    ]
    if arrow:
        return letters, right.replace("...", hidden)
    together = "".join(s.replace("...", "") for s in operands)
    return letters, hidden + "".join(sorted(c for c in set(together) if together.count(c) == 1))


def _einsum(*operands: Any, subscripts: str, optimize: Any = False) -> Any:
    return np.einsum(subscripts, *operands, optimize=optimize)


def _einsum_vjp(g: Any, y: Any, *operands: Any, position: int, subscripts: str, optimize: Any = False) -> Any:
    letters, out = parsed(subscripts, [np.ndim(x) for x in operands])
    own, shape = letters[position], np.shape(operands[position])
    if not isinstance(optimize, bool | str) and optimize[0] == "einsum_path":
        optimize = True  # a path is of one product: this one has other factors
    factors, names = [g], [out]
    for k, (x, s) in enumerate(zip(operands, letters, strict=True)):
        if k != position:
            factors.append(x)
            names.append(s)
    # An axis that the operand alone has was summed: it gets the same everywhere. One that it has twice is a diagonal.
    distinct, spare = (
        "",
        [c for c in "zyxwvutsrqponmlkjihgfedcbaZYXWVUTSRQPONMLKJIHGFEDCBA" if c not in subscripts + out],
    )
    for c, n in zip(own, shape, strict=True):
        if c in distinct:
            other = spare.pop()
            factors.append(np.eye(n, dtype=g.dtype))
            names.append(c + other)
            distinct += other
            continue
        distinct += c
        # Where all others have it with length 1 they were broadcast along it, and it gets the same everywhere too.
        lengths = [np.shape(x)[s.index(c)] for x, s in zip(factors, names, strict=True) if c in s]
        if not lengths or (n != 1 and n not in lengths):
            factors.append(np.ones(n, g.dtype))
            names.append(c)
    part = np.einsum(",".join(names) + "->" + distinct, *factors, optimize=optimize)
    return unbroadcast(part, shape)


def _einsum_jvp(t: Any, y: Any, *operands: Any, position: int, subscripts: str, optimize: Any = False) -> Any:
    return np.einsum(subscripts, *operands[:position], t, *operands[position + 1 :], optimize=optimize)


def _einsum_directions(t: Any, y: Any, *operands: Any, position: int, subscripts: str, optimize: Any = False) -> Any:
    letters, out = parsed(subscripts, [np.ndim(x) for x in operands])
    used = "".join(letters)
    extra = next(c for c in "zyxwvutsrqponmlkjihgfedcbaZYXWVUTSRQPONMLKJIHGFEDCBA" if c not in used)
    letters[position] = extra + letters[position]
    whole = (*operands[:position], t, *operands[position + 1 :])
    return np.einsum(",".join(letters) + "->" + extra + out, *whole, optimize=optimize)


EINSUM = Rule("numpy.einsum", _einsum, (_einsum_vjp,), (_einsum_jvp,), variadic=True, directions=(_einsum_directions,))


def lettered(operands: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    """Return the subscripts and arrays of a call of `einsum`, in either of its two forms."""
    if isinstance(operands[0], str):
        return operands[0], operands[1:]
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"  # in the order of their numbers, as axes are

    def word(axes: Any) -> str:
        return "".join("..." if a is Ellipsis else letters[a] for a in axes)

    arrays = operands[0 : len(operands) - len(operands) % 2 : 2]
    inputs = ",".join(word(axes) for axes in operands[1::2])
    if len(operands) % 2 and not inputs:
        raise UnsupportedError("einsum was called without subscripts; write them as 'ij,jk->ik'")
    return (f"{inputs}->{word(operands[-1])}" if len(operands) % 2 else inputs), arrays
