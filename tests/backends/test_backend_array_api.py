"""The backend of the array API standard, on the strict reading of it: every check, and estimators beside NumPy's."""

import sys
import types
from typing import Any

import numpy as np
import pytest

import gradest
from gradest.errors import MissingDependencyError
from gradest.testing import check_backend, raise_on_failure
from gradest_array_api import ArrayApiBackend

strict = pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")


class Strict(ArrayApiBackend):
    """Refuses whatever the standard leaves open."""

    name = "strict"
    namespace = "array_api_strict"


class Absent(ArrayApiBackend):
    """Is not installed."""

    name = "absent"
    namespace = "no_such_namespace"


def test_every_check_of_a_backend_passes() -> None:
    results = check_backend(Strict())
    raise_on_failure(results)
    assert {result.name for result in results if result.applies} >= {"round trip", "operations", "estimators"}


@pytest.mark.parametrize("method", ["analytic", "reverse", "forward", "fd-exact", "es", "es-low-rank", "spsa"])
def test_estimates_are_those_of_numpy(method: str) -> None:
    problem, estimator = (
        gradest.get_problem("mlp", dataset="iris", widths=(4,), batch=16),
        gradest.get_estimator(method),
    )
    expected = estimator(gradest.bind(problem), rng=1).gradient
    found = estimator(gradest.bind(problem, backend=Strict()), rng=1).gradient
    for name, leaf in found.items():
        assert type(leaf).__module__.startswith("array_api_strict")
        np.testing.assert_allclose(np.from_dlpack(leaf), expected[name], rtol=1e-9, atol=1e-12)


def test_a_function_of_its_arrays_finds_its_backend_by_name() -> None:
    def loss(p: Any) -> Any:
        return strict.sum(p["x"] * p["x"])

    point = {"x": strict.asarray([1.0, 2.0])}
    gradient = gradest.grad(loss, method="fd-central", backend=Strict())(point)
    np.testing.assert_allclose(np.from_dlpack(gradient["x"]), [2.0, 4.0], rtol=1e-8)


def test_a_namespace_that_is_not_there_is_said_to_be_missing() -> None:
    with pytest.raises(MissingDependencyError, match="no_such_namespace"):
        Absent()


def test_a_namespace_that_is_older_than_the_standard_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy 1.26 ended in an AttributeError: its numbers have no device."""

    class Old(ArrayApiBackend):
        name = "old"
        namespace = "old_arrays"

    old = types.ModuleType("old_arrays")
    old.asarray = np.asarray  # type: ignore[attr-defined]  # a module made here
    monkeypatch.setitem(sys.modules, "old_arrays", old)
    with pytest.raises(
        gradest.UnsupportedError, match=r"'old_arrays' .* has no astype, concat, .* use a newer release"
    ):
        Old()
    if np.lib.NumpyVersion(np.__version__) < "2.0.0":
        Old.namespace = "numpy"
        with pytest.raises(gradest.UnsupportedError, match=r"numpy 1\..* has no astype, .*arrays with .*device"):
            Old()
