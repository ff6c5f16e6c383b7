"""
Regression: a line, a polynomial, a small network
=================================================

Three models by plain gradient descent, and for each the question that a falling loss does not answer: *has it
arrived?* The line and the polynomial have a least-squares solution to compare with; the network has only other
starts.
"""

import sys
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np

import gradest
from gradest.training import Budget, GradientDescent, HeavyBall

plt.style.use("tableau-colorblind10")
FULL = "--full" in sys.argv


def least_squares(problem: gradest.Problem) -> np.ndarray:
    """Return the weights of the least mean square."""
    data = problem.data()
    return np.linalg.lstsq(data["x"], data["y"], rcond=None)[0]


# %%
# A line
# ------
#
# :math:`y = 4x + 10` plus noise of standard deviation 2, at 100 points of [0, 10]; 1,000 steps of 0.01 from normal
# starts. After them the loss stands almost still, and the constant is still on its way.

points, line_seeds = np.linspace(0.0, 10.0, 100), range(20 if FULL else 8)
line, line_distance = [], []
for seed in line_seeds:
    generator = np.random.default_rng(seed)
    response = 4.0 * points + 10.0 + 2.0 * generator.standard_normal(100)
    problem = gradest.get_problem(
        "least-squares", features=np.column_stack([points, np.ones(100)]), response=response,
        start=generator.standard_normal(2),
    )  # fmt: skip
    run = gradest.train(problem, "analytic", GradientDescent(step_size=0.01), budget=Budget(steps=1000), log_every=1000)
    line.append(run.params["w"])
    line_distance.append(np.abs(run.params["w"] - least_squares(problem)))
(w, b), (w_sd, b_sd) = np.mean(line, axis=0), np.std(line, axis=0, ddof=1)
w_off, b_off = np.max(line_distance, axis=0)
print(f"line: w {w:.3f} ± {w_sd:.3f}, b {b:.2f} ± {b_sd:.2f} (standard deviation over {len(line)} seeds)")
print(f"  away from least squares by up to {w_off:.3f} and {b_off:.3f}")

# %%
# A polynomial
# ------------
#
# :math:`y = x^4 - 10x^2 + 10x` plus noise of standard deviation 4, at 100 points of [-3, 3]; 10,000 steps of 0.001.
# Steps have to stay below 2 over the largest eigenvalue of the Hessian, and in t steps of s the error along an
# eigenvector shrinks by :math:`e^{-st\\lambda}`: the powers of x have eigenvalues far apart, and the slowest is still
# on its way at the end.

span, poly = np.linspace(-3.0, 3.0, 100), []
for seed in range(3 if FULL else 1):
    generator = np.random.default_rng(seed)
    response = span**4 - 10.0 * span**2 + 10.0 * span + 4.0 * generator.standard_normal(100)
    problem = gradest.get_problem(
        "polynomial-regression", degree=4, points=span, response=response, start=generator.standard_normal(5)
    )
    run = gradest.train(
        problem, "analytic", GradientDescent(step_size=0.001), budget=Budget(steps=10_000), log_every=2_000
    )
    poly.append((run.params["w"], run.records[-1].loss))
    print(f"polynomial, seed {seed}: coefficients {run.params['w'].round(3)}, loss {run.records[-1].loss:.2f}")
    print(f"  least squares {least_squares(problem).round(3)}")
design = problem.data()["x"]
eigenvalues = np.linalg.eigvalsh(design.T @ design / len(design))
print(f"  eigenvalues {eigenvalues[0]:.3f} ... {eigenvalues[-1]:.0f}: steps below {2 / eigenvalues[-1]:.5f} converge")
print(f"  10,000 steps of 0.001 leave {np.exp(-10.0 * eigenvalues[0]):.2f} of the slowest direction")

# %%
# A network of 1-4-4-1 units
# --------------------------
#
# :math:`y = x^3 - 20x + 10` plus noise of standard deviation 4, at 100 points of [-5, 5], by two layers of four
# ReLUs. The loss is a problem of our own, written once in ``ops``, for every backend. Momentum 0.9 with dampening 0.9
# is that of HIPS Autograd: :math:`v = 0.9 v + (1 - 0.9) g`; without the factor, steps would be ten times as long.
# Where 5,000 steps of 0.01 end hangs on the start: one seed, lucky or not, tells nothing about the method.


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
#    A common version of this lesson shows one run of the network, ending at 8.64: a lucky seed. It calls the
#    noise of ``normal(0, 2)`` one of variance 2, where 2 is the standard deviation; writes of powers to :math:`x^3`
#    and computes those to :math:`x^4`; and does not say that neither the line nor the polynomial has arrived.
