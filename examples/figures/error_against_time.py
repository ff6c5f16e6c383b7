"""
Error against time, at equal budget
===================================

The same network by estimators of every kind, the random ones with more and more directions. Time is in evaluations of
the loss on the same backend, the unit that a budget is counted in. Down and to the left is better.
"""

import matplotlib.pyplot as plt

import gradest

plt.style.use("tableau-colorblind10")
COUNTS = (10, 100, 1000)
RANDOM = {"es": "o", "spsa": "s", "es-low-rank": "^", "forward-gradient": "D"}
exact = ["reverse", "forward-structured", "fd-central", "fd-exact", "complex-step"]
chosen = {name: gradest.get_estimator(name) for name in exact}
chosen |= {f"{name} {n}": gradest.get_estimator(name, num_samples=n) for name in RANDOM for n in COUNTS}
network = gradest.get_problem("mlp", widths=(32,), batch=64)
table = gradest.compare(
    network, estimators=chosen, backends=["numpy"], dtypes=["float64"], replicates=4, budget_seconds=0.05
)
cells = {cell.cell.estimator: cell for cell in table}

figure, axes = plt.subplots(figsize=(7.5, 4.5), layout="constrained")
for color, (name, marker) in zip(("C0", "C1", "C2", "C3"), RANDOM.items(), strict=True):
    found = [cells[f"{name} {n}"] for n in COUNTS]
    times, errors = [cell.loss_units for cell in found], [cell.relative_error for cell in found]
    axes.plot(times, errors, marker=marker, color=color, label=f"{name}, N = 10, 100, 1000")
for name in exact:
    place = cells[name].loss_units, cells[name].relative_error
    axes.plot(*place, "k*", markersize=9)
    axes.annotate(name, place, textcoords="offset points", xytext=(0, -16 if name == "fd-exact" else 8), ha="center")
axes.set(xscale="log", yscale="log", xlabel="time, in evaluations of the loss", ylabel="relative error of one estimate")
axes.margins(0.18)
axes.set_title("MLP 64-32-10 of 2,410 parameters, NumPy, float64")
axes.legend(loc="center left")
plt.show()
