"""Node perturbation weighs the noise of each example by its own loss, and errs as predicted for it.

Bounds are those of `ratio_bounds` at the false-alarm probability below, for each test; seeds are fixed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from support.turns import in_turn

import gradest
from gradest import InvalidInputError, Objective, UnsupportedError
from gradest.estimators.node_perturbation import NodePerturbation
from gradest.problems.mlp import MLP
from gradest.sampling.nodes import example_squares, node_layers, why_rows_are_no_examples
from gradest.situation import Situation
from gradest.testing.statistics import ratio_bounds

FALSE_ALARM = 1e-5
REPLICATES = 300
FEW: dict[str, Any] = {"num_samples": 4, "sigma": 1e-3}


@dataclass(frozen=True, eq=False)
class Tied(gradest.EmpiricalRisk):
    """Two layers of one weight, one of them without a bias, so that a parameter meets two sets of pre-activations."""

    name = "test-tied-examples"

    def parameters(self) -> dict[str, np.ndarray]:
        return {"W": np.random.default_rng(4).standard_normal((3, 3)), "b": np.array([0.3, -0.2, 0.1])}

    def data(self) -> dict[str, np.ndarray]:
        return {"x": np.random.default_rng(5).standard_normal((4, 3))}

    def losses(self, ops: Any, params: Mapping[str, Any], data: Mapping[str, Any]) -> Any:
        hidden = self.between(ops, ops.affine(data["x"], params["W"], params["b"]))
        outputs = ops.tanh(ops.affine(hidden, params["W"], None))
        return ops.sum(ops.square(outputs + 0.5), axis=-1)

    def between(self, ops: Any, before: Any) -> Any:
        return ops.tanh(before)


class Normalised(Tied):
    """Each example's loss depends on the others, through the mean of a batch."""

    name = "test-normalised"

    def between(self, ops: Any, before: Any) -> Any:
        return ops.tanh(before - ops.mean(before, axis=-2, keepdims=True))


class Pooled(Tied):
    """One example made of two rows."""

    name = "test-pooled"

    def losses(self, ops: Any, params: Mapping[str, Any], data: Mapping[str, Any]) -> Any:
        return ops.mean(ops.reshape(super().losses(ops, params, data), (2, 2)), axis=-1)


def exact(objective: Objective) -> np.ndarray:
    gradient = gradest.get_estimator("reverse", engine="gradest")(objective).gradient
    return objective.layout.flatten([np.asarray(objective.backend.numpy(g), np.float64) for g in gradient.values()])


def predicted(estimator: NodePerturbation, objective: Objective) -> float:
    """Return the predicted relative error of one estimate."""
    found = estimator.predict(Situation(objective.layout, exact(objective), objective=objective)).relative_mse
    assert found is not None
    return found


def squared_errors(
    estimator: NodePerturbation, objective: Objective, *, gradient: np.ndarray | None = None
) -> np.ndarray:
    prepared, gradient = estimator.prepare(objective), exact(objective) if gradient is None else gradient
    assert prepared.path == ("nodes" if estimator.weighting == "joint" else "nodes-by-example")
    estimates = (prepared(rng=seed).gradient.values() for seed in range(REPLICATES))
    flat = np.stack(
        [objective.layout.flatten([np.asarray(objective.backend.numpy(g)) for g in leaves]) for leaves in estimates]
    )
    return np.sum((flat - gradient) ** 2, axis=1) / (gradient @ gradient)


def is_as_predicted(squares: np.ndarray, value: float) -> bool:
    low, high = ratio_bounds(squares, FALSE_ALARM)
    return bool(low <= squares.mean() / value <= high)


def test_on_the_demo_problem_one_pair_errs_63_times_less() -> None:
    objective = gradest.bind(MLP(batch=64))
    joint, apart = (predicted(NodePerturbation(num_samples=1, weighting=w), objective) for w in ("joint", "example"))
    # The figures that were derived for it before this estimator was written.
    assert (joint, apart) == pytest.approx((1164.0, 18.5), rel=2e-3)


BATCHES = [
    *((backend, batch) for backend in ("numpy", "torch", "mxnet") for batch in (4, 16, 64)),
    ("jax", in_turn(0, (4, 64))),
]


@pytest.mark.parametrize(("backend", "batch"), BATCHES)
def test_the_error_is_as_predicted_on_every_backend_at_every_batch_size(backend: str, batch: int) -> None:
    problem = MLP(widths=(5,), batch=batch)
    objective, here = gradest.bind(problem, backend=backend), gradest.bind(problem)
    value = predicted(NodePerturbation(**FEW), here)
    squares = squared_errors(NodePerturbation(**FEW), objective, gradient=exact(here))
    assert is_as_predicted(squares, value)
    joint = predicted(NodePerturbation(weighting="joint", **FEW), here)
    assert not any(is_as_predicted(squares, mutant) for mutant in (joint, value / 2, 2 * value))


@pytest.mark.parametrize("law", ["normal", "rademacher", "orthogonal", "low-rank"])
@pytest.mark.parametrize("problem", [MLP(widths=(5,), batch=6), Tied()], ids=lambda problem: problem.name)
def test_every_kind_of_law_errs_as_predicted(problem: gradest.Problem, law: str) -> None:
    objective = gradest.bind(problem)
    estimator = NodePerturbation(distribution=law, **FEW)
    value, squares = predicted(estimator, objective), squared_errors(estimator, objective)
    assert is_as_predicted(squares, value)
    assert not any(is_as_predicted(squares, mutant) for mutant in (value / 2, 2 * value))


@pytest.mark.parametrize("problem", [MLP(widths=(5,), batch=6), MLP(bias=False), Tied()], ids=lambda p: p.name)
def test_squares_of_example_gradients_are_those_of_explicit_ones(problem: gradest.Problem) -> None:
    objective = gradest.bind(problem)
    layers, nodes = node_layers(objective)
    pull = objective.prepare_weighted_gradient()
    count = len(nodes[0].slopes)
    rows = [
        objective.layout.flatten([np.asarray(x) for x in pull(objective.start, one / count)]) for one in np.eye(count)
    ]
    np.testing.assert_allclose(example_squares(layers, nodes), np.sum(np.square(rows), axis=1), rtol=1e-12)


@pytest.mark.parametrize(
    ("problem", "why"),
    [
        (Normalised(), "depends on the pre-activations of others"),
        (Pooled(), r"rows \[\(4,\)\] for 2 examples"),
    ],
    ids=lambda case: getattr(case, "name", ""),
)
def test_rows_that_are_no_examples_are_weighted_by_the_joint_loss(problem: gradest.Problem, why: str) -> None:
    objective = gradest.bind(problem)
    assert NodePerturbation(**FEW).prepare(objective).path == "nodes"
    joint = NodePerturbation(weighting="joint", **FEW)
    assert predicted(NodePerturbation(**FEW), objective) == predicted(joint, objective)
    with pytest.raises(UnsupportedError, match=f"{why}.*weighting='joint'"):
        NodePerturbation(weighting="example", **FEW).prepare(objective)


@pytest.mark.parametrize(
    ("backend", "activation", "dtype"),
    [("numpy", name, "float64") for name in ("tanh", "relu", "requ")]
    + [(name, "tanh", "float32") for name in ("numpy", "jax", "torch", "mxnet")],
)
def test_rounding_makes_no_rows_depend_on_others(backend: str, activation: str, dtype: str) -> None:
    objective = gradest.bind(MLP(activation=activation, batch=32), backend=backend, dtype=dtype)
    assert objective.scoped(why_rows_are_no_examples)(objective) == ""


def test_a_loss_that_is_no_mean_over_examples_is_weighted_as_a_whole() -> None:
    class Whole(gradest.Problem):
        name = "test-whole"

        def parameters(self) -> dict[str, np.ndarray]:
            return Tied().parameters()

        def data(self) -> dict[str, np.ndarray]:
            return Tied().data()

        def loss(self, ops: Any, params: Mapping[str, Any], data: Mapping[str, Any]) -> Any:
            return Tied().loss(ops, params, data)

    assert NodePerturbation(**FEW).prepare(gradest.bind(Whole())).path == "nodes"
    with pytest.raises(UnsupportedError, match="EmpiricalRisk"):
        NodePerturbation(weighting="example", **FEW).prepare(gradest.bind(Whole()))


def test_a_weighting_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="weighting"):
        NodePerturbation(weighting="examples")
