"""Every registered estimator, on every backend and in both precisions, on a user's own function and on a network.

On JAX, the function is tried in one precision and the network in the other (`support/turns.py`).

Each cell is right to what its family promises, or is refused with a reason. Seeds are fixed, so a cell either passes
or fails for good; how well estimates are calibrated is what `gradest.testing` measures.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.turns import is_in_turn

import gradest
from gradest.measurement.reference import reference_gradient
from gradest.measurement.session import flat

BACKENDS = ("numpy", "jax", "torch", "mxnet")
DTYPES = ("float32", "float64")

ERRORS = {
    "fd-forward": (1e-2, 1e-6),
    "fd-backward": (1e-2, 1e-6),
    "fd-central": (1e-3, 1e-8),
    "fd-five-point": (1e-3, 1e-10),
    "fd-richardson": (1e-3, 1e-10),
}
"""Relative L2 error at float32 and float64 with default steps; other deterministic estimators are exact to rounding."""

ROUNDING = (2e-6, 5e-15)
SAMPLING = 0.6
"""Relative L2 error allowed to an average of 400 directions, of 8 numbers or 35; theory has 0.15 and 0.3."""

WHOLE = {"es-vanilla": 30.0}
"""Without a baseline the loss itself is noise."""

NOTHING = {"null"}
WHITE_BOX = {"analytic", "reverse-checkpointed", "forward-structured", "fd-exact", "node-perturbation", "es-row-space"}
"""They look into a loss written in operations, which a user's own function is not."""

NEEDS = {("mxnet", "forward"), ("mxnet", "forward-gradient")}
"""What a framework cannot do with a function of its arrays."""

NAMES = tuple(gradest.names("estimators"))


def cells(first: int) -> list[tuple[str, str, str]]:
    """Return (name, backend, dtype) of every cell that is tried here; on JAX each name has the dtypes in turn."""
    return [
        (name, backend, dtype)
        for number, name in enumerate(NAMES, first)
        for backend in BACKENDS
        for dtype in DTYPES
        if backend != "jax" or is_in_turn(number, dtype, DTYPES)
    ]


W = np.random.default_rng(0).standard_normal((3, 2))
B = np.array([0.3, -0.2])
X = np.random.default_rng(1).standard_normal((5, 3))


def exact() -> np.ndarray[Any, Any]:
    """Return the gradient of `sum tanh(X W + B)^2`, by hand."""
    hidden = np.tanh(X @ W + B)
    delta = 2 * hidden * (1 - hidden**2)
    return np.concatenate([(X.T @ delta).ravel(), delta.sum(axis=0)])


def own_function(backend: str) -> Callable[[Mapping[str, Any], Any], Any]:
    """Return the loss as a user of the framework writes it."""
    if backend == "numpy":
        return lambda p, x: (np.tanh(x @ p["w"] + p["b"]) ** 2).sum()
    if backend == "jax":
        import jax.numpy as jnp

        return lambda p, x: (jnp.tanh(x @ p["w"] + p["b"]) ** 2).sum()
    if backend == "torch":
        import torch

        return lambda p, x: (torch.tanh(x @ p["w"] + p["b"]) ** 2).sum()
    from gradest_mxnet.framework import mx

    return lambda p, x: (mx.np.tanh(mx.np.dot(x, p["w"]) + p["b"]) ** 2).sum()


def estimator(name: str, guide: Any) -> gradest.Estimator:
    """Return the estimator, with 400 directions, and with the gradient for a guide where it takes guides."""
    found: Any = gradest.get_estimator(name, **({"guides": [guide]} if name == "guided-es" else {}))
    return replace(found, num_samples=400) if hasattr(found, "num_samples") else found


def require_right(found: gradest.Estimator, name: str, dtype: str, estimate: Any, gradient: Any) -> None:
    """Compare a cell with the gradient, by what its family promises."""
    error = float(np.linalg.norm(estimate - gradient) / np.linalg.norm(gradient))
    cosine = float(estimate @ gradient / np.linalg.norm(estimate) / np.linalg.norm(gradient)) if estimate.any() else 0.0
    if name in NOTHING:
        assert not estimate.any()
    elif found.target is gradest.Target.DIRECTION:
        assert cosine > 0.7
    elif found.stochastic:
        assert error < WHOLE.get(name, SAMPLING)
    else:
        assert error < ERRORS.get(name, ROUNDING)[DTYPES.index(dtype)]


@pytest.mark.filterwarnings("ignore::gradest.errors.NoiseWarning")  # float32 and small sigma: the error is bounded here
@pytest.mark.parametrize(("name", "backend", "dtype"), cells(first=0))
def test_on_a_users_own_function(name: str, backend: str, dtype: str) -> None:
    found = estimator(name, {"w": exact()[:-2].reshape(W.shape), "b": exact()[-2:]})
    home, f = gradest.get_backend(backend), own_function(backend)
    params = {"w": home.array(W, dtype=dtype), "b": home.array(B, dtype=dtype)}
    objective = gradest.bind(f, params, home.array(X, dtype=dtype), backend=backend)
    refused = name in WHITE_BOX or (backend, name) in NEEDS or (backend, name) == ("mxnet", "complex-step")
    if refused:
        with pytest.raises(gradest.UnsupportedError, match=r"asked for|needs"):
            found.prepare(objective)
        return
    estimate = flat(objective, found.prepare(objective)(rng=0))
    require_right(found, name, dtype, estimate, exact())


@pytest.mark.filterwarnings("ignore::gradest.errors.NoiseWarning")
@pytest.mark.parametrize(("name", "backend", "dtype"), cells(first=1))
def test_on_a_network(name: str, backend: str, dtype: str) -> None:
    problem = gradest.get_problem("mlp", dataset="iris", widths=(4,), batch=16)
    objective = gradest.bind(problem, backend=backend, dtype=dtype)
    gradient = reference_gradient(objective).gradient.astype(np.float64)
    found = estimator(name, dict(zip(objective.layout.names, objective.layout.unflatten(gradient), strict=True)))
    if (backend, name) == ("mxnet", "complex-step"):
        with pytest.raises(gradest.UnsupportedError, match="complex"):
            found.prepare(objective)
        return
    estimate = flat(objective, found.prepare(objective)(rng=0))
    require_right(found, name, dtype, estimate, gradient)
