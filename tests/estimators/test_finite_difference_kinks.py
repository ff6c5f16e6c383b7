"""Kinks of relu within reach of a step are found, and are where the error of a quotient comes from."""

import numpy as np
import pytest

import gradest
from gradest.estimators.finite_difference import FiniteDifference
from gradest.measurement.reference import reference_gradient
from gradest.measurement.session import flat


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


def test_at_a_kink_the_schemes_give_the_one_sided_slopes_and_their_mean() -> None:
    params = np.zeros(1)
    slopes = [
        FiniteDifference(scheme=scheme)(lambda x: np.maximum(x, 0).sum(), params).gradient[0]
        for scheme in ("forward", "backward", "central")
    ]
    assert slopes == [1.0, 0.0, 0.5]
