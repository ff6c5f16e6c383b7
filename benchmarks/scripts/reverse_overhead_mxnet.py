"""Reverse mode through gradest beside a hybridized Gluon network and `backward`: what the interface costs.

    python benchmarks/scripts/reverse_overhead_mxnet.py [--size L] [--rounds 7]

S = MLP 64-32-10, batch 64; L = 784-512-10, batch 100; tanh, float32, mean softmax cross-entropy, synthetic data.
Two peers, both what a Gluon user writes, hybridized with static memory and shapes, `autograd.record` and `backward`:

- "Dense": two `Dense` layers and `SoftmaxCrossEntropyLoss`; its weights are (H, D), the transposes of the problem's.
  Beside it, the same block as a user's own: `bind(loss, network)`.
- "(D, H)": a `HybridBlock` of the same function of the same parameters as the problem's, by the faster of
  `FullyConnected` on the transpose and a product. Beside it, the problem with native kernels.

The ratio of the problem to the other layout is printed too: what (D, H) costs in MXNet, whoever calls. Gradients are
compared before the clock.
"""

from protocol import Call, interleave  # isort: skip  # states one thread before a framework is loaded

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Peer:
    """A hybridized network as a Gluon user writes it, its loss and its gradient.

    Attributes
    ----------
    network, parameters
        The block; its parameters in the order W1, b1, W2, b2.
    loss
        `loss(network) -> array of one number`.
    """

    network: Any
    parameters: Sequence[Any]
    loss: Callable[[Any], Any]

    def gradient(self) -> None:
        """Compute the loss and the gradient, into the parameters' own buffers, and wait for them."""
        from mxnet import autograd

        with autograd.record():
            value = self.loss(self.network)
        value.backward()
        # MXNet returns before it has computed: what is not awaited is not timed
        for array in (value, *(parameter.grad() for parameter in self.parameters)):
            array.wait_to_read()

    def disagreement(self, gradient: Mapping[str, Any], *, transposed: bool) -> float:
        """Return the relative L2 difference of our gradient and this one."""
        theirs = [parameter.grad().asnumpy() for parameter in self.parameters]
        pairs = list(zip([array.asnumpy() for array in gradient.values()], theirs, strict=True))
        squares = sum(float(np.sum((a - (b.T if transposed else b)) ** 2)) for a, b in pairs)
        return float(np.sqrt(squares / sum(float(np.sum(b**2)) for b in theirs)))


def peer(objective: gradest.Objective, network: Any, parameters: Sequence[Any], values: Sequence[Any]) -> Peer:
    """Return a network with these values and its loss, hybridized."""
    from mxnet import gluon

    x, targets = (objective.data[name].as_nd_ndarray() for name in ("x", "targets"))
    for parameter, value in zip(parameters, values, strict=True):
        parameter.set_data(objective.backend.array(value, dtype="float32").as_nd_ndarray())
    loss = gluon.loss.SoftmaxCrossEntropyLoss(sparse_label=False)
    for block in (network, loss):
        # the fastest that Gluon offers: the peer is not to lose by its settings
        block.hybridize(static_alloc=True, static_shape=True)
    return Peer(network, parameters, lambda given: loss(given(x), targets).mean())


def dense_peer(objective: gradest.Objective, start: Mapping[str, Any]) -> Peer:
    """Return two `Dense` layers, whose weights are (H, D)."""
    from mxnet import gluon

    network = gluon.nn.HybridSequential()
    network.add(gluon.nn.Dense(start["b1"].size, activation="tanh"), gluon.nn.Dense(start["b2"].size))
    network.initialize()
    network(objective.data["x"].as_nd_ndarray())  # Gluon makes the weights at the first call
    parameters = [network[0].weight, network[0].bias, network[1].weight, network[1].bias]
    return peer(objective, network, parameters, [values.T for values in start.values()])


def same_layout_peer(objective: gradest.Objective, start: Mapping[str, Any]) -> Peer:
    """Return a block of the problem's own parameters, whose weights are (D, H)."""
    from mxnet import gluon

    class Network(gluon.nn.HybridBlock):  # type: ignore[misc]  # MXNet has no annotations
        def hybrid_forward(self, F: Any, x: Any, W1: Any, b1: Any, W2: Any, b2: Any) -> Any:
            hidden = F.FullyConnected(x, F.transpose(W1), b1, num_hidden=start["b1"].size)
            hidden = F.Activation(hidden, act_type="tanh")
            return F.FullyConnected(hidden, F.transpose(W2), b2, num_hidden=start["b2"].size)

    network = Network()
    for name, values in start.items():
        setattr(network, name, network.params.get(name, shape=values.shape))
    network.initialize()
    return peer(objective, network, [getattr(network, name) for name in start], list(start.values()))


def ours(objective: gradest.Objective, params: Any) -> Call:
    """Return gradest's reverse mode, awaited."""
    prepared, wait = gradest.get_estimator("reverse", engine="native").prepare(objective), objective.backend.wait

    def gradient() -> gradest.Estimate:
        estimate = prepared(params)
        wait((estimate.value, *estimate.gradient.values()))
        return estimate

    return gradient


def measure(size: str, rounds: int) -> None:
    """Print the lines of one size."""
    objective = gradest.bind(problem(size), backend="mxnet", dtype="float32", kernel="native")
    start = {name: objective.backend.numpy(array) for name, array in objective.start_tree.items()}
    dense, same = dense_peer(objective, start), same_layout_peer(objective, start)
    block = gradest.bind(dense.loss, dense.network, backend="mxnet")
    calls = {
        "problem": ours(objective, objective.start_tree),
        "block": ours(block, None),
        "(D, H)": same.gradient,
        "Dense": dense.gradient,
    }
    found = calls["problem"]().gradient
    for one, transposed in ((dense, True), (same, False)):
        one.gradient()
        difference = one.disagreement(found, transposed=transposed)
        if not difference <= AGREEMENT:
            raise SystemExit(f"two gradients differ by {difference:.1e}, more than {AGREEMENT:.0e}")
    result = interleave(calls, rounds=rounds)
    print(result.line(f"{size}, user's Block / Dense", "block", "Dense", BARS[size]))
    print(result.line(f"{size}, problem / (D, H)", "problem", "(D, H)", BARS[size]))
    print(result.line(f"{size}, problem / Dense", "problem", "Dense"))
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
