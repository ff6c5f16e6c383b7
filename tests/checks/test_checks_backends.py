"""`check_backend` passes every backend and rejects backends that break one law each."""

from typing import Any

import numpy as np
import pytest

from gradest import Backend
from gradest.testing import check_backend, raise_on_failure
from gradest_numpy import NumpyBackend
from gradest_numpy.operations import NumpyOperations


@pytest.mark.parametrize("backend", ["numpy", "jax", "torch", "mxnet"])
def test_every_backend_passes_every_check(backend: str) -> None:
    raise_on_failure(check_backend(backend))


class Aliasing(NumpyBackend):
    def array(self, values: Any, *, dtype: str, device: str | None = None, copy: bool = True) -> Any:
        return np.asarray(values, dtype=dtype)


class AliasingOnTheWayBack(NumpyBackend):
    def numpy(self, array: Any) -> Any:
        return np.asarray(array)


class AlwaysSingle(NumpyBackend):
    def array(self, values: Any, *, dtype: str, device: str | None = None, copy: bool = True) -> Any:
        return np.array(values, dtype=np.float32)


class NaiveLogSumExp(NumpyOperations):
    def logsumexp(self, x: Any) -> Any:
        with np.errstate(over="ignore", divide="ignore"):
            return np.log(np.sum(np.exp(x), axis=-1))


class MasksAreNaN(NumpyOperations):
    def softmax_cross_entropy(self, logits: Any, targets: Any) -> Any:
        with np.errstate(invalid="ignore"):
            shifted = logits - logits.max(axis=-1, keepdims=True)
            return (np.log(np.exp(shifted).sum(axis=-1)) - (targets * shifted).sum(axis=-1)).mean(axis=-1)


class NaiveExpm1(NumpyOperations):
    def expm1(self, x: Any) -> Any:
        return np.exp(x) - 1


class WritesToOperands(NumpyOperations):
    def softmax(self, x: Any) -> Any:
        x -= x.max(axis=-1, keepdims=True)
        weights = np.exp(x)
        return weights / weights.sum(axis=-1, keepdims=True)


class With(NumpyBackend):
    """NumPy with other operations."""

    kernels = ("portable",)  # type: ignore[assignment]  # fewer than the backend has

    def __init__(self, operations: NumpyOperations) -> None:
        self._operations = {"portable": operations}


class HalfAtTheKink(NumpyBackend):
    native = frozenset({"complex", "value_and_gradient"})

    def value_and_gradient(self, function: Any) -> Any:
        def differences(leaves: Any, data: Any) -> Any:
            gradient, h = [], 1e-7
            for k, leaf in enumerate(leaves):
                block = np.empty_like(leaf)
                for place in np.ndindex(leaf.shape):
                    step = np.zeros_like(leaf)
                    step[place] = h
                    up, down = (function((*leaves[:k], leaf + s, *leaves[k + 1 :]), data) for s in (step, -step))
                    block[place] = (up - down) / (2 * h)
                gradient.append(block)
            return function(leaves, data), tuple(gradient)

        return differences


class ClaimsACompiler(NumpyBackend):
    native = frozenset({"complex", "compile"})


class MovesAGlobal(NumpyBackend):
    def numpy(self, array: Any) -> Any:
        np.seterr(under="print")
        return super().numpy(array)


@pytest.fixture(autouse=True)
def _restored_error_handling() -> Any:
    with np.errstate():
        yield


@pytest.mark.parametrize(
    ("backend", "check"),
    [
        (Aliasing(), "aliasing"),
        (AliasingOnTheWayBack(), "aliasing"),
        (AlwaysSingle(), "round trip"),
        (With(NaiveLogSumExp()), "operations"),
        (With(NaiveExpm1()), "operations"),
        (With(MasksAreNaN()), "operations"),
        (With(WritesToOperands()), "operations"),
        (HalfAtTheKink(), "kinks"),
        (HalfAtTheKink(), "gradient"),
        (ClaimsACompiler(), "declaration"),
        (MovesAGlobal(), "global state"),
    ],
    ids=lambda x: type(x).__name__ if isinstance(x, Backend) else x,
)
def test_a_backend_that_breaks_a_law_is_rejected(backend: Backend, check: str) -> None:
    failed = {result.name for result in check_backend(backend) if not result.passed}
    assert check in failed


def test_a_frameworks_own_state_is_compared_too() -> None:
    calls = iter(range(10))
    (result,) = [r for r in check_backend("numpy", state=lambda: next(calls)) if r.name == "global state"]
    assert not result.passed
