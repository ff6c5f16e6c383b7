"""What users hand over by mistake or by chance: memory of any kind, labels, dtypes, empty and infinite arrays."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradest
from gradest.datasets import from_arrays

BACKENDS = ("numpy", "jax", "torch", "mxnet")
backends = pytest.mark.parametrize("backend", BACKENDS)

FEATURES = np.random.default_rng(0).standard_normal((6, 3))
LABELS = np.array([0, 1, 2, 0, 1, 2])
ROW = np.array([[0.25, -1.5]])
WEIGHTS = np.repeat(ROW, 3, axis=0)  # equal rows: a broadcast view holds them too


def regression(features: Any = FEATURES, labels: Any = LABELS, num_classes: int | None = None) -> gradest.Problem:
    """Return softmax regression on a few samples."""
    data = from_arrays(features, labels, num_classes=num_classes)
    return gradest.get_problem("softmax-regression", dataset=data, batch=None, bias=False)


def two_classes() -> gradest.Problem:
    return regression(labels=LABELS % 2)


def at_address(values: np.ndarray, offset: int) -> np.ndarray:
    """Return a copy whose memory begins `offset` bytes behind a multiple of 64."""
    room = np.zeros(values.nbytes + 128, dtype=np.uint8)
    start = -room.ctypes.data % 64 + offset
    array = room[start : start + values.nbytes].view(values.dtype).reshape(values.shape)
    array[...] = values
    assert array.ctypes.data % 64 == offset
    return array


def read_only(values: np.ndarray) -> np.ndarray:
    frozen = values.copy()
    frozen.flags.writeable = False
    return frozen


MEMORY: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "64-byte aligned": lambda a: at_address(a, 0),
    "8-byte aligned": lambda a: at_address(a, 8),
    "Fortran order": np.asfortranarray,
    "strided": lambda a: np.repeat(np.repeat(a, 2, axis=0), 3, axis=1)[::2, ::3],
    "reversed": lambda a: np.ascontiguousarray(a[::-1, ::-1])[::-1, ::-1],
    "read-only": read_only,
    "big-endian": lambda a: a.astype(">f8"),
    "broadcast": lambda a: np.broadcast_to(a[:1], a.shape),
}


@backends
def test_memory_of_any_kind_gives_the_same_bits_and_is_left_alone(backend: str) -> None:
    problem = two_classes()
    expected = gradest.get_estimator("analytic")(problem, {"W1": WEIGHTS.copy()}, backend=backend).gradient["W1"]
    for what, make in MEMORY.items():
        given = make(WEIGHTS)
        before = (given.tobytes(), given.flags.writeable, given.strides)
        found = gradest.get_estimator("analytic")(problem, {"W1": given}, backend=backend).gradient["W1"]
        assert found.tobytes() == expected.tobytes(), what
        assert (given.tobytes(), given.flags.writeable, given.strides) == before, what
        assert found.flags.owndata, what
        assert found.flags.writeable, what


@backends
@pytest.mark.parametrize("offset", [0, 8])
def test_what_is_written_to_an_array_after_binding_changes_nothing(backend: str, offset: int) -> None:
    given = at_address(WEIGHTS, offset)
    objective = gradest.bind(two_classes(), {"W1": given}, backend=backend)
    prepared = gradest.get_estimator("analytic").prepare(objective)
    before = prepared().gradient["W1"].tobytes()
    given[...] = 7.0
    found = prepared().gradient["W1"]
    assert found.tobytes() == before
    found[...] = 9.0  # a gradient is the caller's: writing to it changes no other
    assert prepared().gradient["W1"].tobytes() == before
    assert np.all(given == 7.0)


@pytest.mark.parametrize("backend", ["numpy", "torch", "mxnet"])  # JAX runs a function once, to trace it
@pytest.mark.parametrize("method", ["fd-central", "es"])
def test_a_function_that_fails_midway_leaves_the_parameters_as_they_were(backend: str, method: str) -> None:
    framework = gradest.get_backend(backend)
    calls: list[int] = []

    def loss(w: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise ZeroDivisionError("the user's own")
        return (w * w).sum()

    params = framework.array(WEIGHTS, dtype="float32")
    estimator = gradest.get_estimator(method, chunk_size=1)
    with pytest.raises(ZeroDivisionError, match="the user's own"):
        estimator(loss, params, rng=0)
    assert np.array_equal(framework.numpy(params), WEIGHTS.astype("float32"))


@pytest.mark.parametrize(
    ("labels", "error"),
    [
        *((np.array([0, 1, 2, 0, 1, wrong]), gradest.InvalidInputError) for wrong in (3, -1, -100, 10**6)),
        (np.array([0, 1, 1.5, 0, 1, 2]), gradest.InvalidTypeError),
        (LABELS[:, None], gradest.InvalidInputError),
    ],
)
def test_wrong_labels_are_refused_before_a_backend_sees_them(labels: Any, error: type[Exception]) -> None:
    assert issubclass(error, ValueError | TypeError)
    with pytest.raises(error, match="labels"):
        regression(labels=labels, num_classes=3)


@backends
def test_labels_of_any_integer_dtype_give_the_same_gradient(backend: str) -> None:
    estimator = gradest.get_estimator("analytic")
    gradients = {
        gradest.get_backend(backend)
        .numpy(estimator(regression(labels=LABELS.astype(dtype)), backend=backend).gradient["W1"])
        .tobytes()
        for dtype in ("uint8", "int64", ">i4")
    }
    assert len(gradients) == 1


@backends
def test_no_samples_are_refused(backend: str) -> None:
    with pytest.raises(gradest.InvalidInputError):
        gradest.bind(regression(np.zeros((0, 3)), np.zeros(0, dtype=int), 3), backend=backend)
    for batch, told in ((0, "batch must be a positive integer; found 0"), (151, "try batch=150 or less")):
        with pytest.raises(gradest.InvalidInputError, match=told):
            gradest.bind(gradest.get_problem("mlp", dataset="iris", batch=batch), backend=backend)


@backends
def test_parameters_without_entries_are_refused(backend: str) -> None:
    empty = gradest.get_backend(backend).array(np.zeros((0, 3)), dtype="float64")
    with pytest.raises(gradest.InvalidInputError, match="hold no numbers"):
        gradest.bind(lambda p: (p["w"] * p["w"]).sum(), {"w": empty}, backend=backend)


@backends
@pytest.mark.parametrize("shape", [(5,), (4, 1), (2, 4), ()])
def test_parameters_of_a_problem_in_another_shape_are_refused(backend: str, shape: tuple[int, ...]) -> None:
    problem = gradest.get_problem("quadratic", size=4)
    with pytest.raises(gradest.InvalidInputError, match="of shapes"):
        gradest.bind(problem, {"x": np.ones(shape)}, backend=backend)


@backends
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused_on_the_framework_too(backend: str, bad: float) -> None:
    weights = WEIGHTS.copy()
    weights[1, 1] = bad
    array = gradest.get_backend(backend).array(weights, dtype="float32")
    with pytest.raises(gradest.NonFiniteError, match=r"'w' has 1 of 6"):
        gradest.get_estimator("fd-central")(lambda p: (p["w"] * p["w"]).sum(), {"w": array})
    with pytest.raises(gradest.NonFiniteError, match=r"'W1' has 1 of 6"):
        gradest.get_estimator("analytic")(two_classes(), {"W1": weights}, backend=backend)


@backends
def test_integer_parameters_are_refused_on_every_framework(backend: str) -> None:
    array = gradest.get_backend(backend).array(np.array([1, 2]), dtype="int32")
    with pytest.raises(gradest.InvalidTypeError, match="int32"):
        gradest.get_estimator("fd-central")(lambda w: (w * w).sum(), array)


@backends
def test_a_loss_that_is_nan_gives_no_number(backend: str) -> None:
    array = gradest.get_backend(backend).array(np.ones(2), dtype="float32")

    def loss(w: Any) -> Any:
        return (w * w).sum() * float("nan")

    for method, count in (("fd-central", "4 of 4"), ("es", "200 of 200"), ("spsa", "200 of 200")):
        with pytest.warns(gradest.NonFiniteWarning, match=count):
            gradient = gradest.get_backend(backend).numpy(gradest.get_estimator(method)(loss, array, rng=0).gradient)
        assert np.isnan(gradient).all(), method
    with pytest.raises(gradest.NonFiniteError, match="no rank"):  # a sort would place NaN somewhere
        gradest.get_estimator("es-rank")(loss, array, rng=0)


@backends
def test_half_precision_is_rough_and_its_automatic_step_is_long(backend: str) -> None:
    framework = gradest.get_backend(backend)
    params = framework.array(WEIGHTS, dtype="float16")

    def loss(w: Any) -> Any:
        return (w * w * w).mean()

    exact = 3 * WEIGHTS**2 / WEIGHTS.size

    def error(method: str, **options: Any) -> float:
        gradient = framework.numpy(gradest.get_estimator(method, **options)(loss, params).gradient)
        assert gradient.dtype == np.float16
        return float(np.linalg.norm(gradient.astype(float) - exact) / np.linalg.norm(exact))

    if backend != "numpy":  # NumPy itself differentiates nothing
        assert error("reverse") <= 1e-2
    assert error("fd-central") <= 3e-2
    with pytest.warns(gradest.NoiseWarning, match="rounding or noise of the loss"):
        assert error("fd-central", step=1e-3) > 0.1
    if backend == "mxnet":  # on the processor it multiplies no matrices of them
        with pytest.raises(gradest.UnsupportedError, match="no dtype 'float16'"):
            gradest.bind(two_classes(), backend=backend, dtype="float16")
