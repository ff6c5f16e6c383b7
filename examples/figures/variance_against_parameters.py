"""
Variance against the number of parameters
=========================================

One direction tells one number about a gradient of P numbers, so the relative squared error of N of them is about
:math:`P/N`: :math:`(P + 1)/N` for normal directions, :math:`(P - 1)/N` for random signs, and :math:`(P - N)/N` for
orthogonal ones, which reach 0 at :math:`N = P`.
"""

import matplotlib.pyplot as plt

import gradest

plt.style.use("tableau-colorblind10")
N, SIZES = 8, (8, 16, 32, 64, 128, 256)
NAMES = {"es": "normal", "spsa": "signs", "es-orthogonal": "orthogonal"}
estimators = {name: gradest.get_estimator(name, num_samples=N) for name in NAMES}
rows = [
    gradest.compare(
        gradest.get_problem("quadratic", size=size), estimators=estimators, backends=["numpy"], dtypes=["float64"],
        replicates=100, budget_seconds=0.001,
    )
    for size in SIZES
]  # fmt: skip

figure, axes = plt.subplots(figsize=(6.5, 4.2), layout="constrained")
for place, (name, label) in enumerate(NAMES.items()):
    cells = [row[place] for row in rows]
    measured = [cell.replicates.relative_mse for cell in cells]
    axes.errorbar(
        SIZES, measured, [2 * cell.replicates.relative_mse_error for cell in cells], fmt="o", color=f"C{place}",
        label=f"{label} ({name})",
    )  # fmt: skip
    axes.plot(SIZES, [cell.predicted.relative_mse for cell in cells], color=f"C{place}")
# At N = P orthogonal directions leave rounding alone, far below the picture.
axes.set(xscale="log", yscale="log", ylim=(0.3, 60), xlabel="parameters P", ylabel="relative mean squared error")
axes.set_xticks(SIZES, [str(size) for size in SIZES])
axes.set_title(f"Error of {N} pairs of values, by the law of directions")
axes.minorticks_off()
axes.legend()
plt.show()
