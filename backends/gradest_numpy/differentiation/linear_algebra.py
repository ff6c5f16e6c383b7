"""Linear algebra: inverses, determinants and decompositions (Giles 2008; Seeger et al. 2017; Townsend 2016).

Each function is differentiated as NumPy computes it. `cholesky` and `eigh` read one triangle of their matrix alone: the
derivative is by the entries of that triangle, and 0 by the others. For a symmetric matrix made of parameters the
gradient by those is the usual one; the gradient by the matrix itself is what differences of its entries give.

Eigenvectors and singular vectors have a derivative where the values are distinct; the values have one there too.
"""

from typing import Any

import numpy as np

from gradest.errors import UnsupportedError
from gradest.primitives import defjvp, defvjp, primitive
from gradest_numpy.differentiation.products import T
from gradest_numpy.differentiation.rules import Rule, add, general, unbroadcast
from gradest_numpy.differentiation.traced import TracedArray, plain

NUMPY_2 = np.lib.NumpyVersion(np.__version__) >= "2.0.0"


def _diagonal(x: Any) -> Any:
    return np.diagonal(x, axis1=-2, axis2=-1)


def _eye(x: Any) -> Any:
    return np.eye(np.shape(x)[-1], dtype=x.dtype)


def half_lower(x: Any) -> Any:
    """Return the lower triangle with half the diagonal: it and its transpose add up to a symmetric x."""
    return np.tril(x) - _eye(x) * x / 2


# -- inverse, determinant --------------------------------------------------------------------------


def cofactors(a: Any, y: Any) -> Any:
    """Return the derivative of det(A) by each entry: det(A) A^-T, near a singular matrix by its singular vectors."""
    # A matrix without an inverse may have one in floating point; and the inverse's derivative cancels long before.
    if np.all(y != 0):
        inverse = np.linalg.inv(a)
        condition = _size(a) * _size(inverse)
        if not np.any((condition > 1 / np.sqrt(np.finfo(a.dtype).eps)) & np.isfinite(condition)):
            return _wide(y) * T(inverse)
    return cofactors_of_singular(a)


def _size(x: Any) -> Any:
    return np.max(np.abs(plain(x)), axis=(-2, -1), initial=0.0)


@primitive
def cofactors_of_singular(a: Any) -> Any:
    """Return the cofactors, sign U diag(product of the other values) V^T, which no small value is divided by.

    A primitive: derivatives of singular vectors have those values below, and the cofactors' own has not.
    """
    u, s, vh, sign = _parts(a)
    n = np.shape(s)[-1]
    return sign * np.matmul(u * np.expand_dims(_products_without(s, [[k] for k in range(n)]), -2), vh)


def _parts(a: Any) -> tuple[Any, Any, Any, Any]:
    """Return the singular value decomposition, and the sign of the determinants of its orthogonal parts."""
    u, s, vh = np.linalg.svd(a)
    return u, s, vh, _wide(np.linalg.det(u) * np.linalg.det(vh))


def _products_without(s: Any, places: Any) -> Any:
    """Return the products of the entries along the last axis, each without those at some places."""
    return np.stack([np.prod(np.delete(s, k, axis=-1), axis=-1) for k in places], axis=-1)


def _change_of_cofactors(t: Any, a: Any) -> Any:
    """Return what the cofactors change by along t: by the second derivatives of det, a symmetric form."""
    if type(a) is TracedArray:
        raise UnsupportedError("numpy.linalg.det has third derivatives at matrices that are far from singular alone")
    # For diag(s): cofactor (i, i) is the product of the others, cofactor (i, j) is -t_ji times that of all but two.
    u, s, vh, sign = _parts(a)
    n = np.shape(s)[-1]
    pairs = _products_without(s, [[i, j] for i in range(n) for j in range(n)]).reshape(*np.shape(s), n)
    pairs = pairs * (1 - np.eye(n, dtype=s.dtype))
    turned = T(u) @ t @ T(vh)
    along = np.sum(pairs * np.expand_dims(_diagonal(turned), -2), axis=-1)
    return sign * (u @ (np.expand_dims(along, -1) * _eye(pairs) - pairs * T(turned)) @ vh)


defvjp(cofactors_of_singular, lambda ans, a: lambda g: _change_of_cofactors(g, a))
defjvp(cofactors_of_singular, lambda g, ans, a: _change_of_cofactors(g, a))


def _wide(g: Any) -> Any:
    return np.reshape(g, (*np.shape(g), 1, 1))


def _trace_of(x: Any, y: Any) -> Any:
    """Return trace(X Y)."""
    return np.sum(x * T(y), axis=(-2, -1))


def _pinv_vjp(g: Any, p: Any, a: Any, **options: Any) -> Any:
    left, right = _eye_rows(a) - a @ p, _eye(a) - p @ a
    return -T(p) @ g @ T(p) + left @ T(g) @ p @ T(p) + T(p) @ p @ T(g) @ right


def _pinv_jvp(t: Any, p: Any, a: Any, **options: Any) -> Any:
    left, right = _eye_rows(a) - a @ p, _eye(a) - p @ a
    return -p @ t @ p + p @ T(p) @ T(t) @ left + right @ T(t) @ T(p) @ p


def _eye_rows(a: Any) -> Any:
    return np.eye(np.shape(a)[-2], dtype=a.dtype)


general(
    {
        np.linalg.inv: (lambda g, y, a: -T(y) @ g @ T(y),
                        lambda t, y, a: -y @ t @ y),
        np.linalg.det: (lambda g, y, a: _wide(g) * cofactors(a, y),
                        lambda t, y, a: np.sum(cofactors(a, y) * t, axis=(-2, -1))),
    }
)  # fmt: skip


def _slogdet_jvp(t: Any, y: Any, a: Any) -> Any:
    return np.zeros_like(y[0]), _trace_of(np.linalg.inv(a), t)


add(
    np.linalg.slogdet,
    Rule(  # the sign is locally constant
        "numpy.linalg.slogdet",
        np.linalg.slogdet,
        (lambda g, y, a: _wide(g[1]) * T(np.linalg.inv(a)),),
        (_slogdet_jvp,),
    ),
)
PINV = Rule("numpy.linalg.pinv", np.linalg.pinv, (_pinv_vjp,), (_pinv_jvp,))


# -- systems ---------------------------------------------------------------------------------------
def _is_vector(a: Any, b: Any) -> bool:
    return np.ndim(b) == 1 or (not NUMPY_2 and np.ndim(b) == np.ndim(a) - 1)


def _transposed_solve(a: Any, g: Any, vector: bool) -> Any:
    return np.linalg.solve(T(a), np.expand_dims(g, -1))[..., 0] if vector else np.linalg.solve(T(a), g)


def _by_system(g: Any, y: Any, a: Any, b: Any) -> Any:
    vector = _is_vector(a, b)
    back = _transposed_solve(a, g, vector)
    part = np.expand_dims(back, -1) * np.expand_dims(y, -2) if vector else back @ T(y)
    return unbroadcast(-part, np.shape(a))


def _by_right_side(g: Any, y: Any, a: Any, b: Any) -> Any:
    return unbroadcast(_transposed_solve(a, g, _is_vector(a, b)), np.shape(b))


def _system_jvp(t: Any, y: Any, a: Any, b: Any) -> Any:
    if _is_vector(a, b):
        return np.linalg.solve(a, -(t @ np.expand_dims(y, -1)))[..., 0]
    return np.linalg.solve(a, -(t @ y))


add(
    np.linalg.solve,
    Rule(
        "numpy.linalg.solve",
        np.linalg.solve,
        (_by_system, _by_right_side),
        (_system_jvp, lambda t, y, a, b: np.linalg.solve(a, t)),
    ),
)


# -- Cholesky --------------------------------------------------------------------------------------
def _cholesky_vjp(g: Any, y: Any, a: Any, upper: bool = False) -> Any:
    factor, g = (T(y), T(g)) if upper else (y, g)
    inner = half_lower(T(factor) @ g)
    part = np.linalg.solve(T(factor), T(np.linalg.solve(T(factor), T(inner))))  # L^-T Phi L^-1
    part = np.tril(part + T(part)) - _eye(part) * part
    return T(part) if upper else part


def _cholesky_jvp(t: Any, y: Any, a: Any, upper: bool = False) -> Any:
    factor, t = (T(y), T(t)) if upper else (y, t)
    t = np.tril(t) + T(np.tril(t, -1))
    inner = np.linalg.solve(factor, T(np.linalg.solve(factor, t)))  # L^-1 dA L^-T
    change = factor @ half_lower(inner)
    return T(change) if upper else change


general({np.linalg.cholesky: (_cholesky_vjp, _cholesky_jvp)})


# -- eigenvalues -----------------------------------------------------------------------------------
def _inverse_gaps(values: Any) -> Any:
    """Return 1 / (w_j - w_i) for the pairs of values, 0 on the diagonal."""
    gaps = np.expand_dims(values, -2) - np.expand_dims(values, -1)
    eye = _eye(gaps)
    return (1 - eye) / (gaps + eye)


def _triangle(x: Any, uplo: str) -> Any:
    return np.tril(x) if uplo.upper() == "L" else np.triu(x)


def _eigh_vjp(g: Any, y: Any, a: Any, UPLO: str = "L") -> Any:
    (values, v), (g_values, g_vectors) = y, g
    inner = np.expand_dims(g_values, -1) * _eye(v)
    if np.any(g_vectors != 0):  # values alone have a derivative where some of them are equal, as sums over those
        inner = inner + _inverse_gaps(values) * (T(v) @ g_vectors)
    part = v @ inner @ T(v)
    return _triangle(part + T(part), UPLO) - _eye(part) * part


def _eigh_jvp(t: Any, y: Any, a: Any, UPLO: str = "L") -> Any:
    values, v = y
    kept = _triangle(t, UPLO)
    symmetric = kept + T(kept) - _eye(kept) * kept
    inner = T(v) @ symmetric @ v
    with np.errstate(divide="ignore", invalid="ignore"):  # vectors of equal values have no derivative; values do
        return _diagonal(inner), v @ (_inverse_gaps(values) * inner)


general({np.linalg.eigh: (_eigh_vjp, _eigh_jvp)})


# -- QR --------------------------------------------------------------------------------------------
def _require_tall(a: Any, mode: str) -> None:
    if mode != "reduced" or np.shape(a)[-2] < np.shape(a)[-1]:
        raise UnsupportedError(
            f"numpy.linalg.qr has a rule for mode='reduced' of matrices with as many rows as columns or more; found "
            f"mode={mode!r} and shape {np.shape(a)}"
        )


def _qr_vjp(g: Any, y: Any, a: Any, mode: str = "reduced") -> Any:
    _require_tall(a, mode)
    (q, r), (g_q, g_r) = y, g
    m = r @ T(g_r) - T(g_q) @ q
    symmetric = np.tril(m, -1) + T(np.tril(m))
    return T(np.linalg.solve(r, T(g_q + q @ symmetric)))


def _qr_jvp(t: Any, y: Any, a: Any, mode: str = "reduced") -> Any:
    _require_tall(a, mode)
    q, r = y
    c = T(np.linalg.solve(T(r), T(t)))  # dA R^-1
    inner = T(q) @ c
    turn = np.tril(inner, -1) - T(np.tril(inner, -1))
    return c + q @ (turn - inner), (inner - turn) @ r


general({np.linalg.qr: (_qr_vjp, _qr_jvp)})


# -- singular values -------------------------------------------------------------------------------
def _svd(a: Any) -> Any:
    return np.linalg.svd(a, full_matrices=False)


def _svd_vjp(g: Any, y: Any, a: Any) -> Any:
    (u, s, vh), (g_u, g_s, g_vh) = y, g
    part = (u * np.expand_dims(g_s, -2)) @ vh
    if not (np.any(g_u != 0) or np.any(g_vh != 0)):
        return part  # values alone: nothing is divided by a gap or by a value
    v, g_v = T(vh), T(g_vh)
    gaps = _inverse_gaps(s * s)
    rows, columns = np.expand_dims(s, -1), np.expand_dims(s, -2)
    left, right = gaps * (T(u) @ g_u - T(g_u) @ u), gaps * (T(v) @ g_v - T(g_v) @ v)
    part = part + u @ (left * columns + rows * right) @ vh
    part = part + (g_u / columns - u @ (T(u) @ g_u / columns)) @ vh
    return part + u @ T(g_v / columns - v @ (T(v) @ g_v / columns))


def _svd_jvp(t: Any, y: Any, a: Any) -> Any:
    u, s, vh = y
    v = T(vh)
    inner = T(u) @ t @ v
    rows, columns = np.expand_dims(s, -1), np.expand_dims(s, -2)
    with np.errstate(divide="ignore", invalid="ignore"):  # vectors of equal values have no derivative; values do
        gaps = _inverse_gaps(s * s)
        d_u = u @ (gaps * (inner * columns + rows * T(inner))) + (t @ v - u @ inner) / columns
        d_v = v @ (gaps * (rows * inner + T(inner) * columns)) + (T(t) @ u - v @ T(inner)) / columns
    return d_u, _diagonal(inner), T(d_v)


SVD = Rule("numpy.linalg.svd", _svd, (_svd_vjp,), (_svd_jvp,))
