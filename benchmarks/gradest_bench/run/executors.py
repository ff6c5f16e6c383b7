"""Opens the `concurrent.futures.Executor` that `--executor` names.

    local:N             N groups at one time on this machine; for accuracy, as the groups disturb each other's times
    dask:ADDRESS        a Dask scheduler (`distributed`); a task that loses its worker is run again on another
    module:callable     whatever the callable returns when called without arguments

This module knows no suite and no result.
"""

import importlib
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager

from gradest.errors import InvalidInputError, MissingDependencyError
from gradest_bench.run.tasks import stop_tasks

DASK_RETRIES = 2
"""How often a task that failed for Dask's reasons is run again."""


@contextmanager
def open_executor(text: str | None) -> Iterator[Executor | None]:
    """Give the executor that a text names, None for None, and shut it down after.

    Raises
    ------
    InvalidInputError, MissingDependencyError
        The text names none, or the package is not installed.
    """
    if text is None:
        yield None
        return
    kind, colon, rest = text.partition(":")
    if not colon or not rest:
        raise InvalidInputError(f"--executor asks for local:N, dask:ADDRESS or module:callable; found {text!r}")
    if kind == "dask":
        with _dask(rest) as executor:
            yield executor
        return
    with _local(rest) if kind == "local" else _called(kind, rest) as executor:
        yield executor


def executor_name(text: str | None) -> str:
    """Return what a run keeps of `--executor`: nothing for None, and no address of a machine.

    Examples
    --------
    >>> from gradest_bench.run.executors import executor_name
    >>> executor_name("local:2"), executor_name("dask:tcp://10.0.0.1:8786")
    ('local:2', 'dask')
    """
    return "" if text is None else "dask" if text.startswith("dask:") else text


@contextmanager
def _local(count: str) -> Iterator[Executor]:
    if not count.isdigit() or int(count) < 1:
        raise InvalidInputError(f"--executor local:N asks for a positive integer; found {count!r}")
    with ThreadPoolExecutor(int(count)) as executor:  # each thread waits for worker processes of its own
        try:
            yield executor
        except BaseException:
            # first no new ones, then an end of those that run: leaving the block waits for every thread
            executor.shutdown(wait=False, cancel_futures=True)
            stop_tasks()
            raise


def _called(module: str, attribute: str) -> Executor:
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise InvalidInputError(f"--executor {module}:{attribute} cannot be found: {error}") from error
    executor = found()
    if not isinstance(executor, Executor):
        raise InvalidInputError(
            f"--executor {module}:{attribute} must give a concurrent.futures.Executor; found {type(executor).__name__}"
        )
    return executor


@contextmanager
def _dask(address: str) -> Iterator[Executor]:
    try:
        from distributed import Client
    except ImportError as error:
        raise MissingDependencyError(
            "--executor dask:... needs the package 'distributed', which is not installed; "
            "install it with: pip install 'gradest[dask]'"
        ) from error
    try:
        client = Client(address, set_as_default=False)  # type: ignore[no-untyped-call]  # dask has no annotations
    except OSError as error:
        raise InvalidInputError(f"there is no Dask scheduler at {address!r}: {error}") from error
    # pure=False: equal calls are separate measurements, not one to be remembered
    executor = client.get_executor(pure=False, retries=DASK_RETRIES)  # type: ignore[no-untyped-call]  # as above
    with client, executor:
        yield executor
