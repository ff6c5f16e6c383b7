"""A law of directions is one entry of one table: samplers, formulas, checks and theory read the rest from there.

The statistical tests allow 5 standard errors, a false-alarm probability below 1e-6 each.
"""

import math
from typing import Any

import numpy as np
import pytest
from support.small_losses import Quadratic

import gradest
from gradest import Estimator, theory
from gradest.directions import LAWS, Components, Law
from gradest.directions.laws import independently
from gradest.directions.streams import Streams
from gradest.errors import InvalidInputError, UnknownNameError, UnsupportedError
from gradest.situation import Situation
from gradest.testing import check_estimator

ALLOWED = 5.0
SAMPLES, REPLICATES = 5, 2000


def fill_triangular(streams: Streams, start: int, out: np.ndarray) -> None:
    """Fill with the symmetric triangular law on [-sqrt 6, sqrt 6], of variance 1: a difference of two uniforms."""
    for k in streams.seek(start, start + len(out)):
        first, second = streams.generator.random((2, out.shape[1]))
        out[k] = math.sqrt(6) * (first - second)


TRIANGULAR = Law(
    wording="triangular in [-sqrt 6, sqrt 6]^P",
    draw=independently(fill_triangular),
    source="a test",
    components=Components(kurtosis=12 / 5, sixth=54 / 7),
)


@pytest.fixture
def triangular(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LAWS, "triangular", TRIANGULAR)


def squared_errors(estimator: Estimator, problem: Quadratic) -> np.ndarray:
    prepared = estimator.prepare(gradest.bind(problem))
    found = np.stack([prepared(rng=seed).gradient["x"].reshape(-1) for seed in range(REPLICATES)])
    return np.sum((found - problem.gradient) ** 2, axis=1) / (problem.gradient @ problem.gradient)


def is_as_predicted(errors: np.ndarray, predicted: float | None) -> bool:
    assert predicted is not None
    return abs(errors.mean() - predicted) <= ALLOWED * errors.std() / np.sqrt(len(errors))


@pytest.mark.parametrize("fields", [{}, {"antithetic": False, "baseline": "value", "sigma": 0.7}], ids=str)
def test_a_new_entry_is_drawn_named_and_predicted(triangular: None, fields: dict[str, Any]) -> None:
    problem = Quadratic()
    objective = gradest.bind(problem)
    estimator = gradest.get_estimator("es", distribution="triangular", num_samples=SAMPLES, **fields)
    assert estimator.formula.endswith("v_i triangular in [-sqrt 6, sqrt 6]^P")
    assert estimator.source == "a test"
    at = Situation(objective.layout, problem.gradient, hessian=problem.terms[0])
    predicted = estimator.predict(at).relative_mse
    errors = squared_errors(estimator, problem)
    assert is_as_predicted(errors, predicted)
    if not fields:
        assert predicted == pytest.approx((problem.gradient.size + 12 / 5 - 2) / SAMPLES, rel=1e-12)


def test_wrong_moments_of_a_new_entry_show(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = Law(wording="", draw=independently(fill_triangular), components=Components(kurtosis=9.0, sixth=100.0))
    monkeypatch.setitem(LAWS, "triangular", wrong)
    problem = Quadratic()
    estimator = gradest.get_estimator("es", distribution="triangular", num_samples=SAMPLES)
    predicted = estimator.predict(Situation(gradest.bind(problem).layout, problem.gradient)).relative_mse
    assert not is_as_predicted(squared_errors(estimator, problem), predicted)


def test_the_checks_know_a_new_entry(triangular: None) -> None:
    estimator = gradest.get_estimator("es", distribution="triangular", num_samples=11)
    results = check_estimator(
        estimator, checks=["variance", "covariance", "smoothing", "streams", "distinct directions"]
    )
    assert all(result.applies and result.passed for result in results), [str(result) for result in results]


def test_other_estimators_take_a_new_entry(triangular: None) -> None:
    problem = Quadratic()
    estimator = gradest.get_estimator("forward-gradient", distribution="triangular", num_samples=SAMPLES)
    predicted = estimator.predict(Situation(gradest.bind(problem).layout, problem.gradient)).relative_mse
    assert is_as_predicted(squared_errors(estimator, problem), predicted)
    with pytest.raises(UnknownNameError, match="'triangular'"):
        gradest.get_estimator("forward-gradient", distribution="triangula")


@pytest.mark.parametrize("name", list(LAWS))
def test_every_entry_is_worded_and_predicted(name: str) -> None:
    assert LAWS[name].wording
    at: dict[str, Any] = {"num_parameters": 12, "num_samples": 3, "blocks": [(3, 4)], "rank": 1}
    assert 0.0 < theory.relative_mse_linear(name, **at) < 12.0


def test_a_law_that_theory_cannot_predict_is_not_guessed_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither independent components nor a formula of its own: every formula says so, in place of another law's."""
    monkeypatch.setitem(LAWS, "new", Law(wording="dependent", draw=independently(fill_triangular)))
    layers = [theory.NodeLayer(inputs=np.ones((2, 3)), slopes=np.ones((2, 4)), bias=True)]
    for ask in (
        lambda: theory.relative_mse_linear("new", num_parameters=4, num_samples=2),
        lambda: theory.covariance("new", np.ones(4), 2),
        lambda: theory.smoothing_bias("new", np.ones((3, 3, 3)), sigma=0.1),
        lambda: theory.predict_node_perturbation("new", layers=layers, gradient_norm=1.0, num_samples=2),
    ):
        with pytest.raises(UnsupportedError, match="'new'"):
            ask()
    problem = Quadratic()
    estimator = gradest.get_estimator("es", distribution="new")
    assert estimator.predict(Situation(gradest.bind(problem).layout, problem.gradient)) is None


def test_directions_of_another_mean_are_refused_one_sided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LAWS, "lopsided", Law(wording="", draw=independently(fill_triangular), centred=False))
    with pytest.raises(InvalidInputError, match="lopsided"):
        gradest.get_estimator("es-forward", distribution="lopsided")
    with pytest.raises(UnsupportedError, match="lopsided"):
        gradest.get_estimator("smoothed", distribution="lopsided")
