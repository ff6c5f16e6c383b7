"""
Error of a difference against its step
======================================

A long step is wrong because the loss bends, by a power of the step; a short one because two rounded values are
subtracted, by :math:`\\varepsilon/h`. In between lies the best step, which ``step="auto"`` seeks. Lines are the
bounds of theory for :math:`\\sum_j e^{x_j}`, whose derivatives are all known.
"""

import matplotlib.pyplot as plt
import numpy as np

import gradest
from gradest import theory

plt.style.use("tableau-colorblind10")
NAMES = {"fd-forward": "forward", "fd-central": "central", "fd-five-point": "five-point"}
STEPS = np.logspace(-13, -0.5, 51)
point = np.linspace(0.5, 1.5, 21)
truth = np.exp(point)


def values(x: np.ndarray) -> np.ndarray:
    """Return sum exp(x)."""
    return np.exp(x).sum()


# One value is a sum of 21 exponentials, each rounded: a few units of rounding of the whole.
noise = 2 * np.finfo(np.float64).eps / 2 * values(point)
figure, axes = plt.subplots(figsize=(6.5, 4.2), layout="constrained")
for color, (name, scheme) in zip(("C0", "C1", "C2"), NAMES.items(), strict=True):
    errors = []
    for step in STEPS:
        estimator = gradest.get_estimator(name, step=float(step), step_mode="absolute")
        prepared = estimator.prepare(gradest.bind(values, point, verify=False))
        errors.append(np.abs(prepared().gradient - truth).max())
    bound = [theory.difference_error(scheme, h, noise=noise, derivative_bound=np.exp(1.5 + 2 * h)) for h in STEPS]
    axes.plot(STEPS, errors, "o", markersize=3.5, color=color, label=name)
    axes.plot(STEPS, bound, color=color, linewidth=1)
    found = np.abs(gradest.get_estimator(name)(values, point).gradient - truth).max()
    print(f"{name:14} least error {min(errors):.0e} at h = {STEPS[np.argmin(errors)]:.0e}; step='auto': {found:.0e}")
exact = np.abs(gradest.get_estimator("complex-step")(values, point).gradient - truth).max()
axes.axhline(exact, color="0.4", linestyle=":", label="complex-step, at any short step")
axes.set(xscale="log", yscale="log", xlabel="step h", ylabel="largest error of an entry", ylim=(1e-16, 30))
axes.set_title("Differences of 21 exponentials, float64 (lines: bounds)")
axes.legend(loc="upper center", ncols=2)
plt.show()
