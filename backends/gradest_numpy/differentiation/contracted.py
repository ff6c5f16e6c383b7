"""Products and functions of matrices that are written in `matmul`, `einsum` and the decompositions."""

from typing import Any

import numpy as np

from gradest.errors import UnsupportedError
from gradest_numpy.differentiation.linear_algebra import PINV, SVD
from gradest_numpy.differentiation.products import EINSUM, lettered
from gradest_numpy.differentiation.reductions import NORM, root
from gradest_numpy.differentiation.rules import composed, counted, found
from gradest_numpy.differentiation.traced import apply

linalg = np.linalg


# -- products --------------------------------------------------------------------------------------
@composed(np.einsum)
def _einsum(*operands: Any, optimize: Any = False) -> Any:
    subscripts, arrays = lettered(operands)
    return apply(EINSUM, arrays, {"subscripts": subscripts, "optimize": optimize})


@composed(np.dot)
def _dot(a: Any, b: Any) -> Any:
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return _scaled(a, b)
    if np.ndim(b) <= 2:
        return np.matmul(a, b)
    return np.tensordot(a, b, axes=(-1, -2))


def _scaled(a: Any, b: Any) -> Any:
    """Return a product with one number as `dot` and `inner` make it: of two arrays, where even 2.0 is a float64."""
    a, b = (x if hasattr(x, "dtype") else np.asarray(x) for x in (a, b))
    common = np.promote_types(a.dtype, b.dtype)
    return np.multiply(*(x if x.dtype == common else x.astype(common) for x in (a, b)))


@composed(np.inner)
def _inner(a: Any, b: Any) -> Any:
    return _scaled(a, b) if np.ndim(a) == 0 or np.ndim(b) == 0 else np.tensordot(a, b, axes=(-1, -1))


@composed(np.vdot)
def _vdot(a: Any, b: Any) -> Any:
    return np.matmul(np.ravel(a), np.ravel(b))


@composed(np.outer)
def _outer(a: Any, b: Any) -> Any:
    return np.multiply(np.reshape(a, (-1, 1)), np.reshape(b, (1, -1)))


@composed(*found(linalg, "outer"))
def _outer_of_vectors(x1: Any, x2: Any) -> Any:
    if not np.ndim(x1) == np.ndim(x2) == 1:
        raise ValueError(f"Input arrays must be one-dimensional, but they are {np.ndim(x1)=} and {np.ndim(x2)=}.")
    return np.outer(x1, x2)


@composed(*found(np, "tensordot"), *found(linalg, "tensordot"))
def _tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    if np.ndim(axes) == 0:
        axes = (list(range(-int(axes), 0)), list(range(int(axes))))
    first, second = (np.atleast_1d(k).astype(int).tolist() for k in axes)
    first, second = [counted(k, np.ndim(a)) for k in first], [counted(k, np.ndim(b)) for k in second]
    rest_a = [k for k in range(np.ndim(a)) if k not in first]
    rest_b = [k for k in range(np.ndim(b)) if k not in second]
    if [np.shape(a)[k] for k in first] != [np.shape(b)[k] for k in second]:
        raise ValueError("shape-mismatch for sum")  # as NumPy: the reshaped matrices would fit where the products do
    size = _size(a, first)
    rows = np.reshape(np.transpose(a, (*rest_a, *first)), (_size(a, rest_a), size))
    columns = np.reshape(np.transpose(b, (*second, *rest_b)), (size, _size(b, rest_b)))
    return np.reshape(rows @ columns, [np.shape(a)[k] for k in rest_a] + [np.shape(b)[k] for k in rest_b])


def _size(x: Any, axes: Any) -> int:
    return int(np.prod([np.shape(x)[k] for k in axes], dtype=int))


@composed(np.kron)
def _kron(a: Any, b: Any) -> Any:
    a, b = (x if hasattr(x, "dtype") else np.asarray(x) for x in (a, b))
    if np.ndim(b) == 0:
        return np.multiply(a, b)
    rank = max(np.ndim(a), np.ndim(b))
    sizes_a, sizes_b = ((1,) * (rank - np.ndim(x)) + np.shape(x) for x in (a, b))
    left = np.reshape(a, [n for k in sizes_a for n in (k, 1)])
    right = np.reshape(b, [n for k in sizes_b for n in (1, k)])
    return np.reshape(left * right, [n * m for n, m in zip(sizes_a, sizes_b, strict=True)])


@composed(*found(np, "cross"), *found(linalg, "cross"))
def _cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: Any = None) -> Any:
    axisa, axisb, axisc = (axisa, axisb, axisc) if axis is None else (axis, axis, axis)
    a, b = np.moveaxis(a, axisa, -1), np.moveaxis(b, axisb, -1)
    if np.shape(a)[-1] != 3 or np.shape(b)[-1] != 3:
        raise UnsupportedError("cross has a rule for vectors of 3 entries alone")
    # Their entries may be numbers, which would take the dtype of the other one's in NumPy 1.
    common = np.result_type(a.dtype, b.dtype)
    a, b = (x if x.dtype == common else x.astype(common) for x in (a, b))
    parts = [a[..., i] * b[..., j] - a[..., j] * b[..., i] for i, j in ((1, 2), (2, 0), (0, 1))]
    return np.stack(parts, axis=axisc)


@composed(np.trace)
def _trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    return np.sum(np.diagonal(a, offset, axis1, axis2), axis=-1)


@composed(*found(linalg, "trace"))
def _trace_of_last(x: Any, *, offset: int = 0) -> Any:
    return np.sum(np.diagonal(x, offset, -2, -1), axis=-1)


@composed(*found(np, "vecdot"), *found(linalg, "vecdot"))
def _vecdot(x1: Any, x2: Any, axis: int = -1) -> Any:
    if np.shape(x1)[axis] != np.shape(x2)[axis]:
        raise ValueError(f"vecdot needs vectors of one length; found {np.shape(x1)} and {np.shape(x2)}, axis {axis}")
    # The axis is counted in each array by itself, before they are broadcast.
    return np.sum(np.moveaxis(x1, axis, -1) * np.moveaxis(x2, axis, -1), axis=-1)


@composed(*found(np, "matvec"))
def _matvec(x1: Any, x2: Any) -> Any:
    return np.matmul(x1, np.expand_dims(x2, -1))[..., 0]


@composed(*found(np, "vecmat"))
def _vecmat(x1: Any, x2: Any) -> Any:
    return np.matmul(np.expand_dims(x1, -2), x2)[..., 0, :]


@composed(*found(linalg, "matmul"))
def _matmul(x1: Any, x2: Any) -> Any:
    return np.matmul(x1, x2)


@composed(np.convolve)
def _convolve(a: Any, v: Any, mode: Any = "full") -> Any:
    a, v = np.atleast_1d(a, v)
    _require_vectors(a, v)
    a, v = (v, a) if np.size(v) > np.size(a) else (a, v)
    long, short = np.size(a), np.size(v)
    # The rows of a Toeplitz matrix are windows of the longer one, padded, and meet the shorter one turned around.
    mode = _mode(mode)
    before = {"full": short - 1, "same": short // 2, "valid": 0}[mode]
    count = {"full": long + short - 1, "same": long, "valid": long - short + 1}[mode]
    padded = np.pad(a, (before, short - 1 + short))
    windows = padded[np.arange(count)[:, None] + np.arange(short)]
    return windows @ np.flip(v)


def _mode(mode: Any) -> str:
    """Return a mode by its name; some versions of NumPy, which judge it here, take its first letter or a number."""
    np.convolve(np.ones(1), np.ones(1), mode)
    modes = ("valid", "same", "full")
    return next(name for name in modes if mode == modes.index(name) or str(mode)[0].lower() == name[0])


def _require_vectors(a: Any, v: Any) -> None:
    for x in (a, v):
        if np.ndim(x) != 1:  # in NumPy's words
            raise ValueError(f"object {'of too small depth' if np.ndim(x) == 0 else 'too deep'} for desired array")
        if np.size(x) == 0:
            raise ValueError(f"{'a' if x is a else 'v'} cannot be empty")


@composed(np.correlate)
def _correlate(a: Any, v: Any, mode: Any = "valid") -> Any:
    _require_vectors(a, v)
    mode = _mode(mode)
    if mode == "same" and np.size(v) > np.size(a):
        return np.flip(np.convolve(v, np.flip(a), mode))
    return np.convolve(a, np.flip(v), mode)


@composed(linalg.multi_dot)
def _multi_dot(arrays: Any) -> Any:
    if len(arrays) < 2:
        raise ValueError("Expecting at least two arrays.")  # in NumPy's words
    if len(arrays) > 2:
        for place, x in enumerate(arrays):
            _require_matrix(x, vector=place in (0, len(arrays) - 1))
    product = arrays[0]
    for x in arrays[1:]:
        product = np.dot(product, x)  # as NumPy: two of them may be stacks, of which a dot is no matmul
    return product


def _require_matrix(x: Any, *, vector: bool) -> None:
    if np.ndim(x) != 2 and not (vector and np.ndim(x) == 1):  # in NumPy's words
        raise linalg.LinAlgError(f"{np.ndim(x)}-dimensional array given. Array must be two-dimensional")


@composed(linalg.matrix_power)
def _matrix_power(a: Any, n: int) -> Any:
    if n < 0:
        return linalg.matrix_power(linalg.inv(a), -n)
    if n == 1:
        return a  # itself, as NumPy does: what is then written into the one is seen in the other
    result = np.broadcast_to(np.eye(np.shape(a)[-1], dtype=a.dtype), np.shape(a))
    square = a
    while n:
        result = result @ square if n % 2 else result
        n //= 2
        square = square @ square if n else square
    return result


# -- singular values, eigenvalues ------------------------------------------------------------------
@composed(linalg.svd)
def _svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    square = np.shape(a)[-1] == np.shape(a)[-2]
    if hermitian or (compute_uv and full_matrices and not square):
        raise UnsupportedError("numpy.linalg.svd has a rule for full_matrices=False, and not for hermitian=True")
    parts = apply(SVD, (a,), {})
    return parts if compute_uv else parts[1]


@composed(*found(linalg, "svdvals"))
def _svdvals(x: Any) -> Any:
    return linalg.svd(x, full_matrices=False, compute_uv=False)


@composed(linalg.eigvalsh)
def _eigvalsh(a: Any, UPLO: Any = "L") -> Any:
    return linalg.eigh(a, UPLO)[0]


@composed(linalg.pinv)
def _pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Any:
    if hermitian:  # NumPy reads the lower triangle alone then, and so does the derivative
        a = np.tril(a) + np.swapaxes(np.tril(a, -1), -1, -2)
    given = {"rcond": rcond, "hermitian": hermitian or None, "rtol": rtol}
    return apply(PINV, (a,), {name: value for name, value in given.items() if value is not None})


# -- norms -----------------------------------------------------------------------------------------
def _power_norm(x: Any, order: Any, axis: Any, keepdims: bool) -> Any:
    if order in (None, 2):
        return apply(NORM, (x,), {"axis": axis, "keepdims": keepdims})
    if isinstance(order, str):
        raise ValueError(f"Invalid norm order {order!r} for vectors")  # noqa: TRY004  # as NumPy
    sizes = np.abs(x)
    if order == np.inf:
        return np.max(sizes, axis=axis, keepdims=keepdims)
    if order == -np.inf:
        return np.min(sizes, axis=axis, keepdims=keepdims)
    if order == 1:
        return np.sum(sizes, axis=axis, keepdims=keepdims)
    if order == 0:
        return np.sum((x != 0).astype(x.dtype), axis=axis, keepdims=keepdims)
    return root(np.sum(sizes**order, axis=axis, keepdims=keepdims), order)


def _norm_of_matrices(x: Any, order: Any, axes: tuple[int, int], keepdims: bool) -> Any:
    rows, columns = (counted(k, np.ndim(x)) for k in axes)
    if order in (None, "fro"):
        return apply(NORM, (x,), {"axis": axes, "keepdims": keepdims})
    moved = np.moveaxis(x, (rows, columns), (-2, -1))
    if order in (1, -1, np.inf, -np.inf):
        sums = np.sum(np.abs(moved), axis=-2 if abs(order) == 1 else -1)
        value = np.max(sums, axis=-1) if order > 0 else np.min(sums, axis=-1)
    elif order in (2, -2, "nuc"):
        values = linalg.svd(moved, full_matrices=False, compute_uv=False)
        value = np.sum(values, axis=-1) if order == "nuc" else values[..., 0 if order == 2 else -1]
        value = np.where(value == 0, np.zeros_like(value), value)  # slope 0 there, as of the other norms
    else:
        raise ValueError("Invalid norm order for matrices.")
    kept = tuple(1 if k in (rows, columns) else n for k, n in enumerate(np.shape(x)))
    return np.reshape(value, kept) if keepdims else value


@composed(linalg.norm)
def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:  # noqa: A002  # NumPy's name
    if axis is None:
        if ord is None:
            value = apply(NORM, (np.ravel(x),), {})
            return np.reshape(value, (1,) * np.ndim(x)) if keepdims else value
        axis = tuple(range(np.ndim(x)))
    axes = axis if isinstance(axis, tuple) else (axis,)
    if len(axes) == 1:
        return _power_norm(x, ord, axes[0], keepdims)
    return _norm_of_matrices(x, ord, axes, keepdims)


@composed(*found(linalg, "vector_norm"))
def _vector_norm(x: Any, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:  # noqa: A002  # NumPy's name
    rank = np.ndim(x)
    axes = tuple(range(rank)) if axis is None else tuple(counted(k, rank) for k in np.atleast_1d(axis).tolist())
    rest = tuple(k for k in range(rank) if k not in axes)
    flat = np.reshape(np.transpose(x, (*rest, *axes)), (*(np.shape(x)[k] for k in rest), -1))
    value = _power_norm(flat, ord, -1, False)
    return np.reshape(value, tuple(1 if k in axes else n for k, n in enumerate(np.shape(x)))) if keepdims else value


@composed(*found(linalg, "matrix_norm"))
def _matrix_norm(x: Any, *, keepdims: bool = False, ord: Any = "fro") -> Any:  # noqa: A002  # NumPy's name
    return _norm_of_matrices(x, ord, (-2, -1), keepdims)


@composed(linalg.cond)
def _cond(x: Any, p: Any = None) -> Any:
    if p in (None, 2, -2):
        values = linalg.svd(x, full_matrices=False, compute_uv=False)
        return values[..., -1] / values[..., 0] if p == -2 else values[..., 0] / values[..., -1]
    return linalg.norm(x, p, axis=(-2, -1)) * linalg.norm(linalg.inv(x), p, axis=(-2, -1))


@composed(linalg.tensorsolve)
def _tensorsolve(a: Any, b: Any) -> Any:
    rest = np.shape(a)[np.ndim(b) :]
    size = int(np.prod(rest, dtype=int))
    return np.reshape(linalg.solve(np.reshape(a, (-1, size)), np.ravel(b)), rest)


@composed(linalg.lstsq)
def _lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    raise UnsupportedError(
        "numpy.linalg.lstsq has no rule; where the columns of A are independent, "
        "np.linalg.solve(A.T @ A, A.T @ b) or np.linalg.pinv(A) @ b is the same"
    )
