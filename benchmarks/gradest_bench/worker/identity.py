"""The identity of a cell where it runs: what is asked, and all that decides the answer.

This module knows no file and no process.
"""

import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from gradest.autodiff.forwarding import ForwardingOperations
from gradest.backend import get_backend
from gradest.problem import Problem
from gradest_bench.suite.cells import Cell, Spec, digest
from gradest_bench.suite.resolving import located, make_estimator, make_problem
from gradest_bench.worker.versions import code_version, data_checksum


def identify(cell: Cell, folder: Path | None = None) -> dict[str, Any]:
    """Return the identity of a cell of a suite in a folder, what it is made of, and the size of what it computes."""
    data = _read(json.dumps([located(cell.problem.name, folder), cell.problem.fields]))
    problem = data.problem
    estimator = make_estimator(cell.estimator, folder)
    backend = get_backend(located(cell.backend, folder))
    decided = {
        "estimator_code": code_version(type(estimator)),
        "backend_code": code_version(type(backend)),
        "problem_code": code_version(type(problem)),
        "versions": backend.versions(),
        "data": data.checksum,
    }
    cost = asdict(estimator.cost(problem.layout))
    return {
        "identity": digest({"cell": cell.key, **decided}),
        "decided": decided,
        "num_parameters": problem.layout.num_parameters,
        "data_entries": data.entries,
        "value_flops": data.flops,
        "evaluations": sum(cost.values()),
        "stochastic": estimator.stochastic,
        "target": estimator.target.value,
    }


@dataclass(frozen=True, eq=False)
class _Data:
    """A problem, the checksum of its data, how many entries they have, and what its loss multiplies."""

    problem: Problem
    checksum: str
    entries: int
    flops: int


@lru_cache(maxsize=4)
def _read(spec: str) -> _Data:
    """Return a problem with what is known of its data; many cells share one."""
    name, fields = json.loads(spec)
    problem = make_problem(Spec(name=name, fields=fields))
    entries = sum(int(values.size) for values in problem.data().values())
    return _Data(problem, data_checksum(problem), entries, matrix_product_flops(problem))


class _CountsProducts(ForwardingOperations):
    """Carries out NumPy's operations and counts the floating-point operations of matrix products, 2 m k n each."""

    def __init__(self) -> None:
        super().__init__(get_backend("numpy").operations())
        self.flops = 0

    def matmul(self, x: Any, y: Any) -> Any:
        product: Any = self.ops.matmul(x, y)
        self.flops += 2 * int(x.shape[-1]) * int(product.size)
        return product

    def affine(self, x: Any, weight: Any, bias: Any = None) -> Any:
        product = self.matmul(x, weight)
        return product if bias is None else product + self.ops.expand_dims(bias, axis=-2)


def matrix_product_flops(problem: Problem) -> int:
    """Return the floating-point operations of all matrix products in one evaluation of a loss."""
    ops = _CountsProducts()
    problem.loss(ops, problem.parameters(), problem.data())
    return ops.flops
