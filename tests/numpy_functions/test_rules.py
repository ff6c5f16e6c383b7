"""Every rule of the table, against JAX and against differences in extended precision, in both modes."""

from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pytest
from support.many import of_each
from support.numpy_cases import CASES, Case
from support.turns import in_turn

from gradest_numpy.differentiation import differentiable, hessian_product, value_and_gradient, value_and_jvps

pytestmark = pytest.mark.usefixtures("quickly_compiled")  # of JAX the numbers are wanted
of_each_case = of_each(CASES, lambda case: case.name)


def gradient_of(case: Case, arrays: list[np.ndarray]) -> tuple[Any, tuple[np.ndarray, ...]]:
    return value_and_gradient(lambda leaves, data: case.loss(np, leaves))(arrays, None)


def jvps_of(case: Case, arrays: list[np.ndarray], tangents: list[np.ndarray]) -> tuple[Any, np.ndarray]:
    return value_and_jvps(lambda leaves, data: case.loss(np, leaves))(arrays, tangents, None)


def directions(arrays: list[np.ndarray], count: int = 3) -> list[np.ndarray]:
    generator = np.random.default_rng(11)
    return [generator.standard_normal((count, *x.shape)).astype(x.dtype) for x in arrays]


def along(gradient: Any, tangents: list[np.ndarray]) -> np.ndarray:
    parts = [np.tensordot(t, g, axes=g.ndim) for g, t in zip(gradient, tangents, strict=True)]
    return np.sum(parts, axis=0)


def x64() -> AbstractContextManager[Any]:
    import jax

    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    from jax.experimental import enable_x64

    return enable_x64()


@of_each_case
def test_both_modes_give_the_value_of_numpy_and_the_same_derivative(case: Case) -> None:
    arrays = case.arrays()
    kept = [x.copy() for x in arrays]
    value, gradient = gradient_of(case, arrays)
    tangents = directions(arrays)
    forward_value, jvps = jvps_of(case, arrays, tangents)
    expected = case.loss(np, arrays)
    np.testing.assert_allclose([value, forward_value], [expected] * 2, rtol=1e-13)
    sizes = along([np.abs(g) for g in gradient], [np.abs(t) for t in tangents])
    np.testing.assert_allclose(jvps, along(gradient, tangents), rtol=1e-11, atol=1e-13 * max(float(np.max(sizes)), 1.0))
    for x, g, before in zip(arrays, gradient, kept, strict=True):
        assert g.shape == x.shape
        assert g.dtype == x.dtype
        assert g.flags.writeable
        np.testing.assert_array_equal(x, before)


BESIDE_JAX = [
    case
    for number, case in enumerate(case for case in CASES if case.jax)
    if not case.extended or in_turn(number, (True, False))  # beside extended precision JAX is a second witness
]


def gradient_of_jax(jax: Any, case: Case, leaves: list[Any]) -> list[Any]:
    """Return the gradient by one program, for each operation by itself would be one more; two functions read values."""
    gradient = jax.grad(lambda leaves: case.loss(jax.numpy, leaves))
    try:
        return jax.jit(gradient)(leaves)
    except jax.errors.ConcretizationTypeError:
        return gradient(leaves)


@pytest.mark.parametrize("case", BESIDE_JAX, ids=[case.name for case in BESIDE_JAX])
def test_gradients_are_those_of_jax(case: Case) -> None:
    jax = pytest.importorskip("jax", reason="JAX is what the gradients are compared with")
    arrays = case.arrays()
    with x64():
        wanted = gradient_of_jax(jax, case, [jax.numpy.asarray(x) for x in arrays])
    _, gradient = gradient_of(case, arrays)
    for g, w in zip(gradient, wanted, strict=True):
        scale = float(np.max(np.abs(np.asarray(w)), initial=1.0))
        np.testing.assert_allclose(g, np.asarray(w), rtol=1e-11, atol=1e-12 * scale)


@of_each_case
def test_jvps_are_what_differences_give(case: Case) -> None:
    """Central differences, extrapolated twice: of sixth order, in extended precision where NumPy computes in it."""
    kind = np.longdouble if case.extended else np.float64
    arrays = [x.astype(kind) for x in case.arrays()]
    tangents = directions(arrays, 1)
    step = kind(2e-3 if case.extended else 1e-2)

    def central(h: Any) -> Any:
        ahead = case.loss(np, [x + h * t[0] for x, t in zip(arrays, tangents, strict=True)])
        behind = case.loss(np, [x - h * t[0] for x, t in zip(arrays, tangents, strict=True)])
        return (ahead - behind) / (2 * h)

    coarse, middle, fine = central(step), central(step / 2), central(step / 4)
    first, second = (4 * middle - coarse) / 3, (4 * fine - middle) / 3
    wanted = (16 * second - first) / 15
    _, jvps = jvps_of(case, arrays, tangents)
    assert jvps.dtype == kind
    rtol = 1e-10 if case.extended else 1e-8
    np.testing.assert_allclose(float(jvps[0]), float(wanted), rtol=rtol, atol=rtol)


@of_each_case
def test_products_with_the_hessian_are_what_differences_of_gradients_give(case: Case) -> None:
    """Forward mode through each rule of reverse mode; differences of fourth order."""
    arrays, h = case.arrays(), 1e-4
    along = [t[0] for t in directions(arrays, 1)]

    def slopes(step: float) -> tuple[np.ndarray, ...]:
        return gradient_of(case, [x + step * t for x, t in zip(arrays, along, strict=True)])[1]

    found = hessian_product(lambda leaves, data: case.loss(np, leaves))(arrays, along, None)
    near, far = zip(slopes(h), slopes(-h), strict=True), zip(slopes(2 * h), slopes(-2 * h), strict=True)
    for got, (up, down), (up2, down2) in zip(found, near, far, strict=True):
        wanted = (8 * (up - down) - (up2 - down2)) / (12 * h)
        assert got.shape == wanted.shape
        scale = float(np.max(np.abs(wanted), initial=1.0))
        np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=2e-7 * scale)


@of_each_case
def test_float32_stays_float32(case: Case) -> None:
    arrays = case.arrays(np.float32)
    _, gradient = gradient_of(case, arrays)
    _, exact = gradient_of(case, [x.astype(np.float64) for x in arrays])
    for g, w in zip(gradient, exact, strict=True):
        assert g.dtype == np.float32
        np.testing.assert_allclose(g, w, rtol=2e-2, atol=2e-3 * float(np.max(np.abs(w), initial=1.0)))


@of_each([case for case in CASES if case.extended], lambda case: case.name)
def test_gradients_are_those_of_extended_precision_to_rounding(case: Case) -> None:
    arrays = case.arrays()
    _, gradient = gradient_of(case, arrays)
    _, exact = gradient_of(case, [x.astype(np.longdouble) for x in arrays])
    for g, w in zip(gradient, exact, strict=True):
        assert w.dtype == np.longdouble
        np.testing.assert_allclose(g, w.astype(float), rtol=1e-12, atol=1e-14 * float(np.max(np.abs(w), initial=1.0)))


@of_each_case
def test_results_have_the_shapes_dtypes_and_types_of_numpys(case: Case) -> None:
    arrays, seen = case.arrays(np.float32), []

    def watched(leaves: Any, data: Any) -> Any:
        seen.append(case.text(np, *leaves))
        parts = seen[0] if isinstance(seen[0], tuple | list) else (seen[0],)
        return sum((np.sum(part) for part in parts), 0.0)

    value_and_gradient(watched)(arrays, None)
    wanted = case.text(np, *arrays)
    several = isinstance(wanted, tuple | list)
    if several:
        assert type(seen[0]) is type(wanted)
    for got, want in zip(seen[0], wanted, strict=True) if several else ((seen[0], wanted),):
        assert got.shape == np.shape(want)
        assert got.dtype == np.asarray(want).dtype


def test_every_function_of_the_table_has_a_case() -> None:
    covered = {case.name.split(":")[0].replace("lib.stride_tricks.", "") for case in CASES}
    covered |= {name.replace("numpy.conjugate", "numpy.conj") for name in covered}
    assert {name for name in differentiable() if name.startswith("numpy.")} - covered == set()


def test_there_are_at_least_150_functions_of_numpy() -> None:
    assert len([name for name in differentiable() if name.startswith("numpy.")]) >= 150
