"""Arguments that NumPy has no arrays for: sparse, ragged and quantised ones, float8. Their loss is as any other."""

from collections.abc import Callable
from typing import Any

import pytest

import gradest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'gradest[torch]'")

pytestmark = [
    pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors"),
    pytest.mark.filterwarnings("ignore:Sparse"),
    pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor"),
]
DENSE = torch.tensor([[0.0, 1.5, 0.0, 2.0], [1.0, 0.0, 0.0, -0.5], [0.5, 0.0, 3.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
PARAMETERS = torch.linspace(-1.0, 1.0, 8, dtype=torch.float64).reshape(4, 2)


def of_dense(p: Any, a: Any) -> Any:
    return ((a.to(torch.float64) @ p) ** 2).sum()


ARGUMENTS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "sparse_coo": (lambda d: d.to_sparse(), lambda a: a.to_dense()),
    "uncoalesced": (
        lambda d: torch.sparse_coo_tensor(d.repeat(1, 2).nonzero().T % 4, d.repeat(1, 2)[d.repeat(1, 2) != 0] / 2),
        lambda a: a.to_dense(),
    ),
    "sparse_csr": (lambda d: d.to_sparse_csr(), lambda a: a.to_dense()),
    "sparse_csc": (lambda d: d.to_sparse_csc(), lambda a: a.to_dense()),
    "sparse_bsr": (lambda d: d.to_sparse_bsr((2, 2)), lambda a: a.to_dense()),
    "jagged": (
        lambda d: torch.nested.nested_tensor([d[:1], d[1:]], layout=torch.jagged),
        lambda a: a.values(),
    ),
    "ragged": (
        lambda d: torch.nested.nested_tensor([d[:1], d[1:]], layout=torch.strided),
        lambda a: torch.cat(a.unbind()),
    ),
    "quantised": (lambda d: torch.quantize_per_tensor(d, 0.5, 0, torch.qint8), lambda a: a.dequantize()),
    "oneDNN": (lambda d: d.to_mkldnn(), lambda a: a.to_dense()),
    "float8": (lambda d: d.to(torch.float8_e4m3fn), lambda a: a.float()),
}


@pytest.mark.parametrize("kind", ARGUMENTS)
@pytest.mark.parametrize("method", ["reverse", "forward", "fd-central"])
def test_a_loss_of_such_an_argument_has_the_gradient_of_the_dense_one(kind: str, method: str) -> None:
    make, dense = ARGUMENTS[kind]
    argument = make(DENSE)

    def loss(p: Any, a: Any) -> Any:
        return of_dense(p, dense(a))

    found = gradest.grad(loss, method=method)(PARAMETERS, argument)
    a = DENSE.double()
    torch.testing.assert_close(found, 2 * a.T @ (a @ PARAMETERS), rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(dense(argument), dense(make(DENSE)), rtol=0, atol=0)


@pytest.mark.parametrize("kind", ["sparse_coo", "sparse_csr", "ragged", "quantised", "float8"])
def test_es_takes_such_an_argument(kind: str) -> None:
    make, dense = ARGUMENTS[kind]
    es = gradest.get_estimator("es", num_samples=4)
    found = es(lambda p, a: of_dense(p, dense(a)), PARAMETERS, make(DENSE), rng=3)
    wanted = es(of_dense, PARAMETERS, DENSE, rng=3)
    torch.testing.assert_close(found.gradient, wanted.gradient, rtol=1e-9, atol=1e-9)


def test_an_argument_without_values_is_one_too() -> None:
    empty = torch.empty(5, 4, device="meta")
    for method in ("reverse", "fd-central"):
        found = gradest.grad(lambda p, a: (p**2).sum() * a.shape[0], method=method)(PARAMETERS, empty)
        torch.testing.assert_close(found, 10 * PARAMETERS, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("method", ["reverse", "fd-central", "es"])
@pytest.mark.parametrize("kind", ["sparse_coo", "sparse_csr"])
def test_writing_into_the_values_of_a_sparse_argument_is_refused(kind: str, method: str) -> None:
    argument = ARGUMENTS[kind][0](DENSE)

    def loss(p: Any, a: Any) -> Any:
        value = of_dense(p, a.to_dense())
        (a._values() if kind == "sparse_coo" else a.values()).mul_(2)
        return value

    with pytest.raises(gradest.InvalidInputError, match="writes into its parameters or arguments"):
        gradest.grad(loss, method=method)(PARAMETERS, argument)
    if method != "reverse":  # which copies no arguments
        torch.testing.assert_close(argument.to_dense(), DENSE, rtol=0, atol=0)


def test_forward_mode_says_what_it_cannot_do_with_a_sparse_argument() -> None:
    for make in (ARGUMENTS["sparse_coo"][0], ARGUMENTS["sparse_csr"][0]):
        with pytest.raises(gradest.UnsupportedError, match="forward mode was asked for; PyTorch cannot carry it"):
            gradest.grad(lambda p, a: ((a @ p) ** 2).sum(), method="forward")(PARAMETERS.float(), make(DENSE))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("method", ["reverse", "fd-central"])
@pytest.mark.parametrize("kind", ["sparse_coo", "sparse_csr", "quantised", "float8"])
def test_a_module_may_hold_such_a_buffer(kind: str, method: str, training: bool) -> None:
    """The sparse graph of a graph network, say; a layer in training mode has its buffers copied, which adds to them."""
    make, dense = ARGUMENTS[kind]

    class Network(torch.nn.Module):  # type: ignore[misc, name-defined]  # of type Any where it is not installed
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(2, 3).double()
            self.register_buffer("graph", make(DENSE))

        def forward(self, x: Any) -> Any:
            return ((dense(self.graph).double() @ self.linear(x)) ** 2).mean()

    model = Network().train(training)
    wanted = torch.autograd.grad(model(PARAMETERS), tuple(model.parameters()))
    found = gradest.grad(lambda m, x: m(x), method=method)(model, PARAMETERS)
    for g, w in zip(found.values(), wanted, strict=True):
        torch.testing.assert_close(g, w, rtol=1e-6, atol=1e-7)
