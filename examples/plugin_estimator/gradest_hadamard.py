"""A gradient estimator as a plug-in of gradest: it runs on every backend, and `gradest check fd-hadamard` checks it."""

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradest import Cost, Estimator, KernelResult, Layout, Objective, PreparedKernel

ROWS_AT_ONCE = 64


@dataclass(frozen=True)
class HadamardDifference(Estimator):
    """Central differences along all rows of a Hadamard matrix: each entry averages the noise of all evaluations."""

    family = "fd-hadamard"
    source = "Plackett & Burman 1946, doi:10.1093/biomet/33.4.305"
    formula = "(1/M) sum_k H_k (f(x + h H_k) - f(x - h H_k)) / (2 h)"
    cost_formula = "2 M values, M the least power of 2 from P on"

    step: float = 1e-3

    def cost(self, layout: Layout) -> Cost:
        return Cost(values=2 * order(layout))

    def prepare_kernel(self, objective: Objective, *, executor: Executor | None = None) -> PreparedKernel:
        layout, backend, ops = objective.layout, objective.backend, objective.ops
        size = order(layout)

        def placed(vectors: np.ndarray) -> tuple[Any, ...]:
            blocks = zip(layout.unflatten(vectors), objective.dtypes, strict=True)
            return tuple(backend.array(block, dtype=dtype, device=objective.device) for block, dtype in blocks)

        def losses(leaves: Any, moves: Any, data: Any) -> Any:
            moved = tuple(ops.expand_dims(x, axis=0) + move for x, move in zip(leaves, moves, strict=True))
            return objective.evaluate_population(moved, data)

        evaluate = objective.compile(losses)

        def kernel(leaves: Any, rng: Any) -> KernelResult:
            total = np.zeros(layout.num_parameters)
            for start in range(0, size, ROWS_AT_ONCE):
                rows = hadamard_rows(start, min(start + ROWS_AT_ONCE, size), layout.num_parameters)
                up, down = (backend.numpy(evaluate(leaves, placed(h * rows))) for h in (self.step, -self.step))
                total += (up.astype(np.float64) - down) @ rows
            return KernelResult(None, placed(total / (2 * self.step * size)))

        return PreparedKernel(kernel, objective.population_path)


def order(layout: Layout) -> int:
    """Return M, the number of rows: the least power of 2 that is P or more."""
    return 1 << (layout.num_parameters - 1).bit_length()


def hadamard_rows(start: int, stop: int, columns: int) -> np.ndarray:
    """Return rows start, ..., stop - 1 of Sylvester's matrix: (-1)^(number of ones in `row & column`)."""
    common = np.arange(start, stop)[:, None] & np.arange(columns)
    ones = np.array([[int(entry).bit_count() for entry in row] for row in common])
    return 1.0 - 2.0 * (ones % 2)
