"""More losses in operations, of one or two parameters each: the shapes of statistics and of physics."""

from typing import Any

import numpy as np
from gauntlet.building import BOTH, numbers
from gauntlet.losses_operations import Params, Text, cross_entropy, problem_loss

X, Y = numbers(6, 3, seed=21), numbers(6, seed=22)
LABELS = np.eye(3)[np.arange(6) % 3]
SIGNS = np.where(Y > 0, 1.0, -1.0)
P = numbers(3, seed=23)


def residual(ops: Any, p: Params, d: Params) -> Any:
    return ops.sum(ops.matmul(d["x"], ops.expand_dims(p["w"], axis=-1)), axis=-1) - d["y"]


def hinge(ops: Any, p: Params, d: Params) -> Any:
    margin = ops.sum(ops.matmul(d["x"], ops.expand_dims(p["w"], axis=-1)), axis=-1) * d["s"]
    return ops.mean(ops.square(ops.relu(1.0 - margin)), axis=-1)


def mixture(ops: Any, p: Params, d: Params) -> Any:
    distance = ops.square(d["column"] - ops.expand_dims(p["centres"], axis=-2))
    return -ops.mean(ops.logsumexp(-0.5 * distance), axis=-1)


def energies(ops: Any, p: Params, d: Params) -> Any:
    gap = ops.expand_dims(p["x"], axis=-1) - ops.expand_dims(p["x"], axis=-2)
    return ops.sum(d["upper"] / (ops.square(gap) + 0.5), axis=(-2, -1))


def factors(ops: Any, p: Params, d: Params) -> Any:
    return ops.mean(ops.square(ops.matmul(p["U"], ops.matrix_transpose(p["V"])) - d["M"]), axis=(-2, -1))


def lasso(ops: Any, p: Params, d: Params) -> Any:
    rows = ops.sqrt(ops.sum(ops.square(p["W"]), axis=-1))
    return ops.mean(ops.square(ops.matmul(d["x"], p["W"])), axis=(-2, -1)) + ops.sum(rows, axis=-1)


def gated(ops: Any, p: Params, d: Params) -> Any:
    z = ops.matmul(d["x"], p["W"])
    return ops.mean(ops.sigmoid(z) * ops.tanh(z), axis=(-2, -1))


def layer_norm(ops: Any, p: Params, d: Params) -> Any:
    z = d["x"] * ops.expand_dims(p["w"], axis=-2)
    z = z - ops.mean(z, axis=-1, keepdims=True)
    return ops.mean(ops.exp(z / ops.sqrt(ops.mean(ops.square(z), axis=-1, keepdims=True) + 1e-2)), axis=(-2, -1))


def layer_norm_twin(p: Params, d: Params) -> Any:
    z = d["x"] * p["w"]
    z = z - z.mean(-1, keepdim=True)
    return (z / (z.square().mean(-1, keepdim=True) + 1e-2).sqrt()).exp().mean()


DATA = {"x": X, "y": Y}
LOSSES = (
    problem_loss("softmax regression", Text({"W": numbers(3, 3, seed=24)}, {"x": X, "t": LABELS},
                 lambda ops, p, d: ops.softmax_cross_entropy(ops.matmul(d["x"], p["W"]), d["t"])),
                 lambda p, d: cross_entropy(d["x"] @ p["W"], d["t"]), dtypes=BOTH),
    problem_loss("least squares", Text({"w": P}, DATA, lambda ops, p, d: (
                 ops.mean(ops.square(residual(ops, p, d)), axis=-1))),
                 lambda p, d: (d["x"] @ p["w"] - d["y"]).square().mean(), dtypes=BOTH),
    problem_loss("Cauchy loss", Text({"w": P}, DATA, lambda ops, p, d: (
                 ops.mean(ops.log1p(ops.square(residual(ops, p, d))), axis=-1))),
                 lambda p, d: (d["x"] @ p["w"] - d["y"]).square().log1p().mean(), dtypes=BOTH),
    problem_loss("log-cosh", Text({"x": P}, {}, lambda ops, p, d: (
                 ops.sum(ops.softplus(2.0 * p["x"]) - p["x"], axis=-1))),
                 lambda p, d: p["x"].cosh().log().sum() + 3 * np.log(2.0), dtypes=BOTH),
    problem_loss("squared hinge", Text({"w": P}, {"x": X, "s": SIGNS}, hinge),
                 lambda p, d: (1 - (d["x"] @ p["w"]) * d["s"]).relu().square().mean(), dtypes=BOTH),
    problem_loss("a mixture of normals", Text({"centres": [-0.5, 1.0]}, {"column": Y[:, None]}, mixture),
                 lambda p, d: -(-0.5 * (d["column"] - p["centres"]).square()).logsumexp(-1).mean(), dtypes=BOTH),
    problem_loss("energies of pairs", Text({"x": P}, {"upper": np.triu(np.ones((3, 3)), 1)}, energies),
                 lambda p, d: (d["upper"] / ((p["x"][:, None] - p["x"]).square() + 0.5)).sum(), dtypes=BOTH),
    problem_loss("a matrix in two factors", Text({"U": numbers(3, 2, seed=25), "V": numbers(3, 2, seed=26)},
                 {"M": numbers(3, 3, seed=27)}, factors),
                 lambda p, d: (p["U"] @ p["V"].T - d["M"]).square().mean(), dtypes=BOTH),
    problem_loss("group lasso", Text({"W": numbers(3, 2, seed=28)}, {"x": X}, lasso),
                 lambda p, d: (d["x"] @ p["W"]).square().mean() + p["W"].square().sum(-1).sqrt().sum()),
    problem_loss("a gated unit", Text({"W": numbers(3, 2, seed=29)}, {"x": X}, gated),
                 lambda p, d: ((d["x"] @ p["W"]).sigmoid() * (d["x"] @ p["W"]).tanh()).mean(), dtypes=BOTH),
    problem_loss("layer normalisation", Text({"w": P}, {"x": X}, layer_norm), layer_norm_twin, dtypes=BOTH),
    problem_loss("exponential of a quotient", Text({"x": P}, {}, lambda ops, p, d: (
                 ops.sum(ops.exp(p["x"] / (1.0 + ops.square(p["x"]))), axis=-1)
                 + ops.expm1(ops.mean(p["x"], axis=-1)))),
                 lambda p, d: (p["x"] / (1 + p["x"].square())).exp().sum() + p["x"].mean().expm1()),
)  # fmt: skip
