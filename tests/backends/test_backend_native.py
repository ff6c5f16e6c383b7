"""Backends with native transformations: operations equal NumPy's, gradients the closed form, arrays are their own."""

from itertools import product
from typing import Any

import numpy as np
import pytest
from support.backend_cases import (
    COMPLEX_POINTS,
    KINKS,
    OPERATIONS,
    SMOOTH,
    OperationCase,
    assert_operation,
    complex_steps,
    network,
    relative_error,
    slopes_at_zero,
)
from support.turns import is_in_turn

import gradest

BACKENDS = ("jax", "torch")
LIMITS = {"float32": 2e-6, "float64": 5e-15}
STATED = {"kernels": ("portable", "native"), "dtypes": ("float32", "float64")}
"""What each of these backends states, repeated here so that collecting the tests imports no framework."""

HALF = {"float16": 2.0**-11, "bfloat16": 2.0**-8}
"""The unit of rounding of the dtypes that problems have too, and that are tested on the whole alone."""


def stated(*fields: str, backends: tuple[str, ...] = BACKENDS) -> list[tuple[str, ...]]:
    """Return (backend, one of each field that it states): every combination."""
    return list(product(backends, *(STATED[field] for field in fields)))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("field", STATED)
def test_backends_state_what_is_tested_here(backend: str, field: str) -> None:
    more = HALF if field == "dtypes" else ()
    assert getattr(gradest.get_backend(backend), field) == (*STATED[field], *more)


@pytest.mark.parametrize("case", OPERATIONS, ids=str)
@pytest.mark.parametrize(("backend", "kernel", "dtype"), stated("kernels", "dtypes"))
def test_operation_equals_numpys(backend: str, kernel: str, dtype: str, case: OperationCase) -> None:
    assert_operation(gradest.get_backend(backend), kernel, dtype, case)


@pytest.mark.parametrize(("backend", "kernel"), stated("kernels"))
def test_derivatives_at_kinks_follow_the_convention(backend: str, kernel: str) -> None:
    assert slopes_at_zero(gradest.get_backend(backend), kernel) == {name: slope for name, _, slope in KINKS}


@pytest.mark.parametrize(("backend", "kernel"), stated("kernels"))
def test_complex_step_gives_the_derivative(backend: str, kernel: str) -> None:
    found = complex_steps(gradest.get_backend(backend), kernel)
    for name, _, derivative in SMOOTH:
        np.testing.assert_allclose(found[name], derivative(COMPLEX_POINTS), rtol=1e-12, atol=1e-16, err_msg=name)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu", "requ", "softplus"])
@pytest.mark.parametrize(
    ("backend", "kernel", "dtype"),
    [
        ("jax", "native", "float32"),  # two of four, which hold each kernel and dtype: XLA compiles every case
        ("jax", "portable", "float64"),
        *stated("kernels", "dtypes", backends=("torch",)),
    ],
)
def test_native_gradient_equals_the_closed_form(backend: str, kernel: str, dtype: str, activation: str) -> None:
    problem, expected, loss = network(activation)
    own = gradest.get_backend(backend)
    reverse = gradest.get_estimator("reverse", engine="native")
    estimate = reverse(problem, backend=backend, dtype=dtype, kernel=kernel)
    blocks = estimate.gradient.values()
    assert {(own.dtype(block), str(block.dtype).removeprefix("torch.")) for block in blocks} == {(dtype, dtype)}
    assert relative_error(own, estimate.gradient, expected) <= LIMITS[dtype]
    assert abs(float(estimate.value) - loss) <= LIMITS[dtype] * loss


@pytest.mark.parametrize(("backend", "dtype"), stated("dtypes"))
def test_native_jvps_equal_the_closed_form(backend: str, dtype: str) -> None:
    problem, expected, loss = network("tanh")
    own = gradest.get_backend(backend)
    objective = gradest.bind(problem, backend=backend, dtype=dtype)
    generator = np.random.default_rng(1)
    directions = [generator.standard_normal((5, *shape)) for shape in objective.layout.shapes]
    tangents = tuple(own.array(d, dtype=dtype) for d in directions)
    value, products = objective.prepare_jvps()(objective.start, tangents)
    slopes = sum(np.tensordot(d, expected[k], axes=expected[k].ndim) for d, k in zip(directions, expected, strict=True))
    assert products.shape == (5,)
    assert value.shape == ()
    np.testing.assert_allclose(own.numpy(products), slopes.astype(float), rtol=0, atol=20 * LIMITS[dtype])
    assert abs(float(own.numpy(value)) - loss) <= LIMITS[dtype] * loss


HALVED = [
    (backend, dtype, method)
    for number, method in enumerate(("analytic", "reverse", "forward-structured", "fd-exact"))
    for backend, dtype in (*product(BACKENDS, HALF), ("numpy", "float16"))
    if backend != "jax" or is_in_turn(number, dtype, tuple(HALF))
]


@pytest.mark.parametrize(("backend", "dtype", "method"), HALVED)
def test_half_precision_has_the_closed_form_to_its_digits(backend: str, dtype: str, method: str) -> None:
    problem, expected, _ = network("tanh")
    gradient = gradest.get_estimator(method)(problem, backend=backend, dtype=dtype).gradient
    own = gradest.get_backend(backend)
    assert {own.dtype(block) for block in gradient.values()} == {dtype}
    assert relative_error(own, gradient, expected) <= 8 * HALF[dtype]


@pytest.mark.parametrize("backend", BACKENDS)
def test_vmap_evaluates_each_member_of_a_population(backend: str) -> None:
    own = gradest.get_backend(backend)
    population, data = own.array(np.arange(6.0).reshape(3, 2), dtype="float32"), own.array(np.ones(()), dtype="float32")

    def loss(leaves: Any, data: Any) -> Any:
        return (leaves[0] ** 2).sum() + data[0]

    assert own.numpy(own.vmap(loss)((population,), (data,))).tolist() == [2.0, 14.0, 42.0]


@pytest.mark.parametrize(("backend", "dtype"), [*stated("dtypes"), *((name, "float16") for name in BACKENDS)])
@pytest.mark.parametrize("offset", [0, 1])
def test_arrays_go_there_and_back_and_share_no_memory(backend: str, dtype: str, offset: int) -> None:
    own = gradest.get_backend(backend)
    room = np.zeros(4096 // np.dtype(dtype).itemsize + 64, dtype=dtype)
    start = (-room.ctypes.data // room.itemsize) % (64 // room.itemsize) + offset  # 64-byte aligned, or one off it
    values = room[start : start + 12].reshape(3, 4)
    values[...] = np.random.default_rng(2).standard_normal((3, 4))
    original = values.copy()
    array = own.array(values, dtype=dtype, device="cpu")
    values[...] = 0
    back = own.numpy(array)
    assert back.dtype == original.dtype
    assert np.array_equal(back, original)
    back[...] = 7
    assert np.array_equal(own.numpy(array), original)
    assert (own.dtype(array), own.device(array)) == (dtype, "cpu")
