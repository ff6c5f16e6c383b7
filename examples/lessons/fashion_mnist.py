"""
Fashion-MNIST without backpropagation
=====================================

What the choice of a gradient does to the training of a network 784-512-10 (sigmoid, no biases) on the first 1,000
images of Fashion-MNIST, in batches of 100, by plain gradient descent for 100 epochs and three seeds. Each estimator has
two lines: at the step 0.01 that all have in common, where two evolution strategies *beat* backpropagation, and at its
own best step of a grid, where it is ahead of them by four points or more on the test images. A comparison at one
common step compares steps.

``make fashion-table`` makes the file of some fifty runs that is read here; it takes the better part of an hour,
and goes on where it was stopped.
"""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

RECORD = Path("docs", "results", "fashion-mnist.json")
SEEN_FROM = Path(globals().get("__file__", RECORD)).resolve()  # a notebook, and the page, have no file of their own
found = [
    folder / RECORD for folder in (*SEEN_FROM.parents, Path.cwd(), *Path.cwd().parents) if (folder / RECORD).is_file()
]
if not found:
    raise FileNotFoundError(f"{RECORD} of a clone of gradest is read here: run this in one")
kept = json.loads(found[0].read_text(encoding="utf-8"))
print(f"made {kept['made']} with {kept['versions']} on {kept['machine']}; {kept['weights']}; sigma {kept['sigma']}")

# %%
# The grid
# --------
#
# The training loss after 10 epochs on one seed, for each step; for random directions up to the limit 2N/tr(H) that
# their noise sets (tr H is measured on the first batch, by Hutchinson's products). The best step of 100 epochs may be
# shorter than that of 10. No step of the grid suits the formula without a baseline, whose limit is 5e-7.

best = kept["best_steps"]
for name, limit in kept["limits"].items():
    told = "no noise" if limit is None else f"noise allows {limit['limit']:.2g}"
    grid = {run["step"]: run for run in kept["runs"] if run["row"] == name and run["epochs"] == 10}
    ends = ", ".join(
        f"{step:g}: " + ("diverged" if run["diverged"] else f"{run['curve'][-1]['loss']:.4g}")
        for step, run in grid.items()
    )
    print(f"{name}: {told}; loss by step {ends}")

# %%
# Full length
# -----------
#
# Mean and standard deviation over three seeds; the relative squared error of the estimates at the start, as measured
# on four of them and as predicted; and the norm of the first layer, 13.1 at the start. Noise makes the weights grow: to
# twice that for 100 pairs at the common step, to fifty times that for one direction. That growth is how evolution
# strategies get ahead at a step too small for backpropagation is a reading of these numbers, and not proved by them.

table, full = {}, [run for run in kept["runs"] if run["epochs"] == 100]
for name, step in dict.fromkeys((run["row"], run["step"]) for run in full):
    runs = [run for run in full if (run["row"], run["step"]) == (name, step)]
    last_of = {key: [float(run["curve"][-1][key]) for run in runs] for key in ("loss", "test_accuracy", "norm_W1")}
    table[name, step] = {key: (np.mean(values), np.std(values, ddof=1)) for key, values in last_of.items()}
    error, last = np.mean([run["relative_mse"] for run in runs]), runs[0]["curve"][-1]
    kind = "best" if step == best[name] else "common"
    expected = runs[0]["predicted_mse"] or 0.0
    print(f"{name}, {kind} step {step:g}: relative squared error {error:.3g} measured, {expected:.3g} predicted; "
          f"{last['losses']:,.0f} losses, {last['seconds']:.0f} s")  # fmt: skip
    if runs[0]["diverged"]:
        print("   ", *(f"seed {run['seed']}: {run['ended'].split(';')[0]}" for run in runs), sep="\n    ")
    else:
        print("   ", ", ".join(f"{key} {mean:.3g} ± {spread:.1g}" for key, (mean, spread) in table[name, step].items()))

# %%
# By steps, by evaluations, by time
# ---------------------------------
#
# By steps the best evolution strategy keeps up; by evaluations it is seventy times behind, since backpropagation costs
# three losses and it two hundred. The seconds are those of a machine that other work shared.

COLOURS = dict(zip(best, ("#0072B2", "#CC79A7", "#D55E00", "#009E73", "#000000"), strict=True))
figure, panels = plt.subplots(1, 3, figsize=(12.0, 5.0), sharey=True, layout="constrained")
for run in (run for run in full if not run["diverged"]):
    style, kind = ("-", "best") if run["step"] == best[run["row"]] else (":", "common")
    label = f"{run['row']}, {kind} step {run['step']:g}" if run["seed"] == 0 else None
    for axes, key in zip(panels, ("step", "losses", "seconds"), strict=True):
        points = [(point[key], point["loss"]) for point in run["curve"] if point["step"] or key == "step"]
        axes.plot(*zip(*points, strict=True), style, color=COLOURS[run["row"]], label=label)
for axes, label in zip(panels, ("steps", "evaluations, in losses (log)", "seconds of steps (log)"), strict=True):
    axes.set(xlabel=label, yscale="log", xscale="log" if "log" in label else "linear")
panels[0].set_ylabel("training loss (log)")
figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize="small")
figure.suptitle("Fashion-MNIST, three seeds each: at its own best step (lines) and at a common one (dots)")
plt.show()
