"""Optimisers take the steps of their formulas: beside `torch.optim`, HIPS Autograd's recurrence and closed forms."""

import dataclasses
import importlib
import math
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import gradest
from gradest import InvalidInputError, InvalidTypeError, UnknownNameError, UnsupportedError
from gradest.training import (
    OPTIMIZERS,
    Adam,
    Budget,
    Cosine,
    GradientDescent,
    HeavyBall,
    IterativeRefinement,
    Nesterov,
    Optimizer,
    StepDecay,
    Weights,
    get_optimizer,
)

STEPS = 20
ROSENBROCK = gradest.get_problem("rosenbrock", size=4)
WEIGHTS = Weights(jvp=2.0, vjp=3.0)
HALF: Any = np.float16
BYTE: Any = np.int8
Pair = tuple[Optimizer, Callable[[Any, Any], Any]]
PAIRS: dict[str, Pair] = {
    "gradient descent": (GradientDescent(step_size=1e-3), lambda t, x: t.optim.SGD([x], lr=1e-3)),
    "heavy ball": (HeavyBall(step_size=1e-4), lambda t, x: t.optim.SGD([x], lr=1e-4, momentum=0.9)),
    "nesterov": (Nesterov(step_size=1e-4), lambda t, x: t.optim.SGD([x], lr=1e-4, momentum=0.9, nesterov=True)),
    "adam": (Adam(step_size=0.01), lambda t, x: t.optim.Adam([x], lr=0.01)),
}


def trained(optimizer: Optimizer, steps: int, backend: str, **options: Any) -> Any:
    budget = Budget(steps=steps)
    found = gradest.train(ROSENBROCK, "analytic", optimizer, budget=budget, backend=backend, weights=WEIGHTS, **options)
    return np.asarray(
        gradest.get_backend(backend).numpy(found.params["x"]) if backend != "numpy" else found.params["x"]
    )


@pytest.mark.parametrize("backend", ["numpy", "jax", "torch", "mxnet"])
@pytest.mark.parametrize("name", PAIRS)
def test_an_optimizer_takes_the_steps_of_torch(name: str, backend: str) -> None:
    """20 steps in float64 on Rosenbrock's function, to rounding; PyTorch differentiates a loss of its own writing."""
    torch = pytest.importorskip("torch", reason="pip install 'gradest[torch]'")
    ours, theirs = PAIRS[name]
    x = torch.tensor(ROSENBROCK.parameters()["x"], requires_grad=True)
    peer = theirs(torch, x)
    for _ in range(STEPS):
        peer.zero_grad()
        (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum().backward()
        peer.step()
    found = trained(ours, STEPS, backend)
    np.testing.assert_allclose(found, x.detach().numpy(), rtol=1e-12, atol=1e-14)
    assert np.abs(trained(ours, STEPS - 1, "numpy") - found).max() > 1e-9, "one step fewer has to be seen"


@pytest.mark.skipif(find_spec("mxnet") is None, reason="MXNet is not installed: pip install 'gradest[mxnet]'")
def test_adam_of_gluon_adds_epsilon_before_the_correction() -> None:
    """What the attribute says of it: one step along 2e-7, 0.41 of ours, is ours with epsilon / sqrt(1 - b2)."""
    mx = importlib.import_module("gradest_mxnet").mx
    weight, slope = mx.nd.zeros(1), 2e-7
    peer = mx.optimizer.Adam(learning_rate=0.01)
    peer.update(0, weight, mx.nd.full((1,), slope), peer.create_state(0, weight))
    line = gradest.Case(lambda x: slope * x.sum(), np.zeros(1))
    ours, same = (
        gradest.train(line, "reverse", Adam(step_size=0.01, epsilon=epsilon), budget=Budget(steps=1)).params[0]
        for epsilon in (1e-8, 1e-8 / math.sqrt(1 - 0.999))
    )
    assert float(weight.asscalar()) == pytest.approx(same, rel=1e-5)
    assert same == pytest.approx(0.407 * ours, rel=1e-2)


def test_dampening_is_the_average_of_hips_autograd() -> None:
    """v <- m v - (1 - m) g, x <- x + s v, from v = 0, as `autograd.misc.optimizers.sgd` has it."""
    x, v = ROSENBROCK.parameters()["x"], np.zeros(4)
    gradient = gradest.grad(ROSENBROCK, method="analytic")
    for _ in range(STEPS):
        v = 0.8 * v - 0.2 * gradient({"x": x})["x"]
        x = x + 1e-3 * v
    found = trained(HeavyBall(step_size=1e-3, momentum=0.8, dampening=0.8), STEPS, "numpy")
    np.testing.assert_allclose(found, x, rtol=1e-13)


@pytest.mark.parametrize("b", [0.9, 0.5, 0.1, 0.01])
@pytest.mark.parametrize("estimator", ["analytic", "reverse", "complex-step"])
def test_an_exact_line_search_zigzags_as_its_closed_form(b: float, estimator: str) -> None:
    """f = (x^2 + b y^2)/2 from (b, 1): x_k = b ((b-1)/(b+1))^k, y_k = ((1-b)/(1+b))^k, to 1e-12 of the larger."""
    valley = gradest.get_problem("quadratic", hessian=[[1.0, 0.0], [0.0, b]], start=[b, 1.0])
    for steps in (1, 2, 13, 40):
        found = gradest.train(valley, estimator, "line-search", budget=Budget(steps=steps), weights=WEIGHTS)
        r = (1 - b) / (1 + b)
        exact = np.array([b * (-r) ** steps, r**steps])
        assert np.abs(found.params["x"] - exact).max() < 1e-12 * np.abs(exact).max()


def test_an_exact_line_search_stays_where_there_is_no_way_down() -> None:
    """b = 1 reaches the least loss in one step, but for rounding; where the gradient is 0 the step would be 0 / 0."""
    for start in (1.0, 0.0):
        bowl = gradest.get_problem("quadratic", hessian=np.eye(2), start=[start, start])
        found = gradest.train(bowl, "analytic", "line-search", budget=Budget(steps=5), weights=WEIGHTS)
        assert np.abs(found.params["x"]).max() < 1e-30
        assert found.state.step == 5


@pytest.mark.parametrize(
    ("scale", "size"),
    [(1.0, 1e150), (1.0, 1e-160), (1e180, 1.0), (1e-180, 1.0), (1e180, 1e-100), (1e-180, 1e100)],
)
def test_an_exact_line_search_is_the_same_in_any_units(scale: float, size: float) -> None:
    """Squares of gradients near 1e180 ended a run in an error; near 1e-180 it stood still without a word."""
    hessian, start = np.diag([1.0, 0.5]), np.array([0.5, 1.0])
    run: dict[str, Any] = {
        "estimator": "analytic",
        "optimizer": "line-search",
        "budget": Budget(steps=5),
        "weights": WEIGHTS,
    }
    plain = gradest.train(gradest.get_problem("quadratic", hessian=hessian, start=start), **run)
    scaled = gradest.train(gradest.get_problem("quadratic", hessian=scale * hessian, start=size * start), **run)
    np.testing.assert_allclose(scaled.params["x"], size * plain.params["x"], rtol=1e-12)


@pytest.mark.parametrize("problem", [
    {"condition": 0.0, "size": 3},
    {"hessian": [[1.0, 0.0], [0.0, -3.0]], "start": [0.1, 1.0]},
    {"hessian": [[1.0, 0.0], [0.0, 0.0]], "linear": [0.0, 1.0], "start": [0.0, 1.0]},
])  # fmt: skip
def test_an_exact_line_search_says_where_a_line_has_no_least_value(problem: dict[str, Any]) -> None:
    """A linear loss was divided by zero; along negative curvature the step went to the greatest value, uphill."""
    found = gradest.train(gradest.get_problem("quadratic", **problem), "analytic", "line-search",
                          budget=Budget(steps=3), weights=WEIGHTS)  # fmt: skip
    assert "no least value along its gradient" in found.ended
    assert found.state.step == 0


def test_an_exact_line_search_reaches_least_squares() -> None:
    problem = gradest.get_problem("least-squares", num_samples=40, num_features=3)
    data = problem.data()
    exact = np.linalg.lstsq(data["x"], data["y"], rcond=None)[0]
    found = gradest.train(problem, "reverse", "line-search", budget=Budget(steps=60), weights=WEIGHTS)
    np.testing.assert_allclose(found.params["w"], exact, atol=1e-10)


@pytest.mark.parametrize("f", [ROSENBROCK, gradest.Case(lambda x: float(x @ x), np.ones(2))])
def test_an_exact_line_search_is_refused_where_the_loss_is_not_known_to_be_quadratic(f: Any) -> None:
    with pytest.raises(UnsupportedError, match="line search was asked for of"):
        gradest.train(f, "fd-central", "line-search", budget=10)


def test_schedules_multiply_the_step() -> None:
    """Gradient descent with a schedule beside the same steps written out."""
    for schedule, factors in (
        (StepDecay(every=3, decay=0.5), [0.5 ** (k // 3) for k in range(8)]),
        (Cosine(steps=6, final=0.1), [0.1 + 0.45 * (1 + math.cos(math.pi * min(k, 6) / 6)) for k in range(8)]),
    ):
        x, gradient = ROSENBROCK.parameters()["x"], gradest.grad(ROSENBROCK, method="analytic")
        for factor in factors:
            x = x - 1e-3 * factor * gradient({"x": x})["x"]
        found = trained(GradientDescent(step_size=1e-3), 8, "numpy", schedule=schedule)
        np.testing.assert_allclose(found, x, rtol=1e-13)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_states_its_formula_and_source(name: str) -> None:
    made = get_optimizer(name)
    assert made.formula.startswith(("x <- ", "v <- ", "m <- "))
    assert made.source


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: get_optimizer("adma"), UnknownNameError),
        (lambda: get_optimizer("adam", beta=0.9), UnknownNameError),
        (lambda: get_optimizer("adam", beta1=1.0), InvalidInputError),
        (lambda: get_optimizer("adam", epsilon=-1.0), InvalidInputError),
        (lambda: get_optimizer("adam", epsilon=math.nan), InvalidInputError),
        (lambda: get_optimizer("sgd", step_size=0.0), InvalidInputError),
        (lambda: get_optimizer("sgd", step_size=math.nan), InvalidInputError),
        (lambda: get_optimizer("heavy-ball", momentum="0.9"), InvalidTypeError),
        (lambda: get_optimizer("random-search", scale=-1.0), InvalidInputError),
        (lambda: StepDecay(every=0), InvalidInputError),
        (lambda: Cosine(steps=0), InvalidInputError),
    ],
)
def test_hyperparameters_out_of_range_are_refused(make: Callable[[], object], error: type[Exception]) -> None:
    with pytest.raises(error):
        make()


@pytest.mark.parametrize(
    "made",
    [
        Adam(step_size=HALF(0.1), beta1=HALF(0.5)),
        HeavyBall(momentum=HALF(0.5)),
        IterativeRefinement(scale=HALF(0.5)),
        StepDecay(every=BYTE(100)),
        Cosine(steps=BYTE(100), final=HALF(0.5)),
        Budget(steps=BYTE(100)),
        Weights(jvp=HALF(2.0), vjp=HALF(3.0)),
        gradest.get_problem("quadratic", size=BYTE(5), condition=HALF(2.0)),
        gradest.get_problem("least-squares", num_samples=BYTE(5)),
        gradest.get_problem("polynomial-regression", degree=BYTE(2)),
        gradest.get_problem("mlp", batch=BYTE(9)),
        gradest.get_problem("rosenbrock", size=BYTE(4)),
        gradest.get_problem("logsumexp", scale=HALF(2.0)),
        gradest.get_problem("log-graph", x=HALF(2.0)),
    ],
    ids=lambda made: type(made).__name__,
)
def test_numbers_of_numpy_are_numbers_of_python(made: Any) -> None:
    """NumPy 2 computes in a scalar's own dtype: 1000 // int8(100) raised, weights of float16 made a cost infinite."""
    kept = {each.name: getattr(made, each.name) for each in dataclasses.fields(made)}
    assert not [name for name, value in kept.items() if isinstance(value, np.generic)]
    if isinstance(made, StepDecay):
        assert made.factor(1000) == pytest.approx(1e-10)
    if isinstance(made, Weights):
        assert made.of(gradest.Cost(values=70_000, vjps=40_000)) == 190_000.0
