"""
Your own functions in MXNet Gluon, checked
==========================================

Linear, ReLU and ReQU (the square of ReLU) written by hand as ``mxnet.autograd.Function``, in Blocks of Gluon: what each
computes, and what it hands back. ``gradest.check`` compares the backward passes with the values of the loss itself, and
needs no tolerance.
"""

import matplotlib.pyplot as plt
import mxnet as mx
import numpy as np

import gradest
from gradest.training import Budget, GradientDescent

plt.style.use("tableau-colorblind10")

# %%
# Forward and backward
# --------------------
#
# A Function is made anew for each call, because it keeps what the way back needs. The backward pass gets the adjoint g of
# the output and returns that of each input.


class Linear(mx.autograd.Function):
    """`x W^T`, as `gluon.nn.Dense` has it without a bias."""

    def forward(self, x, weight):
        self.save_for_backward(x, weight)
        return mx.nd.dot(x, weight, transpose_b=True)

    def backward(self, g):
        x, weight = self.saved_tensors
        return mx.nd.dot(g, weight), mx.nd.dot(g, x, transpose_a=True)


class ReLU(mx.autograd.Function):
    """`max(0, x)`."""

    def forward(self, x):
        self.save_for_backward(x)
        return mx.nd.relu(x)

    def backward(self, g):
        return g * (self.saved_tensors[0] > 0)


class ReQU(ReLU):
    """`max(0, x)^2`."""

    def forward(self, x):
        self.save_for_backward(x)
        return mx.nd.relu(x) ** 2

    def backward(self, g):
        return g * 2 * mx.nd.relu(self.saved_tensors[0])


class HalfReQU(ReQU):
    """ReQU with the factor 2 of its derivative forgotten."""

    def backward(self, g):
        return g * mx.nd.relu(self.saved_tensors[0])


class Network(mx.gluon.Block):
    """Two layers of ours with an activation of ours between them."""

    def __init__(self, activation: type[mx.autograd.Function]) -> None:
        super().__init__()
        generator = np.random.default_rng(0)
        self.activation = activation
        with self.name_scope():
            self.first = self.params.get("first", shape=(8, 4), dtype="float64")
            self.second = self.params.get("second", shape=(3, 8), dtype="float64")
        self.initialize()
        for parameter in (self.first, self.second):
            parameter.set_data(mx.nd.array(generator.standard_normal(parameter.shape) / 2.5, dtype="float64"))

    def forward(self, x):
        hidden = self.activation()(Linear()(x, self.first.data()))
        return Linear()(hidden, self.second.data())


# %%
# Checked
# -------
#
# Each network is asked on Fisher's iris data. The check sees the forgotten factor, says where, and what it may be.

IRIS = gradest.datasets.load("iris")
X, LABELS = mx.nd.array(IRIS.features, dtype="float64"), mx.nd.array(IRIS.labels, dtype="float64")


def loss(block, x, labels):
    return -mx.nd.pick(mx.nd.log_softmax(block(x)), labels).mean()


checks, differences = {}, {}
for activation in (ReLU, ReQU, HalfReQU):
    name, network = activation.__name__, Network(activation)
    own, other = (gradest.grad(loss, method=method)(network, X, LABELS) for method in ("reverse", "fd-central"))
    print(list(own))
    checks[name] = gradest.check(loss, network, None, X, LABELS)
    print(f"{name}. {checks[name]}\n")
