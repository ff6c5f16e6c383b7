"""Reverse mode through gradest beside a hybridized Gluon network and `backward`: what the interface costs.

    python benchmarks/scripts/reverse_overhead_mxnet.py [--size L] [--rounds 7]

S = MLP 64-32-10, batch 64; L = 784-512-10, batch 100; tanh, float32, mean softmax cross-entropy, synthetic data.
The peer is what a Gluon user writes: two `Dense` layers and `SoftmaxCrossEntropyLoss`, both hybridized with static
memory and shapes, `autograd.record` and `backward`; its weights are the transposes of ours, as Gluon has them. Ours
is `get_estimator("reverse").prepare(objective)` with native kernels. Both gradients are compared before the clock.
"""

from protocol import Call, interleave  # isort: skip  # states one thread before a framework is loaded

import argparse
from collections.abc import Mapping
from typing import Any

import numpy as np

import gradest
from gradest.datasets import from_arrays

SIZES = {"S": (64, 32, 10, 64), "L": (784, 512, 10, 100)}
BARS = {"S": 1.25, "L": 1.15}
"""Ours / peer's that is to be reached."""
AGREEMENT = 1e-5
"""Relative L2 difference of the two gradients: Gluon's float32 log-softmax is good to a few 1e-6."""


def problem(size: str) -> gradest.Problem:
    """Return the network of a size on synthetic data."""
    features, width, classes, batch = SIZES[size]
    generator = np.random.default_rng(0)
    samples = from_arrays(generator.standard_normal((batch, features)), np.arange(batch) % classes, name=size)
    return gradest.get_problem("mlp", dataset=samples, widths=(width,), batch=None)


def gluon_peer(objective: gradest.Objective) -> tuple[Call, list[Any], Any, Any]:
    """Return the call, the parameters in the order W1, b1, W2, b2, the network and its loss of one argument."""
    from mxnet import autograd, gluon

    start = {name: objective.backend.numpy(array) for name, array in objective.start_tree.items()}
    legacy = {name: objective.backend.array(a.T, dtype="float32").as_nd_ndarray() for name, a in start.items()}
    x, targets = (objective.data[name].as_nd_ndarray() for name in ("x", "targets"))
    network = gluon.nn.HybridSequential()
    network.add(gluon.nn.Dense(start["b1"].size, activation="tanh"), gluon.nn.Dense(start["b2"].size))
    network.initialize()
    network(x)
    parameters = [network[0].weight, network[0].bias, network[1].weight, network[1].bias]
    for parameter, value in zip(parameters, legacy.values(), strict=True):
        parameter.set_data(value)
    loss = gluon.loss.SoftmaxCrossEntropyLoss(sparse_label=False)
    for block in (network, loss):
        block.hybridize(static_alloc=True, static_shape=True)

    def gradient() -> None:
        with autograd.record():
            value = loss(network(x), targets).mean()
        value.backward()
        for array in (value, *(parameter.grad() for parameter in parameters)):
            array.wait_to_read()

    return gradient, parameters, network, lambda net: loss(net(x), targets).mean()


def disagreement(gradient: Mapping[str, Any], parameters: list[Any]) -> float:
    """Return the relative L2 difference of our gradient and the peer's."""
    ours = [array.asnumpy() for array in gradient.values()]
    theirs = [parameter.grad().asnumpy().T for parameter in parameters]
    squares = sum(float(np.sum((a - b) ** 2)) for a, b in zip(ours, theirs, strict=True))
    return float(np.sqrt(squares / sum(float(np.sum(b**2)) for b in theirs)))


def measure(size: str, rounds: int) -> None:
    """Print the line of one size."""
    objective = gradest.bind(problem(size), backend="mxnet", dtype="float32", kernel="native")
    prepared = gradest.get_estimator("reverse", engine="native").prepare(objective)
    params, wait = objective.start_tree, objective.backend.wait
    peer, parameters, network, loss = gluon_peer(objective)

    def ours() -> None:
        estimate = prepared(params)
        wait((estimate.value, *estimate.gradient.values()))

    peer()
    difference = disagreement(prepared(params).gradient, parameters)
    if not difference <= AGREEMENT:
        raise SystemExit(f"the two gradients differ by {difference:.1e}, more than {AGREEMENT:.0e}")
    block = gradest.get_estimator("reverse", engine="native").prepare(gradest.bind(loss, network, backend="mxnet"))

    def ours_of_block() -> None:
        estimate = block()
        wait((estimate.value, *estimate.gradient.values()))

    result = interleave({"ours": ours, "block": ours_of_block, "peer": peer}, rounds=rounds)
    print(result.line(f"problem, mxnet, {size}", "ours", "peer", BARS[size]))
    print(result.line(f"user's Block, mxnet, {size}", "block", "peer", BARS[size]))
    print(result.probe_line())


def main() -> None:
    """Read the arguments and measure the sizes asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=sorted(SIZES), action="append", help="all of them by default")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    for size in options.size or sorted(SIZES):
        measure(size, options.rounds)


if __name__ == "__main__":
    main()
