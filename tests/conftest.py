"""Settings that every test runs under, the one rule for backends whose framework is not installed, and what need not
be tried with every version of NumPy and of the frameworks."""

import gc
import importlib.metadata
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from support.version_free import left_to_others

import gradest

# The same examples on every run and machine, and no time limit: a slow machine is not a wrong result.
settings.register_profile("gradest", derandomize=True, deadline=None)
settings.load_profile("gradest")

REQUIRED = frozenset(filter(None, os.environ.get("GRADEST_REQUIRED_BACKENDS", "").split(",")))
"""Backends that this environment is said to have: there, a missing one fails instead of being skipped."""


def pytest_addoption(parser: pytest.Parser) -> None:
    told = "leave out the files of tests/support/version_free.py that another environment tries, unless they are named"
    parser.addoption("--in-turn", action="store_true", help=told)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out a version-free file that another environment tries, where that is asked; None leaves it to others."""
    if not config.getoption("--in-turn") or collection_path not in left_to_others():
        return None
    named = {Path(argument.partition("::")[0]).resolve() for argument in config.args}
    return None if collection_path in named else True


def pytest_report_header(config: pytest.Config) -> str | None:
    if not config.getoption("--in-turn"):
        return None
    return f"left to another environment: {len(left_to_others())} files that no version has a part in (--in-turn)"


def pytest_configure(config: pytest.Config) -> None:
    """Let JAX keep what it compiles: three quarters of the time of its tests, and the same programs come again.

    Of this process alone, by the option and not the environment: processes that tests start measure what compiling
    costs. A folder for each worker of pytest, for JAX writes its files in place and another would read half of one.
    """
    if importlib.util.find_spec("jax") is None:
        return
    import jax

    # On a GPU XLA's float32 products have ten bits unless more are asked for; tests hold estimators to float32's.
    jax.config.update("jax_default_matmul_precision", "highest")
    cache = getattr(config, "cache", None)  # not there without its plugin
    if cache is None:
        return
    worker = os.environ.get("PYTEST_XDIST_WORKER", "alone")
    folder = cache.mkdir(f"jax-{importlib.metadata.version('jaxlib')}-{worker}")
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


@pytest.fixture(scope="module")
def quickly_compiled() -> Iterator[None]:
    """Let XLA optimise nothing, for files in which compiling is nearly all of the time, of tens of numbers each.

    What it optimises is tried with the operations, the interpreters and the estimators, which are compiled as ever.
    """
    if importlib.util.find_spec("jax") is None:
        yield
        return
    jax = importlib.import_module("jax")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what is there for good: all tests and frameworks, half a second each time."""
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a case whose parameter `backend` names a framework that is not installed, saying which command has it."""
    case = getattr(item, "callspec", None)
    backend = case and case.params.get("backend")
    if isinstance(backend, str) and backend in gradest.names("backends") and backend not in REQUIRED:
        try:
            gradest.get_backend(backend)
        except gradest.MissingDependencyError as error:
            pytest.skip(str(error))
