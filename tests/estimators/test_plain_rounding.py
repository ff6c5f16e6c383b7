"""Differences that state no error say where they are mostly rounding, and nothing where they are not."""

import warnings
from typing import Any

import numpy as np
import pytest

import gradest

PLAIN = ["fd-central", "fd-forward", "fd-backward"]


@pytest.mark.parametrize("method", PLAIN)
def test_a_network_that_computes_in_bfloat16_and_returns_float32(method: str) -> None:
    """Neither the dtype of the value nor its digits tell: the cross-entropy is computed in float32 after the layers."""
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'gradest[torch]'")
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 3))
    x, y = torch.randn(16, 8), torch.randint(0, 3, (16,))

    def loss(model: Any, coarse: bool) -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=coarse):
            return torch.nn.functional.cross_entropy(model(x), y)

    with pytest.warns(gradest.NoiseWarning, match=r"rounding or noise of the loss, of about .*% of its length"):
        gradest.grad(loss, method=method)(network, True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gradest.grad(loss, method=method)(network, False)


@pytest.mark.parametrize("method", PLAIN)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_said_is_about_what_is_lost(dtype: str, method: str) -> None:
    """A large constant takes the digits of a loss: from some size on the warning comes, and the error is a tenth."""
    x = np.random.default_rng(0).standard_normal(50).astype(dtype)
    exact, told = np.cos(x.astype(np.float64)), []
    for exponent in range(16):
        offset = np.asarray(10.0**exponent, dtype)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = gradest.grad(lambda p, offset=offset: np.sin(p).sum() + offset, method=method)(x)
        error = float(np.linalg.norm(found - exact) / np.linalg.norm(exact))
        said = any(issubclass(w.category, gradest.NoiseWarning | gradest.FlatLossWarning) for w in caught)
        told.append(said)
        # The deviation is that of rounding to nearest; of one draw of fifty errors the length is within a third of it.
        assert said or error < 0.2, (exponent, error)
        assert not said or error > 0.05, (exponent, error)
    assert told[0] is False
    assert told[-1] is True


def test_a_step_that_was_chosen_too_short() -> None:
    with pytest.warns(gradest.NoiseWarning, match="rounding or noise"):
        gradest.grad(lambda p: np.sin(p).sum(), method="fd-central", step=1e-7)(np.ones(3, np.float32))


def test_exact_differences_and_a_stationary_point_are_left_alone() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gradest.get_estimator("fd-exact", step=1e-30)(gradest.bind(gradest.get_problem("logsumexp")))
        gradest.grad(lambda p: ((p - 1) ** 2).sum(), method="fd-central")(np.ones(3))
