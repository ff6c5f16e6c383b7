"""What stands among users' parameters and arguments: single numbers, keys, counters, series, sparse layers."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import gradest

METHODS = ["reverse", "fd-central", "es"]


def settings(method: str) -> dict[str, Any]:
    return {"rng": 0} if method == "es" else {}


def close(found: Any, exact: Any, method: str) -> None:
    tolerance = {"reverse": 1e-6, "fd-central": 1e-3, "es": 1.5}[method]
    values = found.asnumpy() if hasattr(found, "asnumpy") else found
    np.testing.assert_allclose(np.asarray(values, np.float64), exact, rtol=tolerance)


@pytest.fixture
def mx() -> Any:
    return pytest.importorskip(
        "gradest_mxnet.framework", reason="needs MXNet: pip install 'gradest[mxnet]'", exc_type=ImportError
    ).mx


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("number", [2.0, np.float32(2.0), np.float64(2.0)], ids=["float", "float32", "float64"])
@pytest.mark.parametrize("framework", ["numpy", "jax", "torch", "mxnet"])
def test_a_single_number_goes_with_the_arrays_of_any_framework(
    framework: str, number: Any, method: str, request: pytest.FixtureRequest
) -> None:
    ones: dict[str, Any] = {
        "numpy": lambda: np.ones(3, np.float32),
        "jax": lambda: pytest.importorskip("jax.numpy", reason="needs JAX").ones(3),
        "torch": lambda: pytest.importorskip("torch", reason="needs PyTorch").ones(3),
        "mxnet": lambda: request.getfixturevalue("mx").np.ones((3,)),
    }
    params = {"a": ones[framework](), "b": number}
    found = gradest.grad(lambda p: (p["a"] ** 2).sum() * p["b"], method=method)(params, **settings(method))
    close(found["a"], [4.0] * 3, method)
    close(found["b"], 3.0, method)


@pytest.mark.parametrize("method", METHODS)
def test_a_single_number_beside_legacy_arrays_of_mxnet_is_one_of_them(mx: Any, method: str) -> None:
    """The two kinds of arrays cannot be multiplied, and legacy operations know no array without axes."""
    params = [mx.nd.ones(3), 2.0]
    found = gradest.grad(lambda p: (p[0] ** 2).sum() * p[1], method=method)(params, **settings(method))
    assert all(type(block) is mx.nd.NDArray for block in found)
    close(found[0], [4.0] * 3, method)
    close(found[1], [3.0], method)


@pytest.mark.parametrize("method", ["es", "spsa", "es-low-rank"])
def test_half_precision_is_combined_on_mxnet(mx: Any, method: str) -> None:
    """Its product of matrices in float16 is there on a GPU alone; the error came when the gradient was read."""
    half = mx.np.full((3,), 0.5, dtype="float16")
    found = gradest.grad(lambda p: (p * p).sum(), method=method, num_samples=400)(half, rng=0)
    assert found.dtype == np.float16
    np.testing.assert_allclose(found.asnumpy().astype(np.float64), [1.0] * 3, atol=0.5)


@pytest.mark.parametrize("method", ["reverse", "fd-central", "es"])
def test_a_random_key_among_the_parameters_is_told_where_to_go(method: str) -> None:
    jax = pytest.importorskip("jax", reason="needs JAX: pip install 'gradest[jax]'")
    params = {"w": jax.numpy.ones(3), "key": jax.random.key(0)}
    with pytest.raises(gradest.InvalidTypeError, match=r"'key' must be floating-point; found dtype key<.*an argument"):
        gradest.grad(lambda p: (p["w"] ** 2).sum(), method=method)(params)


def test_whole_numbers_among_the_parameters_are_told_where_to_go() -> None:
    for count, words in (
        (3, r"as 3\.0, and pass one that is not"),
        (np.array(3), "leave it out of params and pass it"),
    ):
        with pytest.raises(gradest.InvalidTypeError, match=words):
            gradest.grad(lambda p: (p["w"] ** 2).sum() * p["n"], method="fd-central")({"w": np.ones(3), "n": count})


@pytest.mark.parametrize("backend", ["numpy", "jax", "torch"])
def test_complex_parameters_are_told_to_be_two_real_ones(backend: str) -> None:
    """And not to be converted, which drops what is imaginary."""
    values = gradest.get_backend(backend).array(np.ones(3, dtype=complex), dtype="complex64")
    with pytest.raises(gradest.InvalidTypeError, match=r"'w' must be real.*complex64; pass its real and its imaginary"):
        gradest.grad(lambda p: abs(p["w"]).sum())({"w": values})


@pytest.mark.parametrize("kind", [Decimal, Fraction])
def test_numbers_of_other_kinds_are_told_to_be_converted(kind: Any) -> None:
    with pytest.raises(gradest.InvalidInputError, match=rf"found a {kind.__name__}; return float"):
        gradest.grad(lambda p: kind(float(p.sum())), method="fd-central")(np.ones(3))


@pytest.mark.parametrize("method", ["reverse", "forward", "fd-central", "complex-step"])
def test_a_series_as_argument(method: str) -> None:
    pandas = pytest.importorskip("pandas", reason="needs pandas: pip install 'gradest[report]'")
    p, s = np.array([3.0, 2.0, 1.0]), np.array([1.0, 2.0, 4.0])
    series = pandas.Series(s, index=[5, 3, 1])
    cases = (
        (lambda p, s: ((p - s) ** 2).sum(), 2 * (p - s)),
        (lambda p, s: np.square(np.subtract(p, s)).sum(), 2 * (p - s)),
        (lambda p, s: (p * s * p - 2 * p * s).sum() + (s * s).sum(), 2 * p * s - 2 * s),
    )
    for loss, exact in cases:
        np.testing.assert_allclose(gradest.grad(loss, method=method)(p, series), exact, atol=1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_a_sparse_embedding_has_a_gradient_like_its_weight(method: str) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'gradest[torch]'")
    torch.manual_seed(0)
    layer, index = torch.nn.Embedding(5, 3, sparse=True), torch.tensor([1, 2, 2])
    found = gradest.grad(lambda m, i: (m(i) ** 2).sum(), method=method)(layer, index, **settings(method))["weight"]
    assert found.layout is torch.strided
    if method != "es":
        exact = 2 * layer.weight.detach().numpy() * np.array([0, 1, 2, 0, 0])[:, None]
        np.testing.assert_allclose(found.numpy(), exact, rtol=1e-3, atol=1e-3)
    assert gradest.check(lambda m, i: (m(i) ** 2).sum(), layer, None, index)
