"""
Regression: a line, a polynomial, a small network
=================================================

Three models by plain gradient descent, and for each the question that a falling loss does not answer: *has it
arrived?* The line and the polynomial have a least-squares solution to compare with; the network has only other
starts.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np

import gradest
from gradest.training import Budget, GradientDescent

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
line, line_best = [], []
for seed in line_seeds:
    generator = np.random.default_rng(seed)
    response = 4.0 * points + 10.0 + 2.0 * generator.standard_normal(100)
    problem = gradest.get_problem(
        "least-squares", features=np.column_stack([points, np.ones(100)]), response=response,
        start=generator.standard_normal(2),
    )  # fmt: skip
    run = gradest.train(problem, "analytic", GradientDescent(step_size=0.01), budget=Budget(steps=1000), log_every=1000)
    line.append(run.params["w"])
    line_best.append(least_squares(problem))
(w, b), (w_sd, b_sd) = np.mean(line, axis=0), np.std(line, axis=0, ddof=1)
w_off, b_off = np.abs(np.subtract(line, line_best)).max(axis=0)
print(f"line: w {w:.3f} ± {w_sd:.3f}, b {b:.2f} ± {b_sd:.2f} (standard deviation over {len(line)} seeds)")
print(f"  away from least squares by up to {w_off:.3f} and {b_off:.3f}")

# %%
# A polynomial
# ------------
#
# :math:`y = x^4 - 10x^2 + 10x` plus noise of standard deviation 4, at 100 points of [-3, 3]; 10,000 steps of 0.001.
# Steps have to stay below 2 over the largest eigenvalue of the Hessian, and in t steps of s the error along an
# eigenvector shrinks by :math:`e^{-st\lambda}`: the powers of x have eigenvalues far apart, and the slowest is still
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

figure, (left, right) = plt.subplots(1, 2, figsize=(10.0, 4.2), layout="constrained")
best, found = least_squares(problem), poly[-1][0]
powers = np.vander(span, 5, increasing=True)
left.plot(span, response, ".", color="0.7", label="data")
left.plot(span, powers @ found, color="C0", label="10,000 steps")
left.plot(span, powers @ best, "--", color="C1", label="least squares")
left.set(title="The polynomial", xlabel="x", ylabel="y")
right.plot(*np.transpose(line), "o", color="C0", label="1,000 steps, a point a seed")
right.plot(*np.transpose(line_best), "s", color="C1", label="least squares of the same data")
right.set(title="The line", xlabel="slope w", ylabel="constant b")
for axes in (left, right):
    axes.legend()
plt.show()

# %%
# .. note::
#
#    A common version of this lesson calls the noise of ``normal(0, 2)`` one of variance 2, where 2 is the standard
#    deviation; writes of powers to :math:`x^3` and computes those to :math:`x^4`; and does not say that neither the
#    line nor the polynomial has arrived.
