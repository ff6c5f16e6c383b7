"""The check that a backend carries every registered estimator: what passes the other checks must not fail in use."""

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradest.backend import Backend, get_backend
from gradest.binding import bind
from gradest.dtypes import epsilon
from gradest.errors import UnsupportedError
from gradest.estimator import Estimator, get_estimator
from gradest.measurement.session import flat
from gradest.objective import Objective
from gradest.operations import Array
from gradest.registry import ESTIMATORS
from gradest.testing.known_problems import network
from gradest.testing.results import CheckResult, claimed, raised
from gradest.testing.subject import finest_dtype
from gradest.testing.transformation_checks import made

_SAMPLES = 3
_FURTHER = 300  # times the square root of epsilon: what differences of two losses may be off
_POINT = (0.5, -1.25, 2.0)


def check_estimators(backend: Backend) -> CheckResult:
    """Check that every registered estimator runs on the backend, or refuses, and agrees with NumPy's.

    A failure means that the backend's arrays lack something that estimators use, or do something else; each of them is
    named. They run on a small network in operations, and those that only evaluate also on a function of the user's, one
    evaluation at a time.
    """
    dtype = finest_dtype(backend)
    told: dict[str, list[str]] = {}  # what a backend lacks, most estimators meet: it is said once, with all their names
    for name in ESTIMATORS:
        for where, fault in _faults(name, backend, dtype):
            told.setdefault(fault, []).append(f"{name} of {where}")
    faults = (f"{', '.join(whose)} {fault}" for fault, whose in told.items())
    return claimed("estimators", faults, f"all {len(ESTIMATORS)} registered ones run, or say why not, in {dtype}")


def _faults(name: str, backend: Backend, dtype: str) -> Iterator[tuple[str, str]]:
    """Yield on which loss an estimator fails, and how."""
    estimator = get_estimator(name)
    if "num_samples" in {f.name for f in fields(estimator)}:
        estimator = replace(estimator, num_samples=_SAMPLES)  # type: ignore[call-arg]  # as was asked just before
    plain = get_backend("numpy")
    for where, objective_on in (("a network", _network), ("a user's function", _function)):
        try:
            expected = _estimate(estimator, objective_on(plain, dtype))
            found = _estimate(estimator, objective_on(backend, dtype))
        except UnsupportedError:  # it says so, on one of the two: there is nothing to compare
            continue
        except Exception as error:  # noqa: BLE001  # a backend may raise anything; it is a finding, and is reported
            yield where, raised(error)
            continue
        off = float(np.linalg.norm(found - expected)) / (float(np.linalg.norm(expected)) or 1.0)
        if not off <= _FURTHER * epsilon(dtype) ** 0.5:
            yield where, f"is {off:.2g} of its length from NumPy's"


def _estimate(estimator: Estimator, objective: Objective) -> NDArray[np.float64]:
    return flat(objective, estimator.prepare(objective)(rng=0))


def _network(backend: Backend, dtype: str) -> Objective:
    return bind(network(), backend=backend, dtype=dtype)


def _function(backend: Backend, dtype: str) -> Objective:
    """Return the objective of a function that is written with the backend's arrays, as a user's is."""
    ops = backend.operations()

    def loss(x: Array) -> Any:
        return ops.sum(ops.square(x) * ops.tanh(x))

    return bind(
        loss, made(backend, np.array(_POINT, dtype=dtype), dtype), backend=backend, population="loop", verify=False
    )
