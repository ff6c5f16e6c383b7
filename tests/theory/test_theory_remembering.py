"""The predicted errors of estimators that remember agree with exact expectations."""

from typing import Any

import numpy as np
import pytest
from support.theory_ensembles import ensemble, mean_and_mse, product, scalar, single

from gradest import theory
from gradest.errors import InvalidInputError, UnsupportedError

GENERATOR = np.random.default_rng(11)
SIGMA = 0.7


def residual_mse(law: str, size: int, *, hessian: np.ndarray[Any, Any] | None = None) -> tuple[float, float]:
    """Return the predicted and the exact error of one direction, of `g.x + x^T H x / 2` at 0."""
    gradient = GENERATOR.standard_normal(size)
    curvature = np.zeros((size, size)) if hessian is None else hessian
    weights, pairs = product(single(law, size), 2)
    new, old = (pairs[:, k] for k in (0, 1))
    values = [SIGMA * v @ gradient + SIGMA**2 * np.einsum("mi,ij,mj->m", v, curvature, v) / 2 for v in (new, old)]
    mean, mse = mean_and_mse(weights, ((values[0] - values[1]) / SIGMA)[:, None] * new, gradient)
    np.testing.assert_allclose(mean, gradient, atol=1e-12)
    model = theory.local_model(gradient, hessian=hessian)
    found = theory.predict_residual_feedback(law, num_parameters=size, num_samples=1, sigma=SIGMA, model=model)
    assert found.relative_mse is not None
    assert found.exact_for == ("linear f" if hessian is None else "quadratic f")
    return found.relative_mse, mse


@pytest.mark.parametrize(("law", "size"), [("normal", 2), ("rademacher", 3), ("uniform", 2), ("sphere", 2)])
def test_residual_feedback_of_a_linear_loss(law: str, size: int) -> None:
    predicted, exact = residual_mse(law, size)
    assert predicted == pytest.approx(exact, rel=1e-11)
    plain = theory.relative_mse_linear(law, num_parameters=size, num_samples=1)
    assert exact == pytest.approx(plain + size, rel=1e-11)  # what the values that are subtracted add


def test_residual_feedback_of_a_quadratic_loss() -> None:
    root = GENERATOR.standard_normal((2, 2))
    predicted, exact = residual_mse("normal", 2, hessian=root + root.T)
    assert predicted == pytest.approx(exact, rel=1e-11)
    assert abs(predicted - 5.0) > 1.0  # the curvature is no small part of it


def test_orthogonal_directions_save_what_they_save_without_memory() -> None:
    gradient = GENERATOR.standard_normal(2)
    weights, new = ensemble("orthogonal", 2, 2)
    pairs = np.stack(np.meshgrid(np.arange(len(new)), np.arange(len(new)), indexing="ij"), -1).reshape(-1, 2)
    estimates = np.einsum("mn,mnp->mp", (new[pairs[:, 0]] - new[pairs[:, 1]]) @ gradient, new[pairs[:, 0]]) / 2
    _, exact = mean_and_mse(weights[pairs].prod(axis=1), estimates, gradient)
    found = theory.predict_residual_feedback("orthogonal", num_parameters=2, num_samples=2, sigma=SIGMA)
    assert found.relative_mse == pytest.approx(exact, rel=1e-11)


@pytest.mark.parametrize("count", [2, 3])
def test_a_momentum_and_directions_across_it(count: int) -> None:
    gradient, guide = GENERATOR.standard_normal((2, 2))
    guide /= np.linalg.norm(guide)
    weights, drawn = product(product(scalar("normal"), 2), count - 1)
    across = drawn - (drawn @ guide)[..., None] * guide
    rest = np.einsum("mn,mnp->mp", across @ gradient, across) / (count - 1)
    mean, exact = mean_and_mse(weights, (gradient @ guide) * guide + rest, gradient)
    np.testing.assert_allclose(mean, gradient, atol=1e-12)
    share = float((gradient @ guide) ** 2 / (gradient @ gradient))
    found = theory.predict_momentum_guided(num_parameters=2, num_samples=count, share=share)
    assert found.relative_mse == pytest.approx(exact, rel=1e-11)
    plain = theory.predict_momentum_guided(num_parameters=2, num_samples=count, share=None)
    normal = theory.relative_mse_linear("normal", num_parameters=2, num_samples=count)
    assert plain.relative_mse == pytest.approx(normal, rel=1e-12)


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="coordinates"):
        theory.predict_residual_feedback("coordinates", num_parameters=3, num_samples=1, sigma=0.1)
    for wrong in ({"share": 1.5}, {"share": 0.5, "num_samples": 1}, {"num_samples": 0}):
        asked: dict[str, Any] = {"num_parameters": 3, "num_samples": 4, "share": 0.5, **wrong}
        with pytest.raises(InvalidInputError, match=r"share|num_samples"):
            theory.predict_momentum_guided(**asked)
