"""What every test of the harness runs under."""

import os

import pytest
from support.bench_runs import TESTS


@pytest.fixture(autouse=True)
def faults_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers import `support.bench_faults`, in whichever file a test stands."""
    paths = [str(TESTS), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in paths if path))
