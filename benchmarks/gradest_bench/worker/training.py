"""Trains the problem of a cell under its estimator, by `gradest.train`: a grid of step sizes, then every seed.

At one common step size estimators differ by what the step suits; so each is trained at the best of the same grid, which
its first seed chooses by the training loss. All runs of a suite cost the same number of losses, at stated weights.
"""

import math
from typing import Any

from gradest import Case, Estimator, InvalidInputError, Problem, bind, train
from gradest.measurement.outcome import Outcome
from gradest.training import Budget, Optimizer, StepLimit, Training, Weights, get_optimizer, step_limit
from gradest_bench.results.outcomes import CellError
from gradest_bench.suite.cells import Cell
from gradest_bench.suite.held_out import split


def train_cell(loss: Problem | Case, estimator: Estimator, cell: Cell, *, backend: str) -> dict[str, Any]:
    """Return how training went, as plain data: the grid, the best step size, a curve for each seed.

    Raises
    ------
    CellError
        Every step size of the grid diverged.
    InvalidInputError
        The optimiser has no step size, or a share of a case's arguments was to be held out.
    """
    runs = _Runs(loss, estimator, cell, backend=backend)
    grid = {size: runs.run(size, cell.seeds[0]) for size in runs.asked.step_sizes}
    ends = {size: _end(found) for size, found in grid.items()}
    best = min(ends, key=lambda size: ends[size])
    if not math.isfinite(ends[best]):
        how = "; ".join(f"{size:g}: {found.ended}" for size, found in grid.items())
        raise CellError(
            Outcome.INVALID, f"training under {estimator.name!r} diverged at every step size ({how}); try smaller ones"
        )
    limit = runs.limit()
    return {
        "optimizer": str(get_optimizer(runs.asked.optimizer)),
        "weights": str(runs.weights),
        "grid": [{"step_size": size, "ended": found.ended, **_curve(found)} for size, found in grid.items()],
        "step_size": best,
        "limit": None if limit is None else {"limit": limit.limit, "trace": limit.trace, "error": limit.trace_error},
        "curves": [
            {"seed": seed, "ended": found.ended, **_curve(found)}
            for seed, found in [
                # trained already, and the same at every call: seed and step decide a run
                (cell.seeds[0], grid[best]),
                *((seed, runs.run(best, seed)) for seed in cell.seeds[1:]),
            ]
        ],
    }


class _Runs:
    """Runs of one cell, which differ in step size and seed."""

    def __init__(self, loss: Problem | Case, estimator: Estimator, cell: Cell, *, backend: str) -> None:
        assert cell.training is not None  # as in every cell that measures training
        self.asked = cell.training
        self.estimator = estimator
        self.weights = Weights(jvp=self.asked.jvp_losses, vjp=self.asked.vjp_losses)
        self.other: Problem | None = None
        self.binding: dict[str, Any] = {}
        if isinstance(loss, Case):
            if self.asked.held_out is not None:
                raise InvalidInputError("a share was to be held out; a case has its own data: leave held_out away")
            self.chosen: Problem | Case = loss
        else:
            # by the first seed for all: seeds differ in noise, and not in what is trained on
            self.chosen, self.other = split(loss, self.asked.held_out, seed=cell.seeds[0], whole=True)
            self.binding = {"backend": backend, "dtype": cell.dtype, "kernel": cell.kernel}
            if cell.device != "default":
                self.binding["device"] = cell.device
        whole = bind(self.chosen, **self.binding)
        # an estimator whose steps cost nothing is refused by `train`, in words
        steps = self.asked.losses / max(self.weights.of(estimator.cost(whole.layout)), 1e-9)
        self._whole = whole
        self._log_every = max(1, round(steps / self.asked.logs))

    def run(self, step_size: float, seed: int) -> Training:
        """Return one run. The start is the problem's for every seed: what differs is the noise, and the batches."""
        optimizer = get_optimizer(self.asked.optimizer, step_size=step_size)
        if not isinstance(optimizer, Optimizer):
            raise InvalidInputError(f"optimizer {self.asked.optimizer!r} of [training] takes no gradient; try 'sgd'")
        return train(
            self.chosen,
            self.estimator,
            optimizer,
            budget=Budget(losses=self.asked.losses),
            batch_size=self.asked.batch_size,
            seed=seed,
            held_out=self.other,
            log_every=self._log_every,
            weights=self.weights,
            **self.binding,
        )

    def limit(self) -> StepLimit | None:
        """Return the step size that the estimator's noise allows at the start, on all of the training data."""
        return step_limit(self._whole, self.estimator)


def _end(found: Training) -> float:
    """Return the training loss at the end, infinite for a run that diverged: it is never the best."""
    # Where it diverged, the parameters before, whose loss is a number, are kept.
    return math.inf if found.diverged else found.records[-1].loss


def _curve(found: Training) -> dict[str, Any]:
    records = found.records
    curve: dict[str, Any] = {
        "steps": [record.step for record in records],
        "losses": [record.losses for record in records],
        "seconds": [record.seconds for record in records],
        "loss": [record.loss for record in records],
    }
    if records[0].held_out_loss is not None:
        curve["held_out_loss"] = [record.held_out_loss for record in records]
    for name in records[0].held_out_metrics:
        curve[f"held_out_{name}"] = [record.held_out_metrics[name] for record in records]
    return curve
