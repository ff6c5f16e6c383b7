"""
The zig-zag of steepest descent
===============================

With an exact line search each step of steepest descent is the best that its direction allows, and yet the path goes
down a narrow valley in ever smaller turns. For :math:`f(x, y) = (x^2 + b y^2)/2` from :math:`(b, 1)` all of it is
known:

.. math:: x_k = b r^k, \\quad y_k = (-r)^k, \\quad f_k = f_0 r^{2k}, \\quad r = (b - 1)/(b + 1).

So this is also a test that a gradient must pass forty times in a row.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np

import gradest
from gradest.training import Budget

plt.style.use("tableau-colorblind10")
STEPS, VALLEYS = 40, (0.9, 0.5, 0.1, 0.01)

# %%
# The path, by training
# ---------------------
#
# The problem takes its Hessian and its start, ``line-search`` the best step along each gradient (only a quadratic
# loss says that in closed form), and ``after_step`` is told of every point on the way.


def descend(b: float, estimator: str, backend: str = "numpy") -> tuple[np.ndarray, np.ndarray]:
    """Return the points `(STEPS + 1, 2)` and the losses `(STEPS + 1,)` of a descent by an estimator's gradients."""
    valley = gradest.get_problem("quadratic", hessian=[[1.0, 0.0], [0.0, b]], start=[b, 1.0])
    path = [valley.parameters()["x"]]
    run = gradest.train(
        valley, estimator, "line-search", budget=Budget(steps=STEPS), log_every=1, backend=backend,
        after_step=lambda step, params: path.append(np.array(params["x"].tolist())),
    )  # fmt: skip
    return np.array(path), np.array([record.loss for record in run.records])


def formula(b: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the points and the losses of the formula."""
    k, r = np.arange(STEPS + 1), (b - 1.0) / (b + 1.0)
    return np.column_stack([b * r**k, (-r) ** k]), 0.5 * (b * b + b) * r ** (2 * k)


def error(b: float, estimator: str, backend: str = "numpy") -> tuple[float, float]:
    """Return the largest errors of the points, relative to the larger coordinate, and of the losses."""
    (path, losses), (points, values) = descend(b, estimator, backend), formula(b)
    scale = np.abs(points).max(axis=1)
    return float((np.abs(path - points).max(axis=1) / scale).max()), float(np.abs(losses / values - 1.0).max())


exact = {}
for backend in ("numpy", "jax", "torch", "mxnet"):
    try:
        gradest.get_backend(backend)
    except gradest.MissingDependencyError as missing:
        print(f"{backend} is left out: {missing}")
        continue
    for estimator in ("analytic", "reverse", "complex-step") if backend == "numpy" else ("reverse",):
        exact[backend, estimator] = [error(b, estimator, backend) for b in VALLEYS]
print("largest relative error of 40 points and losses, for b =", *VALLEYS)
for (backend, estimator), errors in exact.items():
    print(f"  {backend:<6} {estimator:<13}", "  ".join(f"{point:.1e} {loss:.1e}" for point, loss in errors))
perfect, _ = descend(1.0, "reverse")
print("b = 1, a round bowl: after one step at", perfect[1].tolist(), "and it stays:", perfect[-1].tolist())

# %%
# Differences fail where the loss has shrunk away
# -----------------------------------------------
#
# A central difference takes two values a step h apart, here some :math:`10^{-5}`. Once the point is nearer to the
# bottom than :math:`10^{-16} h`, both are the same number: the difference is exactly 0, and the descent stands still.
# For b = 0.9, where each step divides the distance by 19, that is at step 17. Long before, the last digits are lost.

with warnings.catch_warnings():
    warnings.simplefilter("ignore", gradest.NoiseWarning)  # which says near the bottom what is shown here
    by_differences = {b: error(b, "fd-central")[0] for b in VALLEYS}
    astray = {b: descend(b, "fd-central")[0] for b in VALLEYS}
print("by central differences:", {b: f"{found:.0e}" for b, found in by_differences.items()})

figure, (left, right) = plt.subplots(1, 2, figsize=(10.0, 4.2), layout="constrained")
path, losses = descend(0.1, "reverse")
x, y = np.meshgrid(np.linspace(-0.12, 0.12, 101), np.linspace(-0.1, 1.1, 101))
left.contour(x, y, 0.5 * (x * x + 0.1 * y * y), levels=losses[:10:2][::-1], colors="0.75")
left.plot(*path.T, "o-", markersize=3, label="exact line search, reverse mode")
left.plot(*formula(0.1)[0].T, "k+", markersize=8, label="formula")
left.set(title="The path for b = 0.1", xlabel="x", ylabel="y")
left.legend(loc="upper left")
for b, color in zip(VALLEYS, ("C0", "C1", "C2", "C3"), strict=True):
    points, _ = formula(b)
    right.semilogy(np.abs(points).max(axis=1), color=color, linestyle=":")
    right.semilogy(np.abs(astray[b]).max(axis=1), color=color, label=f"b = {b}")
right.set(title="By central differences (dotted: the formula)", xlabel="step", ylabel="larger of |x| and |y|")
right.legend()
plt.show()

# %%
# .. note::
#
#    A common version of this lesson says that the least value of :math:`x^T S x/2 - a^T x` is
#    :math:`-a^T S a/2`. It is :math:`-a^T S^{-1} a/2`, at :math:`x = S^{-1} a`.
