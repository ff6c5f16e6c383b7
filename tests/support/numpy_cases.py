"""A call of each NumPy function that has a rule, as one text for NumPy and `jax.numpy`, with the arrays to call it at.

Arrays are drawn away from kinks and ties; those have tests of their own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Draw:
    """An array of distinct entries between two bounds."""

    shape: tuple[int, ...]
    low: float = 0.3
    high: float = 1.7

    def array(self, generator: np.random.Generator) -> np.ndarray:
        size = int(np.prod(self.shape, dtype=int))
        spaced = (generator.permutation(size) + generator.uniform(0.2, 0.8, size)) / max(size, 1)
        return (self.low + (self.high - self.low) * spaced).reshape(self.shape)


@dataclass(frozen=True)
class Case:
    """A text `(xp, *arrays) -> array or arrays`, and what it is called at."""

    name: str
    text: Callable[..., Any]
    draws: tuple[Draw, ...]
    jax: bool = True
    """Whether `jax.numpy` has the function, with the same conventions."""
    extended: bool = True
    """Whether NumPy computes it in extended precision."""

    def arrays(self, dtype: Any = np.float64) -> list[np.ndarray]:
        generator = np.random.default_rng(sum(map(ord, self.name)))
        return [draw.array(generator).astype(dtype) for draw in self.draws]

    def loss(self, xp: Any, arrays: Any) -> Any:
        """Return the results' inner product with fixed weights: its gradient is a generic VJP."""
        results = self.text(xp, *arrays)
        generator = np.random.default_rng(7)
        total = 0.0
        for part in results if isinstance(results, tuple | list) else (results,):
            total = total + xp.sum(generator.uniform(0.5, 1.5, np.shape(part)) * part)
        return total


Shape = tuple[int, ...]


def d(*shape: int, low: float = 0.3, high: float = 1.7) -> Draw:
    return Draw(shape, low, high)


CASES: list[Case] = []


def case(names: str, *draws: Draw, text: Callable[..., Any] | None = None, jax: bool = True, ext: bool = True) -> None:
    """Add a case of each of the functions named, called with the arrays alone unless there is a text."""
    for name in names.split():
        path = name.split(".")

        def plain_call(xp: Any, *arrays: Any, path: Any = path) -> Any:
            return reach(xp, path)(*arrays)

        full = "numpy." + name
        number = sum(c.name.split(":")[0] == full for c in CASES)
        CASES.append(Case(f"{full}:{number}", text or plain_call, draws, jax, ext))


def reach(xp: Any, path: Any) -> Any:
    for part in path:
        xp = getattr(xp, part)
    return xp


def trapezoid(xp: Any) -> Any:
    """Return the function under the name that it has: `trapz` until NumPy 2."""
    return xp.trapezoid if hasattr(xp, "trapezoid") else xp.trapz


M = d(3, 4)
S = d(low=0.3, high=0.8)

# -- elementwise -----------------------------------------------------------------------------------
case("negative positive absolute fabs conjugate exp exp2 expm1 log log2 log10 log1p sqrt cbrt square reciprocal", M)
case("sin cos tan arctan sinh cosh tanh arcsinh degrees rad2deg radians deg2rad sinc nan_to_num real", M)
case("absolute fabs cbrt reciprocal square tanh arctan sinc", d(3, 4, low=-1.7, high=-0.3))
case("arcsin arccos arctanh", d(2, 3, low=-0.9, high=0.9))
case("arccosh", d(5, low=1.1, high=4.0))
case("exp tanh sqrt sinc", S)
case("sinc", d(6, low=-0.4, high=0.4))
case("add subtract multiply divide power float_power maximum minimum fmax fmin arctan2 hypot logaddexp", M, M)
case("logaddexp2 copysign", M, d(3, 4, low=0.2, high=0.6))
case("fmod remainder", d(3, 4, low=3.1, high=3.3), d(3, 4, low=0.85, high=0.95))
case("add subtract multiply divide power maximum arctan2 logaddexp hypot", d(3, 1, 4), d(2, 1))
case("add multiply power", S, M)
case("remainder fmod divmod", d(5, low=-3, high=3), d(5, low=0.3, high=1.0))
case("power", M, text=lambda xp, x: x**2 + x**-1.5 + 2.0**x + x**0)
case("power", d(4, low=-2, high=-0.5), text=lambda xp, x: x**3 + x**-2)
case("ldexp", M, text=lambda xp, x: xp.ldexp(x, np.arange(4)))
case("nextafter", M, text=lambda xp, x: xp.nextafter(x, 10.0), jax=False)
case("heaviside", M, text=lambda xp, x: xp.heaviside(np.array([0.0, 1, -1, 0]), x), jax=False)
case("modf", d(5, low=-3, high=3))
case("clip", M, text=lambda xp, x: xp.clip(x, 0.6, 1.2))
case("clip", M, d(4, low=0.4, high=0.7), d(3, 1, low=0.9, high=1.2), text=lambda xp, x, a, b: xp.clip(x, a, b))
case("where", M, d(4), text=lambda xp, x, y: xp.where(np.arange(12).reshape(3, 4) % 3 == 0, x * x, y))
case("real_if_close", M, jax=False)

# -- reductions ------------------------------------------------------------------------------------
for axis, keep in ((None, False), (0, True), (-1, False), ((0, 2), True), ((-1, 0), False)):
    for name in ("sum", "mean", "prod", "max", "min", "amax", "amin", "var", "std", "nansum", "nanmean", "nanprod",
                 "nanmax", "nanmin", "nanvar", "nanstd", "median", "ptp"):  # fmt: skip
        case(
            name,
            d(2, 3, 4),
            text=lambda xp, x, name=name, axis=axis, keep=keep: getattr(xp, name)(x, axis=axis, keepdims=keep),
            ext=name not in ("median",),
            jax=name not in ("amax", "amin"),
        )
HOLES = np.where(np.arange(24).reshape(2, 3, 4) % 5 == 2, np.nan, 0.0)
for name in ("nansum", "nanmean", "nanprod", "nanmax", "nanmin", "nanvar", "nanstd"):
    case(name, d(2, 3, 4), text=lambda xp, x, name=name: getattr(xp, name)(x + HOLES, axis=1))
case("nancumsum nancumprod", d(2, 3, 4), text=lambda xp, x: xp.nancumsum(x + HOLES, 1) + xp.nancumprod(x + HOLES, 2))
case("var std nanvar nanstd", M, text=lambda xp, x: xp.var(x, axis=1, ddof=1) + xp.std(x, axis=1, ddof=1))
case("sum", M, text=lambda xp, x: xp.sum(x, axis=0, where=np.arange(12).reshape(3, 4) % 2 == 0, initial=2.0))
case("mean", M, text=lambda xp, x: xp.mean(x, axis=0, where=np.arange(12).reshape(3, 4) % 5 != 0))
case("prod", M, text=lambda xp, x: xp.prod(x, axis=0, where=np.arange(12).reshape(3, 4) % 5 != 0))
case("max", M, text=lambda xp, x: xp.max(x, axis=0, where=np.arange(12).reshape(3, 4) % 5 != 0, initial=0.9))
case("sum prod max", S, jax=False, text=lambda xp, x: xp.sum(x * x, axis=-1) + xp.prod(x, axis=0) + xp.max(x, axis=-1))
case("average", M, M, text=lambda xp, x, w: xp.average(x, axis=1, weights=w))
case("average", M, d(4), text=lambda xp, x, w: xp.average(x, axis=1, weights=w))
case("average", M, text=lambda xp, x: xp.average(x, axis=0))
for axis in (None, 0, 1, -1):
    case("cumsum", M, text=lambda xp, x, axis=axis: xp.cumsum(x, axis=axis))
    case("cumprod", M, text=lambda xp, x, axis=axis: xp.cumprod(x, axis=axis))
case("quantile percentile", d(3, 5), text=lambda xp, x: xp.quantile(x, np.array([0.1, 0.37, 1.0]), axis=1))
case("percentile", d(3, 5), text=lambda xp, x: xp.percentile(x, 30.0), ext=False)
case(
    "quantile",
    d(3, 5),
    text=lambda xp, x: xp.quantile(x, np.array([[0.2], [0.6]]), axis=0, keepdims=True),
    ext=False,
    jax=False,
)  # of its quantiles it takes one axis alone
case("quantile", d(3, 5), d(2, low=0.3, high=0.45), text=lambda xp, x, q: xp.quantile(x, q, axis=1), ext=False)
case("percentile", d(3, 5), d(1, low=30, high=45), text=lambda xp, x, q: xp.percentile(x, q, axis=1), ext=False)
case("sort", d(3, 5))
case("sort", d(3, 5), text=lambda xp, x: xp.sort(x, axis=0))
case("sort", d(3, 5), text=lambda xp, x: xp.sort(x, axis=None))
case("partition", d(3, 5), text=lambda xp, x: xp.sort(xp.partition(x, 2)[:, :2]), jax=False)
case("diff", M, text=lambda xp, x: xp.diff(x, n=2))
case("diff", M, d(3, 1), text=lambda xp, x, y: xp.diff(x, axis=1, prepend=y, append=2.0))
case("ediff1d", M)
case("gradient", d(4, 5), text=lambda xp, x: xp.gradient(x, 0.5))
case("gradient", d(4, 5), text=lambda xp, x: xp.gradient(x, axis=1))
case("trapz trapezoid", M, text=lambda xp, x: trapezoid(xp)(x, axis=0))
case("trapz trapezoid", M, d(4), text=lambda xp, x, t: trapezoid(xp)(x, t))
case("cov", M, text=lambda xp, x: xp.cov(x))
case("cov", M, M, text=lambda xp, x, y: xp.cov(x, y, rowvar=False, bias=True))
case("corrcoef", d(2, 6))
case("cumulative_sum cumulative_prod", d(5), text=lambda xp, x: getattr(xp, "cumulative_sum", xp.cumsum)(x), jax=False)

# -- shapes and places -----------------------------------------------------------------------------
case("ravel transpose squeeze copy fliplr flipud flip rot90 diagonal tril triu atleast_1d atleast_2d atleast_3d", M)
case("reshape", M, text=lambda xp, x: xp.reshape(x, (2, -1)))
case("reshape ravel", M, text=lambda xp, x: xp.reshape(x, (2, 6), order="F") + xp.ravel(x, order="F")[:6])
case("transpose", d(2, 3, 4), text=lambda xp, x: xp.transpose(x, (-1, 0, 1)))
case("swapaxes", d(2, 3, 4), text=lambda xp, x: xp.swapaxes(x, 0, -1))
case("moveaxis", d(2, 3, 4), text=lambda xp, x: xp.moveaxis(x, (0, -1), (-1, 1)))
case("rollaxis", d(2, 3, 4), text=lambda xp, x: xp.rollaxis(x, 2))
case("squeeze", d(2, 1, 3, 1), text=lambda xp, x: xp.squeeze(x, axis=-1))
case("expand_dims", M, text=lambda xp, x: xp.expand_dims(x, (0, -1)))
case("broadcast_to", d(3, 1), text=lambda xp, x: xp.broadcast_to(x, (2, 3, 4)))
case("broadcast_arrays", d(3, 1), d(4), text=lambda xp, x, y: tuple(xp.broadcast_arrays(x, y)))
case("flip", d(2, 3, 4), text=lambda xp, x: xp.flip(x, axis=(0, 2)))
case("rot90", d(2, 3, 4), text=lambda xp, x: xp.rot90(x, k=3, axes=(0, 2)))
case("roll", M, text=lambda xp, x: xp.roll(x, (1, 2), axis=(0, 1)))
case("repeat", M, text=lambda xp, x: xp.repeat(x, 3, axis=1))
case("repeat", d(3), text=lambda xp, x: xp.repeat(x, np.array([2, 0, 3])))
case("tile", M, text=lambda xp, x: xp.tile(x, (2, 1, 3)))
case("resize", M, text=lambda xp, x: xp.resize(x, (5, 4)))
case("take", M, text=lambda xp, x: xp.take(x, np.array([[2, 0], [2, 1]]), axis=0))
case("delete", M, text=lambda xp, x: xp.delete(x, np.array([0, 2]), axis=1))
case("diag", d(3), text=lambda xp, x: xp.diag(x, k=1))
case("diag", M, text=lambda xp, x: xp.diag(x, k=-1))
case("diagonal", d(2, 3, 4), text=lambda xp, x: xp.diagonal(x, 1, 1, 2))
case("diagflat", d(2, 2))
case("tril triu", d(2, 3, 3), text=lambda xp, x: xp.tril(x, -1) + xp.triu(x, 1))
case("trim_zeros", d(5), text=lambda xp, x: xp.trim_zeros(xp.concatenate([np.zeros(2), x, np.zeros(1)])), jax=False)
case("lib.stride_tricks.sliding_window_view", d(6), jax=False,
     text=lambda xp, x: xp.lib.stride_tricks.sliding_window_view(x, 3))  # fmt: skip
for mode in ("edge", "reflect", "symmetric", "wrap"):
    case("pad", d(3, 4), text=lambda xp, x, mode=mode: xp.pad(x, ((1, 2), (0, 3)), mode=mode))
case("pad", d(3, 4), text=lambda xp, x: xp.pad(x, 2))
case("pad", d(3, 4), text=lambda xp, x: xp.pad(x, ((1, 0), (2, 1)), constant_values=3.0))
case("concatenate", M, d(2, 4), text=lambda xp, x, y: xp.concatenate([x, y, x], axis=0))
case("concatenate", M, d(2), text=lambda xp, x, y: xp.concatenate([x, y], axis=None))
case("stack", M, M, text=lambda xp, x, y: xp.stack([x, y, 2.0 * x], axis=-1))
case("vstack row_stack", d(4), M, text=lambda xp, x, y: xp.vstack([x, y]))
case("hstack", d(3), d(2), text=lambda xp, x, y: xp.hstack([x, y]))
case("hstack", d(3, 2), d(3, 1), text=lambda xp, x, y: xp.hstack([x, y]))
case("dstack", M, M, text=lambda xp, x, y: xp.dstack([x, y]))
case("column_stack", d(3), d(3, 2), text=lambda xp, x, y: xp.column_stack([x, y]))
case("block", d(2, 2), d(2, 1), d(1, 3), text=lambda xp, a, b, c: xp.block([[a, b], [c]]))
case("append", M, d(2), text=lambda xp, x, y: xp.append(x, y))
case("append", M, d(1, 4), text=lambda xp, x, y: xp.append(x, y, axis=0))
case("insert", M, d(4), text=lambda xp, x, y: xp.insert(x, 1, y, axis=0))
case("select", d(6), text=lambda xp, x: xp.select([np.arange(6) < 2, np.arange(6) > 3], [x**2, x**3], 0.5))
case("choose", d(3), d(3), text=lambda xp, x, y: xp.choose(np.array([0, 1, 0]), [x, y]))
case("compress", M, text=lambda xp, x: xp.compress(np.array([True, False, True]), x, axis=0))
case("extract", M, text=lambda xp, x: xp.extract(np.arange(12).reshape(3, 4) % 3 == 0, x))
case("take_along_axis", M, text=lambda xp, x: xp.take_along_axis(x, np.array([[0, 0], [3, 1], [2, 2]]), axis=1))
case("split", d(4, 6), text=lambda xp, x: tuple(xp.split(x, 3, axis=1)))
case("array_split", d(7), text=lambda xp, x: tuple(xp.array_split(x, 3)))
case("split", d(7), text=lambda xp, x: tuple(xp.split(x, [2, 5])))
case("hsplit vsplit", d(4, 6), text=lambda xp, x: (*xp.hsplit(x, 2), *xp.vsplit(x, 2)))
case("dsplit", d(2, 3, 4), text=lambda xp, x: tuple(xp.dsplit(x, 2)))
case("unstack permute_dims matrix_transpose", M, jax=False, text=lambda xp, x: (
    tuple(xp.unstack(x)) if hasattr(xp, "unstack") else tuple(x)))  # fmt: skip
case("meshgrid", d(3), d(2), text=lambda xp, x, y: tuple(xp.meshgrid(x, y)))
case("meshgrid", d(3), d(2), text=lambda xp, x, y: tuple(xp.meshgrid(x, y, indexing="ij", sparse=True)))
case("full_like", M, text=lambda xp, x: xp.full_like(x, x[0, 0]))
case("linspace", S, d(low=2, high=3), text=lambda xp, x, y: xp.linspace(x, y, 5))
case("linspace", d(2), d(2), text=lambda xp, x, y: xp.linspace(x, y, 4, endpoint=False, axis=1))
case(
    "interp",
    d(5, low=0.1, high=3.0),
    d(4),
    ext=False,
    text=lambda xp, x, f: xp.interp(x, np.array([0.5, 1.1, 2.0, 2.6]), f),
)
case("polyval", d(4), d(3), text=lambda xp, p, x: xp.polyval(p, x))
case("vander", d(4), text=lambda xp, x: xp.vander(x, 3) + xp.vander(x, 3, increasing=True))

# -- products --------------------------------------------------------------------------------------
MATMULS: list[tuple[Shape, Shape]] = [
    ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)), ((2, 3), (5, 3, 4)),
             ((5, 1, 2, 3), (4, 3, 2)), ((3,), (5, 3, 2)), ((5, 2, 3), (3,))]  # fmt: skip
for a, b in MATMULS:
    case("matmul", d(*a), d(*b))
    case("linalg.matmul", d(*a), d(*b), jax=False, text=lambda xp, x, y: x @ y)
DOTS: list[tuple[Shape, Shape]] = [
    ((), (3,)), ((2, 3), ()), ((3,), (3,)), ((2, 3), (3,)), ((5, 2, 3), (3,)), ((5, 2, 3), (4, 3, 2)),
             ((3,), (4, 3, 2)), ((5, 2, 3), (3, 4))]  # fmt: skip
for a, b in DOTS:
    case("dot", d(*a), d(*b))
INNERS: list[tuple[Shape, Shape]] = [((), (3,)), ((3,), (3,)), ((2, 3), (4, 3)), ((2, 3), (5, 2, 3))]
for a, b in INNERS:
    case("inner", d(*a), d(*b))
case("outer vdot", d(2, 2), d(2, 2))
case("linalg.outer", d(3), d(4), jax=False, text=lambda xp, x, y: xp.outer(x, y))
for axes in (0, 1, 2, ((0, 1), (1, 0)), ((-1,), (0,))):
    case("tensordot linalg.tensordot", d(3, 3), d(3, 3), text=lambda xp, x, y, axes=axes: xp.tensordot(x, y, axes))
case("tensordot", d(3, 2), text=lambda xp, x: xp.append(xp.tensordot(x[:, :0], np.ones((0, 2)), 1), x))
case("kron", d(2, 3), d(3, 2))
case("kron", d(3), d(2, 2))
case("cross", d(4, 3), d(4, 3))
case("cross linalg.cross", d(3, 4), d(3, 4), text=lambda xp, x, y: xp.cross(x, y, axis=0))
case("trace", d(3, 4), text=lambda xp, x: xp.trace(x, offset=1))
case("trace linalg.trace linalg.diagonal", d(2, 3, 3), jax=False, text=lambda xp, x: (
    (xp.linalg.trace(x), xp.linalg.diagonal(x)) if hasattr(xp.linalg, "trace") else xp.trace(x, 0, 1, 2)))  # fmt: skip
EINSUMS: dict[str, list[tuple[int, ...]]] = {
    "ij,jk->ik": [(2, 3), (3, 4)], "ij,jk": [(2, 3), (3, 4)], "ii->i": [(3, 3)], "ii": [(3, 3)], "ij->j": [(2, 3)],
    "ij->": [(2, 3)], "i,j,k->kji": [(2,), (3,), (2,)], "...ij,...jk->...ik": [(5, 2, 3), (3, 4)],
    "bij,bj->bi": [(2, 3, 4), (2, 4)], "iij,jk->k": [(2, 2, 3), (3, 2)], "ij,ij->": [(2, 3), (2, 3)],
    "i...,i": [(3, 2, 2), (3,)], "ij,kj->ik": [(2, 3), (2, 3)], "abc->cab": [(2, 3, 4)],
}  # fmt: skip
for subscripts, shapes in EINSUMS.items():
    case("einsum", *(d(*s) for s in shapes), text=lambda xp, *x, subscripts=subscripts: xp.einsum(subscripts, *x))
case("einsum", d(2, 3), d(3, 4), text=lambda xp, x, y: xp.einsum(x, [0, 1], y, [1, 2], [2, 0]))
case("einsum", d(2, 3), d(3, 4), text=lambda xp, x, y: xp.einsum("ij,jk", x, y, optimize=True))
case("vecdot linalg.vecdot matvec vecmat", d(2, 3), d(2, 3), jax=False, text=lambda xp, x, y: (
    (xp.vecdot(x, y), xp.linalg.vecdot(x, y), xp.matvec(x, y), xp.vecmat(x[0], y.T)) if hasattr(xp, "matvec")
    else xp.einsum("ij,ij->i", x, y)))  # fmt: skip
for mode in ("full", "same", "valid"):
    for n in (3, 4):
        case("convolve", d(6), d(n), text=lambda xp, x, y, mode=mode: xp.convolve(x, y, mode))
        case("correlate", d(6), d(n), text=lambda xp, x, y, mode=mode: xp.correlate(x, y, mode))
        case("convolve", d(n), d(6), text=lambda xp, x, y, mode=mode: xp.convolve(x, y, mode))
        case("correlate", d(n), d(6), text=lambda xp, x, y, mode=mode: xp.correlate(x, y, mode))
case("linalg.multi_dot", d(2, 3), d(3, 4), d(4, 2), text=lambda xp, a, b, c: xp.linalg.multi_dot([a, b, c]), ext=False)


# -- linear algebra --------------------------------------------------------------------------------
def spd(xp: Any, x: Any) -> Any:
    """Return a symmetric positive definite matrix that is made of x, with distinct eigenvalues."""
    n = x.shape[-1]
    return x @ xp.swapaxes(x, -1, -2) + np.diag(np.arange(1.0, n + 1))


def fixed_signs(v: Any, like: Any) -> Any:
    """Return products of columns with themselves: they do not depend on the sign that a library chooses."""
    return v[..., :, None, :] * v[..., None, :, :] + like


SQUARE = d(3, 3)
STACK = d(2, 3, 3)
for box in (SQUARE, STACK):
    case("linalg.inv linalg.det linalg.pinv", box, ext=False, text=lambda xp, x: (
        xp.linalg.inv(spd(xp, x) + x), xp.linalg.det(spd(xp, x) - x), xp.linalg.pinv(spd(xp, x) + x)))  # fmt: skip
    case("linalg.slogdet", box, text=lambda xp, x: xp.linalg.slogdet(spd(xp, x) + x)[1], ext=False)
    case("linalg.cholesky", box, text=lambda xp, x: xp.linalg.cholesky(spd(xp, x)), ext=False)
    case("linalg.eigh linalg.eigvalsh", box, text=lambda xp, x: xp.linalg.eigvalsh(spd(xp, x)), ext=False)
    case("linalg.eigh", box, ext=False, text=lambda xp, x: (
        xp.linalg.eigh(spd(xp, x))[0], fixed_signs(xp.linalg.eigh(spd(xp, x))[1], 0.0)))  # fmt: skip
    case("linalg.svd linalg.svdvals", box, ext=False, text=lambda xp, x: (
        xp.linalg.svd(x, compute_uv=False)))  # fmt: skip
    case("linalg.matrix_power", box, text=lambda xp, x: xp.linalg.matrix_power(x, 5), ext=False)
    case("linalg.matrix_power", box, text=lambda xp, x: xp.linalg.matrix_power(spd(xp, x), -2), ext=False)
for shape in ((4, 3), (3, 4), (2, 4, 3)):
    case("linalg.svd", d(*shape), ext=False, text=lambda xp, x: (
        fixed_signs(xp.linalg.svd(x, full_matrices=False)[0], 0.0), xp.linalg.svd(x, full_matrices=False)[1],
        fixed_signs(xp.swapaxes(xp.linalg.svd(x, full_matrices=False)[2], -1, -2), 0.0)))  # fmt: skip
    case("linalg.pinv", d(*shape), text=lambda xp, x: xp.linalg.pinv(x), ext=False)
for shape in ((3, 3), (4, 3), (2, 4, 3)):
    case("linalg.qr", d(*shape), ext=False, text=lambda xp, x: (
        fixed_signs(xp.linalg.qr(x)[0], 0.0), xp.linalg.qr(x)[0] @ xp.linalg.qr(x)[1] ** 2))  # fmt: skip
for a, b in (((3, 3), (3,)), ((3, 3), (3, 2)), ((2, 3, 3), (2, 3, 2)), ((3, 3), (2, 3, 4)), ((2, 3, 3), (1, 3, 4))):
    case("linalg.solve", d(*a), d(*b), text=lambda xp, x, y: xp.linalg.solve(spd(xp, x) + x, y), ext=False)
case("linalg.tensorsolve", d(6, 2, 3), d(6), ext=False,
     text=lambda xp, a, b: xp.linalg.tensorsolve(a + np.eye(6).reshape(6, 2, 3) * 3, b))  # fmt: skip
VECTOR_ORDERS: list[Any] = [None, 1, 2, 3, 0.5, np.inf, -np.inf]
for order in VECTOR_ORDERS:
    case("linalg.norm linalg.vector_norm", d(4), text=lambda xp, x, o=order: xp.linalg.norm(x, o))
    case("linalg.norm", M, text=lambda xp, x, o=order: xp.linalg.norm(x - 0.9, o, axis=0, keepdims=True))
MATRIX_ORDERS: list[Any] = [None, "fro", 1, -1, 2, -2, np.inf, -np.inf, "nuc"]
for order in MATRIX_ORDERS:
    case("linalg.norm linalg.matrix_norm linalg.cond", d(3, 3), ext=False,
         text=lambda xp, x, o=order: xp.linalg.norm(spd(xp, x) - 0.5 * x, o))  # fmt: skip
    case("linalg.norm", d(2, 3, 4), ext=False,
         text=lambda xp, x, o=order: xp.linalg.norm(x, o, axis=(0, 2), keepdims=True))  # fmt: skip
case("linalg.norm", d(2, 3, 4))
for p in (None, 1, 2, -2, "fro"):
    case("linalg.cond", SQUARE, text=lambda xp, x, p=p: xp.linalg.cond(spd(xp, x) + x, p), ext=False)
case("linalg.vector_norm linalg.matrix_norm linalg.svdvals linalg.matrix_transpose", d(2, 3, 4), jax=False, ext=False,
     text=lambda xp, x: (
         (xp.linalg.vector_norm(x, axis=(0, 1)), xp.linalg.vector_norm(x, keepdims=True), xp.linalg.matrix_norm(x),
          xp.linalg.svdvals(x), xp.linalg.matrix_transpose(x))
         if hasattr(xp.linalg, "vector_norm") else xp.linalg.norm(x, axis=2)))  # fmt: skip
