"""Functions of MXNet's that got a gradient of 0 or of a loss of their own, held to NumPy's values by differences."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import gradest

mx: Any = pytest.importorskip(
    "gradest_mxnet.framework", reason="needs MXNet: pip install 'gradest[mxnet]'", exc_type=ImportError
).mx

pytestmark = pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")  # MXNet's own, of SciPy's old names

X = np.random.default_rng(2).uniform(0.1, 0.9, (3, 4))


@pytest.mark.parametrize("text", [
    lambda xp, x: xp.std(x), lambda xp, x: xp.std(x, axis=(0, 1), ddof=1, keepdims=True),
    lambda xp, x: x.std(-1, ddof=2), lambda xp, x: x.var(axis=1), lambda xp, x: xp.var(x, axis=0, dtype="float64"),
    lambda xp, x: xp.atleast_1d(x), lambda xp, x: xp.atleast_2d(x[0]), lambda xp, x: xp.atleast_2d(x[0], x)[1],
    lambda xp, x: xp.atleast_3d(x), lambda xp, x: xp.atleast_3d(x[0]), lambda xp, x: xp.atleast_3d(x[0, 1]),
])  # fmt: skip
def test_variances_and_further_axes_have_their_gradient(text: Callable[[Any, Any], Any]) -> None:
    shape = np.shape(text(np, X))
    weights = np.random.default_rng(3).standard_normal(shape)

    def by_numpy(x: NDArray[np.float64]) -> float:
        return float(np.sum(text(np, x) * weights))

    def by_mxnet(p: Any) -> Any:
        found = text(mx.np, p)
        assert found.shape == shape
        return (found * mx.np.array(weights, dtype="float64")).sum()

    expected = np.zeros_like(X)
    for place in np.ndindex(X.shape):
        step = np.zeros_like(X)
        step[place] = 1e-6
        expected[place] = (by_numpy(X + step) - by_numpy(X - step)) / 2e-6
    value, found = gradest.value_and_grad(by_mxnet)(mx.np.array(X, dtype="float64"))
    assert float(value) == pytest.approx(by_numpy(X), rel=1e-14)
    np.testing.assert_allclose(found.asnumpy(), expected, rtol=1e-7, atol=1e-8)


class Spread(mx.gluon.HybridBlock):  # type: ignore[misc]  # MXNet has no annotations
    """Returns the standard deviations of weighted columns, by `F.np`."""

    def __init__(self) -> None:
        super().__init__()
        with self.name_scope():
            self.w = self.params.get("w", shape=X.shape, init="ones")

    def hybrid_forward(self, F: Any, x: Any, w: Any) -> Any:
        return F.np.std(w * x, axis=0, ddof=1)


@pytest.mark.parametrize("hybridized", [False, True])
def test_a_standard_deviation_in_a_block_has_its_gradient(hybridized: bool) -> None:
    with mx.util.np_shape(True), mx.util.np_array(True):
        block, x = Spread(), mx.np.array(X, dtype="float32")
        block.initialize()
        if hybridized:
            block.hybridize()
        block(x)
        found = gradest.grad(lambda net: net(x).sum())(block)["w"].asnumpy()
        if hybridized:
            with pytest.raises(gradest.UnsupportedError, match=r"deviation of Spread, .*hybridize\(False\)"):
                gradest.grad(lambda p: block(p).sum())(x)
    away = X - X.mean(axis=0)
    np.testing.assert_allclose(found, X * away / (2 * X.std(axis=0, ddof=1)), rtol=1e-5, atol=1e-6)


def test_the_gradient_of_a_standard_deviation_of_equal_numbers_is_zero() -> None:
    """As on NumPy and PyTorch, where nothing is away from the mean."""
    found = gradest.grad(lambda p: p.std(axis=1).sum())(mx.np.array([[2.0, 2.0], [1.0, 3.0]], dtype="float64"))
    np.testing.assert_allclose(found.asnumpy(), [[0.0, 0.0], [-0.5, 0.5]], rtol=1e-14)


@pytest.mark.parametrize("by_name", [mx.np.percentile, lambda x, q: mx.nd.np.percentile(x, q)])  # noqa: PLW0108 - late
def test_a_percentile_is_refused_by_whichever_name_it_is_called(by_name: Callable[..., Any]) -> None:
    """A name imported before gradest, and `F.np` in a block that is not hybridized, passed by what was refused."""
    with pytest.raises(gradest.UnsupportedError, match=r"mx\.np\.percentile was called"):
        gradest.grad(lambda p: by_name(p, 30).sum())(mx.np.array(X, dtype="float64"))


@pytest.mark.parametrize("text", [
    lambda x: mx.nd.random.normal(x, x), lambda x: mx.nd.random.uniform(0 * x, x), lambda x: mx.nd.make_loss(x) ** 2,
    lambda x: mx.nd.SoftmaxOutput(x, mx.nd.array([0, 1, 1])) ** 2,
    lambda x: mx.nd.LinearRegressionOutput(x, mx.nd.zeros(X.shape)) ** 2,
])  # fmt: skip
def test_random_numbers_by_their_parameters_and_output_layers_are_refused(text: Callable[[Any], Any]) -> None:
    """Zeros came back, or the gradient of a loss that the layer has for itself."""
    given = mx.nd.array(X)
    with pytest.raises(gradest.UnsupportedError, match=r"mx\.nd\.\S+ was called with what is being differentiated"):
        gradest.grad(lambda p: text(p).sum())(given)
    beside = gradest.grad(lambda p: (p * text(p.detach())).sum())(given)  # of what is constant they are taken
    assert np.all(np.isfinite(beside.asnumpy()))


@pytest.mark.parametrize(("text", "says"), [
    (lambda x: mx.np.interp(x, mx.np.array([0.0, 2.0]), mx.np.array([0.0, 1.0])), "that MXNet .* has from NumPy alone"),
    (lambda x: mx.np.nanmax(x, axis=0), "that MXNet .* has from NumPy alone"),
    (lambda x: mx.np.insert(x, 1, x[0], axis=0), "_npi_insert_scalar is non-differentiable"),
    (lambda x: mx.np.copysign(x, -1.0), "operator _backward_npi_copysign_scalar"),
    (lambda x: mx.nd.sort(x.as_nd_ndarray()).as_np_ndarray(), "operator _backward_topk"),
    (lambda x: mx.np.pad(x, ((1, 1), (1, 1)), mode="edge"), "Other modes are not supported"),
])  # fmt: skip
def test_what_mxnet_cannot_go_backward_through_is_told(text: Callable[[Any], Any], says: str) -> None:
    """MXNet's own error came: of its making while the loss was recorded, of its graph, or where the user read it."""
    given = mx.np.array(X, dtype="float64")
    with pytest.raises(gradest.UnsupportedError, match=f"reverse mode was asked for.*{says}"):
        gradest.grad(lambda p: text(p).sum())(given)
    found = gradest.grad(lambda p: text(p).sum(), method="fd-central")(given)
    assert np.all(np.isfinite(found.asnumpy()))


def test_the_last_of_sequences_in_double_precision_is_refused() -> None:
    """MXNet ends the process there: a double free, as it goes backward."""
    given = mx.nd.array(X.reshape(3, 2, 2), dtype="float64")
    with pytest.raises(gradest.UnsupportedError, match=r"SequenceLast in float64, .*take data\[-1\]"):
        gradest.grad(lambda p: mx.nd.SequenceLast(p).sum())(given)
    lengths, expected = mx.nd.array([1, 3], dtype="float64"), np.zeros((3, 2, 2))
    expected[0, 0] = expected[2, 1] = 1
    found = gradest.grad(lambda p: mx.nd.SequenceLast(p, lengths, use_sequence_length=True).sum())(given)
    np.testing.assert_array_equal(found.asnumpy(), expected)
