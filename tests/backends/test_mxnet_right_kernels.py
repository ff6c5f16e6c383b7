"""Gradients of single precision on MXNet that its own kernels make wrong or cannot make: beside double precision."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import gradest

mx: Any = pytest.importorskip(
    "gradest_mxnet.framework", reason="needs MXNet: pip install 'gradest[mxnet]'", exc_type=ImportError
).mx

pytestmark = pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")  # MXNet's own, of SciPy's old names

X = np.random.default_rng(0).standard_normal((3, 2, 5, 5))


def leave_nan_in_free_memory() -> None:
    """Have the memory that MXNet hands out next hold NaN, so that reading it unfilled is seen."""
    arrays = [mx.nd.full((2**k,), np.nan, dtype="float32") for k in range(4, 12)]
    mx.nd.waitall()
    del arrays


def gradients(make: Callable[[], Any], *, frozen: str, hybridize: bool, dtype: str) -> dict[str, np.ndarray]:
    """Return the gradient of the mean of squares of a network with the parameters that end so without a gradient."""
    x = mx.nd.array(X, dtype=dtype)
    network = mx.gluon.nn.HybridSequential()
    network.add(make())
    network.initialize()
    network.cast(dtype)
    network(x)
    random = np.random.default_rng(1)
    for name, parameter in sorted(network._collect_params_with_prefix().items()):
        parameter.set_data(mx.nd.array(random.standard_normal(parameter.shape), dtype=dtype))
        if frozen and name.endswith(frozen):
            parameter.grad_req = "null"
    if hybridize:
        network.hybridize()
        network(x)  # a graph is traced then, by MXNet's own kernels
    leave_nan_in_free_memory()
    found = gradest.grad(lambda net, x: (net(x) ** 2).mean(), method="reverse")(network, x)
    return {name: np.asarray(values.asnumpy(), np.float64) for name, values in found.items()}


def two_dense_layers() -> Any:
    network = mx.gluon.nn.HybridSequential()
    network.add(mx.gluon.nn.Dense(4, activation="tanh"), mx.gluon.nn.Dense(3, flatten=False))
    return network


def deconvolution(channels: int = 4, **options: Any) -> Callable[[], Any]:
    return lambda: mx.gluon.nn.Conv2DTranspose(channels, 3, **options)


def convolution_before_deconvolution() -> Any:
    network = mx.gluon.nn.HybridSequential()
    network.add(mx.gluon.nn.Conv2D(4, 3), mx.gluon.nn.Conv2DTranspose(2, 3, in_channels=4, groups=2))
    return network


@pytest.mark.parametrize("hybridize", [False, True], ids=["eager", "hybridized"])
@pytest.mark.parametrize(
    ("make", "frozen"),
    [
        (two_dense_layers, "weight"),
        (two_dense_layers, "0.weight"),
        (two_dense_layers, "bias"),
        (deconvolution(), ""),
        (deconvolution(), "bias"),
        (deconvolution(), "weight"),
        (deconvolution(use_bias=False, strides=2, padding=1, output_padding=1), ""),
        (convolution_before_deconvolution, ""),
    ],
)
def test_networks_with_frozen_weights_and_transposed_convolutions(
    make: Callable[[], Any], frozen: str, hybridize: bool
) -> None:
    single, double = (
        gradients(make, frozen=frozen, hybridize=hybridize, dtype=dtype) for dtype in ("float32", "float64")
    )
    assert single.keys() == double.keys() != set()
    for name, exact in double.items():
        np.testing.assert_allclose(single[name], exact, rtol=1e-5, atol=1e-5 * np.abs(exact).max(), err_msg=name)


@pytest.mark.parametrize("numpy", [False, True], ids=["nd", "npx"])
def test_a_dense_layer_by_a_constant_matrix(numpy: bool) -> None:
    """By hand: the bias's gradient of a sum of squares is twice the column sums of the outputs."""
    w, x = np.random.default_rng(2).standard_normal((2, 4, 6)).astype(np.float32)
    legacy = mx.nd.array(w), mx.nd.array(x)

    def loss(bias: Any) -> Any:
        if numpy:
            return (mx.npx.fully_connected(legacy[1].as_np_ndarray(), legacy[0].as_np_ndarray(), bias, 4) ** 2).sum()
        return (mx.nd.FullyConnected(legacy[1], legacy[0], bias, num_hidden=4) ** 2).sum()

    bias = np.ones(4, np.float32)
    leave_nan_in_free_memory()
    with mx.util.np_shape(True):
        found = gradest.grad(loss, method="reverse")(mx.np.array(bias) if numpy else mx.nd.array(bias))
    np.testing.assert_allclose(found.asnumpy(), 2 * (x @ w.T + bias).sum(axis=0), rtol=1e-5)


def symbol_block() -> Any:
    data = mx.sym.var("data", dtype="float32")
    held = {name: mx.sym.var(f"d_{name}", shape=shape) for name, shape in (("weight", (4, 50)), ("bias", (4,)))}
    return mx.gluon.SymbolBlock(mx.sym.FullyConnected(data, **held, num_hidden=4), data)


def test_a_graph_that_is_given_and_cannot_be_changed_is_refused() -> None:
    network, x = symbol_block(), mx.nd.array(X)
    network.initialize()
    network(x)
    network.collect_params()["d_weight"].grad_req = "null"
    with pytest.raises(gradest.UnsupportedError, match=r"'d_bias' is not; .*compute in float64"):
        gradest.grad(lambda net: (net(x) ** 2).sum(), method="reverse")(network)
    [found] = gradest.grad(lambda net: (net(x) ** 2).sum(), method="fd-central")(network).values()
    np.testing.assert_allclose(found.asnumpy(), 2 * network(x).asnumpy().sum(axis=0), rtol=1e-3)


@pytest.mark.parametrize("before", ["closed over", "bound"])
def test_a_given_graph_is_looked_at_again_in_each_binding(before: str) -> None:
    """It is one graph all the time, found right where it is its user's own, and before the weight was frozen."""
    network, x = symbol_block(), mx.nd.array(X)
    network.initialize()
    network(x)
    reverse = gradest.get_estimator("reverse")
    if before == "closed over":
        reverse(lambda x: (network(x) ** 2).sum(), x)
    else:
        reverse(lambda net: (net(x) ** 2).sum(), network)
    network.collect_params()["d_weight"].grad_req = "null"
    with pytest.raises(gradest.UnsupportedError, match="'d_bias' is not"):
        reverse(lambda net: (net(x) ** 2).sum(), network)


def test_one_objective_in_both_precisions_compiles_each_its_own_graph() -> None:
    """A graph traced for single precision rounds on its way."""
    network = mx.gluon.nn.HybridSequential()
    network.add(mx.gluon.nn.Conv2DTranspose(2, 3, in_channels=2))
    network.initialize(mx.init.Normal(1.0))
    network.hybridize()
    x = mx.nd.array(X)
    report = gradest.compare(lambda net, x: (net(x) ** 2).mean(), network, x, estimators=["reverse", "fd-central"])
    assert max(row.accuracy.relative_error for row in report if row.accuracy is not None) < 1e-3


def recurrent(dtype: str, *, levels: int, hybridize: bool) -> tuple[Any, Any]:
    network = mx.gluon.nn.HybridSequential()
    network.add(mx.gluon.rnn.LSTM(3, num_layers=levels, layout="NTC", input_size=2))
    network.initialize()
    network.cast(dtype)
    random = np.random.default_rng(1)
    for _, parameter in sorted(network._collect_params_with_prefix().items()):
        parameter.set_data(mx.nd.array(random.standard_normal(parameter.shape), dtype=dtype))
    if hybridize:
        network.hybridize()
    return network, mx.nd.array(X[:, :, :, 0].transpose(0, 2, 1), dtype=dtype)


@pytest.mark.parametrize("hybridize", [False, True], ids=["eager", "hybridized"])
def test_reverse_mode_through_levels_of_recurrent_layers_in_double_precision_is_refused(hybridize: bool) -> None:
    """MXNet's own gradient there is another by a half and more; one level, and single precision, are right."""

    def loss(net: Any, x: Any) -> Any:
        return (net(x) ** 2).mean()

    for dtype, levels, right in (("float64", 1, True), ("float32", 2, True), ("float64", 2, False)):
        network, x = recurrent(dtype, levels=levels, hybridize=hybridize)
        by_values = gradest.grad(loss, method="fd-central")(network, x)
        if right:
            found = gradest.grad(loss, method="reverse")(network, x)
            for name, values in by_values.items():
                np.testing.assert_allclose(found[name].asnumpy(), values.asnumpy(), rtol=0.05, atol=2e-3, err_msg=name)
        else:
            with pytest.raises(gradest.UnsupportedError, match=r"several levels in float64.*compute in float32"):
                gradest.grad(loss, method="reverse")(network, x)


def test_a_graph_is_looked_at_once_though_a_block_is_bound_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []

    def loads(text: str, loads: Any = json.loads) -> Any:
        looked.append(text)
        return loads(text)

    monkeypatch.setattr(json, "loads", loads)
    network = two_dense_layers()
    network.initialize()
    x = mx.nd.array(X)
    network(x)
    network.hybridize()
    one, other = (
        gradest.get_estimator("reverse").prepare(
            gradest.bind(lambda net: (net(x) ** 2).mean(), network, backend="mxnet")
        )
        for _ in range(2)
    )
    first = [one(), other()]
    once = len(looked)
    again = [one(), other(), one(), other()]
    assert once == 2  # a graph for each binding
    assert len(looked) == once
    for estimate in [*first, *again]:
        assert all(np.isfinite(g.asnumpy()).all() for g in estimate.gradient.values())


@pytest.mark.parametrize("hybridize", [False, True], ids=["eager", "hybridized"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_selu_has_its_slope_left_of_0(dtype: str, hybridize: bool) -> None:
    """MXNet's own is 0.03 of it at -3; the closed form is scale * alpha * exp(x)."""
    scale, alpha = 1.0507009873554805, 1.6732632423543772
    points = np.array([-3.0, -2.1, -1.0, -0.1, 0.1, 2.0])
    network = mx.gluon.nn.HybridSequential()
    network.add(mx.gluon.nn.Dense(1, use_bias=False, in_units=1, flatten=False), mx.gluon.nn.SELU())
    network.initialize(mx.init.One())
    network.cast(dtype)
    if hybridize:
        network.hybridize()
    x = mx.nd.array(points, dtype=dtype).reshape((6, 1))

    def loss(net: Any, x: Any) -> Any:
        return net(x).sum()

    value, found = gradest.value_and_grad(loss, method="reverse")(network, x)
    slopes = np.where(points > 0, scale, scale * alpha * np.exp(points))
    np.testing.assert_allclose(found["0.weight"].asnumpy(), np.sum(slopes * points), rtol=2e-7)
    assert float(value) == pytest.approx(float(loss(network, x).asscalar()), rel=1e-7)
    for array, activate in (
        (mx.nd.array, lambda p: mx.nd.LeakyReLU(p, act_type="selu")),
        (mx.np.array, lambda p: mx.npx.leaky_relu(p, act_type="selu")),
    ):
        by_points = gradest.grad(lambda p, activate=activate: activate(p).sum())(array(points, dtype=dtype))
        np.testing.assert_allclose(by_points.asnumpy(), slopes, rtol=2e-7)


@pytest.mark.parametrize("called", [False, True], ids=["", "called before"])
@pytest.mark.parametrize("slopes", [1, 2])
@pytest.mark.parametrize("numpy", [False, True], ids=["nd", "np"])
def test_slopes_of_a_hybridized_prelu(numpy: bool, slopes: int, called: bool) -> None:
    """MXNet's own gradient is 0.25 of it, its slope's; by hand: the sums of what is below 0, times what comes back."""
    weight, below = np.array([[1.0, -2.0], [0.5, 1.5]]), np.array([[3.0, -1.0], [2.0, 0.5], [-1.0, 4.0]])
    with mx.util.np_shape(numpy), mx.util.np_array(numpy):
        make = partial(mx.np.array if numpy else mx.nd.array, dtype="float32")
        network = mx.gluon.nn.HybridSequential()
        network.add(mx.gluon.nn.Dense(2, use_bias=False, in_units=2), mx.gluon.nn.PReLU(in_channels=slopes))
        network.initialize()
        network[0].weight.set_data(make(weight))
        network.hybridize()
        if called:
            network(make(below))
        found = gradest.grad(lambda net, x: (3 * net(x)).sum())(network, make(below))
        alpha, layer = found["1.alpha"].asnumpy(), found["0.weight"].asnumpy()
    parts = 3 * np.minimum(below @ weight.T, 0)
    np.testing.assert_allclose(alpha, parts.sum(axis=0) if slopes == 2 else [parts.sum()], rtol=1e-6)
    np.testing.assert_allclose(layer, 3 * np.where(below @ weight.T > 0, 1, 0.25).T @ below, rtol=1e-6)


def test_slopes_of_a_prelu_in_a_graph_that_is_given_are_refused() -> None:
    data, x = mx.sym.var("data", dtype="float32"), mx.nd.array([[-1.0, 2.0]])
    scale, slopes = (mx.sym.var(f"d_{name}", shape=(1, 1)[:n]) for n, name in ((2, "factor"), (1, "slopes")))
    scaled = mx.sym.broadcast_mul(data, scale)
    network = mx.gluon.SymbolBlock(mx.sym.LeakyReLU(scaled, slopes, act_type="prelu"), data)
    network.initialize(mx.init.One())
    network(x)
    with pytest.raises(gradest.UnsupportedError, match=r"PReLU of 'd_slopes'; .*grad_req 'null'"):
        gradest.grad(lambda net: net(x).sum())(network)
    found = gradest.grad(lambda net: net(x).sum(), method="fd-central")(network)
    np.testing.assert_allclose(found["slopes"].asnumpy(), [-1.0], rtol=1e-3)


def test_selu_of_a_compiled_block_that_a_loss_closes_over_is_refused() -> None:
    block = mx.gluon.nn.SELU()
    block.hybridize()
    with pytest.raises(gradest.UnsupportedError, match=r"SELU of SELU, .*hybridize\(False\)"):
        gradest.grad(lambda p: block(p).sum())(mx.nd.array([-1.0, 2.0]))
    found = gradest.grad(lambda p: block(p).sum(), method="fd-central")(mx.nd.array([-1.0, 2.0]))
    np.testing.assert_allclose(found.asnumpy(), [0.64677, 1.0507], rtol=1e-3)


M = np.diag([1.0, 3.0, 6.0]) + np.random.default_rng(2).uniform(0.0, 0.5, (3, 3))  # its eigenvalues are real


@pytest.mark.parametrize("text", [
    lambda x: mx.np.percentile(x, 30, axis=1), lambda x: mx.np.quantile(x, 0.3, axis=1),
    lambda x: mx.np.linalg.eigvalsh(mx.np.dot(x, x.T)), lambda x: mx.np.linalg.eigh(mx.np.dot(x, x.T))[0],
    lambda x: mx.np.linalg.eig(x)[0], lambda x: mx.np.linalg.eigvals(2 * x), lambda x: mx.np.linalg.pinv(2 * x),
    mx.np.unique, lambda x: mx.np.random.uniform(0.0, x), lambda x: mx.np.random.gamma(x * x, 1.0),
])  # fmt: skip
def test_functions_that_mxnet_gives_a_gradient_of_0_are_refused(text: Callable[[Any], Any]) -> None:
    """Beside others their part was missing, without a word; of what is constant they are taken."""
    given, constant = mx.np.array(M, dtype="float64"), mx.np.array(M.T, dtype="float64")
    with pytest.raises(gradest.UnsupportedError, match=r"mx\.np\.\S+ was called .* gives it a gradient of 0"):
        gradest.grad(lambda p: (text(p) ** 2).sum() + (p**2).sum())(given)
    beside = gradest.grad(lambda p: (text(constant) ** 2).sum() + (p**2).sum())(given)
    np.testing.assert_allclose(beside.asnumpy(), 2 * M, rtol=1e-12)


@pytest.mark.parametrize("k", [-1, 0, 1, 2, 7])
@pytest.mark.parametrize("axes", [(0, 1), (2, 0)])
def test_the_gradient_of_rot90_turns_back(k: int, axes: tuple[int, int]) -> None:
    x = np.arange(24.0).reshape(2, 3, 4)
    weights = np.random.default_rng(0).standard_normal(np.rot90(x, k, axes).shape)

    def loss(p: Any) -> Any:
        return (mx.np.rot90(p, k, axes) * mx.np.array(weights, dtype="float64")).sum()

    value, found = gradest.value_and_grad(loss)(mx.np.array(x, dtype="float64"))
    assert float(value) == pytest.approx(np.sum(np.rot90(x, k, axes) * weights))
    np.testing.assert_allclose(found.asnumpy(), np.rot90(weights, -k, axes), rtol=1e-12)
