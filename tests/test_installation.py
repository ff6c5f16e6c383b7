"""What is installed can be imported whole, with its types, its suites and its command, from any folder.

It holds for a checkout, an editable install and a wheel; ``.ci/run`` runs it against the wheel too.
"""

import subprocess
import sys
from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path

import pytest

PACKAGES = ("gradest", "gradest_numpy", "gradest_jax", "gradest_torch", "gradest_mxnet", "gradest_bench")
FRAMEWORKS = frozenset({"jax", "torch", "mxnet", "sklearn", "mlxtend", "distributed"})


@pytest.mark.parametrize("package", PACKAGES)
def test_package_ships_its_types(package: str) -> None:
    assert files(package).joinpath("py.typed").is_file()


@pytest.mark.parametrize("package", PACKAGES)
def test_package_imports_without_any_framework(package: str) -> None:
    roots = sorted({str(Path(str(files(name))).parent) for name in PACKAGES})
    code = f"import sys; sys.path[:0] = {roots!r}; import {package}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not FRAMEWORKS.intersection(done.stdout.split())


def test_suites_are_beside_or_inside_the_harness() -> None:
    harness = Path(str(files("gradest_bench")))
    inside, beside = harness / "suites", harness.parent / "suites"
    assert list((inside if inside.is_dir() else beside).glob("*.toml"))


def test_command_is_declared_and_its_function_exists() -> None:
    (command,) = [entry for entry in distribution("gradest").entry_points if entry.group == "console_scripts"]
    assert (command.name, command.value) == ("gradest", "gradest_bench.cli:main")
    assert callable(command.load())


def test_version_is_the_same_wherever_it_is_stated() -> None:
    import gradest

    assert gradest.__version__ == distribution("gradest").version


def test_no_module_on_a_source_root_hides_a_framework() -> None:
    roots = {Path(str(files(name))).parent for name in PACKAGES}
    hidden = [root / f"{name}.py" for root in roots for name in ("numpy", *FRAMEWORKS)]
    assert not [path for path in hidden if path.exists()]
