"""Evolution strategies of a user's own `nn.Module` beside the same loop written by hand in place, and their memory.

    python benchmarks/scripts/own_models.py [--rounds 5] [--only mlp]

The MLP is L = 784-512-10, batch 100, with 20 antithetic pairs; its loop by hand draws normal numbers by PyTorch, moves
the parameters in place, there, across and back, and adds up the gradient. The transformer has 29 M parameters, batch 4
of 64 tokens, one pair; its loop by hand is what people write to save memory (Malladi et al. 2023, arXiv:2305.17333): it
draws the noise anew from its seed for each of the three moves, and keeps no gradient. Memory is what the first
estimate, its preparation included, adds to the peak of a fresh process, beyond what one evaluation of the loss adds; an
objective, which keeps a copy of the start point for as long as it lives, is bound before.
"""

from protocol import RETURNING, Call, interleave, peak_extra_mb  # isort: skip  # states one thread before a framework is loaded

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

import gradest

SIGMA = 0.01
PAIRS = 20
MLP_BARS = {"es": 1.0, "es-low-rank": 0.9, "spsa": 0.8}
TRANSFORMER_BAR = 1.05  # or the time of the noise in losses, which is printed
VOCABULARY, WIDTH, DEPTH = 8000, 512, 7
LARGEST_HELD = {"es": 2, "es-low-rank": 1, "spsa": 1}  # parameters beside the one copy of the model
Loss = Callable[[nn.Module], Tensor]


class Transformer(nn.Module):
    """A small language model."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        layer = nn.TransformerEncoderLayer(WIDTH, 8, 4 * WIDTH, dropout=0.0, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, DEPTH, enable_nested_tensor=False)
        self.head = nn.Linear(WIDTH, VOCABULARY, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.head(self.layers(self.embedding(tokens)))
        return logits


def mlp() -> tuple[nn.Module, Loss]:
    """Return L and its loss on a synthetic batch."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(784, 512), nn.Tanh(), nn.Linear(512, 10))
    x, y = torch.randn(100, 784), torch.arange(100) % 10
    return module, lambda m: functional.cross_entropy(m(x), y)


def transformer() -> tuple[nn.Module, Loss]:
    """Return the language model and its loss on a synthetic batch."""
    torch.manual_seed(0)
    module, tokens = Transformer(), torch.randint(VOCABULARY, (4, 65))
    flat = tokens[:, 1:].reshape(-1)
    return module, lambda m: functional.cross_entropy(m(tokens[:, :-1]).reshape(-1, VOCABULARY), flat)


MODELS = {"mlp": mlp, "transformer": transformer}


def loop_by_hand(module: nn.Module, loss: Loss, pairs: int) -> Call:
    """Return full-rank Gaussian ES in place, as one would write it: directions are kept while they are used."""
    parameters, weight = list(module.parameters()), 1 / (2 * SIGMA * pairs)

    @torch.no_grad()
    def estimate() -> list[Tensor]:
        gradient = [torch.zeros_like(p) for p in parameters]
        for _ in range(pairs):
            noise = [torch.randn_like(p) for p in parameters]
            _move(parameters, noise, SIGMA)
            up = float(loss(module))
            _move(parameters, noise, -2 * SIGMA)
            # at x - sigma v: the parameters were moved by 2 sigma before
            slope = (up - float(loss(module))) * weight
            _move(parameters, noise, SIGMA)
            _move(gradient, noise, slope)
        return gradient

    return estimate


def _move(places: list[Any], noise: list[Tensor], factor: float) -> None:
    for place, direction in zip(places, noise, strict=True):
        place.add_(direction, alpha=factor)


def two_evaluations_by_hand(module: nn.Module, loss: Loss) -> Call:
    """Return one pair in place, the noise drawn from its seed for each move."""
    parameters = list(module.parameters())

    @torch.no_grad()
    def move(factor: float) -> None:
        generator = torch.Generator().manual_seed(1)
        for p in parameters:
            p.add_(torch.randn(p.shape, generator=generator), alpha=factor)

    @torch.no_grad()
    def estimate() -> float:
        move(SIGMA)
        up = float(loss(module))
        move(-2 * SIGMA)
        down = float(loss(module))
        move(SIGMA)
        return (up - down) / (2 * SIGMA)

    return estimate


def ours(name: str, module: nn.Module, loss: Loss, pairs: int) -> Callable[[int], gradest.Estimate]:
    """Return the estimate by seed, at the module's parameters."""
    prepared = gradest.get_estimator(name, num_samples=pairs, sigma=SIGMA).prepare(gradest.bind(loss, module))
    return lambda seed: prepared(rng=seed)


def seeded(estimate: Callable[[int], object]) -> Call:
    """Return the estimate as a call that takes the next seed each time."""
    seeds: Iterator[int] = iter(range(1 << 30))
    return lambda: estimate(next(seeds))


def losses(module: nn.Module, loss: Loss) -> Call:
    """Return one evaluation of the loss, without a graph."""

    @torch.no_grad()
    def evaluate() -> float:
        return float(loss(module))

    return evaluate


def speed(model: str, rounds: int) -> None:
    """Print the times of bar 16 or 17, and of the noise in losses."""
    module, loss = MODELS[model]()
    pairs = PAIRS if model == "mlp" else 1
    by_hand = loop_by_hand(module, loss, pairs) if model == "mlp" else two_evaluations_by_hand(module, loss)
    calls: dict[str, Call] = {"by hand": by_hand, "loss": losses(module, loss)}
    for name in MLP_BARS:
        calls[name] = seeded(ours(name, module, loss, pairs))
    found = interleave(calls, rounds=rounds)
    for name, bar in MLP_BARS.items():
        stated = bar if model == "mlp" else TRANSFORMER_BAR if name == "spsa" else None
        print(found.line(f"{model}, {name}, {pairs} pairs", name, "by hand", stated))
    for name in ("by hand", *MLP_BARS):
        per_loss = found.ratio(name, "loss") / pairs
        print(f"{model}, {name}: {per_loss:.2f} losses a pair, {per_loss - 2:.2f} of them not the two evaluations")
    print(found.probe_line())


def memory(model: str) -> None:
    """Print what one estimate adds to the peak of a fresh process, in MiB and in models."""
    sizes = sorted((p.numel() * p.element_size() / 2**20 for p in MODELS[model]()[0].parameters()), reverse=True)
    env = {**os.environ, **RETURNING}
    for name, held in LARGEST_HELD.items():
        command = [sys.executable, str(Path(__file__).resolve()), "--measure-memory", model, name]
        extra = float(subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout)
        bar = sum(sizes) + sum(sizes[:held])
        verdict = "met" if extra <= bar else "NOT met"
        print(
            f"{model}, {name}: peak extra {extra:.0f} MB, {extra / sum(sizes):.2f} models; one copy and the {held} "
            f"largest parameters are {bar:.0f} MB: {verdict}"
        )


def measured(model: str, name: str) -> float:
    """Return by how much a first estimate raises the peak of this process more than an evaluation of the loss does."""
    module, loss = MODELS[model]()
    evaluate = losses(module, loss)
    evaluate()
    bound, alone = gradest.bind(loss, module), peak_extra_mb(evaluate)
    estimator = gradest.get_estimator(name, num_samples=4)
    return peak_extra_mb(lambda: estimator.prepare(bound)(rng=0)) - alone


def main() -> None:
    """Print the figures of bars 16 and 17 beside the bars."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=tuple(MODELS), help="both by default")
    parser.add_argument("--measure-memory", nargs=2, metavar=("MODEL", "ESTIMATOR"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.measure_memory:
        print(measured(*options.measure_memory))
        return
    for model in [options.only] if options.only else MODELS:
        speed(model, options.rounds)
        if model == "transformer":  # of a small model the framework's own buffers are all there is to see
            memory(model)


if __name__ == "__main__":
    main()
