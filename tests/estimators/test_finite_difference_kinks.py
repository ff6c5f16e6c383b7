"""Kinks of relu within reach of a step are found and told to whoever asked; quotients there are the wrong ones."""

import re
import warnings
from typing import Any

import numpy as np
import pytest

import gradest
from gradest.errors import KinkWarning
from gradest.estimators.finite_difference import FiniteDifference
from gradest.estimators.richardson import Richardson
from gradest.measurement.reference import reference_gradient
from gradest.measurement.session import flat
from gradest.problems.mlp import MLP
from gradest.testing.known_problems import samples


def relu_network() -> gradest.Objective:
    return gradest.bind(gradest.get_problem("mlp", activation="relu", widths=(8,), batch=32))


def test_the_coordinates_with_large_errors_are_those_whose_step_crosses_a_kink() -> None:
    objective = relu_network()
    estimator = FiniteDifference(step=1e-2)
    crossing = estimator.kink_crossings(objective)
    errors = np.abs(flat(objective, estimator.prepare(objective)()) - reference_gradient(objective).gradient)
    assert 0.02 < crossing.mean() < 0.9
    assert errors[crossing].max() > 1e-3
    assert errors[~crossing].max() < 1e-4


def test_longer_steps_cross_more_kinks_and_short_ones_none() -> None:
    objective = relu_network()
    shares = [FiniteDifference(step=step).kink_crossings(objective).mean() for step in (1e-9, 1e-3, 1e-2, 1e-1)]
    assert shares[0] == 0
    assert shares[1] < shares[2] < shares[3]


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "softplus"])
def test_smooth_networks_have_no_kinks(activation: str) -> None:
    objective = gradest.bind(gradest.get_problem("mlp", activation=activation, widths=(8,), batch=32))
    assert not FiniteDifference(step=0.5).kink_crossings(objective).any()


def test_looking_for_kinks_is_counted_and_needs_a_loss_in_operations() -> None:
    objective = relu_network()
    FiniteDifference(scheme="forward", step=1e-2).kink_crossings(objective)
    assert objective.counts == gradest.Cost(values=objective.layout.num_parameters + 1)
    opaque = gradest.bind(lambda x: np.maximum(x, 0).sum(), np.ones(3))
    with pytest.raises(gradest.UnsupportedError, match="opaque"):
        FiniteDifference().kink_crossings(opaque)


ASKING: dict[str, dict[str, Any]] = {
    "central": {},
    "forward": {"scheme": "forward"},
    "structured": {"path": "structured"},
    "black box": {"path": "black-box"},
    "exact": {"differences": "exact", "step": 0.05},
    "some": {"coordinates": (3, 100, 200)},
    "chunks": {"chunk_size": 7, "path": "black-box"},
}


@pytest.mark.parametrize("fields", ASKING.values(), ids=ASKING)
def test_an_estimate_marks_the_crossings_of_its_own_displacements(fields: dict[str, Any]) -> None:
    objective = relu_network()
    plain = FiniteDifference(**{"step": 1e-2, **fields})
    estimate = FiniteDifference(**{"step": 1e-2, **fields, "kinks": "mark"}).prepare(objective)()
    unasked = plain.prepare(objective)()
    assert unasked.crossings is None
    assert estimate.crossings is not None
    assert estimate.crossings.any()
    np.testing.assert_array_equal(estimate.crossings, plain.kink_crossings(objective))
    np.testing.assert_array_equal(flat(objective, estimate), flat(objective, unasked))


@pytest.mark.parametrize("backend", ["jax", "torch", "mxnet"])
def test_other_frameworks_mark_the_crossings_that_numpy_marks(backend: str) -> None:
    problem = MLP(dataset=samples(), widths=(6,), activation="relu", batch=None)
    estimator = FiniteDifference(step=0.1, kinks="mark")
    expected = estimator(problem).crossings
    assert expected is not None
    assert 0 < expected.sum() < expected.size
    found = estimator(problem, backend=backend).crossings
    assert found is not None
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "estimator",
    [
        FiniteDifference(step=1e-2, kinks="mark"),
        FiniteDifference(scheme="forward", kinks="mark"),
        FiniteDifference(differences="exact", kinks="mark"),
        FiniteDifference(step="noise", kinks="mark"),
        FiniteDifference(coordinates=5, kinks="mark"),
        FiniteDifference(coordinates=(1, 4), order=4, kinks="mark"),
        Richardson(levels=2, kinks="mark"),
    ],
    ids=repr,
)
def test_the_look_is_part_of_the_cost(estimator: Any) -> None:
    objective = relu_network()
    prepared = estimator.prepare(objective)
    before = objective.counts
    estimate = prepared(rng=0)
    assert objective.counts - before == estimate.cost == estimator.cost(objective.layout)


def test_a_warning_says_how_many_quotients_of_which_parameters_cross() -> None:
    objective = relu_network()
    with pytest.warns(KinkWarning) as given:
        estimate = FiniteDifference(step=1e-2, kinks="warn").prepare(objective)()
    crossings = estimate.crossings
    assert crossings is not None
    message = str(given[0].message)
    assert message.startswith(f"{crossings.sum()} of {crossings.size} difference quotients")
    blocks = objective.layout.unflatten(crossings)
    counted = {name: (int(b.sum()), b.size) for name, b in zip(objective.layout.names, blocks, strict=True) if b.any()}
    named = {name: (int(count), int(size)) for name, count, size in re.findall(r"'(\w+)' (\d+) of (\d+)", message)}
    assert named == counted


def test_nothing_is_said_where_no_step_crosses_or_nobody_asked() -> None:
    smooth = gradest.bind(gradest.get_problem("mlp", activation="tanh", widths=(8,), batch=32))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not FiniteDifference(step=0.1, kinks="warn").prepare(smooth)().crossings.any()
        FiniteDifference(step=0.1).prepare(relu_network())()


def test_drawn_coordinates_alone_are_looked_at() -> None:
    objective = relu_network()
    estimate = FiniteDifference(step=1e-2, coordinates=40, kinks="mark").prepare(objective)(rng=3)
    every = FiniteDifference(step=1e-2).kink_crossings(objective)
    assert estimate.crossings is not None
    assert 0 < estimate.crossings.sum() < every.sum()
    drawn = flat(objective, estimate) != 0
    np.testing.assert_array_equal(estimate.crossings[drawn], every[drawn])
    assert not estimate.crossings[~drawn & ~every].any()


def test_the_error_estimate_of_richardson_holds_where_no_kink_is_marked() -> None:
    objective = relu_network()
    estimate = Richardson(step=1e-2, kinks="mark").prepare(objective)()
    crossing = estimate.crossings
    assert crossing is not None
    error = np.abs(flat(objective, estimate) - reference_gradient(objective).gradient)
    stated = objective.layout.flatten([np.asarray(e) for e in estimate.error.values()])
    assert np.all(error[~crossing] <= stated[~crossing])
    assert error[crossing].max() > 100 * error[~crossing].max()


def test_a_problem_and_a_point_can_be_asked_about_without_an_objective() -> None:
    problem = gradest.get_problem("mlp", activation="relu", widths=(8,), batch=32)
    objective = gradest.bind(problem)
    elsewhere = {name: 0.5 * values for name, values in problem.parameters().items()}
    estimator = FiniteDifference(step=1e-2)
    np.testing.assert_array_equal(estimator.kink_crossings(problem), estimator.kink_crossings(objective))
    there = estimator.kink_crossings(problem, elsewhere)
    np.testing.assert_array_equal(there, estimator.kink_crossings(objective, elsewhere))
    assert (there != estimator.kink_crossings(problem)).any()


def test_an_opaque_function_is_refused_when_prepared_and_an_unknown_word_at_once() -> None:
    opaque = gradest.bind(lambda x: np.maximum(x, 0).sum(), np.ones(3))
    with pytest.raises(gradest.UnsupportedError, match="opaque"):
        FiniteDifference(kinks="warn").prepare(opaque)
    for estimator in (FiniteDifference, Richardson):
        with pytest.raises(gradest.UnknownNameError, match=r"answer to kinks.*'wrn'"):
            estimator(kinks="wrn")


def test_at_a_kink_the_schemes_give_the_one_sided_slopes_and_their_mean() -> None:
    params = np.zeros(1)
    slopes = [
        FiniteDifference(scheme=scheme)(lambda x: np.maximum(x, 0).sum(), params).gradient[0]
        for scheme in ("forward", "backward", "central")
    ]
    assert slopes == [1.0, 0.0, 0.5]
