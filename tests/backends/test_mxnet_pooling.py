"""Max-pooling in float32 on MXNet: gradients of predict mode, where its own kernel goes backward through nothing."""

import threading
from typing import Any

import numpy as np
import pytest

import gradest

mx: Any = pytest.importorskip(
    "gradest_mxnet.framework", reason="needs MXNet: pip install 'gradest[mxnet]'", exc_type=ImportError
).mx

POOLS: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((2, 3, 8), {"kernel": (2,), "stride": (2,)}),
    ((2, 3, 6, 6), {"kernel": (2, 2), "stride": (2, 2)}),
    ((2, 3, 7, 7), {"kernel": (3, 3), "stride": (2, 2), "pad": (1, 1)}),
    ((2, 3, 7, 7), {"kernel": (3, 3), "stride": (2, 2), "pooling_convention": "full"}),
    ((1, 2, 4, 4, 4), {"kernel": (2, 2, 2), "stride": (2, 2, 2)}),
    ((2, 3, 6, 6), {"kernel": (1, 1), "global_pool": True}),
]


def leave_nan_in_free_memory() -> None:
    """Have the memory that MXNet hands out next hold NaN, so that reading it unfilled is seen."""
    arrays = [mx.nd.full((2**k,), np.nan, dtype="float32") for k in range(4, 12)]
    mx.nd.waitall()
    del arrays


def gradient_of(f: Any, params: Any, *args: Any) -> np.ndarray:
    leave_nan_in_free_memory()
    found = gradest.grad(f, method="reverse")(params, *args)
    return np.asarray(found.asnumpy(), dtype=np.float64)


@pytest.mark.parametrize(("shape", "options"), POOLS)
@pytest.mark.parametrize("kind", ["nd", "npx"])
def test_gradients_through_max_pooling_are_those_of_double_precision(
    shape: tuple[int, ...], options: dict[str, Any], kind: str
) -> None:
    x = np.random.default_rng(0).permutation(np.prod(shape)).reshape(shape) / 8.0  # no ties, exact in float32

    def loss(p: Any) -> Any:
        pooled = mx.nd.Pooling(p, pool_type="max", **options) if kind == "nd" else mx.npx.pooling(p, **options)
        return (pooled * pooled).sum()

    with mx.util.np_shape(True):
        single, double = (
            mx.np.array(x, dtype=dtype).as_nd_ndarray() if kind == "nd" else mx.np.array(x, dtype=dtype)
            for dtype in ("float32", "float64")
        )
        found, exact = gradient_of(loss, single), gradient_of(loss, double)
        values = [gradest.bind(loss, single).value().asnumpy(), gradest.bind(loss, double).value().asnumpy()]
    np.testing.assert_allclose(found, exact, rtol=1e-6)
    assert np.count_nonzero(exact) > 0
    np.testing.assert_allclose(*values, rtol=1e-6)


def network(*, hybridize: bool) -> Any:
    net = mx.gluon.nn.HybridSequential()
    net.add(mx.gluon.nn.Conv2D(2, 3), mx.gluon.nn.MaxPool2D(2), mx.gluon.nn.Dense(2))
    net.initialize(mx.init.Normal(0.5))
    net(mx.nd.ones((1, 1, 5, 5)))
    if hybridize:
        net.hybridize()
    return net


@pytest.mark.parametrize("hybridize", [False, True])
def test_a_block_goes_backward_in_predict_mode_as_in_training_mode(hybridize: bool) -> None:
    """No layer of this one depends on the mode; and in training mode MXNet notes where the maxima are."""
    net, x = network(hybridize=hybridize), mx.nd.random.normal(shape=(2, 1, 5, 5))
    prepared = gradest.get_estimator("reverse").prepare(gradest.bind(lambda m, x: (m(x) ** 2).mean(), net, x))
    leave_nan_in_free_memory()
    found = prepared().gradient
    with mx.autograd.train_mode():
        exact = prepared().gradient
    for name, gradient in exact.items():
        np.testing.assert_allclose(found[name].asnumpy(), gradient.asnumpy(), rtol=1e-5, atol=1e-6)
    assert float(np.abs(exact["0.weight"].asnumpy()).max()) > 0


def test_a_block_closed_over_and_compiled_by_its_user_is_refused() -> None:
    net, x = network(hybridize=True), mx.nd.random.normal(shape=(1, 1, 5, 5))
    net(x)

    def loss(p: Any) -> Any:
        return (net(p) ** 2).mean()

    with pytest.raises(gradest.UnsupportedError, match=r"max-pooling of HybridSequential.*hybridize\(False\)"):
        gradest.grad(loss, method="reverse")(x)
    with mx.autograd.train_mode():
        in_training = gradest.grad(loss, method="reverse")(x).asnumpy()
    net.hybridize(False)
    np.testing.assert_allclose(gradient_of(loss, x), in_training, rtol=1e-5, atol=1e-6)


def test_a_gradient_refuses_no_block_elsewhere() -> None:
    """Blocks look at their graphs from the first gradient on, but not in a user's own calls, nor in other threads."""
    net, x = network(hybridize=True), mx.nd.random.normal(shape=(1, 1, 5, 5))
    wanted = net(x).asnumpy()
    found = []

    def record() -> None:
        with mx.autograd.record(train_mode=False):
            found.append(net(x).asnumpy())

    def loss(p: Any) -> Any:
        another = threading.Thread(target=record)
        another.start()
        another.join()
        return (p * p).sum()

    gradest.grad(loss, method="reverse", verify=False)(mx.nd.ones((3,)))
    record()
    assert len(found) >= 2
    for values in found:
        np.testing.assert_allclose(values, wanted, rtol=1e-6)


def test_the_functions_of_mxnet_are_its_own_again_afterwards() -> None:
    places = [(mx.nd, "Pooling"), (mx.nd.op, "Pooling"), (mx.npx, "pooling"), (mx.nd.npx, "pooling"),
              (mx.sym, "Pooling"), (mx.sym.npx, "pooling")]  # fmt: skip
    before = [getattr(place, name) for place, name in places]
    with pytest.raises(RuntimeError, match="of its own"):
        gradest.grad(_raises, method="reverse")(mx.nd.ones((1, 1, 4, 4)))
    assert [getattr(place, name) for place, name in places] == before


def _raises(p: Any) -> Any:
    raise RuntimeError("an error of its own")
