"""
Gradients without backpropagation
=================================

A network of 406,528 weights learns Fashion-MNIST from values of its loss alone. Each estimator is shown twice: at one
step that all have in common, where the noisy ones *beat* the exact gradient, and at its own best step, where they do
not. The first comparison is the one that is usually printed, and it teaches a falsehood.

The runs take the better part of an hour, so they are read from a record that ``make fashion-table`` remakes: a network
784-512-10, sigmoid, no biases, the first 1,000 images in ten batches of 100, plain gradient descent, 100 epochs, three
seeds. Its seconds are those of a machine with other work.
"""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import gradest
from gradest.training import Budget, GradientDescent

plt.style.use("tableau-colorblind10")
root = next(folder for folder in (Path.cwd(), *Path.cwd().parents) if (folder / "docs/results").is_dir())
record = json.loads((root / "docs/results/fashion-mnist.json").read_text(encoding="utf-8"))
full = [run for run in record["runs"] if run["epochs"] == max(other["epochs"] for other in record["runs"])]


def runs_of(row: str, step: float | None) -> list[dict]:
    return [run for run in full if run["row"] == row and run["step"] == step]


# %%
# The table
# ---------
#
# The limit of a row is the step beyond which the noise of its estimates grows faster than the loss falls,
# :math:`2N / \mathrm{tr}\,H` for random directions: from
# :math:`E[\Delta f] = -s |g|^2 + \tfrac{s^2}{2} (g^T H g + |g|^2\, \mathrm{tr}\,H / N)`. It is predicted from the
# loss before anything is trained. The relative mean squared error at the start is some 4,000 at 100 pairs: an estimate
# that is nearly all noise still trains, as the noise is as often for as against each weight.

print(f"{'gradient':<24}{'limit':>9}{'step':>8}{'loss':>9}{'test accuracy':>16}{'|W1|':>8}{'values':>9}")
for row, limit in record["limits"].items():
    for step in sorted({record["common_step"], record["best_steps"][row] or record["common_step"]}):
        ends = [run["curve"][-1] for run in runs_of(row, step)]
        told = "no noise" if limit is None else f"{limit['limit']:.2g}"
        if any(run["diverged"] for run in runs_of(row, step)):
            print(f"{row:<24}{told:>9}{step:>8g}  diverged at step {ends[0]['step']} of seed 0")
            continue
        accuracies = 100 * np.array([end["test_accuracy"] for end in ends])
        print(
            f"{row:<24}{told:>9}{step:>8g}{np.mean([end['loss'] for end in ends]):>9.3f}"
            f"{accuracies.mean():>9.1f} ± {accuracies.std(ddof=1):.1f} %{np.mean([e['norm_W1'] for e in ends]):>8.1f}"
            f"{ends[0]['evaluations']:>9,}"
        )

# %%
# At the common step, 100 pairs and ten forward differences end *below* the exact gradient. The step is simply far too
# small for that: at its own best step it ends lowest, for a hundredth of their cost. What noise adds at a small step is
# longer weights, not a better direction; a single difference a step is beyond its limit soon, and climbs.

figure, panels = plt.subplots(1, 3, figsize=(12.0, 4.2), sharey=True, layout="constrained")
for panel, (field, label) in zip(
    panels, {"step": "steps", "losses": "cost, in losses", "seconds": "seconds, one thread"}.items(), strict=True
):
    for number, row in enumerate(record["estimators"]):
        for run in runs_of(row, record["best_steps"][row]):
            curve = [point for point in run["curve"] if point["step"] > 0]
            name = f"{row}, step {run['step']:g}" if run["seed"] == 0 else None
            panel.loglog(
                [point[field] for point in curve], [point["loss"] for point in curve], f"C{number}-", label=name
            )
    panel.set(xlabel=label, ylabel="training loss" if panel is panels[0] else "")
panels[0].legend()
figure.suptitle("Each gradient at its own best step, three seeds")
plt.show()

# %%
# The formula that diverges, without a baseline, multiplies noise by the loss itself: its estimate is the loss times a
# sum of directions, and hardly knows of the gradient.

problem = gradest.get_problem("mlp", dataset="digits", widths=(16,), batch=64)
for name in ("es-vanilla", "es"):
    estimate = gradest.get_estimator(name, num_samples=10, sigma=0.001)(problem, rng=777).gradient
    exact = gradest.get_estimator("analytic")(problem).gradient
    a, b = (np.concatenate([np.ravel(leaf) for leaf in found.values()]) for found in (estimate, exact))
    print(f"{name}, N = 10: cosine with the gradient {a @ b / np.linalg.norm(a) / np.linalg.norm(b):.3f}")

# %%
# A cost without a gradient
# -------------------------
#
# The share of wrong answers is flat almost everywhere, so it has no gradient to propagate; smoothed by a radius as
# large as the weights it has one. With a radius of 0.01 no answer changes, and the estimate is zero, with a warning.

error = gradest.get_problem("classification-error", dataset="iris", widths=())
found = gradest.train(
    error, gradest.get_estimator("es", num_samples=50, sigma=0.5), GradientDescent(step_size=0.5),
    budget=Budget(steps=60), seed=0,
)  # fmt: skip
print(f"share of wrong answers: {found.records[0].loss:.3f} at the start, {found.records[-1].loss:.3f} after 60 steps")

# %%
# .. note::
#
#    A common version of this lesson has the sign of the difference quotient wrong, makes its momentum optimiser anew at
#    each step, so that it never acts, and prints six numbers of an evolution-search gradient that are the loss times
#    the noise, to 0.07 %.
