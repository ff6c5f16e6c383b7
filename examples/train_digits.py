"""What the choice of a gradient does to training: one MLP on the digits, trained with four estimators.

    python examples/train_digits.py [--steps 60] [--rate 0.5]

Every estimator takes the same steps of gradient descent from the same start point on the same 1,437 images; the
accuracy is on the 360 images that were held out.
"""

import argparse

import numpy as np

import gradest
from gradest.datasets import Dataset, load

ESTIMATORS = {
    "reverse mode": gradest.get_estimator("reverse"),
    "central differences, exact": gradest.get_estimator("fd-exact"),
    "ES, 200 antithetic pairs": gradest.get_estimator("es", num_samples=200, sigma=0.05),
    "forward gradient, 200 JVPs": gradest.get_estimator("forward-gradient", num_samples=200),
}


def train(estimator: gradest.Estimator, samples: Dataset, *, steps: int, rate: float) -> dict[str, np.ndarray]:
    """Return the parameters after gradient descent, each step with fresh directions."""
    problem = gradest.get_problem("mlp", dataset=samples, widths=(16,), batch=None)
    prepared = estimator.prepare(gradest.bind(problem, backend="numpy", dtype="float32", kernel="native"))
    params = prepared.objective.start_tree
    for step in range(steps):
        gradient = prepared(params, rng=step).gradient
        params = {name: value - np.float32(rate) * gradient[name] for name, value in params.items()}
    return params


def accuracy(params: dict[str, np.ndarray], samples: Dataset) -> float:
    """Return the share of images classified right."""
    hidden = np.tanh(samples.features @ params["W1"] + params["b1"])
    found = (hidden @ params["W2"] + params["b2"]).argmax(axis=1)
    return float(np.mean(found == samples.labels))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rate", type=float, default=0.5)
    options = parser.parse_args()
    training, held_out = load("digits").split(0.8)
    for name, estimator in ESTIMATORS.items():
        params = train(estimator, training, steps=options.steps, rate=options.rate)
        print(f"{name:<28} {100 * accuracy(params, held_out):5.1f} % right after {options.steps} steps")


if __name__ == "__main__":
    main()
