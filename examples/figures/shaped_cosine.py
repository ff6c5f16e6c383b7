"""
What shaping does to the direction
==================================

Ranks, z-scores and signs of the values forget how long the gradient is, and make a step immune to the scale of the
loss and to outliers. What they cost is direction: on a loss near linear ranks lose next to nothing against raw values,
and signs as much as leaving out a third of the directions would.
"""

import matplotlib.pyplot as plt

import gradest

plt.style.use("tableau-colorblind10")
COUNTS = (2, 4, 8, 16, 32, 64, 128)
NAMES = {"es": "raw", "es-zscore": "z-score", "es-rank": "centred rank", "es-sign": "sign"}
problem = gradest.get_problem("quadratic", size=50)
estimators = {f"{name} {n}": gradest.get_estimator(name, num_samples=n) for name in NAMES for n in COUNTS}
table = gradest.compare(
    problem, estimators=estimators, backends=["numpy"], dtypes=["float64"], replicates=200, budget_seconds=0.001
)
figure, axes = plt.subplots(figsize=(6.5, 4.2), layout="constrained")
for place, (name, label) in enumerate(NAMES.items()):
    cells = [cell for cell in table if cell.cell.estimator.split()[0] == name]
    cosines = [cell.replicates.cosine for cell in cells]
    axes.plot(
        COUNTS, cosines, "os^D"[place], color=f"C{place}", fillstyle="none" if place == 1 else "full", label=label
    )
    axes.plot(COUNTS, [cell.predicted.cosine for cell in cells], color=f"C{place}", linewidth=1)
    lengths = [cell.replicates.scale for cell in cells]
    print(f"{label:13} length along the gradient, gradient = 1: {lengths[-1]:.3g}")
axes.set(xscale="log", xlabel="pairs N", ylabel="mean cosine with the gradient")
axes.set_xticks(COUNTS, [str(n) for n in COUNTS])
axes.minorticks_off()
axes.set_title("Shaped evolution strategies, P = 50 (lines: predicted)")
axes.legend()
plt.show()
