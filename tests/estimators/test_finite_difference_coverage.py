"""The errors that differences state hold over the closed forms of the literature, or the entry is flagged."""

import warnings
from itertools import product
from typing import Any

import numpy as np
import pytest
from support.closed_forms import FORMS, logsumexp, reference
from support.difference_coverage import ESTIMATORS, coverage
from support.turns import shared_out

import gradest
from gradest.estimators.finite_difference import FiniteDifference
from gradest.estimators.richardson import Richardson
from gradest.finite_differences.statuses import Status
from gradest.testing import check_estimator

ALL = [
    *(gradest.get_estimator(name, error=True) for name in ("fd-forward", "fd-backward", "fd-central")),
    *(FiniteDifference(order=order) for order in (4, 6, 8)),
    *(gradest.get_estimator("fd-richardson", levels=levels) for levels in (2, 3, 5)),
]
NAMES = [f"{e.name} {getattr(e, 'order', None) or getattr(e, 'levels', '')}" for e in ALL]


def test_there_are_sixty_closed_forms_and_their_references_are_right() -> None:
    assert sum(form.well_scaled for form in FORMS) >= 60
    by_hand = {
        "rosenbrock": [-215.6, 792.0, -655.6, -88.0],
        "log-graph": [12.5, 10.0],
        "cubic-graph": [24.0, 4.0],
        "exp": np.exp([0.0, 1.0, -2.0]),
        "cosh": np.sinh([0.5, 3.0, -2.0]),
    }
    for form in FORMS:
        if form.name in by_hand:
            np.testing.assert_allclose(
                reference(form, np.array(form.x, float)).astype(float), by_hand[form.name], 1e-13
            )


GROUPS: dict[str, tuple[str, tuple[int, ...]]] = {
    "literature": ("literature", ()),
    "literature-moved": ("literature", (31,)),
    "further-moved": ("further", (31, 977)),
}
COVERED = shared_out(product(("float64", "float32"), GROUPS, ESTIMATORS))  # hundreds of entries each


@pytest.mark.parametrize(("dtype", "group", "name"), COVERED)
def test_stated_errors_hold_in_nearly_all_entries_or_are_flagged(dtype: str, group: str, name: str) -> None:
    """The moved points are such as nothing was made on."""
    forms, draws = GROUPS[group]
    found = coverage(ESTIMATORS[name], dtype, group=forms, draws=draws)
    assert found.covered >= 0.99
    assert found.flagged <= 0.02
    assert found.generosity <= 100


@pytest.mark.parametrize(("method", "within"), [("fd-forward", 0.03), ("fd-central", 0.01)])
@pytest.mark.parametrize("size", [1e-8, 1.0, 1e8])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_step_from_noise_is_the_same_for_a_loss_of_any_size(
    method: str, within: float, size: float, dtype: str
) -> None:
    """Noise is held against what the loss varies by: by itself it made steps that vanish, or are longer than a turn."""
    x, one = np.array([1.0, 0.4], dtype), np.dtype(dtype).type
    found = gradest.get_estimator(method, step="noise")(lambda p: one(size * np.sin(p).sum()), x, rng=0).gradient
    np.testing.assert_allclose(found / size, np.cos(x.astype(float)), within)


def test_noise_beside_a_large_constant_has_a_long_step() -> None:
    x = np.array([1.0, 0.4], np.float32)
    found = FiniteDifference(step="noise")(lambda p: np.float32(1e4 + np.sin(p).sum()), x, rng=0).gradient
    np.testing.assert_allclose(found, np.cos(x.astype(float)), 0.05)  # a step for its dtype alone is off by a quarter


@pytest.mark.parametrize("order", [2, 8])
def test_steps_end_where_the_domain_of_a_loss_does(order: int) -> None:
    x = np.array([0.5, 0.3, 0.1], np.float32)
    found = FiniteDifference(order=order)(lambda p: np.float32((p * np.log(p)).sum()), x).gradient
    np.testing.assert_allclose(found, np.log(x.astype(float)) + 1, 2e-3)


@pytest.mark.parametrize("method", ["fd-forward", "fd-central", "fd-five-point", "fd-richardson"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_small_oscillation_beside_a_steep_trend_is_found(method: str, dtype: str) -> None:
    """Over steps longer than it the quotients tell the slope of the trend alone, and agree with each other."""
    x = np.array([96513.0], dtype)
    found = gradest.get_estimator(method)(lambda p: np.dtype(dtype).type((5 * p + np.sin(p)).sum()), x).gradient
    assert found[0] == pytest.approx(5 + np.cos(96513.0), abs=0.15 if dtype == "float32" else 1e-4)


@pytest.mark.parametrize("method", ["fd-forward", "fd-central", "fd-five-point", "fd-richardson"])
@pytest.mark.parametrize("offset", [1e4, 1e6])
def test_rounding_inside_a_loss_is_no_bend(method: str, offset: float) -> None:
    """Digits that a loss loses inside make steps of it, level between: a slope of zero is none to compare with."""
    x = np.linspace(0.1, 1.5, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = gradest.get_estimator(method)(lambda p: np.sum(np.sin((p + offset) - offset)), x).gradient
    assert np.max(np.abs(found / np.cos(x) - 1)) < 0.05


@pytest.mark.parametrize("method", ["fd-forward", "fd-central", "fd-five-point", "fd-richardson"])
@pytest.mark.parametrize("x", [1e-2, 1e-4])
def test_what_a_loss_rounds_inside_is_not_the_slope_on_one_of_its_stairs(method: str, x: float) -> None:
    """Near points lay on one stair of `cos(x)`, of the slope of `1 / x^2`: of -8e-6 the gradient was -10000."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gradest.NoiseWarning)  # the loss is mostly rounding there, as some methods say
        found = gradest.get_estimator(method)(lambda p: ((1 - np.cos(p)) / p**2).sum(), np.array([x])).gradient
    assert abs(found[0] + x / 12) < (0.2 if method == "fd-forward" else 1e-3)


@pytest.mark.parametrize("options", [{}, {"error": True}])
def test_a_loss_that_does_not_change_over_the_steps_is_told_with_errors_stated_too(options: dict[str, Any]) -> None:
    """The first look, further away than the steps go, sees it change."""

    def loss(p: Any) -> Any:  # 0.014 below the next number that float32 rounds it to
        return np.float32(1e6 + 0.267 + 0.05 * (float(p[0]) - 10.0))

    with pytest.warns(gradest.FlatLossWarning, match=r"the loss is 1e\+06 at all"):
        gradest.get_estimator("fd-central", **options)(loss, np.array([10.0], np.float32))


def test_errors_that_are_stated_much_too_small_would_be_seen() -> None:
    assert coverage(ESTIMATORS["richardson"], "float64", shrunk=30.0).covered < 0.95


def test_differences_of_logsumexp_at_1000_have_steps_that_suit_it() -> None:
    x = np.array([1000.0, 1001.0, 1002.0])
    exact = np.exp(x - x.max()) / np.exp(x - x.max()).sum()
    for estimator in (*ALL, gradest.get_estimator("fd-central"), gradest.get_estimator("fd-central", step="noise")):
        found = estimator(logsumexp, x, rng=0).gradient
        np.testing.assert_allclose(
            found, exact, atol=2e-6 if "central" in repr(estimator) or "Rich" in repr(estimator) else 1e-4
        )


@pytest.mark.parametrize(
    ("loss", "at", "right"),
    [
        (lambda p: ((p / 1e-6) ** 3).sum(), 2e-6, 1.2e7),
        (lambda p: np.sin(p).sum(), 1e10, np.cos(1e10)),
        (lambda p: (5 * p + np.sin(p)).sum(), 1e5, 5 + np.cos(1e5)),
    ],
)
@pytest.mark.parametrize("step", ["auto", "noise"])
def test_steps_suit_the_length_on_which_a_loss_bends(loss: Any, at: float, right: float, step: str) -> None:
    found = FiniteDifference(step=step)(loss, np.array([at]), rng=1).gradient[0]
    assert found == pytest.approx(right, rel=1e-4)


@pytest.mark.parametrize("method", ["fd-forward", "fd-central", "fd-richardson"])
def test_each_entry_of_a_small_vector_has_a_step_of_its_own_length(method: str) -> None:
    """The eight largest were looked at: the ninth was taken for one that bends a thousand times as gradually."""
    scales = np.array([1e-12, 1e-9, 1e-6, 1e-3, 1.0, 1e3, 1e6, 1e9, 1e12])
    found = gradest.grad(lambda p: np.sin(p / scales).sum(), method=method)(1.3 * scales)
    np.testing.assert_allclose(found * scales, np.cos(1.3), rtol=1e-2 if method == "fd-forward" else 1e-4)


def test_a_typical_size_shortens_steps_and_one_that_is_no_size_is_refused() -> None:
    def cubes(p: np.ndarray) -> Any:
        return ((p / 1e-6) ** 3).sum()

    objective = gradest.bind(cubes, np.array([2e-6]), verify=False)  # which leaves nothing but the size to go by
    assert FiniteDifference(scale=1e-6).prepare(objective)().gradient[0] == pytest.approx(1.2e7, rel=1e-6)
    assert FiniteDifference().prepare(objective)().gradient[0] != pytest.approx(1.2e7, rel=0.5)
    for wrong in (0.0, -1.0, float("nan"), float("inf"), [1.0, 0.0], {"p": -1.0}):
        with pytest.raises(gradest.InvalidInputError, match="scale"):
            FiniteDifference(scale=wrong)
    for no_size in (True, "1", [[1.0], [1.0, 2.0]], {"p": None}):
        with pytest.raises(gradest.InvalidTypeError, match="scale"):
            FiniteDifference(scale=no_size)


@pytest.mark.parametrize("rule", [FiniteDifference, Richardson], ids=["fd", "richardson"])
def test_a_typical_size_for_each_parameter(rule: Any) -> None:
    sizes = np.array([1e-8, 1.0, 1e7])
    point = sizes * [2.0, 0.5, -0.3]
    one = gradest.bind(lambda p: np.sin(p / sizes).sum(), point, verify=False)
    named = gradest.bind(
        lambda p: np.sin(p["a"] / sizes[:1]).sum() + np.sin(p["b"] / sizes[1:]).sum() + p["c"] ** 2,
        {"a": point[:1], "b": point[1:], "c": np.float64(3.0)},
        verify=False,
    )
    wanted = np.cos(point / sizes)
    for scale in (sizes, sizes.tolist(), tuple(sizes)):
        np.testing.assert_allclose(rule(scale=scale).prepare(one)().gradient * sizes, wanted, rtol=1e-9)
    found = rule(scale={"a": 1e-8, "b": sizes[1:]}).prepare(named)().gradient
    np.testing.assert_allclose(np.concatenate([found["a"], found["b"]]) * sizes, wanted, rtol=1e-9)
    assert found["c"] == pytest.approx(6.0, rel=1e-9)
    assert rule(scale=sizes) == rule(scale=sizes.tolist()) != rule(scale=2 * sizes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gradest.StepWarning)  # Richardson's, of steps that are far too long
        alike = rule().prepare(one)().gradient  # the mutant: one size for all
    assert not np.allclose(alike * sizes, wanted, rtol=0.5)
    with pytest.raises(gradest.UnknownNameError, match="known: a, b, c"):
        rule(scale={"d": 1.0}).prepare(named)
    for wrong, words in ((sizes, "3 arrays"), ({"b": sizes}, "shape"), (sizes[:2], "3 arrays")):
        with pytest.raises(gradest.InvalidInputError, match=words):
            rule(scale=wrong).prepare(named)


@pytest.mark.parametrize("estimator", ALL[2:], ids=NAMES[2:])
def test_a_kink_at_the_point_is_flagged_and_warned_of(estimator: gradest.Estimator) -> None:
    with pytest.warns(gradest.KinkWarning, match="1 of 2"):
        estimate = estimator(lambda p: np.abs(p).sum(), np.array([0.0, 1.0]))
    assert estimate.status.tolist() == [Status.KINK, Status.RELIABLE]
    assert estimate.error[0] >= 0.5


@pytest.mark.parametrize(("name", "beside", "off"), [("fd-five-point", 1e-3, 1e-2), ("fd-richardson", 1e-2, 1e-3)])
def test_steps_across_a_kink_beside_the_point_are_told_where_gradest_chose_them(
    name: str, beside: float, off: float
) -> None:
    point = np.array([beside, 1.0])  # the kink is at zero, where the steps of a high order reach

    def loss(p: np.ndarray) -> Any:
        return np.maximum(p, 0.0).sum() + (p**2).sum()

    with pytest.warns(gradest.StepWarning, match="1 of 2 difference quotients reach across a kink"):
        estimate = gradest.get_estimator(name)(loss, point)
    exact = 1.0 + 2 * point
    assert abs(estimate.gradient - exact)[0] > off  # or there would be nothing to tell
    assert (abs(estimate.gradient - exact) <= estimate.error).all()
    # Smooth losses, and steps of the user's own choice, give no warning: they are errors here.
    gradest.get_estimator(name)(lambda p: (p**2).sum() + np.exp(p).sum(), point)
    gradest.get_estimator("fd-richardson", step=0.01)(loss, np.array([0.01, 1.0]))


def test_a_kink_that_the_longer_step_alone_reaches_is_told_of_a_gradient_of_zeros() -> None:
    """The message had the error's share of the gradient's length, zero, and raised ZeroDivisionError instead."""
    with pytest.warns(gradest.StepWarning, match="reach across a kink .* may be 0.9, where all of them are zero"):
        estimate = gradest.get_estimator("fd-forward", error=True)(lambda p: np.maximum(p, 0).sum(), np.array([-3e-8]))
    assert estimate.gradient.tolist() == [0.0]


@pytest.mark.filterwarnings("ignore:two evaluations of the loss")
@pytest.mark.parametrize("estimator", ALL, ids=NAMES)
def test_noise_that_rules_is_flagged_and_its_error_covered(estimator: gradest.Estimator) -> None:
    generator = np.random.default_rng(4)

    def noisy(p: np.ndarray) -> Any:
        return (p * p).sum() + 0.1 * generator.standard_normal()

    with pytest.warns(gradest.NoiseWarning, match="mostly rounding or noise"):
        estimate = estimator(noisy, np.ones(3))
    assert (estimate.status == Status.ROUNDING).all()


def test_steps_given_too_long_are_flagged_and_warned_of() -> None:
    estimator = FiniteDifference(order=6, step=900.0, step_mode="absolute")
    with pytest.warns(gradest.StepWarning, match="bends"):
        assert estimator(lambda p: np.sin(p).sum(), np.array([1.0])).status.tolist() == [Status.TOO_LONG]


@pytest.mark.parametrize("name", ["fd-central", "fd-forward"])
def test_a_step_from_noise_is_stochastic_in_its_step_alone_and_passes_the_checks(name: str) -> None:
    estimator = gradest.get_estimator(name, step="noise")
    assert estimator.stochastic
    assert estimator.random_step
    assert [result for result in check_estimator(estimator) if not result.passed] == []


@pytest.mark.filterwarnings("ignore:. of . function values are NaN")
def test_steps_from_noise_never_raise_and_tell_of_values_that_are_not_finite() -> None:
    for form in FORMS:
        x = np.array(form.x, float)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", gradest.NoiseWarning)
            one, again = (FiniteDifference(step="noise")(form.f, x, rng=3).gradient for _ in range(2))
        assert np.isfinite(one).all()
        assert np.array_equal(one, again)
    with pytest.warns(gradest.NonFiniteWarning, match="9 of 9 values that would tell"):
        FiniteDifference(step="noise")(lambda p: p.sum() * np.nan, np.ones(2), rng=0)


@pytest.mark.parametrize("backend", ["numpy", "jax", "torch", "mxnet"])
def test_every_backend_states_the_errors_that_numpy_states(backend: str) -> None:
    problem = gradest.get_problem("logsumexp", size=3, scale=100.0)
    estimate = gradest.get_estimator("fd-richardson")(problem, backend=backend)
    x = np.asarray(problem.parameters()["x"])
    exact = np.exp(x - x.max()) / np.exp(x - x.max()).sum()
    found, stated = (
        np.asarray(gradest.get_backend(backend).numpy(tree["x"])) for tree in (estimate.gradient, estimate.error)
    )
    assert (np.abs(found - exact) <= stated).all()
    assert estimate.value is not None
