"""Pathwise smoothing, guided ES, node perturbation and ES in the row space: what each assumes, and what it gains."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from support.small_losses import Quadratic, Steps

import gradest
from gradest import Estimator, Objective, Problem
from gradest.errors import InvalidInputError, UnsupportedError
from gradest.estimators.evolution import EvolutionStrategy
from gradest.estimators.guided import GuidedES
from gradest.estimators.node_perturbation import NodePerturbation
from gradest.estimators.row_space import RowSpaceES
from gradest.estimators.smoothed import SmoothedGradient
from gradest.problems.mlp import MLP
from gradest.situation import Situation
from gradest.target import Target


def network(**fields: Any) -> MLP:
    return MLP(**{"widths": (5,), "batch": 6, **fields})


def flat(objective: Objective, gradient: dict[str, np.ndarray]) -> np.ndarray:
    return objective.layout.flatten([objective.backend.numpy(g) for g in gradient.values()])


def replicates(estimator: Estimator, objective: Objective, count: int) -> np.ndarray:
    prepared = estimator.prepare(objective)
    return np.stack([flat(objective, prepared(rng=seed).gradient) for seed in range(count)])


def exact(objective: Objective) -> np.ndarray:
    return flat(objective, gradest.get_estimator("analytic")(objective).gradient)


def is_unbiased(found: np.ndarray, target: np.ndarray, standard_errors: float = 5.5) -> bool:
    """Return whether no entry of the mean, nor its slope along the target, is off by more than so many errors."""
    slopes = found @ target / (target @ target) - 1.0
    deviations = np.column_stack([found - target, slopes])
    error = deviations.std(axis=0) / np.sqrt(len(found))
    return bool((np.abs(deviations.mean(axis=0)) <= standard_errors * error + 1e-9).all())


# -- pathwise -------------------------------------------------------------------------------------------------------


def test_pathwise_smoothing_has_the_predicted_error_on_a_quadratic() -> None:
    problem, sigma = Quadratic(), 0.7
    matrix, _ = problem.terms
    objective = gradest.bind(problem)
    estimator = SmoothedGradient(num_samples=4, sigma=sigma, engine="gradest")
    found = replicates(estimator, objective, 400)
    errors = np.sum((found - problem.gradient) ** 2, axis=1) / (problem.gradient @ problem.gradient)
    expected = sigma**2 * np.sum(matrix**2) / (4 * problem.gradient @ problem.gradient)
    assert abs(errors.mean() - expected) <= 5.5 * errors.std() / np.sqrt(len(errors))
    prediction = estimator.predict(Situation(objective.layout, problem.gradient, hessian=matrix))
    assert prediction.relative_mse == pytest.approx(expected)


def test_pathwise_pairs_are_exact_on_a_quadratic() -> None:
    problem = Quadratic()
    found = SmoothedGradient(num_samples=2, sigma=0.7, antithetic=True)(problem, rng=0)
    assert np.allclose(found.gradient["x"].reshape(-1), problem.gradient, rtol=1e-12)
    assert found.cost == gradest.Cost(vjps=4)


def test_pathwise_estimates_have_the_smoothed_gradient_as_mean() -> None:
    problem, sigma = Steps(), 0.8
    found = SmoothedGradient(num_samples=4000, sigma=sigma)(problem, rng=0).gradient["x"]
    assert np.allclose(found, problem.smoothed_gradient(sigma), atol=0.03)
    assert not np.allclose(found, problem.gradient, atol=0.03)


def test_pathwise_smoothing_refuses_directions_to_one_side() -> None:
    with pytest.raises(UnsupportedError, match="antithetic=True"):
        SmoothedGradient(distribution="coordinates")


# -- guided ---------------------------------------------------------------------------------------------------------


def test_guides_that_hold_the_gradient_make_it_unbiased_and_sharper() -> None:
    problem = Quadratic()
    objective = gradest.bind(problem)
    g = problem.gradient
    guide = {"x": problem.gradient.reshape(problem.shape)}
    guided = replicates(GuidedES(num_samples=4, guides=[guide], alpha=0.3), objective, 500)
    plain = replicates(EvolutionStrategy(num_samples=4), objective, 200)
    assert is_unbiased(guided, g)
    assert not is_unbiased(1.25 * guided, g)
    assert np.sum(np.var(guided, axis=0)) < 0.5 * np.sum(np.var(plain, axis=0))


def test_the_expectation_of_guided_es_is_the_stated_matrix_times_the_gradient() -> None:
    problem = Quadratic()
    objective = gradest.bind(problem)
    generator = np.random.default_rng(0)
    guides = [{"x": generator.standard_normal(problem.shape)} for _ in range(2)]
    basis = np.linalg.qr(np.stack([guide["x"].reshape(-1) for guide in guides]).T)[0]
    alpha, share = 0.4, 0.6 * 12 / 2
    found = replicates(GuidedES(num_samples=4, guides=guides, alpha=alpha), objective, 600)
    g = problem.gradient
    assert is_unbiased(found, (alpha * g + share * basis @ (basis.T @ g)) / (alpha + share))


def test_guided_es_without_guidance_is_plain_and_says_so() -> None:
    problem = Quadratic()
    guide = {"x": np.ones(problem.shape)}
    estimator = GuidedES(num_samples=4, guides=[guide], alpha=1.0)
    assert estimator.target is Target.SMOOTHED
    assert is_unbiased(replicates(estimator, gradest.bind(problem), 400), problem.gradient)
    assert GuidedES(guides=[guide]).target is Target.DIRECTION


def test_guides_must_be_there_and_independent() -> None:
    with pytest.raises(UnsupportedError, match="guides="):
        GuidedES()(Quadratic(), rng=0)
    ones = {"x": np.ones((3, 4))}
    with pytest.raises(InvalidInputError, match="span 1"):
        GuidedES(guides=[ones, ones])(Quadratic(), rng=0)
    out_of_range: list[dict[str, Any]] = [{"alpha": 0.0}, {"scale": 0.0}, {"scale": np.nan}]
    for wrong in out_of_range:
        with pytest.raises(InvalidInputError, match=next(iter(wrong))):
            GuidedES(**wrong)
    with pytest.raises(InvalidInputError, match="1 of 12 entries"):
        GuidedES(guides=[{"x": np.where(np.arange(12) == 5, np.nan, 1.0).reshape(3, 4)}])(Quadratic(), rng=0)


def test_guides_of_single_precision_are_dependent_but_for_their_rounding() -> None:
    one, other = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    both = one + np.float32(0.3) * other
    with pytest.raises(InvalidInputError, match="3 guides were given, and they span 2"):
        GuidedES(guides=[{"x": one}, {"x": other}, {"x": both}])(Quadratic(), rng=0)
    near = {"x": one + np.float32(1e-3) * other}  # as gradients of two steps may be
    GuidedES(guides=[{"x": one}, near])(Quadratic(), rng=0)


def test_guides_may_be_of_any_length() -> None:
    objective = gradest.bind(Quadratic())
    guides = np.random.default_rng(0).normal(size=(2, 3, 4))
    found = [
        GuidedES(num_samples=3, guides=[{"x": guides[0]}, {"x": far * guides[1]}])(objective, rng=0).gradient["x"]
        for far in (1.0, 2.0**-70)
    ]
    np.testing.assert_allclose(found[1], found[0], rtol=1e-12)


# -- layers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [NodePerturbation, RowSpaceES])
@pytest.mark.parametrize("bias", [True, False])
def test_layerwise_estimates_are_unbiased_for_the_gradient(kind: Callable[..., Estimator], bias: bool) -> None:
    objective = gradest.bind(network(bias=bias))
    g = exact(objective)
    found = replicates(kind(num_samples=10, sigma=1e-3), objective, 250)
    assert is_unbiased(found, g)
    assert not is_unbiased(1.5 * found, g)


@pytest.mark.parametrize(("kind", "least_gain"), [(NodePerturbation, 1.5), (RowSpaceES, 2.0)])
def test_layerwise_estimates_err_less_than_plain_ones(kind: Callable[..., Estimator], least_gain: float) -> None:
    objective = gradest.bind(network(batch=3))
    g = exact(objective)
    errors = [
        np.mean(np.sum((replicates(k(num_samples=10), objective, 40) - g) ** 2, axis=1))
        for k in (EvolutionStrategy, kind)
    ]
    assert errors[0] / errors[1] > least_gain


def test_the_error_in_the_row_space_is_that_of_its_dimension() -> None:
    problem = network(batch=3)
    objective = gradest.bind(problem)
    g = exact(objective)
    rank = np.linalg.matrix_rank(problem.data()["x"])
    dimension = rank * 5 + 5 + 5 * 10 + 10
    found = replicates(RowSpaceES(num_samples=5, sigma=1e-3), objective, 400)
    errors = np.sum((found - g) ** 2, axis=1) / (g @ g)
    assert abs(errors.mean() - (dimension + 1) / 5) <= 5.5 * errors.std() / np.sqrt(len(errors))


def test_as_many_node_directions_as_nodes_give_the_gradient() -> None:
    objective = gradest.bind(network(batch=2))
    nodes = 2 * 5 + 2 * 10
    found = NodePerturbation(num_samples=nodes, distribution="orthogonal", sigma=1e-4)(objective, rng=0)
    assert np.allclose(flat(objective, found.gradient), exact(objective), rtol=1e-6, atol=1e-9)
    before = objective.counts
    assert NodePerturbation(num_samples=3)(objective, rng=0).cost == objective.counts - before == gradest.Cost(values=7)


@dataclass(frozen=True, eq=False)
class Penalised(Problem):
    """A least-squares layer with a penalty on its weights: their gradient leaves the row space of the batch."""

    name = "test-penalised"

    def parameters(self) -> dict[str, np.ndarray]:
        return {"W": np.ones((4, 2))}

    def data(self) -> dict[str, np.ndarray]:
        return {"x": np.eye(4)[:2]}

    def loss(self, ops: Any, params: Mapping[str, Any], data: Mapping[str, Any]) -> Any:
        outputs = ops.affine(data["x"], params["W"], None)
        return ops.sum(ops.square(outputs), axis=(-2, -1)) + ops.sum(params["W"] * params["W"], axis=(-2, -1))


@dataclass(frozen=True, eq=False)
class Reused(Penalised):
    """Uses the data twice: as the input of a layer, and to weigh its outputs."""

    name = "test-reused"

    def loss(self, ops: Any, params: Mapping[str, Any], data: Mapping[str, Any]) -> Any:
        outputs = ops.affine(data["x"], params["W"], None)
        return ops.sum(ops.square(outputs), axis=(-2, -1)) * ops.sum(data["x"], axis=(-2, -1))


@pytest.mark.parametrize("kind", [NodePerturbation, RowSpaceES])
@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_a_penalty_on_weights_is_refused(kind: Callable[..., Estimator], backend: str) -> None:
    with pytest.raises(UnsupportedError, match="affine"):
        kind()(Penalised(), backend=backend, rng=0)


def test_data_used_outside_layers_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="'x'"):
        RowSpaceES()(Reused(), rng=0)


@pytest.mark.parametrize("kind", [NodePerturbation, RowSpaceES])
def test_losses_without_layers_or_text_are_refused(kind: Callable[..., Estimator]) -> None:
    with pytest.raises(UnsupportedError):
        kind()(Quadratic(), rng=0)
    with pytest.raises(UnsupportedError, match="'es'"):
        kind()(np.sum, np.ones(3), rng=0)


def test_guides_whose_keys_come_in_another_order_are_the_same_guides() -> None:
    """`jax.tree.map` sorts the keys of past gradients."""
    params = {"w": np.ones(2), "inner": {"b": np.ones(3), "a": np.ones(1)}}
    guide: dict[str, Any] = {"w": np.array([1.0, 2.0]), "inner": {"b": np.array([3.0, 4.0, 5.0]), "a": np.array([6.0])}}
    sorted_keys = {"inner": {"a": guide["inner"]["a"], "b": guide["inner"]["b"]}, "w": guide["w"]}

    def loss(p: Any) -> Any:
        return (p["w"] ** 2).sum() + (p["inner"]["b"] ** 3).sum() + p["inner"]["a"].sum()

    one, other = (
        GuidedES(num_samples=3, alpha=0.2, guides=[each])(loss, params, rng=0).gradient for each in (guide, sorted_keys)
    )
    assert list(one) == list(other) == ["w", "inner"]
    np.testing.assert_array_equal(one["w"], other["w"])
    np.testing.assert_array_equal(one["inner"]["b"], other["inner"]["b"])
    with pytest.raises(InvalidInputError, match="guides in the structure"):
        GuidedES(guides=[{"w": guide["w"], "inner": {"b": guide["inner"]["b"], "c": np.ones(1)}}])(loss, params, rng=0)
