"""A result is kept as long as the code that made it: editing one estimator touches its own results alone."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.imports import ROOT

from gradest_bench.worker.versions import code_version

PRINT_VERSIONS = """
import sys
sys.path[:0] = [{root!r}, {root!r} + "/backends", {root!r} + "/benchmarks", {root!r} + "/plugins"]
from gradest.registry import ESTIMATORS, find_class
from gradest.estimator import Estimator
from gradest_bench.worker.versions import code_version
locations = {{entry.location for entry in ESTIMATORS.values()}} | set({plugins!r})
for location in sorted(locations):
    print(location, code_version(find_class("estimators", location, Estimator)[0]))
"""
PLUGINS = {
    "composed": """
from gradest import Estimator, KernelResult, PreparedKernel
from gradest.estimators import FiniteDifference

class Composed(Estimator):
    inner = FiniteDifference()
""",
    "reached": """
import gradest
import gradest.estimators as those

class Reached(gradest.Estimator):
    inner = gradest.estimators.FiniteDifference()
    other = those.Forward()
""",
    "by_package": """
from gradest import Estimator, estimators

class ByPackage(Estimator):
    inner = estimators.FiniteDifference()
""",
    "plain": """
from gradest import Estimator

class Plain(Estimator):
    pass
""",
}
NAMES = {f"{name}:{text.partition('class ')[2].partition('(')[0]}" for name, text in PLUGINS.items()}


def versions(root: Path) -> dict[str, str]:
    code = PRINT_VERSIONS.format(root=str(root), plugins=sorted(NAMES))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    return dict(line.split() for line in done.stdout.splitlines())


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("checkout")
    for name in ("gradest", "backends/gradest_numpy", "benchmarks/gradest_bench"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "plugins").mkdir()
    for name, text in PLUGINS.items():
        (root / "plugins" / f"{name}.py").write_text(text)
    return root


@pytest.fixture(scope="module")
def before(checkout: Path) -> dict[str, str]:
    """The versions of the checkout as it was copied, which every edit leaves it as again."""
    return versions(checkout)


def edited(root: Path, file: str, before: dict[str, str]) -> set[str]:
    """Return whose version changes with an edit of a file."""
    path = root / file
    text = path.read_text()
    path.write_text(text + "\n# an edit\n")
    try:
        after = versions(root)
    finally:
        path.write_text(text)
    return {location.rpartition(":")[2] for location in before if before[location] != after[location]}


def test_an_edit_of_one_estimator_changes_its_own_version_alone(checkout: Path, before: dict[str, str]) -> None:
    assert edited(checkout, "gradest/estimators/evolution.py", before) == {"EvolutionStrategy"}
    assert edited(checkout, "gradest/estimators/guided.py", before) == {"GuidedES"}


def test_what_a_plugin_takes_from_a_table_of_exports_counts_for_it(checkout: Path, before: dict[str, str]) -> None:
    changed = edited(checkout, "gradest/estimators/finite_difference.py", before)
    assert changed == {"FiniteDifference", "Composed", "Reached", "ByPackage"}
    assert edited(checkout, "gradest/estimators/forward.py", before) == {"Forward", "Reached"}


def test_what_everything_stands_on_changes_everything(checkout: Path, before: dict[str, str]) -> None:
    assert edited(checkout, "gradest/objective.py", before) == {name.rpartition(":")[2] for name in before}


def test_what_measures_changes_no_estimator(checkout: Path, before: dict[str, str]) -> None:
    assert edited(checkout, "gradest/measurement/compare.py", before) == set()
    assert edited(checkout, "gradest/transforms.py", before) <= {
        name.partition(":")[2] for name in NAMES
    }  # they import the package's face


def test_a_version_is_a_hash() -> None:
    from gradest.estimators import Reverse

    assert len(code_version(Reverse)) == 64
