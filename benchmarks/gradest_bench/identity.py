"""The identity of a cell where it runs: what is asked, and all that decides the answer.

This module knows no file and no process.
"""

import json
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from gradest.problem import Problem
from gradest_bench.cells import Cell, Spec, digest
from gradest_bench.resolving import make_backend, make_estimator, make_problem
from gradest_bench.versions import code_version, data_checksum


def identify(cell: Cell) -> dict[str, Any]:
    """Return the identity of a cell, what it is made of, and the size of what it computes."""
    problem, checksum, entries = _read(json.dumps([cell.problem.name, cell.problem.fields]))
    estimator = make_estimator(cell.estimator)
    backend = make_backend(cell.backend)
    decided = {
        "estimator_code": code_version(type(estimator)),
        "backend_code": code_version(type(backend)),
        "problem_code": code_version(type(problem)),
        "versions": backend.versions(),
        "data": checksum,
    }
    cost = asdict(estimator.cost(problem.layout))
    return {
        "identity": digest({"cell": cell.key, **decided}),
        "decided": decided,
        "num_parameters": problem.layout.num_parameters,
        "data_entries": entries,
        "evaluations": sum(cost.values()),
        "stochastic": estimator.stochastic,
        "target": estimator.target.value,
    }


@lru_cache(maxsize=4)
def _read(spec: str) -> tuple[Problem, str, int]:
    """Return a problem, the checksum of its data, and how many entries they have; many cells share one."""
    name, fields = json.loads(spec)
    problem = make_problem(Spec(name=name, fields=fields))
    return problem, data_checksum(problem), sum(int(values.size) for values in problem.data().values())
