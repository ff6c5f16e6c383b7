"""Parameters and arguments whose leaves are alike and whose structure, class or static field is another."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

import gradest
from gradest.errors import InvalidInputError, PreparationMismatchError


class Once(NamedTuple):
    w: Any

    def scaled(self) -> Any:
        return self.w


class Twice(NamedTuple):
    w: Any

    def scaled(self) -> Any:
        return 2 * self.w


@dataclass
class Power:
    """Registered with JAX's tree library below: an array, and a field that is part of the structure."""

    w: Any
    power: Any


@dataclass
class Settings:
    scale: Any


def of_settings(p: Any, settings: Settings) -> Any:
    return (settings.scale[1] * p**2).sum()


def of_complex(p: Any, z: Any) -> Any:
    return (z.real**2 * p**2).sum() + (z.imag**2 * p**2).sum()


def of_objects(p: Any, objects: Any) -> Any:
    return (objects[1] * p**2).sum()


@pytest.fixture(scope="module")
def jax() -> Any:
    framework = pytest.importorskip("jax", reason="pip install 'gradest[jax]'")
    framework.tree_util.register_dataclass(Power, data_fields=["w"], meta_fields=["power"])
    return framework


@pytest.mark.parametrize("backend", ["numpy", "jax", "torch", "mxnet"])
def test_parameters_of_another_class_are_another_computation(backend: str) -> None:
    w = np.array([1.0, 2.0])
    g = gradest.grad(lambda p: (p.scaled() ** 2).sum(), method="reverse", backend=backend)
    np.testing.assert_allclose(g(Once(w)).w, 2 * w, rtol=1e-12)
    found = g(Twice(w))
    assert isinstance(found, Twice)
    np.testing.assert_allclose(found.w, 8 * w, rtol=1e-12)


@pytest.mark.parametrize("method", ["reverse", "forward", "fd-central"])
def test_a_static_field_of_another_value_is_another_computation(jax: Any, method: str) -> None:
    w = np.array([1.0, 2.0])
    g = gradest.grad(lambda p: (p.w**p.power).sum(), method=method, backend="jax")
    np.testing.assert_allclose(g(Power(w, 3)).w, 3 * w**2, rtol=1e-6)
    found = g(Power(w, 2))
    assert found.power == 2
    np.testing.assert_allclose(found.w, 2 * w, rtol=1e-6)


def test_what_is_prepared_refuses_another_static_field_and_says_so(jax: Any) -> None:
    w = np.array([1.0, 2.0])
    prepared = gradest.get_estimator("reverse").prepare(
        gradest.bind(lambda p: (p.w**2).sum(), Power(w, 3), backend="jax")
    )
    with pytest.raises(PreparationMismatchError, match=r"NO structure: prepared for .*3.*, found .*2"):
        prepared(Power(w, 2))
    with pytest.raises(PreparationMismatchError, match="NO structure"):  # of arrays nobody knows whether they are equal
        prepared(Power(w, np.ones(2)))


def test_containers_that_hold_the_same_are_the_same_parameters() -> None:
    w = np.array([1.0, 2.0])
    prepared = gradest.get_estimator("reverse").prepare(
        gradest.bind(lambda p: (p[0] ** 2).sum() + p[1]["b"].sum(), [w, {"a": w, "b": w}])
    )
    np.testing.assert_allclose(prepared((3 * w, {"b": w, "a": w})).gradient[0], 6 * w)
    with pytest.raises(PreparationMismatchError, match="NO structure: prepared for list"):
        prepared([w, {"a": w, "b": w}, None])


def test_keys_that_jax_cannot_sort_are_told(jax: Any) -> None:
    with pytest.raises(InvalidInputError, match="keys of a dict one type"):
        gradest.grad(lambda p: p[0].w.sum())({0: Power(jax.numpy.ones(2), 2), "a": jax.numpy.ones(2)})


@pytest.mark.parametrize("method", ["reverse", "fd-central"])
@pytest.mark.parametrize("backend", ["jax", "torch"])
@pytest.mark.parametrize("given", ["complex", "objects", "settings"])
def test_a_second_batch_of_any_kind_of_argument(method: str, backend: str, given: str) -> None:
    p = np.array([1.0, 2.0])
    kinds: dict[str, tuple[Any, Any]] = {
        "complex": (of_complex, lambda k: np.array([k * 1j, k])),
        "objects": (of_objects, lambda k: np.array(["x", float(k) ** 2], dtype=object)),
        "settings": (of_settings, lambda k: Settings(np.array([0.0, float(k) ** 2]))),
    }
    f, make = kinds[given]
    g = gradest.grad(f, method=method, backend=backend)
    for k in (1, 2):
        np.testing.assert_allclose(g(p, make(k)), 2 * k**2 * p, rtol=1e-6)


def test_complex_and_half_precision_batches_are_data_of_jax(jax: Any) -> None:
    p = jax.numpy.array([1.0, 2.0])
    objective = gradest.bind(lambda p, z: abs((z * p).sum()) ** 2, p, np.array([1.0, 1.0j]))
    prepared = gradest.get_estimator("reverse").prepare(objective)
    np.testing.assert_allclose(prepared(p, np.array([2.0, 3.0j])).gradient, [8.0, 36.0], rtol=1e-6)
    half = np.asarray(jax.numpy.array([2.0, 3.0], jax.numpy.bfloat16))
    prepared = gradest.get_estimator("reverse").prepare(gradest.bind(lambda p, z: (z * p).sum(), p, half))
    np.testing.assert_allclose(prepared(p, 2 * half).gradient, [4.0, 6.0])


def test_a_setting_that_is_another_is_told_by_what_is_prepared() -> None:
    f = lambda p, s: (s.scale * p).sum()  # noqa: E731  # in one line, as users write it
    prepared = gradest.get_estimator("fd-central").prepare(gradest.bind(f, np.ones(2), SimpleNamespace(scale=1.0)))
    with pytest.raises(PreparationMismatchError, match=r"scale=1.0.*found.*scale=2.0"):
        prepared(np.ones(2), SimpleNamespace(scale=2.0))
