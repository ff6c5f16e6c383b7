"""The loss of each example is at hand, of problems and of users' functions, and its mean is the loss."""

import pickle
import warnings
from typing import Any

import numpy as np
import pytest

import gradest
from gradest import InvalidInputError, UnsupportedError
from gradest.operations import NumpyArray

FRAMEWORKS = ["numpy", "jax", "torch", "mxnet"]
GENERATOR = np.random.default_rng(7)
FEATURES, RESPONSE, POINT = GENERATOR.standard_normal((5, 3)), GENERATOR.standard_normal(5), np.array([0.3, -1.0, 0.7])
PROBLEMS = [
    gradest.get_problem("mlp", dataset="iris", widths=(5,), batch=12),
    gradest.get_problem("softmax-regression", dataset="iris", batch=7),
    gradest.get_problem("least-squares", num_samples=9, num_features=4),
    gradest.get_problem("polynomial-regression", num_samples=9),
]


def array(framework: str, values: NumpyArray, dtype: str = "float64") -> Any:
    backend = gradest.get_backend(framework)
    with backend.scope(dtype) or warnings.catch_warnings():
        return backend.array(np.asarray(values, dtype), dtype=dtype)


def squares(w: Any, x: Any, y: Any) -> Any:
    """Return one loss for each example."""
    return ((x * w).sum(-1) - y) ** 2


def bound(framework: str, **options: Any) -> gradest.Objective:
    given = (array(framework, values) for values in (POINT, FEATURES, RESPONSE))
    return gradest.bind(squares, *given, per_example=True, **options)


def evaluated(objective: gradest.Objective, scales: tuple[float, ...]) -> NumpyArray:
    """Return `evaluate_losses` at multiples of the start point, `(K, B)`."""
    backend = objective.backend

    def run() -> Any:
        population = tuple(
            backend.array(np.stack([scale * backend.numpy(leaf) for scale in scales]), dtype=objective.dtype)
            for leaf in objective.start
        )
        return backend.numpy(objective.evaluate_losses(population, objective.data))

    return np.asarray(objective.scoped(run)())


@pytest.mark.parametrize("kernel", ["portable", "native"])
@pytest.mark.parametrize("backend", FRAMEWORKS)
@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
def test_losses_of_a_problem_equal_those_of_batches_of_one(problem: Any, backend: str, kernel: str) -> None:
    objective = gradest.bind(problem, backend=backend, kernel=kernel)
    ops, data = gradest.get_backend("numpy").operations(), problem.data()
    count = len(next(iter(data.values())))

    def alone(scale: float, b: int) -> float:
        one = {name: values[b : b + 1] for name, values in data.items()}
        return float(problem.loss(ops, {name: scale * x for name, x in problem.parameters().items()}, one))

    wanted = np.array([[alone(scale, b) for b in range(count)] for scale in (1.0, 1.5)])
    np.testing.assert_allclose(evaluated(objective, (1.0, 1.5)), wanted, rtol=1e-12, atol=1e-13)
    assert objective.counts == gradest.Cost(values=2)
    found = objective.backend.numpy(objective.prepare_losses()(objective.start))
    np.testing.assert_allclose(found, wanted[0], rtol=1e-12, atol=1e-13)
    assert objective.counts == gradest.Cost(values=3)


@pytest.mark.parametrize("population", ["auto", "loop"])
@pytest.mark.parametrize("backend", FRAMEWORKS)
def test_losses_of_a_users_function_are_what_it_returns(backend: str, population: str) -> None:
    objective = bound(backend, population=population)
    wanted = np.stack([squares(scale * POINT, FEATURES, RESPONSE) for scale in (1.0, 1.5)])
    np.testing.assert_allclose(evaluated(objective, (1.0, 1.5)), wanted, rtol=1e-12)
    batches = population == "auto" and "vmap" in objective.backend.native
    assert objective.population_path == ("vmap" if batches else "loop")
    np.testing.assert_allclose(objective.backend.numpy(objective.prepare_losses()(objective.start)), wanted[0])
    assert float(objective.value()) == pytest.approx(wanted[0].mean(), rel=1e-12)


@pytest.mark.parametrize("method", ["reverse", "forward", "fd-central", "es", "complex-step"])
@pytest.mark.parametrize("backend", FRAMEWORKS)
def test_every_way_to_a_gradient_takes_the_mean(backend: str, method: str) -> None:
    given = [array(backend, values) for values in (POINT, FEATURES, RESPONSE)]
    estimator = gradest.get_estimator(method)
    options: dict[str, Any] = {"rng": 0} if estimator.stochastic else {}
    try:
        wanted = gradest.grad(lambda w, x, y: squares(w, x, y).mean(), method=method)(*given, **options)
    except UnsupportedError:  # whatever the mean cannot have on this backend, the examples cannot have either
        with pytest.raises(UnsupportedError):
            gradest.grad(squares, method=method, per_example=True)(*given, **options)
        return
    found = gradest.grad(squares, method=method, per_example=True)(*given, **options)
    numpy = gradest.get_backend(backend).numpy
    np.testing.assert_allclose(numpy(found), numpy(wanted), rtol=1e-9)


@pytest.mark.parametrize("backend", FRAMEWORKS)
@pytest.mark.parametrize("kind", ["problem", "function"])
def test_a_weighted_gradient_is_the_weighted_sum_of_the_examples_own(kind: str, backend: str) -> None:
    objective = bound(backend) if kind == "function" else gradest.bind(PROBLEMS[0], backend=backend)
    numpy = objective.backend.numpy
    count = len(numpy(objective.prepare_losses()(objective.start)))
    pull, before = objective.prepare_weighted_gradient(), objective.counts

    def gradient(weights: NumpyArray) -> NumpyArray:
        leaves = pull(objective.start, array(backend, weights))
        return np.concatenate([np.asarray(numpy(leaf)).ravel() for leaf in leaves])

    rows = np.stack([gradient(one) for one in np.eye(count)])
    weights = np.random.default_rng(3).standard_normal(count)
    np.testing.assert_allclose(gradient(weights), weights @ rows, rtol=1e-9, atol=1e-12)
    assert objective.counts - before == gradest.Cost(vjps=count + 1)
    leaves = objective.prepare_gradient()[0](objective.start)[1]
    whole = np.concatenate([np.asarray(numpy(leaf)).ravel() for leaf in leaves])
    np.testing.assert_allclose(rows.mean(axis=0), whole, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.int64, np.int32])
@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_whole_numbers_have_a_mean_that_is_none(backend: str, dtype: type) -> None:
    counts = array(backend, np.zeros(3))

    def wrong(w: Any) -> Any:
        answers: NumpyArray = np.array([1, 0, 0], dtype)
        return answers if backend == "numpy" else __import__("torch").as_tensor(answers)

    assert float(gradest.bind(wrong, counts, per_example=True).value()) == pytest.approx(1 / 3, rel=1e-6)


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (lambda w: w.sum(), r"shape \(\)"),
        (lambda w: float(w.sum()), "float"),
        (lambda w: np.ones((3, 1)) * w.sum(), r"shape \(3, 1\)"),
        (lambda w: w[:0], r"shape \(0,\)"),
        (lambda w: w > 0, "dtype bool"),
        (lambda w: w * 1j, "dtype complex128"),
        (lambda w: [1.0, 2.0], "list"),
        (lambda w: None, "NoneType"),
    ],
)
def test_what_is_no_loss_of_each_example_is_refused(answer: Any, found: str) -> None:
    with pytest.raises(InvalidInputError, match=f"per_example=True asks for .*found .*{found}"):
        gradest.bind(answer, POINT, per_example=True).value()


def test_an_array_of_losses_without_the_word_for_it_is_refused_with_it() -> None:
    with pytest.raises(InvalidInputError, match="say per_example=True"):
        gradest.grad(squares, method="fd-central")(POINT, FEATURES, RESPONSE)
    with pytest.raises(InvalidInputError) as refused:
        gradest.grad(lambda w: np.outer(w, w), method="fd-central")(POINT)
    assert "per_example" not in str(refused.value)


def test_per_example_is_for_functions() -> None:
    with pytest.raises(InvalidInputError, match="problem 'quadratic'"):
        gradest.bind(gradest.get_problem("quadratic"), per_example=True)
    with pytest.raises(InvalidInputError, match="per_example"):
        gradest.bind(gradest.bind(np.sum, POINT), per_example=True)


@pytest.mark.parametrize("objective", [gradest.bind(gradest.get_problem("quadratic")), gradest.bind(np.sum, POINT)])
def test_a_loss_of_no_examples_says_how_they_can_be_given(objective: gradest.Objective) -> None:
    assert not objective.has_losses
    for ask in (
        objective.prepare_losses,
        objective.prepare_weighted_gradient,
        lambda: objective.evaluate_losses((POINT[None],), objective.data),
    ):
        with pytest.raises(UnsupportedError, match=r"EmpiricalRisk.*per_example=True"):
            ask()


def test_a_pickled_function_keeps_its_examples() -> None:
    objective = pickle.loads(pickle.dumps(bound("numpy")))
    np.testing.assert_array_equal(objective.prepare_losses()(objective.start), squares(POINT, FEATURES, RESPONSE))


def test_a_gluon_loss_is_taken_as_it_is() -> None:
    mx = pytest.importorskip("mxnet", reason="MXNet is not installed: pip install mxnet")
    net = mx.gluon.nn.Dense(2)
    net.initialize()
    # `mx.nd.array` itself warns, through SciPy.
    x, y = (mx.np.array(values.tolist()).as_nd_ndarray() for values in (FEATURES, np.arange(10.0).reshape(5, 2)))
    net(x)
    for count in (5, 1):  # of one example MXNet's old arrays cannot be told from a sum
        objective = gradest.bind(
            lambda block, a, b: mx.gluon.loss.L2Loss()(block(a), b), net, x[:count], y[:count], per_example=True
        )
        losses = np.asarray(objective.backend.numpy(objective.prepare_losses()(objective.start)))
        wanted = ((net(x[:count]) - y[:count]) ** 2 / 2).mean(axis=1).asnumpy()
        np.testing.assert_allclose(losses, wanted, rtol=1e-5)
        assert float(objective.value()) == pytest.approx(wanted.mean(), rel=1e-5)
