"""
Gradients without backpropagation
=================================

An evolution strategy needs nothing of a loss but its values. How well does it train? That depends on a number that
comparisons often leave alone: the step size. At one common small step evolution strategies *beat* backpropagation: on
the digits below, in a few seconds, and on Fashion-MNIST, which is the page "Fashion-MNIST without backpropagation".
Each at its own best step, backpropagation is ahead.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np

import gradest
from gradest.training import Budget, GradientDescent, Weights, step_limit

plt.style.use("tableau-colorblind10")

# %%
# The step that a noisy gradient allows
# -------------------------------------
#
# An estimate from N normal directions has a relative squared error of about P/N: thousands, for a network. Yet with a
# step s a quadratic loss changes on average by
# :math:`-s|g|^2 + \tfrac{s^2}{2}((1 + \tfrac1N)\,g^{\mathsf T}Hg + |g|^2\,\mathrm{tr}(H)/N)`. Where noise decides,
# steps up to about :math:`2N/\mathrm{tr}(H)` go down, whatever P is. `gradest.train` states that limit. "Evolution
# search", a "directional finite difference" and the plain formula :math:`\sum_i f(x + \sigma v_i) v_i / (N \sigma)` are
# of one family, and differ by what is subtracted from the values: the last subtracts nothing, and is noise.

SIGMA, STEPS = 0.001, (0.03, 0.1, 0.3, 1.0, 3.0)
ESTIMATORS = {
    "reverse": gradest.get_estimator("reverse"),
    "directional difference": gradest.get_estimator("es-forward", num_samples=1, sigma=SIGMA),
    "es-forward, N = 10": gradest.get_estimator("es-forward", num_samples=10, sigma=SIGMA),
    "es-low-rank, 30 pairs": gradest.get_estimator("es-low-rank", num_samples=30, sigma=SIGMA),
    "es-vanilla, N = 10": gradest.get_estimator("es-vanilla", num_samples=10, sigma=SIGMA),
}
NETWORK = {"widths": (32,), "activation": "sigmoid", "bias": False, "batch": None, "initial": "torch-linear"}
training, test = (gradest.get_problem("mlp", dataset=s, **NETWORK) for s in gradest.datasets.load("digits").split(0.8))
small = {}
for name, estimator in ESTIMATORS.items():
    limit = step_limit(gradest.bind(training), estimator)
    allowed = [step for step in STEPS if limit is None or step <= limit.limit] or STEPS[:1]  # one, to see what becomes
    for step in allowed:
        small[name, step] = gradest.train(
            training, estimator, GradientDescent(step_size=step), budget=Budget(epochs=10), batch_size=100,
            held_out=test, log_every=150, weights=Weights(jvp=2.0, vjp=3.0),
        )  # fmt: skip
    words = "no noise" if limit is None else f"steps up to {limit.limit:.2g}"
    print(f"{name} ({words}): loss", {step: f"{small[name, step].records[-1].loss:.4g}" for step in allowed})

# %%
# What the plain formula is
# -------------------------
#
# Without a baseline every value is nearly the loss L itself, and the estimate is :math:`L/(N\sigma) \sum_i v_i`: L
# times noise, of length :math:`(L/\sigma)\sqrt{P/N}`, whatever the gradient is.

plain = gradest.get_estimator("es-vanilla", num_samples=10, sigma=SIGMA)(training, rng=777).gradient
exact = gradest.get_estimator("reverse")(training)
flat, slope = (np.concatenate([g[name].ravel() for name in ("W1", "W2")]) for g in (plain, exact.gradient))
noise = float(exact.value) / SIGMA * np.sqrt(flat.size / 10)
cosine = float(flat @ slope / np.linalg.norm(flat) / np.linalg.norm(slope))
print(f"length / that of noise: {np.linalg.norm(flat) / noise:.3f}; cosine with the gradient: {cosine:.3f}")

# %%
# What only evolution strategies can use
# --------------------------------------
#
# The number of errors has no gradient: it is constant almost everywhere. Smoothed by noise of the size of the weights
# it has one. By smaller noise no answer changes: the estimate is exactly zero, and a warning says so.

errors = gradest.get_problem("classification-error", dataset="iris", widths=(), batch=None)
counted = {}
for sigma in (0.5, 1e-9):
    search = gradest.get_estimator("es", num_samples=50, sigma=sigma)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = gradest.train(errors, search, GradientDescent(step_size=1.0), budget=Budget(steps=50))
    counted[sigma] = [record.loss for record in found.records]
    print(f"sigma {sigma:g}: share of errors {counted[sigma][0]:.3f} -> {counted[sigma][-1]:.3f}")
    print("\n".join(sorted({f"  {each.category.__name__}: {each.message}" for each in told})))

# %%
# The step decides
# ----------------
#
# The loss after ten epochs, by the step. At 0.3 two evolution strategies are below backpropagation; each line ends at
# the limit that noise sets, or at the last step that was tried. Well below that limit, noise can still be too much.

figure, axes = plt.subplots(figsize=(7.0, 4.4), layout="constrained")
COLOURS, SIZES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7"), (5, 14, 8, 11)  # points of several lines coincide
for name, colour, size in zip(list(ESTIMATORS)[:4], COLOURS, SIZES, strict=True):
    ends = {step: run.records[-1].loss for (n, step), run in small.items() if n == name}
    axes.loglog(list(ends), list(ends.values()), "o-", color=colour, markersize=size, mfc="none", mew=1.5, label=name)
axes.set(xlabel="step size (log)", ylabel="training loss after 10 epochs (log)", title="Digits: 150 steps, one seed")
axes.legend()
plt.show()

# %%
# .. note::
#
#    A common version of this lesson makes its optimiser anew at each step, so that the momentum that it asks for never
#    acts; takes the plain formula for a gradient, where its six printed numbers are the loss times noise; and ends
#    before it trains by it, which would have told.
