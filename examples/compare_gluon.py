"""A Gluon block of MXNet, as it is, under several estimators: which gradient, how right, at what cost.

    python examples/compare_gluon.py
    gradest compare examples/compare_gluon.py:case

Gluon computes outside `autograd.record` in prediction mode: batch normalisation uses its running means. MXNet has no
forward mode for a block; the row says so, with what can be used in its place.

Put `nn.MaxPool2D()` in the place of `nn.AvgPool2D()` to see what a comparison is good for: in prediction mode the
backward pass of MXNet 1.9.1's max-pooling reads memory that nothing has filled, and the row of reverse mode is off by
as much as the gradient is long. The reference is computed in double precision, by other kernels, and is not.
"""

from typing import Any

import numpy as np

import gradest

gradest.get_backend("mxnet")  # MXNet 1.9.1 cannot be imported beside NumPy 1.24 and later until this has been called
import mxnet as mx  # noqa: E402  # as said above
from mxnet.gluon import nn  # noqa: E402

ESTIMATORS = {
    "reverse": gradest.get_estimator("reverse"),
    "forward": gradest.get_estimator("forward"),
    "fd-central": gradest.get_estimator("fd-central"),
    # Each evaluation of a block takes milliseconds, and nothing is batched: few directions.
    "es, 10 pairs": gradest.get_estimator("es", num_samples=10),
    "spsa, 10 pairs": gradest.get_estimator("spsa", num_samples=10),
}
CROSS_ENTROPY = mx.gluon.loss.SoftmaxCrossEntropyLoss()


def loss(block: Any, images: Any, labels: Any) -> Any:
    """Return the mean cross-entropy of a batch."""
    return CROSS_ENTROPY(block(images), labels).mean()


def array(values: np.ndarray) -> Any:
    """Return NumPy's numbers as an array of Gluon's own kind, in single precision."""
    return mx.nd.from_numpy(values.astype("float32"), zero_copy=False)


def case() -> gradest.Case:
    """Return the loss with a small convolutional block and a batch of 4 images of 6 x 6."""
    generator = np.random.default_rng(0)
    images = array(generator.standard_normal((4, 1, 6, 6)))
    block = nn.HybridSequential()
    block.add(nn.Conv2D(2, 3), nn.BatchNorm(), nn.Activation("tanh"), nn.AvgPool2D(), nn.Dense(3))
    block.initialize()
    block(images)  # Gluon makes the parameters when it first sees an input
    for parameter in block.collect_params().values():
        if parameter.grad_req != "null":  # of a generator of our own: MXNet's is one for the whole process
            parameter.set_data(array(0.3 * generator.standard_normal(parameter.shape)))
    return gradest.Case(loss, block, (images, array(np.arange(4.0) % 3)))


if __name__ == "__main__":
    print(gradest.compare(case(), estimators=ESTIMATORS, budget_seconds=0.05))
