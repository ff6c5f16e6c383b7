"""The predicted error of guided ES agrees with exact Gaussian moments of its directions."""

from typing import Any

import numpy as np
import pytest
from support.theory_ensembles import product, scalar

from gradest import theory
from gradest.errors import InvalidInputError
from gradest.theory.prediction import Prediction

GENERATOR = np.random.default_rng(9)
GRADIENT = GENERATOR.standard_normal(3)
SETTINGS = [(0.5, 1.0), (0.1, 1.0), (0.3, 2.0), (1.0, 1.0), (1.0, 0.5)]


def basis(size: int, guides: int) -> np.ndarray:
    return np.linalg.qr(GENERATOR.standard_normal((size, guides)))[0]


def predicted(gradient: np.ndarray, span: np.ndarray, *, count: int = 1, alpha: float, scale: float) -> Prediction:
    return theory.predict_guided(
        num_parameters=gradient.size,
        num_guides=span.shape[1],
        num_samples=count,
        alpha=alpha,
        scale=scale,
        share=float(np.sum((span.T @ gradient) ** 2) / (gradient @ gradient)),
    )


@pytest.mark.parametrize(("alpha", "scale"), SETTINGS)
@pytest.mark.parametrize("count", [1, 2])
def test_the_error_equals_the_exact_expectation(alpha: float, scale: float, count: int) -> None:
    span = basis(3, 1)
    weights, normal = product(scalar("normal", 3), 4)  # of degree 4 in each number: three nodes are exact
    directions = np.sqrt(alpha) * normal[:, :3] + np.sqrt((1 - alpha) * 3) * normal[:, 3:] @ span.T
    weights, drawn = product((weights, directions), count)
    estimates = np.einsum("mnp,mn->mp", drawn, drawn @ GRADIENT) / count * scale / (alpha + (1 - alpha) * 3)
    squares = np.sum((estimates - GRADIENT) ** 2, axis=1) / (GRADIENT @ GRADIENT)
    prediction = predicted(GRADIENT, span, count=count, alpha=alpha, scale=scale)
    assert prediction.relative_mse == pytest.approx(weights @ squares, rel=1e-11)
    assert prediction.bias_order == (2 if alpha == scale == 1 else 0)


@pytest.mark.parametrize(("alpha", "scale"), SETTINGS)
def test_the_error_is_bias_and_trace_of_the_covariance(alpha: float, scale: float) -> None:
    gradient, span = GENERATOR.standard_normal(7), basis(7, 2)
    matrix = alpha * np.eye(7) + (1 - alpha) * 7 / 2 * span @ span.T
    factor = scale / np.linalg.eigvalsh(matrix)[-1]
    along = matrix @ gradient
    covariance = factor**2 * (gradient @ along * matrix + np.outer(along, along)) / 5
    expected = (np.sum((factor * along - gradient) ** 2) + np.trace(covariance)) / (gradient @ gradient)
    found = predicted(gradient, span, count=5, alpha=alpha, scale=scale).relative_mse
    assert found == pytest.approx(expected, rel=1e-12)
    assert abs(found - np.trace(covariance) / (gradient @ gradient)) > 1e-3 or alpha == scale == 1


def test_without_guidance_it_is_the_error_of_normal_directions() -> None:
    plain = theory.relative_mse_linear("normal", num_parameters=7, num_samples=5)
    assert predicted(np.ones(7), basis(7, 2), count=5, alpha=1.0, scale=1.0).relative_mse == pytest.approx(plain)


@pytest.mark.parametrize(
    "wrong", [{"alpha": 0.0}, {"share": 1.5}, {"num_samples": 0}, {"num_guides": 0}, {"num_guides": 4}]
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    fine = {"num_parameters": 3, "num_guides": 1, "num_samples": 1, "alpha": 0.5, "scale": 1.0, "share": 0.5}
    with pytest.raises(InvalidInputError, match=next(iter(wrong))):
        theory.predict_guided(**{**fine, **wrong})
