"""What the choice of a gradient does to training: one MLP on the digits, trained with four estimators.

    python examples/train_digits.py [--steps 60] [--rate 0.5]

Every estimator takes the same steps of gradient descent from the same start point on the same 1,437 images; the
accuracy is on the 360 images that were held out.
"""

import argparse

import gradest
from gradest.training import Budget, GradientDescent, Weights

ESTIMATORS = {
    "reverse mode": gradest.get_estimator("reverse"),
    "central differences, exact": gradest.get_estimator("fd-exact"),
    "ES, 200 antithetic pairs": gradest.get_estimator("es", num_samples=200, sigma=0.05),
    "forward gradient, 200 JVPs": gradest.get_estimator("forward-gradient", num_samples=200),
}
WEIGHTS = Weights(jvp=2.0, vjp=3.0)  # what derivatives count in losses; without it that would be measured first


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rate", type=float, default=0.5)
    options = parser.parse_args()
    training, held_out = (
        gradest.get_problem("mlp", dataset=samples, widths=(16,), batch=None)
        for samples in gradest.datasets.load("digits").split(0.8)
    )
    step, budget = GradientDescent(step_size=options.rate), Budget(steps=options.steps)
    for name, estimator in ESTIMATORS.items():
        run = gradest.train(
            training, estimator, step, budget=budget, held_out=held_out, dtype="float32", weights=WEIGHTS
        )
        right = run.records[-1].held_out_metrics["accuracy"]
        print(
            f"{name:<28} {100 * right:5.1f} % right after {run.state.step} steps, {run.records[-1].losses:,.0f} losses"
        )


if __name__ == "__main__":
    main()
