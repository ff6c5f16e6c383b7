"""Remakes the table of the lesson on Fashion-MNIST: what each gradient does to training, at its own best step.

    python benchmarks/scripts/fashion_table.py [--out docs/results/fashion-mnist.json] [--work runs/fashion-table]

A network 784-512-10 (sigmoid, no biases, started as `torch.nn.Linear` does) on the first 1,000 images, ten batches of
100 in their order, plain gradient descent. First every step of a grid on one seed for 10 epochs, for random directions
none beyond the limit 2N/tr(H) that their noise allows; then 100 epochs on three seeds at each row's best step, and at
the step that all rows have in common. Each run keeps its state in the folder --work and goes on from it, so the
command can be killed and given again. It takes the better part of an hour on one core.
"""

import argparse
import json
import math
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

import gradest
from gradest.datasets import Dataset, load
from gradest.training import Budget, GradientDescent, Record, StepLimit, Training, TrainingState, Weights, step_limit

SIGMA = 0.001
ESTIMATORS = {
    "reverse": gradest.get_estimator("reverse"),
    "es-low-rank, 100 pairs": gradest.get_estimator("es-low-rank", num_samples=100, sigma=SIGMA),
    "directional difference": gradest.get_estimator("es-forward", num_samples=1, sigma=SIGMA),
    "es-forward, N = 10": gradest.get_estimator("es-forward", num_samples=10, sigma=SIGMA),
    "es-vanilla, N = 100": gradest.get_estimator("es-vanilla", num_samples=100, sigma=SIGMA),
}
STEPS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
COMMON_STEP = 0.01
GRID_EPOCHS, FULL_EPOCHS, SEEDS = 10, 100, (0, 1, 2)
IMAGES, BATCH = 1000, 100
WEIGHTS = Weights(jvp=2.0, vjp=3.0)  # stated, not measured: the axis of a curve is the same on every machine
REPLICATES = 4


@dataclass(frozen=True)
class Plan:
    """States one run: which row at which step, for how long, and why it is in the table."""

    row: str
    step: float
    seed: int
    epochs: int

    @property
    def file(self) -> str:
        """The name of its files, without an ending."""
        row = "".join(letter if letter.isalnum() else "-" for letter in self.row)
        return f"{row}_{self.step:g}_seed{self.seed}_{self.epochs}"


def problem_of(samples: Dataset, seed: int) -> gradest.Problem:
    """Return the network on some images, its start drawn by a seed."""
    return gradest.get_problem(
        "mlp",
        dataset=samples,
        widths=(512,),
        activation="sigmoid",
        bias=False,
        batch=None,
        initial="torch-linear",
        seed=seed,
    )


class Laboratory:
    """The images, and the folder in which runs keep their state and their log."""

    def __init__(self, work: Path) -> None:
        self.work = work
        work.mkdir(parents=True, exist_ok=True)
        self.training = load("fashion-mnist").head(IMAGES)
        self.test = load("fashion-mnist", subset="test")

    def batches(self, problem: gradest.Problem) -> list[Any]:
        """Return the batches in the order of the images: nothing is shuffled."""
        return [problem.batch_of(np.arange(first, first + BATCH)) for first in range(0, IMAGES, BATCH)]

    def limits(self) -> dict[str, StepLimit | None]:
        """Return for each row the step that the noise of its estimates allows on the first batch."""
        problem = problem_of(self.training.head(BATCH), seed=0)
        bound = gradest.bind(problem, backend="numpy", dtype="float32")
        return {row: step_limit(bound, estimator) for row, estimator in ESTIMATORS.items()}

    def run(self, plan: Plan) -> dict[str, Any]:
        """Return what became of a run: from its log where it is done, else by going on with it."""
        kept, state = self.work / f"{plan.file}.json", self.work / f"{plan.file}.state"
        if not kept.exists():
            _replace(kept, json.dumps(_summary(plan, self._trained(plan, state))).encode())
            state.unlink(missing_ok=True)
        found: dict[str, Any] = json.loads(kept.read_text())
        return found

    def _trained(self, plan: Plan, state: Path) -> Training:
        problem = problem_of(self.training, plan.seed)
        full = plan.epochs == FULL_EPOCHS
        return gradest.train(
            problem,
            ESTIMATORS[plan.row],
            GradientDescent(step_size=plan.step),
            budget=Budget(epochs=plan.epochs),
            batches=self.batches(problem),
            seed=plan.seed,
            held_out=problem_of(self.test, plan.seed),
            # Testing on 10,000 images costs as much as dozens of steps: the curves are kept thinly.
            log_every=(IMAGES // BATCH) * (5 if full else GRID_EPOCHS),
            quality_every=10**9 if full else None,  # at the start alone
            quality_replicates=REPLICATES,
            weights=WEIGHTS,
            backend="numpy",
            dtype="float32",
            state=TrainingState.from_bytes(state.read_bytes()) if state.exists() else None,
            on_state=lambda found: _replace(state, found.to_bytes()),
        )


def _replace(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: a run may be killed at any moment."""
    beside = path.with_name(f"{path.name}.new")
    beside.write_bytes(content)
    beside.replace(path)


def _summary(plan: Plan, found: Training) -> dict[str, Any]:
    first = found.records[0].quality
    return {
        "row": plan.row,
        "step": plan.step,
        "seed": plan.seed,
        "epochs": plan.epochs,
        "ended": found.ended,
        "diverged": found.diverged,
        "relative_mse": first and first.relative_mse,
        "relative_mse_error": first and first.relative_mse_error,
        "predicted_mse": first and first.predicted_mse,
        "curve": [_point(record) for record in found.records],
    }


def _point(record: Record) -> dict[str, Any]:
    point = {
        "step": record.step,
        "epoch": record.epoch,
        "evaluations": record.cost.values + record.cost.jvps + record.cost.vjps,
        "losses": record.losses,
        "seconds": record.seconds,
        "loss": record.loss,
        "accuracy": record.metrics["accuracy"],
        "test_loss": record.held_out_loss,
        "test_accuracy": record.held_out_metrics["accuracy"],
        **{f"norm_{name}": norm for name, norm in record.params_norm.items()},
    }
    # JSON has no infinity: a loss that overflowed is told by the word, not by a number that it is not.
    return {
        name: _rounded(value) if value is None or math.isfinite(value) else str(value) for name, value in point.items()
    }


def _rounded(value: float | None) -> float | None:
    return value if value is None or isinstance(value, int) else float(f"{value:.6g}")


def grid(limits: dict[str, StepLimit | None]) -> Iterator[Plan]:
    """Yield the runs of the grid: for random directions the steps that the noise allows, or all where none is."""
    for row, limit in limits.items():
        allowed = [step for step in STEPS if limit is None or step <= limit.limit]
        for step in allowed or STEPS:  # of a formula that no step suits, each is tried: the log says when it diverges
            yield Plan(row, step, seed=SEEDS[0], epochs=GRID_EPOCHS)


def best_steps(found: list[dict[str, Any]]) -> dict[str, float | None]:
    """Return each row's step of the least training loss at the end of its grid; None where none ended below its start.

    "nan", as a text, is below nothing.
    """
    best: dict[str, float | None] = {}
    for row in ESTIMATORS:
        curves = {run["step"]: [float(point["loss"]) for point in run["curve"]] for run in found if run["row"] == row}
        # below its start: of rows that only climb, the slowest to climb is no best
        ends = {step: losses[-1] for step, losses in curves.items() if losses[-1] < losses[0]}
        best[row] = min(ends, key=ends.__getitem__) if ends else None
    return best


def full(best: dict[str, float | None]) -> Iterator[Plan]:
    """Yield the runs of full length: at the common step, and at each row's own best; cheap rows first."""
    for row in sorted(ESTIMATORS, key=lambda row: ESTIMATORS[row].num_samples if row != "reverse" else 0):
        for step in sorted({COMMON_STEP, best[row] or COMMON_STEP}):
            for seed in SEEDS:
                yield Plan(row, step, seed, epochs=FULL_EPOCHS)


def main() -> None:
    """Run what is not yet there, and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/results/fashion-mnist.json"))
    parser.add_argument("--work", type=Path, default=Path("runs/fashion-table"))
    options = parser.parse_args()
    laboratory = Laboratory(options.work)
    limits = laboratory.limits()
    for row, limit in limits.items():
        print(f"{row}: {'no noise' if limit is None else f'steps up to {limit.limit:.3g}'}", flush=True)
    found = [_told(laboratory, plan) for plan in grid(limits)]
    best = best_steps(found)
    found += [_told(laboratory, plan) for plan in full(best)]
    _replace(options.out, json.dumps(_result(laboratory, limits, best, found), indent=1).encode())


def _told(laboratory: Laboratory, plan: Plan) -> dict[str, Any]:
    begun = time.perf_counter()
    found = laboratory.run(plan)
    last = found["curve"][-1]
    print(
        f"{plan.row}, step {plan.step:g}, seed {plan.seed}: loss {last['loss']}, test {last['test_accuracy']} "
        f"({found['ended']}; {time.perf_counter() - begun:.0f} s)",
        flush=True,
    )
    return found


def _result(
    laboratory: Laboratory,
    limits: dict[str, StepLimit | None],
    best: dict[str, float | None],
    found: list[dict[str, Any]],
) -> dict[str, Any]:
    return {
        "made": datetime.now(UTC).date().isoformat(),
        "by": "benchmarks/scripts/fashion_table.py",
        "versions": {"gradest": gradest.__version__, "numpy": np.__version__, "python": platform.python_version()},
        "machine": f"{platform.machine()}, one process, one thread",
        "data": {"training": laboratory.training.checksum, "test": laboratory.test.checksum},
        "sigma": SIGMA,
        "common_step": COMMON_STEP,
        "weights": str(WEIGHTS),
        "seeds": list(SEEDS),
        "estimators": {row: repr(estimator) for row, estimator in ESTIMATORS.items()},
        "limits": {row: limit and {"limit": limit.limit, "trace": limit.trace} for row, limit in limits.items()},
        "best_steps": best,
        "runs": found,
    }


if __name__ == "__main__":
    main()
