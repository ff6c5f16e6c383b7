"""The complex step of a PyTorch loss that converts to real numbers is refused, also where values are coarse."""

from collections.abc import Callable
from typing import Any

import pytest

import gradest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'gradest[torch]'")

from support.torch_network import X, network  # noqa: E402  # which imports PyTorch

Y = torch.cos(X[:, :2])


def mixed_precision(m: Any, x: Any, y: Any) -> Any:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = m(x)
    return ((outputs.float() - y) ** 2).mean()  # complex again beside y, without a derivative


def rounded(m: Any, x: Any, y: Any) -> Any:
    return ((m(x).bfloat16() - y) ** 2).mean() + m[0].bias.sum()


def into_real_entries(m: Any, x: Any, y: Any) -> Any:
    kept = torch.zeros(5, 2, dtype=torch.bfloat16)
    kept[:] = m(x)
    return ((kept - y) ** 2).mean()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", [mixed_precision, rounded, into_real_entries])
@pytest.mark.filterwarnings("ignore:Casting complex values to real")  # PyTorch's, of the first one in a process
def test_a_derivative_that_a_conversion_drops_is_missed(loss: Callable[..., Any], dtype: str) -> None:
    given = network().to(getattr(torch, dtype)), X.to(getattr(torch, dtype)), Y.to(getattr(torch, dtype))
    assert all(torch.isfinite(g).all() for g in gradest.grad(loss)(*given).values())
    with pytest.raises(gradest.InvalidInputError, match=r"an analytic loss.*(converts|conversion)"):
        gradest.grad(loss, method="complex-step")(*given)


def test_what_drops_nothing_is_no_conversion() -> None:
    def chooses(m: Any, x: Any) -> Any:
        weights = torch.ones(2, dtype=torch.float64)
        weights.copy_(x[0, :2])  # data, complex too by then, with imaginary parts of 0
        return (m(x) ** 2 * weights).mean()

    exact = gradest.grad(chooses)(network(), X)
    torch.testing.assert_close(gradest.grad(chooses, method="complex-step")(network(), X), exact)
