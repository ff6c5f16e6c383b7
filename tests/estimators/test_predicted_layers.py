"""ES in the row space, node perturbation and guided ES show the relative error that they predict on real losses.

Bounds are those of `ratio_bounds` at the false-alarm probability below, for each test; seeds are fixed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

import gradest
from gradest import Estimator, Objective, Problem, Target, theory
from gradest.errors import UnsupportedError
from gradest.estimators.evolution import EvolutionStrategy
from gradest.estimators.guided import GuidedES
from gradest.estimators.node_perturbation import NodePerturbation
from gradest.estimators.row_space import RowSpaceES
from gradest.measurement.compare import compare
from gradest.problems.mlp import MLP
from gradest.situation import Situation
from gradest.testing import check_estimator
from gradest.testing.statistics import ratio_bounds
from gradest.theory.prediction import Prediction

FALSE_ALARM = 1e-5
REPLICATES = 400
SAMPLES = 5
FEW: dict[str, Any] = {"num_samples": SAMPLES, "sigma": 1e-3}


def network(**fields: Any) -> MLP:
    return MLP(**{"widths": (5,), "batch": 6, **fields})


@dataclass(frozen=True, eq=False)
class Tied(Problem):
    """Two layers of one weight, so that a parameter meets two sets of pre-activations."""

    name = "test-tied"

    def parameters(self) -> dict[str, np.ndarray]:
        return {"W": np.random.default_rng(4).standard_normal((3, 3)), "b": np.array([0.3, -0.2, 0.1])}

    def data(self) -> dict[str, np.ndarray]:
        return {"x": np.random.default_rng(5).standard_normal((4, 3))}

    def loss(self, ops: Any, params: Mapping[str, Any], data: Mapping[str, Any]) -> Any:
        hidden = ops.tanh(ops.affine(data["x"], params["W"], params["b"]))
        outputs = ops.tanh(ops.affine(hidden, params["W"], None))
        return ops.sum(ops.square(outputs + 0.5), axis=(-2, -1))


def exact(objective: Objective) -> np.ndarray:
    gradient = gradest.get_estimator("reverse", engine="gradest")(objective).gradient
    return objective.layout.flatten([np.asarray(objective.backend.numpy(g), np.float64) for g in gradient.values()])


def squared_errors(estimator: Estimator, objective: Objective, gradient: np.ndarray) -> np.ndarray:
    prepared = estimator.prepare(objective)
    found = (prepared(rng=seed).gradient for seed in range(REPLICATES))
    flat = np.stack([objective.layout.flatten(list(estimate.values())) for estimate in found])
    return np.sum((flat - gradient) ** 2, axis=1) / (gradient @ gradient)


def is_as_predicted(squares: np.ndarray, predicted: float | None) -> bool:
    assert predicted is not None
    low, high = ratio_bounds(squares, FALSE_ALARM)
    return low <= squares.mean() / predicted <= high


def predicted_and_measured(estimator: Estimator, problem: MLP | Tied) -> tuple[float, np.ndarray]:
    objective = gradest.bind(problem)
    gradient = exact(objective)
    prediction = estimator.predict(Situation(objective.layout, gradient, objective=objective))
    assert prediction is not None
    assert prediction.relative_mse is not None
    return prediction.relative_mse, squared_errors(estimator, objective, gradient)


# -- measured beside predicted ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("law", ["normal", "rademacher", "low-rank"])
def test_the_row_space_errs_as_predicted(law: str) -> None:
    problem = network()
    estimator = RowSpaceES(distribution=law, **FEW)
    predicted, squares = predicted_and_measured(estimator, problem)
    assert is_as_predicted(squares, predicted)
    rank = np.linalg.matrix_rank(problem.data()["x"])
    size = rank * 5 + 5 + 5 * 10 + 10
    if law == "normal":
        assert predicted == pytest.approx((size + 1) / SAMPLES, rel=1e-12)
    whole = sum(values.size for values in problem.parameters().values())
    mutants = [(whole + 1) / SAMPLES, (size + 1) / (2 * SAMPLES), (size + 1 - 5 * (rank - 1)) / SAMPLES]
    assert not any(is_as_predicted(squares, mutant) for mutant in mutants)


def test_low_rank_directions_are_those_of_the_reduced_shapes() -> None:
    objective = gradest.bind(network())
    gradient = exact(objective)
    at = Situation(objective.layout, gradient, objective=objective)
    found = RowSpaceES(distribution="low-rank", **FEW).predict(at)
    basis = np.linalg.svd(objective.data["x"], full_matrices=False)[2].T
    blocks: list[np.ndarray] = list(objective.layout.unflatten(gradient))
    blocks[0] = basis.T @ blocks[0]
    shares = [np.sum(block**2) / (gradient @ gradient) for block in blocks]
    assert sum(shares) == pytest.approx(1.0, rel=1e-9)  # the gradient lies in the row space
    expected = theory.relative_mse_linear(
        "low-rank",
        num_parameters=sum(block.size for block in blocks),
        num_samples=SAMPLES,
        blocks=[block.shape for block in blocks],
        shares=shares,
        rank=1,
    )
    assert found.relative_mse == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("problem", "law"),
    [
        (network(), "normal"),
        (network(bias=False, widths=(4, 3)), "rademacher"),
        (network(), "orthogonal"),
        (Tied(), "normal"),
        (Tied(), "coordinates"),
        (Tied(), "low-rank"),
    ],
    ids=lambda part: getattr(part, "name", part),
)
def test_node_perturbation_errs_as_predicted(problem: MLP | Tied, law: str) -> None:
    predicted, squares = predicted_and_measured(NodePerturbation(distribution=law, **FEW), problem)
    assert is_as_predicted(squares, predicted)
    plain = sum(values.size for values in problem.parameters().values()) + 1
    assert not any(is_as_predicted(squares, mutant) for mutant in (predicted / 2, 2 * predicted, plain / SAMPLES))


def test_node_perturbation_of_a_higher_rank_errs_less_as_predicted() -> None:
    predicted, squares = predicted_and_measured(NodePerturbation(distribution="low-rank", rank=8, **FEW), Tied())
    assert is_as_predicted(squares, predicted)
    objective = gradest.bind(Tied())
    at = Situation(objective.layout, exact(objective), objective=objective)
    of_rank_one = NodePerturbation(distribution="low-rank", **FEW).predict(at).relative_mse
    assert not is_as_predicted(squares, of_rank_one)


@pytest.mark.parametrize(("alpha", "scale"), [(0.5, 1.0), (0.1, 1.5), (1.0, 1.0), (1.0, 0.5)])
def test_guided_es_errs_as_predicted(alpha: float, scale: float) -> None:
    objective = gradest.bind(network())
    gradient = exact(objective)
    generator = np.random.default_rng(1)
    noise = np.linalg.norm(gradient) / np.sqrt(gradient.size) * generator.standard_normal((2, gradient.size))
    guides = [objective.form.tree_of(objective.layout.unflatten(rows)) for rows in (gradient + noise[0], noise[1])]
    estimator = GuidedES(guides=guides, alpha=alpha, scale=scale, **FEW)
    prediction = estimator.predict(Situation(objective.layout, gradient, objective=objective))
    squares = squared_errors(estimator, objective, gradient)
    assert is_as_predicted(squares, prediction.relative_mse)
    span = np.linalg.qr(np.stack([gradient + noise[0], noise[1]]).T)[0]
    share = np.sum((span.T @ gradient) ** 2) / (gradient @ gradient)
    right: dict[str, Any] = {"num_parameters": gradient.size, "num_guides": 2, "num_samples": SAMPLES, "alpha": alpha}
    again = theory.predict_guided(**right, scale=scale, share=share)
    assert prediction.relative_mse == pytest.approx(again.relative_mse, rel=1e-9)
    mutants: list[dict[str, Any]] = [
        {"num_samples": 1},
        {"scale": 2 * scale},
        {"num_samples": 1000},
    ]  # the last leaves the bias alone
    for mutant in mutants:
        wrong = theory.predict_guided(**{**right, "scale": scale, "share": share, **mutant})
        assert not is_as_predicted(squares, wrong.relative_mse), mutant


# -- where predictions are asked for ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["es-row-space", "node-perturbation"])
def test_compare_states_what_is_predicted(name: str) -> None:
    (result,) = compare(
        network(), estimators=[name], backends=["numpy"], dtypes=["float64"], replicates=100, budget_seconds=0.01
    )
    assert result.predicted.target == "smoothed gradient"
    assert result.predicted.relative_mse is not None
    error = abs(result.replicates.relative_mse - result.predicted.relative_mse)
    assert error < 5 * result.replicates.relative_mse_error


@dataclass(frozen=True, kw_only=True)
class WrongNodes(NodePerturbation):
    """Predicts half as much error again."""

    def predict(self, at: Situation) -> Prediction | None:
        found = super().predict(at)
        if found is None or found.relative_mse is None:
            return None
        return replace(found, relative_mse=1.5 * found.relative_mse)


@dataclass(frozen=True, kw_only=True)
class WholeSpace(RowSpaceES):
    """Predicts the error of plain ES."""

    def predict(self, at: Situation) -> Prediction | None:
        return EvolutionStrategy(num_samples=self.num_samples, sigma=self.sigma).predict(at)


@pytest.mark.parametrize("right", [NodePerturbation(num_samples=11), RowSpaceES(num_samples=11)], ids=lambda e: e.name)
def test_the_check_of_the_variance_applies(right: Estimator) -> None:
    (result,) = check_estimator(right, checks=["variance"])
    assert result.applies
    assert result.passed, result.detail


@pytest.mark.parametrize("wrong", [WrongNodes(num_samples=11), WholeSpace(num_samples=11)], ids=lambda e: e.name)
def test_the_check_of_the_variance_rejects_a_wrong_prediction(wrong: Estimator) -> None:
    (result,) = check_estimator(wrong, checks=["variance"])
    assert not result.passed
    assert "raised" not in result.detail  # it is the number that is found wrong


@pytest.mark.parametrize("backend", ["numpy", "jax", "torch", "mxnet"])
@pytest.mark.parametrize("estimator", [NodePerturbation(**FEW), RowSpaceES(**FEW)], ids=lambda e: e.name)
def test_predictions_run_nothing_that_is_counted_and_agree_between_backends(backend: str, estimator: Estimator) -> None:
    here = gradest.bind(network())
    there = gradest.bind(network(), backend=backend, dtype="float32")
    gradient = exact(here)
    expected = estimator.predict(Situation(here.layout, gradient, objective=here)).relative_mse
    before = there.counts
    found = estimator.predict(Situation(there.layout, gradient, objective=there))
    assert found.relative_mse == pytest.approx(expected, rel=1e-4)
    assert there.counts == before


@pytest.mark.parametrize("estimator", [NodePerturbation(), RowSpaceES(), GuidedES()], ids=lambda e: e.name)
def test_nothing_is_predicted_from_the_layout_alone(estimator: Estimator) -> None:
    objective = gradest.bind(network())
    assert estimator.predict(Situation(objective.layout, exact(objective))) is None


@pytest.mark.parametrize("estimator", [NodePerturbation(), RowSpaceES()], ids=lambda e: e.name)
def test_no_relative_error_is_predicted_for_no_gradient(estimator: Estimator) -> None:
    objective = gradest.bind(network())
    at = Situation(objective.layout, np.zeros_like(exact(objective)), objective=objective)
    assert estimator.predict(at) is None


@pytest.mark.parametrize("estimator", [NodePerturbation(), RowSpaceES(), GuidedES()], ids=lambda e: e.name)
def test_an_estimator_that_cannot_run_predicts_nothing(estimator: Estimator) -> None:
    objective = gradest.bind(np.sum, np.ones(3))
    with pytest.raises(UnsupportedError):
        estimator.predict(Situation(objective.layout, np.ones(3), objective=objective))


def test_a_scaled_estimate_claims_no_length() -> None:
    assert GuidedES(alpha=1.0).target is Target.SMOOTHED
    assert GuidedES(alpha=1.0, scale=2.0).target is Target.DIRECTION
