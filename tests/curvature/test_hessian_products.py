"""Products with the Hessian equal closed forms by either path; Hutchinson's estimates scatter as theory says."""

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import gradest
from gradest.curvature.hutchinson import hessian_trace

PATHS = {
    "numpy": "difference of gradients",
    "mxnet": "difference of gradients",
    "jax": "forward over reverse",
    "torch": "forward over reverse",
}


def hessian(x: np.ndarray) -> np.ndarray:
    """Return the Hessian of log sum exp, by hand."""
    p = np.exp(x - x.max())
    p /= p.sum()
    return np.diag(p) - np.outer(p, p)


@pytest.mark.parametrize("backend", PATHS)
def test_a_product_is_the_closed_form(backend: str) -> None:
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed: pip install 'gradest[{backend}]'")
    objective = gradest.bind(gradest.get_problem("logsumexp"), backend=backend, dtype="float64")
    (leaf,), v = objective.start, np.random.default_rng(0).standard_normal(objective.layout.shapes[0])
    direction = {objective.layout.names[0]: objective.backend.array(v, dtype="float64")}
    found = gradest.hvp(objective, None, direction)
    (value,) = found.value.values()
    exact = hessian(objective.backend.numpy(leaf)) @ v
    assert found.path == PATHS[backend]
    tolerance = 1e-13 if found.path == "forward over reverse" else 1e-8
    np.testing.assert_allclose(objective.backend.numpy(value), exact, rtol=0, atol=tolerance)


@pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed: pip install 'gradest[torch]'")
def test_a_module_of_the_users_own() -> None:
    import torch

    torch.manual_seed(0)
    model = torch.nn.Linear(3, 1, bias=False).double()
    x = torch.randn(5, 3, dtype=torch.float64)
    v = {"weight": torch.tensor([[1.0, -2.0, 0.5]], dtype=torch.float64)}
    found = gradest.hvp(lambda m, x: m(x).square().sum(), model, v, x)
    torch.testing.assert_close(found.value["weight"], v["weight"] @ (2 * x.T @ x))


def test_the_trace_and_the_diagonal_scatter_as_theory_says() -> None:
    """2,000 probes: the variance of the sample variance is below (0.1)^2, so 0.5 is five standard deviations off.

    False alarm below 1e-6. The formula for normal probes, `2 |H|_F^2`, is the mutant: it is rejected beside.
    """
    objective = gradest.bind(gradest.get_problem("logsumexp"))
    found = hessian_trace(objective, num_samples=2000, rng=1)
    exact = hessian(np.asarray(objective.start[0]))
    off = exact - np.diag(np.diag(exact))
    variance = 2000 * found.trace_error**2
    assert variance == pytest.approx(2 * np.sum(off**2), rel=0.5)
    assert variance != pytest.approx(2 * np.sum(exact**2), rel=0.5)
    assert abs(found.trace - np.trace(exact)) < 5 * found.trace_error
    np.testing.assert_array_less(np.abs(found.diagonal - np.diag(exact)), 6 * found.diagonal_error)
    np.testing.assert_allclose(2000 * found.diagonal_error**2, np.sum(off**2, axis=1), rtol=0.5)


@pytest.mark.parametrize("wrong", [1, 2.5, True])
def test_a_scatter_asks_for_two_probes(wrong: Any) -> None:
    with pytest.raises(gradest.InvalidInputError, match="at least 2"):
        hessian_trace(gradest.bind(gradest.get_problem("quadratic", size=3)), num_samples=wrong)


def test_a_direction_of_another_form_is_refused() -> None:
    objective = gradest.bind(gradest.get_problem("quadratic", size=3))
    with pytest.raises(gradest.PreparationMismatchError):
        gradest.hvp(objective, None, {"x": np.ones(4)})
