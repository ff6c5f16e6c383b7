"""Settings that every test runs under, and the one rule for backends whose framework is not installed."""

import os

import pytest
from hypothesis import settings

import gradest

# The same examples on every run and machine, and no time limit: a slow machine is not a wrong result.
settings.register_profile("gradest", derandomize=True, deadline=None)
settings.load_profile("gradest")

REQUIRED = frozenset(filter(None, os.environ.get("GRADEST_REQUIRED_BACKENDS", "").split(",")))
"""Backends that this environment is said to have: there, a missing one fails instead of being skipped."""


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a case whose parameter `backend` names a framework that is not installed, saying which command has it."""
    case = getattr(item, "callspec", None)
    backend = case and case.params.get("backend")
    if isinstance(backend, str) and backend in gradest.names("backends") and backend not in REQUIRED:
        try:
            gradest.get_backend(backend)
        except gradest.MissingDependencyError as error:
            pytest.skip(str(error))
