"""
Orthogonal directions
=====================

Independent directions overlap; orthogonal ones do not. Of equal length they have the error :math:`(P - N)/N`: at
:math:`N = P` they span everything and nothing is missing. With the random lengths of normal vectors, :math:`(P + 2 -
N)/N`, 2/P remains. Beyond P further blocks of directions are drawn.
"""

import matplotlib.pyplot as plt

import gradest

plt.style.use("tableau-colorblind10")
P, COUNTS = 32, (1, 2, 4, 8, 16, 24, 30, 32)
LAWS = {"normal": "independent", "orthogonal-chi": "orthogonal, lengths of normal vectors", "orthogonal": "orthogonal"}
problem = gradest.get_problem("quadratic", size=P)
estimators = {
    f"{law} {n}": gradest.get_estimator("es", num_samples=n, distribution=law) for law in LAWS for n in COUNTS
}
table = gradest.compare(
    problem, estimators=estimators, backends=["numpy"], dtypes=["float64"], replicates=200, budget_seconds=0.001
)
figure, axes = plt.subplots(figsize=(6.5, 4.2), layout="constrained")
for place, (law, label) in enumerate(LAWS.items()):
    cells = [cell for cell in table if cell.cell.estimator.split()[0] == law]
    measured = [cell.replicates.relative_mse for cell in cells]
    bars = [2 * cell.replicates.relative_mse_error for cell in cells]
    axes.errorbar(COUNTS, measured, bars, fmt="o^s"[place], color=f"C{place}", label=label)
    axes.plot(COUNTS, [cell.predicted.relative_mse for cell in cells], color=f"C{place}")
print("orthogonal, N = P:", f"{measured[-1]:.0e} measured, by the rounding of differences")
axes.set(xscale="log", yscale="log", ylim=(0.03, 50), xlabel="directions N", ylabel="relative mean squared error")
axes.set_xticks(COUNTS, ["" if n == 30 else str(n) for n in COUNTS])
axes.minorticks_off()
axes.set_title(f'Quadratic loss, P = {P}; the last point of "orthogonal" is 0')
axes.legend()
plt.show()
