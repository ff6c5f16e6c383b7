"""What finite differences promise beside accuracy: their cost, their inputs, coordinates, chunks, refusals."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import gradest
from gradest.estimators.finite_difference import FiniteDifference
from gradest.measurement.session import flat
from gradest.situation import Situation

P = 3 * 4 + 4


def loss(params: dict[str, Any], x: npt.NDArray[Any]) -> Any:
    return np.square(np.tanh(x @ params["W"] + params["b"])).sum()


def parameters() -> dict[str, npt.NDArray[Any]]:
    generator = np.random.default_rng(0)
    return {"W": generator.standard_normal((3, 4)), "b": generator.standard_normal(4)}


X = np.random.default_rng(1).standard_normal((5, 3))


def by_hand(params: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    hidden = np.tanh(X @ params["W"] + params["b"])
    delta = 2 * hidden * (1 - hidden**2)
    return {"W": X.T @ delta, "b": delta.sum(axis=0)}


@pytest.mark.parametrize(
    ("estimator", "values"),
    [
        (FiniteDifference(scheme="forward"), P + 1),
        (FiniteDifference(scheme="backward"), P + 1),
        (FiniteDifference(), 2 * P),
        (FiniteDifference(order=4), 4 * P + 1),
        (FiniteDifference(order=8), 8 * P + 1),
        (gradest.get_estimator("fd-richardson"), 6 * P + 1),
        (gradest.get_estimator("fd-richardson", levels=2), 4 * P + 1),
        (gradest.get_estimator("complex-step"), P),
        (FiniteDifference(error=True), 4 * P + 1),
        (FiniteDifference(scheme="forward", error=True), 2 * P + 1),
        (FiniteDifference(coordinates=(0, 5, 15)), 6),
        (FiniteDifference(scheme="forward", coordinates=3), 4),
    ],
)
def test_a_users_function_is_called_as_often_as_the_cost_says(estimator: gradest.Estimator, values: int) -> None:
    calls = 0

    def counted(params: dict[str, Any], x: npt.NDArray[Any]) -> Any:
        nonlocal calls
        calls += 1
        return loss(params, x)

    objective = gradest.bind(counted, parameters(), X, verify=False)  # what verifies is counted apart
    prepared = estimator.prepare(objective)
    calls = 0
    estimate = prepared(rng=0)
    assert calls == values == prepared.cost.values == objective.counts.values == estimate.cost.values


@pytest.mark.parametrize("name", ["fd-forward", "fd-central", "fd-exact", "fd-five-point", "fd-richardson"])
@pytest.mark.parametrize("chunk_size", [None, 1, 7])
def test_the_cost_of_a_problem_is_counted_as_declared(name: str, chunk_size: int | None) -> None:
    objective = gradest.bind(gradest.get_problem("mlp", widths=(5, 3), batch=4))
    prepared = gradest.get_estimator(name, chunk_size=chunk_size).prepare(objective)
    prepared()
    assert objective.counts == prepared.cost


def test_parameters_are_untouched_read_only_or_not_and_when_the_loss_raises() -> None:
    params = parameters()
    for array in params.values():
        array.flags.writeable = False
    before = {name: array.tobytes() for name, array in params.items()}
    estimate = FiniteDifference()(loss, params, X)
    for name, exact in by_hand(params).items():
        np.testing.assert_allclose(estimate.gradient[name], exact, atol=1e-8)
    seen = 0

    def failing(given: dict[str, Any], x: npt.NDArray[Any]) -> Any:
        nonlocal seen
        seen += 1
        if seen > 5:
            raise ZeroDivisionError
        return loss(given, x)

    with pytest.raises(ZeroDivisionError):
        FiniteDifference()(failing, params, X)
    assert {name: array.tobytes() for name, array in params.items()} == before


@pytest.mark.parametrize("chunk_size", [1, 2, 5, 1000])
@pytest.mark.parametrize("differences", ["plain", "exact"])
def test_no_chunk_size_shows(chunk_size: int, differences: str) -> None:
    objective = gradest.bind(gradest.get_problem("mlp", widths=(5,), batch=4))
    whole, chunked = (
        flat(objective, FiniteDifference(differences=differences, step=2.0**-10, chunk_size=size).prepare(objective)())
        for size in (None, chunk_size)
    )
    np.testing.assert_allclose(chunked, whole, rtol=1e-9, atol=1e-11)


def test_chosen_coordinates_have_their_derivatives_and_the_others_zeros() -> None:
    objective = gradest.bind(gradest.get_problem("mlp", widths=(5,), batch=4))
    chosen = (3, 330, 0, 341)
    for differences in ("plain", "exact"):
        whole = flat(objective, FiniteDifference(path="auto", differences=differences).prepare(objective)())
        some = flat(objective, FiniteDifference(coordinates=chosen, differences=differences).prepare(objective)())
        np.testing.assert_allclose(some[list(chosen)], whole[list(chosen)], rtol=1e-7, atol=1e-10)
        assert np.count_nonzero(some) <= len(chosen)


def test_drawn_coordinates_average_to_the_gradient() -> None:
    objective = gradest.bind(loss, parameters(), X)
    estimator = FiniteDifference(coordinates=4)
    assert estimator.stochastic
    assert not FiniteDifference().stochastic
    prepared = estimator.prepare(objective)
    exact = np.asarray(objective.layout.flatten(list(by_hand(parameters()).values())), dtype=np.float64)
    estimates = np.array([flat(objective, prepared(rng=seed)) for seed in range(800)])
    spread = np.sum((estimates - exact) ** 2, axis=1).mean() / np.sum(exact**2)
    predicted = estimator.predict(Situation(objective.layout, exact))
    assert predicted is not None
    assert spread == pytest.approx(predicted.relative_mse, rel=0.1)
    assert estimator.predict(Situation(objective.layout, 0 * exact)) is None  # no error is relative to nothing
    assert np.linalg.norm(estimates.mean(axis=0) - exact) < 4 * np.sqrt(spread / 800) * np.linalg.norm(exact)
    assert np.array_equal(flat(objective, prepared(rng=3)), estimates[3])


@pytest.mark.parametrize(
    "fields",
    [
        {"scheme": "sideways"},
        {"order": 3},
        {"order": 10**30},
        {"scheme": "forward", "order": 2},
        {"step": 0.0},
        {"step": -1e-3},
        {"step": float("nan")},
        {"step": "automatic"},
        {"step_mode": "wild"},
        {"path": "vmap"},
        {"differences": "precise"},
        {"coordinates": ()},
        {"coordinates": (1, 1)},
        {"coordinates": 0},
        {"coordinates": (-1,)},
        {"differences": "exact", "path": "black-box"},
        {"differences": "exact", "step": "noise"},
        {"coordinates": (1,), "path": "structured"},
    ],
)
def test_options_that_cannot_be_used_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(gradest.InvalidInputError):
        FiniteDifference(**fields)


@pytest.mark.parametrize("levels", [1, 33, 10**30])
def test_levels_that_cannot_be_computed_are_refused(levels: int) -> None:
    with pytest.raises(gradest.InvalidInputError, match="levels must be"):
        gradest.get_estimator("fd-richardson", levels=levels)


def test_what_an_opaque_function_cannot_do_is_refused_when_prepared() -> None:
    objective = gradest.bind(loss, parameters(), X)
    for estimator in (FiniteDifference(differences="exact"), FiniteDifference(path="structured")):
        with pytest.raises(gradest.UnsupportedError, match="opaque function"):
            estimator.prepare(objective)
    with pytest.raises(gradest.InvalidInputError, match="16 parameters"):
        FiniteDifference(coordinates=(16,)).prepare(objective)
    assert FiniteDifference().prepare(objective).path == "loop"


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_functions_of_other_frameworks_are_batched_by_their_vmap(backend: str) -> None:
    own = gradest.get_backend(backend)
    arrays = {name: own.array(values, dtype="float64") for name, values in parameters().items()}
    x = own.array(X, dtype="float64")

    def opaque(params: dict[str, Any], inputs: Any) -> Any:
        hidden = inputs @ params["W"] + params["b"]
        return ((hidden.tanh() if backend == "torch" else __import__("jax").numpy.tanh(hidden)) ** 2).sum()

    objective = gradest.bind(opaque, arrays, x)
    prepared = FiniteDifference().prepare(objective)
    assert prepared.path == "vmap"
    estimate = prepared()
    for name, exact in by_hand(parameters()).items():
        np.testing.assert_allclose(own.numpy(estimate.gradient[name]), exact, atol=1e-8)
    assert objective.counts == gradest.Cost(values=2 * P)


@pytest.mark.parametrize("method", ["fd-forward", "fd-central", "fd-five-point", "fd-richardson", "complex-step"])
def test_parameters_in_any_order_of_memory_are_moved(method: str) -> None:
    """A flat view of an array in Fortran's order is a copy: entries of it were moved, and the gradient was zero."""
    weights = np.arange(1.0, 13.0).reshape(2, 2, 3)

    def loss(p: Any) -> Any:
        return (p**2 * weights).sum()

    x = np.linspace(-1.0, 1.0, 12).reshape(2, 2, 3)
    estimator = gradest.get_estimator(method)
    for other in (
        np.asfortranarray(x),
        x.transpose(1, 2, 0).copy().transpose(2, 0, 1),
        np.repeat(x, 2, axis=1)[:, ::2],
    ):
        assert np.array_equal(other, x)
        bound_in_order = estimator.prepare(gradest.bind(loss, x))
        for found in (bound_in_order(other).gradient, estimator(loss, other).gradient):
            np.testing.assert_allclose(found, 2 * x * weights, rtol=1e-5, atol=1e-5)
