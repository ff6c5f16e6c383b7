"""The step of a finite difference: its order, its optimum, its refusal where it vanishes, measured noise."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import gradest
from gradest.estimators.finite_difference import FiniteDifference
from gradest.finite_differences.noise_level import EVALUATIONS, noise_level
from gradest.finite_differences.steps import displacement, steps_of
from gradest.theory import difference_optimum

POINTS = np.random.default_rng(3).uniform(0.5, 1.5, 64)


def exponential(x: npt.NDArray[Any]) -> Any:
    """A loss of one parameter, all of whose derivatives are known."""
    return np.exp(x).sum()


def median_error(estimator: FiniteDifference, dtype: str = "float64") -> float:
    errors = []
    for point in POINTS.astype(dtype):
        found = estimator(exponential, np.array([point])).gradient[0]
        errors.append(abs(float(found) / float(np.exp(np.longdouble(point))) - 1))
    return float(np.median(errors))


@pytest.mark.parametrize(
    ("scheme", "order", "steps"),
    [
        ("forward", None, (1e-2, 1e-4)),
        ("backward", None, (1e-2, 1e-4)),
        ("central", 2, (1e-1, 1e-3)),
        ("central", 4, (2e-1, 2e-2)),
        ("central", 6, (4e-1, 8e-2)),
    ],
)
def test_the_error_falls_with_the_order_of_the_scheme(
    scheme: str, order: int | None, steps: tuple[float, float]
) -> None:
    errors = [median_error(FiniteDifference(scheme=scheme, order=order, step=s, step_mode="absolute")) for s in steps]
    slope = np.log(errors[0] / errors[1]) / np.log(steps[0] / steps[1])
    assert slope == pytest.approx(order or 1, abs=0.1)


def test_below_the_optimum_the_error_grows_as_one_over_the_step() -> None:
    steps = (1e-8, 1e-11)
    errors = [median_error(FiniteDifference(step=s, step_mode="absolute")) for s in steps]
    assert np.log(errors[0] / errors[1]) / np.log(steps[0] / steps[1]) == pytest.approx(-1, abs=0.2)


@pytest.mark.filterwarnings("ignore:a gradient by finite differences was asked for; rounding:gradest.NoiseWarning")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("scheme", "order", "rule"), [("forward", None, "forward"), ("central", 2, "central")])
def test_the_best_step_is_near_theory_s_and_so_is_the_automatic_one(
    dtype: str, scheme: str, order: int | None, rule: str
) -> None:
    best, predicted = difference_optimum(rule, noise=float(np.finfo(dtype).eps) * math.e / 2, derivative_bound=math.e)
    curve = {
        factor: median_error(FiniteDifference(scheme=scheme, order=order, step=best * factor), dtype)
        for factor in (1e-3, 0.03, 0.3, 1.0, 3.0, 30.0, 1e3)
    }
    assert min(curve.values()) <= predicted
    assert 0.03 < min(curve, key=lambda factor: curve[factor]) < 30
    assert curve[1e3] > 30 * curve[1.0]
    assert curve[1e-3] > 30 * curve[1.0]
    assert median_error(FiniteDifference(scheme=scheme, order=order), dtype) <= 2 * predicted


@pytest.mark.parametrize("scheme", ["forward", "backward", "central"])
@pytest.mark.parametrize(("dtype", "step"), [("float64", 1e-20), ("float32", 1e-9)])
def test_a_step_that_vanishes_is_refused_before_anything_is_evaluated(scheme: str, dtype: str, step: float) -> None:
    objective = gradest.bind(gradest.get_problem("quadratic"), dtype=dtype)
    with pytest.raises(gradest.StepTooSmallError, match="vanishes beside 'x' entry"):
        FiniteDifference(scheme=scheme, step=step, step_mode="absolute").prepare(objective)()
    assert objective.counts == gradest.Cost()


def test_a_step_to_one_side_must_be_felt_on_that_side() -> None:
    """Below a power of two numbers lie twice as close as above it."""
    params, step = np.array([1.0]), 0.4 * 2.0**-52
    with pytest.raises(gradest.StepTooSmallError, match="entry 0"):
        FiniteDifference(scheme="forward", step=step)(np.sum, params)
    with pytest.warns(gradest.NoiseWarning, match="take a longer step"):  # it is one spacing long
        assert FiniteDifference(scheme="backward", step=step)(np.sum, params).gradient.tolist() == [1.0]


def test_entries_that_do_not_follow_each_other_are_put_in_their_places() -> None:
    """Those that do are one slice of a block, of which the others are not."""
    params = np.arange(1.0, 8.0)
    for chosen in ((0, 2, 4), (1, 2, 3), (0, 1, 5, 6)):
        found = FiniteDifference(scheme="central", coordinates=chosen)(lambda x: (x**2).sum(), params).gradient
        expected = np.where(np.isin(np.arange(7), chosen), 2 * params, 0.0)
        np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_a_large_parameter_is_what_a_step_vanishes_beside() -> None:
    params = np.array([1.0, 1e12])
    with pytest.raises(gradest.StepTooSmallError, match="entry 1"):
        FiniteDifference(step=1e-6, step_mode="absolute")(exponential_of_small, params)
    with pytest.warns(gradest.NoiseWarning, match="rounding or noise of the loss"):  # the other entry's change is lost
        found = FiniteDifference(step=1e-6)(exponential_of_small, params).gradient
    assert found.tolist() == [0.0, pytest.approx(1e-12, rel=1e-3)]


def exponential_of_small(x: npt.NDArray[Any]) -> Any:
    return (x * 1e-12).sum()


def test_an_exact_difference_takes_a_step_that_vanishes() -> None:
    objective = gradest.bind(gradest.get_problem("logsumexp"))
    estimate = FiniteDifference(differences="exact", step=1e-30).prepare(objective)()
    x = np.asarray(objective.start[0], dtype=np.longdouble)
    np.testing.assert_allclose(estimate.gradient["x"], np.exp(x) / np.exp(x).sum(), rtol=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64", "longdouble"])
def test_displacements_are_distances_between_numbers_of_the_dtype(dtype: str) -> None:
    x = (np.random.default_rng(0).standard_normal(500) * 100).astype(dtype)
    step = np.asarray(1e-3, dtype=dtype)
    moved = displacement(x, step, 1.0, x.dtype.name)
    assert moved.dtype == x.dtype
    assert np.array_equal((x + moved) - x, moved)
    assert not np.array_equal(moved, np.full_like(x, step))


def test_step_modes_scale_with_the_entry_with_the_block_or_with_nothing() -> None:
    blocks = (np.array([3.0, -4.0, 0.0]), np.zeros(2))
    relative, absolute, block = (steps_of(blocks, 0.1, mode) for mode in ("relative", "absolute", "block"))
    np.testing.assert_allclose(np.concatenate(relative), [0.3, 0.4, 0.1, 0.1, 0.1])
    np.testing.assert_allclose(np.concatenate(absolute), 0.1)
    np.testing.assert_allclose(np.concatenate(block), [0.1 * np.sqrt(25 / 3)] * 3 + [0.1] * 2)


def test_the_size_of_a_block_is_found_whatever_its_squares_are_and_of_no_entries_too() -> None:
    blocks = (np.array([3e200, -4e200]), np.array([3e-200, 4e-200]), np.zeros((0, 3)))
    large, small, empty = steps_of(blocks, 0.1, "block")
    np.testing.assert_allclose(large, 0.1 * np.sqrt(12.5) * 1e200)
    np.testing.assert_allclose(small, 0.1 * np.sqrt(12.5) * 1e-200)
    assert empty.size == 0


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64])
def test_a_step_may_be_a_number_of_numpy_s(kind: Any) -> None:
    for name in ("fd-central", "fd-richardson", "complex-step"):
        found = gradest.get_estimator(name, step=kind(1))(lambda x: (x * x).sum(), POINTS[:3]).gradient
        np.testing.assert_allclose(found, 2 * POINTS[:3])


@pytest.mark.parametrize(("dtype", "largest"), [("float16", 65504.0), ("float32", 3.4028235e38)])
@pytest.mark.parametrize("options", [{}, {"order": 4}, {"step": "noise"}])
def test_next_to_the_largest_number_a_loss_is_told_to_be_not_finite(
    dtype: str, largest: float, options: dict[str, Any]
) -> None:
    x = np.array([0.5 * largest, largest], dtype)
    with pytest.warns() as told:
        found = FiniteDifference(**options)(lambda p: float((p.astype(np.float64) / largest).sum()), x, rng=0)
    assert {w.category for w in told} == {gradest.NonFiniteWarning}
    assert not np.isfinite(found.gradient[1])


@pytest.mark.parametrize("sigma", [1e-10, 1e-4])
def test_the_noise_of_a_function_is_measured_within_a_factor_of_two(sigma: float) -> None:
    generator = np.random.default_rng(11)
    t = np.linspace(0.0, 1e-4 if sigma > 1e-6 else 1e-8, EVALUATIONS)
    found = [noise_level(np.sin(3 * t) + sigma * generator.standard_normal(EVALUATIONS)) for _ in range(200)]
    levels = [level for level in found if level is not None]
    assert len(levels) > 190
    assert np.median(levels) == pytest.approx(sigma, rel=0.5)
    assert noise_level(np.exp(np.linspace(0.0, 1.0, EVALUATIONS))) is None


def test_a_step_from_measured_noise_serves_a_noisy_loss_where_the_automatic_one_fails() -> None:
    generator = np.random.default_rng(5)

    def noisy(x: npt.NDArray[Any]) -> Any:
        return np.exp(x).sum() + 1e-6 * generator.standard_normal()

    params = np.array([0.3, 1.1, -0.4])

    def error(step: str) -> float:
        estimates = [FiniteDifference(step=step)(noisy, params, rng=0).gradient for _ in range(20)]
        return float(np.median([np.linalg.norm(g - np.exp(params)) for g in estimates]))

    measured = error("noise")  # and is told of no noise, which would be an error here: it was asked to measure it
    with pytest.warns(gradest.NoiseWarning, match="differ by"):
        assert measured < 1e-2 < 0.05 < error("auto")


def test_measuring_noise_costs_what_is_stated() -> None:
    objective = gradest.bind(gradest.get_problem("mlp", batch=8, widths=(4,)), dtype="float32")
    prepared = FiniteDifference(step="noise").prepare(objective)
    prepared(rng=0)
    assert objective.counts == prepared.cost
    assert prepared.cost.values == 2 * objective.layout.num_parameters + EVALUATIONS


@pytest.mark.parametrize("name", ["fd-forward", "fd-central", "fd-richardson"])
@pytest.mark.parametrize("empty", ["a", "z"])
def test_a_coarse_block_without_entries_has_no_part_in_the_step(name: str, empty: str) -> None:
    """Steps of float64 parameters were those of single precision beside it."""
    x = np.array([0.3, 0.7, 1.1])

    def loss(p: Any) -> float:
        return float(np.sum(np.sin(p["w"])))

    estimator = gradest.get_estimator(name)
    beside = estimator(loss, {"w": x, empty: np.zeros(0, np.float32)}).gradient["w"]
    assert np.array_equal(beside, estimator(loss, {"w": x}).gradient["w"])


@pytest.mark.parametrize("size", [0.0, 1e-310])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.filterwarnings("ignore:the loss is 0 at all")  # which it is, of size 0
def test_a_step_from_the_noise_of_a_loss_of_zero_is_no_step_of_zero(size: float, dtype: str) -> None:
    """Half a spacing there is no number: a hinge loss that nothing violates had a step that vanishes."""
    found = FiniteDifference(step="noise")(lambda x: size * x.sum(), np.array([2.0, 3.0], dtype), rng=0).gradient
    np.testing.assert_allclose(found, np.full(2, size, dtype), rtol=1e-9)


@pytest.mark.parametrize("scheme", ["forward", "backward"])
@pytest.mark.parametrize("error", [False, True])
def test_a_step_to_one_side_suits_the_length_on_which_a_quadratic_loss_bends(scheme: str, error: bool) -> None:
    """Quotients of both sides are the same at every length of it, and were all that was looked at: off by twice it."""
    x, size = np.array([1e-8, -5e-9]), 1e-8
    estimator = FiniteDifference(scheme=scheme, error=error)
    found = estimator(lambda p: ((p / size) ** 2).sum(), x).gradient
    np.testing.assert_allclose(found, 2 * x / size**2, 1e-6)
    beside = np.array([1 + 1e-6, 1 - 1e-5])  # the least value
    found = estimator(lambda p: 1e6 * ((p - 1) ** 2).sum(), beside).gradient
    np.testing.assert_allclose(found, 2e6 * (beside - 1), 1e-6)


def test_lengths_of_one_side_cost_no_more_where_a_loss_bends_as_presumed() -> None:
    calls = []

    def loss(p: Any) -> Any:
        calls.append(p)
        return np.exp(p).sum()

    FiniteDifference(scheme="forward", error=True)(loss, np.linspace(0.0, 1.0, 4))
    assert len(calls) <= 30
