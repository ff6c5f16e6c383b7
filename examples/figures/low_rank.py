"""
Low-rank directions
===================

A random direction of an m by n weight matrix needs m n numbers; one of rank r, :math:`A B^T/\\sqrt{r}`, needs
:math:`r(m + n)`. What that costs in error is known: :math:`(mn + 1 + 2(m + n + 1)/r)/N` for one matrix, where full
rank has :math:`(mn + 1)/N`. For wide layers it is next to nothing; the narrow layers here show it.
"""

import matplotlib.pyplot as plt

import gradest

plt.style.use("tableau-colorblind10")
N, RANKS = 16, (1, 2, 4, 8)
figure, axes = plt.subplots(figsize=(6.5, 4.2), layout="constrained")
for color, (dataset, widths) in zip(("C0", "C1"), (("iris", (4,)), ("digits", (32,))), strict=True):
    network = gradest.get_problem("mlp", dataset=dataset, widths=widths, batch=32)
    estimators = {str(r): gradest.get_estimator("es-low-rank", num_samples=N, rank=r) for r in RANKS}
    estimators["full"] = gradest.get_estimator("es", num_samples=N)
    cells = gradest.compare(
        network, estimators=estimators, backends=["numpy"], dtypes=["float64"], replicates=1000, budget_seconds=0.001
    )
    full = cells[-1].predicted.relative_mse
    places = range(len(cells))
    bars = [2 * cell.replicates.relative_mse_error / full for cell in cells]
    label = f"{dataset}, widths {widths}: P = {cells.loss.num_parameters:,}"
    axes.errorbar(
        places, [cell.replicates.relative_mse / full for cell in cells], bars, fmt="o", color=color, label=label
    )
    axes.plot(places, [cell.predicted.relative_mse / full for cell in cells], color=color)
    print(label, "z:", *(f"{cell.cell.estimator} {cell.z:+.1f}" for cell in cells))
axes.set_xticks(places, [*(f"rank {r}" for r in RANKS), "full rank"])
axes.set(ylabel="mean squared error, full rank = 1", title=f"What low rank costs, {N} pairs")
axes.legend()
plt.show()
