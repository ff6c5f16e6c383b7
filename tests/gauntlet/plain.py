"""What each estimator should give: plain float64 loops over the same directions, calling the user's function directly.

Of gradest these loops use the directions alone, which are a public function of seed and index; points, values, weights
and sums are made here, one direction at a time.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from gauntlet.frameworks import walk
from gauntlet.records import Asked, Leaves
from scipy.stats import rankdata

import gradest
from gradest.directions import Directions, root_key

SEED = 0
_BUDGET = 1 << 24

Noise = list[np.ndarray]
"""One direction, as an array for each parameter."""


def gradient_of(name: str, estimator: gradest.Estimator, asked: Asked) -> list[np.ndarray]:
    """Return what the estimator of this name should give for a loss."""
    replay = _REPLAYS.get(estimator.family)
    return asked.gradient_at(asked.leaves()) if replay is None else replay(estimator, asked)


def directions(
    estimator: Any, asked: Asked, shapes: Sequence[tuple[int, ...]], law: str | None = None, *, key: Any = None
) -> list[Noise]:
    """Return the directions of an estimate, in float64, products of factors multiplied out."""
    layout = gradest.Layout(tuple(f"p{k}" for k in range(len(shapes))), tuple(shapes))
    drawn = Directions(
        key or root_key(SEED),
        layout,
        law or estimator.distribution,
        num_samples=estimator.num_samples,
        dtype=_dtype(asked),
        rank=getattr(estimator, "rank", 1),
        memory_budget_bytes=_BUDGET,
    ).block(0, estimator.num_samples)
    return [[_dense(entry, k) for entry in drawn] for k in range(estimator.num_samples)]


def _dense(entry: Any, k: int) -> np.ndarray:
    if isinstance(entry, tuple):
        left, right = (np.asarray(factor[k], dtype=np.float64) for factor in entry)
        return left @ right.T
    return np.asarray(entry[k], dtype=np.float64)


def _dtype(asked: Asked) -> str:
    """Return the dtype that directions are drawn in: that of the first parameter."""
    first = asked.on.leaves(asked.params)[0] if asked.params is not None else None
    if first is None:
        return str(asked.options["dtype"])
    return "float32" if "float32" in str(getattr(first, "dtype", "float64")) else "float64"


def moved(leaves: Leaves, direction: Leaves, radius: float) -> list[np.ndarray]:
    return [x + radius * v for x, v in zip(leaves, direction, strict=True)]


def weighted(directions: Sequence[Leaves], weights: Sequence[float] | np.ndarray) -> list[np.ndarray]:
    """Return `sum_i w_i v_i`."""
    return [sum(w * v[k] for w, v in zip(weights, directions, strict=True)) for k in range(len(directions[0]))]


def es_weights(estimator: Any, up: np.ndarray, down: np.ndarray | None, value: Callable[[], float]) -> np.ndarray:
    """Return the weights of directions from the values at `x + s v` and, in pairs, at `x - s v`."""
    sigma, count = estimator.sigma, len(up)
    shaping, baseline = getattr(estimator, "shaping", None), getattr(estimator, "baseline", "none")
    if shaping is not None:
        return _shaped(shaping, up, down) / count
    if down is not None:
        return (up - down) / (2 * sigma) / count
    if baseline == "value":
        return (up - value()) / sigma / count
    if baseline == "leave-one-out":
        others = (up.sum() - up) / (count - 1)
        return (up - others) / sigma / count
    return up / sigma / count


def _shaped(shaping: str, up: np.ndarray, down: np.ndarray | None) -> np.ndarray:
    assert down is not None, "the registered names shape pairs"
    both = np.concatenate([up, down])
    if shaping == "sign":
        return np.sign(up - down)
    if shaping == "centered-rank":
        utilities = (rankdata(both) - 1) / (len(both) - 1) - 0.5
    else:
        deviation = both.std()
        utilities = (both - both.mean()) / (deviation if deviation > 0 else 1.0)
    return (utilities[: len(up)] - utilities[len(up) :]) / 2


def evolution(estimator: Any, asked: Asked) -> list[np.ndarray]:
    leaves = asked.leaves()
    noise = directions(estimator, asked, [x.shape for x in leaves])
    return _along(estimator, asked, leaves, noise)


def _along(estimator: Any, asked: Asked, leaves: Leaves, noise: list[Noise]) -> list[np.ndarray]:
    up = np.array([asked.value_at(moved(leaves, v, estimator.sigma)) for v in noise])
    down = None
    if getattr(estimator, "antithetic", True):
        down = np.array([asked.value_at(moved(leaves, v, -estimator.sigma)) for v in noise])
    return weighted(noise, es_weights(estimator, up, down, lambda: asked.value_at(leaves)))


def forward_gradient(estimator: Any, asked: Asked) -> list[np.ndarray]:
    leaves = asked.leaves()
    exact = asked.gradient_at(leaves)
    noise = directions(estimator, asked, [x.shape for x in leaves])
    slopes = [sum(float(np.sum(g * d)) for g, d in zip(exact, v, strict=True)) for v in noise]
    return weighted(noise, [slope / len(noise) for slope in slopes])


def smoothed(estimator: Any, asked: Asked) -> list[np.ndarray]:
    leaves = asked.leaves()
    noise = directions(estimator, asked, [x.shape for x in leaves])
    radii = (estimator.sigma, -estimator.sigma) if estimator.antithetic else (estimator.sigma,)
    found = [asked.gradient_at(moved(leaves, v, radius)) for v in noise for radius in radii]
    return weighted(found, [1.0 / len(found)] * len(found))


def guided(estimator: Any, asked: Asked) -> list[np.ndarray]:
    """`v = sqrt(a) z + sqrt((1 - a) P / k) U w`; z and w are one direction of P + k normal numbers."""
    leaves = asked.leaves()
    guides = [_values(leaf, asked).ravel() for guide in estimator.guides for leaf in _numbers(guide, asked)]
    basis = np.concatenate(guides)[:, None]
    basis = basis / np.linalg.norm(basis)  # of the one guide that there is, the way it points
    size, alpha = len(basis), estimator.alpha
    drawn = directions(estimator, asked, [*(x.shape for x in leaves), (1,)], law="normal")
    stretch = math.sqrt((1 - alpha) * size)
    noise = []
    for *free, along in drawn:
        shift = stretch * (basis @ along)
        pieces = np.split(shift, np.cumsum([x.size for x in leaves])[:-1])
        noise.append([math.sqrt(alpha) * z + s.reshape(z.shape) for z, s in zip(free, pieces, strict=True)])
    scale = estimator.scale / (alpha + (1 - alpha) * size)
    return [scale * g for g in _along(estimator, asked, leaves, noise)]


def momentum_guided(estimator: Any, asked: Asked) -> list[np.ndarray]:
    """A first estimate, which has no momentum: antithetic ES."""
    leaves = asked.leaves()
    return _along(estimator, asked, leaves, directions(estimator, asked, [x.shape for x in leaves], law="normal"))


def residual_feedback(estimator: Any, asked: Asked) -> list[np.ndarray]:
    """A first estimate: values less those along other directions, of a key of their own."""
    leaves = asked.leaves()
    shapes, radius = [x.shape for x in leaves], estimator.sigma
    noise, other = (directions(estimator, asked, shapes, key=key) for key in (None, root_key((*root_key(SEED), 1))))
    values, last = (np.array([asked.value_at(moved(leaves, v, radius)) for v in each]) for each in (noise, other))
    return weighted(noise, (values - last) / radius / len(noise))


def _numbers(guide: Any, asked: Asked) -> list[Any]:
    """Return the arrays and numbers of a guide, which is in the user's own framework: the loss may be in another."""
    return asked.on.leaves(guide) or [leaf for _, leaf in walk(guide) if hasattr(leaf, "shape")]


def _values(leaf: Any, asked: Asked) -> np.ndarray:
    return leaf.asnumpy() if hasattr(leaf, "asnumpy") else asked.on.numpy(leaf)


def node_perturbation(estimator: Any, asked: Asked) -> list[np.ndarray]:
    """ES on the pre-activations, carried to weights by the inputs of the layers and to biases by sums."""
    layers, leaves = asked.layers, asked.leaves()
    assert layers is not None
    _, uses, _ = layers.run(leaves)
    rest = [np.zeros(use.output.shape) for use in uses]
    noise = directions(estimator, asked, [shift.shape for shift in rest])
    up, down = (
        np.array([layers.run(leaves, moved(rest, v, radius))[0] for v in noise])
        for radius in (estimator.sigma, -estimator.sigma)
    )
    found = [np.zeros_like(x) for x in leaves]
    for use, node in zip(uses, weighted(noise, es_weights(estimator, up, down, lambda: 0.0)), strict=True):
        found[use.weight] += use.inputs.T @ node
        if use.bias is not None:
            found[use.bias] += node.sum(axis=0)
    return found


def row_space(estimator: Any, asked: Asked) -> list[np.ndarray]:
    """ES in which weights that meet data move in the row space of that data alone."""
    layers, leaves = asked.layers, asked.leaves()
    assert layers is not None
    _, uses, matrices = layers.run(leaves)
    bases = {use.weight: _row_basis(use.inputs) for use in uses if any(use.inputs is x for x in matrices)}
    shapes = [(bases[k].shape[1], x.shape[1]) if k in bases else x.shape for k, x in enumerate(leaves)]
    drawn = directions(estimator, asked, shapes)
    return _along(
        estimator, asked, leaves, [[bases[k] @ z if k in bases else z for k, z in enumerate(v)] for v in drawn]
    )


def _row_basis(data: np.ndarray) -> np.ndarray:
    _, singular, rows = np.linalg.svd(data, full_matrices=False)
    return rows[: int((singular > 1e-6 * singular[0]).sum())].T


def nothing(estimator: Any, asked: Asked) -> list[np.ndarray]:
    return [np.zeros_like(x) for x in asked.leaves()]


_REPLAYS: dict[str, Callable[[Any, Asked], list[np.ndarray]]] = {
    "es": evolution,
    "forward-gradient": forward_gradient,
    "smoothed": smoothed,
    "guided-es": guided,
    "momentum-guided-es": momentum_guided,
    "residual-feedback": residual_feedback,
    "node-perturbation": node_perturbation,
    "es-row-space": row_space,
    "null": nothing,
}
"""By family; all others give the gradient itself."""
