"""Reverse mode: right to rounding by every engine, with and without checkpoints, which save memory."""

import tracemalloc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest

import gradest
from gradest.estimators.reverse import Reverse
from gradest.measurement.accuracy import compare_gradients
from gradest.measurement.reference import reference_gradient
from gradest.measurement.session import flat

ACTIVATIONS = ("tanh", "sigmoid", "relu", "requ", "softplus")
PROBLEMS = ("rosenbrock", "logsumexp", "cubic-graph", "log-graph", "quadratic", "least-squares", "softmax-regression")


def error_of(estimator: Reverse, objective: gradest.Objective) -> float:
    found = flat(objective, estimator.prepare(objective)())
    return compare_gradients(found, reference_gradient(objective).gradient).relative_error


@dataclass(frozen=True, eq=False)
class Deep(gradest.Problem):
    """`f(x) = mean h_depth^2`, `h_k = tanh(h_{k-1} * x)` for `h_0` = x: a chain of equal layers."""

    name: ClassVar[str] = "deep"

    depth: int = 64
    size: int = 20_000

    def parameters(self) -> dict[str, npt.NDArray[np.float64]]:
        return {"x": np.linspace(0.5, 1.5, self.size)}

    def loss(self, ops: gradest.Operations, params: Mapping[str, Any], data: Mapping[str, Any]) -> Any:
        hidden = params["x"]
        for _ in range(self.depth):
            hidden = ops.tanh(hidden * params["x"])
        return ops.mean(hidden * hidden, axis=-1)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("checkpoint", [False, True, 1, 2, 3, 100])
def test_networks_have_their_gradient_at_any_number_of_checkpoints(activation: str, checkpoint: bool | int) -> None:
    problem = gradest.get_problem("mlp", activation=activation, widths=(7, 6, 5), batch=12)
    assert error_of(Reverse(engine="gradest", checkpoint=checkpoint), gradest.bind(problem)) < 5e-15


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("checkpoint", [1, 2, 5])
def test_every_problem_has_its_gradient_with_checkpoints(name: str, checkpoint: int) -> None:
    assert error_of(Reverse(checkpoint=checkpoint), gradest.bind(gradest.get_problem(name))) < 1e-14


@pytest.mark.parametrize("backend", ["numpy", "jax", "torch", "mxnet"])
@pytest.mark.parametrize("checkpoint", [False, True])
def test_every_backend_agrees_with_extended_precision_and_counts_the_cost(backend: str, checkpoint: bool) -> None:
    problem = gradest.get_problem("mlp", widths=(6, 5), batch=8)
    objective = gradest.bind(problem, backend=backend)
    prepared = Reverse(checkpoint=checkpoint).prepare(objective)
    estimate = prepared()
    reference = reference_gradient(objective)
    assert compare_gradients(flat(objective, estimate), reference.gradient).relative_error < 5e-15
    assert float(objective.backend.numpy(estimate.value)) == pytest.approx(float(reference.value), rel=1e-14)
    assert objective.counts == prepared.cost == gradest.Cost(values=int(checkpoint), vjps=1)
    assert prepared.path.endswith("checkpointed") == checkpoint


def test_checkpoints_hold_a_fraction_of_the_memory_of_a_tape() -> None:
    objective = gradest.bind(Deep())
    peaks, gradients = {}, {}
    for checkpoint in (False, 8):
        prepared = Reverse(engine="gradest", checkpoint=checkpoint).prepare(objective)
        tracemalloc.start()
        gradients[checkpoint] = prepared().gradient["x"]
        peaks[checkpoint] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    np.testing.assert_allclose(gradients[8], gradients[False], rtol=1e-12)
    assert peaks[8] < 0.45 * peaks[False]


def test_what_cannot_be_checkpointed_is_refused() -> None:
    with pytest.raises(gradest.UnsupportedError, match="opaque function"):
        Reverse(checkpoint=True).prepare(gradest.bind(lambda x: (x * x).sum(), np.ones(3)))
    with pytest.raises(gradest.InvalidInputError, match="engine='native'"):
        Reverse(checkpoint=True, engine="native")
    with pytest.raises(gradest.InvalidInputError, match="checkpoint"):
        Reverse(checkpoint=-1)
