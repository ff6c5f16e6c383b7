"""From the names in a cell to objects: registered names, or "module:Class" and "file.py:Class" of anyone's.

This module knows no file of results and no process.
"""

from typing import Any

from gradest import Estimator, Problem, get_estimator, get_problem
from gradest_bench.suite.cells import Spec


def make_problem(spec: Spec) -> Problem:
    """Return the problem of a spec; lists of TOML become tuples. Raises as `gradest.get_problem` does."""
    return get_problem(spec.name, **_frozen_fields(spec))


def make_estimator(spec: Spec) -> Estimator:
    """Return the estimator of a spec, likewise. Raises as `gradest.get_estimator` does."""
    return get_estimator(spec.name, **_frozen_fields(spec))


def _frozen_fields(spec: Spec) -> dict[str, Any]:
    return {name: _frozen(value) for name, value in spec.fields.items()}


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
