"""Residual feedback and momentum-guided ES: their error given what they remember, their costs, their states.

Bounds are those of `ratio_bounds` at the false-alarm probability below, for each test; seeds are fixed.
"""

import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import gradest
from gradest import InvalidInputError, Objective, Situation, theory
from gradest.estimators import MomentumGuidedES, ResidualFeedback
from gradest.operations import NumpyArray
from gradest.testing.statistics import ratio_bounds

FALSE_ALARM = 1e-5
REPLICATES = 1000
BACKENDS = ["numpy", "jax", "torch", "mxnet"]
BOTH: list[Any] = [ResidualFeedback(num_samples=6), MomentumGuidedES(num_samples=6)]
QUADRATIC: Any = gradest.get_problem("quadratic", size=6, condition=10.0)
LINEAR: Any = gradest.get_problem("quadratic", size=6, condition=0)


def exact(objective: Objective, x: NumpyArray | None = None) -> NumpyArray:
    params = None if x is None else {"x": x}
    return np.asarray(gradest.get_estimator("analytic")(objective, params).gradient["x"])


def is_as_predicted(squares: NumpyArray, value: float | None) -> bool:
    assert value is not None
    low, high = ratio_bounds(squares, FALSE_ALARM)
    return bool(low <= squares.mean() / value <= high)


def errors(run: Any, states: list[Any], gradient: NumpyArray, **at: Any) -> NumpyArray:
    """Return the squared errors of one estimate from each state, and require that their mean is the gradient."""
    found = np.stack([run(state=state, rng=10_000 + k, **at)[0].gradient["x"] for k, state in enumerate(states)])
    deviation = found.std(axis=0, ddof=1) / np.sqrt(len(found))
    # 6 entries: |z| < 5.4 has a false alarm of 4e-7 by the normal law, to which means of 1,000 are near.
    assert (np.abs(found.mean(axis=0) - gradient) < 5.4 * deviation + 1e-12).all()
    return np.asarray(np.sum((found - gradient) ** 2, axis=1) / (gradient @ gradient))


# -- residual feedback -----------------------------------------------------------------------------------------------


def after_one(run: Any) -> list[Any]:
    return [run(state=run.init_state(), rng=seed)[1] for seed in range(REPLICATES)]


@pytest.mark.parametrize("state", ["none", "of an estimate before"])
def test_residual_feedback_errs_as_predicted_where_the_parameters_stay(state: str) -> None:
    objective = gradest.bind(QUADRATIC)
    estimator = ResidualFeedback(num_samples=3, sigma=1.0)
    gradient = exact(objective)
    at = Situation(objective.layout, gradient, hessian=QUADRATIC.data()["H"])
    value: Any = estimator.predict(at).relative_mse
    run = estimator.prepare_run(objective)
    squares = errors(run, [None] * REPLICATES if state == "none" else after_one(run), gradient)
    assert is_as_predicted(squares, value)
    pairs = (6 + 1) / 3
    without_curvature = estimator.predict(Situation(objective.layout, gradient)).relative_mse
    assert value is not None
    assert not any(is_as_predicted(squares, mutant) for mutant in (pairs, without_curvature, value / 3, 3 * value))


def test_a_step_of_the_parameters_adds_what_the_loss_changed_by() -> None:
    objective, sigma = gradest.bind(LINEAR), 0.5
    run = ResidualFeedback(num_samples=3, sigma=sigma).prepare_run(objective)
    gradient, start = exact(objective), np.asarray(objective.start[0])
    moved = {"x": start - 0.4 * gradient}
    change = 0.4 * gradient @ gradient
    predicted = float(2 * 6 + 1 + 6 * change**2 / sigma**2 / (gradient @ gradient)) / 3
    squares = errors(run, after_one(run), gradient, params=moved)
    assert is_as_predicted(squares, float(predicted))
    assert not is_as_predicted(squares, (2 * 6 + 1) / 3)


def test_a_constant_in_the_loss_changes_no_estimate() -> None:
    found = []
    for offset in (0.0, 1000.0):
        run = BOTH[0].prepare_run(gradest.bind(gradest.get_problem("quadratic", size=6, offset=offset)))
        first, state = run(state=None, rng=0)
        found.append((first.gradient["x"], run(state=state, rng=1)[0].gradient["x"]))
    np.testing.assert_allclose(found[1], found[0], rtol=1e-8)


def test_residual_feedback_pays_for_one_value_a_direction_and_remembers_it() -> None:
    objective = gradest.bind(QUADRATIC)
    run = BOTH[0].prepare_run(objective)
    first, state = run(state=run.init_state(), rng=0)
    later, state = run(state=state, rng=1)
    assert (first.cost, later.cost) == (gradest.Cost(values=12), gradest.Cost(values=6))
    assert objective.counts == gradest.Cost(values=18)
    assert later.state_bytes == 6 * 8
    with pytest.raises(InvalidInputError, match="mean is not zero"):
        ResidualFeedback(distribution="coordinates")


# -- guided by momentum ----------------------------------------------------------------------------------------------


def momentum_with(gradient: NumpyArray, share: float) -> NumpyArray:
    """Return a vector along which the squared gradient has a share."""
    across = np.random.default_rng(3).standard_normal(gradient.size)
    unit = gradient / np.linalg.norm(gradient)
    across -= (across @ unit) * unit
    return 7.0 * (np.sqrt(share) * unit + np.sqrt(1 - share) * across / np.linalg.norm(across))


@pytest.mark.parametrize("share", [0.0, 0.6, 1.0])
def test_the_error_given_a_momentum_is_as_predicted(share: float) -> None:
    objective = gradest.bind(QUADRATIC)
    run, gradient = MomentumGuidedES(num_samples=3, sigma=0.1).prepare_run(objective), exact(objective)
    state = momentum_with(gradient, share)
    squares = errors(run, [state] * REPLICATES, gradient)
    if share == 1.0:
        assert squares.max() < 1e-20  # nothing is left to chance
        return
    predicted = theory.predict_momentum_guided(num_parameters=6, num_samples=3, share=share).relative_mse
    assert is_as_predicted(squares, predicted)
    mutants = [(1 - share) * 6 / 3, (1 - share) * 7 / 2, 2 * (1 - share) * 6 / 2]
    assert not any(is_as_predicted(squares, mutant) for mutant in mutants)


def test_a_first_estimate_is_plain_antithetic_es() -> None:
    objective = gradest.bind(QUADRATIC)
    found = BOTH[1].prepare(objective)(rng=5).gradient["x"]
    plain = gradest.get_estimator("es", num_samples=6)(objective, rng=5).gradient["x"]
    np.testing.assert_allclose(found, plain, rtol=1e-12)
    at = Situation(objective.layout, exact(objective))
    assert BOTH[1].predict(at).relative_mse == pytest.approx(7 / 6)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_the_momentum_is_the_fading_sum_of_the_estimates(momentum: float) -> None:
    run = MomentumGuidedES(num_samples=4, momentum=momentum).prepare_run(gradest.bind(QUADRATIC))
    state, wanted = run.init_state(), np.zeros(6)
    for seed in range(4):
        estimate, state = run(state=state, rng=seed)
        wanted = momentum * wanted + estimate.gradient["x"]
    np.testing.assert_allclose(state, wanted, rtol=1e-12)
    assert estimate.state_bytes == 6 * 8


def test_an_estimate_of_nan_is_told_and_not_remembered() -> None:
    run = BOTH[1].prepare_run(gradest.bind(lambda x: np.sqrt(x).sum() + 0 * x[0], np.full(3, 1.0)))
    _, state = run(state=run.init_state(), rng=0)
    with np.errstate(invalid="ignore"), pytest.warns(gradest.NonFiniteWarning):
        bad, after = run(np.full(3, 1e-3), state=state, rng=1)
    assert not np.isfinite(bad.gradient).all()
    assert np.array_equal(after, state)


def test_a_run_at_one_point_errs_less_than_plain_pairs() -> None:
    objective = gradest.bind(gradest.get_problem("quadratic", size=60))
    run, gradient = MomentumGuidedES(num_samples=8).prepare_run(objective), exact(objective)
    state, squares = run.init_state(), []
    for seed in range(120):
        estimate, state = run(state=state, rng=seed)
        squares.append(np.sum((estimate.gradient["x"] - gradient) ** 2) / (gradient @ gradient))
    # In its steady state the momentum has a share w of the squared gradient; 61 / 8 is the error without it.
    assert np.mean(squares[40:]) < 0.5 * 61 / 8


@pytest.mark.parametrize("wrong", [{"momentum": 1.0}, {"momentum": -0.1}, {"num_samples": 1}])
def test_hyper_parameters_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(wrong))):
        MomentumGuidedES(**wrong)


# -- what is not finite ----------------------------------------------------------------------------------------------


def above(x: NumpyArray) -> float:
    """Return a loss that is NaN where the first entry is not positive."""
    return float(np.sqrt(x[0]) + x.sum()) if x[0] > 0 else float("nan")


def test_values_of_nan_are_told_and_not_remembered() -> None:
    inside, beside = np.ones(3), np.array([1e-3, 1.0, 1.0])
    run = ResidualFeedback(num_samples=5).prepare_run(gradest.bind(above, inside))
    _, state = run(state=run.init_state(), rng=0)
    with pytest.warns(gradest.NonFiniteWarning, match="of 10 function values"):
        bad, after = run(beside, state=state, rng=1)
    assert not np.isfinite(bad.gradient).all()
    assert np.array_equal(after, state)
    good, _ = run(inside, state=after, rng=2)
    assert np.isfinite(good.gradient).all()


def test_nan_among_the_values_that_a_first_estimate_subtracts_is_told() -> None:
    # Of one direction each, the value that is NaN is at times that which is subtracted, at times the other.
    run = ResidualFeedback(num_samples=1).prepare_run(gradest.bind(above, np.ones(3)))
    silent = 0
    for seed in range(20):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            found, _ = run(np.array([1e-3, 1.0, 1.0]), state=run.init_state(), rng=seed)
        assert bool(told) == (not np.isfinite(found.gradient).all())
        silent += not told
    assert 0 < silent < 20


# -- both ------------------------------------------------------------------------------------------------------------


def two(estimator: Any, objective: Objective, **options: Any) -> tuple[NumpyArray, NumpyArray]:
    """Return the first two estimates of a run, the state pickled between them."""
    run = estimator.prepare_run(objective, **options)
    first, state = run(state=run.init_state(), rng=0)
    second, _ = run(state=pickle.loads(pickle.dumps(state)), rng=1)
    flat = objective.layout.flatten
    numpy = objective.backend.numpy
    one, other = (flat([np.asarray(numpy(x)) for x in found.gradient.values()]) for found in (first, second))
    return one, other


@pytest.mark.parametrize("estimator", BOTH, ids=lambda e: e.name)
def test_a_state_of_another_size_is_refused_and_a_list_is_taken(estimator: Any) -> None:
    run = estimator.prepare_run(gradest.bind(QUADRATIC))
    _, state = run(state=run.init_state(), rng=0)
    for other in (state[:1], state[:4], state[:, None], 1.0):
        with pytest.raises(InvalidInputError, match=r"shape \(6,\); found one of shape"):
            run(state=other, rng=1)
    found, listed = (run(state=each, rng=1)[0].gradient["x"] for each in (state, state.tolist()))
    assert np.array_equal(found, listed)


@pytest.mark.parametrize("estimator", BOTH, ids=lambda e: e.name)
@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_a_run_is_the_same_on_every_backend(backend: str, estimator: Any) -> None:
    problem = gradest.get_problem("mlp", dataset="iris", widths=(4,), batch=8)
    here, there = (two(estimator, gradest.bind(problem, backend=name)) for name in ("numpy", backend))
    np.testing.assert_allclose(there, here, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("estimator", BOTH, ids=lambda e: e.name)
def test_a_run_is_the_same_for_every_chunk_size_and_on_workers(estimator: Any) -> None:
    objective = gradest.bind(QUADRATIC)
    wanted = two(estimator, objective)
    chunked = type(estimator)(num_samples=6, chunk_size=2)
    np.testing.assert_allclose(two(chunked, objective), wanted, rtol=1e-10)
    with ThreadPoolExecutor(2) as pool:
        np.testing.assert_allclose(two(chunked, objective, executor=pool), two(chunked, objective), rtol=0.0)


@pytest.mark.parametrize("estimator", BOTH, ids=lambda e: e.name)
def test_replicates_of_a_measurement_start_afresh(estimator: Any) -> None:
    prepared = estimator.prepare(gradest.bind(QUADRATIC))
    one = prepared(rng=3)
    prepared(rng=4)
    again = prepared(rng=3)
    assert np.array_equal(one.gradient["x"], again.gradient["x"])
    assert one.state_bytes == 6 * 8
    (result,) = gradest.compare(
        QUADRATIC,
        estimators=[estimator.name],
        backends=["numpy"],
        dtypes=["float64"],
        replicates=200,
        budget_seconds=0.01,
    )
    measured: Any = result.replicates
    predicted: Any = result.predicted
    assert abs(measured.relative_mse - predicted.relative_mse) < 5 * measured.relative_mse_error
