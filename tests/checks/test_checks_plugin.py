"""The example plug-in, installed as a third party would install it, is found by name and passes every check."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import sys

import gradest
from gradest.registry import broken_plugins
from gradest.testing import check_estimator, raise_on_failure

assert "fd-hadamard" in gradest.names("estimators")
assert "estimators/fd-hadamard" not in broken_plugins()
results = check_estimator(gradest.get_estimator("fd-hadamard"), backends=("numpy", sys.argv[1]))
raise_on_failure(results)
print(sum(result.applies for result in results))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with the plug-in installed in it."""
    folder = tmp_path_factory.mktemp("plugin")
    source = shutil.copytree(ROOT / "examples" / "plugin_estimator", folder / "source")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--target", str(folder / "site"), str(source)], check=True)
    return folder / "site"


@pytest.mark.parametrize("backend", ["torch"])
def test_an_installed_plugin_is_found_and_passes_every_check(site: Path, backend: str) -> None:
    paths = os.pathsep.join(map(str, (site, ROOT, ROOT / "backends")))
    environment = {**os.environ, "PYTHONPATH": paths}
    command = [sys.executable, "-c", SCRIPT, backend]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 10
