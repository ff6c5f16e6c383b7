"""
Averaging against projection
============================

The same N slopes along N directions can be averaged, or solved for: the projection of the gradient on what the
directions span. The average of normal directions is right in the mean and has the error :math:`(P + 1)/N`, more than
the gradient itself as long as :math:`N \\le P`. The projection is too short and has the error :math:`1 - N/P`, never
more than 1. As long as N is small beside P, their cosines with the gradient are nearly the same: to training, where
the length of a step is chosen anyway, little is lost by averaging.
"""

import matplotlib.pyplot as plt
import numpy as np

import gradest
from gradest import theory

plt.style.use("tableau-colorblind10")
P, COUNTS = 64, (1, 2, 4, 8, 16, 32, 64)
problem = gradest.get_problem("quadratic", size=P)
fields = {"average": {"distribution": "normal"}, "projection": {"distribution": "orthogonal", "projection": True}}
estimators = {
    f"{label} {n}": gradest.get_estimator("forward-gradient", num_samples=n, **chosen)
    for label, chosen in fields.items()
    for n in COUNTS
}
table = gradest.compare(
    problem, estimators=estimators, backends=["numpy"], dtypes=["float64"], replicates=200, budget_seconds=0.001
)
cells = {cell.cell.estimator: cell for cell in table}

n = np.geomspace(1, P, 200)
predicted = {
    "average": ((P + 1) / n, [theory.expected_cosine("normal", num_parameters=P, num_samples=k) for k in COUNTS]),
    "projection": (1 - n / P, [theory.expected_cosine("orthogonal", num_parameters=P, num_samples=k) for k in COUNTS]),
}
figure, (left, right) = plt.subplots(1, 2, figsize=(10.0, 4.2), layout="constrained")
for color, (label, (error, cosine)) in zip(("C0", "C1"), predicted.items(), strict=True):
    found = [cells[f"{label} {k}"].replicates for k in COUNTS]
    bars = [2 * each.relative_mse_error for each in found]
    left.errorbar(COUNTS, [each.relative_mse for each in found], bars, fmt="o", color=color, label=label)
    left.plot(n, error, color=color)
    right.plot(COUNTS, [each.cosine for each in found], "o", color=color, label=label)
    right.plot(COUNTS, cosine, color=color)
left.set(xscale="log", yscale="log", xlabel="directions N", ylabel="relative mean squared error", ylim=(1e-2, 200))
left.set_title(f"Error, P = {P}")
right.set(xscale="log", xlabel="directions N", ylabel="mean cosine with the gradient", title="Direction")
for axes in (left, right):
    axes.set_xticks(COUNTS, [str(k) for k in COUNTS])
    axes.minorticks_off()
    axes.legend()
plt.show()
