"""
How large the first weights should be
=====================================

A network is trained from random weights, and their size decides whether it can be. Each layer multiplies the length
of what passes through it by a factor near :math:`c/2` (ReLU, weights :math:`N(0, c/n)` for n inputs): a little too
small or too large, and after twenty layers nothing or everything is left. And in a narrow network chance does the
same at any c (Hanin and Rolnick 2018, arXiv 1803.01719).
"""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np

import gradest
from gradest.datasets import load

plt.style.use("tableau-colorblind10")
DIGITS, DEPTH = load("digits").take(64), 20

# %%
# Lengths on the way through a network
# ------------------------------------
#
# The law "normal" draws :math:`N(0, 1/n)`; times the square root of c it is that of variance :math:`c/n`. Networks
# with a seed each are stacked along a leading axis, and ``hidden`` gives the activations of all their layers at once.


def lengths(width: int, c: float, num_seeds: int) -> np.ndarray:
    """Return the mean square of an activation over that of a pixel, `(DEPTH, num_seeds)`, of images that pass."""
    shape: dict[str, Any] = {"widths": (width,) * DEPTH, "activation": "relu", "batch": None, "bias": False}
    networks: list[Any] = [gradest.get_problem("mlp", dataset=DIGITS, seed=seed, **shape) for seed in range(num_seeds)]
    starts = [network.parameters() for network in networks]
    params = {name: np.sqrt(c) * np.stack([start[name] for start in starts]) for name in starts[0]}
    ops = gradest.get_backend("numpy").operations()
    layers = networks[0].hidden(ops, params, DIGITS.features)
    return np.array([np.mean(np.square(np.asarray(h)), axis=(1, 2)) for h in layers]) / np.mean(DIGITS.features**2)


by_variance = {c: lengths(32, c, 20) for c in (1.0, 2.0, 4.0)}
for c, found in by_variance.items():
    mean = found[-1].mean()
    print(f"c = {c:g}: after {DEPTH} layers {mean:.2g} of the squared length; (c/2)^{DEPTH} = {(c / 2) ** DEPTH:.2g}")

# %%
# Only c = 2 keeps the mean, and even there it is the mean of a law with a heavy tail: most networks have less.
#
# Width: chance adds up along the depth
# -------------------------------------
#
# The logarithm of the length walks at random, by steps whose variance is about 5 over the width, and in narrow layers
# more. Its spread grows with the sum of 1/width over the layers, whatever c is; and in a network of width 4 it is
# likely that at some layer all four units are 0 for all images. Then it is dead: no gradient passes.

by_width = {width: lengths(width, 2.0, 300)[-1] for width in (4, 16, 64)}
dead = {width: int((found == 0).sum()) for width, found in by_width.items()}
spread = {width: float(np.log(found[found > 0]).std(ddof=1)) for width, found in by_width.items()}
for width in by_width:
    print(
        f"width {width:2}: sum of 1/width {DEPTH / width:5.2f}, {dead[width]:3} of 300 networks dead, "
        f"standard deviation of the log length {spread[width]:.2f}; sqrt(5 sum) = {np.sqrt(5 * DEPTH / width):.2f}"
    )

figure, (left, right) = plt.subplots(1, 2, figsize=(10.0, 4.2), layout="constrained")
for (c, found), color in zip(by_variance.items(), ("C0", "C1", "C5"), strict=True):
    left.semilogy(range(1, DEPTH + 1), found, color=color, alpha=0.3, linewidth=0.8)
    left.semilogy(range(1, DEPTH + 1), found.mean(axis=1), color=color, linewidth=2.5, label=f"c = {c:g}, mean")
left.set(
    title="Width 32, 20 seeds",
    xlabel="layer",
    ylabel="squared length over that of the image",
    xticks=[1, 5, 10, 15, 20],
)
left.legend()
for (width, found), color in zip(by_width.items(), ("C0", "C1", "C5"), strict=True):
    label = f"width {width}, {dead[width]} dead"
    right.hist(
        np.log10(found[found > 0]), bins=30, density=True, histtype="step", linewidth=2, color=color, label=label
    )
right.set(title="c = 2, 300 seeds", xlabel=f"log10 of the squared length at layer {DEPTH}", ylabel="density")
right.legend(loc="upper left")
plt.show()

# %%
# What becomes of the gradient
# ----------------------------
#
# A sigmoid passes back at most a quarter of what comes: in the first of 21 layers next to nothing arrives. And
# weights that begin at zero stay alike: where the activation of 0 is 0 (tanh, ReLU) the gradient is exactly 0 in all
# layers; with sigmoid the last layer alone moves at first, by the same in all units, so that they never become
# different.


def norms(activation: str, depth: int, initial: str) -> list[float]:
    """Return the norm of the gradient of each layer's weights."""
    network = gradest.get_problem(
        "mlp", dataset=DIGITS, widths=(32,) * depth, activation=activation, bias=False, batch=None, initial=initial
    )
    return [float(np.linalg.norm(block)) for block in gradest.get_estimator("reverse")(network).gradient.values()]


vanishing = norms("sigmoid", DEPTH, "normal")
print(f"sigmoid, {DEPTH} hidden layers: |dW1| / |dW_last| = {vanishing[0] / vanishing[-1]:.1g}")
from_zero = {activation: norms(activation, 3, "zeros") for activation in ("tanh", "relu", "sigmoid")}
for activation, each in from_zero.items():
    print(f"from zero, {activation:<7}: norms of the gradient {[round(norm, 3) for norm in each]}")

# %%
# .. note::
#
#    Ratios of gradients between layers alone do not show the trouble: for ReLU :math:`|dW_1|/|dW_{last}|` stays near
#    1 while both explode or vanish together. Look at lengths.
