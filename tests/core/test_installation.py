"""What is installed is whole, with its types, its suites and its command, and is found from any folder.

It holds for a checkout, an editable install and a wheel; ``.ci/run`` runs it against the wheel too, where no
framework but NumPy is installed. So it looks at the files of a backend without importing the backend.
"""

import importlib.util
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest

FREE_OF_FRAMEWORKS = ("gradest", "gradest_numpy", "gradest_bench")
PACKAGES = (*FREE_OF_FRAMEWORKS, "gradest_jax", "gradest_torch", "gradest_mxnet")
FRAMEWORKS = ("jax", "torch", "mxnet", "sklearn", "mlxtend", "distributed")


def folder(package: str) -> Path:
    """Return where a package is, without importing it."""
    spec = importlib.util.find_spec(package)
    assert spec is not None, f"{package} is not installed"
    assert spec.origin is not None, f"{package} has no __init__.py"
    return Path(spec.origin).parent


@pytest.mark.parametrize("package", PACKAGES)
def test_package_ships_its_types(package: str) -> None:
    assert (folder(package) / "py.typed").is_file()


@pytest.mark.parametrize("package", FREE_OF_FRAMEWORKS)
def test_package_imports_no_framework(package: str) -> None:
    roots = sorted({str(folder(name).parent) for name in PACKAGES})
    code = f"import sys; sys.path[:0] = {roots!r}; import {package}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not set(FRAMEWORKS).intersection(done.stdout.split())


def test_suites_are_inside_or_beside_the_harness() -> None:
    harness = folder("gradest_bench")
    inside, beside = harness / "suites", harness.parent / "suites"
    assert list((inside if inside.is_dir() else beside).glob("*.toml"))


def test_command_is_declared_and_its_function_exists() -> None:
    (command,) = [entry for entry in distribution("gradest").entry_points if entry.group == "console_scripts"]
    assert (command.name, command.value) == ("gradest", "gradest_bench.command.start:start")
    assert callable(command.load())


def test_version_is_the_same_wherever_it_is_stated() -> None:
    import gradest

    assert gradest.__version__ == distribution("gradest").version


def test_no_module_on_a_source_root_hides_a_framework() -> None:
    hidden = [folder(package).parent / f"{name}.py" for package in PACKAGES for name in ("numpy", *FRAMEWORKS)]
    assert not [path for path in hidden if path.exists()]
