"""Predictions are relative: of a loss times a power of two they are the same, out to 1e180 and 1e-180."""

import math
from typing import Any

import numpy as np
import pytest

import gradest
from gradest import theory
from gradest.errors import InvalidInputError


class Network(gradest.EmpiricalRisk):
    """Softmax regression on four examples, times a factor."""

    name = "scaled-softmax-regression"

    def __init__(self, factor: float) -> None:
        self._factor = factor

    def parameters(self) -> dict[str, np.ndarray]:
        generator = np.random.default_rng(1)
        return {"weight": generator.standard_normal((3, 2)), "bias": np.zeros(2)}

    def data(self) -> dict[str, np.ndarray]:
        return {"x": np.random.default_rng(2).standard_normal((4, 3)), "targets": np.eye(2)[[0, 1, 1, 0]]}

    def losses(self, ops: Any, params: Any, data: Any) -> Any:
        logits = ops.affine(data["x"], params["weight"], params["bias"])
        return self._factor * (ops.logsumexp(logits) - ops.sum(data["targets"] * logits, axis=-1))


scales = pytest.mark.parametrize("scale", [2.0**600, 2.0**-600], ids="{:.0e}".format)
GRADIENT = np.array([0.4, -1.2, 0.7])
HESSIAN = np.array([[1.0, 0.2, 0.0], [0.2, -0.5, 0.3], [0.0, 0.3, 2.0]])


def model(scale: float) -> theory.LocalModel:
    return theory.local_model(scale * GRADIENT, hessian=scale * HESSIAN, value=scale * 1.5)


@scales
@pytest.mark.parametrize("baseline", theory.BASELINES)
@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_evolution_strategies(baseline: str, noise: float, scale: float) -> None:
    """The gradient's norm was infinite, or 0, and refused; where it was given, the error was NaN."""

    def predicted(size: float) -> float | None:
        options: dict[str, Any] = {"num_parameters": 3, "num_samples": 8, "sigma": 0.1}
        return theory.relative_mse_es(
            "rademacher", baseline=baseline, model=model(size), noise=size * noise, **options
        ).relative_mse

    assert predicted(scale) == predicted(1.0)


@scales
def test_estimators_that_remember_or_average_gradients(scale: float) -> None:
    def predicted(size: float) -> tuple[Any, ...]:
        options: dict[str, Any] = {"num_samples": 8, "sigma": 0.1, "model": model(size)}
        return (
            theory.predict_residual_feedback("normal", num_parameters=3, **options).relative_mse,
            theory.predict_pathwise("normal", **options).relative_mse,
        )

    assert predicted(scale) == predicted(1.0)


@scales
@pytest.mark.parametrize("law", ["normal", "rademacher", "coordinates", "orthogonal"])
def test_the_test_of_unbiasedness(law: str, scale: float) -> None:
    """Near 1e180 it raised LinAlgError or called the estimates NaN; near 1e-180 all passed."""
    directions = np.random.default_rng(0).standard_normal((200, 3))
    estimates = (directions @ GRADIENT)[:, None] * directions

    def tested(size: float) -> theory.ChiSquareTest:
        return theory.unbiasedness_statistic(size * estimates, target=size * GRADIENT, distribution=law, num_samples=1)

    assert tested(scale) == tested(1.0)
    assert tested(scale).degrees_of_freedom >= 2


@scales
def test_node_perturbation_and_the_noise_scale_of_layers(scale: float) -> None:
    """The prediction failed, and the noise scale was NaN or called the gradient zero."""

    def found(size: float) -> tuple[Any, ...]:
        generator = np.random.default_rng(0)
        inputs, slopes = generator.standard_normal((4, 3)), size * generator.standard_normal((4, 2))
        layers = [theory.NodeLayer(inputs=inputs, slopes=slopes, bias=False)]
        norm = size * float(np.linalg.norm(inputs.T @ (slopes / size)))
        joint = theory.predict_node_perturbation("normal", layers=layers, gradient_norm=norm, num_samples=5)
        risk = Network(size)
        at = gradest.bind(risk)
        exact = at.layout.flatten([at.backend.numpy(leaf) for leaf in at.prepare_gradient()[0](at.start)[1]])
        estimator = gradest.get_estimator("node-perturbation", weighting="example")
        own = estimator.predict(gradest.Situation(at.layout, exact, objective=at))
        assert own is not None
        return joint.relative_mse, own.relative_mse, gradest.noise_scale(risk).value

    assert found(scale) == pytest.approx(found(1.0), rel=1e-12)


@pytest.mark.parametrize("distribution", ["normal", "rademacher", "sphere"])
@pytest.mark.parametrize("baseline", theory.BASELINES)
@pytest.mark.parametrize("radius", [2.0**600, 2.0**-600], ids="{:.0e}".format)
def test_another_unit_of_the_parameters(radius: float, baseline: str, distribution: str) -> None:
    """Of r f(x / r), at r x and r sigma, an estimate is that of f: powers of sigma overflowed, and divided by zero."""

    def predicted(size: float) -> tuple[Any, ...]:
        scaled = theory.local_model(GRADIENT, hessian=HESSIAN / size, value=1.5 * size)
        options: dict[str, Any] = {"num_parameters": 3, "num_samples": 8, "sigma": 0.125 * size}
        centred: dict[str, Any] = {"num_samples": 8, "sigma": 0.125 * size, "model": scaled}
        return (
            theory.relative_mse_es(
                distribution, baseline=baseline, model=scaled, noise=0.01 * size, **options
            ).relative_mse,
            theory.evaluation_noise_mse(baseline, noise=0.01 * size, **options),
            theory.predict_residual_feedback(distribution, model=scaled, **options).relative_mse,
            theory.predict_pathwise(distribution, **centred).relative_mse,
        )

    assert predicted(radius) == predicted(1.0)


@pytest.mark.parametrize("sigma", [1e-320, 1e-200, 1e200])
@pytest.mark.parametrize("baseline", ["antithetic", "value", "leave-one-out"])
def test_without_curvature_no_radius_matters(sigma: float, baseline: str) -> None:
    """The square of sigma raised OverflowError, though nothing is multiplied by it."""
    flat = theory.local_model(GRADIENT, hessian=np.zeros((3, 3)), value=1.5)
    options: dict[str, Any] = {"baseline": baseline, "num_parameters": 3, "num_samples": 8}
    ordinary = theory.relative_mse_es("normal", sigma=0.1, model=flat, **options).relative_mse
    assert theory.relative_mse_es("normal", sigma=sigma, model=flat, **options).relative_mse == ordinary


@pytest.mark.parametrize("sigma", [2.0**-600, 2.0**600])
def test_a_bias_in_another_unit_of_the_parameters(sigma: float) -> None:
    third = np.array([[[6.0]]])
    for law in ("normal", "sphere", "coordinates"):
        ordinary = theory.smoothing_bias(law, third, sigma=1.0)
        assert np.array_equal(theory.smoothing_bias(law, third / sigma, sigma=sigma), ordinary * sigma)
    low_rank = theory.low_rank_bias(third / sigma, sigma=sigma, shape=(1, 1), rank=1)
    assert np.array_equal(low_rank, theory.low_rank_bias(third, sigma=1.0, shape=(1, 1), rank=1) * sigma)


@pytest.mark.parametrize("name", ["value", "hessian_trace", "hessian_norm", "hessian_diagonal_norm"])
@pytest.mark.parametrize("wrong", [math.nan, "1", True, -1.0], ids=repr)
def test_a_scalar_that_is_no_number_is_refused_where_it_is_given(name: str, wrong: object) -> None:
    """NaN went through every formula, and one that left the curvature out (antithetic) said nothing of it."""
    known: dict[str, Any] = {"gradient_norm": 1.0, "hessian_trace": 1.0, "hessian_norm": 1.0}
    if wrong == -1.0 and not name.endswith("_norm"):
        assert getattr(theory.LocalModel(**{**known, name: wrong}), name) == wrong
        return
    with pytest.raises(InvalidInputError, match=f"^{name} must be a number"):
        theory.LocalModel(**{**known, name: wrong})


def test_a_hessian_of_nan_is_refused() -> None:
    hessian = np.diag([1.0, math.nan, 1.0])
    with pytest.raises(InvalidInputError, match="hessian_trace must be a number; found nan"):
        theory.local_model(GRADIENT, hessian=hessian)
