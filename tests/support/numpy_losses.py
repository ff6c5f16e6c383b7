"""Losses as researchers write them, one text for NumPy and `jax.numpy`: `(xp, params) -> scalar`."""

from collections.abc import Callable
from typing import Any

import numpy as np

Loss = tuple[Callable[[Any, Any], Any], list[np.ndarray]]


def drawn(*shapes: tuple[int, ...], seed: int = 0, scale: float = 0.5) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    return [scale * generator.standard_normal(shape) for shape in shapes]


def logsumexp(xp: Any, x: Any, axis: int) -> Any:
    largest = xp.max(x, axis=axis, keepdims=True)
    return xp.squeeze(largest, axis=axis) + xp.log(xp.sum(xp.exp(x - largest), axis=axis))


# -- test functions of optimisation and of the literature on automatic differentiation -------------
def rosenbrock(xp: Any, params: Any) -> Any:
    (x,) = params
    return xp.sum(100.0 * (x[1:] - x[:-1] ** 2.0) ** 2.0 + (1 - x[:-1]) ** 2.0)


def ackley(xp: Any, params: Any) -> Any:
    (x,) = params
    spread = xp.exp(-0.2 * xp.sqrt(xp.mean(x**2)))
    return -20 * spread - xp.exp(xp.mean(xp.cos(2 * np.pi * x))) + 20 + np.e


def rastrigin(xp: Any, params: Any) -> Any:
    (x,) = params
    return 10 * len(x) + xp.sum(x * x - 10 * xp.cos(2 * np.pi * x))


def griewank(xp: Any, params: Any) -> Any:
    (x,) = params
    return 1 + xp.sum(x**2) / 4000 - xp.prod(xp.cos(x / np.sqrt(np.arange(1, len(x) + 1))))


def himmelblau(xp: Any, params: Any) -> Any:
    x, y = params[0]
    return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2


def beale(xp: Any, params: Any) -> Any:
    x, y = params[0]
    return (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2


def powell(xp: Any, params: Any) -> Any:
    a, b, c, d = params[0]
    return (a + 10 * b) ** 2 + 5 * (c - d) ** 2 + (b - 2 * c) ** 4 + 10 * (a - d) ** 4


def speelpenning(xp: Any, params: Any) -> Any:
    product = 1.0
    for x in params[0]:
        product = product * x
    return product


def helmholtz(xp: Any, params: Any) -> Any:
    """The Helmholtz energy of a mixed fluid (Griewank 1989), the example that made reverse mode known."""
    (x,) = params
    n = len(x)
    A = np.add.outer(np.arange(n), np.arange(n)) / (2.0 * n) + np.eye(n)
    b = np.linspace(0.1, 0.4, n)
    mixed = xp.dot(b, x)
    root = np.sqrt(8.0)
    logs = xp.sum(x * xp.log(x / (1 - mixed)))
    ratio = xp.log((1 + (1 + np.sqrt(2)) * mixed) / (1 + (1 - np.sqrt(2)) * mixed))
    return logs - xp.dot(x, xp.dot(A, x)) / (root * mixed) * ratio


def broyden(xp: Any, params: Any) -> Any:
    (x,) = params
    padded = xp.pad(x, 1)
    return xp.sum(((3 - 2 * x) * x - padded[:-2] - 2 * padded[2:] + 1) ** 2)


# -- the tutorials of HIPS Autograd ----------------------------------------------------------------
INPUTS = np.array([[0.52, 1.12, 0.77], [0.88, -1.08, 0.15], [0.52, 0.06, -1.30], [0.74, -2.49, 1.39]])
TARGETS = np.array([True, True, False, True])


def logistic_regression(xp: Any, params: Any) -> Any:
    (weights,) = params
    predictions = 0.5 * (xp.tanh(xp.dot(INPUTS, weights) / 2.0) + 1)
    probabilities = predictions * TARGETS + (1 - predictions) * (1 - TARGETS)
    return -xp.sum(xp.log(probabilities))


def neural_network(xp: Any, params: Any) -> Any:
    x, targets = np.random.default_rng(4).standard_normal((7, 5)), np.eye(3)[np.arange(7) % 3]
    outputs = x
    layers = list(zip(params[::2], params[1::2], strict=True))
    for W, b in layers:
        outputs = xp.dot(outputs, W) + b
        x = xp.tanh(outputs)
        outputs, last = x, outputs
    log_probabilities = last - xp.expand_dims(logsumexp(xp, last, 1), 1)
    prior = sum(xp.sum(p**2) for p in params)
    return -xp.sum(log_probabilities * targets) + 0.1 * prior


def gaussian_mixture(xp: Any, params: Any) -> Any:
    proportions, means, roots = params
    x = np.random.default_rng(2).standard_normal((9, 2))
    normalized = proportions - logsumexp(xp, proportions, 0)
    parts = []
    for log_proportion, mean, root in zip(normalized, means, roots, strict=True):
        covariance = xp.dot(root.T, root) + 0.1 * np.eye(2)
        centred = x - mean
        _, log_determinant = xp.linalg.slogdet(covariance)
        squares = xp.sum(centred * xp.linalg.solve(covariance, centred.T).T, axis=1)
        parts.append(log_proportion - 0.5 * (squares + log_determinant + 2 * np.log(2 * np.pi)))
    return -xp.sum(logsumexp(xp, xp.stack(parts), 0))


def fluid(xp: Any, params: Any) -> Any:
    """Projects a velocity field by `roll`, as the fluid simulation of the tutorials does."""
    vx, vy = params
    pressure = np.zeros(vx.shape)
    divergence = -0.5 * (xp.roll(vx, -1, axis=0) - xp.roll(vx, 1, axis=0) + xp.roll(vy, -1, 1) - xp.roll(vy, 1, 1))
    for _ in range(5):
        neighbours = sum(xp.roll(pressure, shift, axis) for shift in (1, -1) for axis in (0, 1))
        pressure = (divergence + neighbours) / 4.0
    vx = vx - 0.5 * (xp.roll(pressure, -1, axis=0) - xp.roll(pressure, 1, axis=0))
    return xp.mean(vx**2) + xp.mean((vy - 0.3) ** 2)


# -- models ----------------------------------------------------------------------------------------
def gaussian_process(xp: Any, params: Any) -> Any:
    """The negative log marginal likelihood, by Cholesky."""
    (log_parameters,) = params
    scale, length, noise = xp.exp(log_parameters)
    x = np.linspace(0.0, 3.0, 12)[:, None]
    y = np.sin(2 * x[:, 0]) + 0.1 * np.cos(9 * x[:, 0])
    covariance = scale * xp.exp(-0.5 * ((x - x.T) / length) ** 2) + noise * np.eye(12)
    factor = xp.linalg.cholesky(covariance)
    white = xp.linalg.solve(factor, y)
    return 0.5 * xp.sum(white**2) + xp.sum(xp.log(xp.diag(factor))) + 6 * np.log(2 * np.pi)


def recurrent_network(xp: Any, params: Any) -> Any:
    W, U, b, V = params
    inputs = np.random.default_rng(3).standard_normal((15, 4, 3))
    hidden, loss = np.zeros((4, 5)), 0.0
    for t in range(15):
        hidden = xp.tanh(inputs[t] @ W + hidden @ U + b)
        loss = loss + xp.mean((hidden @ V - np.roll(inputs[t], 1, axis=1)) ** 2)
    return loss / 15


def lstm(xp: Any, params: Any) -> Any:
    W, b = params
    inputs = np.random.default_rng(6).standard_normal((8, 4, 3))
    hidden, cell = np.zeros((4, 5)), np.zeros((4, 5))
    for t in range(8):
        gates = xp.concatenate([inputs[t], hidden], axis=1) @ W + b
        forget, update, output, change = xp.split(gates, 4, axis=1)
        cell = cell / (1 + xp.exp(-forget)) + xp.tanh(change) / (1 + xp.exp(-update))
        hidden = xp.tanh(cell) / (1 + xp.exp(-output))
    return xp.mean(hidden**2)


def conditional_random_field(xp: Any, params: Any) -> Any:
    """A linear chain: the log normalizer by the forward recursion, minus the score of the labels."""
    emissions, transitions = params
    labels = np.arange(len(emissions)) * 2 % emissions.shape[1]
    forward = emissions[0]
    for emission in emissions[1:]:
        forward = logsumexp(xp, forward[:, None] + transitions, 0) + emission
    score = xp.sum(emissions[np.arange(len(labels)), labels]) + xp.sum(transitions[labels[:-1], labels[1:]])
    return logsumexp(xp, forward, 0) - score


def kalman_filter(xp: Any, params: Any) -> Any:
    """The negative log likelihood of a linear Gaussian state space model, by its innovations."""
    A, C, q, r = params
    Q, R = q @ q.T + 0.1 * np.eye(3), r @ r.T + 0.1 * np.eye(2)
    mean, covariance, loss = np.zeros(3), np.eye(3), 0.0
    for y in np.random.default_rng(8).standard_normal((10, 2)):
        mean, covariance = A @ mean, A @ covariance @ A.T + Q
        innovation, S = y - C @ mean, C @ covariance @ C.T + R
        gain = xp.linalg.solve(S, C @ covariance).T
        loss = loss + 0.5 * (innovation @ xp.linalg.solve(S, innovation) + xp.linalg.slogdet(S)[1])
        mean, covariance = mean + gain @ innovation, covariance - gain @ C @ covariance
    return loss


def wishart_spectrum(xp: Any, params: Any) -> Any:
    (x,) = params
    values, vectors = xp.linalg.eigh(x @ x.T + np.diag(np.arange(4.0)))
    return xp.sum(xp.log(values)) + xp.sum((vectors**2) @ np.arange(4.0) * np.arange(4.0))


LOSSES: dict[str, Loss] = {
    "Rosenbrock": (rosenbrock, drawn((6,))),
    "Ackley": (ackley, drawn((5,))),
    "Rastrigin": (rastrigin, drawn((5,))),
    "Griewank": (griewank, drawn((5,), scale=3.0)),
    "Himmelblau": (himmelblau, drawn((2,))),
    "Beale": (beale, drawn((2,))),
    "Powell's singular function": (powell, drawn((4,))),
    "Speelpenning's product": (speelpenning, [np.linspace(0.5, 1.5, 8)]),
    "Helmholtz energy": (helmholtz, [np.linspace(0.1, 0.5, 6)]),
    "Broyden tridiagonal": (broyden, drawn((7,))),
    "logistic regression": (logistic_regression, drawn((3,))),
    "neural network": (neural_network, drawn((5, 6), (6,), (6, 3), (3,))),
    "Gaussian mixture": (gaussian_mixture, drawn((3,), (3, 2), (3, 2, 2))),
    "fluid": (fluid, drawn((6, 6), (6, 6))),
    "Gaussian process": (gaussian_process, [np.array([0.2, -0.3, -2.0])]),
    "recurrent network": (recurrent_network, drawn((3, 5), (5, 5), (5,), (5, 3))),
    "LSTM": (lstm, drawn((8, 20), (20,))),
    "conditional random field": (conditional_random_field, drawn((9, 4), (4, 4))),
    "Kalman filter": (kalman_filter, drawn((3, 3), (2, 3), (3, 3), (2, 2))),
    "spectrum of a Wishart matrix": (wishart_spectrum, drawn((4, 4))),
}
