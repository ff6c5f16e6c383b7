"""
Regression: a small network from many starts
============================================

A network has no solution to compare with, as a line has: only other starts. Where plain gradient descent ends depends
on them, and one seed, lucky or not, tells nothing about the method.
"""

import sys
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np

import gradest
from gradest.training import Budget, HeavyBall

plt.style.use("tableau-colorblind10")
FULL = "--full" in sys.argv

# %%
# A network of 1-4-4-1 units
# --------------------------
#
# :math:`y = x^3 - 20x + 10` plus noise of standard deviation 4, at 100 points of [-5, 5], by two layers of four
# ReLUs. The loss is a problem of our own, written once in ``ops``, for every backend. Momentum 0.9 with dampening 0.9
# is that of HIPS Autograd: :math:`v = 0.9 v + (1 - 0.9) g`; without the factor, steps would be ten times as long.
# Where 5,000 steps of 0.01 end depends on the start: one seed, lucky or not, tells nothing about the method.


@dataclass(frozen=True, eq=False)
class SmallNetwork(gradest.EmpiricalRisk):
    """Half the mean square of a ReLU network of 1-4-4-1 units."""

    name = "small-network"
    per_example = ("x", "y")
    seed: int = 0

    def data(self) -> dict[str, np.ndarray]:
        x = np.linspace(-5.0, 5.0, 100)[:, None]
        return {"x": x, "y": x**3 - 20.0 * x + 10.0 + 4.0 * np.random.default_rng(self.seed).standard_normal((100, 1))}

    def parameters(self) -> dict[str, np.ndarray]:
        generator, sizes = np.random.default_rng([self.seed, 1]), ((1, 4), (4, 4), (4, 1))
        weights = {f"W{k}": generator.standard_normal(size) / np.sqrt(size[0]) for k, size in enumerate(sizes)}
        return weights | {f"b{k}": np.zeros(size[1]) for k, size in enumerate(sizes)}

    def predict(self, ops, params, features):
        hidden = ops.relu(ops.affine(features, params["W0"], params["b0"]))
        return ops.affine(ops.relu(ops.affine(hidden, params["W1"], params["b1"])), params["W2"], params["b2"])

    def losses(self, ops, params, data):
        return 0.5 * ops.sum(ops.square(self.predict(ops, params, data["x"]) - data["y"]), axis=-1)


ball = HeavyBall(step_size=0.01, momentum=0.9, dampening=0.9)
networks = {seed: SmallNetwork(seed=seed) for seed in range(24 if FULL else 3)}
runs = {
    seed: gradest.train(network, "reverse", ball, budget=Budget(steps=5_000), log_every=50)
    for seed, network in networks.items()
}
ends = {seed: run.records[-1].loss for seed, run in runs.items()}
constant = np.mean([0.5 * network.data()["y"].var() for network in networks.values()])
print("network, loss at the end by seed:", {seed: round(end, 1) for seed, end in ends.items()})
print(f"  median {np.median(list(ends.values())):.1f}; the best constant has {constant:.0f}, the noise alone 8")

figure, (left, right) = plt.subplots(1, 2, figsize=(10.0, 4.2), layout="constrained")
ops, x = gradest.get_backend("numpy").operations(), networks[0].data()["x"]
left.plot(x, networks[0].data()["y"], ".", color="0.7", label="data of seed 0")
for (seed, run), color in zip(list(runs.items())[:3], ("C0", "C1", "C5"), strict=True):
    left.plot(x, networks[seed].predict(ops, run.params, x), color=color, label=f"seed {seed}")
    right.semilogy([r.step for r in run.records], [r.loss for r in run.records], color=color, label=f"seed {seed}")
for run in list(runs.values())[3:]:
    right.semilogy([r.step for r in run.records], [r.loss for r in run.records], color="0.8", zorder=0)
left.set(title="Fits of a 1-4-4-1 ReLU network", xlabel="x", ylabel="y")
right.set(title=f"Its training from {len(runs)} starts", xlabel="step", ylabel="half the mean square")
for axes in (left, right):
    axes.legend()
plt.show()

# %%
# .. note::
#
#    A common version of this lesson shows one run of the network, ending at 8.64: a lucky seed.
