"""Users' arrays that are no plain ones, and losses whose values do not tell them apart."""

import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradest


class Doubled(np.ndarray[Any, Any]):
    """Twice what NumPy computes: an array with units has arithmetic of its own likewise."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return 2 * getattr(ufunc, method)(*map(np.asarray, inputs), **kwargs)


class Named(np.ndarray[Any, Any]):
    """Arithmetic of NumPy's, with something beside it."""

    name = "p"


def squares(p: Any) -> Any:
    return (p * p).sum()


@pytest.mark.parametrize("method", ["reverse", "fd-central", "es"])
def test_parameters_with_arithmetic_of_their_own_are_refused(method: str) -> None:
    with pytest.raises(gradest.InvalidTypeError, match=r"Doubled, whose arithmetic is another; pass np\.asarray"):
        gradest.grad(squares, method=method)(np.ones(2).view(Doubled))


@pytest.mark.parametrize("method", ["reverse", "fd-central"])
def test_parameters_of_a_class_that_computes_as_numpy_does_are_taken(method: str, tmp_path: Path) -> None:
    mapped = np.memmap(tmp_path / "p", dtype=np.float64, mode="w+", shape=(2,))
    mapped[:] = [1.0, 3.0]
    for at in (mapped, np.array([1.0, 3.0]).view(Named), np.array([1.0, 3.0]).view(np.recarray)):
        np.testing.assert_allclose(gradest.grad(squares, method=method)(at), [2.0, 6.0], rtol=1e-8)


def steps(p: Any) -> float:
    return float(np.floor(p[0]) / 3 + np.floor(p[1]))


@pytest.mark.parametrize("name", ["es", "spsa", "es-forward", "es-rank", "es-low-rank", "residual-feedback"])
def test_an_estimate_within_one_step_of_a_loss_says_so(name: str) -> None:
    at = np.array([0.97, 1.5])  # a point nearby, where it is first looked at, is on the next step
    with pytest.warns(gradest.FlatLossWarning, match="changes in steps"):
        found = gradest.grad(steps, method=gradest.get_estimator(name, sigma=1e-6))(at, rng=0)
    assert not np.any(found)


@pytest.mark.parametrize("name", ["es-coordinates", "es-sphere"])
def test_values_that_are_the_same_by_symmetry_are_no_flat_loss(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = gradest.grad(lambda p: float(squares(p)), method=name, num_samples=4, sigma=0.5)(np.zeros(3), rng=0)
    np.testing.assert_allclose(found, 0.0, atol=1e-12)


def test_directions_along_other_coordinates_do_not_show_that_a_loss_is_flat() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for seed in range(20):  # of 2 directions, often none moves the first of 9 entries
            gradest.grad(lambda p: float(p[0] * 1.5), method="es-coordinates", num_samples=2)(np.full(9, 0.7), rng=seed)


@pytest.mark.parametrize("method", ["fd-central", "complex-step", "es"])
def test_a_loss_beyond_float32_is_taken_in_silence(method: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = gradest.grad(lambda p: 1e60 * squares(p), method=method)(np.array([1.0, 2.0]), rng=0)
    if method != "es":
        np.testing.assert_allclose(found, [2e60, 4e60], rtol=1e-8)


def test_a_sum_of_equal_eigenvalues_is_differentiated_in_silence() -> None:
    def loss(p: Any) -> Any:
        return np.linalg.eigh(np.eye(2) * p[0] ** 2)[0].sum()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for method in ("reverse", "forward"):
            np.testing.assert_allclose(gradest.grad(loss, method=method)(np.array([3.0])), [12.0], rtol=1e-12)


def test_no_pair_beside_has_aux_is_told_as_it_is() -> None:
    with pytest.raises(gradest.InvalidInputError, match=r"^has_aux=True asks for a function that returns"):
        gradest.grad(squares, has_aux=True)(np.ones(2))


METHODS = ("reverse", "forward", "fd-central", "es")


@pytest.mark.parametrize("method", METHODS)
def test_an_array_of_jax_that_was_donated_is_told_in_words(method: str) -> None:
    jnp = pytest.importorskip("jax.numpy", reason="JAX is not installed: pip install 'gradest[jax]'")
    at = jnp.ones(2)
    at.delete()
    with pytest.raises(gradest.InvalidInputError, match="deleted by a jitted function that donates"):
        gradest.grad(squares, method=method)(at, rng=0)


@pytest.mark.parametrize("method", ["reverse", "fd-central"])
def test_arguments_of_jax_that_were_donated_are_told_in_words(method: str) -> None:
    jnp = pytest.importorskip("jax.numpy", reason="pip install 'gradest[jax]'")
    gradient = gradest.grad(lambda p, y: jnp.sum(p * y), method=method)
    gone = jnp.array([1.0, 2.0])
    gradient(jnp.ones(2), gone)
    gone.delete()  # as a jitted function does that donates it
    for given in (gradient, gradest.grad(lambda p, y: jnp.sum(p * y), method=method)):
        with pytest.raises(gradest.InvalidInputError, match="deleted by a jitted function that donates"):
            given(jnp.ones(2), gone)


@pytest.mark.parametrize("method", ["es", "spsa"])
def test_transfers_of_jax_that_are_disallowed_are_told_in_words(method: str) -> None:
    """Before an estimator is prepared and after; reverse mode, once prepared, sends nothing."""
    jax = pytest.importorskip("jax", reason="pip install 'gradest[jax]'")

    def loss(p: Any) -> Any:
        return jax.numpy.sum(p**2)

    at, gradient, reverse = jax.numpy.ones(2), gradest.grad(loss, method=method), gradest.grad(loss)
    gradient(at), reverse(at)
    with jax.transfer_guard("disallow"):
        for given in (gradient, gradest.grad(loss, method=method)):
            with pytest.raises(gradest.UnsupportedError, match=r"transfer_guard\('allow'\)"):
                given(at)
        assert reverse(at).shape == (2,)


def test_a_loss_of_jax_that_donates_is_told_in_words_and_leaves_the_users_array() -> None:
    jax = pytest.importorskip("jax", reason="JAX is not installed: pip install 'gradest[jax]'")
    donates: Callable[..., Any] = jax.jit(lambda p: p**2, donate_argnums=0)
    at = jax.numpy.asarray(3.0)
    with pytest.raises(gradest.InvalidInputError, match="donate_argnums"):
        gradest.grad(donates, method="fd-central")(at)
    assert not at.is_deleted()
    assert float(gradest.grad(donates)(at)) == 6.0


@pytest.mark.filterwarnings("ignore:Please import `csr_matrix`:DeprecationWarning")  # of mx.nd.array
@pytest.mark.skipif(find_spec("mxnet") is None, reason="MXNet is not installed (it needs NumPy 1)")
def test_a_gluon_embedding_with_sparse_gradients_has_a_dense_one() -> None:
    gradest.get_backend("mxnet")
    import mxnet as mx

    index = mx.nd.array([[0, 1, 2], [1, 1, 3]], dtype="int32")
    rows = np.arange(10.0).reshape(5, 2)
    for sparse in (False, True):
        embedding = mx.gluon.nn.Embedding(5, 2, sparse_grad=sparse)
        embedding.initialize()
        embedding.weight.set_data(mx.nd.array(rows))
        found = gradest.grad(lambda block, x: (block(x) ** 2).sum())(embedding, index)["weight"]
        assert found.stype == "default"
        np.testing.assert_allclose(found.asnumpy(), 2 * rows * np.array([1, 3, 1, 1, 0])[:, None], rtol=1e-6)


def tensors_that_are_no_parameters() -> dict[str, tuple[Callable[[Any], Any], str]]:
    return {
        "sparse": (lambda torch: torch.ones(3).to_sparse(), "layout torch.sparse_coo.*to_dense"),
        "nested": (lambda torch: torch.nested.nested_tensor([torch.ones(3), torch.ones(2)]), "a nested tensor.*padded"),
        "meta": (lambda torch: torch.ones(3, device="meta"), "device 'meta', which has no values.*to_empty"),
        "float8": (lambda torch: torch.ones(3).to(torch.float8_e4m3fn), "found dtype torch.float8_e4m3fn.*convert it"),
    }


@pytest.mark.parametrize("kind", tensors_that_are_no_parameters())
@pytest.mark.parametrize("method", ["reverse", "fd-central"])
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_tensors_that_cannot_be_parameters_are_refused_in_words(kind: str, method: str) -> None:
    """Each of them ended in an error of PyTorch's own."""
    torch: Any = pytest.importorskip("torch", reason="pip install 'gradest[torch]'")
    make, words = tensors_that_are_no_parameters()[kind]
    with pytest.raises(gradest.InvalidTypeError, match=f"parameter 'w' must be .*{words}"):
        gradest.grad(lambda p: squares(p["w"]), method=method)({"w": make(torch)})


def test_float8_of_jax_is_refused_in_words() -> None:
    jnp: Any = pytest.importorskip("jax.numpy", reason="pip install 'gradest[jax]'")
    with pytest.raises(gradest.InvalidTypeError, match=r"found dtype float8_e4m3fn; .* convert it"):
        gradest.grad(squares)(jnp.ones(3, jnp.float8_e4m3fn))


@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_a_loss_of_another_framework_than_its_parameters_is_told_so(framework: str) -> None:
    if find_spec(framework) is None:
        pytest.skip(f"pip install 'gradest[{framework}]'")
    sine = import_module("jax.numpy" if framework == "jax" else "torch").sin
    with pytest.raises(gradest.UnsupportedError, match="give a loss of another framework parameters of that framework"):
        gradest.grad(lambda p: sine(p).sum())(np.ones(2))


@pytest.mark.parametrize("backend", ["torch", "mxnet"])
@pytest.mark.parametrize("method", ["reverse", "fd-central"])
def test_numpy_arrays_beside_parameters_of_a_framework_are_a_batch_like_any(backend: str, method: str) -> None:
    """They are given to the function as they are: copied when bound, and other ones, of any length, at each call."""
    where = gradest.get_backend(backend)
    w = where.array(np.array([1.0, 2.0]), dtype="float64")

    def loss(w: Any, rows: Any, scale: Any = None) -> Any:
        assert isinstance(rows, np.ndarray)
        total: Any = 0.0 if scale is None else scale[0]
        for first, second in rows.tolist():
            total = total + (w[0] * first + w[1] * second) ** 2
        return total.sum()

    def right(rows: Any) -> Any:
        return 2 * rows.T @ (rows @ [1.0, 2.0])

    first, second, longer = np.eye(2), np.array([[1.0, -1.0], [0.5, 2.0]]), np.arange(6.0).reshape(3, 2)
    prepared = gradest.get_estimator(method).prepare(gradest.bind(loss, w, first))
    first[...] = 7.0
    np.testing.assert_allclose(where.numpy(prepared(w).gradient), right(np.eye(2)), rtol=1e-6)
    gradient = gradest.grad(loss, method=method)
    for rows in (second, longer, first):
        np.testing.assert_allclose(where.numpy(prepared(w, rows).gradient), right(rows), rtol=1e-6)
        np.testing.assert_allclose(where.numpy(gradient(w, rows, scale=rows[0])), right(rows), rtol=1e-6)


class Table:
    """Like a table of pandas: compared, it gives a table, of which nobody can say whether it is true."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __ne__(self, other: object) -> Any:
        return np.array([True, False])

    __hash__ = None  # type: ignore[assignment]  # as of a pandas table


def test_an_argument_that_cannot_be_compared_is_prepared_for_again() -> None:
    gradient = gradest.grad(lambda x, table: table.factor * (x * x).sum(), method="fd-central")
    for factor in (1.0, 3.0):
        np.testing.assert_allclose(gradient(np.array([1.0, 2.0]), Table(factor)), [2 * factor, 4 * factor], rtol=1e-6)
    prepared = gradest.get_estimator("reverse").prepare(
        gradest.bind(lambda x, table: table.factor * (x * x).sum(), np.ones(2), Table(1.0))
    )
    with pytest.raises(gradest.PreparationMismatchError, match="bind it again"):
        prepared(np.ones(2), Table(2.0))
