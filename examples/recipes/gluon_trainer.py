"""Train a Gluon Block by `gluon.Trainer`, under any estimator."""

from typing import Any

import gradest

gradest.get_backend("mxnet")  # imports MXNet beside a newer NumPy than it was written for, which it alone does not bear

import mxnet as mx  # noqa: E402


def train(block: Any, x: Any, y: Any, *, steps: int, method: str = "reverse") -> None:
    """Take steps of Adam on the mean of Gluon's squared loss; the block is trained in place."""
    loss = mx.gluon.loss.L2Loss()
    gradient_of = gradest.grad(lambda block, x, y: loss(block(x), y).mean(), method=method)
    trainer = mx.gluon.Trainer(block.collect_params(), "adam", {"learning_rate": 0.05})
    for step in range(steps):
        gradest.assign(block, gradient_of(block, x, y, rng=step))
        trainer.step(1)  # the loss is a mean already: nothing is to be divided by the batch
