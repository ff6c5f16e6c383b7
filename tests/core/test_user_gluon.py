"""A user's Gluon `Block` and loss, and functions of pytrees of MXNet arrays, are estimated as they are and left so."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
import pytest

import gradest

if find_spec("mxnet") is None:
    pytest.skip("MXNet is not installed (it needs NumPy 1)", allow_module_level=True)

BACKEND = gradest.get_backend("mxnet")

from gradest_mxnet.framework import mx  # noqa: E402  # MXNet is imported by the backend, or not at all

TRAINABLE = ["0.weight", "0.bias", "1.gamma", "1.beta", "3.weight", "3.bias"]
HYBRIDIZED = {
    "eager": None,
    "hybridized": {},
    "static memory": {"static_alloc": True},
    "static shapes": {"static_alloc": True, "static_shape": True},
}


class Case(NamedTuple):
    """A network with everything that can go wrong in it, its inputs, and the mean loss over examples."""

    network: Any
    x: Any
    labels: Any
    numpy_semantics: bool

    def loss(self, network: Any, x: Any, labels: Any) -> Any:
        return mx.gluon.loss.SoftmaxCrossEntropyLoss()(network(x), labels).mean()

    def state(self) -> dict[str, np.ndarray]:
        parameters = self.network._collect_params_with_prefix()
        found = {name: p.data().asnumpy() for name, p in parameters.items()}
        return found | {f"{name}.grad": p.grad().asnumpy() for name, p in parameters.items() if p.grad_req != "null"}

    def gluon_gradient(self) -> dict[str, np.ndarray]:
        """Return what the user would compute, by record and backward."""
        parameters = self.network._collect_params_with_prefix()
        with semantics(self.numpy_semantics):
            for name in TRAINABLE:
                parameters[name].grad()[:] = 0.0  # zero_grad itself takes legacy arrays alone
            with mx.autograd.record(train_mode=False):
                value = self.loss(self.network, self.x, self.labels)
            value.backward(train_mode=False)
        return {name: parameters[name].grad().asnumpy() for name in TRAINABLE}


@contextmanager
def semantics(numpy_semantics: bool) -> Iterator[None]:
    with mx.util.np_shape(numpy_semantics), mx.util.np_array(numpy_semantics):
        yield


def case(numpy_semantics: bool, flags: dict[str, bool] | None, dtype: str = "float64") -> Case:
    generator = np.random.default_rng(1)
    nn = mx.gluon.nn
    with semantics(numpy_semantics):
        network = nn.HybridSequential()
        network.add(nn.Dense(6, activation="tanh", in_units=4), nn.BatchNorm(in_channels=6), nn.Dropout(0.5))
        network.add(nn.Dense(3, in_units=6))
        network.initialize()
        network.cast(dtype)
        for parameter in network.collect_params().values():  # MXNet's own initial values depend on the process's seed
            values = np.abs(generator.standard_normal(parameter.shape)) + 0.1
            parameter.set_data(native(values, numpy_semantics, dtype))
        if flags is not None:
            network.hybridize(**flags)
    x = native(generator.standard_normal((8, 4)), numpy_semantics, dtype)
    return Case(network, x, native(np.arange(8) % 3, numpy_semantics, dtype), numpy_semantics)


def native(values: np.ndarray, numpy_semantics: bool, dtype: str = "float64") -> Any:
    """Return an array of one of MXNet's two kinds; `mx.nd.array` itself warns, through SciPy."""
    array: Any = BACKEND.array(values, dtype=dtype)
    return array if numpy_semantics else array.as_nd_ndarray()


both = pytest.mark.parametrize("numpy_semantics", [False, True], ids=["legacy", "np"])
every_mode = pytest.mark.parametrize("flags", HYBRIDIZED.values(), ids=HYBRIDIZED.keys())


@both
@every_mode
def test_block_gradient_is_gluons_and_the_block_is_untouched(flags: Any, numpy_semantics: bool) -> None:
    user = case(numpy_semantics, flags)
    expected = user.gluon_gradient()
    before = user.state()
    prepared = gradest.get_estimator("reverse").prepare(gradest.bind(user.loss, user.network, user.x, user.labels))
    for estimate in (prepared(), prepared(user.network)):
        assert estimate.path == "native"
        assert list(estimate.gradient) == TRAINABLE
        for name, block in estimate.gradient.items():
            assert isinstance(block, mx.np.ndarray) is numpy_semantics
            np.testing.assert_allclose(block.asnumpy(), expected[name], rtol=0, atol=1e-14)
    for name, values in user.state().items():
        np.testing.assert_array_equal(values, before[name])
    for name, values in user.gluon_gradient().items():  # the user's own training goes on as before
        np.testing.assert_allclose(values, expected[name], rtol=0, atol=1e-14)


@both
@every_mode
def test_users_training_is_undisturbed_when_gradest_came_first(flags: Any, numpy_semantics: bool) -> None:
    """With static shapes, Gluon writes every later gradient to the buffers of the first backward pass."""
    user, twin = case(numpy_semantics, flags), case(numpy_semantics, None)
    gradest.get_estimator("reverse")(user.loss, user.network, user.x, user.labels)
    expected = twin.gluon_gradient()
    for name, values in user.gluon_gradient().items():
        np.testing.assert_allclose(values, expected[name], rtol=0, atol=1e-14)


@both
def test_black_box_estimators_agree(numpy_semantics: bool) -> None:
    user = case(numpy_semantics, {})
    before = user.state()
    exact = gradest.get_estimator("reverse")(user.loss, user.network, user.x, user.labels).gradient
    found = gradest.get_estimator("fd-central")(user.loss, user.network, user.x, user.labels).gradient
    for name in TRAINABLE:
        np.testing.assert_allclose(found[name].asnumpy(), exact[name].asnumpy(), rtol=0, atol=1e-8)
        assert type(found[name]) is type(exact[name])
    for name, values in user.state().items():
        np.testing.assert_array_equal(values, before[name])


@both
def test_running_means_are_not_updated_in_training_mode(numpy_semantics: bool) -> None:
    user = case(numpy_semantics, {})
    before = user.state()

    def loss(network: Any, x: Any) -> Any:
        with mx.autograd.train_mode():
            return (network[1](network[0](x)) ** 2).mean()

    gradest.get_estimator("reverse")(loss, user.network, user.x)
    for name, values in user.state().items():
        np.testing.assert_array_equal(values, before[name])


@both
def test_block_is_put_back_after_an_exception(numpy_semantics: bool) -> None:
    user = case(numpy_semantics, {})
    held = {name: p._data for name, p in user.network._collect_params_with_prefix().items()}
    modes = mx.util.is_np_shape(), mx.util.is_np_array()

    def loss(network: Any, x: Any) -> Any:
        network(x)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        gradest.get_estimator("reverse")(loss, user.network, user.x)
    assert all(p._data is held[name] for name, p in user.network._collect_params_with_prefix().items())
    assert (mx.util.is_np_shape(), mx.util.is_np_array()) == modes


def test_tied_parameters_count_once() -> None:
    first = mx.gluon.nn.Dense(3, in_units=3, use_bias=False)
    network = mx.gluon.nn.HybridSequential()
    network.add(first, mx.gluon.nn.Dense(3, in_units=3, use_bias=False, params=first.params))
    network.initialize()
    first.weight.set_data(native(np.eye(3) * 2.0, False, "float32"))
    x = native(np.ones((1, 3)), False, "float32")
    gradient = gradest.get_estimator("reverse")(lambda net, x: net(x).sum(), network, x).gradient
    assert list(gradient) == ["0.weight"]
    np.testing.assert_array_equal(gradient["0.weight"].asnumpy(), np.full((3, 3), 4.0))  # d sum(W W x) / dW at W = 2 I


def test_plain_block_that_is_not_hybrid_works() -> None:
    class Line(mx.gluon.Block):  # type: ignore[misc]  # MXNet has no annotations: its class is Any
        def __init__(self) -> None:
            super().__init__()
            self.layer = mx.gluon.nn.Dense(1, in_units=2)

        def forward(self, x: Any) -> Any:
            return self.layer(x)

    line = Line()
    line.initialize()
    gradient = gradest.get_estimator("reverse")(
        lambda block, x: block(x).mean(), line, native(np.array([[1.0, 2.0]]), False, "float32")
    ).gradient
    assert {name: block.asnumpy().tolist() for name, block in gradient.items()} == {
        "layer.weight": [[1.0, 2.0]],
        "layer.bias": [1.0],
    }


def dense(**options: Any) -> Any:
    return mx.gluon.nn.Dense(2, **options)


def initialised(block: Any) -> Any:
    block.initialize()
    return block


def frozen(block: Any) -> Any:
    block.collect_params().setattr("grad_req", "null")
    return block


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: dense(in_units=3), "initialize"),
        (lambda: initialised(dense()), "run it once"),
        (lambda: initialised(mx.gluon.nn.HybridSequential()), "no parameter"),
        (lambda: frozen(initialised(dense(in_units=3))), "grad_req"),
    ],
    ids=["no values", "shapes unknown", "no parameters", "nothing trainable"],
)
def test_block_that_cannot_be_used_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(gradest.InvalidInputError, match=message):
        gradest.bind(lambda block: block(native(np.ones((1, 3)), False, "float32")).mean(), make())


def test_loss_of_each_example_is_refused() -> None:
    block = initialised(dense(in_units=3))
    with pytest.raises(gradest.InvalidInputError, match=r"by a mean, or say per_example=True"):
        gradest.get_estimator("reverse")(
            lambda block, x: block(x).sum(axis=1), block, native(np.ones((5, 3)), False, "float32")
        )


@both
def test_function_of_a_pytree(numpy_semantics: bool) -> None:
    params = {"layers": [(native(np.eye(2), numpy_semantics), native(np.ones(2), numpy_semantics))]}
    x = native(np.array([[1.0, 2.0], [3.0, 4.0]]), numpy_semantics)
    kind = type(x)

    def loss(params: Any, x: Any) -> Any:
        ((weight, bias),) = params["layers"]
        assert type(weight) is type(bias) is type(x) is kind
        return ((mx.np if numpy_semantics else mx.nd).dot(x, weight) + bias).sum()

    for name in ("reverse", "fd-central"):
        gradient = gradest.get_estimator(name)(loss, params, x).gradient
        ((weight, bias),) = gradient["layers"]
        assert type(weight) is type(bias) is kind
        np.testing.assert_allclose(weight.asnumpy(), [[4.0, 4.0], [6.0, 6.0]], rtol=1e-9)
        np.testing.assert_allclose(bias.asnumpy(), [2.0, 2.0], rtol=1e-9)
    np.testing.assert_array_equal(params["layers"][0][0].asnumpy(), np.eye(2))


def test_integer_parameters_are_refused() -> None:
    """MXNet would give integer gradients."""
    with pytest.raises(gradest.InvalidTypeError, match="int32"):
        gradest.get_estimator("reverse")(lambda x: x.sum(), mx.np.ones((2,), dtype="int32"))


@pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")  # MXNet's own, of SciPy's old names
def test_a_network_that_is_nothing_but_a_symbol_works_too() -> None:
    """A `SymbolBlock`, which `import` gives, has its graph from the start and no code to trace."""
    data = mx.sym.var("data", dtype="float32")
    held = {name: mx.sym.var(f"dense_{name}", shape=shape) for name, shape in (("weight", (2, 3)), ("bias", (2,)))}
    network = mx.gluon.SymbolBlock(mx.sym.FullyConnected(data, **held, num_hidden=2), data)
    network.initialize(mx.init.Normal(1.0))
    x = mx.nd.array([[1.0, 2.0, 3.0], [-1.0, 0.5, 2.0]])
    network(x)
    found = gradest.get_estimator("reverse")(lambda net: (net(x) ** 2).sum(), network, backend="mxnet").gradient
    weight, bias = (network.collect_params()[f"dense_{name}"].data().asnumpy() for name in ("weight", "bias"))
    slope = 2 * (x.asnumpy() @ weight.T + bias)
    for name, values in {"weight": slope.T @ x.asnumpy(), "bias": slope.sum(axis=0)}.items():
        # The values depend on the process's seed, and float32 loses some units in the last place by cancellation.
        np.testing.assert_allclose(found.pop(name).asnumpy(), values, rtol=1e-6, atol=1e-6 * np.abs(values).max())
    assert not found


@pytest.mark.parametrize("method", ["reverse", "fd-central", "es"])
def test_float16_layers_that_mxnet_has_on_a_gpu_alone_are_told(method: str) -> None:
    """MXNet says so when a value is read: in reverse mode that was where the user did, and in its own words."""
    with mx.util.np_shape(True), mx.util.np_array(True):
        block = mx.gluon.nn.Dense(2, in_units=3)
        block.initialize()
        block.cast("float16")
        x = mx.np.ones((4, 3), dtype="float16")
        options: dict[str, Any] = {"rng": 0} if method == "es" else {}
        with pytest.raises(gradest.UnsupportedError, match=r"on a GPU alone; compute in float32: block.cast"):
            gradest.grad(lambda model, x: (model(x) ** 2).mean(), method=method)(block, x, **options)
