"""Makes the problem and the estimator that a cell names: registered ones, or "module:Class" and "file.py:Class".

This module knows no file of results and no process.
"""

from collections.abc import Iterable
from typing import Any

from gradest import Estimator, Problem, get_estimator, get_problem
from gradest_bench.suite.cells import Spec
from gradest_bench.suite.spec_text import parse_spec


def make_problem(spec: Spec) -> Problem:
    """Return the problem of a spec. Raises as `gradest.get_problem` does."""
    return get_problem(spec.name, **_frozen_fields(spec))


def make_estimator(spec: Spec) -> Estimator:
    """Return the estimator of a spec. Raises as `gradest.get_estimator` does."""
    return get_estimator(spec.name, **_frozen_fields(spec))


def make_estimators(texts: Iterable[str]) -> dict[str, Estimator]:
    """Return the estimators that texts such as `es(sigma=0.1)` name, by their labels; raises as `make_estimator` does.

    Examples
    --------
    >>> from gradest_bench.suite.resolving import make_estimators
    >>> {label: estimator.sigma for label, estimator in make_estimators(["spsa(sigma=0.5)"]).items()}
    {'spsa(sigma=0.5)': 0.5}
    """
    return {spec.label: make_estimator(spec) for spec in map(parse_spec, texts)}


def _frozen_fields(spec: Spec) -> dict[str, Any]:
    return {name: _frozen(value) for name, value in spec.fields.items()}


def _frozen(value: Any) -> Any:
    # TOML has lists alone, and the fields of frozen dataclasses must be hashable
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
