"""Forward gradients are unbiased for any loss, and other estimators meet them in a limit."""

import numpy as np
import pytest
from support.small_losses import Quadratic, Steps

import gradest
from gradest import Estimator
from gradest.errors import InvalidInputError
from gradest.estimators.evolution import EvolutionStrategy
from gradest.estimators.forward_gradient import ForwardGradient
from gradest.situation import Situation
from gradest.target import Target

SIZE = 4


def estimates(estimator: Estimator, problem: Steps, replicates: int) -> np.ndarray:
    prepared = estimator.prepare(gradest.bind(problem))
    return np.stack([prepared(rng=seed).gradient["x"].reshape(-1) for seed in range(replicates)])


@pytest.mark.parametrize(("distribution", "excess"), [("normal", 1.0), ("rademacher", -1.0), ("uniform", -0.2)])
def test_the_error_is_the_predicted_one_for_a_loss_that_is_not_quadratic(distribution: str, excess: float) -> None:
    problem, samples = Steps(), 3
    g = problem.gradient
    found = estimates(ForwardGradient(num_samples=samples, distribution=distribution), problem, 800)
    errors = np.sum((found - g) ** 2, axis=1) / (g @ g)
    assert abs(errors.mean() - (SIZE + excess) / samples) <= 5.5 * errors.std() / np.sqrt(len(errors))
    error = found.std(axis=0) / np.sqrt(len(found))
    assert (np.abs(found.mean(axis=0) - g) <= 5.5 * error).all()
    assert (np.abs(1.2 * found.mean(axis=0) - g) > 5.5 * error).any()  # a wrong scale must show


@pytest.mark.parametrize("distribution", ["orthogonal", "coordinates-without-replacement"])
def test_a_full_frame_gives_the_gradient_itself(distribution: str) -> None:
    for samples in (SIZE, 3 * SIZE):
        found = ForwardGradient(num_samples=samples, distribution=distribution)(Steps(), rng=0).gradient["x"]
        assert np.allclose(found, Steps().gradient, rtol=1e-12)


@pytest.mark.parametrize("samples", [1, 2, 4])
def test_a_projection_keeps_the_part_in_the_span(samples: int) -> None:
    g = Steps().gradient
    estimator = ForwardGradient(num_samples=samples, distribution="orthogonal", projection=True)
    found = estimates(estimator, Steps(), 200)
    assert np.allclose(found @ g, np.sum(found**2, axis=1), rtol=1e-9)  # what is left is orthogonal to it
    errors = np.sum((found - g) ** 2, axis=1) / (g @ g)
    assert abs(errors.mean() - (1 - samples / SIZE)) <= 5.5 * errors.std() / np.sqrt(len(errors)) + 1e-12
    assert estimator.target is (Target.DIRECTION)
    assert estimator.predict(Situation(gradest.bind(Steps()).layout, g)).relative_mse == pytest.approx(
        1 - samples / SIZE
    )


def test_projections_need_orthogonal_directions_and_no_more_than_p() -> None:
    with pytest.raises(InvalidInputError, match="orthogonal"):
        ForwardGradient(projection=True)
    with pytest.raises(InvalidInputError, match="num_samples=4"):
        ForwardGradient(projection=True, distribution="orthogonal", num_samples=5).prepare(gradest.bind(Steps()))


def test_antithetic_pairs_converge_to_it_at_order_sigma_squared() -> None:
    limit = ForwardGradient(num_samples=5)(Steps(), rng=2).gradient["x"]
    gaps = [
        np.linalg.norm(EvolutionStrategy(num_samples=5, sigma=sigma)(Steps(), rng=2).gradient["x"] - limit)
        for sigma in (0.04, 0.02, 0.01)
    ]
    assert gaps[0] / gaps[1] == pytest.approx(4.0, rel=0.02)
    assert gaps[1] / gaps[2] == pytest.approx(4.0, rel=0.02)


@pytest.mark.parametrize("distribution", ["normal", "low-rank"])
@pytest.mark.parametrize("backend", ["torch"])
def test_engines_agree(backend: str, distribution: str) -> None:
    problem = Quadratic()
    found = [
        ForwardGradient(num_samples=5, engine=engine, distribution=distribution, chunk_size=2)(
            gradest.bind(problem, backend=backend), rng=0
        )
        for engine in ("native", "gradest")
    ]
    assert [estimate.path for estimate in found] == ["native", "gradest"]
    native, ours = (estimate.gradient["x"].numpy() for estimate in found)
    assert np.allclose(native, ours, rtol=1e-12)
    assert float(found[0].value) == pytest.approx(float(found[1].value))


def test_the_cost_is_one_jvp_for_each_direction() -> None:
    objective = gradest.bind(Quadratic())
    before = objective.counts
    estimate = ForwardGradient(num_samples=7, chunk_size=3)(objective, rng=0)
    assert objective.counts - before == estimate.cost == gradest.Cost(jvps=7)
