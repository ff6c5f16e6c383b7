"""Mistakes that people make when they derive a network's gradient by hand, each as a wrong gradient of one block.

The loss is `mean((tanh(x W + b) V)^2)`. A test scales a mistake down to the size that a check must still find.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np


class Pass(NamedTuple):
    """What a backward pass has at hand: parameters, inputs, hidden values, output, and the derivatives by them."""

    p: Mapping[str, np.ndarray]
    x: np.ndarray
    hidden: np.ndarray
    out: np.ndarray
    by_out: np.ndarray
    slope: np.ndarray


def passed(p: Mapping[str, np.ndarray], x: np.ndarray) -> Pass:
    hidden = np.tanh(x @ p["w"] + p["b"])
    out = hidden @ p["v"]
    return Pass(p, x, hidden, out, 2 * out / out.size, 1 - hidden**2)


def gradient(a: Pass, **changed: Any) -> dict[str, np.ndarray]:
    """Return the gradient, with some of what it is made of changed."""
    b = a._replace(**changed)
    by_hidden = (b.by_out @ b.p["v"].T) * b.slope
    return {"w": b.x.T @ by_hidden, "b": by_hidden.sum(axis=0), "v": b.hidden.T @ b.by_out}


def other_batch(a: Pass) -> dict[str, np.ndarray]:
    return gradient(passed(a.p, np.roll(a.x, 1, axis=1)))


def without(a: Pass, rows: slice) -> dict[str, np.ndarray]:
    by_out = a.by_out.copy()
    by_out[rows] = 0
    return gradient(a, by_out=by_out)


def each(a: Pass, change: Callable[[np.ndarray], np.ndarray]) -> dict[str, np.ndarray]:
    return {name: change(g) for name, g in gradient(a).items()}


def clipped(g: np.ndarray) -> np.ndarray:
    limit = 0.5 * np.abs(g).max()
    return np.clip(g, -limit, limit)


def largest_turned(g: np.ndarray) -> np.ndarray:
    return np.where(np.abs(g) == np.abs(g).max(), -g, g)


def diagonal_doubled(g: np.ndarray) -> np.ndarray:
    return g * (1 + np.eye(*g.shape)) if g.ndim == 2 else g


MISTAKES: dict[str, Callable[[Pass], dict[str, np.ndarray]]] = {
    "sign": lambda a: each(a, lambda g: -g),
    "sum for mean": lambda a: gradient(a, by_out=2 * a.out),
    "mean over rows alone": lambda a: gradient(a, by_out=2 * a.out / len(a.out)),
    "square without its 2": lambda a: gradient(a, by_out=a.out / a.out.size),
    "missing square": lambda a: gradient(a, by_out=np.ones_like(a.out) / a.out.size),
    "absolute for square": lambda a: gradient(a, by_out=np.sign(a.out) / a.out.size),
    "missing chain factor": lambda a: gradient(a, slope=np.ones_like(a.slope)),
    "slope at the wrong point": lambda a: gradient(a, slope=1 - np.tanh(a.hidden) ** 2),
    "slope without its square": lambda a: gradient(a, slope=1 - a.hidden),
    "another activation's slope": lambda a: gradient(a, slope=a.hidden * (1 - a.hidden)),
    "one side of a kink": lambda a: gradient(a, slope=np.where(a.hidden > 0, a.slope, 0)),
    "eps in the wrong place": lambda a: gradient(a, slope=1 - a.hidden**2 + 0.1),
    "dropped bias": lambda a: gradient(passed({**a.p, "b": 0 * a.p["b"]}, a.x)),
    "swapped rows of a parameter": lambda a: gradient(a, p={**a.p, "v": a.p["v"][::-1]}),
    "parameters of the step before": lambda a: gradient(passed({n: 1.1 * v for n, v in a.p.items()}, a.x)),
    "inputs of another order": lambda a: gradient(a, x=a.x[::-1], hidden=a.hidden[::-1]),
    "inputs without their mean": lambda a: gradient(a, x=a.x - a.x.mean(axis=0), hidden=a.hidden - a.hidden.mean(0)),
    "previous batch": other_batch,
    "momentum left in": lambda a: {n: g + 0.9 * other_batch(a)[n] for n, g in gradient(a).items()},
    "first example alone": lambda a: without(a, slice(1, None)),
    "last example left out": lambda a: without(a, slice(-1, None)),
    "an example twice": lambda a: gradient(a, by_out=a.by_out * np.r_[2.0, np.ones(len(a.out) - 1)][:, None]),
    "detached output": lambda a: gradient(a, by_out=a.by_out * np.r_[0.0, np.ones(a.out.shape[1] - 1)]),
    "targets off by one": lambda a: gradient(a, by_out=np.roll(a.by_out, 1, axis=0)),
    "dropout of another draw": lambda a: gradient(
        a, slope=a.slope * (np.arange(a.slope.size).reshape(a.slope.shape) % 3 > 0)
    ),
    "mean over the batch once more": lambda a: each(a, lambda g: g / len(a.x)),
    "transposed": lambda a: each(a, lambda g: g.T.reshape(g.shape) if g.ndim == 2 else g),
    "columns swapped": lambda a: each(a, lambda g: g[..., ::-1]),
    "index off by one": lambda a: each(a, lambda g: np.roll(g, 1, axis=0)),
    "sign of the largest entry": lambda a: each(a, largest_turned),
    "diagonal twice": lambda a: each(a, diagonal_doubled),
    "clipped": lambda a: each(a, clipped),
    "small entries flushed to zero": lambda a: each(a, lambda g: np.where(np.abs(g) < np.median(np.abs(g)), 0, g)),
    "accumulated in float16": lambda a: each(a, lambda g: g.astype(np.float16).astype(g.dtype)),
    "magnitudes alone": lambda a: each(a, np.abs),
    "normalised": lambda a: each(a, np.sign),
}
"""A mistake by name, and the gradients that it gives; a block that it leaves right is none of its mistakes."""


def mistaken(p: Mapping[str, np.ndarray], x: np.ndarray, size: float) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield wrong gradients: a name, the block, and the gradient off by `size` of that block's length."""
    wide = passed({name: np.asarray(v, dtype=np.float64) for name, v in p.items()}, np.asarray(x, dtype=np.float64))
    right = gradient(wide)
    for kind, make in MISTAKES.items():
        for block, wrong in make(wide).items():
            difference, g = wrong - right[block], right[block]
            length, whole = float(np.linalg.norm(difference)), float(np.linalg.norm(g))
            if length > 1e-12 * whole:
                off = g + difference * (size * whole / length)
                yield kind, block, {**{n: r.astype(p[n].dtype) for n, r in right.items()}, block: off.astype(g.dtype)}
