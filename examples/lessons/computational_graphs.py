"""
Computational graphs
====================

A function that a program computes is a chain of small steps, and the derivative of each small step is known.
Automatic differentiation multiplies them together. It can start at either end of the chain:

* **forward mode** starts at an input and carries each step's *tangent*: how fast it changes as that input does;
* **reverse mode** (backpropagation) starts at the value and hands back each step's *adjoint*: how fast the value
  changes as that step does.

Both are modes of automatic differentiation. Neither is approximate: there is no step size in them.
"""

import matplotlib.pyplot as plt
import numpy as np

import gradest

plt.style.use("tableau-colorblind10")

# %%
# The example of every textbook
# -----------------------------
#
# :math:`F = x^2 (x + y)` at :math:`(2, 3)`. The table has a row for each step: what it is made of, its value,
# computed from the top to the bottom, and its adjoint, computed from the bottom to the top. ``turn`` is the order of
# that way back.

cubic = gradest.get_problem("cubic-graph")
backward = gradest.graph(cubic)
print(backward)
backward

# %%
# A step that is used twice, as :math:`x` is here, gets the *sum* of what comes back along its arrows. One way back
# gives the whole gradient, :math:`(24, 4)`. Forward mode gives one directional derivative each time, here that along
# :math:`x`; the one along :math:`y` takes another pass.

along_x = gradest.graph(cubic, mode="forward", direction={"x": 1.0, "y": 0.0})
along_y = gradest.graph(cubic, mode="forward", direction={"x": 0.0, "y": 1.0})
print(along_x)
print("tangents of the value:", along_x.nodes[-1].derivative, "along x,", along_y.nodes[-1].derivative, "along y")
along_x

# %%
# The same numbers on every backend
# ---------------------------------
#
# Each framework has a graph of its own, and the derivative by hand (``analytic``) has none. They agree to the last
# digit for :math:`F` and for :math:`G = \log x + x^2 y + y^2`. The complex step, a difference without cancellation,
# agrees too where the framework has complex numbers.


def gradients(problem: gradest.Problem) -> dict[tuple[str, str], tuple[float, float, float]]:
    """Return (backend, estimator) -> (value, derivative by x, derivative by y), of whatever can be run here."""
    found = {}
    for backend in ("numpy", "jax", "torch", "mxnet"):
        try:
            objective = gradest.bind(problem, backend=backend)
        except gradest.MissingDependencyError as error:
            print(f"  {backend} is left out: {error}")
            continue
        for name in ("analytic", "reverse", "forward", "complex-step"):
            try:
                gradient = gradest.get_estimator(name)(objective).gradient
            except gradest.UnsupportedError as error:
                print(f"  {backend} without {name}: {error}")
                continue
            found[backend, name] = float(objective.value()), float(gradient["x"]), float(gradient["y"])
    return found


agreed = {name: gradients(gradest.get_problem(name)) for name in ("cubic-graph", "log-graph")}
for name, rows in agreed.items():
    print(f"{name}: value, dx, dy = {set(rows.values())} from {len(rows)} pairs of backend and estimator")

# %%
# What the numbers mean
# ---------------------
#
# The gradient stands at right angles to the line of equal value, and each partial derivative is its shadow on an
# axis: along :math:`x` the value climbs six times as fast as along :math:`y`.

value, dx, dy = agreed["cubic-graph"]["numpy", "reverse"]
x, y = np.meshgrid(np.linspace(1.0, 3.0, 101), np.linspace(2.0, 4.0, 101))
figure, axes = plt.subplots(figsize=(5.5, 5.0), layout="constrained")
lines = axes.contour(x, y, x**2 * (x + y), levels=[5, 10, 15, value, 30, 40, 50], colors="0.6")
axes.clabel(lines, fmt="F = %.0f")
for (u, v), label, color in [
    ((dx, dy), "gradient", "C0"),
    ((dx, 0.0), "its share along x", "C1"),
    ((0.0, dy), "its share along y", "C5"),
]:
    axes.annotate("", (2.0 + u / 30, 3.0 + v / 30), (2.0, 3.0), arrowprops={"color": color, "width": 2, "headwidth": 8})
    axes.plot([], [], color=color, linewidth=3, label=f"{label}: ({u:g}, {v:g})")
axes.set(title="The gradient of F = x²(x + y) at (2, 3), drawn 1 : 30", xlabel="x", ylabel="y", aspect="equal")
axes.legend(loc="lower left")
plt.show()

# %%
# .. note::
#
#    Two things are often said otherwise. Forward mode is sometimes called "forward backpropagation": it is no kind of
#    backpropagation, but the other mode of automatic differentiation. And a common version of this exercise asks
#    PyTorch for ``F.backward()`` twice, which it refuses, because the graph is thrown away on the first way back
#    (``retain_graph=True`` keeps it); here a gradient is a value, and asking twice gives it twice.
