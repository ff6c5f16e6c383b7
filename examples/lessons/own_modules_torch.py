"""
Your own modules in PyTorch, checked
====================================

Linear, ReLU and ReQU (the square of ReLU) written by hand: what each computes, and what it hands back. A backward
pass is easy to get slightly wrong, and training often works all the same, only worse. ``gradest.check`` compares it
with the values of the loss itself, and needs no tolerance.
"""

import matplotlib.pyplot as plt
import torch

import gradest
from gradest.training import Budget

plt.style.use("tableau-colorblind10")

# %%
# Forward and backward
# --------------------
#
# A ``torch.autograd.Function`` is the pair of passes, without parameters: a *Module* holds those and calls it. The
# backward pass gets the adjoint g of the output and returns that of each input.


class Linear(torch.autograd.Function):
    """`x W^T`, as `torch.nn.Linear` has it without a bias."""

    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        return x @ weight.T

    @staticmethod
    def backward(ctx, g):
        x, weight = ctx.saved_tensors
        return g @ weight, g.T @ x


class ReLU(torch.autograd.Function):
    """`max(0, x)`."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, g):
        return g * (ctx.saved_tensors[0] > 0)


class ReQU(torch.autograd.Function):
    """`max(0, x)^2`."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp(min=0) ** 2

    @staticmethod
    def backward(ctx, g):
        return g * 2 * ctx.saved_tensors[0].clamp(min=0)


class HalfReQU(ReQU):
    """ReQU with the factor 2 of its derivative forgotten."""

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0].clamp(min=0)


class Network(torch.nn.Module):
    """Two layers of ours with an activation of ours between them."""

    def __init__(self, activation: type[torch.autograd.Function]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = torch.nn.Parameter(torch.randn(8, 4, dtype=torch.float64) / 2)
        self.second = torch.nn.Parameter(torch.randn(3, 8, dtype=torch.float64) / 3)
        self.activation = activation

    def forward(self, x):
        return Linear.apply(self.activation.apply(Linear.apply(x, self.first)), self.second)


# %%
# Checked and trained
# -------------------
#
# Each network is asked on Fisher's iris data. The check sees the forgotten factor, says where, and what it may be. The
# curve does not: half of a derivative still points downhill, so that training goes on, only not as well.

IRIS = gradest.datasets.load("iris")
X, LABELS = torch.tensor(IRIS.features), torch.tensor(IRIS.labels)


def loss(model, x, labels):
    return torch.nn.functional.cross_entropy(model(x), labels)


figure, axes = plt.subplots(figsize=(6.5, 4.2), layout="constrained")
METHODS, checks, differences, ends = ("reverse", "fd-central"), {}, {}, {}
for activation, style in ((ReLU, "-"), (ReQU, "-"), (HalfReQU, "--")):
    name, network = activation.__name__, Network(activation)
    own, other = (gradest.grad(loss, method=m)(network, X, LABELS)["first"] for m in METHODS)
    differences[name] = float(abs(own - other).max() / abs(own).max())
    checks[name] = gradest.check(loss, network, None, X, LABELS)
    print(f"{name}: {differences[name]:.0e} from central differences. {checks[name]}")
    run = gradest.train(gradest.Case(loss, network, (X, LABELS)), "reverse", budget=Budget(steps=200))
    ends[name] = run.records[-1].loss
    axes.plot([record.step for record in run.records], [record.loss for record in run.records], style, label=name)
axes.set(title="Networks of 4-8-3 units on the iris data, step size 0.1", xlabel="step", ylabel="cross-entropy")
axes.legend()
plt.show()

# %%
# What only evaluates, such as an evolution strategy, calls the forward passes alone and cannot know of the mistake.
# Forward mode would need a third pass, ``jvp``, which is not written here: gradest says so, and the check uses what
# there is.

# %%
# .. note::
#
#    A common version of this exercise gives the ``Function`` to ``torch.nn.Sequential``, where a ``Module`` is
#    wanted, and ends in a ``TypeError``. And its directional difference quotient has the wrong sign: a check would
#    have told.
