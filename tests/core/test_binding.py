"""What is asked of parameters is asked above the backends: the same error everywhere, before any work."""

from typing import Any

import numpy as np
import pytest

import gradest
from gradest import (
    InvalidInputError,
    InvalidTypeError,
    NonFiniteError,
    PreparationMismatchError,
    UnsupportedError,
    bind,
    get_estimator,
    get_problem,
)

BACKENDS = ("numpy", "jax", "torch", "mxnet")
QUADRATIC = get_problem("quadratic", size=4)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("x", "error"),
    [
        (np.array([1, 2, 3, 4]), InvalidTypeError),
        (np.array([1.0, np.nan, 3.0, 4.0]), NonFiniteError),
        (np.array([1.0, np.inf, 3.0, 4.0]), NonFiniteError),
        (np.array(["1", "2", "3", "4"]), InvalidTypeError),
        (np.array([1j, 2, 3, 4]), InvalidTypeError),
        ([1.0, 2.0, 3.0, 4.0], InvalidInputError),
    ],
)
def test_bad_parameters_of_a_problem_are_refused(backend: str, x: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        bind(QUADRATIC, {"x": x}, backend=backend)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"backend": "numpy", "dtype": "float8"}, UnsupportedError),
        ({"backend": "numpy", "device": "cuda:9"}, UnsupportedError),
        ({"backend": "numpy", "kernel": "magic"}, UnsupportedError),
        ({"backend": "tensorflow"}, InvalidInputError),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        bind(QUADRATIC, **options)


def test_names_of_parameters_must_be_the_problems() -> None:
    with pytest.raises(InvalidInputError, match="has parameters"):
        bind(QUADRATIC, {"y": np.zeros(4)})


@pytest.mark.parametrize("backend", BACKENDS)
def test_memory_layout_does_not_matter_and_nothing_is_written_to(backend: str) -> None:
    values = np.linspace(-1.0, 1.0, 8)[::2].copy()
    spread = np.zeros((4, 3))
    spread[:, 1] = values
    frozen = values.copy()
    frozen.flags.writeable = False
    views = [values, spread[:, 1], values[::-1].copy()[::-1], frozen, values.astype(">f8")]
    gradients = []
    for view in views:
        before = (view.tobytes(), view.flags.writeable)
        estimate = get_estimator("analytic")(QUADRATIC, {"x": view}, backend=backend)
        assert (view.tobytes(), view.flags.writeable) == before
        assert isinstance(estimate.gradient["x"], np.ndarray)
        assert not np.shares_memory(estimate.gradient["x"], view)
        gradients.append(estimate.gradient["x"].tobytes())
    assert len(set(gradients)) == 1


def test_prepared_estimators_refuse_other_parameters_with_a_line_for_each() -> None:
    problem = get_problem("mlp", dataset="iris", widths=(3,))
    prepared = get_estimator("analytic").prepare(bind(problem))
    good = problem.parameters()
    for bad in (
        {**good, "W1": good["W1"].T.copy()},
        {name: value.astype(np.float32) for name, value in good.items()},
        {name: value for name, value in good.items() if name != "b1"},
        {**good, "extra": np.zeros(2)},
    ):
        with pytest.raises(PreparationMismatchError, match="NO"):
            prepared(bad)
    assert prepared(good).gradient["W1"].shape == good["W1"].shape


def test_the_one_shot_form_refuses_parameters_that_are_not_finite() -> None:
    objective = bind(QUADRATIC)
    with pytest.raises(NonFiniteError):
        get_estimator("analytic")(objective, {"x": np.array([np.nan, 0, 0, 0])})


def test_data_cross_to_the_framework_once(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = gradest.get_backend("numpy")
    crossings: list[Any] = []
    original: Any = type(backend).array

    def counted(self: Any, values: Any, **options: Any) -> Any:
        crossings.append(1)
        return original(self, values, **options)

    monkeypatch.setattr(type(backend), "array", counted)
    objective = bind(QUADRATIC)
    at_binding = len(crossings)
    prepared = get_estimator("analytic").prepare(objective)
    for _ in range(3):
        prepared()
    assert at_binding == 4
    assert len(crossings) == at_binding


@pytest.mark.parametrize("f", [3, "loss", None])
def test_what_is_no_function_is_refused(f: Any) -> None:
    with pytest.raises(InvalidTypeError):
        bind(f, {"x": np.zeros(2)})


def test_a_function_needs_parameters_and_takes_its_dtype_from_them() -> None:
    with pytest.raises(InvalidInputError, match="params"):
        bind(lambda x: x)
    with pytest.raises(InvalidInputError, match="dtype"):
        bind(lambda x: (x * x).sum(), np.ones(3), dtype="float32")


@pytest.mark.parametrize(
    ("other", "found"),
    [
        ({"a": np.ones(2), "b": np.ones(1)}, r"NO b: prepared for None, found \('float64', \(1,\), '(cpu|cuda:0)'\)"),
        ({"b": np.ones(2)}, "NO a: prepared for .* found None"),
        ({"a": np.ones(3)}, r"found \('float64', \(3,\), '(cpu|cuda:0)'\)"),
        ({"a": "x"}, r"found \('str',\)"),
        ({"a": [1.0, 2.0]}, "NO a.0: prepared for None"),
    ],
    ids=["one more", "another name", "another shape", "no array", "a list"],
)
@pytest.mark.parametrize("backend", ["jax", "torch", "mxnet"])
def test_numpy_parameters_of_another_form_are_listed(backend: str, other: dict[str, object], found: str) -> None:
    form = bind(lambda p: (p["a"] ** 2).sum(), {"a": np.ones(2)}, backend=backend).form
    with pytest.raises(PreparationMismatchError, match=found):
        form.leaves_of(other)


def test_what_is_bound_says_what_it_is() -> None:
    assert repr(bind(QUADRATIC)) == "Objective(loss in operations, numpy float64 on cpu: x (4,))"
    params = {name: np.ones(2, dtype=np.float32) for name in "abcde"}
    shown = "a (2,), b (2,), c (2,), d (2,), ... (5 arrays)"
    assert repr(bind(lambda p: p["a"].sum(), params)) == f"Objective(function, numpy float32 on cpu: {shown})"
