"""
Antithetic pairs against one-sided values
=========================================

At a budget of M evaluations there are M/2 pairs or M - 1 one-sided differences from :math:`f(x)`. With a small radius
:math:`\\sigma` one-sided differences win, by a factor of two: they look along twice as many directions. What they do
not cancel is the curvature, which adds :math:`\\frac{\\sigma^2}{4}(P + 4)((\\mathrm{tr} H)^2 + 2|H|^2)/(N|g|^2)`;
pairs win from about :math:`\\sigma^2 = 4|g|^2/((\\mathrm{tr} H)^2 + 2|H|^2)` on.
"""

import matplotlib.pyplot as plt
import numpy as np

import gradest
from gradest import theory

plt.style.use("tableau-colorblind10")
M, SIGMAS = 32, np.geomspace(0.01, 3.0, 9)
problem = gradest.get_problem("quadratic", size=20)
counts = {"es": M // 2, "es-forward": M - 1}
estimators = {
    f"{name} {sigma}": gradest.get_estimator(name, num_samples=n, sigma=float(sigma))
    for name, n in counts.items()
    for sigma in SIGMAS
}
table = gradest.compare(
    problem, estimators=estimators, backends=["numpy"], dtypes=["float64"], replicates=300, budget_seconds=0.001
)
estimate = gradest.get_estimator("reverse")(problem)
gradient = estimate.gradient["x"]
hessian = problem.data()["H"]
model = theory.local_model(gradient, hessian=hessian, value=float(estimate.value))
figure, axes = plt.subplots(figsize=(6.5, 4.2), layout="constrained")
for color, (name, n) in zip(("C0", "C1"), counts.items(), strict=True):
    cells = [cell for cell in table if cell.cell.estimator.split()[0] == name]
    measured = [cell.replicates.relative_mse for cell in cells]
    bars = [2 * cell.replicates.relative_mse_error for cell in cells]
    kind = "pairs" if name == "es" else "one-sided values and f(x)"
    axes.errorbar(SIGMAS, measured, bars, fmt="o", color=color, label=f"{name}: {n} {kind}")
    # A comparison predicts with what every loss has; here the Hessian is known as well.
    rule = {"num_parameters": 20, "num_samples": n, "baseline": "antithetic" if name == "es" else "value"}
    predicted = [theory.relative_mse_es("normal", sigma=s, model=model, **rule).relative_mse for s in SIGMAS]
    axes.plot(SIGMAS, predicted, color=color)
bend = np.trace(hessian) ** 2 + 2 * np.sum(hessian**2)
even = 2 * np.linalg.norm(gradient) / np.sqrt(bend)
axes.axvline(even, color="0.4", linestyle=":", label=f"rule: even at sigma = {even:.2f}")
axes.set(xscale="log", yscale="log", xlabel="radius sigma", ylabel="relative mean squared error")
axes.set_title(f"{M} evaluations, quadratic loss of 20 parameters")
axes.legend()
plt.show()
