"""
The noise scale: when a larger batch stops paying
=================================================

Gradients of single examples scatter around their mean. The noise scale s is the size of this scatter over the squared
length of the mean, and a batch of b examples, drawn with replacement, has the relative squared error :math:`s/b`. It
also decides whether losses of single examples help a random estimate: they do while :math:`s < B - 1`.
"""

import matplotlib.pyplot as plt
import numpy as np

import gradest

plt.style.use("tableau-colorblind10")
B, SIZES, REPLICATES = 512, (1, 4, 16, 64, 256), 200
network = gradest.get_problem("mlp", widths=(32,), batch=B)
scale = gradest.noise_scale(network)
print(scale)
whole = gradest.get_estimator("reverse").prepare(gradest.bind(network))
data = network.data()
prepared = {
    size: gradest.get_estimator("reverse").prepare(gradest.bind(gradest.get_problem("mlp", widths=(32,), batch=size)))
    for size in SIZES
}


def flat(estimate: gradest.Estimate) -> np.ndarray:
    """Return a gradient as one vector."""
    return np.concatenate([leaf.ravel() for leaf in estimate.gradient.values()])


truth, generator = flat(whole()), np.random.default_rng(0)
found = []
for size in SIZES:
    errors = []
    for _ in range(REPLICATES):
        rows = generator.integers(B, size=size)
        batch = {name: array[rows] for name, array in data.items()}
        errors.append(np.sum((flat(prepared[size](data=batch)) - truth) ** 2) / np.sum(truth**2))
    found.append((np.mean(errors), np.std(errors) / np.sqrt(REPLICATES)))

figure, axes = plt.subplots(figsize=(6.5, 4.2), layout="constrained")
axes.errorbar(SIZES, [f[0] for f in found], [2 * f[1] for f in found], fmt="o", label=f"{REPLICATES} random batches")
axes.plot(SIZES, scale.value / np.array(SIZES), label=f"s / b, s = {scale.value:.2f} by gradest.noise_scale")
axes.set(xscale="log", yscale="log", xlabel="batch size b", ylabel="relative mean squared error")
axes.set_xticks(SIZES, [str(size) for size in SIZES])
axes.minorticks_off()
axes.set_title(f"Gradients of batches of {B} digits, MLP 64-32-10")
axes.legend()
plt.show()
