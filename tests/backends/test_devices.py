"""Every estimate works on every device that a backend states, and stays there; where there is a GPU, on it too."""

import pytest

from gradest import InvalidInputError, UnsupportedError, bind, get_backend, get_estimator, get_problem
from gradest.errors import MissingDependencyError
from gradest.measurement.accuracy import compare_gradients
from gradest.measurement.reference import reference_gradient
from gradest.measurement.session import flat

BACKENDS = ("numpy", "jax", "torch", "mxnet")


def devices(backend: str) -> tuple[str, ...]:
    try:
        return get_backend(backend).devices()
    except MissingDependencyError:
        return ("cpu",)  # the case is skipped, with the reason, when it is set up


PLACES = [(backend, device) for backend in BACKENDS for device in devices(backend)]


@pytest.mark.parametrize(("backend", "device"), PLACES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("method", ["analytic", "reverse", "forward", "fd-exact"])
def test_gradients_are_right_where_the_parameters_are(backend: str, device: str, dtype: str, method: str) -> None:
    problem = get_problem("mlp", dataset="iris", widths=(4,), bias=False)
    objective = bind(problem, backend=backend, device=device, dtype=dtype)
    estimate = get_estimator(method)(objective)
    error = compare_gradients(flat(objective, estimate), reference_gradient(objective).gradient).relative_error
    assert error <= {"float64": 1e-14, "float32": 4e-6}[dtype]
    assert {objective.backend.device(leaf) for leaf in estimate.gradient.values()} == {device}


@pytest.mark.parametrize(("backend", "device"), PLACES)
def test_directions_are_the_same_on_every_device(backend: str, device: str) -> None:
    problem = get_problem("mlp", dataset="iris", widths=(4,), bias=False)
    expected = get_estimator("es", num_samples=7)(bind(problem), rng=3)
    objective = bind(problem, backend=backend, device=device)
    found = get_estimator("es", num_samples=7)(objective, rng=3)
    reference = objective.layout.flatten(list(expected.gradient.values()))
    assert compare_gradients(flat(objective, found), reference).relative_error <= 1e-11


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_device_that_is_not_there_is_refused(backend: str) -> None:
    with pytest.raises((UnsupportedError, InvalidInputError), match="device"):
        bind(get_problem("cubic-graph"), backend=backend, device="cuda:99")
