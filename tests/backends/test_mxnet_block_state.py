"""What a Gluon `Block` is after a loss that changes its parameters' settings: what it was."""

from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import gradest

if find_spec("mxnet") is None:
    pytest.skip("MXNet is not installed (it needs NumPy 1)", allow_module_level=True)

gradest.get_backend("mxnet")
import mxnet as mx  # noqa: E402  # by the backend's import, which NumPy 1.24 and later need

pytestmark = pytest.mark.filterwarnings("ignore:Please import `csr_matrix`:DeprecationWarning")  # of mx.nd.array
METHODS = ("reverse", "fd-central", "es")


def batch() -> Any:
    return mx.nd.array(np.linspace(-1.0, 1.0, 6).reshape(3, 2))


def block() -> Any:
    made = mx.gluon.nn.Dense(1, in_units=2)
    made.initialize()
    made.weight.set_data(mx.nd.array([[1.0, 2.0]]))
    made.weight.grad()[:] = 7.0
    return made


def freezes(b: Any, x: Any) -> Any:
    b.collect_params().setattr("grad_req", "null")
    return (b(x) ** 2).sum()


def accumulates(b: Any, x: Any) -> Any:
    b.collect_params().setattr("grad_req", "add")
    return (b(x) ** 2).sum()


def casts(b: Any, x: Any) -> Any:
    b.cast("float64")
    return (b(x.astype("float64")) ** 2).sum()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("loss", [freezes, accumulates, casts])
def test_settings_of_parameters_are_as_they_were(loss: Any, method: str) -> None:
    made = block()
    try:
        gradest.grad(loss, method=method)(made, batch(), rng=0)
    except gradest.GradestError:  # of reverse mode alone, which has nothing to go back through
        assert method == "reverse"
    assert made.weight.grad_req == made.bias.grad_req == "write"
    assert np.dtype(made.weight.dtype) == np.float32
    assert made.weight.data().asnumpy().tolist() == [[1.0, 2.0]]
    assert made.weight.grad().asnumpy().tolist() == [[7.0, 7.0]]
    with mx.autograd.record():
        value = (made(batch()) ** 2).sum()
    value.backward()  # what the user does next; y = x1 + 2 x2, and its gradient is sum 2 y x
    x = batch().asnumpy()
    np.testing.assert_allclose(made.weight.grad().asnumpy()[0], 2 * (x @ [1.0, 2.0]) @ x, rtol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_a_loss_that_goes_backward_is_told_in_words(method: str) -> None:
    def goes_backward(b: Any, x: Any) -> Any:
        with mx.autograd.record():
            value = (b(x) ** 2).sum()
        value.backward()
        return value

    with pytest.raises(gradest.InvalidInputError, match="return the loss alone"):
        gradest.grad(goes_backward, method=method)(block(), batch(), rng=0)


def test_threads_are_in_the_callers_mode() -> None:
    """In predict mode, where threads begin, batch normalisation takes running means: the loss is another."""
    rows = mx.nd.array([[0.3, -1.1], [1.7, 0.4], [-0.6, 2.3], [0.9, 0.2]])
    net = mx.gluon.nn.HybridSequential()
    net.add(mx.gluon.nn.Dense(3, in_units=2), mx.gluon.nn.BatchNorm(in_channels=3))
    net.initialize(mx.init.Normal(0.5))
    objective = gradest.bind(lambda net, x: net(x).exp().sum(), net, rows)
    few, found = gradest.get_estimator("es", num_samples=12, chunk_size=3), []
    for mode in (mx.autograd.train_mode, mx.autograd.predict_mode):
        with mode(), ThreadPoolExecutor(2) as threads:
            here = few.prepare(objective)(net, rng=0).gradient
            found.append(few.prepare(objective, executor=threads)(net, rng=0).gradient)
        for name, leaf in here.items():
            np.testing.assert_array_equal(found[-1][name].asnumpy(), leaf.asnumpy())
    in_training, in_use = (each["0.weight"].asnumpy() for each in found)
    assert not np.allclose(in_training, in_use, rtol=0.01)
