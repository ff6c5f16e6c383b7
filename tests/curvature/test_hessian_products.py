"""Products with the Hessian equal closed forms by either path; Hutchinson's estimates scatter as theory says."""

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from support.small_losses import differentiable_once

import gradest
from gradest.autodiff import hessian_product
from gradest.curvature.hutchinson import hessian_trace
from gradest.curvature.products import Products

PATHS = {
    "numpy": "forward over reverse, by gradest",
    "mxnet": "forward over reverse, by gradest",
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
    np.testing.assert_allclose(objective.backend.numpy(value), exact, rtol=0, atol=1e-13)


def test_a_function_of_numpys_own_is_differentiated_twice() -> None:
    x, v = np.linspace(-1.0, 1.0, 4), np.array([1.0, -2.0, 0.0, 0.5])
    for dtype, rtol in ((np.float64, 1e-14), (np.longdouble, 1e-17), (np.float32, 1e-6)):
        found = gradest.hvp(lambda p: np.log(np.sum(np.exp(p))), x.astype(dtype), v.astype(dtype))
        assert found.path == "forward over reverse"
        assert found.value.dtype == dtype
        np.testing.assert_allclose(found.value.astype(np.float64), hessian(x) @ v, rtol=0, atol=rtol + 2e-16)
    kinked = gradest.hvp(lambda p: np.sum(np.abs(p["a"])) * p["b"], {"a": x, "b": 2.0}, {"a": v, "b": 1.0})
    np.testing.assert_allclose(kinked.value["a"], np.sign(x), rtol=1e-15)
    assert kinked.value["b"] == pytest.approx(np.sum(np.sign(x) * v))


SCALES: list[tuple[str, Any, Any, Any, Any]] = [
    ("usual", np.exp, np.exp, np.exp, [0.5, -0.5, 1.0]),
    ("log near 0", np.log, lambda x: 1 / x, lambda x: -1 / x**2, [1e-6, 2e-6, 3e-6]),
    ("log of several scales", np.log, lambda x: 1 / x, lambda x: -1 / x**2, [1e-6, 1e6, 1.0]),
    ("sqrt near 0", np.sqrt, lambda x: 0.5 / np.sqrt(x), lambda x: -0.25 * x**-1.5, [1e-5, 1e-5, 1e-5]),
    ("sin far out", np.sin, np.cos, lambda x: -np.sin(x), [1e6, 1.0, -1e6]),
    ("steep", lambda x: np.exp(1e6 * x), lambda x: 1e6 * np.exp(1e6 * x), lambda x: 1e12 * np.exp(1e6 * x), [1e-6] * 3),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # longer steps leave the domain
@pytest.mark.parametrize(("name", "f", "slope", "bend", "at"), SCALES, ids=[row[0] for row in SCALES])
def test_a_difference_of_gradients_finds_the_scale_of_the_loss(
    name: str, f: Any, slope: Any, bend: Any, at: Any
) -> None:
    """With the step for parameters near 1 alone, log at 1e-6 had a positive second derivative."""
    x, v = np.array(at), np.array([1.0, 0.0, 0.0])
    found = gradest.hvp(differentiable_once(f, slope), x, v)
    assert found.path == "difference of gradients"
    np.testing.assert_allclose(found.value, bend(x) * v, rtol=1e-8, atol=1e-12)


def test_a_difference_of_gradients_is_prepared_once_for_all_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A framework may compile the gradient at each preparation."""
    objective = gradest.bind(differentiable_once(np.sin, np.cos), np.array([0.3, 0.7]))
    prepare, prepared = objective.prepare_gradient, 0

    def counted() -> Any:
        nonlocal prepared
        prepared += 1
        return prepare()

    monkeypatch.setattr(objective, "prepare_gradient", counted)
    product = Products(objective)
    for direction in np.eye(2):
        np.testing.assert_allclose(product(direction), -np.sin([0.3, 0.7]) * direction, rtol=1e-8, atol=1e-12)
    assert (prepared, product.path) == (1, "difference of gradients")


def softmax_hessian(weights: np.ndarray, x: np.ndarray, v: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the Hessian of mean softmax cross-entropy of `x W + b` times a direction, by hand.

    With p = softmax(z) and dz = x V + c, the derivative of (p - t)/B along it is (p dz - p (p . dz)) / B.
    """
    z = x @ weights + bias
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    dz = x @ v[:-1] + v[-1]
    change = (p * dz - p * np.sum(p * dz, axis=1, keepdims=True)) / x.shape[0]
    return x.T @ change, change.sum(axis=0)


@pytest.mark.parametrize("backend", PATHS)
def test_softmax_regression_has_the_hessian_derived_by_hand(backend: str) -> None:
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed: pip install 'gradest[{backend}]'")
    kernel = gradest.get_backend(backend).kernels[-1]
    problem = gradest.get_problem("softmax-regression")
    objective = gradest.bind(problem, backend=backend, dtype="float64", kernel=kernel)
    start, data = problem.parameters(), problem.data()
    (w, b), generator = problem.layout.names, np.random.default_rng(1)
    v = generator.standard_normal((start[w].shape[0] + 1, start[w].shape[1]))
    make = objective.scoped(lambda a: objective.backend.array(a, dtype="float64"))
    found = gradest.hvp(objective, None, {w: make(v[:-1]), b: make(v[-1])})
    expected = softmax_hessian(start[w], data["x"], v, start[b])
    for name, exact in zip((w, b), expected, strict=True):
        np.testing.assert_allclose(objective.backend.numpy(found.value[name]), exact, rtol=1e-11, atol=1e-14)


OWN: list[tuple[str, dict[str, Any]]] = [  # a classification error has no derivative, and is refused
    *((name, {}) for name in sorted(gradest.names("problems")) if name not in ("mlp", "classification-error")),
    *(("mlp", {"activation": kind, "widths": (5,)}) for kind in ("tanh", "relu", "softplus", "sigmoid")),
]


@pytest.mark.parametrize(("name", "options"), OWN)
def test_gradests_products_are_those_of_a_framework(name: str, options: dict[str, Any]) -> None:
    """Every problem, by PyTorch's forward over reverse as the second opinion."""
    pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'gradest[torch]'")
    found = []
    for backend in ("numpy", "torch"):
        objective = gradest.bind(gradest.get_problem(name, **options), backend=backend, dtype="float64")
        v = np.random.default_rng(0).standard_normal(objective.layout.num_parameters)
        product = Products(objective)
        found.append(product(v))
        assert product.path == PATHS[backend]
    assert np.linalg.norm(found[0] - found[1]) <= 1e-12 * np.linalg.norm(found[1])


def test_the_hessian_of_a_quadratic_is_its_matrix() -> None:
    """Products with the basis vectors give a symmetric matrix, the same at every point, of which g is the product."""
    objective = gradest.bind(gradest.get_problem("quadratic", size=4))
    product = Products(objective)
    matrix = np.stack([product(e) for e in np.eye(4)])
    np.testing.assert_allclose(matrix, matrix.T, rtol=0, atol=1e-13 * np.abs(matrix).max())
    gradient, _ = objective.prepare_gradient()
    there = (objective.start[0] + np.array([1.0, -2.0, 0.5, 3.0]),)
    change = gradient(there)[1][0] - gradient(objective.start)[1][0]
    np.testing.assert_allclose(matrix @ [1.0, -2.0, 0.5, 3.0], change, rtol=1e-12)
    assert objective.counts.jvps == 4


def test_a_leaf_on_which_the_gradient_does_not_depend_has_zeros() -> None:
    """The loss is linear in one leaf: no tangent reaches the cotangent there, and zeros are what is right."""
    product = hessian_product(
        lambda ops, leaves, data: ops.sum(leaves[0]) + ops.sum(ops.square(leaves[1])),
        gradest.get_backend("numpy").operations(),
        (np.ones(2), np.ones((3, 1))),
        (np.ones(2), np.full((3, 1), 5.0)),
        (),
    )
    assert [p.tolist() for p in product] == [[0.0, 0.0], [[10.0]] * 3]  # type: ignore[attr-defined]


@pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed: pip install 'gradest[torch]'")
def test_a_module_of_the_users_own() -> None:
    import torch

    torch.manual_seed(0)
    model = torch.nn.Linear(3, 1, bias=False).double()
    x = torch.randn(5, 3, dtype=torch.float64)
    v = {"weight": torch.tensor([[1.0, -2.0, 0.5]], dtype=torch.float64)}
    found = gradest.hvp(lambda m, x: m(x).square().sum(), model, v, x)
    torch.testing.assert_close(found.value["weight"], v["weight"] @ (2 * x.T @ x))


def randomised(name: str) -> tuple[Any, Any]:
    """Return a module of PyTorch that draws random numbers, and its input."""
    from torch import nn, randn, tensor

    if name == "attention":
        return nn.TransformerEncoderLayer(4, 2, 8, dropout=0.3, batch_first=True).double(), randn(2, 3, 4).double()
    if name == "sparse":
        return nn.Sequential(nn.Embedding(5, 3, sparse=True), nn.Dropout(0.5)).double(), tensor([0, 1, 4, 1])
    return nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5)).double(), randn(5, 3).double()


@pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed: pip install 'gradest[torch]'")
@pytest.mark.parametrize("name", ["attention", "sparse", "mse_loss"])
def test_products_are_of_the_numbers_that_two_backward_passes_draw(name: str) -> None:
    """Inside `torch.func` a layer of attention draws another mask; there are no dual tensors through `mse_loss`."""
    import torch

    def loss(model: Any, x: Any) -> Any:
        found = model(x)
        if name == "mse_loss":
            return torch.nn.functional.mse_loss(found, x[:, :1].sin().expand(5, 4))
        return found.sin().mean()

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, x = randomised(name)
        named = dict(model.named_parameters())
        v = {key: torch.cos(torch.arange(p.numel()).double()).reshape(p.shape) for key, p in named.items()}
        state = torch.get_rng_state()
        slopes = torch.autograd.grad(loss(model, x), list(named.values()), create_graph=True)
        after = torch.get_rng_state()
        along: Any = sum((g.to_dense() * u).sum() for g, u in zip(slopes, v.values(), strict=True))
        expected = torch.autograd.grad(along, list(named.values()))
        torch.set_rng_state(state)
        found = gradest.hvp(loss, model, v, x)
        assert torch.equal(torch.get_rng_state(), after)
    for given, right in zip(found.value.values(), expected, strict=True):
        torch.testing.assert_close(given, right.to_dense(), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("backend", ["mxnet"])  # which has no second derivatives
def test_a_difference_of_gradients_is_of_one_draw(backend: str) -> None:
    """It was of two, over a step of 1e-3: of the product nothing was left."""
    from gradest_mxnet import mx

    def loss(x: Any) -> Any:
        return (x**3 * mx.np.random.rand(4)).sum()

    x: Any = gradest.get_backend(backend).array(np.array([1.0, 2.0, 3.0, 4.0]), dtype="float64")
    found = gradest.hvp(loss, x, x / x)
    weights = found.value.asnumpy() / (6.0 * x.asnumpy())
    assert found.path == "difference of gradients"
    assert np.all((weights > 0.0) & (weights < 1.0))


@pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed: pip install 'gradest[torch]'")
@pytest.mark.parametrize("name", ["mse_loss", "huber_loss", "soft_margin_loss"])
def test_losses_whose_backward_pass_has_no_forward_mode_in_torch(name: str) -> None:
    import torch

    torch.manual_seed(0)
    model = torch.nn.Linear(3, 1, bias=False).double()
    x, y = torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 1, dtype=torch.float64).sign()
    v = torch.tensor([[1.0, -2.0, 0.5]], dtype=torch.float64)
    of = getattr(torch.nn.functional, name)
    found = gradest.hvp(lambda m, x, y: of(m(x), y), model, {"weight": v}, x, y)
    weight = model.weight.detach().requires_grad_()
    (slope,) = torch.autograd.grad(of(x @ weight.T, y), weight, create_graph=True)
    torch.testing.assert_close(found.value["weight"], torch.autograd.grad((slope * v).sum(), weight)[0])


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
    for ask in (gradest.hvp, gradest.directional_derivative):
        with pytest.raises(gradest.PreparationMismatchError, match="a direction of the parameters' names") as told:
            ask(objective, None, {"x": np.ones(4)})
        assert "prepare" not in str(told.value)


def test_a_list_is_no_direction_of_one_array_and_no_parameters() -> None:
    asked = (
        lambda: gradest.hvp(lambda p: np.sum(p**3), np.ones(2), [1.0, 0.0]),
        lambda: gradest.directional_derivative(lambda p: np.sum(p**3), np.ones(2), [1.0, 0.0]),
        lambda: gradest.get_estimator("es").prepare(gradest.bind(lambda p: np.sum(p**3), np.ones(2)))([1.0, 0.0]),
    )
    for ask in asked:
        with pytest.raises(gradest.PreparationMismatchError, match=r"NO 0: .*found \('float',\)"):
            ask()
