"""
What a baseline saves
=====================

Adding a constant to a loss changes no gradient. An evolution strategy without a baseline feels it all the same: the
constant multiplies every direction, and :math:`P f(x)^2/(N\\sigma^2|g|^2)` is added to its error. Subtracting
:math:`f(x)`, or the mean of the other values, takes that away; pairs never had it.
"""

import matplotlib.pyplot as plt

import gradest

plt.style.use("tableau-colorblind10")
N, SIGMA, OFFSETS = 32, 0.1, (0.0, 0.1, 1.0, 10.0, 100.0)
NAMES = {"es-vanilla": "none", "es-leave-one-out": "mean of the others", "es-forward": "f(x)", "es": "pairs"}
estimators = {name: gradest.get_estimator(name, num_samples=N, sigma=SIGMA) for name in NAMES}
rows = [
    gradest.compare(
        gradest.get_problem("quadratic", size=20, offset=offset), estimators=estimators, backends=["numpy"],
        dtypes=["float64"], replicates=200, budget_seconds=0.001,
    )
    for offset in OFFSETS
]  # fmt: skip
figure, axes = plt.subplots(figsize=(6.5, 4.2), layout="constrained")
places = range(len(OFFSETS))
for place, (name, label) in enumerate(NAMES.items()):
    cells = [row[place] for row in rows]
    measured = [cell.replicates.relative_mse for cell in cells]
    bars = [2 * cell.replicates.relative_mse_error for cell in cells]
    # The four lie apart by a little, to be seen where they agree.
    shifted = [x + 0.06 * (place - 1.5) for x in places]
    axes.errorbar(shifted, measured, bars, fmt="os^D"[place], color=f"C{place}", label=f"{name}: {label}")
    predicted = [cell.predicted.relative_mse if cell.predicted else None for cell in cells]
    if None not in predicted:
        axes.plot(places, predicted, color=f"C{place}")
    print(f"{name:17}", *(f"{cell.z:+.1f}" for cell in cells))
axes.set_xticks(places, [f"{offset:g}" for offset in OFFSETS])
axes.set(yscale="log", xlabel="constant added to the loss", ylabel="relative mean squared error")
axes.set_title(f"{N} values (or pairs), sigma = {SIGMA}, P = 20")
axes.legend()
plt.show()
