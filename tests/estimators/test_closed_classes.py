"""Classes ruled out by a logit of -inf: value and gradient are those of the softmax over the open ones, everywhere."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from support.turns import is_in_turn

import gradest
from gradest import Problem
from gradest.measurement.session import flat

BACKENDS = [name for name in ("numpy", "jax", "torch", "mxnet") if find_spec(name) is not None]
"""Those that are installed: MXNet is not, beside NumPy 2."""

GENERATOR = np.random.default_rng(5)
X = GENERATOR.standard_normal((6, 3))
LABELS = np.array([0, 1, 3, 1, 0, 3])
CLOSED = np.zeros((6, 4))
CLOSED[:, 2] = -np.inf  # the same class everywhere,
CLOSED[0, 3] = CLOSED[3, 0] = -np.inf  # and others in single samples

Logits = Callable[[Any, Any, Mapping[str, Any]], Any]

MASKS: dict[str, Logits] = {
    "added": lambda ops, z, data: z + data["mask"],
    "chosen": lambda ops, z, data: ops.where(ops.greater(data["mask"], -1.0), z, -np.inf),
    "scaled": lambda ops, z, data: (z + data["mask"]) * data["scale"],
    "divided": lambda ops, z, data: (z + data["mask"]) / data["scale"],
    "the larger": lambda ops, z, data: ops.maximum(z + data["mask"], data["mask"]) + z,
}


@dataclass(frozen=True, eq=False)
class Masked(Problem):
    """Softmax cross-entropy of a small network, some of whose classes are closed by a mask."""

    name = "test-masked"
    mask: str = "added"
    closed: float = -np.inf
    hidden: bool = True
    smoothing: float = 0.0

    def parameters(self) -> dict[str, np.ndarray]:
        generator = np.random.default_rng(7)
        first = {"V": generator.standard_normal((3, 5)), "a": generator.standard_normal(5)} if self.hidden else {}
        width = 5 if self.hidden else 3
        return {**first, "W": generator.standard_normal((width, 4)), "b": generator.standard_normal(4)}

    def data(self) -> dict[str, np.ndarray]:
        mask = np.where(np.isinf(CLOSED), self.closed, 0.0)
        open_classes = np.isfinite(CLOSED) / np.isfinite(CLOSED).sum(axis=1, keepdims=True)
        targets = (1 - self.smoothing) * np.eye(4)[LABELS] + self.smoothing * open_classes
        return {"x": X, "mask": mask, "targets": targets, "scale": np.full((6, 4), 0.5)}

    def logits(self, ops: Any, params: Mapping[str, Any], data: Mapping[str, Any]) -> tuple[Any, Any]:
        h = ops.tanh(ops.affine(data["x"], params["V"], params["a"])) if self.hidden else data["x"]
        return h, MASKS[self.mask](ops, ops.affine(h, params["W"], params["b"]), data)

    def loss(self, ops: Any, params: Mapping[str, Any], data: Mapping[str, Any]) -> Any:
        return ops.softmax_cross_entropy(self.logits(ops, params, data)[1], data["targets"])

    def loss_and_gradient(
        self, ops: Any, params: Mapping[str, Any], data: Mapping[str, Any]
    ) -> tuple[Any, dict[str, Any]]:
        assert self.mask in ("added", "chosen")  # whose derivative by the logits is 1, or 0 where softmax has it 0 too
        h, z = self.logits(ops, params, data)
        value, delta = ops.softmax_cross_entropy_and_gradient(z, data["targets"])
        gradient = {"W": ops.matmul(ops.matrix_transpose(h), delta), "b": ops.sum(delta, axis=-2)}
        if self.hidden:
            back = ops.matmul(delta, ops.matrix_transpose(params["W"])) * (1.0 - h * h)
            gradient |= {"V": ops.matmul(ops.matrix_transpose(data["x"]), back), "a": ops.sum(back, axis=-2)}
        return value, {name: gradient[name] for name in params}


def expected(problem: Masked) -> tuple[float, np.ndarray]:
    """Return value and gradient in extended precision, with a sum over each sample's open classes alone."""
    start = {name: block.astype(np.longdouble) for name, block in problem.parameters().items()}
    targets = problem.data()["targets"].astype(np.longdouble)

    def value(params: Mapping[str, np.ndarray]) -> Any:
        h = np.tanh(X @ params["V"] + params["a"]) if problem.hidden else X.astype(params["W"].dtype)
        z = h @ params["W"] + params["b"]
        z = {"scaled": 0.5 * z, "divided": 2 * z, "the larger": np.where(z.real > 0, 2 * z, z)}.get(problem.mask, z)
        losses = []
        for row, closed, wanted in zip(z, np.isinf(CLOSED), targets, strict=True):
            log_p = row[~closed] - np.log(np.sum(np.exp(row[~closed])))
            losses.append(-np.sum(wanted[~closed] * log_p))
        return sum(losses) / len(losses)

    slopes = []
    for name, block in start.items():
        for place in np.ndindex(block.shape):
            moved = {key: array.astype(np.clongdouble) for key, array in start.items()}
            moved[name][place] += np.clongdouble(1e-30j)
            slopes.append(value(moved).imag / np.longdouble(1e-30))
    return float(value(start)), np.array(slopes, dtype=np.float64)


EXACT: dict[str, float] = {  # and the error to be allowed, float64, relative to the gradient's norm
    "analytic": 1e-14,
    "reverse": 1e-14,
    "reverse(engine='gradest')": 1e-14,
    "reverse-checkpointed": 1e-14,
    "forward": 1e-14,
    "forward(engine='gradest', path='dense')": 1e-14,
    "forward-structured": 1e-14,
    "fd-exact": 1e-8,
    "fd-central": 1e-8,
    "fd-central(path='black-box')": 1e-8,
    "fd-forward": 1e-6,
    "fd-five-point": 1e-9,
    "fd-richardson": 1e-9,
    "complex-step": 1e-14,
}
RANDOM = (
    "es",
    "es-forward",
    "es-leave-one-out",
    "es-low-rank",
    "es-orthogonal",
    "spsa",
    "es-coordinates",
    "forward-gradient",
    "node-perturbation",
    "es-row-space",
    "smoothed",
    "es-rank",
)


def estimator(text: str) -> gradest.Estimator:
    name, _, rest = text.partition("(")
    fields = dict(part.strip().split("=") for part in rest.rstrip(")").split(",")) if rest else {}
    return gradest.get_estimator(name, **{key: item.strip("'") for key, item in fields.items()})


def estimated(
    text: str, problem: Problem, backend: str, kernel: str = "native", dtype: str = "float64"
) -> tuple[float | None, np.ndarray]:
    objective = gradest.bind(problem, backend=backend, kernel=kernel, dtype=dtype)
    estimate = estimator(text).prepare(objective)(rng=0)
    value = None if estimate.value is None else float(objective.backend.numpy(estimate.value))  # differences have none
    return value, flat(objective, estimate)


CASES = [(b, k) for b in BACKENDS for k in gradest.get_backend(b).kernels]
every_kernel = pytest.mark.parametrize(("backend", "kernel"), CASES, ids=[f"{b}-{k}" for b, k in CASES])


# JAX compiles each of these for seconds: the kernels there in turn, and masks of other kinds by fewer ways.
EXACT_CASES = [
    (text, backend, kernel)
    for number, text in enumerate(EXACT)
    for backend, kernel in CASES
    if not (text == "complex-step" and backend == "mxnet")  # which has no complex arrays
    and (backend != "jax" or is_in_turn(number, kernel, gradest.get_backend("jax").kernels))
]
OTHER_CASES = [
    (text, backend)
    for text in ("reverse(engine='gradest')", "forward-structured", "fd-exact", "fd-central")
    for backend in BACKENDS
    if not (text.startswith("f") and backend == "jax")
]


@pytest.mark.parametrize(("text", "backend", "kernel"), EXACT_CASES)
def test_exact_estimators_give_the_loss_over_the_open_classes(text: str, backend: str, kernel: str) -> None:
    value, gradient = expected(Masked())
    found = estimated(text, Masked(), backend, kernel)
    assert found[0] in (None, pytest.approx(value, rel=1e-14))
    assert np.linalg.norm(found[1] - gradient) <= EXACT[text] * np.linalg.norm(gradient)


@pytest.mark.parametrize(("text", "backend"), OTHER_CASES)
@pytest.mark.parametrize(
    "problem",
    [
        Masked(hidden=False),
        Masked(smoothing=0.1),
        *(Masked(mask=mask) for mask in ("chosen", "scaled", "divided", "the larger")),
    ],
    ids=["one layer", "soft targets", "chosen", "scaled", "divided", "the larger"],
)
def test_a_mask_may_come_in_other_ways(problem: Masked, text: str, backend: str) -> None:
    value, gradient = expected(problem)
    found = estimated(text, problem, backend, "portable")
    assert found[0] in (None, pytest.approx(value, rel=1e-14))
    assert np.linalg.norm(found[1] - gradient) <= EXACT[text] * np.linalg.norm(gradient)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("text", RANDOM)
def test_random_estimators_see_what_a_very_low_logit_gives(text: str, backend: str) -> None:
    """At -1e4, where the exponential is 0 exactly, the loss is the same; so are the estimates of one seed."""
    found = estimated(text, Masked(), backend, "native")
    low = estimated(text, Masked(closed=-1e4), backend, "native")
    assert found[0] == (None if low[0] is None else pytest.approx(low[0], rel=1e-12))
    assert np.isfinite(found[1]).all()
    assert np.linalg.norm(found[1] - low[1]) <= 1e-8 * np.linalg.norm(low[1])  # z - 1e4 has fewer digits than z


@every_kernel
def test_in_float32_too(backend: str, kernel: str) -> None:
    value, gradient = expected(Masked())
    for text in ("analytic", "reverse"):
        found = estimated(text, Masked(), backend, kernel, "float32")
        assert found[0] == pytest.approx(value, rel=1e-6)
        assert np.linalg.norm(found[1] - gradient) <= 1e-6 * np.linalg.norm(gradient)
