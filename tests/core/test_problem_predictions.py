"""What problems say beside their loss: predictions, accuracy, the error as a loss; and what they can be given."""

import dataclasses
import math
import warnings
from typing import Any

import numpy as np
import pytest

import gradest
from gradest import FlatLossWarning, InvalidInputError, InvalidTypeError, NonFiniteError, UnsupportedError
from gradest.problems.accuracy import accuracy
from gradest.problems.initial_laws import INITIAL_LAWS

BACKENDS = ("numpy", "jax", "torch", "mxnet")
OPS = gradest.get_backend("numpy").operations()
MLP = gradest.get_problem("mlp", dataset="iris", widths=(5,), batch=None, seed=3)


@pytest.mark.parametrize("backend", BACKENDS)
def test_accuracy_is_that_of_the_highest_score(backend: str) -> None:
    where = gradest.get_backend(backend)
    generator = np.random.default_rng(0)
    scores, labels = generator.standard_normal((40, 7)), generator.integers(0, 7, 40)
    right = np.mean(scores.argmax(axis=1) == labels)
    with where.scope("float64") or warnings.catch_warnings():
        arrays = [where.array(x, dtype="float64") for x in (scores, np.eye(7)[labels])]
        found = where.numpy(accuracy(where.operations(), *arrays))
    assert float(found) == pytest.approx(right, abs=1e-15)


def test_accuracy_counts_ties_as_shares_takes_populations_and_passes_nan_on() -> None:
    targets = np.eye(4)[[0, 1]]
    assert float(np.asarray(accuracy(OPS, np.zeros((2, 4)), targets))) == 0.25
    assert float(np.asarray(accuracy(OPS, np.array([[1.0, 1, 0, 0], [0, 1, 0, 0]]), targets))) == 0.75
    several = np.stack([np.eye(4)[[0, 1]], np.eye(4)[[0, 0]], np.eye(4)[[2, 2]]])
    assert np.asarray(accuracy(OPS, several, targets)).tolist() == [1.0, 0.5, 0.0]
    assert math.isnan(float(np.asarray(accuracy(OPS, np.array([[math.nan, 0, 0, 0], [0, 1, 0, 0]]), targets))))


def test_prediction_is_the_model_that_the_loss_is_of() -> None:
    params, data = MLP.parameters(), MLP.data()
    logits = np.asarray(MLP.predict(OPS, params, data["x"]))
    assert logits.shape == (150, 3)
    hidden = np.tanh(data["x"] @ params["W1"] + params["b1"])
    np.testing.assert_allclose(logits, hidden @ params["W2"] + params["b2"], rtol=1e-14)
    found = float(np.asarray(MLP.metrics["accuracy"](OPS, params, data)))
    assert found == pytest.approx(np.mean(logits.argmax(axis=1) == data["targets"].argmax(axis=1)), abs=1e-15)
    regression = gradest.get_problem("least-squares", num_samples=7, num_features=3)
    weights, samples = regression.parameters(), regression.data()
    predicted = np.asarray(regression.predict(OPS, weights, samples["x"]))
    np.testing.assert_allclose(predicted, samples["x"] @ weights["w"], rtol=1e-14)
    with pytest.raises(UnsupportedError, match="predicts nothing"):
        gradest.get_problem("quadratic").predict(OPS, {}, np.zeros(1))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["reverse", "forward", "complex-step", "forward-gradient", "analytic"])
def test_an_error_rate_has_no_derivative(backend: str, name: str) -> None:
    problem = gradest.get_problem("classification-error", dataset="iris", widths=())
    with pytest.raises(UnsupportedError, match="asked for"):
        gradest.get_estimator(name)(problem, backend=backend)


def test_an_error_rate_is_smoothed_by_a_sigma_of_the_size_of_the_weights() -> None:
    """Along its estimate the error rate falls; at a sigma within one step of the loss there is a warning, not zeros."""
    problem = gradest.get_problem("classification-error", dataset="iris", widths=(), batch=None)
    params = problem.parameters()
    before = float(np.asarray(problem.loss(OPS, params, problem.data())))
    gradient = gradest.get_estimator("es", sigma=0.5, num_samples=200)(problem, rng=0).gradient
    moved = {name: params[name] - 0.5 * gradient[name] for name in params}
    assert float(np.asarray(problem.loss(OPS, moved, problem.data()))) < before - 0.05
    with pytest.warns(FlatLossWarning, match="steps"):
        gradest.get_estimator("es", sigma=1e-9, num_samples=4)(problem, rng=0)


VARIANCES = {"normal": (1 / 300, 0.01), "torch-linear": (1 / 900, 1 / 900), "xavier": (2 / 500, 0.0),
             "mxnet-uniform": (0.07**2 / 3, 0.0), "zeros": (0.0, 0.0)}  # fmt: skip
RADII = {"torch-linear": 300**-0.5, "xavier": (6 / 500) ** 0.5, "mxnet-uniform": 0.07}
LIMIT = 6.0
"""Standard errors: a faultless law fails a comparison with probability 2e-9, and there are 20."""


@pytest.mark.parametrize("name", INITIAL_LAWS)
def test_initial_laws_have_the_moments_of_their_formulas(name: str) -> None:
    weights = INITIAL_LAWS[name].weights(np.random.default_rng(1), 300, 200)
    biases = INITIAL_LAWS[name].biases(np.random.default_rng(2), 300, 20_000)
    assert weights.shape == (300, 200)
    for values, variance in zip((weights, biases), VARIANCES[name], strict=True):
        flat = values.ravel()
        assert not misfit(flat, variance)
        if variance:
            assert misfit(flat * 1.1, variance), "a law a tenth too wide has to be seen"
        if name in RADII and variance:
            assert 0.99 * RADII[name] < np.abs(flat).max() <= RADII[name]


def misfit(values: np.ndarray, variance: float) -> bool:
    if variance == 0.0:
        return bool(np.any(values != 0.0))
    squares = np.square(values)
    errors = [values.std() / math.sqrt(values.size), squares.std() / math.sqrt(values.size)]
    return abs(values.mean()) > LIMIT * errors[0] or abs(squares.mean() - variance) > LIMIT * errors[1]


def test_gluon_and_torch_begin_so() -> None:
    """The frameworks' own layers, beside the laws that are named after them: variance and range."""
    torch = pytest.importorskip("torch", reason="pip install 'gradest[torch]'")
    torch.manual_seed(0)
    layer = torch.nn.Linear(300, 200)
    own = layer.weight.detach().numpy().ravel()
    assert np.var(own) == pytest.approx(VARIANCES["torch-linear"][0], rel=0.05)
    assert np.abs(own).max() == pytest.approx(RADII["torch-linear"], rel=0.01)
    assert np.abs(layer.bias.detach().numpy()).max() == pytest.approx(RADII["torch-linear"], rel=0.05)


def test_the_start_of_a_network_follows_its_law() -> None:
    start = gradest.get_problem("mlp", dataset="iris", widths=(5,), initial="zeros").parameters()
    assert not any(block.any() for block in start.values())
    default, named = (gradest.get_problem("mlp", dataset="iris", **given) for given in ({}, {"initial": "normal"}))
    assert all(np.array_equal(default.parameters()[k], named.parameters()[k]) for k in default.parameters())
    with pytest.raises(gradest.UnknownNameError, match="initial law"):
        gradest.get_problem("mlp", initial="xaver")


def test_a_quadratic_takes_its_hessian_linear_part_and_start() -> None:
    hessian, linear, start = np.array([[2.0, 1.0], [1.0, -3.0]]), np.array([1.0, 5.0]), np.array([0.5, -1.0])
    problem = gradest.get_problem("quadratic", hessian=hessian, linear=linear, start=start, offset=2.0)
    estimate = gradest.get_estimator("reverse")(problem)
    assert float(estimate.value) == pytest.approx(start @ hessian @ start / 2 - linear @ start + 2.0)
    np.testing.assert_allclose(estimate.gradient["x"], hessian @ start - linear, rtol=1e-15)
    hessian[0, 0] = 7.0  # a copy was taken
    assert problem.data()["H"][0, 0] == 2.0
    assert gradest.get_problem("quadratic", hessian=np.eye(2)).data()["b"].tolist() == [0.0, 0.0]
    assert problem.curvature_along({"x": start}, problem.data()) == pytest.approx(start @ problem.data()["H"] @ start)


@pytest.mark.parametrize("change", [{"size": 5}, {"seed": 3}, {"condition": 2.0}, {"hessian": np.eye(4)}], ids=repr)
def test_a_problem_with_a_field_replaced_is_the_one_made_with_it(change: dict[str, Any]) -> None:
    """`dataclasses.replace` handed on what the first had made of its seed and size; the repr said otherwise."""
    fields = {"size": 4, "seed": 1, "condition": 7.0}
    first: Any = gradest.get_problem("quadratic", **fields)
    found = dataclasses.replace(first, **change)
    asked = gradest.get_problem("quadratic", **{**fields, **change})
    assert repr(found) == repr(asked)
    for here, there in ((found.parameters(), asked.parameters()), (found.data(), asked.data())):
        assert all(np.array_equal(here[name], there[name]) for name in there)


def test_regressions_take_their_data() -> None:
    generator = np.random.default_rng(0)
    features, response = generator.standard_normal((30, 2)), generator.standard_normal(30)
    problem = gradest.get_problem("least-squares", features=features, response=response, start=[0.0, 0.0])
    gradient = gradest.get_estimator("analytic")(problem).gradient["w"]
    np.testing.assert_allclose(gradient, -features.T @ response / 30, rtol=1e-12)
    direction = {"w": np.array([1.0, -2.0])}
    hessian = features.T @ features / 30
    found = problem.curvature_along(direction, problem.data())
    assert found == pytest.approx(direction["w"] @ hessian @ direction["w"])
    points = np.linspace(-1, 1, 9)
    polynomial = gradest.get_problem("polynomial-regression", points=points, response=points**2, degree=2)
    exact = {"w": np.array([0.0, 0.0, 1.0])}
    assert float(np.asarray(polynomial.loss(OPS, exact, polynomial.data()))) < 1e-30


@pytest.mark.parametrize(
    ("name", "fields", "error", "words"),
    [
        ("quadratic", {"hessian": [[1.0, 2.0], [0.0, 1.0]]}, InvalidInputError, "symmetric"),
        ("quadratic", {"hessian": [[1.0, 2.0]]}, InvalidInputError, "symmetric"),
        ("quadratic", {"hessian": [[math.nan]]}, NonFiniteError, "hessian"),
        ("quadratic", {"hessian": [["a"]]}, InvalidTypeError, "hessian"),
        ("quadratic", {"hessian": [[1.0], [1.0, 2.0]]}, InvalidInputError, "equally long rows"),
        ("quadratic", {"start": np.ma.masked_array(np.ones(20), np.eye(20)[0])}, InvalidTypeError, "masked"),
        ("least-squares", {"features": [[np.longdouble("1e400")]], "response": [1.0]}, NonFiniteError, "in float64"),
        ("least-squares", {"features": [[1.0]], "response": [1.0, 2.0]}, InvalidInputError, "response"),
        ("least-squares", {"num_features": 2, "start": [1.0]}, InvalidInputError, "start"),
        ("quadratic", {"start": [1.0, 2.0]}, InvalidInputError, "start"),
        ("least-squares", {"features": [[1.0]]}, InvalidInputError, "'response' is missing"),
        ("polynomial-regression", {"response": [1.0]}, InvalidInputError, "'points' is missing"),
    ],
)
def test_arrays_that_cannot_be_are_refused(name: str, fields: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        gradest.get_problem(name, **fields)


def test_samples_that_are_given_are_copied_and_counted() -> None:
    """What was written into them until the first evaluation was what was fitted; the repr named 100 samples."""
    features, response, start = np.eye(2), np.array([1.0, 2.0]), np.zeros(2)
    problem = gradest.get_problem("least-squares", features=features, response=response, start=start)
    for array in (features, response, start):
        array += 7.0
    assert problem.data()["x"].tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert problem.data()["y"].tolist() == [1.0, 2.0]
    assert problem.parameters()["w"].tolist() == [0.0, 0.0]
    assert repr(problem) == "LeastSquares(num_samples=2, num_features=2, noise=0.1, seed=0)"
    points = gradest.get_problem("polynomial-regression", points=[0.5, 1.0, 2.0], response=np.ones(3), degree=1)
    assert (points.num_examples, points.data()["x"].tolist()) == (3, [[1.0, 0.5], [1.0, 1.0], [1.0, 2.0]])


def test_the_head_of_a_data_set_is_its_first_samples_as_they_stand() -> None:
    whole = gradest.datasets.load("iris")
    first = whole.head(7)
    assert np.array_equal(first.features, whole.features[:7])
    assert first.name == "iris/head7"
    for count, error in ((0, InvalidInputError), (151, InvalidInputError), (True, InvalidTypeError)):
        with pytest.raises(error):
            whole.head(count)
