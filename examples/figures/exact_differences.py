"""
Differences free of cancellation
================================

A plain difference subtracts two losses that agree in most of their digits. ``fd-exact`` carries the difference itself
through every operation of the loss, as dual numbers carry a derivative, so that nothing cancels: its error falls with
the square of the step down to rounding, and the step may be as short as one likes.
"""

import matplotlib.pyplot as plt
import numpy as np

import gradest

plt.style.use("tableau-colorblind10")
STEPS = 10.0 ** np.array([-1, -2, -3, -4, -5, -6, -7, -8, -9, -10, -11, -12, -14, -16, -18, -20, -200])
NAMES = {"fd-central": "o", "fd-exact": "s"}
network = gradest.get_problem("mlp", dataset="iris", widths=(4,), batch=16)
estimators = {
    f"{name} {step:.0e}": gradest.get_estimator(name, step=float(step), step_mode="absolute")
    for name in NAMES
    for step in STEPS
    # A plain step below the rounding of the parameters is refused: it would not move them.
    if name == "fd-exact" or step >= 1e-12
}
table = gradest.compare(network, estimators=estimators, backends=["numpy"], dtypes=["float64"], budget_seconds=0.001)
figure, axes = plt.subplots(figsize=(6.5, 4.2), layout="constrained")
for name, marker in NAMES.items():
    cells = [cell for cell in table if cell.cell.estimator.startswith(name) and cell.accuracy]
    steps = [float(cell.cell.estimator.split()[1]) for cell in cells]
    axes.plot(steps, [cell.accuracy.relative_error for cell in cells], marker=marker, label=name)
axes.axhline(np.finfo(np.float64).eps, color="0.4", linestyle=":", label="rounding of float64")
# The shortest step is 1e-200; the picture ends at 1e-21.
axes.set(xscale="log", yscale="log", xlim=(1e-21, 1), xlabel="step h", ylabel="relative error of the gradient")
axes.set_title("Central differences of an MLP of 35 parameters")
axes.legend()
print(f"fd-exact at h = {steps[-1]:.0e}: relative error {cells[-1].accuracy.relative_error:.1e}")
plt.show()
