"""Losses written in gradest's operations, one text for all backends; each has a twin that PyTorch differentiates."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from gauntlet.frameworks import framework
from gauntlet.layers import Layers
from gauntlet.records import ACROSS_KINKS, Asked, Leaves, Loss, Outcome

import gradest

KIND = "written in operations"
BACKENDS = ("numpy", "jax", "torch", "mxnet")

Params = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Text(gradest.Problem):
    """A problem of given arrays and a given text."""

    start: Mapping[str, Any]
    given: Mapping[str, Any]
    lines: Callable[[Any, Params, Params], Any]
    name = "gauntlet"

    def parameters(self) -> dict[str, np.ndarray]:
        return {name: np.array(values, dtype=np.float64) for name, values in self.start.items()}

    def data(self) -> dict[str, np.ndarray]:
        return {name: np.array(values, dtype=np.float64) for name, values in self.given.items()}

    def loss(self, ops: Any, params: Params, data: Params) -> Any:
        return self.lines(ops, params, data)


def numbers(*shape: int, seed: int = 0, scale: float = 1.0) -> np.ndarray:
    return scale * np.random.default_rng(seed).standard_normal(shape)


def problem_loss(
    name: str,
    problem: gradest.Problem,
    twin: Callable[[Params, Params], Any],
    *,
    layers: bool = False,
    expected: Mapping[Any, Outcome] | None = None,
    dtypes: tuple[str, ...] = ("float64",),
    loose: float = 1.0,
    sigma: float | None = None,
) -> Loss:
    """Return the record of a problem, with its twin in PyTorch."""

    def make(backend: str, dtype: str) -> Asked:
        return asked_of(problem, twin, backend, dtype)

    makers = {backend: partial(make, backend) for backend in BACKENDS}
    return Loss(name, KIND, makers, expected or {}, dtypes, sigma=sigma, loose=loose, text=True,
                closed_form=problem.has_closed_form, layers=layers)  # fmt: skip


def asked_of(problem: gradest.Problem, twin: Callable[[Params, Params], Any], backend: str, dtype: str) -> Asked:
    on, names = framework(backend), problem.layout.names

    def value(leaves: Leaves) -> Any:
        params = {name: on.array(x, dtype) for name, x in zip(names, leaves, strict=True)}
        data = {name: on.array(x, dtype) for name, x in problem.data().items()}
        return problem.loss(gradest.get_backend(backend).operations(), params, data)

    def gradient(leaves: Leaves) -> Leaves:
        torch = framework("torch")
        params = {name: torch.array(x).requires_grad_() for name, x in zip(names, leaves, strict=True)}
        data = {name: torch.array(x) for name, x in problem.data().items()}
        found = torch.xp.autograd.grad(twin(params, data), list(params.values()))
        return [torch.numpy(g) for g in found]

    class Bound(Asked):
        def leaves(self) -> list[np.ndarray]:
            return list(problem.parameters().values())

    return Bound(
        on,
        problem,
        None,
        options={"backend": backend, "dtype": dtype},
        value=value,
        gradient=gradient,
        layers=Layers(problem),
    )


def cross_entropy(logits: Any, targets: Any) -> Any:
    """Return the mean cross-entropy in PyTorch, with classes closed by -inf left out of the product."""
    functional = framework("torch").xp.nn.functional
    return functional.cross_entropy(logits, targets.argmax(-1))


# -- the losses ---------------------------------------------------------------------------------------------------
X = numbers(6, 4, seed=1)
LABELS = np.eye(3)[np.arange(6) % 3]
CLOSED = np.array([0.0, 0.0, -np.inf])
TWO_LABELS = np.eye(3)[np.arange(6) % 2]


def mlp(ops: Any, p: Params, d: Params) -> Any:
    hidden = ops.tanh(ops.affine(d["x"], p["W1"], p["b1"]))
    return ops.softmax_cross_entropy(ops.affine(hidden, p["W2"], p["b2"]), d["t"])


def mlp_twin(p: Params, d: Params) -> Any:
    return cross_entropy((d["x"] @ p["W1"] + p["b1"]).tanh() @ p["W2"] + p["b2"], d["t"])


WEIGHTS = {"W1": numbers(4, 3, seed=2), "b1": numbers(3, seed=3), "W2": numbers(3, 3, seed=4), "b2": numbers(3, seed=5)}


def attention(ops: Any, p: Params, d: Params) -> Any:
    query, key, value = (ops.matmul(d["x"], p[name]) for name in ("Q", "K", "V"))
    weights = ops.softmax(ops.matmul(query, ops.matrix_transpose(key)) * 0.5)
    return ops.mean(ops.square(ops.matmul(weights, value)), axis=(-2, -1))


def attention_twin(p: Params, d: Params) -> Any:
    query, key, value = (d["x"] @ p[name] for name in ("Q", "K", "V"))
    return ((query @ key.T * 0.5).softmax(-1) @ value).square().mean()


def recurrent(ops: Any, p: Params, d: Params) -> Any:
    state = ops.tanh(ops.matmul(d["x1"], p["U"]))
    for step in ("x2", "x3"):
        state = ops.tanh(ops.affine(d[step], p["U"], p["b"]) + ops.matmul(state, p["W"]))
    return ops.mean(ops.square(state - d["y"]), axis=(-2, -1))


def recurrent_twin(p: Params, d: Params) -> Any:
    state = (d["x1"] @ p["U"]).tanh()
    for step in ("x2", "x3"):
        state = (d[step] @ p["U"] + p["b"] + state @ p["W"]).tanh()
    return (state - d["y"]).square().mean()


def normalised(ops: Any, p: Params, d: Params) -> Any:
    z = ops.matmul(d["x"], p["W"])
    centred = z - ops.mean(z, axis=-2, keepdims=True)
    scaled = centred / ops.sqrt(ops.mean(ops.square(centred), axis=-2, keepdims=True) + 1e-3)
    out = scaled * ops.expand_dims(p["gamma"], axis=-2) + ops.expand_dims(p["beta"], axis=-2)
    return ops.softmax_cross_entropy(out, d["t"])


def normalised_twin(p: Params, d: Params) -> Any:
    z = d["x"] @ p["W"]
    centred = z - z.mean(0)
    return cross_entropy(centred / (centred.square().mean(0) + 1e-3).sqrt() * p["gamma"] + p["beta"], d["t"])


def tied(ops: Any, p: Params, d: Params) -> Any:
    hidden = ops.sigmoid(ops.affine(d["x"], p["W"], p["b"]))
    return ops.mean(ops.square(ops.matmul(hidden, ops.matrix_transpose(p["W"])) - d["x"]), axis=(-2, -1))


def tied_twin(p: Params, d: Params) -> Any:
    return ((d["x"] @ p["W"] + p["b"]).sigmoid() @ p["W"].T - d["x"]).square().mean()


def relu_penalty(ops: Any, p: Params, d: Params) -> Any:
    hidden = ops.relu(ops.affine(d["x"], p["W"], p["b"]))
    penalty = 0.01 * ops.sum(ops.square(p["W"]), axis=(-2, -1)) + 0.02 * ops.sum(ops.abs(p["b"]), axis=-1)
    return ops.mean(ops.square(ops.sum(hidden, axis=-1) - d["y"]), axis=-1) + penalty


def relu_penalty_twin(p: Params, d: Params) -> Any:
    hidden = (d["x"] @ p["W"] + p["b"]).relu()
    return (hidden.sum(-1) - d["y"]).square().mean() + 0.01 * p["W"].square().sum() + 0.02 * p["b"].abs().sum()


def logistic(ops: Any, p: Params, d: Params) -> Any:
    margin = d["s"] * (ops.matmul(d["x"], ops.expand_dims(p["w"], axis=-1)))
    return ops.mean(ops.softplus(-margin), axis=(-2, -1))


def logistic_twin(p: Params, d: Params) -> Any:
    return framework("torch").xp.nn.functional.softplus(-(d["s"][:, 0] * (d["x"] @ p["w"]))).mean()


def pieces(ops: Any, p: Params, d: Params) -> Any:
    x = p["x"]
    return ops.sum(ops.where(ops.greater(x, 0.2), ops.exp(x) - 1.0, ops.maximum(x * x, -x)), axis=-1) + ops.max(
        x * d["w"], axis=-1
    )


def pieces_twin(p: Params, d: Params) -> Any:
    torch, x = framework("torch").xp, p["x"]
    return torch.where(x > 0.2, torch.exp(x) - 1.0, torch.maximum(x * x, -x)).sum() + (x * d["w"]).max()


def scalars(ops: Any, p: Params, d: Params) -> Any:
    curve = ops.expand_dims(p["scale"], axis=-1) * ops.log1p(d["t"] * ops.exp(ops.expand_dims(p["rate"], axis=-1)))
    return ops.mean(ops.square(curve - d["y"]), axis=-1)


def scalars_twin(p: Params, d: Params) -> Any:
    return (p["scale"] * (d["t"] * p["rate"].exp()).log1p() - d["y"]).square().mean()


def masked(ops: Any, p: Params, d: Params) -> Any:
    return ops.softmax_cross_entropy(ops.matmul(d["x"], p["W"]) + d["mask"], d["t"])


def masked_twin(p: Params, d: Params) -> Any:
    return cross_entropy(d["x"] @ p["W"] + d["mask"], d["t"])


def far(ops: Any, p: Params, d: Params) -> Any:
    return ops.softmax_cross_entropy(ops.matmul(d["x"], p["W"]) - 1e5, d["t"])


def far_twin(p: Params, d: Params) -> Any:
    return cross_entropy(d["x"] @ p["W"] - 1e5, d["t"])


def dead_units(ops: Any, p: Params, d: Params) -> Any:
    return ops.sum(ops.relu(p["x"]) * d["w"], axis=-1) + ops.sum(ops.square(p["x"]), axis=-1)


def dead_units_twin(p: Params, d: Params) -> Any:
    return (p["x"].relu() * d["w"]).sum() + p["x"].square().sum()


def rosenbrock_twin(p: Params, d: Params) -> Any:
    x = p["x"]
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def convolution(ops: Any, p: Params, d: Params) -> Any:
    """A convolution of width 2 as the sum of two products, then relu and a mean over places."""
    z = ops.matmul(d["left"], p["K1"]) + ops.matmul(d["right"], p["K2"])
    return ops.mean(ops.square(ops.relu(z)), axis=(-2, -1)) + ops.logsumexp(ops.mean(z, axis=-2))


def convolution_twin(p: Params, d: Params) -> Any:
    torch = framework("torch").xp
    signal = torch.cat([d["left"], d["right"][-1:]]).T[None]
    z = torch.nn.functional.conv1d(signal, torch.stack([p["K1"].T, p["K2"].T], dim=-1))[0].T
    return z.relu().square().mean() + z.mean(0).logsumexp(0)


SIGNAL = numbers(7, 2, seed=11)
BOTH = ("float64", "float32")
_QKV = {name: numbers(4, 2, seed=k, scale=0.5) for k, name in enumerate("QKV")}

LOSSES = (
    problem_loss(
        "quadratic",
        Text({"x": [1.0, -2.0, 0.5]}, {"A": [[2.0, 0.5, 0.0], [0.5, 1.0, 0.3], [0.0, 0.3, 3.0]]}, lambda ops, p, d: (
            0.5 * ops.sum(p["x"] * ops.sum(d["A"] * ops.expand_dims(p["x"], axis=-2), axis=-1), axis=-1))),
        lambda p, d: 0.5 * p["x"] @ d["A"] @ p["x"],
        dtypes=BOTH,
    ),
    problem_loss("rosenbrock", gradest.get_problem("rosenbrock", size=4), rosenbrock_twin, loose=10.0,
                 dtypes=BOTH),
    problem_loss(
        "MLP",
        Text(WEIGHTS, {"x": X, "t": LABELS}, mlp),
        mlp_twin,
        layers=True,
        dtypes=BOTH,
    ),
    problem_loss("attention", Text(_QKV, {"x": X}, attention), attention_twin, dtypes=BOTH),
    problem_loss(
        "recurrent",
        Text({"U": numbers(2, 3, seed=6), "W": numbers(3, 3, seed=7), "b": numbers(3, seed=8)},
             {"x1": numbers(4, 2, seed=1), "x2": numbers(4, 2, seed=2), "x3": numbers(4, 2, seed=3),
              "y": numbers(4, 3, seed=4)}, recurrent),
        recurrent_twin,
    ),
    problem_loss(
        "batch normalisation",
        Text({"W": numbers(4, 3, seed=6), "gamma": [1.0, 0.5, 2.0], "beta": [0.1, 0.0, -0.3]},
             {"x": X, "t": LABELS}, normalised),
        normalised_twin,
        dtypes=BOTH,
    ),
    problem_loss(
        "tied autoencoder", Text({"W": numbers(4, 2, seed=6), "b": numbers(2, seed=7)}, {"x": X}, tied), tied_twin
    ),
    problem_loss(
        "relu and penalties",
        Text({"W": numbers(4, 3, seed=6), "b": numbers(3, seed=7)}, {"x": X, "y": numbers(6, seed=9)}, relu_penalty),
        relu_penalty_twin,
        dtypes=BOTH,
        expected=dict.fromkeys(("fd-five-point", "fd-richardson"), ACROSS_KINKS),
    ),
    problem_loss(
        "logistic regression",
        Text({"w": numbers(4, seed=6)}, {"x": X, "s": np.where(numbers(6, 1, seed=9) > 0, 1.0, -1.0)}, logistic),
        logistic_twin,
        dtypes=BOTH,
    ),
    problem_loss("pieces", Text({"x": [0.7, -0.4, -1.5, 0.3]}, {"w": [1.0, 2.0, -1.0, 0.5]}, pieces), pieces_twin,
                 dtypes=BOTH, expected={"fd-richardson": ACROSS_KINKS},
                 sigma=0.07),  # 0.1 would put points on a boundary, which side by rounding
    problem_loss(
        "parameters of shape ()",
        Text({"scale": 1.5, "rate": -0.3}, {"t": [0.5, 1.0, 2.0], "y": [0.2, 0.6, 1.0]}, scalars),
        scalars_twin,
    ),
    problem_loss(
        "classes closed by -inf", Text({"W": numbers(4, 3, seed=6)}, {"x": X, "t": TWO_LABELS, "mask": CLOSED}, masked),
        masked_twin,
    ),
    problem_loss(
        "logits at -1e5", Text({"W": numbers(4, 3, seed=6)}, {"x": X, "t": LABELS}, far), far_twin,
        loose=1e4,  # logits of 1e5 have 11 digits behind the point, and a difference of values as many
    ),
    problem_loss(
        "convolution",
        Text({"K1": numbers(2, 3, seed=6), "K2": numbers(2, 3, seed=7)}, {"left": SIGNAL[:-1], "right": SIGNAL[1:]},
             convolution),
        convolution_twin,
    ),
    problem_loss("relu, some units dead", Text({"x": [0.7, -0.4, -1.5]}, {"w": [1.0, 2.0, 3.0]}, dead_units),
                 dead_units_twin, dtypes=BOTH),
)  # fmt: skip
