"""
Your own functions in MXNet Gluon, checked
==========================================

Linear, ReLU and ReQU (the square of ReLU) written by hand as ``mxnet.autograd.Function``, in Blocks of Gluon: what
each computes, and what it hands back. ``gradest.check`` compares the backward passes with the values of the loss
itself, and needs no tolerance.
"""

import matplotlib.pyplot as plt
import numpy as np

import gradest
from gradest.training import Budget

gradest.get_backend("mxnet")  # MXNet 1.9.1 cannot be imported beside NumPy 1.24 and later until this has been called
import mxnet as mx  # noqa: E402  # as said above

plt.style.use("tableau-colorblind10")

# %%
# Forward and backward
# --------------------
#
# A Function is made anew for each call, because it keeps what the way back needs. The backward pass gets the adjoint
# g of the output and returns that of each input. What needs no gradient, such as the data, has to come last: MXNet
# 1.9.1 stops writing at the first input that needs none, and leaves the adjoints after it as the memory happened to
# be.


class Linear(mx.autograd.Function):
    """`x W^T`, as `gluon.nn.Dense` has it without a bias."""

    def forward(self, weight, x):
        self.save_for_backward(weight, x)
        return mx.nd.dot(x, weight, transpose_b=True)

    def backward(self, g):
        weight, x = self.saved_tensors
        return mx.nd.dot(g, x, transpose_a=True), mx.nd.dot(g, weight)


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
        self.first = self.params.get("first", shape=(8, 4), dtype="float64")
        self.second = self.params.get("second", shape=(3, 8), dtype="float64")
        self.initialize()
        for parameter in (self.first, self.second):
            parameter.set_data(mx.nd.array(generator.standard_normal(parameter.shape) / 2.5, dtype="float64"))

    def forward(self, x):
        return Linear()(self.second.data(), self.activation()(Linear()(self.first.data(), x)))


# %%
# Checked and trained
# -------------------
#
# Each network is asked on Fisher's iris data. The check sees the forgotten factor, says where, and what it may be. The
# curve does not: half of a derivative still points downhill, so that training goes on, only not as well.

IRIS = gradest.datasets.load("iris")
X, LABELS = mx.nd.array(IRIS.features, dtype="float64"), mx.nd.array(IRIS.labels, dtype="float64")


def loss(block, x, labels):
    return -mx.nd.pick(mx.nd.log_softmax(block(x)), labels).mean()


figure, axes = plt.subplots(figsize=(6.5, 4.2), layout="constrained")
METHODS, checks, differences, ends = ("reverse", "fd-central"), {}, {}, {}
for activation, style in ((ReLU, "-"), (ReQU, "-"), (HalfReQU, "--")):
    name, network = activation.__name__, Network(activation)
    own, other = (gradest.grad(loss, method=m)(network, X, LABELS)["first"].asnumpy() for m in METHODS)
    differences[name] = float(abs(own - other).max() / abs(own).max())
    checks[name] = gradest.check(loss, network, None, X, LABELS)
    print(f"{name}: {differences[name]:.0e} from central differences. {checks[name]}")
    run = gradest.train(gradest.Case(loss, network, (X, LABELS)), "reverse", budget=Budget(steps=100))
    ends[name] = run.records[-1].loss
    axes.plot([record.step for record in run.records], [record.loss for record in run.records], style, label=name)
axes.set(title="Networks of 4-8-3 units on the iris data, step size 0.1", xlabel="step", ylabel="cross-entropy")
axes.legend()
plt.show()

# %%
# MXNet has neither forward mode for a Block nor complex numbers; what only evaluates, such as an evolution strategy,
# calls the forward passes alone and cannot know of the mistake.
