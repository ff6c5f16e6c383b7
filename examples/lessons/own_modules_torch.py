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
from gradest.training import Budget, GradientDescent

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
# Checked
# -------
#
# Each network is asked on Fisher's iris data. The check sees the forgotten factor, says where, and what it may be.

IRIS = gradest.datasets.load("iris")
X, LABELS = torch.tensor(IRIS.features), torch.tensor(IRIS.labels)


def loss(model, x, labels):
    return torch.nn.functional.cross_entropy(model(x), labels)


def difference(model: Network) -> float:
    """Return how far the first layer's gradient is from central differences, relative to its largest entry."""
    own = gradest.grad(loss)(model, X, LABELS)["first"]
    other = gradest.grad(loss, method="fd-central")(model, X, LABELS)["first"]
    return float((own - other).abs().max() / own.abs().max())


checks, differences = {}, {}
for activation in (ReLU, ReQU, HalfReQU):
    name, model = activation.__name__, Network(activation)
    checks[name], differences[name] = gradest.check(loss, model, None, X, LABELS), difference(model)
    print(f"{name}, {differences[name]:.0e} from central differences. {checks[name]}\n")

# %%
# Forward mode would need a third pass, ``jvp``, which is not written here. PyTorch says so; the check uses what there
# is.

try:
    gradest.get_estimator("forward")(loss, Network(ReLU), X, LABELS)
except gradest.UnsupportedError as error:
    print(error)

# %%
# Trained
# -------
#
# The same training with each activation and the same start: 200 steps of gradient descent. An evolution strategy
# calls the forward passes alone; it cannot know of the mistake. Backpropagation through it trains on, and it is not
# obvious in the curve that anything is wrong.

RUNS = {"ReLU": (ReLU, "reverse"), "ReQU": (ReQU, "reverse"), "ReQU, half of its derivative": (HalfReQU, "reverse"),
        "ReQU, evolution strategy": (ReQU, gradest.get_estimator("es", num_samples=20, sigma=0.01))}  # fmt: skip
figure, axes = plt.subplots(figsize=(6.5, 4.2), layout="constrained")
ends = {}
for (label, (activation, estimator)), style in zip(RUNS.items(), ("-", "-", "--", ":"), strict=True):
    case = gradest.Case(loss, Network(activation), (X, LABELS))
    run = gradest.train(case, estimator, GradientDescent(step_size=0.2), budget=Budget(steps=200))
    ends[label] = run.records[-1].loss
    axes.plot([record.step for record in run.records], [record.loss for record in run.records], style, label=label)
    print(run.line())
axes.set(title="Networks of 4-8-3 units on the iris data, step size 0.2", xlabel="step", ylabel="cross-entropy")
axes.legend()
plt.show()

# %%
# .. note::
#
#    A common version of this exercise gives the ``Function`` to ``torch.nn.Sequential``, where a ``Module`` is
#    wanted, and ends in a ``TypeError``. And its directional difference quotient has the wrong sign: a check would
#    have told.
