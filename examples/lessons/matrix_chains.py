"""
Why reverse mode: the order of a chain of matrices
==================================================

The chain rule is a product of matrices, one a step, and a product of matrices is the same from whichever side it is
multiplied out. What it costs is not the same. This lesson counts, and finds that reverse mode is a good order of
multiplication for functions of many parameters with one value, and no more than that.
"""

from functools import cache

import matplotlib.pyplot as plt

import gradest

plt.style.use("tableau-colorblind10")

# %%
# Two orders of three matrices
# ----------------------------
#
# An :math:`m \times k` matrix times a :math:`k \times n` matrix takes :math:`m k n` multiplications of numbers. With
# A and B of 1000 × 1000 and c a column of 1000, the order makes a factor of 500.


def cost(m: int, k: int, n: int) -> int:
    """Return the multiplications in a product of (m, k) by (k, n)."""
    return m * k * n


first = cost(1000, 1000, 1000) + cost(1000, 1000, 1)
last = cost(1000, 1000, 1) + cost(1000, 1000, 1)
print(f"(AB)c takes {first:,} multiplications, A(Bc) {last:,}: {first / last:.1f} times fewer")

# %%
# The best order of a long chain
# ------------------------------
#
# The best order of a chain splits it somewhere, with the best order on both sides (dynamic programming). The example
# of Cormen, Leiserson, Rivest and Stein, six matrices with the sizes below, has 15,125.


def best_order(sizes: tuple[int, ...]) -> tuple[int, str]:
    """Return the least multiplications for a chain of matrices (sizes[i], sizes[i + 1]), and their order."""

    @cache
    def best(i: int, j: int) -> tuple[int, str]:
        if j == i + 1:
            return 0, f"A{j}"
        splits = [(best(i, k), best(k, j), cost(sizes[i], sizes[k], sizes[j])) for k in range(i + 1, j)]
        return min((left[0] + right[0] + own, f"({left[1]} {right[1]})") for left, right, own in splits)

    return best(0, len(sizes) - 1)


textbook = best_order((30, 35, 15, 5, 10, 20, 25))
print(f"best order {textbook[1]}: {textbook[0]:,} multiplications")

# %%
# Forward and reverse mode are two of the orders
# ----------------------------------------------
#
# The matrix of all derivatives of a network is a product of one matrix a layer. Forward mode multiplies from the
# inputs on, reverse mode from the outputs back. With 100 inputs and layers of 100, what counts is the number of
# outputs: for one output, a loss, reverse mode is 67 times cheaper; beyond as many outputs as inputs forward mode
# wins; and for widths that change on the way the best order may be neither.


def chain(sizes: tuple[int, ...]) -> tuple[int, int, int]:
    """Return the multiplications from the inputs on, from the outputs back, and in the best order.

    `sizes` are those of the outputs, of the layers, and of the inputs.
    """
    forward = sum(cost(sizes[i], sizes[i + 1], sizes[-1]) for i in range(len(sizes) - 2))
    reverse = sum(cost(sizes[0], sizes[i], sizes[i + 1]) for i in range(1, len(sizes) - 1))
    return forward, reverse, best_order(sizes)[0]


outputs = [1, 3, 10, 30, 100, 300, 1000, 3000, 10000]
wide = {m: chain((m, 100, 100, 100, 100)) for m in outputs}
print(f"1 output: forward {wide[1][0]:,}, reverse {wide[1][1]:,}, best {wide[1][2]:,}")
print(f"10,000 outputs: forward {wide[10000][0]:,}, reverse {wide[10000][1]:,}, best {wide[10000][2]:,}")
narrow = chain((100, 1000, 10, 1000, 100))
print(f"100 outputs by way of 10: forward {narrow[0]:,}, reverse {narrow[1]:,}, best {narrow[2]:,}")

figure, axes = plt.subplots(figsize=(6.0, 4.2), layout="constrained")
for number, (label, style) in enumerate([("forward mode", "o-"), ("reverse mode", "s-"), ("best order", "k:")]):
    axes.loglog(outputs, [wide[m][number] for m in outputs], style, label=label)
axes.set(title="All derivatives of 4 layers with 100 inputs", xlabel="number of outputs", ylabel="multiplications")
axes.axvline(100, color="0.8", zorder=0)
axes.text(104, 2e4, "as many outputs\nas inputs", color="0.4")
axes.legend()
plt.show()

# %%
# In gradest
# ----------
#
# A loss has one value, so an estimator says its cost from the number P of parameters alone: reverse mode takes one
# backward pass (a VJP), forward mode P forward passes (JVPs), central differences 2 P values. They give one gradient.

mlp = gradest.get_problem("mlp", dataset="iris", widths=(8,))
exact = gradest.get_estimator("reverse")(mlp).gradient
for name in ("reverse", "forward", "fd-central"):
    estimate = gradest.get_estimator(name)(mlp)
    distance = max(abs(estimate.gradient[key] - exact[key]).max() for key in exact)
    print(f"{name:<10} P = {mlp.layout.num_parameters}: {estimate.cost}, largest difference {distance:.0e}")
