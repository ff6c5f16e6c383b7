"""
Differences across kinks
========================

The slope of ``relu`` jumps at 0. A difference whose step carries an input across it mixes two slopes, and is right
for neither side. How many entries that meets grows with the step, and so does the error; a short step meets few, and
the exact differences may be as short as one likes. ``kinks="mark"`` says which entries they are.
"""

import matplotlib.pyplot as plt
import numpy as np

import gradest

plt.style.use("tableau-colorblind10")
STEPS = np.logspace(-9, -1, 17)
ACTIVATIONS = {"relu": "C1", "tanh": "C0"}
figure, (left, right) = plt.subplots(1, 2, figsize=(10.0, 4.2), layout="constrained")
for activation, color in ACTIVATIONS.items():
    objective = gradest.bind(gradest.get_problem("mlp", widths=(32,), batch=64, activation=activation))
    truth = gradest.get_estimator("reverse")(objective).gradient
    size = np.sqrt(sum(np.sum(leaf**2) for leaf in truth.values()))
    errors, crossed = [], []
    for step in STEPS:
        central = gradest.get_estimator("fd-central", step=float(step), step_mode="absolute", kinks="mark")
        found = central(objective)
        errors.append(np.sqrt(sum(np.sum((found.gradient[name] - truth[name]) ** 2) for name in truth)) / size)
        crossed.append(np.mean(found.crossings))
    left.loglog(STEPS, errors, "o-", color=color, label=activation)
    right.semilogx(STEPS, crossed, "o-", color=color, label=activation)
left.set(xlabel="step h", ylabel="relative error of fd-central", title="MLP 64-32-10, float64")
right.set(xlabel="step h", ylabel="entries whose step crosses a kink", title="Which ones: Estimate.crossings")
for axes in (left, right):
    axes.legend()
plt.show()
