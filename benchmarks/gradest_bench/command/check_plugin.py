"""Judges a backend or a problem, for `gradest check backend NAME` and `gradest check problem NAME`."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from gradest import get_backend, get_problem
from gradest.errors import GradestError
from gradest.testing import CheckResult, check_backend, check_problem
from gradest.testing.results import raised

KINDS = ("backend", "estimator", "problem")
Made = TypeVar("Made")


def check_kind(kind: str, name: str, fields: dict[str, Any], backends: Sequence[str]) -> tuple[str, list[CheckResult]]:
    """Return what a backend or a problem calls itself, and the results of its checks; raises as `made` does."""
    if kind == "backend":
        backend, result = made(lambda: get_backend(name))
        if backend is None:
            return name, [result]
        versions = ", ".join(f"{package} {number}" for package, number in backend.versions().items())
        return f"{backend.name}  {versions}", check_backend(backend)
    problem, result = made(lambda: get_problem(name, **fields))
    if problem is None:
        return name, [result]
    return f"{problem.name}  {problem!r}", check_problem(problem, backends=backends)


def made(make: Callable[[], Made]) -> tuple[Made | None, CheckResult]:
    """Return what is made, or None and why it cannot be: a class that is half written is a finding.

    Raises
    ------
    GradestError
        There is no such class, or it was given what it does not take.
    """
    try:
        return make(), CheckResult("construction", True, "it can be made")
    except GradestError:
        raise
    except Exception as error:  # noqa: BLE001  # a class that is being written may raise anything
        return None, CheckResult("construction", False, raised(error))
