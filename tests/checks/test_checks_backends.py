"""`check_backend` passes every backend and rejects backends that break one law each."""

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
from support.mutants_of_scale import DroppedRemainder, MissingSigma, WrongSign
from support.narrow_backend import NarrowBackend
from support.turns import in_turn, shared_by_two

from gradest import Backend, Problem, UnknownNameError, get_estimator, registry
from gradest.problems.quadratic import Quadratic
from gradest.testing import check_backend, check_estimator, check_problem, raise_on_failure
from gradest.testing.backend_checks import CHECKS
from gradest_numpy import NumpyBackend
from gradest_numpy.operations import NumpyOperations


@pytest.mark.parametrize("backend", ["numpy", "jax", "torch", "mxnet"])
def test_every_backend_passes_every_check(backend: str) -> None:
    # compiling every estimator for JAX takes half a minute, and the tests of estimators do it; these two take seconds
    left_out = ("estimators", in_turn(0, ("draws", "operations"))) if backend == "jax" else ()
    checks = [name for name in CHECKS if name not in left_out]
    raise_on_failure(check_backend(backend, checks=checks), strict=True)


def test_a_backend_of_the_least_that_the_contract_asks_for_passes_every_check() -> None:
    """It has float32 alone, no partial indexing and dtypes whose text is no name of NumPy's, and carries estimators."""
    results = check_backend(NarrowBackend())
    raise_on_failure(results, strict=True)
    assert {result.name for result in results if result.applies} >= {"operations", "kinks", "estimators"}


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> str:
    """Register the backend for as long as a test takes."""
    monkeypatch.setitem(registry.BACKENDS, "narrow", registry.Entry("support.narrow_backend:NarrowBackend"))
    return "narrow"


@pytest.mark.parametrize(
    "name", shared_by_two(["fd-five-point", "reverse", "spsa", "es-orthogonal", "fd-central", "forward-gradient"])
)
def test_estimators_pass_every_check_on_a_backend_without_float64(name: str, narrow: str) -> None:
    estimator: Any = get_estimator(name)
    if hasattr(estimator, "num_samples"):
        estimator = replace(estimator, num_samples=11)
    results = check_estimator(estimator, backends=(narrow, "numpy"))
    raise_on_failure(results, strict=True)
    made = {result.name for result in results if result.applies}
    assert made >= {"result", "cost", "backends"}
    assert made >= ({"scale", "unbiasedness", "own number"} if estimator.stochastic else {"accuracy"})


def test_a_wrong_estimator_is_rejected_on_a_backend_without_float64_too(narrow: str) -> None:
    for mutant, check in ((MissingSigma(), "scale"), (WrongSign(), "unbiasedness"), (DroppedRemainder(), "chunks")):
        (result,) = check_estimator(mutant, backends=(narrow,), checks=[check])
        assert result.failed, str(result)


def test_a_problem_passes_on_a_backend_without_float64_and_a_wrong_one_does_not(narrow: str) -> None:
    """float64 was asked of it, and every problem failed."""
    raise_on_failure(check_problem(Quadratic(size=3), backends=("numpy", narrow)))

    class OffByAThousandth(Quadratic):
        def loss(self, ops: Any, params: Any, data: Any) -> Any:
            exact = super().loss(ops, params, data)
            return exact if params["x"].dtype == np.float64 else 1.001 * exact

    losses = check_problem(OffByAThousandth(size=3), backends=("numpy", narrow))[-1]
    assert (losses.name, losses.failed) == ("losses", True)
    assert f"0.001 on {narrow}" in losses.detail


class _Unindexed(NumpyOperations):
    def reshape(self, x: Any, shape: Any) -> Any:
        found = np.reshape(x, shape)
        return found if shape != (2, -1) else found.view(_NoEllipsis)


class _NoEllipsis(np.ndarray):
    def __getitem__(self, key: Any) -> Any:
        raise IndexError("no such index")


def test_what_fails_in_an_estimator_is_found_and_all_of_it_is_named() -> None:
    failed = [result for result in check_backend(With(_Unindexed())) if result.failed]
    assert [result.name for result in failed] == ["estimators"]
    named, _, told = failed[0].detail.partition(" raised IndexError")
    assert {"es of a network", "spsa of a network"} < set(named.split(", "))
    assert "no such index" in told
    assert "raised" not in told, "one fault is told once"
    assert "reverse" not in failed[0].detail


class TwoNaive(NumpyOperations):
    def expm1(self, x: Any) -> Any:
        return np.exp(x) - 1

    def log1p(self, x: Any) -> Any:
        return np.log(1 + x)


def test_every_operation_beyond_its_bound_is_listed() -> None:
    (result,) = [r for r in check_backend(With(TwoNaive()), checks=["operations"]) if r.name == "operations"]
    assert result.failed
    assert "expm1" in result.detail
    assert "log1p" in result.detail
    assert "float32" in result.detail
    assert "float64" in result.detail


class TwoMissing(NumpyOperations):
    def expm1(self, x: Any) -> Any:
        raise NotImplementedError("not yet")

    def concat(self, *arrays: Any, axis: int) -> Any:
        return np.concatenate(arrays)  # of three axes: along the first, where the shapes differ


def test_an_operation_that_raises_is_named_and_the_others_are_tried() -> None:
    (result,) = [r for r in check_backend(With(TwoMissing()), checks=["operations"]) if r.name == "operations"]
    assert result.failed
    assert "expm1((4, 3)) raised NotImplementedError: not yet" in result.detail
    assert "concat((2, 4, 3), (2, 2, 3), axis=-2) raised ValueError" in result.detail
    assert result.detail.count("not yet") == 1


def test_an_unknown_check_of_a_backend_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'operations'"):
        check_backend("numpy", checks=["operation"])


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


class ForgetsTheAxis(NumpyOperations):
    def concat(self, *arrays: Any, axis: int) -> Any:
        return np.concatenate(arrays)


class ConstantsStayDouble(NumpyOperations):
    def constant(self, values: Any, *, like: Any) -> Any:
        return np.asarray(values)


class MeansInDouble(NumpyOperations):
    def mean(self, x: Any, *, axis: Any = None, keepdims: bool = False) -> Any:
        return np.mean(x, axis=axis, keepdims=keepdims, dtype=np.float64)


class KeepsTheDtypeItIsGiven(NumpyBackend):
    def array(self, values: Any, *, dtype: str, device: str | None = None, copy: bool = True) -> Any:
        return np.array(values)


class DtypeIsNoName(NumpyBackend):
    def dtype(self, array: Any) -> Any:
        return array.dtype


class OneWordOfDtypes(NumpyBackend):
    dtypes: ClassVar[Any] = "float64"


class OneWordOfNative(NumpyBackend):
    native: ClassVar[Any] = "value_and_gradient"


class OperationsUnmade(NumpyBackend):
    def operations(self, kernel: str = "portable") -> Any:
        return NumpyOperations


class OperationsForgotten(NumpyBackend):
    def operations(self, kernel: str = "portable") -> Any:
        super().operations(kernel)


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
        (KeepsTheDtypeItIsGiven(), "round trip"),
        (DtypeIsNoName(), "round trip"),
        (With(ForgetsTheAxis()), "operations"),
        (With(NaiveLogSumExp()), "operations"),
        (With(NaiveExpm1()), "operations"),
        (With(MasksAreNaN()), "operations"),
        (With(WritesToOperands()), "operations"),
        (With(ConstantsStayDouble()), "operations"),
        (With(MeansInDouble()), "operations"),
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


@pytest.mark.parametrize(
    ("backend", "told"),
    [
        (OneWordOfDtypes(), "dtypes must be a tuple of names"),
        (OneWordOfNative(), "native must be a frozenset of names"),
        (OperationsUnmade(), "subclass of gradest.Operations; found the class NumpyOperations"),
        (OperationsForgotten(), "subclass of gradest.Operations; found NoneType"),
    ],
    ids=lambda x: type(x).__name__ if isinstance(x, Backend) else "",
)
def test_what_is_no_backend_is_told_in_words_and_once(backend: Backend, told: str) -> None:
    results = check_backend(backend)
    assert [result.name for result in results] == ["form", "global state"]
    assert told in results[0].detail


def test_what_states_no_name_has_that_of_its_class() -> None:
    class Nameless(Problem):
        def parameters(self) -> Any:
            return {"x": np.ones(2)}

        def loss(self, ops: Any, params: Any, data: Any) -> Any:
            return ops.sum(params["x"] * params["x"], axis=-1)

    class Other(Nameless):
        name = "other"

    assert (Nameless().name, Other().name, Backend.name) == ("Nameless", "other", "Backend")
    raise_on_failure(check_problem(Nameless()))


def test_a_frameworks_own_state_is_compared_too() -> None:
    calls = iter(range(10))
    (result,) = [r for r in check_backend("numpy", state=lambda: next(calls)) if r.name == "global state"]
    assert not result.passed
