"""The pytest fixture asserts a gradient, fails with what `gradest.check` prints, and loads nothing until it is used."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import sys
import numpy as np
def loss(p): return float(np.sum(p * p))
def test_nothing_is_loaded_before_it_is_used(): assert "gradest" not in sys.modules
def test_right(gradest_check): assert gradest_check(loss, np.ones(2), np.full(2, 2.0)).rate > 1.9
def test_wrong(gradest_check): gradest_check(loss, np.ones(2), np.ones(2))
"""


def test_the_fixture_in_a_session_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text(TESTS, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "gradest_pytest", "-p", "no:cacheprovider", "test_own.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    assert "1 failed, 2 passed" in done.stdout
    assert "a factor of 1/2" in done.stdout
