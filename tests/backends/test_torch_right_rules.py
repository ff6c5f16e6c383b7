"""Forward mode and products with the Hessian where PyTorch's own rules are wrong, or are missing without a word.

Reverse mode is right there, and what they are compared with: `torch.autograd` of one pass, or a difference of two.
"""

import warnings
from collections.abc import Callable
from typing import Any

import pytest

import gradest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
nn = torch.nn
Loss = Callable[[Any], Any]
P = torch.linspace(-1.0, 1.2, 9, dtype=torch.float64).reshape(3, 3).mul(3).sin()
V = torch.linspace(0.3, 2.0, 9, dtype=torch.float64).reshape(3, 3).cos()
GROUPS = torch.tensor([0, 1, 1])
ROWS = GROUPS[:, None].expand(3, 3)


def factor(p: Any) -> Any:
    return torch.linalg.cholesky(p @ p.mT + torch.eye(3, dtype=p.dtype))


def solved(p: Any, **how: bool) -> Any:
    right = torch.linspace(1.0, 2.0, 6, dtype=p.dtype).reshape(3, 2)
    matrix = factor(p).mT if how.get("upper") else factor(p)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.triangular_solve is deprecated", category=UserWarning)
        return torch.triangular_solve(right, matrix, **how)[0]


def weight_normalised(dim: int | None) -> Loss:
    """A loss of the lengths and directions of a layer's weights, as the layer itself computes them."""
    layer = torch.nn.utils.parametrizations.weight_norm(nn.Linear(3, 3, bias=False), dim=dim).double()

    def loss(p: Any) -> Any:
        names = ("parametrizations.weight.original0", "parametrizations.weight.original1")
        length = layer.get_parameter(names[0])
        values = dict(
            zip(names, (p.exp().mean() + p.reshape(-1)[: length.numel()].reshape(length.shape), p), strict=True)
        )
        return torch.func.functional_call(layer, values, (P.mT,)).square().sum()

    return loss


def product_of_groups(p: Any) -> Any:
    return torch.ones(2, 3, dtype=p.dtype).scatter_reduce(0, ROWS, p, "prod").square().sum() + p.sum()


RIGHT: dict[str, Loss] = {
    "cholesky_inverse": lambda p: torch.cholesky_inverse(factor(p)).square().sum() + p.sum(),
    "cholesky_inverse, upper": lambda p: factor(p).mT.cholesky_inverse(upper=True).square().sum(),
    "triangular_solve": lambda p: solved(p, upper=False).square().sum() + p.sum(),
    "triangular_solve, upper": lambda p: solved(p, upper=True).square().sum(),
    "triangular_solve, transposed": lambda p: solved(p, upper=False, transpose=True).square().sum(),
    "triangular_solve, ones": lambda p: solved(p, upper=True, transpose=True, unitriangular=True).square().sum(),
    "weight_norm by rows": weight_normalised(0),
    "weight_norm by columns": weight_normalised(1),
    "weight_norm of all": weight_normalised(None),
    "scatter_reduce of sums": lambda p: torch.ones(2, 3).double().scatter_reduce(0, ROWS, p, "sum").square().sum(),
}


def slope(loss: Loss, at: Any) -> Any:
    at = at.detach().clone().requires_grad_()
    return torch.autograd.grad(loss(at), at)[0]


@pytest.mark.parametrize("name", RIGHT)
def test_forward_mode_is_reverse_mode(name: str) -> None:
    found = gradest.grad(RIGHT[name], method="forward")(P)
    torch.testing.assert_close(found, slope(RIGHT[name], P), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", [*RIGHT, "scatter_reduce of products"])
def test_products_with_the_hessian_are_differences_of_gradients(name: str) -> None:
    loss = RIGHT.get(name, product_of_groups)
    expected = (slope(loss, P + 1e-5 * V) - slope(loss, P - 1e-5 * V)) / 2e-5
    torch.testing.assert_close(gradest.hvp(loss, P, V).value, expected, rtol=1e-6, atol=1e-6)


@pytest.fixture(scope="module")
def cube() -> Any:
    """An operation of somebody's own, with a derivative for reverse mode, as `torch.library` has it."""

    @torch.library.custom_op("gradest_tests::cube", mutates_args=())  # type: ignore[untyped-decorator]  # PyTorch's
    def operation(x: torch.Tensor) -> torch.Tensor:  # type: ignore[name-defined]  # PyTorch may be missing
        return x**3

    def keep(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs)

    operation.register_autograd(lambda ctx, g: 3 * g * ctx.saved_tensors[0] ** 2, setup_context=keep)
    return operation


@pytest.mark.parametrize("method", ["forward", "forward-gradient"])
@pytest.mark.parametrize("operation", ["products", "own"])
def test_what_loses_its_tangents_is_refused(operation: str, method: str, cube: Any) -> None:
    loss = product_of_groups if operation == "products" else (lambda p: cube(p).sum() + p.sum())
    with pytest.raises(gradest.UnsupportedError, match=r"forward mode was asked for.*use 'reverse'"):
        gradest.grad(loss, method=method)(P, rng=0)
    torch.testing.assert_close(gradest.grad(loss)(P), slope(loss, P))


@pytest.mark.skipif(not hasattr(nn.functional, "linear_cross_entropy"), reason="this PyTorch has no such loss")
def test_a_loss_in_chunks_is_refused_and_the_same_loss_in_one_is_not() -> None:
    from torch.nn.modules.linear_cross_entropy_options import LinearCrossEntropyOptions

    def loss(p: Any, options: Any) -> Any:
        return nn.functional.linear_cross_entropy(V, p, torch.tensor([0, 2, 1]), options=options) + p.square().sum()

    in_chunks = lambda p: loss(p, LinearCrossEntropyOptions(batch_chunk_size=2))  # noqa: E731  # a loss
    with pytest.raises(gradest.UnsupportedError, match=r"forward mode was asked for.*use 'reverse'"):
        gradest.grad(in_chunks, method="forward")(P)
    found = gradest.grad(lambda p: loss(p, None), method="forward")(P)
    torch.testing.assert_close(found, slope(in_chunks, P))


@pytest.mark.skipif(not hasattr(torch.compiler, "set_stance"), reason="this PyTorch compiles whatever it is told")
def test_what_is_compiled_keeps_its_tangents() -> None:
    compiled = torch.compile(lambda p: p.sin().square().sum(), backend="aot_eager", fullgraph=True)
    compiled(P)
    loss = lambda p: compiled(p) + p.sum()  # noqa: E731  # a loss, whose other part alone was all of a derivative
    torch.testing.assert_close(gradest.grad(loss, method="forward")(P), (2 * P).sin() + 1)
    torch.testing.assert_close(gradest.hvp(loss, P, V).value, 2 * (2 * P).cos() * V)
    controls = lambda p: torch.cond(p.sum() > 0, torch.sin, torch.cos, (p,)).sum() + p.sum()  # noqa: E731  # likewise
    with pytest.raises(gradest.UnsupportedError, match=r"torch.cond.*use 'reverse'"):
        gradest.grad(controls, method="forward")(P)
    expected = gradest.grad(controls)(P)
    torch.testing.assert_close(gradest.grad(controls, method="fd-central")(P), expected, rtol=1e-6, atol=1e-8)


def test_an_operation_of_ones_own_has_products_with_its_hessian(cube: Any) -> None:
    torch.testing.assert_close(gradest.hvp(lambda p: cube(p).sum(), P, V).value, 6 * P * V, rtol=1e-6, atol=1e-6)


def test_an_operation_of_ones_own_computes_with_data(cube: Any) -> None:
    found = gradest.grad(lambda p, x: (p * cube(x)).sum(), method="forward")(P, V)
    torch.testing.assert_close(found, V**3)
    with torch.no_grad():
        found = gradest.grad(lambda p: (p * cube(p.detach())).sum(), method="forward")(P)
    torch.testing.assert_close(found, P**3)


def test_an_operation_without_a_derivative_is_told_in_words() -> None:
    @torch.library.custom_op("gradest_tests::doubled", mutates_args=())  # type: ignore[untyped-decorator]  # PyTorch's
    def doubled(x: torch.Tensor) -> torch.Tensor:  # type: ignore[name-defined]  # PyTorch may be missing
        return 2 * x

    with pytest.raises(gradest.UnsupportedError, match=r"no derivative of an operation.*'fd-central'"):
        gradest.grad(lambda p: doubled(p).sum())(P)


def test_rows_of_an_embedding_share_their_tangents_where_they_share_their_gradient() -> None:
    layer = nn.Embedding(5, 2, padding_idx=2, scale_grad_by_freq=True).double()
    tokens = torch.tensor([[0, 1, 0], [2, 4, 0]])
    loss = lambda m, x: m(x).sin().sum()  # noqa: E731  # a loss
    (expected,) = torch.autograd.grad(loss(layer, tokens), layer.weight)
    found = gradest.grad(loss, method="forward")(layer, tokens)["weight"]
    torch.testing.assert_close(found, expected)


def test_tangents_that_do_not_fit_are_told_in_words() -> None:
    with pytest.raises(gradest.UnsupportedError, match=r"cannot carry it.*use 'reverse'"):
        gradest.grad(lambda p: torch.normal(p[:1], p.abs()).sum(), method="forward")(P)
