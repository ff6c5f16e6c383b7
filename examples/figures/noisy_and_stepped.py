"""
Losses that are noisy, or go in steps
=====================================

Differences with the step that suits rounding drown in noise, and are zero on a plateau. On a noisy loss
``step="noise"`` measures the noise first. On a loss that goes in steps nothing local helps; ``es`` follows the loss
smoothed over its radius ``sigma``, which has a gradient wherever the radius spans several steps.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np

import gradest

plt.style.use("tableau-colorblind10")
P, NOISE, HEIGHT = 10, 1e-3, 0.1
# That a loss is noisy or flat is the subject here, and the warnings that say so are expected.
for expected in (gradest.NoiseWarning, gradest.FlatLossWarning, gradest.StepWarning):
    warnings.simplefilter("ignore", expected)
generator = np.random.default_rng(0)
start = generator.standard_normal(P)


def smooth(x: np.ndarray) -> float:
    """Return the loss that both others are made from: |x|^2 / 2, with gradient x."""
    return float(0.5 * x @ x)


def noisy(x: np.ndarray) -> float:
    """Return it with normal noise of standard deviation `NOISE`."""
    return smooth(x) + NOISE * generator.standard_normal()


def stepped(x: np.ndarray) -> float:
    """Return it rounded down to multiples of `HEIGHT`."""
    return HEIGHT * np.floor(smooth(x) / HEIGHT)


def error(loss, name: str, **fields: object) -> float:
    """Return the relative error of one estimate of the gradient of the smooth loss."""
    found = gradest.get_estimator(name, **fields)(loss, start, rng=0).gradient
    return float(np.linalg.norm(found - start) / np.linalg.norm(start))


SIGMAS = np.logspace(-5, 0, 11)
figure, panels = plt.subplots(1, 2, figsize=(10.0, 4.2), sharey=True, layout="constrained")
for axes, loss in zip(panels, (noisy, stepped), strict=True):
    for place, n in enumerate((100, 1000)):
        errors = [error(loss, "es", num_samples=n, sigma=float(sigma)) for sigma in SIGMAS]
        axes.loglog(SIGMAS, errors, "os"[place], color=f"C{place}", label=f"es, N = {n}")
        if loss is noisy:  # (P + 1) / N of directions, and P s^2 / (2 N sigma^2 |g|^2) of noise
            square = (P + 1) / n + P * NOISE**2 / (2 * n * SIGMAS**2 * (start @ start))
            axes.loglog(SIGMAS, np.sqrt(square), color=f"C{place}")
    for place, step in enumerate(("auto", "noise")):
        by_differences = error(loss, "fd-central", step=step)
        print(f"{loss.__name__:8} fd-central, step={step!r}: relative error {by_differences:.2g}")
        axes.axhline(by_differences, color="0.4", linestyle=(":", "--")[place], label=f"fd-central, step={step!r}")
    axes.set(xlabel="radius sigma of es", title=f"{loss.__name__} loss")
panels[0].set_ylabel("relative error of one estimate")
panels[0].legend()
plt.show()
