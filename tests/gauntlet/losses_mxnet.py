"""Gluon blocks, in MXNet's legacy arrays as Gluon makes them."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from gauntlet.building import numbers, stated
from gauntlet.frameworks import framework
from gauntlet.records import OPAQUE, Asked, Leaves, Loss, Outcome, Refused

KIND = "networks of MXNet"
BOTH = ("float64", "float32")


def gluon(
    build: Callable[[Any, Any], Any],
    *shape: int,
    dtype: str,
    loss: Callable[..., Any] | None = None,
    hybridize: bool = False,
    seed: bool = False,
    gradient: Callable[..., Any] | None = None,
) -> Asked:
    """Return a block with values from a seed, its batch, and the loss."""
    on = framework("mxnet")
    mx = on.mx  # type: ignore[attr-defined]
    model = build(mx, mx.gluon.nn)
    model.initialize()
    model.cast(dtype)
    x = on.array(numbers(*shape, seed=1), dtype).as_nd_ndarray()
    y = on.array(np.arange(shape[0]) % 2, dtype).as_nd_ndarray()
    model(x)  # which tells it the shapes of its parameters
    for k, parameter in enumerate(model.collect_params().values()):
        values = np.abs(numbers(*parameter.shape, seed=k)) * 0.5 + 0.1
        parameter.set_data(on.array(values, dtype).as_nd_ndarray())
    if hybridize:
        model.hybridize()
    asked = Asked(on, loss or cross_entropy, model, (x, y), seed=partial(mx.random.seed, 3) if seed else None,
                  gradient=None if gradient is None else partial(gradient, on, model, x, y))  # fmt: skip
    return replace(asked, variants=lambda: each_mask(asked)) if seed else asked


def each_mask(asked: Asked) -> Iterator[Asked]:
    """Yield the perceptron with each mask that its dropout may draw, in PyTorch."""
    torch, values = framework("torch"), asked.leaves()
    x, y = (torch.array(asked.on.numpy(arg)) for arg in asked.args)

    def loss(mask: Any, p: Any) -> Any:
        hidden = torch.xp.tanh(x @ p[0].T + p[1]) * mask * 2
        return torch.xp.nn.functional.cross_entropy(hidden @ p[2].T + p[3], y.long())

    for bits in product([0.0, 1.0], repeat=2 * 3):
        mask = torch.array(np.reshape(bits, (2, 3)))
        yield Asked(torch, partial(loss, mask), [torch.array(v) for v in values])


def make(name: str, build: Any, *shape: int, expected: dict[Any, Outcome] | None = None,
         dtypes: tuple[str, ...] = ("float64",), **options: Any) -> Loss:  # fmt: skip
    def asked(dtype: str) -> Asked:
        return gluon(build, *shape, dtype=dtype, **options)

    return stated(name, KIND, {"mxnet": asked}, expected, dtypes=dtypes)


def cross_entropy(net: Any, x: Any, y: Any) -> Any:
    mx = framework("mxnet").mx  # type: ignore[attr-defined]
    return mx.gluon.loss.SoftmaxCrossEntropyLoss()(net(x), y).mean()


def in_training_mode(net: Any, x: Any, y: Any) -> Any:
    mx = framework("mxnet").mx  # type: ignore[attr-defined]
    with mx.autograd.train_mode():
        return cross_entropy(net, x, y)


def backward_in_training(on: Any, net: Any, x: Any, y: Any, leaves: Leaves) -> list[np.ndarray]:
    """Return Gluon's own gradient with both passes in training mode."""
    parameters = [p for p in net.collect_params().values() if p.grad_req != "null"]
    for parameter, values in zip(parameters, leaves, strict=True):
        parameter.set_data(on.array(values, str(np.dtype(parameter.dtype))).as_nd_ndarray())
    with on.mx.autograd.record(train_mode=True):
        value = cross_entropy(net, x, y)
    value.backward(train_mode=True)
    return [on.numpy(p.grad()) for p in parameters]


def perceptron(mx: Any, nn: Any) -> Any:
    net = nn.HybridSequential()
    net.add(nn.Dense(3, activation="tanh"), nn.Dense(2))
    return net


def normalised(mx: Any, nn: Any) -> Any:
    net = nn.HybridSequential()
    net.add(nn.Dense(3), nn.BatchNorm(), nn.Activation("tanh"), nn.Dense(2))
    return net


def with_dropout(mx: Any, nn: Any) -> Any:
    net = nn.HybridSequential()
    net.add(nn.Dense(3, activation="tanh"), nn.Dropout(0.5), nn.Dense(2))
    return net


def convolutional(mx: Any, nn: Any) -> Any:
    net = nn.HybridSequential()
    net.add(nn.Conv2D(2, 3, activation="relu"), nn.MaxPool2D(2), nn.Dense(2))
    return net


def recurrent(mx: Any, nn: Any) -> Any:
    net = nn.Sequential()
    net.add(mx.gluon.rnn.LSTM(2, layout="NTC"), nn.Dense(2))
    return net


def tied(mx: Any, nn: Any) -> Any:
    first = nn.Dense(3, in_units=3, use_bias=False)
    net = nn.HybridSequential()
    net.add(first, nn.Dense(3, in_units=3, use_bias=False, params=first.params))
    return net


def reads_its_loss(net: Any, x: Any, y: Any) -> float:
    return float(cross_entropy(net, x, y).asscalar())


def of_its_value(on: Any, net: Any, x: Any, y: Any, leaves: Leaves) -> list[np.ndarray]:
    return on.gradient(lambda m: cross_entropy(m, x, y), net, leaves)


LOSSES = (
    make("a Gluon perceptron", perceptron, 4, 3, dtypes=BOTH),
    make("hybridized", perceptron, 4, 3, hybridize=True, dtypes=BOTH),
    make("Gluon's BatchNorm", normalised, 4, 3),
    make("BatchNorm, training mode inside", normalised, 4, 3, loss=in_training_mode, gradient=backward_in_training),
    make("Gluon's dropout", with_dropout, 4, 3, dtypes=BOTH),
    make("dropout, training mode inside", with_dropout, 2, 3, loss=in_training_mode, seed=True),
    # No layer of it depends on the mode, and in predict mode MXNet's own gradient of a maximum is wrong in float32.
    make("Gluon's convolution", convolutional, 2, 1, 5, 5, gradient=backward_in_training, dtypes=BOTH),
    make("a hybridized convolution", convolutional, 2, 1, 5, 5, gradient=backward_in_training, hybridize=True,
         dtypes=BOTH),
    make("Gluon's LSTM", recurrent, 2, 3, 2, dtypes=("float32",)),
    make("Gluon's tied weights", tied, 4, 3),
    make("a Gluon loss read by asscalar", perceptron, 4, 3, loss=reads_its_loss, gradient=of_its_value,
         expected={"reverse": Refused("use|keep to", "GradestError"), "forward": OPAQUE}),
)  # fmt: skip
