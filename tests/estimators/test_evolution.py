"""Evolution strategies measure what theory says: scale, variance and bias, and wrong ones are told apart."""

import itertools
import warnings
from typing import Any

import numpy as np
import pytest
from support.small_losses import Quadratic, Steps

import gradest
from gradest import Estimate, Estimator, Objective
from gradest.errors import InvalidInputError, NoiseWarning, NonFiniteError, UnknownNameError
from gradest.estimators.evolution import EvolutionStrategy
from gradest.sampling.shaping import shaped_weights
from gradest.situation import Situation
from gradest.target import Target
from gradest.theory import relative_mse_bounds, shaping_scale

FALSE_ALARM = 1e-6
ROWS, COLUMNS = 3, 4
SIZE = ROWS * COLUMNS
SAMPLES = 5
REPLICATES = 600

# Relative mean squared error of antithetic pairs on a quadratic, for N = SAMPLES directions.
EXPECTED = {
    "normal": (SIZE + 1) / SAMPLES,
    "rademacher": (SIZE - 1) / SAMPLES,
    "uniform": (SIZE - 0.2) / SAMPLES,
    "sphere": (SIZE - 1) / SAMPLES,
    "coordinates": (SIZE - 1) / SAMPLES,
    "coordinates-without-replacement": (SIZE - SAMPLES) / SAMPLES,
    "orthogonal": (SIZE - SAMPLES) / SAMPLES,
    "orthogonal-chi": (SIZE + 2 - SAMPLES) / SAMPLES,
    "low-rank": (SIZE + 1 + 2 * (ROWS + COLUMNS + 1)) / SAMPLES,
}


def loss_at_start(objective: Objective) -> float:
    return float(np.asarray(objective.prepare_value()(objective.start)))


def estimates(estimator: Estimator, problem: Quadratic | Steps, replicates: int = REPLICATES) -> np.ndarray:
    """Return replicates of an estimate, `(R, P)`, by seeds 0, 1, ...."""
    prepared = estimator.prepare(gradest.bind(problem))
    return np.stack([prepared(rng=seed).gradient["x"].reshape(-1) for seed in range(replicates)])


def relative_mse(found: np.ndarray, gradient: np.ndarray) -> float:
    return float(np.mean(np.sum((found - gradient) ** 2, axis=1)) / (gradient @ gradient))


@pytest.fixture(scope="module")
def gaussian() -> tuple[Quadratic, np.ndarray]:
    problem = Quadratic()
    return problem, estimates(EvolutionStrategy(num_samples=SAMPLES, sigma=0.5), problem)


# -- variance and scale -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("distribution", EXPECTED)
def test_the_error_on_a_quadratic_is_the_predicted_one(distribution: str) -> None:
    problem = Quadratic()
    found = estimates(EvolutionStrategy(num_samples=SAMPLES, sigma=0.5, distribution=distribution), problem)
    errors = np.sum((found - problem.gradient) ** 2, axis=1) / (problem.gradient @ problem.gradient)
    allowed = 5.5 * errors.std() / np.sqrt(REPLICATES)  # the sampling error of the measured mean
    assert abs(errors.mean() - EXPECTED[distribution]) <= allowed + 1e-12


def test_gaussian_pairs_err_by_p_plus_one_over_n_and_wrong_scales_do_not(
    gaussian: tuple[Quadratic, np.ndarray],
) -> None:
    problem, found = gaussian
    low, high = relative_mse_bounds(REPLICATES, num_samples=SAMPLES, num_parameters=SIZE, false_alarm=FALSE_ALARM)
    expected = (SIZE + 1) / SAMPLES
    assert low * expected <= relative_mse(found, problem.gradient) <= high * expected
    for factor in (0.5, 2.0, 1 / 0.5, -1.0):  # sigma forgotten or squared, 2N for N, the sign
        assert not low * expected <= relative_mse(found * factor, problem.gradient) <= high * expected


def test_the_estimate_is_unbiased_and_has_the_gradients_length(gaussian: tuple[Quadratic, np.ndarray]) -> None:
    problem, found = gaussian
    g = problem.gradient
    slopes = found @ g / (g @ g)
    assert abs(slopes.mean() - 1.0) <= 5.5 * np.sqrt(2 / SAMPLES / REPLICATES)


def test_the_prediction_is_the_measured_formula() -> None:
    problem = Quadratic()
    objective = gradest.bind(problem)
    for distribution, expected in EXPECTED.items():
        estimator = EvolutionStrategy(num_samples=SAMPLES, distribution=distribution)
        prediction = estimator.predict(Situation(objective.layout, problem.gradient))
        assert prediction.relative_mse == pytest.approx(expected, rel=1e-12)


def test_every_sign_vector_of_spsa_gives_the_enumerated_slope() -> None:
    problem = Quadratic(shape=(5,), offset=0.3)
    objective = gradest.bind(problem)
    prepared = EvolutionStrategy(num_samples=1, sigma=0.1, distribution="rademacher").prepare(objective)
    signs = np.array(list(itertools.product([-1.0, 1.0], repeat=5)))
    enumerated = (signs @ problem.gradient)[:, None] * signs  # exact for a quadratic, at any sigma
    assert np.allclose(enumerated.mean(axis=0), problem.gradient)
    met = set()
    for seed in range(300):
        found = prepared(rng=seed).gradient["x"]
        distances = np.abs(enumerated - found).max(axis=1)
        assert distances.min() < 1e-12
        met.add(tuple(np.flatnonzero(distances < 1e-9)))
    assert len(met) == 16  # v and -v give the same estimate


def test_the_bias_is_that_of_the_smoothed_loss() -> None:
    problem, sigma = Steps(), 0.8
    found = estimates(EvolutionStrategy(num_samples=40, sigma=sigma), problem, 500)
    smoothed = problem.smoothed_gradient(sigma)
    error = found.std(axis=0) / np.sqrt(len(found))
    assert (np.abs(found.mean(axis=0) - smoothed) <= 5.5 * error).all()
    assert (np.abs(found.mean(axis=0) - problem.gradient) > 5.5 * error).any()  # which differs from the gradient


# -- baselines --------------------------------------------------------------------------------------------------

ONE_SIDED: dict[str, Any] = {"antithetic": False, "sigma": 0.1, "num_samples": 8}


@pytest.mark.parametrize("baseline", ["none", "value", "leave-one-out", "mean"])
def test_only_the_vanilla_estimate_depends_on_a_constant(baseline: str) -> None:
    estimator = EvolutionStrategy(baseline=baseline, **ONE_SIDED)
    low, high = (estimator(Quadratic(offset=offset), rng=0).gradient["x"] for offset in (0.0, 1000.0))
    assert np.allclose(low, high, rtol=1e-6, atol=1e-8) == (baseline != "none")
    pairs = EvolutionStrategy(num_samples=8, sigma=0.1)
    low, high = (pairs(Quadratic(offset=offset), rng=0).gradient["x"] for offset in (0.0, 1000.0))
    assert np.allclose(low, high, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("samples", [2, 3, 10])
def test_the_batch_mean_divides_by_n_minus_one(samples: int) -> None:
    arguments: dict[str, Any] = {**ONE_SIDED, "num_samples": samples}
    unbiased = EvolutionStrategy(baseline="leave-one-out", **arguments)(Quadratic(), rng=1).gradient["x"]
    shrunk = EvolutionStrategy(baseline="mean", **arguments)(Quadratic(), rng=1).gradient["x"]
    assert np.allclose(shrunk, (1 - 1 / samples) * unbiased, rtol=1e-12)


def test_two_directions_with_a_leave_one_out_baseline_have_scale_one() -> None:
    problem = Quadratic(curvature=0.0)
    g = problem.gradient
    arguments: dict[str, Any] = {**ONE_SIDED, "num_samples": 2}
    slopes = {}
    for baseline in ("leave-one-out", "mean"):
        found = estimates(EvolutionStrategy(baseline=baseline, **arguments), problem, 1200) @ g / (g @ g)
        slopes[baseline] = (found.mean(), 5.5 * found.std() / np.sqrt(len(found)))
    assert abs(slopes["leave-one-out"][0] - 1.0) <= slopes["leave-one-out"][1]
    assert abs(slopes["mean"][0] - 1.0) > slopes["mean"][1]  # the wrong divisor must show


@pytest.mark.parametrize("baseline", ["none", "value", "leave-one-out"])
def test_one_sided_errors_are_the_predicted_ones(baseline: str) -> None:
    problem = Quadratic()
    matrix, _ = problem.terms
    objective = gradest.bind(problem)
    estimator = EvolutionStrategy(baseline=baseline, antithetic=False, sigma=0.7, num_samples=SAMPLES)
    value = loss_at_start(objective)
    prediction = estimator.predict(Situation(objective.layout, problem.gradient, value=value, hessian=matrix))
    assert prediction is not None
    assert prediction.relative_mse is not None
    found = estimates(estimator, problem)
    errors = np.sum((found - problem.gradient) ** 2, axis=1) / (problem.gradient @ problem.gradient)
    assert abs(errors.mean() - prediction.relative_mse) <= 5.5 * errors.std() / np.sqrt(len(errors))
    assert prediction.relative_mse > (SIZE + 1) / SAMPLES


def test_value_baseline_returns_the_value() -> None:
    objective = gradest.bind(Quadratic())
    estimate = EvolutionStrategy(baseline="value", **ONE_SIDED)(objective, rng=0)
    assert estimate.value == pytest.approx(loss_at_start(objective))
    assert EvolutionStrategy()(objective, rng=0).value is None


# -- shaping ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shaping", "antithetic", "baseline"),
    [
        ("z-score", False, "none"),
        ("centered-rank", False, "none"),
        ("z-score", True, "none"),
        ("centered-rank", True, "none"),
        ("sign", True, "none"),
        ("sign", False, "value"),
        ("sign", False, "leave-one-out"),
    ],
)
def test_shaped_estimates_keep_the_direction_and_have_the_known_length(
    shaping: str, antithetic: bool, baseline: str
) -> None:
    lengths = []
    for offset in (0.7, 50.0):
        problem = Quadratic(curvature=0.0, offset=offset)
        estimator = EvolutionStrategy(
            num_samples=4000, sigma=0.1, shaping=shaping, antithetic=antithetic, baseline=baseline
        )
        assert estimator.target is Target.DIRECTION
        found = estimator(problem, rng=0).gradient["x"].reshape(-1)
        lengths.append(found @ problem.gradient / np.linalg.norm(problem.gradient))
    allowed = 5.5 * np.sqrt(2 / 4000)
    assert lengths[0] == pytest.approx(lengths[1], rel=1e-6)
    assert abs(lengths[0] / shaping_scale(shaping) - 1.0) <= allowed


def test_ranks_ignore_any_increasing_function_and_share_ties() -> None:
    fitness = np.array([[0.3, -1.0, 2.0, 0.3]])
    weights = shaped_weights(fitness, "centered-rank", 0.0)
    assert np.allclose(weights * 4, [0.0, -0.5, 0.5, 0.0])
    assert np.array_equal(weights, shaped_weights(np.exp(fitness), "centered-rank", 0.0))
    assert np.array_equal(shaped_weights(np.ones((2, 3)), "z-score", 0.0), np.zeros(3))
    values = np.array([[1.0, 4.0, 2.0], [0.5, 3.0, 7.0]])
    for far in (2.0**660, 2.0**-660):  # squares of which are infinite, or zero
        assert np.array_equal(shaped_weights(far * values, "z-score", 0.0), shaped_weights(values, "z-score", 0.0))


@pytest.mark.parametrize(
    "options",
    [
        {"shaping": "z-score"},
        {"shaping": "sign", "baseline": "leave-one-out"},
        {"baseline": "leave-one-out"},
        {"baseline": "mean"},
    ],
)
def test_a_loss_that_is_the_same_everywhere_has_no_direction(options: dict[str, Any]) -> None:
    # Seven times 0.1 over 7 is another number than 0.1, beside which all values would lie on one side.
    estimator = EvolutionStrategy(num_samples=7, antithetic=False, **options)
    with pytest.warns(gradest.FlatLossWarning):
        found = estimator(lambda x: 0.1 + 0.0 * float(x.sum()), np.zeros(3), rng=0)
    assert np.array_equal(found.gradient, np.zeros(3))


@pytest.mark.parametrize("chunk_size", [None, 1])
@pytest.mark.parametrize("baseline", ["none", "value", "leave-one-out", "mean"])
def test_values_that_are_not_finite_are_told_by_number_alone(baseline: str, chunk_size: int | None) -> None:
    estimator = EvolutionStrategy(num_samples=8, antithetic=False, baseline=baseline, chunk_size=chunk_size)
    with pytest.warns() as told:
        estimator(lambda x: np.inf if x[0] > 0.002 else float(x.sum()), np.zeros(3), rng=0)
    assert [w.category for w in told] == [gradest.NonFiniteWarning]


def test_values_that_have_no_rank_are_refused() -> None:
    with pytest.raises(NonFiniteError, match="1 of 3"):
        shaped_weights(np.array([[1.0, np.nan, 2.0]]), "centered-rank", 0.0)


# -- rounding -----------------------------------------------------------------------------------------------------


LARGE = Quadratic(offset=10.0)


def float32_estimate(sigma: float, **options: Any) -> Estimate:
    return EvolutionStrategy(sigma=sigma, num_samples=20, **options)(LARGE, dtype="float32", rng=0)


@pytest.mark.parametrize("options", [{}, {"antithetic": False, "baseline": "value"}, {"shaping": "centered-rank"}])
def test_a_radius_that_drowns_in_rounding_is_warned_of(options: dict[str, Any]) -> None:
    with pytest.warns(NoiseWarning, match="float32"):
        float32_estimate(1e-7, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        float32_estimate(1e-2, **options)
        EvolutionStrategy(sigma=1e-7, num_samples=20, **options)(LARGE, rng=0)


def test_exact_differences_do_not_cancel() -> None:
    forward = gradest.get_estimator("forward-gradient", num_samples=20)(LARGE, dtype="float32", rng=0)
    exact = float32_estimate(1e-7, differences="exact")
    with pytest.warns(NoiseWarning):
        plain = float32_estimate(1e-7)
    truth = np.asarray(forward.gradient["x"], dtype=np.float64)
    errors = [np.linalg.norm(e.gradient["x"] - truth) / np.linalg.norm(truth) for e in (exact, plain)]
    assert errors[0] <= 1e-5
    assert errors[1] > 1e-2


@pytest.mark.parametrize(
    "options", [{}, {"antithetic": False, "baseline": "value"}, {"antithetic": False, "baseline": "leave-one-out"}]
)
def test_exact_and_plain_differences_agree_where_rounding_is_small(options: dict[str, Any]) -> None:
    objective = gradest.bind(Steps())
    found = [
        EvolutionStrategy(num_samples=9, chunk_size=4, sigma=0.1, differences=kind, **options)(objective, rng=0)
        for kind in ("plain", "exact")
    ]
    assert np.allclose(found[0].gradient["x"], found[1].gradient["x"], rtol=1e-10, atol=1e-12)
    assert found[1].value == pytest.approx(loss_at_start(objective))


# -- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"baseline": "value"}, "antithetic=False"),
        ({"shaping": "z-score", "antithetic": False, "baseline": "mean"}, "baseline='none'"),
        ({"shaping": "sign", "antithetic": False}, "baseline='value'"),
        ({"num_samples": 1, "antithetic": False, "baseline": "leave-one-out"}, "num_samples=2"),
        ({"num_samples": 1, "antithetic": False, "shaping": "centered-rank"}, "num_samples=2"),
        ({"antithetic": False, "differences": "exact"}, "baseline='value'"),
        ({"differences": "precise"}, "differences"),
        ({"sigma": 0.0}, "sigma"),
        ({"sigma": float("nan")}, "sigma"),
        ({"num_samples": 0}, "num_samples"),
        ({"chunk_size": 0}, "chunk_size"),
        ({"memory_budget_bytes": -1}, "memory_budget_bytes"),
    ],
)
def test_combinations_that_mean_nothing_are_refused(options: dict[str, Any], hint: str) -> None:
    with pytest.raises(InvalidInputError, match=hint):
        EvolutionStrategy(**options)


@pytest.mark.parametrize("options", [{"distribution": "gauss"}, {"baseline": "median"}, {"shaping": "rank"}])
def test_unknown_names_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UnknownNameError):
        EvolutionStrategy(**options)


def test_a_mean_baseline_is_said_to_shrink_and_one_sided_coordinates_are_refused() -> None:
    assert EvolutionStrategy(antithetic=False, baseline="mean").target is Target.DIRECTION
    with pytest.raises(InvalidInputError, match="order sigma"):
        EvolutionStrategy(antithetic=False, baseline="value", distribution="coordinates")
