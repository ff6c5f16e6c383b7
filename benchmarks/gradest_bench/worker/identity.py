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
from gradest.binding import bind
from gradest.case import Case
from gradest.layout import Layout
from gradest.problem import Problem
from gradest_bench.suite.cells import Cell, Spec, digest
from gradest_bench.suite.resolving import located, make_estimator, make_loss
from gradest_bench.worker.case_identity import case_checksum, case_code_version
from gradest_bench.worker.versions import code_version, data_checksum, source_version


def identify(cell: Cell, folder: Path | None = None) -> dict[str, Any]:
    """Return the identity of a cell of a suite in a folder, what it is made of, and the size of what it computes."""
    # as a text: fields may be lists, which no cache takes as a key
    data = _read(json.dumps([located(cell.problem.name, folder), cell.problem.fields]))
    estimator = make_estimator(cell.estimator, folder)
    backend = get_backend(located(cell.backend, folder))
    decided = {
        "estimator_code": code_version(type(estimator)),
        "backend_code": code_version(type(backend)),
        "problem_code": data.code,
        "versions": backend.versions(),
        "data": data.checksum,
    }
    if cell.training is not None:
        decided |= _training_decided(cell, folder)
    cost = asdict(estimator.cost(data.layout))
    return {
        "identity": digest({"cell": cell.key, **decided}),
        "decided": decided,
        "num_parameters": data.layout.num_parameters,
        "data_entries": data.entries,
        "value_flops": data.flops,
        # counted alike: it orders cells by size, and prices nothing
        "evaluations": sum(cost.values()),
        "stochastic": estimator.stochastic,
        "target": estimator.target.value,
    }


def _training_decided(cell: Cell, folder: Path | None) -> dict[str, str]:
    """Return what decides how a cell is trained: the code that does, and all data, of which the loss may have a few."""
    # it brings all of the data sets, which most workers have no use for
    from gradest_bench.suite.held_out import split

    assert cell.training is not None
    found = {"training_code": source_version(_TRAINING, own=_TRAINING)}
    loss = make_loss(cell.problem, folder)
    if not isinstance(loss, Case):
        found["training_data"] = data_checksum(split(loss, None, seed=0, whole=True)[0])
    return found


_TRAINING = ("gradest.training.train", "gradest_bench.worker.training")


@dataclass(frozen=True, eq=False)
class _Data:
    """What decides a loss: its code and the checksum of its data; and its size: entries of data, products multiplied.

    What a function multiplies nobody can see: 0.
    """

    layout: Layout
    code: str
    checksum: str
    entries: int
    flops: int


@lru_cache(maxsize=4)
def _read(spec: str) -> _Data:
    """Return what is known of a loss; many cells share one."""
    name, fields = json.loads(spec)
    loss = make_loss(Spec(name=name, fields=fields))
    if isinstance(loss, Case):
        checksum, entries = case_checksum(loss)
        return _Data(bind(loss).layout, case_code_version(loss, name), checksum, entries, 0)
    entries = sum(int(values.size) for values in loss.data().values())
    flops = matrix_product_flops(loss)
    return _Data(loss.layout, code_version(type(loss)), data_checksum(loss), entries, flops)


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
    # on NumPy, whatever backend the cell has: what is multiplied is the same
    problem.loss(ops, problem.parameters(), problem.data())
    return ops.flops
