"""The gradient noise scale equals that of explicit gradients of the examples, and says how far a sample may be off."""

import warnings
from typing import Any

import numpy as np
import pytest

import gradest
from gradest import InvalidInputError, NonFiniteError, UnsupportedError
from gradest.measurement import noise_scale as module
from gradest.measurement.session import Bound, Session
from gradest.operations import NumpyArray
from gradest.testing.statistics import ratio_bounds

FRAMEWORKS = ["numpy", "jax", "torch", "mxnet"]
PROBLEMS = [
    gradest.get_problem("mlp", dataset="iris", widths=(5, 4), batch=12),
    gradest.get_problem("mlp", dataset="iris", widths=(5,), batch=9, bias=False, activation="relu"),
    gradest.get_problem("softmax-regression", dataset="iris", batch=7),
    gradest.get_problem("least-squares", num_samples=9, num_features=4),
    gradest.get_problem("polynomial-regression", num_samples=9),
]
GENERATOR = np.random.default_rng(7)
FEATURES, RESPONSE, POINT = GENERATOR.standard_normal((12, 3)), GENERATOR.standard_normal(12), np.array([0.3, -1, 0.7])
FALSE_ALARM = 1e-6
SEEDS = 300


def scale_of(rows: NumpyArray) -> float:
    """Return tr Cov / |mean|^2 of gradients `(B, P)`, by its definition."""
    mean = rows.mean(axis=0)
    return float(np.mean(np.sum((rows - mean) ** 2, axis=1)) / np.sum(mean**2))


def explicit(problem: Any) -> NumpyArray:
    """Return the closed-form gradients of batches of one, in extended precision, `(B, P)`."""
    ops = gradest.get_backend("numpy").operations()
    start, data = (
        {n: x.astype(np.longdouble) for n, x in some().items()} for some in (problem.parameters, problem.data)
    )
    rows = []
    for b in range(len(next(iter(data.values())))):
        _, gradient = problem.loss_and_gradient(ops, start, {name: x[b : b + 1] for name, x in data.items()})
        rows.append(problem.layout.flatten([np.asarray(block) for block in gradient.values()]))
    return np.stack(rows)


def losses(w: Any, x: Any, y: Any) -> Any:
    return ((x * w).sum(-1) - y) ** 2


SQUARES = 2 * (FEATURES @ POINT - RESPONSE)[:, None] * FEATURES
"""The gradients of `losses`, by hand."""


def given(framework: str) -> list[Any]:
    backend = gradest.get_backend(framework)
    with backend.scope("float64") or warnings.catch_warnings():
        return [backend.array(values, dtype="float64") for values in (POINT, FEATURES, RESPONSE)]


@pytest.mark.parametrize(
    ("problem", "backend"),
    [(problem, "numpy") for problem in PROBLEMS]
    + [(problem, backend) for problem in (PROBLEMS[0], PROBLEMS[3]) for backend in FRAMEWORKS[1:]],
    ids=lambda case: getattr(case, "name", case),
)
def test_it_is_that_of_explicit_gradients_to_rounding(problem: Any, backend: str) -> None:
    wanted = scale_of(explicit(problem))
    found = gradest.noise_scale(problem, backend=backend)
    assert found.path == ("layers" if problem.name in ("mlp", "softmax-regression") else "examples")
    assert (found.error, found.num_sampled) == (0.0, found.num_examples)
    assert found.value == pytest.approx(float(wanted), rel=1e-12)
    one_by_one = gradest.noise_scale(problem, backend=backend, num_samples=found.num_examples)
    assert one_by_one.path == "examples"
    assert one_by_one.value == pytest.approx(float(wanted), rel=1e-12)


@pytest.mark.parametrize("backend", FRAMEWORKS)
def test_it_is_that_of_a_users_losses(backend: str) -> None:
    found = gradest.noise_scale(losses, *given(backend))
    assert found.value == pytest.approx(scale_of(SQUARES), rel=1e-12)
    case = gradest.Case(losses, given(backend)[0], tuple(given(backend)[1:]))
    assert gradest.noise_scale(case).value == found.value


def test_a_sample_is_unbiased_and_its_error_is_what_it_scatters_by() -> None:
    samples = [gradest.noise_scale(losses, POINT, FEATURES, RESPONSE, num_samples=6, rng=seed) for seed in range(SEEDS)]
    assert {(found.num_examples, found.num_sampled) for found in samples} == {(12, 6)}
    values, errors = np.array([(found.value, found.error) for found in samples]).T
    wanted, scatter = scale_of(SQUARES), (values - scale_of(SQUARES)) ** 2
    # |z| < 4.9 has a false alarm of 1e-6 by the normal law, to which a mean of 300 is near.
    assert abs(values.mean() - wanted) < 4.9 * values.std(ddof=1) / np.sqrt(SEEDS)
    low, high = ratio_bounds(scatter, FALSE_ALARM)
    stated = float(np.mean(errors**2))
    assert low <= scatter.mean() / stated <= high
    # Without what is known of a half of the examples, the error would be twice as large, squared.
    assert not low <= scatter.mean() / (2 * stated) <= high


def test_a_large_problem_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = gradest.get_problem("least-squares", num_samples=200, num_features=3)
    assert gradest.noise_scale(problem).num_sampled == 200
    monkeypatch.setattr(module, "EXACT_ENTRIES", 3 * 50)
    found = gradest.noise_scale(problem, rng=0)
    assert found.num_sampled == 50
    assert abs(found.value - scale_of(explicit(problem))) < 6 * found.error
    assert gradest.noise_scale(problem, rng=0) == found != gradest.noise_scale(problem, rng=1)


def test_equal_examples_have_no_noise() -> None:
    problem = gradest.get_problem("softmax-regression", dataset="iris", batch=1)
    assert gradest.noise_scale(problem).value == 0.0
    assert gradest.noise_scale(losses, POINT, np.ones((4, 3)), np.ones(4)).value == 0.0


def test_what_has_no_noise_scale_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="no mean over examples"):
        gradest.noise_scale(gradest.get_problem("quadratic"))
    with pytest.raises(InvalidInputError, match="one loss for each example"):
        gradest.noise_scale(lambda w: float(w.sum()), POINT)
    with pytest.raises(InvalidInputError, match="vanishes"):
        gradest.noise_scale(lambda w, x: (w - x) ** 2, np.zeros(1), np.array([1.0, -1.0]))
    with pytest.raises(NonFiniteError, match="1 of 1 entries"), np.errstate(all="ignore"):
        gradest.noise_scale(lambda w, x: np.log(w) * x, np.array([0.0]), np.array([np.inf, -np.inf]))
    wrongs: list[Any] = [1, True, 2.5]
    for wrong in wrongs:
        with pytest.raises(InvalidInputError, match="num_samples"):
            gradest.noise_scale(losses, POINT, FEATURES, RESPONSE, num_samples=wrong)


def test_it_stands_beside_the_accuracy_of_every_estimate() -> None:
    bound = Bound(PROBLEMS[0], backend="numpy", dtype="float32")
    facts = Session(gradest.get_estimator("reverse"), bound, seeds=(0,)).accuracy().reference
    assert facts.noise_scale == pytest.approx(scale_of(explicit(PROBLEMS[0])), rel=1e-6)
    assert facts.noise_scale_error == 0.0
    quadratic = Bound(gradest.get_problem("quadratic"), backend="numpy")
    assert Session(gradest.get_estimator("reverse"), quadratic, seeds=(0,)).accuracy().reference.noise_scale is None
