"""Finite weighted sets of directions that have exactly the moments of each law: no sampling error.

Gauss rules, sign vectors, rotations and permutations, exact for the polynomials of degree <= 7 that the
errors of estimators on quadratics and cubics are. Independent of gradest.
"""

import itertools

import numpy as np

NODES = 4


def product(single: tuple[np.ndarray, np.ndarray], copies: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the ensemble of independent copies of (weights (M,), points (M, ...)): points (M^copies, copies, ...)."""
    weights, points = single
    picks = np.array(list(itertools.product(range(len(weights)), repeat=copies)))
    return weights[picks].prod(axis=1), points[picks]


def scalar(law: str, nodes: int = NODES) -> tuple[np.ndarray, np.ndarray]:
    if law == "normal":
        points, weights = np.polynomial.hermite_e.hermegauss(nodes)
    elif law == "uniform":
        points, weights = np.polynomial.legendre.leggauss(nodes)
        points = points * np.sqrt(3)
    else:
        points, weights = np.array([-1.0, 1.0]), np.ones(2)
    return weights / weights.sum(), points


def circle(size: int) -> tuple[np.ndarray, np.ndarray]:
    angles = 2 * np.pi * np.arange(12) / 12 + 0.1
    if size == 2:
        points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        return np.full(12, 1 / 12), points * np.sqrt(2)
    heights, weights = np.polynomial.legendre.leggauss(NODES)
    radius = np.sqrt(1 - heights**2)[:, None]
    points = np.stack(
        [radius * np.cos(angles), radius * np.sin(angles), np.broadcast_to(heights[:, None], (NODES, 12))], axis=-1
    )
    return np.repeat(weights / 24, 12), points.reshape(-1, 3) * np.sqrt(3)


def frames(size: int, chi: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return full orthogonal frames of the plane: points (M, 2, 2), with chi_2 lengths where asked."""
    assert size == 2
    _, first = circle(2)
    second = np.stack([-first[:, 1], first[:, 0]], axis=1)
    pairs = np.array([np.stack([u, sign * w]) for u, w in zip(first, second, strict=True) for sign in (-1, 1)])
    if not chi:
        return np.full(len(pairs), 1 / len(pairs)), pairs
    # r^2 / 2 is exponential; odd powers of r cancel by sign.
    halves, weights = np.polynomial.laguerre.laggauss(NODES)
    length_weights, lengths = product((weights, np.sqrt(halves)), 2)
    points = pairs[:, None] * lengths[None, :, :, None]
    return np.tile(length_weights / len(pairs), len(pairs)), points.reshape(-1, 2, 2)


def permutations(size: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    points = np.array([np.sqrt(size) * np.eye(size)[list(p)] for p in itertools.permutations(range(size), count)])
    return np.full(len(points), 1 / len(points)), points


def joined(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the ensemble of two independent blocks of directions, side by side."""
    weights = np.multiply.outer(one[0], other[0]).ravel()
    left = np.repeat(one[1], len(other[0]), axis=0)
    right = np.tile(other[1], (len(one[0]), 1, 1))
    return weights, np.concatenate([left, right], axis=1)


def low_rank(shape: tuple[int, int], rank: int, nodes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Return one direction vec(A B^T) / sqrt(r): points (M, m n). Three nodes: exact to degree 5 in A and in B."""
    rows, columns = shape
    weights, entries = product(scalar("normal", nodes), (rows + columns) * rank)
    left = entries[:, : rows * rank].reshape(-1, rows, rank)
    right = entries[:, rows * rank :].reshape(-1, columns, rank)
    return weights, (left @ right.transpose(0, 2, 1) / np.sqrt(rank)).reshape(-1, rows * columns)


def single(law: str, size: int) -> tuple[np.ndarray, np.ndarray]:
    if law in ("normal", "uniform", "rademacher"):
        return product(scalar(law), size)
    if law == "sphere":
        return circle(size)
    return np.full(size, 1 / size), np.sqrt(size) * np.eye(size)


def ensemble(law: str, size: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return weights (M,) and directions (M, N, P) of a law."""
    if law not in ("orthogonal", "orthogonal-chi", "coordinates-without-replacement"):
        return product(single(law, size), count)

    def block(length: int) -> tuple[np.ndarray, np.ndarray]:
        if law == "coordinates-without-replacement":
            return permutations(size, length)
        weights, points = frames(size, law == "orthogonal-chi")
        return weights, points[:, :length]

    result = block(min(count, size))
    for start in range(size, count, size):
        result = joined(result, block(min(size, count - start)))
    return result


def mean_and_mse(weights: np.ndarray, estimates: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, float]:
    """Return E g_hat (P,), E|g_hat - g|^2 / |g|^2."""
    assert abs(weights.sum() - 1) < 1e-12
    return weights @ estimates, weights @ np.sum((estimates - target) ** 2, axis=1) / (target @ target)
