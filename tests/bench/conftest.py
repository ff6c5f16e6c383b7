"""What every test of the harness runs under."""

import os
from collections.abc import Iterator

import pytest
from support.bench_runs import TESTS


@pytest.fixture(scope="session", autouse=True)
def faults_on_path() -> Iterator[None]:
    """Let workers import `support.bench_faults`, in whichever file a test stands, and for fixtures of a module too."""
    paths = [str(TESTS), os.environ.get("PYTHONPATH", "")]
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", os.pathsep.join(path for path in paths if path))
        yield
