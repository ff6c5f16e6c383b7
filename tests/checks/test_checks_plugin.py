"""The example plug-ins, installed as a third party would install them, are found by name and pass every check."""

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


BACKEND = """
import gradest
from gradest.registry import broken_plugins
from gradest.testing import check_backend, raise_on_failure

assert "autograd" in gradest.names("backends")
assert "backends/autograd" not in broken_plugins()
results = check_backend("autograd")
raise_on_failure(results)

import autograd.numpy as anp
import numpy as np

x, start = np.random.default_rng(0).standard_normal((5, 3)), {"w": np.array([0.1, -0.2, 0.3])}
delta = 2 * np.tanh(x @ start["w"]) / np.cosh(x @ start["w"]) ** 2
for method in ("reverse", "forward", "complex-step"):
    try:
        gradient = gradest.grad(lambda p, x: anp.sum(anp.tanh(x @ p["w"]) ** 2), method=method, backend="autograd")
        found = gradient(start, x)
        np.testing.assert_allclose(found["w"], x.T @ delta, rtol=1e-13)
    except gradest.UnsupportedError:
        assert method == "complex-step"
print(sum(result.applies for result in results))
"""


def installed(folder: Path, name: str) -> Path:
    """Return a folder with a package of `examples` installed in it."""
    source = shutil.copytree(ROOT / "examples" / name, folder / "source", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--target", str(folder / "site"), str(source)], check=True)
    return folder / "site"


def said(script: str, site: Path, *arguments: str) -> str:
    """Return what a script prints where the package and this checkout are on the path."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (site, ROOT, ROOT / "backends")))}
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_installed_estimator_is_found_and_passes_every_check(tmp_path: Path) -> None:
    assert int(said(SCRIPT, installed(tmp_path, "plugin_estimator"), "torch")) >= 10


def test_an_installed_backend_is_found_passes_every_check_and_differentiates(tmp_path: Path) -> None:
    pytest.importorskip("autograd", reason="HIPS Autograd is not installed")
    assert int(said(BACKEND, installed(tmp_path, "plugin_backend"))) >= 9
